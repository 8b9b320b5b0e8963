"""The EKS cluster as a whole: what is refused, and what a destroy leaves."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from local.aws import Aws
from local.run import Run
from tests.cluster.support import CLUSTER, NODE_GROUP, needs
from tests.conftest import RunStack
from tests.support import all_of, one_of


def test_nothing_of_the_cluster_is_left_that_holds_the_network(deployed: Run) -> None:
    (control_plane,) = all_of(deployed, "aws:eks/cluster:Cluster").values()
    subnets = {one.urn for one in all_of(deployed, "aws:ec2/subnet:Subnet").values() if one.name.endswith("private")}
    for group in all_of(deployed, NODE_GROUP).values():
        # nodes go before the control plane, their security group and their subnets
        assert {control_plane.urn, *(subnets & set(group.dependencies))} <= needs(deployed, group)
        assert subnets & set(group.dependencies), group.urn
    fast = needs(deployed, one_of(deployed, NODE_GROUP, "training-fast"))
    assert one_of(deployed, "aws:ec2/securityGroup:SecurityGroup", "training-fast").urn in fast
    assert subnets <= needs(deployed, one_of(deployed, CLUSTER, "training"))
    # no load balancer, whose network interfaces Pulumi would not know of
    assert {one.type for one in deployed.registrations.values() if one.type.startswith("kubernetes:core/")} == {
        "kubernetes:core/v1:Namespace",
        "kubernetes:core/v1:ServiceAccount",
    }


@pytest.mark.parametrize(
    ("eks", "line"),
    [
        (
            {"systemNodes": {"minSize": 0}},
            "eks.systemNodes.minSize: must be at least 1, got 0",
        ),
        (
            {
                "gpuNodeGroups": {
                    "gpu": {
                        "instanceTypes": ["g6.12xlarge"],
                        "capacity": "capacityBlock",
                        "capacityReservationId": "cr-0123456789abcdef0",
                    }
                }
            },
            "eks.gpuNodeGroups.gpu.instanceTypes: must be types that EC2 offers as capacity-block, got 'g6.12xlarge'",
        ),
        (
            {"systemNodes": {"instanceTypes": ["g6.12xlarge"]}},
            "eks.systemNodes.instanceTypes: must be types without accelerator, got 'g6.12xlarge'",
        ),
        (
            {"systemNodes": {"instanceTypes": ["m7i.large", "m7g.large"]}},
            (
                "eks.systemNodes.instanceTypes: must share one kind of AMI, got"
                " {'m7i.large': 'AL2023_x86_64_STANDARD', 'm7g.large': 'AL2023_ARM_64_STANDARD'}"
            ),
        ),
        (
            {"systemNodes": {"minSize": 5}},
            "eks.systemNodes.minSize: must be at most maxSize (4), got 5",
        ),
        (
            {"gpuNodeGroups": {"gpu": {"minSize": 9}}},
            "eks.gpuNodeGroups.gpu.minSize: must be at most maxSize (8), got 9",
        ),
        (
            {"gpuNodeGroups": {"gpu": {"instanceTypes": ["g6.12xlarge", "g6.48xlarge"]}}},
            (
                "eks.gpuNodeGroups.gpu.instanceTypes: must have the same number of accelerators, from which the group"
                " scales, got {'g6.12xlarge': 4, 'g6.48xlarge': 8}"
            ),
        ),
        (
            {"gpuNodeGroups": {"gpu": {"instanceTypes": ["g6.xlarge"], "efa": True}}},
            "eks.gpuNodeGroups.gpu.efa: must be false, because g6.xlarge has no EFA, got true",
        ),
        (
            {"gpuNodeGroups": {"gpu": {"capacity": "spot", "capacityReservationId": "cr-0123456789abcdef0"}}},
            "eks.gpuNodeGroups.gpu.capacity: must be onDemand or capacityBlock with capacityReservationId, got 'spot'",
        ),
        (
            {"publicAccessCidrs": ["10.0.0.0/8"]},
            "eks.publicAccessCidrs: must be public ranges: private ones reach the private endpoint, got ['10.0.0.0/8']",
        ),
        (
            {"publicAccessCidrs": ["203.0.113.256/24"]},
            (
                "eks.publicAccessCidrs.0: must be a range of IPv4 addresses, such as 10.0.0.0/16, with zeros after"
                " its prefix, got '203.0.113.256/24'"
            ),
        ),
        (
            {"adminPrincipalArns": ["arn:aws:sts::111122223333:assumed-role/admin/eve"]},
            (
                "eks.adminPrincipalArns.0: must be the ARN of an IAM role or user,"
                " such as arn:aws:iam::123456789012:role/admin,"
                " got 'arn:aws:sts::111122223333:assumed-role/admin/eve'"
            ),
        ),
        (
            {"adminPrincipalArns": ["arn:aws:iam::111122223333:role/a"] * 2},
            (
                "eks.adminPrincipalArns: must name each principal once, got"
                " ['arn:aws:iam::111122223333:role/a', 'arn:aws:iam::111122223333:role/a']"
            ),
        ),
        (
            {"gpuNodeGroups": {f"g{'x' * 32}": {}}},
            f"eks.gpuNodeGroups.g{'x' * 32}: must have at most 32 characters, got 'g{'x' * 32}'",
        ),
    ],
)
def test_what_can_never_run_is_one_line(
    eks: dict[str, Any], line: str, mistakes_in: Callable[[Mapping[str, Any]], list[str]]
) -> None:
    assert mistakes_in({"eks": eks}) == [line]


def test_an_existing_network_must_have_two_zones(
    aws: Aws, run_sections: RunStack, mistakes_in: Callable[[Mapping[str, Any]], list[str]]
) -> None:
    ec2 = aws.client("ec2")
    vpc_id = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    first, second, third = (
        ec2.create_subnet(VpcId=vpc_id, CidrBlock=f"10.9.{index}.0/24", AvailabilityZone=f"us-west-2{zone}")["Subnet"][
            "SubnetId"
        ]
        for index, zone in enumerate("aab")
    )
    assert mistakes_in(
        {"eks": {}, "network": {"existing": {"vpcId": vpc_id, "privateSubnetIds": [first, second]}}}
    ) == [f"network.existing.privateSubnetIds: must be one per zone, us-west-2a has {first}, got '{second}'"]
    run = run_sections(
        {"eks": {}, "network": {"existing": {"vpcId": vpc_id, "privateSubnetIds": [first, third]}}}, preview=False
    )
    assert one_of(run, CLUSTER, "training").inputs["privateSubnetIds"] == [first, third]
    rule = one_of(run, "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "training")
    assert rule.inputs["cidrIpv4"] == "10.9.0.0/16"
