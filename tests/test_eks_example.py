"""The examples for EKS: that Kubernetes and Trainer take them, and that they fit the nodes they ask for."""

import json
import re
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from components.cluster.charts import CHARTS
from local import stack_files
from tests.cluster.support import KUEUE, lost
from tests.conftest import ROOT, RunStack
from tests.support import one_of

EXAMPLES = sorted((ROOT / "examples" / "eks").glob("*.yaml"))


def manifests(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_what_kubernetes_and_trainer_take(path: Path) -> None:
    import kubernetes_validate
    from kubeflow_trainer_api.models.trainer_v1alpha1_train_job import TrainerV1alpha1TrainJob

    for manifest in manifests(path):
        assert manifest["metadata"]["namespace"] == "training"
        if manifest["kind"] == "TrainJob":
            # Trainer's own models know the types, and drop what they do not know
            model = TrainerV1alpha1TrainJob.from_dict(manifest)
            assert model is not None
            assert lost(manifest, model.to_dict()) == []
        else:
            cast("Any", kubernetes_validate).validate(manifest, "1.35", strict=True)


def test_the_trainer_whose_models_check_the_example_is_the_one_installed() -> None:
    from importlib.metadata import version

    assert version("kubeflow-trainer-api") == CHARTS["trainer"].version


def jobs() -> dict[str, tuple[int, dict[str, Any], str]]:
    """File -> nodes, pod's spec, queue."""
    plain = {
        path: manifest
        for path in ("job.yaml", "job-efa.yaml")
        for manifest in manifests(ROOT / "examples" / "eks" / path)
    }
    found = {
        path: (
            manifest["spec"]["completions"],
            manifest["spec"]["template"]["spec"],
            manifest["metadata"]["labels"]["kueue.x-k8s.io/queue-name"],
        )
        for path, manifest in plain.items()
    }
    (train_job,) = manifests(ROOT / "examples" / "eks" / "trainjob.yaml")
    (patch,) = train_job["spec"]["runtimePatches"]
    (node,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    found["trainjob.yaml"] = (
        train_job["spec"]["trainer"]["numNodes"],
        node["template"]["spec"]["template"]["spec"],
        train_job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"],
    )
    return found


@pytest.mark.parametrize("path", ["job.yaml", "job-efa.yaml", "trainjob.yaml"])
def test_an_example_is_the_training_identity_on_two_gpu_nodes(path: str) -> None:
    nodes, pod, queue = jobs()[path]
    assert nodes == 2
    # without Kueue, it starts no group but that of its queue
    assert {"key": "node-group", "value": queue, "effect": "NoSchedule"} in pod["tolerations"]
    assert pod["serviceAccountName"] == "trainer"
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod["tolerations"]


@pytest.mark.parametrize("path", ["job.yaml", "trainjob.yaml"])
def test_an_example_fits_the_nodes_of_the_dev_stack(path: str, run_sections: RunStack) -> None:
    eks = json.loads(stack_files.read(ROOT, "dev").config["distributed-training:eks"])
    fits(jobs()[path], eks["gpuNodeGroups"], run_sections)


def test_the_efa_example_fits_the_group_that_it_names(run_sections: RunStack) -> None:
    text = (ROOT / "examples" / "eks" / "job-efa.yaml").read_text()
    named = re.search(r"^#   (efa: .*)$", text, re.MULTILINE)
    assert named is not None
    fits(jobs()["job-efa.yaml"], yaml.safe_load(named[1]), run_sections)


def fits(job: tuple[int, dict[str, Any], str], groups: Any, run_sections: RunStack) -> None:
    """Whether Kueue lets it in: as many whole nodes as it has, as `train cluster submit` asks for them."""
    nodes, _, queue = job
    run = run_sections({"eks": {"gpuNodeGroups": groups, "kueue": True}})
    (group,) = one_of(run, f"{KUEUE}:ClusterQueue", f"training-{queue}-queue").inputs["spec"]["resourceGroups"]
    quotas = {one["name"]: one["nominalQuota"] for one in group["flavors"][0]["resources"]}
    asked = run.exports["eks_pod_resources"][queue]
    assert nodes <= groups[queue]["maxSize"]
    assert {one: number(quota) for one, quota in quotas.items()} == {
        one: number(amount) * groups[queue]["maxSize"] for one, amount in asked.items()
    }


def number(quantity: str) -> int:
    return int(quantity.removesuffix("Mi"))


def test_the_training_script_is_python_and_saves_checkpoints_as_the_example_for_batch_does() -> None:
    config, _ = manifests(ROOT / "examples" / "eks" / "common.yaml")
    compile(config["data"]["train.py"], "train.py", "exec")
    assert config["data"]["checkpoints.py"] == (ROOT / "examples" / "batch" / "checkpoints.py").read_text()
    assert "from checkpoints import checkpoints_of" in config["data"]["train.py"]


@pytest.mark.parametrize("path", ["job.yaml", "job-efa.yaml", "trainjob.yaml"])
def test_an_example_has_all_that_its_script_reads_but_what_is_filled_in(path: str) -> None:
    config, _ = manifests(ROOT / "examples" / "eks" / "common.yaml")
    read = set(re.findall(r'os\.environ\["(\w+)"\]', config["data"]["train.py"]))
    (job,) = manifests(ROOT / "examples" / "eks" / path)
    trainer = job["spec"].get("trainer")
    env = trainer["env"] if trainer else jobs()[path][1]["containers"][0]["env"]
    # torchrun gives the rank, and `train cluster submit` the bucket
    assert read - {one["name"] for one in env} == {"LOCAL_RANK", "ARTIFACTS_BUCKET"}
    assert {"name": "CHECKPOINTS", "value": "s3"} in env


def test_the_nodes_of_an_example_find_the_first_by_the_services_name() -> None:
    _, service = manifests(ROOT / "examples" / "eks" / "common.yaml")
    for path in ("job.yaml", "job-efa.yaml"):
        (job,) = manifests(ROOT / "examples" / "eks" / path)
        template = job["spec"]["template"]
        assert template["spec"]["subdomain"] == service["metadata"]["name"]
        assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
        (script,) = template["spec"]["containers"][0]["args"]
        assert f'--master-addr "$JOB_NAME-0.{service["metadata"]["name"]}" ' in script
        own = {"fieldRef": {"fieldPath": "metadata.labels['batch.kubernetes.io/job-name']"}}
        assert {"name": "JOB_NAME", "valueFrom": own} in template["spec"]["containers"][0]["env"]
        # as many as the node has
        assert "--nproc-per-node gpu " in script
