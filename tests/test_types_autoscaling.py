"""Auto Scaling groups and their capacity providers in moto: made, seen, changed and ended."""

from collections.abc import Iterator
from typing import Any

import pytest

from local.aws import Aws
from tests.support import Life

GROUP, TEMPLATE = "aws:autoscaling/group:Group", "aws:ec2/launchTemplate:LaunchTemplate"
PROVIDER = "aws:ecs/capacityProvider:CapacityProvider"


@pytest.fixture
def group(aws: Aws) -> Iterator[Life]:
    """A group without an instance in the default VPC."""
    template = Life(aws, TEMPLATE, {"imageId": "ami-0123456789abcdef0", "userData": "aGVsbG8="})
    one = Life(aws, GROUP, {**sized(template, "g6.xlarge"), "minSize": 0, "maxSize": 4, "tags": [tag("a"), tag("b")]})
    yield one
    one.delete()
    template.delete()


def sized(template: Life, *instance_types: str) -> dict[str, Any]:
    (subnet, *_) = template.provider.aws.client("ec2").describe_subnets()["Subnets"]
    specification = {"launchTemplateId": template.state.id, "version": "1"}
    overrides = [{"instanceType": one} for one in instance_types]
    return {
        "mixedInstancesPolicy": {
            "launchTemplate": {"launchTemplateSpecification": specification, "overrides": overrides},
            "instancesDistribution": {"onDemandPercentageAboveBaseCapacity": 25},
        },
        "protectFromScaleIn": True,
        "suspendedProcesses": ["AZRebalance"],
        "vpcZoneIdentifiers": [subnet["SubnetId"]],
        "forceDelete": True,
    }


def tag(key: str, value: str = "") -> dict[str, Any]:
    return {"key": key, "value": value, "propagateAtLaunch": True}


def described(aws: Aws, group: Life) -> dict[str, Any]:
    (there,) = aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group.state.id])[
        "AutoScalingGroups"
    ]
    return there


def test_a_group_has_no_instance_until_somebody_asks_for_one(aws: Aws, group: Life) -> None:
    there = described(aws, group)
    assert (there["DesiredCapacity"], there["NewInstancesProtectedFromScaleIn"]) == (0, True)
    assert [one["ProcessName"] for one in there["SuspendedProcesses"]] == ["AZRebalance"]


def test_other_sizes_types_and_tags_are_taken_in_place(aws: Aws, group: Life) -> None:
    policy = group.resource.inputs["mixedInstancesPolicy"]
    launches = {**policy["launchTemplate"], "overrides": [{"instanceType": "g5.xlarge"}]}
    group.update(
        maxSize=6,
        mixedInstancesPolicy={**policy, "launchTemplate": launches},
        tags=[tag("b", "2")],
        suspendedProcesses=[],
    )
    there = described(aws, group)
    assert there["MaxSize"] == 6
    assert there["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"] == [{"InstanceType": "g5.xlarge"}]
    assert {one["Key"]: one["Value"] for one in there["Tags"]} == {"b": "2"}
    assert there["SuspendedProcesses"] == []


def test_a_capacity_provider_sizes_its_group_in_another_way_in_place(aws: Aws, group: Life) -> None:
    sizes = {
        "autoScalingGroupArn": group.outputs["arn"],
        "managedScaling": {"status": "ENABLED", "targetCapacity": 100},
    }
    one = Life(aws, PROVIDER, {"autoScalingGroupProvider": sizes})
    less = {**sizes, "managedScaling": {"status": "ENABLED", "targetCapacity": 90}}
    one.update(autoScalingGroupProvider=less, tags={"Kind": "workers"})
    (there,) = aws.client("ecs").describe_capacity_providers(capacityProviders=[one.state.id])["capacityProviders"]
    assert there["autoScalingGroupProvider"]["managedScaling"]["targetCapacity"] == 90
    one.delete()
