"""What is installed on the EKS cluster, and who training jobs are."""

import json
import re
from typing import Any

import yaml

from components.cluster.charts import AUTOSCALER_IMAGES, CHARTS
from components.cluster.control_plane import STANDARD_SUPPORT_ENDS
from components.cluster.software import TRAINER_API
from local.run import Run
from tests.cluster.support import (
    ADDON,
    GROUPS,
    KUEUE,
    NODE_GROUP,
    RELEASE,
    lost,
    needs,
)
from tests.conftest import ROOT, RunStack
from tests.support import all_of, one_of


def test_each_release_is_of_the_pinned_chart(deployed: Run) -> None:
    releases = {name.removeprefix("training-"): one.inputs for name, one in all_of(deployed, RELEASE).items()}
    assert set(releases) == set(CHARTS)
    for name, inputs in releases.items():
        chart = CHARTS[name]
        assert (inputs["name"], inputs["chart"], inputs["version"]) == (name, chart.chart, chart.version)
        assert inputs.get("repositoryOpts", {}).get("repo") == chart.repository
        # the two ways of naming a chart exclude each other
        assert chart.chart.startswith("oci://") is (chart.repository is None)


def test_only_what_a_stack_needs_is_installed(plain: Run, run_sections: RunStack) -> None:
    assert set(all_of(plain, RELEASE)) == {"training-cluster-autoscaler", "training-device-plugin"}
    assert not all_of(plain, f"{KUEUE}:ClusterQueue")
    without_gpus: dict[str, Any] = {"gpuNodeGroups": {}}
    for eks in (without_gpus, {"devicePlugin": False}):
        assert set(all_of(run_sections({"eks": eks}), RELEASE)) == {"training-cluster-autoscaler"}


def test_device_plugins_run_behind_the_taints(deployed: Run) -> None:
    values = {
        name: one_of(deployed, RELEASE, f"training-{name}").inputs["values"]
        for name in ("device-plugin", "neuron-device-plugin", "efa-device-plugin")
    }
    tolerated = {
        "nvidia.com/gpu": values["device-plugin"]["tolerations"],
        "aws.amazon.com/neuron": values["neuron-device-plugin"]["devicePlugin"]["tolerations"],
    }
    groups = [one.inputs["taints"] for one in all_of(deployed, NODE_GROUP).values() if "taints" in one.inputs]
    assert groups
    for accelerator, *others in ([one["key"] for one in taints] for taints in groups):
        wanted = [{"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in (accelerator, *others)]
        assert tolerated[accelerator] == wanted
        assert all(one in values["efa-device-plugin"]["tolerations"] for one in wanted)
    assert values["efa-device-plugin"]["nodeSelector"] == {"vpc.amazonaws.com/efa.present": "true"}


def test_the_autoscaler_is_of_the_clusters_version_and_scales_its_groups_and_no_other(deployed: Run) -> None:
    cluster = deployed.exports["eks_cluster_name"]
    values = one_of(deployed, RELEASE, "training-cluster-autoscaler").inputs["values"]
    assert values["autoDiscovery"] == {"clusterName": cluster}
    assert values["awsRegion"] == "us-west-2"
    assert values["image"]["tag"].startswith("v1.35.")
    policy = json.loads(one_of(deployed, "aws:iam/rolePolicy:RolePolicy", "training-autoscaler").inputs["policy"])
    scale, describe_nodes, describe = policy["Statement"]
    assert scale["Action"] == ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
    assert scale["Condition"] == {"StringEquals": {f"aws:ResourceTag/k8s.io/cluster-autoscaler/{cluster}": "owned"}}
    assert describe_nodes["Resource"] == [f"arn:aws:eks:us-west-2:123456789012:nodegroup/{cluster}/*/*"]
    assert all(re.match(r"\w+:(Describe|Get)", action) for action in describe["Action"])
    assert identity_of(deployed, "training-autoscaler") == (
        "kube-system",
        values["rbac"]["serviceAccount"]["name"],
    )


def test_a_training_job_may_use_artifacts_and_queues(deployed: Run) -> None:
    policy = json.loads(one_of(deployed, "aws:iam/rolePolicy:RolePolicy", "training-trainer").inputs["policy"])
    allowed = {action: one["Resource"] for one in policy["Statement"] for action in one["Action"]}
    assert allowed["s3:PutObject"] == [f"arn:aws:s3:::{deployed.exports['artifacts_bucket']}/*"]
    assert allowed["sqs:SendMessage"] == [deployed.exports["queue_arns"]["tasks"]]
    assert "s3:DeleteObject" not in allowed
    account = one_of(deployed, "kubernetes:core/v1:ServiceAccount", "training-trainer").inputs["metadata"]
    assert (
        identity_of(deployed, "training-trainer") == (account["namespace"], account["name"]) == ("training", "trainer")
    )


def identity_of(run: Run, name: str) -> tuple[str, str]:
    """The service account that a role is for, by its association and by its trust."""
    role = one_of(run, "aws:iam/role:Role", name)
    association = one_of(run, "aws:eks/podIdentityAssociation:PodIdentityAssociation", name).inputs
    assert association["roleArn"] == run.created[role.urn].outputs["arn"]
    (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert trust["Action"] == ["sts:AssumeRole", "sts:TagSession"]
    tags = trust["Condition"]["StringEquals"]
    found = tags["aws:RequestTag/kubernetes-namespace"], tags["aws:RequestTag/kubernetes-service-account"]
    assert found == (association["namespace"], association["serviceAccount"])
    return found


def test_kueue_has_a_queue_for_each_group_with_all_that_pods_can_have_of_its_nodes(deployed: Run) -> None:
    flavors, queues, locals_ = (
        all_of(deployed, f"{KUEUE}:{kind}") for kind in ("ResourceFlavor", "ClusterQueue", "LocalQueue")
    )
    assert {one.inputs["metadata"]["name"] for one in queues.values()} == set(GROUPS)
    assert {one.inputs["metadata"]["name"] for one in flavors.values()} == set(GROUPS)
    for one in locals_.values():
        assert one.inputs["metadata"]["namespace"] == "training"
        assert one.inputs["spec"]["clusterQueue"] == one.inputs["metadata"]["name"]
    assert {one.inputs["metadata"]["name"] for one in locals_.values()} == set(GROUPS)
    spec = queues["training-fast-queue"].inputs["spec"]
    (resources,) = spec["resourceGroups"]
    assert set(resources["coveredResources"]) == {"cpu", "memory", "nvidia.com/gpu", "vpc.amazonaws.com/efa"}
    (flavor,) = resources["flavors"]
    assert {one["name"]: one["nominalQuota"] for one in flavor["resources"]} == {
        "cpu": "380",
        "memory": "3882160Mi",
        "nvidia.com/gpu": "16",
        "vpc.amazonaws.com/efa": "64",
    }
    assert flavors["training-fast-flavor"].inputs["spec"] == {
        "nodeLabels": {"node-group": "fast"},
        # so that a job that names its queue needs no toleration of its own
        "tolerations": [
            {"key": "nvidia.com/gpu", "operator": "Equal", "value": "true", "effect": "NoSchedule"},
            {"key": "node-group", "operator": "Equal", "value": "fast", "effect": "NoSchedule"},
        ],
    }


def test_half_a_job_does_not_hold_nodes(deployed: Run) -> None:
    values = one_of(deployed, RELEASE, "training-kueue").inputs["values"]
    configuration = yaml.safe_load(values["managerConfig"]["controllerManagerConfigYaml"])
    # longer than a node takes to start; then it gives the nodes back, and is queued again, but not without end
    assert configuration["waitForPodsReady"] == {
        "timeout": "30m",
        "requeuingStrategy": {"timestamp": "Eviction", "backoffLimitCount": 5},
    }
    assert {"batch/job", "trainer.kubeflow.org/trainjob"} <= set(configuration["integrations"]["frameworks"])


def test_no_release_outlives_the_nodes_that_it_runs_on(deployed: Run) -> None:
    system = one_of(deployed, NODE_GROUP, "training-system").urn
    for release in all_of(deployed, RELEASE).values():
        assert system in needs(deployed, release), release.urn
    for addon in ("coredns", "metrics-server"):
        assert system in needs(deployed, one_of(deployed, ADDON, f"training-{addon}"))


def test_a_gpu_node_group_can_be_taken_out_from_where_the_kubernetes_api_is_out_of_reach(deployed: Run) -> None:
    gpu_groups = {one.urn for name, one in all_of(deployed, NODE_GROUP).items() if name != "training-system"}
    assert gpu_groups
    for urn, one in deployed.registrations.items():
        if "$kubernetes:" in urn:
            assert not gpu_groups & needs(deployed, one), urn


def test_trainer_has_its_runtime_without_a_job_that_installs_it(deployed: Run) -> None:
    from kubeflow_trainer_api.models.trainer_v1alpha1_cluster_training_runtime import (
        TrainerV1alpha1ClusterTrainingRuntime,
    )

    # without a runtime of its own the chart has neither the job that applies them nor the one that removes them
    assert "runtimes" not in one_of(deployed, RELEASE, "training-trainer").inputs["values"]
    (runtime,) = all_of(deployed, f"kubernetes:{TRAINER_API}:ClusterTrainingRuntime").values()
    assert one_of(deployed, RELEASE, "training-trainer").urn in needs(deployed, runtime)
    model = TrainerV1alpha1ClusterTrainingRuntime.from_dict(dict(runtime.inputs))
    assert model is not None
    assert lost(dict(runtime.inputs), model.to_dict()) == []
    (train_job,) = yaml.safe_load_all((ROOT / "examples" / "eks" / "trainjob.yaml").read_text())
    assert train_job["spec"]["runtimeRef"]["name"] == runtime.inputs["metadata"]["name"]


def test_jobs_go_before_what_ends_them(deployed: Run) -> None:
    namespace = one_of(deployed, "kubernetes:core/v1:Namespace", "training")
    kueue, trainer = (one_of(deployed, RELEASE, f"training-{name}") for name in ("kueue", "trainer"))
    queues = all_of(deployed, f"{KUEUE}:ClusterQueue").values()
    # what needs another is deleted before it
    assert {kueue.urn, trainer.urn, *(one.urn for one in queues)} <= needs(deployed, namespace)
    for queue in queues:
        assert kueue.urn in needs(deployed, queue)
    for kind in (f"{KUEUE}:LocalQueue", "kubernetes:core/v1:ServiceAccount"):
        for one in all_of(deployed, kind).values():
            assert namespace.urn in one.dependencies


def test_software_comes_beside_the_addons_and_jobs_go_before_both(deployed: Run) -> None:
    system, dns = one_of(deployed, NODE_GROUP, "training-system"), one_of(deployed, ADDON, "training-coredns")
    for release in all_of(deployed, RELEASE).values():
        before = needs(deployed, release)
        assert system.urn in before
        # it alone asks AWS when it starts
        assert (dns.urn in before) == (release.name == "training-cluster-autoscaler")
    namespace = one_of(deployed, "kubernetes:core/v1:Namespace", "training")
    assert one_of(deployed, ADDON, "training-aws-ebs-csi-driver").urn in namespace.dependencies


def test_every_supported_version_has_an_autoscaler() -> None:
    assert set(AUTOSCALER_IMAGES) == set(STANDARD_SUPPORT_ENDS)


def test_training_jobs_mount_the_file_system_by_a_claim_that_goes_with_their_namespace(run_sections: RunStack) -> None:
    run = run_sections({"artifacts": {"lustre": {"storageGib": 2400}}, "eks": {"version": "1.36"}}, preview=False)
    file_system = one_of(run, "aws:fsx/lustreFileSystem:LustreFileSystem", "artifacts")
    volume = one_of(run, "kubernetes:core/v1:PersistentVolume", "training-lustre")
    claim = one_of(run, "kubernetes:core/v1:PersistentVolumeClaim", "training-lustre")
    namespace = one_of(run, "kubernetes:core/v1:Namespace", "training")
    assert volume.inputs["spec"]["csi"] == {
        "driver": "fsx.csi.aws.com",
        "volumeHandle": run.exports["lustre_file_system_id"],
        "volumeAttributes": {
            "dnsname": run.exports["lustre_dns_name"],
            "mountname": run.exports["lustre_mount_name"],
        },
    }
    assert volume.inputs["spec"]["capacity"] == {"storage": "2400Gi"}
    assert claim.inputs["metadata"] == {"name": "lustre", "namespace": "training"}
    # the claim of a file system that grows stays as it is
    assert claim.inputs["spec"]["resources"] == {"requests": {"storage": "1200Gi"}}
    # at the end first the pods go, then the volume, then its driver and the file system
    assert namespace.urn in claim.dependencies
    assert volume.urn in needs(run, namespace)
    driver = one_of(run, ADDON, "training-aws-fsx-csi-driver")
    assert {driver.urn, file_system.urn} <= needs(run, volume)
    assert any(one.startswith("eks.version: whether nodes of 1.36 can mount") for one in run.messages)


def test_a_cluster_without_a_file_system_has_nothing_of_it(plain: Run) -> None:
    assert not [one.name for one in plain.registrations.values() if "lustre" in one.name or "fsx" in one.name]
