"""Fleets whose workers have GPUs: on which instances they run, and what is refused of them."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from components import quotas
from components.accelerators import InstanceFacts
from components.fargate_workers import WorkerSettings
from components.network import Zones
from local.aws import Aws
from local.provider import Provider
from local.run import Run
from tests.conftest import RunStack
from tests.support import Allowed, all_of, one_of

GROUP, PROVIDER = "aws:autoscaling/group:Group", "aws:ecs/capacityProvider:CapacityProvider"
SERVICE, TEMPLATE = "aws:ecs/service:Service", "aws:ec2/launchTemplate:LaunchTemplate"
SECTIONS: dict[str, Any] = {
    "queues": {"tasks": {}, "results": {}},
    "workers": {"evaluate": {"gpu": 1, "maxTasks": 6, "spotShare": 0.5}},
}
ZONES = Zones(places={"us-west-2a": 0, "us-west-2b": 1}, training="us-west-2a")


def facts(name: str, **other: Any) -> InstanceFacts:
    """The facts of a type, as of a g6.xlarge but for these."""
    like: dict[str, Any] = {
        "instance_type": name,
        "vcpus": 4,
        "memory_mib": 16_384,
        "gpus": 1,
        "gpu_models": frozenset({"L4"}),
        "gpu_memory_mib": 22_888,
        "neuron_devices": 0,
        "efa_interfaces": 0,
        "network_cards": 1,
        "pods": 58,
        "instance_storage_gb": 0,
        "architecture": "x86_64",
        "usage_classes": frozenset({"on-demand", "spot"}),
        "zones": frozenset({"us-west-2a"}),
    }
    return InstanceFacts(**{**like, **other})


TYPES: Mapping[str, InstanceFacts] = {
    one.instance_type: one
    for one in (
        facts("g6.xlarge"),
        facts("g6.12xlarge", vcpus=48, memory_mib=196_608, gpus=4),
        facts("m7i.large", gpus=0, gpu_models=frozenset()),
        facts("g5g.xlarge", architecture="arm64"),
        facts("p3.2xlarge", gpu_models=frozenset({"V100"})),
        facts("p6e.36xlarge", gpus=4, usage_classes=frozenset({"capacity-block"})),
        facts("p9.xlarge", zones=frozenset({"us-west-2d"})),
    )
}


@pytest.fixture(scope="module")
def run(run_sections: RunStack) -> Run:
    return run_sections(SECTIONS, preview=False)


def fleet(**settings: Any) -> WorkerSettings:
    return WorkerSettings.model_validate({"gpu": 1, **settings})


def found(settings: WorkerSettings) -> list[str]:
    return [str(one) for one in settings.preflight("workers.f", TYPES, ZONES)]


def test_the_group_rests_at_zero_and_ecs_alone_sizes_it(run: Run, aws: Aws) -> None:
    group, provider = one_of(run, GROUP, "evaluate"), one_of(run, PROVIDER, "gpu_evaluate")
    assert (group.inputs["minSize"], group.inputs["maxSize"]) == (0, 6)
    assert "desiredCapacity" in group.ignore_changes
    assert group.inputs["protectFromScaleIn"] is True
    there = run.created[group.urn].outputs
    assert provider.inputs["autoScalingGroupProvider"] == {
        "autoScalingGroupArn": there["arn"],
        "managedScaling": {"status": "ENABLED", "targetCapacity": 100},
        "managedTerminationProtection": "ENABLED",
        "managedDraining": "ENABLED",
    }
    (made,) = aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[there["name"]])[
        "AutoScalingGroups"
    ]
    assert (made["DesiredCapacity"], made["Instances"]) == (0, [])
    # without it the provider would take away what ECS sets
    assert {"AmazonECSManaged"} <= {tag["Key"] for tag in made["Tags"] if tag["PropagateAtLaunch"]}


def test_spot_has_its_share_of_the_instances(run: Run) -> None:
    policy = one_of(run, GROUP, "evaluate").inputs["mixedInstancesPolicy"]
    assert policy["instancesDistribution"]["onDemandPercentageAboveBaseCapacity"] == 50
    assert [one["instanceType"] for one in policy["launchTemplate"]["overrides"]] == ["g6.xlarge", "g5.xlarge"]


def test_instances_are_private_encrypted_and_keep_workers_from_their_metadata(run: Run) -> None:
    template = one_of(run, TEMPLATE, "evaluate").inputs
    assert template["metadataOptions"]["httpTokens"] == "required"
    assert "networkInterfaces" not in template
    assert template["imageId"].startswith("ami-")
    assert [one["ebs"]["encrypted"] for one in template["blockDeviceMappings"]] == ["true"]
    told = base64.b64decode(template["userData"]).decode()
    cluster = run.exports["ecs_cluster_names"]["evaluate"]
    assert f"echo ECS_CLUSTER={cluster} >> /etc/ecs/ecs.config\n" in told
    assert "echo ECS_AWSVPC_BLOCK_IMDS=true >> /etc/ecs/ecs.config\n" in told
    assert template["tagSpecifications"][0]["tags"]["EcsCluster"] == cluster


def test_an_instance_serves_its_own_cluster_alone(run: Run) -> None:
    may = Allowed([one_of(run, "aws:iam/rolePolicy:RolePolicy", "evaluate-instance").inputs["policy"]])
    own = run.exports["ecs_cluster_arns"]["evaluate"]
    assert may("ecs:RegisterContainerInstance", own)
    assert not may("ecs:RegisterContainerInstance", f"{own}-other")


def test_the_service_places_workers_with_a_gpu_on_them(run: Run) -> None:
    service = one_of(run, SERVICE, "evaluate").inputs
    name = run.created[one_of(run, PROVIDER, "gpu_evaluate").urn].outputs["name"]
    assert service["capacityProviderStrategies"] == [{"capacityProvider": name, "weight": 1}]
    assert service["networkConfiguration"]["assignPublicIp"] is False
    assert "platformVersion" not in service
    # a busy GPU is not to be had twice
    assert (service["deploymentMinimumHealthyPercent"], service["deploymentMaximumPercent"]) == (0, 100)
    definition = one_of(run, "aws:ecs/taskDefinition:TaskDefinition", "evaluate").inputs
    assert (definition["requiresCompatibilities"], definition["cpu"], definition["memory"]) == (
        ["EC2"],
        "4096",
        "15308",
    )
    (container,) = json.loads(definition["containerDefinitions"])
    assert container["resourceRequirements"] == [{"type": "GPU", "value": "1"}]
    assert container["linuxParameters"]["sharedMemorySize"] == 15_308 // 2
    told = {one["name"]: one["value"] for one in container["environment"]}
    assert (told["AWS_REGION"], told["AWS_DEFAULT_REGION"]) == ("us-west-2", "us-west-2")


def test_spot_instances_are_told_of_by_ec2_and_not_by_fargate(run: Run) -> None:
    rules = all_of(run, "aws:cloudwatch/eventRule:EventRule")
    assert {"alerts-spot-reclaimed", "alerts-deployment-failed"} <= set(rules)
    assert "alerts-worker-reclaimed" not in rules


def test_it_costs_nothing_at_rest_and_at_most_an_instance_for_each_worker(run: Run, aws: Aws) -> None:
    estimate = Provider(aws).estimate(run)
    lines = {one.price: (one.at_rest, one.at_most) for one in estimate.lines if one.resource == "evaluate"}
    # the root volumes of 100 GiB, too
    assert lines == {"g6.xlarge": (0, 6), "g5.xlarge": (0, 6), "gp3 storage": (0, 600)}
    assert {"g6.xlarge", "g5.xlarge"} <= set(estimate.without_price)


def test_with_gpus_the_cluster_is_another_so_that_the_service_is_replaced_whole(
    run: Run, run_sections: RunStack
) -> None:
    before = run_sections({**SECTIONS, "workers": {"evaluate": {}}})
    assert set(all_of(before, "aws:ecs/cluster:Cluster")) == {"evaluate"}
    assert set(all_of(run, "aws:ecs/cluster:Cluster")) == {"evaluate_gpu"}
    assert not all_of(before, GROUP)


def test_a_worker_has_what_falls_to_its_gpus_on_every_type() -> None:
    assert fleet(instanceTypes=["g6.xlarge"]).size(TYPES) == (4096, 15_308)
    assert fleet(gpu=2, instanceTypes=["g6.12xlarge"]).size(TYPES) == (24_576, 93_260)
    assert fleet(instanceTypes=["g6.12xlarge", "g6.xlarge"]).size(TYPES) == (4096, 15_308)
    assert fleet(instanceTypes=["g6.xlarge"], cpu=1000, memory=5000).size(TYPES) == (1000, 5000)
    assert WorkerSettings().size(TYPES) == (1024, 4096)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"instanceTypes": ["g6.xlarge"]}, None),
        (
            {"gpu": 2, "instanceTypes": ["g6.12xlarge", "g6.xlarge"]},
            "workers.f.instanceTypes: must be types with 2 NVIDIA GPUs or more, got {'g6.xlarge': 1}",
        ),
        (
            {"instanceTypes": ["m7i.large"]},
            "workers.f.instanceTypes: must be types with 1 NVIDIA GPUs or more, got {'m7i.large': 0}",
        ),
        *(
            (
                {"instanceTypes": [one]},
                f"workers.f.instanceTypes: must be x86_64 types whose GPUs ECS's image has a driver for, got '{one}'",
            )
            for one in ("g5g.xlarge", "p3.2xlarge")
        ),
        (
            {"instanceTypes": ["g6.xlarge", "g6.12xlarge"], "cpu": 4097},
            "workers.f.cpu: must be at most 4096, what each of g6.xlarge, g6.12xlarge can give, got 4097",
        ),
        (
            {"instanceTypes": ["g6.xlarge"], "memory": 15_309},
            "workers.f.memory: must be at most 15308, what each of g6.xlarge can give, got 15309",
        ),
        (
            {"instanceTypes": ["p6e.36xlarge"], "spotShare": 0},
            "workers.f.instanceTypes: must be types that EC2 offers as on-demand, got 'p6e.36xlarge'",
        ),
        (
            {"instanceTypes": ["p6e.36xlarge"], "spotShare": 1},
            "workers.f.instanceTypes: must be types that EC2 offers as spot, got 'p6e.36xlarge'",
        ),
        (
            {"instanceTypes": ["p9.xlarge"]},
            (
                "workers.f.instanceTypes: must be offered in us-west-2a, us-west-2b, where the instances would be,"
                " got {'p9.xlarge': ['us-west-2d']}"
            ),
        ),
    ],
)
def test_types_that_cannot_run_the_workers_are_refused(settings: dict[str, Any], line: str | None) -> None:
    assert found(fleet(**settings)) == ([] if line is None else [line])


def test_a_fleet_on_fargate_asks_nothing_of_ec2() -> None:
    assert found(WorkerSettings()) == []
    assert [one.service for one in WorkerSettings(spot_share=1).demands("workers.f", TYPES)] == ["fargate"]


def test_instances_are_only_where_a_type_is_offered() -> None:
    assert fleet(instanceTypes=["g6.xlarge", "p9.xlarge"]).zones(TYPES, ZONES) == ["us-west-2a"]


def test_it_counts_against_the_quotas_of_ec2() -> None:
    half = fleet(instanceTypes=["g6.12xlarge", "g6.xlarge"], maxTasks=10, spotShare=0.75)
    assert list(half.demands("workers.f", TYPES)) == [
        quotas.Demand(path="workers.f.maxTasks", service="ec2", code="L-DB2E81BA", vcpus=120),
        quotas.Demand(path="workers.f.maxTasks", service="ec2", code="L-3819A6DF", vcpus=360),
    ]


def test_an_instance_reaches_ecs_by_endpoints_where_there_is_no_nat() -> None:
    assert ("workers.f.gpu", ("ecs", "ecs-agent", "ecs-telemetry")) in list(fleet().endpoints("workers.f"))
    assert [path for path, _ in WorkerSettings().endpoints("workers.f")] == ["workers.f"]
