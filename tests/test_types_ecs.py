"""Amazon ECS and Application Auto Scaling in moto: what is made, seen, changed and ended."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.aws import Aws
from local.run import RefusedError
from tests.support import Life

CAPACITY = "aws:ecs/clusterCapacityProviders:ClusterCapacityProviders"
DEFINITION: dict[str, Any] = {
    "family": "workers",
    "requiresCompatibilities": ["FARGATE"],
    "networkMode": "awsvpc",
    "cpu": "256",
    "memory": "512",
    "containerDefinitions": json.dumps([{"name": "worker", "image": "one"}]),
}


@pytest.fixture
def cluster(aws: Aws) -> Iterator[Life]:
    """A cluster of Fargate."""
    one = Life(aws, "aws:ecs/cluster:Cluster", {"settings": [{"name": "containerInsights", "value": "enabled"}]})
    yield one
    one.delete()


@pytest.fixture
def definition(aws: Aws) -> Iterator[Life]:
    """A task definition."""
    one = Life(aws, "aws:ecs/taskDefinition:TaskDefinition", DEFINITION)
    yield one
    one.delete()


@pytest.fixture
def service(aws: Aws, cluster: Life, definition: Life) -> Iterator[Life]:
    """A service without a task in the default VPC."""
    ec2 = aws.client("ec2")
    group = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"]
    one = Life(
        aws,
        "aws:ecs/service:Service",
        {
            "cluster": cluster.outputs["arn"],
            "taskDefinition": definition.outputs["arn"],
            "desiredCount": 0,
            "capacityProviderStrategies": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
            "networkConfiguration": {
                "subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]],
                "securityGroups": [group],
                "assignPublicIp": False,
            },
            "deploymentMaximumPercent": 200,
            "tags": {"Name": "workers"},
        },
    )
    yield one
    one.delete()


def described(aws: Aws, service: Life) -> dict[str, Any]:
    cluster = service.resource.inputs["cluster"]
    [there] = aws.client("ecs").describe_services(cluster=cluster, services=[service.state.id])["services"]
    return there


def test_a_cluster_takes_other_settings_and_tags_in_place(aws: Aws, cluster: Life) -> None:
    cluster.update(settings=[{"name": "containerInsights", "value": "enhanced"}], tags={"Kind": "workers"})
    found = aws.client("ecs").describe_clusters(clusters=[cluster.state.id], include=["SETTINGS", "TAGS"])
    [there] = found["clusters"]
    assert there["settings"] == [{"name": "containerInsights", "value": "enhanced"}]
    assert {tag["key"]: tag["value"] for tag in there["tags"]} == {**aws.default_tags, "Kind": "workers"}


def test_a_cluster_loses_its_capacity_when_that_is_deleted(aws: Aws, cluster: Life) -> None:
    one = Life(aws, CAPACITY, {"clusterName": cluster.outputs["name"], "capacityProviders": ["FARGATE"]})
    one.update(capacityProviders=["FARGATE", "FARGATE_SPOT"])
    one.delete()
    assert aws.client("ecs").describe_clusters(clusters=[cluster.state.id])["clusters"][0]["capacityProviders"] == []


def test_a_task_definition_that_somebody_deregistered_is_gone(aws: Aws) -> None:
    one = Life(aws, "aws:ecs/taskDefinition:TaskDefinition", DEFINITION)
    one.update(tags={"Kind": "workers"})
    aws.client("ecs").deregister_task_definition(taskDefinition=one.outputs["arn"])
    assert one.read() is None


def test_a_deployment_leaves_the_tasks_that_scaling_asked_for(aws: Aws, service: Life) -> None:
    arguments = {"cluster": service.resource.inputs["cluster"], "service": service.state.id}
    aws.client("ecs").update_service(**arguments, desiredCount=3)
    assert service.seen()["desiredCount"] == 3
    newer = Life(aws, "aws:ecs/taskDefinition:TaskDefinition", DEFINITION)
    service.change(taskDefinition=newer.outputs["arn"], deploymentMaximumPercent=150)
    there = described(aws, service)
    assert (there["desiredCount"], there["taskDefinition"]) == (3, newer.outputs["arn"])
    assert there["deploymentConfiguration"]["maximumPercent"] == 150
    newer.delete()


def test_a_revision_that_is_to_stay_is_left_in_use(aws: Aws) -> None:
    one = Life(aws, "aws:ecs/taskDefinition:TaskDefinition", DEFINITION | {"skipDestroy": True})
    one.provider.delete(one.resource.type, one.resource.urn, one.state)
    assert one.read() is not None
    aws.client("ecs").deregister_task_definition(taskDefinition=one.outputs["arn"])


def test_another_capacity_is_planned_with_a_new_deployment_alone(service: Life) -> None:
    both = [{"capacityProvider": one, "weight": 1} for one in ("FARGATE", "FARGATE_SPOT")]
    with pytest.raises(RefusedError, match="force_new_deployment should be true when capacity_provider_strategy"):
        service.change(capacityProviderStrategies=both)
    service.change(capacityProviderStrategies=both, forceNewDeployment=True)


def test_tasks_that_the_program_asks_for_are_wanted(aws: Aws, service: Life) -> None:
    service.update(desiredCount=2, tags={})
    assert described(aws, service)["desiredCount"] == 2


def test_a_public_address_that_somebody_gave_a_service_is_seen(aws: Aws, service: Life) -> None:
    network = service.resource.inputs["networkConfiguration"]
    aws.client("ecs").update_service(
        cluster=service.resource.inputs["cluster"],
        service=service.state.id,
        networkConfiguration={"awsvpcConfiguration": {**network, "assignPublicIp": "ENABLED"}},
    )
    assert service.seen()["networkConfiguration"] == {**network, "assignPublicIp": True}


@pytest.fixture
def target(aws: Aws, service: Life) -> Iterator[Life]:
    """A service that is scaled between none and four tasks."""
    cluster, name = service.resource.inputs["cluster"].rpartition("/")[2], service.outputs["name"]
    one = Life(
        aws,
        "aws:appautoscaling/target:Target",
        {
            "serviceNamespace": "ecs",
            "scalableDimension": "ecs:service:DesiredCount",
            "resourceId": f"service/{cluster}/{name}",
            "minCapacity": 0,
            "maxCapacity": 4,
        },
    )
    yield one
    one.delete()


def test_limits_of_scaling_change_in_place(aws: Aws, target: Life) -> None:
    target.update(maxCapacity=8)
    [there] = aws.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace="ecs", ResourceIds=[target.state.id]
    )["ScalableTargets"]
    assert (there["MaxCapacity"], there["ScalableTargetARN"]) == (8, target.outputs["arn"])


def test_a_scaling_policy_leaves_no_alarm_behind(aws: Aws, target: Life) -> None:
    cloudwatch = aws.client("cloudwatch")

    def alarms() -> set[str]:
        prefix = f"TargetTracking-{target.state.id}"
        return {one["AlarmArn"] for one in cloudwatch.describe_alarms(AlarmNamePrefix=prefix)["MetricAlarms"]}

    tracking = {
        "targetValue": 50,
        "predefinedMetricSpecification": {"predefinedMetricType": "ECSServiceAverageCPUUtilization"},
    }
    one = Life(
        aws,
        "aws:appautoscaling/policy:Policy",
        {
            "policyType": "TargetTrackingScaling",
            **{key: target.resource.inputs[key] for key in ("serviceNamespace", "resourceId", "scalableDimension")},
            "targetTrackingScalingPolicyConfiguration": tracking,
        },
    )
    arn = one.outputs["arn"]
    assert alarms() == {*one.outputs["alarmArns"]} != set()
    one.update(targetTrackingScalingPolicyConfiguration={**tracking, "targetValue": 70})
    assert one.outputs["arn"] == arn
    assert alarms() == {*one.outputs["alarmArns"]} != set()
    one.delete()
    assert alarms() == set()
