"""The VPC that a stack file adopts, made on this machine with the ids that the file names."""

import ipaddress
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from local.aws import Aws
from local.moto_gaps import CUSTOM_ID
from local.stack_files import StackFile

RANGE = ipaddress.IPv4Network("10.0.0.0/16")
"""Addresses of the VPC. Each private subnet has a /24 of them; the last /24 is for the NAT gateway."""
MOST_SUBNETS = 255


@dataclass(frozen=True, kw_only=True)
class Existing:
    """`network.existing` of a stack file."""

    vpc_id: str
    private_subnet_ids: Sequence[str]


def existing(stack: StackFile) -> Existing | None:
    """The network that a stack file adopts; None without one, or with malformed ids, which the program refuses."""
    try:
        match json.loads(stack.config.get(f"{stack.project}:network", "{}")):
            case {"existing": {"vpcId": str() as vpc_id, "privateSubnetIds": [str(), *_] as subnet_ids}}:
                ids = [vpc_id, *subnet_ids]
            case _:
                return None
    except ValueError:
        return None
    kinds = ["vpc", *["subnet"] * len(subnet_ids)]
    right = all(re.fullmatch(rf"{kind}-[0-9a-f]{{8,17}}", str(one)) for kind, one in zip(kinds, ids, strict=True))
    fits = len(set(ids)) == len(ids) and len(subnet_ids) <= MOST_SUBNETS
    return Existing(vpc_id=vpc_id, private_subnet_ids=subnet_ids) if right and fits else None


def make(aws: Aws, network: Existing) -> str:
    """Create the VPC with its private subnets, spread over the zones, and a NAT gateway; return a line about it."""
    aws.is_new = False
    ec2 = aws.client("ec2")
    zones = sorted(one["ZoneName"] for one in ec2.describe_availability_zones()["AvailabilityZones"])
    *ranges, public_range = RANGE.subnets(prefixlen_diff=8)
    vpc_id: str = ec2.create_vpc(CidrBlock=str(RANGE), TagSpecifications=_named("vpc", network.vpc_id))["Vpc"]["VpcId"]
    (group,) = ec2.describe_security_groups(
        Filters=[{"Name": "vpc-id", "Values": [vpc_id]}, {"Name": "group-name", "Values": ["default"]}]
    )["SecurityGroups"]
    # AWS creates the group with this rule and one that allows all egress; moto creates only the latter
    ec2.authorize_security_group_ingress(
        GroupId=group["GroupId"],
        IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group["GroupId"]}]}],
    )
    gateway_id = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc_id)
    public_id = ec2.create_subnet(VpcId=vpc_id, CidrBlock=str(public_range), AvailabilityZone=zones[0])["Subnet"][
        "SubnetId"
    ]
    address_id = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat_id = ec2.create_nat_gateway(SubnetId=public_id, AllocationId=address_id)["NatGateway"]["NatGatewayId"]
    routes = [(public_id, {"GatewayId": gateway_id})]
    for index, subnet_id in enumerate(network.private_subnet_ids):
        ec2.create_subnet(
            VpcId=vpc_id,
            CidrBlock=str(ranges[index]),
            AvailabilityZone=zones[index % len(zones)],
            TagSpecifications=_named("subnet", subnet_id),
        )
        routes.append((subnet_id, {"NatGatewayId": nat_id}))
    for subnet_id, target in routes:
        table_id = ec2.create_route_table(VpcId=vpc_id)["RouteTable"]["RouteTableId"]
        ec2.create_route(RouteTableId=table_id, DestinationCidrBlock="0.0.0.0/0", **target)
        ec2.associate_route_table(RouteTableId=table_id, SubnetId=subnet_id)
    return f"made first: {vpc_id}, {RANGE}, with {', '.join(network.private_subnet_ids)} behind one NAT gateway"


def _named(kind: str, id_: str) -> list[dict[str, object]]:
    return [{"ResourceType": kind, "Tags": [{"Key": CUSTOM_ID, "Value": id_}]}]
