"""Networks in moto: made, seen, changed and ended."""

from collections import Counter
from typing import Any

import pytest

from local.aws import Aws
from local.provider import Provider
from local.run import RefusedError, State
from local.types.ec2 import described
from tests.conftest import RunStack
from tests.support import resource

VPC, SUBNET = "aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet"
TABLE, ASSOCIATION = "aws:ec2/routeTable:RouteTable", "aws:ec2/routeTableAssociation:RouteTableAssociation"
GATEWAY, ENDPOINT = "aws:ec2/internetGateway:InternetGateway", "aws:ec2/vpcEndpoint:VpcEndpoint"
GROUP, RULE = "aws:ec2/securityGroup:SecurityGroup", "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
KINDS = (
    *("vpcs", "subnets", "route_tables", "internet_gateways", "security_groups", "security_group_rules"),
    *("network_acls", "addresses", "network_interfaces", "flow_logs", "nat_gateways", "vpc_endpoints"),
)


@pytest.fixture
def provider(aws: Aws) -> Provider:
    return Provider(aws)


@pytest.fixture
def vpc(provider: Provider) -> State:
    return made(provider, VPC, cidrBlock="10.0.0.0/16", enableDnsSupport=True, enableDnsHostnames=True)


def made(provider: Provider, type_: str, **inputs: Any) -> State:
    return provider.create(resource(type_, inputs))


def changed(provider: Provider, type_: str, there: State, **inputs: Any) -> State:
    return provider.update(there, resource(type_, {**there.inputs, **inputs}))


def counts(aws: Aws) -> Counter[str]:
    """How many there are of each kind that have not ended."""
    found: Counter[str] = Counter()
    for kind in KINDS:
        found[kind] = sum(one.get("State") != "deleted" for one in described(aws, kind))
    return found


def test_a_network_that_ends_leaves_nothing(provider: Provider, run_sections: RunStack) -> None:
    before = counts(provider.aws)
    network = {"flowLogs": True, "interfaceEndpoints": ["ecr.api"], "natGateways": "perZone", "availabilityZones": 3}
    run = run_sections({"network": network}, preview=False)
    assert counts(provider.aws)["nat_gateways"] == before["nat_gateways"] + 3
    for urn, there in reversed(run.created.items()):
        type_ = run.registrations[urn].type
        if type_.startswith(("aws:ec2/", "aws:vpc/")):
            assert provider.read(type_, urn, there) == there, urn
            provider.delete(type_, urn, there)
    assert counts(provider.aws) == before


def test_what_somebody_changed_by_hand_is_seen(provider: Provider, vpc: State) -> None:
    ec2 = provider.aws.client("ec2")
    ec2.modify_vpc_attribute(VpcId=vpc.id, EnableDnsHostnames={"Value": False})
    ec2.create_tags(Resources=[vpc.id], Tags=[{"Key": "Name", "Value": "mine"}])
    vpc_with_tags = State(id=vpc.id, inputs={**vpc.inputs, "tags": {"Name": "network"}}, outputs=vpc.outputs)
    seen = provider.read(VPC, "", vpc_with_tags)
    assert seen is not None
    assert seen.inputs == {**vpc.inputs, "enableDnsHostnames": False, "tags": {"Name": "mine"}}


def test_what_somebody_deleted_by_hand_is_gone(provider: Provider, vpc: State) -> None:
    group = made(provider, GROUP, vpcId=vpc.id, description="x")
    rule = made(
        provider, RULE, securityGroupId=group.id, ipProtocol="tcp", fromPort=443, toPort=443, cidrIpv4="10.0.0.0/16"
    )
    assert provider.read(RULE, "", rule) == rule
    provider.aws.client("ec2").revoke_security_group_ingress(GroupId=group.id, SecurityGroupRuleIds=[rule.id])
    assert provider.read(RULE, "", rule) is None
    provider.delete(RULE, "", rule)
    provider.aws.client("ec2").delete_security_group(GroupId=group.id)
    assert provider.read(GROUP, "", group) is None


def test_a_rule_stays_under_its_id_when_its_ports_change(provider: Provider, vpc: State) -> None:
    group = made(provider, GROUP, vpcId=vpc.id, description="x")
    rule = made(
        provider, RULE, securityGroupId=group.id, ipProtocol="tcp", fromPort=443, toPort=443, cidrIpv4="10.0.0.0/16"
    )
    after = changed(provider, RULE, rule, toPort=444, description="more")
    assert after.id == rule.id
    [found] = provider.aws.client("ec2").describe_security_group_rules(SecurityGroupRuleIds=[rule.id])[
        "SecurityGroupRules"
    ]
    assert (found["FromPort"], found["ToPort"], found["Description"]) == (443, 444, "more")


def test_a_group_has_no_rule_of_its_own(provider: Provider, vpc: State) -> None:
    group = made(provider, GROUP, vpcId=vpc.id, description="x")
    [found] = provider.aws.client("ec2").describe_security_groups(GroupIds=[group.id])["SecurityGroups"]
    assert (found["IpPermissions"], found["IpPermissionsEgress"]) == ([], [])


def test_a_group_is_not_called_as_ids_are(provider: Provider, vpc: State) -> None:
    with pytest.raises(RefusedError, match=r"::sg-1: name: cannot begin with sg-, got 'sg-1'$"):
        provider.create(resource(GROUP, {"vpcId": vpc.id, "description": "x"}, name="sg-1"))


def test_an_endpoint_gains_and_loses_route_tables(provider: Provider, vpc: State) -> None:
    tables = [made(provider, TABLE, vpcId=vpc.id).id for _ in range(3)]
    endpoint = made(
        provider,
        ENDPOINT,
        vpcId=vpc.id,
        serviceName="com.amazonaws.us-west-2.s3",
        vpcEndpointType="Gateway",
        routeTableIds=tables[:2],
    )
    after = changed(provider, ENDPOINT, endpoint, routeTableIds=tables[1:])
    assert provider.read(ENDPOINT, "", after) == after
    assert [_leads_to(provider, table, endpoint.id) for table in tables] == [False, True, True]
    provider.delete(ENDPOINT, "", after)
    assert provider.read(ENDPOINT, "", after) is None
    assert not any(_leads_to(provider, table, endpoint.id) for table in tables)


def test_an_endpoint_gains_subnets(provider: Provider, vpc: State) -> None:
    subnets = [made(provider, SUBNET, vpcId=vpc.id, cidrBlock=f"10.0.{number}.0/24").id for number in range(2)]
    endpoint = made(
        provider,
        ENDPOINT,
        vpcId=vpc.id,
        serviceName="com.amazonaws.us-west-2.sqs",
        vpcEndpointType="Interface",
        subnetIds=subnets[:1],
        privateDnsEnabled=True,
    )
    after = changed(provider, ENDPOINT, endpoint, subnetIds=subnets)
    assert provider.read(ENDPOINT, "", after) == after
    [found] = provider.aws.client("ec2").describe_vpc_endpoints(VpcEndpointIds=[endpoint.id])["VpcEndpoints"]
    assert found["SubnetIds"] == subnets


def test_an_internet_gateway_moves_to_another_vpc(provider: Provider, vpc: State) -> None:
    gateway = made(provider, GATEWAY, vpcId=vpc.id)
    other = made(provider, VPC, cidrBlock="10.1.0.0/16")
    after = changed(provider, GATEWAY, gateway, vpcId=other.id)
    [found] = provider.aws.client("ec2").describe_internet_gateways(InternetGatewayIds=[gateway.id])["InternetGateways"]
    assert [one["VpcId"] for one in found["Attachments"]] == [other.id]
    provider.delete(GATEWAY, "", after)
    assert provider.read(GATEWAY, "", after) is None


def test_a_subnet_goes_by_another_route_table(provider: Provider, vpc: State) -> None:
    subnet = made(provider, SUBNET, vpcId=vpc.id, cidrBlock="10.0.0.0/24")
    tables = [made(provider, TABLE, vpcId=vpc.id).id for _ in range(2)]
    association = made(provider, ASSOCIATION, subnetId=subnet.id, routeTableId=tables[0])
    after = changed(provider, ASSOCIATION, association, routeTableId=tables[1])
    assert provider.read(ASSOCIATION, "", after) == after
    by_hand = provider.read(ASSOCIATION, "", association)
    assert by_hand is not None
    assert by_hand.inputs["routeTableId"] == tables[1]
    provider.delete(ASSOCIATION, "", after)
    assert provider.read(ASSOCIATION, "", after) is None


def test_inline_routes_change_in_place(provider: Provider, vpc: State) -> None:
    gateway = made(provider, GATEWAY, vpcId=vpc.id)
    table = made(provider, TABLE, vpcId=vpc.id, routes=[{"cidrBlock": "0.0.0.0/0", "gatewayId": gateway.id}])
    after = changed(provider, TABLE, table, routes=[{"cidrBlock": "8.0.0.0/8", "gatewayId": gateway.id}])
    assert provider.read(TABLE, "", after) == after
    [found] = provider.aws.client("ec2").describe_route_tables(RouteTableIds=[table.id])["RouteTables"]
    assert {one["DestinationCidrBlock"] for one in found["Routes"]} == {"10.0.0.0/16", "8.0.0.0/8"}


def _leads_to(provider: Provider, table_id: str, gateway_id: str) -> bool:
    [table] = provider.aws.client("ec2").describe_route_tables(RouteTableIds=[table_id])["RouteTables"]
    return any(route.get("GatewayId") == gateway_id for route in table["Routes"])
