"""What the stack's network has on AWS, before this deployment changes it."""

import ipaddress
from collections.abc import Sequence

from pulumi_aws import ec2

from components.deployed import Deployed

OWN_VPC, ADOPTED_VPC = "network", "network.existing"
"""Paths under which a later deployment finds the VPC."""
MOVE = "a control plane and a file system cannot move to another VPC: make a second stack, and move to it"
"""What to do in place of an edit that would move the stack to another VPC."""


def own(deployed: Deployed) -> Sequence[str]:
    """Ids of the VPC that the stack has made."""
    tagged = [arn.rpartition("/")[2] for arn in deployed.of(OWN_VPC, "ec2:vpc/")]
    # the tags of a VPC that is gone are still listed for a while
    return ec2.get_vpcs(filters=[{"name": "vpc-id", "values": tagged}]).ids if tagged else ()


def untagged(name: str, cidr: ipaddress.IPv4Network) -> Sequence[str]:
    """Ids of the VPC of a stack of release 0.1.0, which carries no tag to find it by but its name."""
    return ec2.get_vpcs(filters=[{"name": "tag:Name", "values": [name]}, {"name": "cidr", "values": [str(cidr)]}]).ids


def nat_gateways_in(zone: str) -> int:
    """How many the account has in a zone."""
    return nat_gateways("subnet-id", ec2.get_subnets(filters=[{"name": "availability-zone", "values": [zone]}]).ids)


def nat_gateways(where: str, ids: Sequence[str]) -> int:
    """How many there are; those that are gone are still listed for a while, in another state."""
    if not ids:
        # EC2 refuses a filter without values
        return 0
    found = ec2.get_nat_gateways(
        filters=[{"name": "state", "values": ["pending", "available"]}, {"name": where, "values": ids}]
    )
    return len(found.ids)
