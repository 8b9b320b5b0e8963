"""Networks in moto: made, seen, changed and ended."""

from collections import Counter
from typing import Any

import pytest

from local.aws import Aws
from local.provider import Provider
from local.types.ec2 import described
from tests.conftest import RunStack
from tests.support import Life

VPC, SUBNET = "aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet"
TABLE, ASSOCIATION = "aws:ec2/routeTable:RouteTable", "aws:ec2/routeTableAssociation:RouteTableAssociation"
GATEWAY, ENDPOINT = "aws:ec2/internetGateway:InternetGateway", "aws:ec2/vpcEndpoint:VpcEndpoint"
KINDS = (
    *("vpcs", "subnets", "route_tables", "internet_gateways", "security_groups", "security_group_rules"),
    *("network_acls", "addresses", "network_interfaces", "flow_logs", "nat_gateways", "vpc_endpoints"),
)


@pytest.fixture
def vpc(aws: Aws) -> Life:
    return Life(aws, VPC, {"cidrBlock": "10.0.0.0/16", "enableDnsSupport": True, "enableDnsHostnames": True})


def within(vpc: Life, type_: str, **inputs: Any) -> Life:
    return Life(vpc.provider.aws, type_, {"vpcId": vpc.state.id, **inputs})


def counts(aws: Aws) -> Counter[str]:
    """How many there are of each kind that have not ended."""
    found: Counter[str] = Counter()
    for kind in KINDS:
        found[kind] = sum(one.get("State") != "deleted" for one in described(aws, kind))
    return found


def leads_to(aws: Aws, table: Life, gateway: Life) -> bool:
    [found] = described(aws, "route_tables", RouteTableIds=[table.state.id])
    return any(route.get("GatewayId") == gateway.state.id for route in found["Routes"])


def test_a_network_that_ends_leaves_nothing(aws: Aws, run_sections: RunStack) -> None:
    before = counts(aws)
    network = {"flowLogs": True, "interfaceEndpoints": ["ecr.api"], "natGateways": "perZone", "availabilityZones": 3}
    run = run_sections({"network": network}, preview=False)
    assert counts(aws)["nat_gateways"] == before["nat_gateways"] + 3
    provider = Provider(aws)
    for urn, there in reversed(run.created.items()):
        type_ = run.registrations[urn].type
        if type_.startswith(("aws:ec2/", "aws:vpc/")):
            assert provider.read(type_, urn, there) == there, urn
            provider.delete(type_, urn, there)
    assert counts(aws) == before


def test_what_somebody_changed_by_hand_is_seen(aws: Aws, vpc: Life) -> None:
    vpc.update(tags={"Name": "network"})
    aws.client("ec2").modify_vpc_attribute(VpcId=vpc.state.id, EnableDnsHostnames={"Value": False})
    aws.client("ec2").create_tags(Resources=[vpc.state.id], Tags=[{"Key": "Name", "Value": "mine"}])
    assert vpc.seen() == {**vpc.state.inputs, "enableDnsHostnames": False, "tags": {"Name": "mine"}}


def test_an_endpoint_gains_and_loses_route_tables(aws: Aws, vpc: Life) -> None:
    tables = [within(vpc, TABLE) for _ in range(3)]
    ids = [one.state.id for one in tables]
    endpoint = within(
        vpc,
        ENDPOINT,
        serviceName="com.amazonaws.us-west-2.s3",
        vpcEndpointType="Gateway",
        routeTableIds=ids[:2],
    )
    endpoint.update(routeTableIds=ids[1:])
    assert [leads_to(aws, table, endpoint) for table in tables] == [False, True, True]
    endpoint.delete()
    assert not any(leads_to(aws, table, endpoint) for table in tables)


def test_an_endpoint_gains_subnets(aws: Aws, vpc: Life) -> None:
    subnets = [within(vpc, SUBNET, cidrBlock=f"10.0.{number}.0/24").state.id for number in range(2)]
    endpoint = within(
        vpc,
        ENDPOINT,
        serviceName="com.amazonaws.us-west-2.sqs",
        vpcEndpointType="Interface",
        subnetIds=subnets[:1],
        privateDnsEnabled=True,
    )
    endpoint.update(subnetIds=subnets)
    [found] = described(aws, "vpc_endpoints", VpcEndpointIds=[endpoint.state.id])
    assert found["SubnetIds"] == subnets


def test_an_internet_gateway_moves_to_another_vpc(aws: Aws, vpc: Life) -> None:
    gateway, other = within(vpc, GATEWAY), Life(aws, VPC, {"cidrBlock": "10.1.0.0/16"})
    gateway.update(vpcId=other.state.id)
    [found] = described(aws, "internet_gateways", InternetGatewayIds=[gateway.state.id])
    assert [one["VpcId"] for one in found["Attachments"]] == [other.state.id]
    gateway.delete()


def test_a_subnet_goes_by_another_route_table(aws: Aws, vpc: Life) -> None:
    subnet = within(vpc, SUBNET, cidrBlock="10.0.0.0/24")
    tables = [within(vpc, TABLE).state.id for _ in range(2)]
    association = Life(aws, ASSOCIATION, {"subnetId": subnet.state.id, "routeTableId": tables[0]})
    association.update(routeTableId=tables[1])
    [found] = described(aws, "route_tables", RouteTableIds=[tables[1]])
    assert [one["SubnetId"] for one in found["Associations"]] == [subnet.state.id]
    association.delete()


def test_inline_routes_change_in_place(aws: Aws, vpc: Life) -> None:
    gateway = within(vpc, GATEWAY).state.id
    table = within(vpc, TABLE, routes=[{"cidrBlock": "0.0.0.0/0", "gatewayId": gateway}])
    table.update(routes=[{"cidrBlock": "8.0.0.0/8", "gatewayId": gateway}])
    [found] = described(aws, "route_tables", RouteTableIds=[table.state.id])
    assert {one["DestinationCidrBlock"] for one in found["Routes"]} == {"10.0.0.0/16", "8.0.0.0/8"}


def test_a_route_leads_to_another_nat_gateway(aws: Aws, vpc: Life) -> None:
    subnet = within(vpc, SUBNET, cidrBlock="10.0.0.0/24").state.id
    addresses = [Life(aws, "aws:ec2/eip:Eip", {"domain": "vpc"}) for _ in range(2)]
    gateways = [
        Life(aws, "aws:ec2/natGateway:NatGateway", {"subnetId": subnet, "allocationId": one.state.id})
        for one in addresses
    ]
    inputs = {
        "routeTableId": within(vpc, TABLE).state.id,
        "destinationCidrBlock": "0.0.0.0/0",
        "natGatewayId": gateways[0].state.id,
    }
    route = Life(aws, "aws:ec2/route:Route", inputs)
    route.update(natGatewayId=gateways[1].state.id)
    route.delete()
    for one in (*gateways, *addresses):
        one.delete()
