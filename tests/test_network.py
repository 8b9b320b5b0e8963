"""The network: its addresses, its ways out, and a VPC that was there before."""

import ipaddress
import itertools
from collections.abc import Callable
from typing import Any

import pulumi
import pytest

from components.network import availability_zones, private_range, public_range
from local import engine
from local.aws import Aws
from local.provider import Provider
from local.run import Run
from tests.conftest import RunStack
from tests.support import WHOLE, all_of, one_of

MistakesIn = Callable[[dict[str, Any]], list[str]]

SIXTEEN = ipaddress.IPv4Network("10.0.0.0/16")
PRIVATE = ["10.0.0.0/18", "10.0.64.0/18", "10.0.128.0/18", "10.0.192.0/20", "10.0.208.0/20", "10.0.224.0/20"]
PUBLIC = ["10.0.240.0/24", "10.0.241.0/24", "10.0.242.0/24", "10.0.243.0/24", "10.0.244.0/24", "10.0.245.0/24"]


def subnets_of(run: Run) -> dict[str, str]:
    return {name: one.inputs["cidrBlock"] for name, one in all_of(run, "aws:ec2/subnet:Subnet").items()}


def test_private_subnets_are_a_quarter_of_the_range_and_public_ones_small() -> None:
    assert [str(private_range(SIXTEEN, zone)) for zone in range(6)] == PRIVATE
    assert [str(public_range(SIXTEEN, zone)) for zone in range(6)] == PUBLIC


@pytest.mark.parametrize("prefix", range(16, 21))
def test_no_two_subnets_overlap_and_none_is_smaller_than_aws_allows(prefix: int) -> None:
    cidr = ipaddress.IPv4Network((int(SIXTEEN.network_address), prefix))
    subnets = [range_(cidr, zone) for zone in range(6) for range_ in (private_range, public_range)]
    assert all(one.subnet_of(cidr) and one.prefixlen <= 28 for one in subnets)
    assert not any(one.overlaps(other) for index, one in enumerate(subnets) for other in subnets[index + 1 :])


def test_adding_a_zone_leaves_the_other_zones_as_they_are(run_sections: RunStack) -> None:
    # the local region has four zones; the two beyond are in the table above
    runs = [run_sections({"network": {"availabilityZones": count}}) for count in (2, 3, 4)]
    for fewer, more in itertools.pairwise(runs):
        assert subnets_of(fewer).items() < subnets_of(more).items()
        assert set(fewer.registrations) < set(more.registrations)
    assert subnets_of(runs[-1]) == {
        f"network-us-west-2{letter}-{kind}": cidr
        for kind, table in (("private", PRIVATE), ("public", PUBLIC))
        for letter, cidr in zip("abcd", table, strict=False)
    }


def test_a_zone_that_eks_does_not_offer_is_left_out() -> None:
    def program() -> None:
        pulumi.export("zones", availability_zones())

    with Aws("us-east-1") as aws:
        run = engine.run(program, Provider(aws), preview=True, config={"aws:region": "us-east-1"})
        all_zones = aws.client("ec2").describe_availability_zones()["AvailabilityZones"]
    assert run.error is None
    by_id = {zone["ZoneId"]: zone["ZoneName"] for zone in all_zones}
    assert run.exports["zones"] == sorted(set(by_id.values()) - {by_id["use1-az3"]})


@pytest.mark.parametrize(("nat", "gateways"), [("none", []), ("single", ["a"]), ("perZone", ["a", "b", "c"])])
def test_nat_gateways_are_none_one_or_one_per_zone(nat: str, gateways: list[str], run_sections: RunStack) -> None:
    run = run_sections({"network": {"availabilityZones": 3, "natGateways": nat}})
    assert set(all_of(run, "aws:ec2/natGateway:NatGateway")) == {f"network-us-west-2{zone}" for zone in gateways}
    routes = all_of(run, "aws:ec2/route:Route")
    assert set(routes) == ({f"network-us-west-2{zone}" for zone in "abc"} if gateways else set())


def test_every_private_subnet_reaches_s3_by_a_gateway(aws: Aws, run_sections: RunStack) -> None:
    run = run_sections({}, preview=False)
    found = aws.client("ec2").describe_vpc_endpoints(Filters=[{"Name": "vpc-id", "Values": [run.exports["vpc_id"]]}])
    (endpoint,) = found["VpcEndpoints"]
    assert (endpoint["VpcEndpointType"], endpoint["ServiceName"]) == ("Gateway", "com.amazonaws.us-west-2.s3")
    tables = aws.client("ec2").describe_route_tables(RouteTableIds=endpoint["RouteTableIds"])["RouteTables"]
    reached = {association["SubnetId"] for table in tables for association in table["Associations"]}
    assert reached == set(run.exports["private_subnet_ids"])


MULTI: dict[str, Any] = {
    "nodes": 2,
    "instanceTypes": ["p5.48xlarge"],
    "capacity": ["onDemand"],
    "efa": True,
    "maxVcpus": 384,
}
"""A queue whose nodes have the VPC's default security group."""
RULES = tuple(
    f"aws:vpc/securityGroup{direction}Rule:SecurityGroup{direction}Rule" for direction in ("Ingress", "Egress")
)


def default_group_rules(aws: Aws, vpc_id: str) -> set[tuple[str, str, str]]:
    """Direction, protocol and other side of each rule of a VPC's default security group; `itself` is the group."""
    ec2 = aws.client("ec2")
    filters = [{"Name": "vpc-id", "Values": [vpc_id]}, {"Name": "group-name", "Values": ["default"]}]
    (group,) = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group["GroupId"]]}])
    return {
        (
            "out" if rule["IsEgress"] else "in",
            rule["IpProtocol"],
            rule.get("CidrIpv4") or rule["ReferencedGroupInfo"]["GroupId"].replace(group["GroupId"], "itself"),
        )
        for rule in rules["SecurityGroupRules"]
    }


def test_nodes_over_efa_talk_to_each_other_and_to_everything_by_the_default_security_group(
    aws: Aws, run_sections: RunStack
) -> None:
    run = run_sections({"batch": {"multi": MULTI}}, preview=False)
    assert default_group_rules(aws, run.exports["vpc_id"]) == {
        ("in", "-1", "itself"),
        ("out", "-1", "itself"),
        ("out", "-1", "0.0.0.0/0"),
    }
    # inline rules would undo those that stand by themselves
    group = one_of(run, "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", "network")
    assert set(group.inputs) == {"vpcId"}


@pytest.mark.parametrize(
    "batch",
    [
        {"multi": MULTI | {"efa": False}},
        {"multi": MULTI | {"nodes": 1}},
        {"single": {}},
        {},
    ],
    ids=["several nodes without EFA", "one node with EFA", "one node", "no job queue"],
)
def test_the_default_security_group_is_empty_while_no_job_has_it(
    batch: dict[str, Any], aws: Aws, run_sections: RunStack
) -> None:
    run = run_sections({"batch": batch}, preview=False)
    assert default_group_rules(aws, run.exports["vpc_id"]) == set()


def test_efa_comes_and_goes_by_rules_of_the_default_security_group_alone(run_sections: RunStack) -> None:
    without, with_efa = (
        {
            urn: one.inputs
            for urn, one in run_sections({"batch": {"multi": MULTI | {"efa": efa}}}).registrations.items()
            if "index:Network" in urn
        }
        for efa in (False, True)
    )
    assert {urn: with_efa[urn] for urn in without} == without
    new = {urn.split("$")[-1] for urn in set(with_efa) - set(without)}
    assert new == {f"{RULES[0]}::network-nodes", f"{RULES[1]}::network-nodes", f"{RULES[1]}::network-default"}


def test_a_vpc_that_is_there_serves_jobs_over_efa_only_with_a_default_security_group_that_lets_nodes_talk(
    aws: Aws, run_sections: RunStack, mistakes_in: MistakesIn
) -> None:
    ec2 = aws.client("ec2")
    vpc_id, subnet_ids = make_vpc(aws, "10.9.0.0/16", "us-west-2a")
    (group,) = ec2.describe_security_groups(
        Filters=[{"Name": "vpc-id", "Values": [vpc_id]}, {"Name": "group-name", "Values": ["default"]}]
    )["SecurityGroups"]
    group_id, itself = group["GroupId"], [{"GroupId": group["GroupId"]}]
    sections = {"batch": {"multi": MULTI}, "network": {"existing": {"vpcId": vpc_id, "privateSubnetIds": subnet_ids}}}
    refused = [
        (
            f"network.existing.vpcId: must have a default security group ({group_id}) that lets in all traffic from "
            f"itself and lets out all to 0.0.0.0/0, for the nodes of batch.multi, got '{vpc_id}'"
        )
    ]
    # AWS makes the group with a rule for itself, which moto leaves out
    assert mistakes_in(sections) == refused
    ec2.authorize_security_group_ingress(
        GroupId=group_id,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 0, "ToPort": 65_535, "UserIdGroupPairs": itself}],
    )
    assert mistakes_in(sections) == refused
    ec2.authorize_security_group_ingress(
        GroupId=group_id, IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": itself}]
    )
    run = run_sections(sections)
    assert all_of(run, "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup") == {}
    ec2.revoke_security_group_egress(GroupId=group_id, IpPermissions=group["IpPermissionsEgress"])
    assert mistakes_in(sections) == refused
    # who else adopts the VPC does not need the group
    assert run_sections(sections | {"batch": {"multi": MULTI | {"efa": False}}}).error is None


def test_load_balancers_of_eks_find_their_subnets_by_tag(run_sections: RunStack) -> None:
    run = run_sections({})
    for name, subnet in all_of(run, "aws:ec2/subnet:Subnet").items():
        kind = "internal-elb" if name.endswith("-private") else "elb"
        assert subnet.inputs["tags"] == {"Name": name, f"kubernetes.io/role/{kind}": "1"}


def test_flow_logs_are_kept_thirty_days_and_only_on_demand(run_sections: RunStack) -> None:
    assert all_of(run_sections({}), "aws:ec2/flowLog:FlowLog") == {}
    run = run_sections({"network": {"flowLogs": True}})
    assert one_of(run, "aws:ec2/flowLog:FlowLog", "network").inputs["trafficType"] == "ALL"
    assert one_of(run, "aws:cloudwatch/logGroup:LogGroup", "network-flow").inputs["retentionInDays"] == 30


@pytest.mark.parametrize("preview", [True, False])
def test_everything_works_on_a_vpc_that_is_there_and_nothing_is_made_in_it(
    preview: bool, aws: Aws, run_sections: RunStack
) -> None:
    vpc_id, subnet_ids = make_vpc(aws, "10.9.0.0/16", "us-west-2a", "us-west-2b")
    existing = {"vpcId": vpc_id, "privateSubnetIds": subnet_ids}
    run = run_sections(
        WHOLE | {"network": {"existing": existing}, "artifacts": {"lustre": {}}},
        preview=preview,
    )
    assert run.exports["vpc_id"] == vpc_id
    assert run.exports["private_subnet_ids"] == subnet_ids
    (network,) = all_of(run, "distributed-training:index:Network").values()
    assert [one.urn for one in run.registrations.values() if one.parent == network.urn] == []
    rules = all_of(run, "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert rules["artifacts-lustre-988"].inputs["cidrIpv4"] == "10.9.0.0/16"


def test_subnets_of_another_vpc_or_in_one_zone_are_refused(aws: Aws, mistakes_in: MistakesIn) -> None:
    vpc_id, (first, second) = make_vpc(aws, "10.9.0.0/16", "us-west-2a", "us-west-2a")
    _, (elsewhere,) = make_vpc(aws, "10.8.0.0/16", "us-west-2b")
    path = "network.existing.privateSubnetIds"
    existing = {"vpcId": vpc_id, "privateSubnetIds": [first, second, elsewhere]}
    assert mistakes_in({"network": {"existing": existing}}) == [
        f"{path}: must be one per zone, us-west-2a has {first}, got '{second}'",
        f"{path}: must be subnets of {vpc_id}, got '{elsewhere}'",
    ]


@pytest.mark.parametrize(
    ("network", "line"),
    [
        ({"cidr": "169.254.0.0/16"}, "cidr: must be a private range (RFC 1918), got '169.254.0.0/16'"),
        ({"cidr": "100.64.0.0/16"}, "cidr: must be a private range (RFC 1918), got '100.64.0.0/16'"),
        ({"cidr": "172.32.0.0/16"}, "cidr: must be a private range (RFC 1918), got '172.32.0.0/16'"),
        ({"cidr": "10.0.0.0/15"}, "cidr: must be a /16 to /20, got '10.0.0.0/15'"),
        (
            {"cidr": "172.17.64.0/18"},
            (
                "cidr: must not overlap 172.17.0.0/16, where containers on an instance have their bridge, "
                "got '172.17.64.0/18'"
            ),
        ),
        (
            {"cidr": "10.0.0.0/19", "availabilityZones": 4},
            "cidr: must be a /16 to /18 with availabilityZones over 3, got '10.0.0.0/19'",
        ),
        (
            {"interfaceEndpoints": ["logs", "s3"]},
            "interfaceEndpoints: must not name s3, which always has a gateway endpoint, got ['logs', 's3']",
        ),
        (
            {"interfaceEndpoints": ["logs", "logs"]},
            "interfaceEndpoints: must name each once, got ['logs', 'logs']",
        ),
        (
            {"existing": {"vpcId": "vpc-12345678", "privateSubnetIds": ["subnet-12345678", "subnet-12345678"]}},
            "existing.privateSubnetIds: must name each once, got ['subnet-12345678', 'subnet-12345678']",
        ),
        (
            {
                "existing": {"vpcId": "vpc-12345678", "privateSubnetIds": ["subnet-12345678"]},
                "flowLogs": False,
            },
            "flowLogs: cannot be set together with existing, got false",
        ),
    ],
)
def test_a_network_that_cannot_be_is_refused(network: dict[str, Any], line: str, mistakes_in: MistakesIn) -> None:
    # that there is no such VPC is said as well
    lines = [one for one in mistakes_in({"network": network}) if "must be subnets of" not in one]
    assert lines == [f"network.{line}"]


def make_vpc(aws: Aws, cidr: str, *zones: str) -> tuple[str, list[str]]:
    """A VPC made outside the program, with a subnet in each zone."""
    # what the AWS answered before is not remembered for what is made here
    aws.is_new = False
    ec2 = aws.client("ec2")
    vpc_id = ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
    ranges = ipaddress.IPv4Network(cidr).subnets(new_prefix=20)
    return vpc_id, [
        ec2.create_subnet(VpcId=vpc_id, CidrBlock=str(one), AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for zone, one in zip(zones, ranges, strict=False)
    ]
