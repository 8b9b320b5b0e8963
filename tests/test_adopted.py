"""A VPC that a stack file adopts, made on this machine first."""

from typing import Any

import pytest

from local import adopted
from local.aws import Aws
from tests.conftest import run_config, stack_of

NETWORK = {"existing": {"vpcId": "vpc-0123abcd", "privateSubnetIds": ["subnet-0123abcd", "subnet-4567abcd"]}}


def test_it_has_the_ids_of_the_stack_file_and_subnets_in_two_zones_with_routes_to_a_nat_gateway() -> None:
    sections = {
        "network": NETWORK,
        # preflights the rules of the default security group
        "batch": {"multi": {"nodes": 2, "instanceTypes": ["p5.48xlarge"], "capacity": ["onDemand"], "efa": True}},
        "eks": {},
    }
    config = {f"distributed-training:{key}": value for key, value in sections.items()}
    network = adopted.existing(stack_of(config))
    assert network is not None
    with Aws("us-west-2") as aws:
        adopted.make(aws, network)
        ec2 = aws.client("ec2")
        subnets = ec2.describe_subnets(SubnetIds=network.private_subnet_ids)["Subnets"]
        assert {one["VpcId"] for one in subnets} == {"vpc-0123abcd"}
        assert [one["AvailabilityZone"] for one in subnets] == ["us-west-2a", "us-west-2b"]
        nats = {one["NatGatewayId"] for one in ec2.describe_nat_gateways()["NatGateways"]}
        for subnet in subnets:
            of_subnet = [{"Name": "association.subnet-id", "Values": [subnet["SubnetId"]]}]
            (table,) = ec2.describe_route_tables(Filters=of_subnet)["RouteTables"]
            (way_out,) = (one for one in table["Routes"] if one["DestinationCidrBlock"] == "0.0.0.0/0")
            assert way_out["NatGatewayId"] in nats
        (group,) = ec2.describe_security_groups(
            Filters=[{"Name": "vpc-id", "Values": ["vpc-0123abcd"]}, {"Name": "group-name", "Values": ["default"]}]
        )["SecurityGroups"]
        (into,), (out,) = group["IpPermissions"], group["IpPermissionsEgress"]
        assert (into["IpProtocol"], into["UserIdGroupPairs"][0]["GroupId"]) == ("-1", group["GroupId"])
        assert (out["IpProtocol"], out["IpRanges"][0]["CidrIp"]) == ("-1", "0.0.0.0/0")
        run = run_config(aws, config, preview=False)
    assert run.error is None
    assert run.exports["vpc_id"] == "vpc-0123abcd"
    assert run.exports["private_subnet_ids"] == NETWORK["existing"]["privateSubnetIds"]


@pytest.mark.parametrize(
    "network",
    [
        {},
        {"existing": None},
        {"existing": {"vpcId": "vpc-1", "privateSubnetIds": ["subnet-0123abcd"]}},
        {"existing": {"vpcId": "vpc-0123abcd", "privateSubnetIds": []}},
        {"existing": {"vpcId": "vpc-0123abcd", "privateSubnetIds": [3]}},
        {"existing": {"vpcId": "vpc-0123abcd", "privateSubnetIds": ["subnet-0123abcd", "subnet-0123abcd"]}},
        "no object",
    ],
)
def test_what_names_no_vpc_is_left_to_the_program(network: Any) -> None:
    assert adopted.existing(stack_of({"distributed-training:network": network})) is None
