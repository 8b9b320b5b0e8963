"""`train cluster` and `train launcher`, with a `kubectl` that keeps what it is given."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from local.aws import Aws
from tests.client_support import Train, TrainWith
from tests.conftest import ROOT, RunStack
from tests.support import write_program

KUBECTL = """
import json, os, sys, yaml
match sys.argv[1:]:
    case ["patch", "--local", "--type=merge", "--patch={}", "--output=json", file]:
        try:
            text = open(file.removeprefix("--filename=")).read()
        except OSError:
            sys.exit("error: the path does not exist")
        for one in yaml.safe_load_all(text):
            print(json.dumps(one, indent=4))
    case [config, verb, "--output=name", "--filename=-"]:
        given = json.load(sys.stdin)
        if any(one["metadata"]["name"] == "taken" for one in given["items"]):
            sys.exit('Error from server (AlreadyExists): jobs.batch "taken" already exists')
        with open(os.environ["GIVEN"], "a") as kept:
            kubeconfig = json.load(open(config.removeprefix("--kubeconfig=")))
            print(json.dumps([verb, kubeconfig["current-context"], given["items"]]), file=kept)
        for one in given["items"]:
            print(one["kind"].lower() + "/" + one["metadata"]["name"])
    case other:
        sys.exit(f"kubectl: {other} is not known here")
"""
SECTIONS: dict[str, Any] = {
    "batch": {"single": {}, "fair": {"fairShare": {"teamA": 1.0}}},
    "eks": {"gpuNodeGroups": {"gpu": {}, "efa": {"efa": True}}, "kueue": True},
    "teams": {"vision": {}},
}
EXAMPLES = ROOT / "examples" / "eks"
GPU = "nvidia.com/gpu"


@pytest.fixture(scope="module")
def exports(run_sections: RunStack) -> dict[str, Any]:
    return run_sections(SECTIONS, preview=False).exports


@pytest.fixture
def train(train_with: TrainWith, exports: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    programs = tmp_path / "bin"
    programs.mkdir()
    write_program(programs / "kubectl", KUBECTL, "-I")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("GIVEN", str(tmp_path / "given"))
    return train_with(exports)


def given() -> list[tuple[str, str, list[dict[str, Any]]]]:
    """What `kubectl` was given: verb, context and manifests."""
    kept = Path(os.environ["GIVEN"])
    return [tuple(json.loads(line)) for line in kept.read_text().splitlines()] if kept.exists() else []


def test_the_kubeconfig_is_printed_or_written_for_its_owner(
    train: Train, exports: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "kubeconfig"
    assert train("cluster", "kubeconfig") == (0, [exports["kubeconfig"]], [])
    assert train("cluster", "kubeconfig", "--file", str(file)) == (0, [], [f"export KUBECONFIG={file}"])
    assert file.read_text() == exports["kubeconfig"] + "\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert train("cluster", "kubeconfig", "--file", str(file))[0] == 0


def test_a_kubeconfig_of_other_clusters_is_not_overwritten(train: Train, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("clusters: []\n")
    status, _, (line,) = train("cluster", "kubeconfig", "--file", str(file))
    assert status == 1
    assert line == f"error: --file: must not be there yet, as it may have other clusters, got '{file}'"
    assert file.read_text() == "clusters: []\n"


def test_nodes_are_listed_by_their_group(train: Train, exports: dict[str, Any], aws: Aws) -> None:
    assert train("cluster", "nodes") == (0, [], [])
    ec2 = aws.client("ec2")
    group = exports["eks_node_group_arns"]["gpu"].split("/")[2]
    tags = {"eks:cluster-name": exports["eks_cluster_name"], "eks:nodegroup-name": group}
    (made,) = ec2.run_instances(
        ImageId="ami-0123456789abcdef0",
        InstanceType="g6.12xlarge",
        SubnetId=exports["private_subnet_ids"][0],
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        ],
    )["Instances"]
    try:
        _, (line,), _ = train("cluster", "nodes")
    finally:
        ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    words = line.split()
    assert [*words[:5], words[6]] == ["gpu", made["InstanceId"], "g6.12xlarge", "us-west-2a", "running", "on-demand"]


@pytest.mark.parametrize("example", ["job.yaml", "job-efa.yaml", "trainjob.yaml"])
def test_an_example_is_created_after_what_it_uses(example: str, train: Train, exports: dict[str, Any]) -> None:
    status, out, err = train("cluster", "submit", str(EXAMPLES / "common.yaml"), str(EXAMPLES / example))
    (manifest,) = yaml.safe_load_all((EXAMPLES / example).read_text())
    name = manifest["metadata"]["name"]
    assert (status, out) == (0, ["configmap/train", "service/train", f"{manifest['kind'].lower()}/{name}"])
    context = json.loads(exports["kubeconfig"])["current-context"]
    assert [(verb, where, [one["kind"] for one in items]) for verb, where, items in given()] == [
        ("apply", context, ["ConfigMap", "Service"]),
        ("create", context, [manifest["kind"]]),
    ]
    (made,) = given()[1][2]
    assert without_what_is_filled_in(made) == manifest
    hint = f"see its log with: kubectl -n training logs -f job/{name}"
    assert err == ([hint] if manifest["kind"] == "Job" else [])


def parts_of(manifest: dict[str, Any]) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """What holds the resources and the environment of an example, the key of the resources, its shared memory."""
    if manifest["kind"] == "TrainJob":
        (patch,) = manifest["spec"]["runtimePatches"]
        (node,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
        pod, container, key = (
            node["template"]["spec"]["template"]["spec"],
            manifest["spec"]["trainer"],
            "resourcesPerNode",
        )
    else:
        pod = manifest["spec"]["template"]["spec"]
        (container,), key = pod["containers"], "resources"
    return container, key, pod["volumes"][1]["emptyDir"]


def without_what_is_filled_in(manifest: dict[str, Any]) -> dict[str, Any]:
    container, key, shared_memory = parts_of(manifest)
    del container[key], shared_memory["sizeLimit"]
    container["env"] = [one for one in container["env"] if one["name"] in ("CHECKPOINTS", "JOB_NAME")]
    return manifest


@pytest.mark.parametrize(("example", "group"), [("job.yaml", "gpu"), ("job-efa.yaml", "efa"), ("trainjob.yaml", "gpu")])
def test_a_job_that_says_nothing_of_resources_has_a_whole_node_of_its_group(
    example: str, group: str, train: Train, exports: dict[str, Any]
) -> None:
    import kubernetes_validate

    assert train("cluster", "submit", str(EXAMPLES / example))[0] == 0
    ((_, _, (job,)),) = given()
    container, key, shared_memory = parts_of(job)
    memory = exports["eks_pod_resources"][group]["memory"]
    # of the 48 vCPUs of a g6.12xlarge, and of its 192 GiB
    assert container[key]["requests"] == {"cpu": "47", "memory": memory}
    efa = {"vpc.amazonaws.com/efa": "1"} if group == "efa" else {}
    assert container[key]["limits"] == {"memory": memory, GPU: "4", **efa}
    assert 0.85 * 196_608 < int(memory.removesuffix("Mi")) < 196_608
    assert int(shared_memory["sizeLimit"].removesuffix("Mi")) == int(memory.removesuffix("Mi")) // 2
    environment = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    fabric = {"NCCL_NET": "Libfabric", "FI_EFA_USE_HUGE_PAGE": "0"} if group == "efa" else {}
    bucket = {"ARTIFACTS_BUCKET": exports["artifacts_bucket"]}
    assert environment == {"CHECKPOINTS": "s3", "NCCL_DEBUG": "INFO", **bucket, **fabric}
    if job["kind"] == "Job":
        cast("Any", kubernetes_validate).validate(job, "1.35", strict=True)


def test_a_job_keeps_what_it_says_of_resources_and_of_its_environment(
    train: Train, exports: dict[str, Any], tmp_path: Path
) -> None:
    (manifest,) = yaml.safe_load_all((EXAMPLES / "job-efa.yaml").read_text())
    container, key, shared_memory = parts_of(manifest)
    container["env"].append({"name": "NCCL_DEBUG", "value": "WARN"})
    shared_memory["sizeLimit"] = "1Gi"
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(manifest))
    assert train("cluster", "submit", str(file))[0] == 0
    container[key] = {"limits": {GPU: 1}}
    file.write_text(yaml.safe_dump(manifest))
    assert train("cluster", "submit", str(file))[0] == 0
    (_, _, (whole,)), (_, _, (own,)) = given()
    bucket = parts_of(own)[0]["env"].pop()
    assert own == manifest
    assert bucket == {"name": "ARTIFACTS_BUCKET", "value": exports["artifacts_bucket"]}
    container, _, shared_memory = parts_of(whole)
    assert [one["value"] for one in container["env"] if one["name"] == "NCCL_DEBUG"] == ["WARN"]
    assert shared_memory["sizeLimit"] == "1Gi"


@pytest.mark.parametrize("example", ["job.yaml", "job-efa.yaml", "trainjob.yaml"])
def test_a_job_that_saves_in_the_file_system_has_it_mounted(
    example: str, train: Train, train_with: TrainWith, exports: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "job.yaml"
    file.write_text((EXAMPLES / example).read_text().replace("value: s3", "value: /lustre"))
    status, _, (line,) = train("cluster", "submit", str(file))
    rule = "must not be in /lustre, which only pods in training of a stack with artifacts.lustre have, got '/lustre'"
    assert (status, line.partition(": CHECKPOINTS: ")[2]) == (1, rule)
    file_system = {"lustre_file_system_id": "fs-0123456789abcdef0", "lustre_dns_name": "it", "lustre_mount_name": "it"}
    assert train_with({**exports, **file_system})("cluster", "submit", str(file))[0] == 0
    ((_, _, (job,)),) = given()
    (pod,) = pods_of(job)
    assert {"name": "lustre", "persistentVolumeClaim": {"claimName": "lustre"}} in pod["volumes"]
    assert {"name": "lustre", "mountPath": "/lustre"} in pod["containers"][0]["volumeMounts"]


def pods_of(job: dict[str, Any]) -> list[dict[str, Any]]:
    """The specs of its pods."""
    if job["kind"] == "Job":
        return [job["spec"]["template"]["spec"]]
    (patch,) = job["spec"]["runtimePatches"]
    replicated = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    return [one["template"]["spec"]["template"]["spec"] for one in replicated]


def test_a_job_has_the_name_that_it_is_given(train: Train) -> None:
    assert train("cluster", "submit", str(EXAMPLES / "job.yaml"), "--name", "second")[:2] == (0, ["job/second"])
    ((_, _, (job,)),) = given()
    assert job["metadata"]["name"] == "second"
    status, _, (line,) = train("cluster", "submit", str(EXAMPLES / "job.yaml"), "--name", "taken")
    assert status == 1
    assert line.endswith('jobs.batch "taken" already exists; give it another name with --name')


def test_a_team_submits_to_its_own_namespace(train: Train, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text((EXAMPLES / "job.yaml").read_text().replace("namespace: training", "namespace: team-vision"))
    status, out, err = train("cluster", "submit", str(file))
    assert (status, out) == (0, ["job/train"])
    assert err == ["see its log with: kubectl -n team-vision logs -f job/train"]


def test_a_job_that_could_not_run_is_refused_with_all_its_mistakes(train: Train, tmp_path: Path) -> None:
    (manifest,) = yaml.safe_load_all((EXAMPLES / "job.yaml").read_text())
    manifest["metadata"]["namespace"] = "default"
    pod = manifest["spec"]["template"]["spec"]
    del pod["serviceAccountName"], pod["tolerations"], manifest["spec"]["activeDeadlineSeconds"]
    pod["containers"][0]["resources"] = {"limits": {GPU: 4}}
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(manifest))
    assert train("cluster", "submit", str(file), "--name", "Two") == (
        1,
        [],
        [
            "error: Job train: metadata.namespace: must be one of training, team-vision, got 'default'",
            (
                "error: Job train: activeDeadlineSeconds: must be set, so that half a job does not hold nodes for ever,"
                " got nothing"
            ),
            "error: Job train: serviceAccountName: must be trainer, got nothing",
            f"error: Job train: tolerations: must have one of {GPU}, the taint of its nodes, with operator Exists",
            (
                "error: Job train: tolerations: must have one of node-group with the node group as value,"
                " one of efa, gpu, got nothing"
            ),
            (
                "error: --name: must be 1 to 52 lower-case letters, digits and hyphens, a letter or digit at both ends,"
                " got 'Two'"
            ),
        ],
    )
    del pod["containers"][0]["resources"]["limits"][GPU]
    file.write_text(yaml.safe_dump(manifest))
    assert (
        f"error: Job train: must ask for accelerators, with {GPU} or aws.amazon.com/neuron under resources.limits,"
        " or say nothing of resources and have a whole node"
    ) in train("cluster", "submit", str(file))[2]
    assert given() == []


def test_a_job_for_a_node_group_that_there_is_not_is_refused(train: Train, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text((EXAMPLES / "job.yaml").read_text().replace("value: gpu", "value: gup"))
    status, _, (line,) = train("cluster", "submit", str(file))
    assert status == 1
    assert line.endswith("node-group with the node group as value, one of efa, gpu, got 'gup'")
    assert given() == []


def test_without_kubectl_a_line_says_where_it_comes_from(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    status, _, (line,) = train("cluster", "submit", str(EXAMPLES / "job.yaml"))
    assert status == 1
    assert line.startswith("error: kubectl is not on the PATH; https://kubernetes.io/docs/tasks/tools/")


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on the PATH")
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_kubectl_reads_manifests_as_the_one_here_does(path: Path, tmp_path: Path) -> None:
    arguments = ["patch", "--local", "--type=merge", "--patch={}", "--output=json", f"--filename={path}"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": os.devnull}
    text = subprocess.run(["kubectl", *arguments], env=environment, capture_output=True, check=True, text=True).stdout
    decoder, found = json.JSONDecoder(), []
    while text.strip():
        one, end = decoder.raw_decode(text.lstrip())
        found.append(one)
        text = text.lstrip()[end:]
    assert found == list(yaml.safe_load_all(path.read_text()))


def test_metaflow_is_configured_for_a_queue(train: Train, exports: dict[str, Any]) -> None:
    status, out, _ = train("launcher", "metaflow", "single")
    assert status == 0
    assert json.loads("\n".join(out)) == {
        "METAFLOW_DEFAULT_DATASTORE": "s3",
        "METAFLOW_DATASTORE_SYSROOT_S3": f"s3://{exports['artifacts_bucket']}/metaflow",
        "METAFLOW_BATCH_JOB_QUEUE": exports["batch_job_queue_arns"]["single"],
        "METAFLOW_ECS_S3_ACCESS_IAM_ROLE": exports["batch_job_role_arns"]["single"],
        "METAFLOW_BATCH_DEFAULT_TAGS": {"SubmittedBy": exports["train_submitted_by"]},
    }


def test_metaflow_names_no_share(train: Train) -> None:
    status, _, (line,) = train("launcher", "metaflow", "fair")
    assert status == 1
    assert line == "error: job queue: must be one without fairShare, since Metaflow names no share, got 'fair'"


def test_skypilot_is_configured_for_the_cluster(train: Train, exports: dict[str, Any]) -> None:
    status, out, _ = train("launcher", "skypilot")
    configuration = json.loads("\n".join(out))["kubernetes"]
    assert status == 0
    assert configuration["allowed_contexts"] == [json.loads(exports["kubeconfig"])["current-context"]]
    assert (configuration["namespace"], configuration["remote_identity"]) == ("training", "trainer")
    tolerated = [one["key"] for one in configuration["pod_config"]["spec"]["tolerations"]]
    assert tolerated == [GPU, "aws.amazon.com/neuron", "node-group"]
