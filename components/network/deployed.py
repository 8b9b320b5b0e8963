"""The network that the stack has on AWS, before this deployment changes it."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from pulumi_aws import ec2

from components import iam
from components.deployed import PART_TAG, Deployed
from components.network.ranges import MOST_ZONES, private_range

OWN_VPC, ADOPTED_VPC = "network", "network.existing"
"""Paths under which a later deployment finds the VPC; the note of an adopted one is its id and the training zone."""
TRAINING_ZONE_TAG = "distributed-training:training-zone"
"""Tag of the stack's own VPC; a stack of release 0.1.0 has none, and trains in the first of its zones."""
MOVE = "a control plane and a file system cannot move to another VPC: make a second stack, and move to it"
"""What to do in place of an edit that would move the stack to another VPC."""


@dataclass(frozen=True, kw_only=True)
class DeployedNetwork:
    """The network that is there; of a new stack none is."""

    vpcs: Mapping[str, str] = field(default_factory=dict[str, str])
    """Id of the VPC that the stack has made -> its address range."""
    adopted: Sequence[str] = ()
    """Id of the VPC that the stack has adopted."""
    places: Mapping[str, int] = field(default_factory=dict[str, int])
    """Zone -> which of the VPC's ranges its private subnet has."""
    training_zone: str | None = None
    """The zone of what must be close together; None where nothing is there."""

    @classmethod
    def ask(cls, deployed: Deployed, *, account: iam.Account, cidr: ipaddress.IPv4Network | None) -> Self:
        """Ask AWS for it.

        `cidr` tells a VPC of release 0.1.0, which carries no tag of the stack's; None where there can be none.
        """
        adopted = [one.partition("/") for one in deployed.noted(ADOPTED_VPC)]
        tagged = [arn.rpartition("/")[2] for arn in deployed.of(OWN_VPC, "ec2:vpc/")]
        # the tags of a VPC that is gone are still listed for a while
        ids = ec2.get_vpcs(filters=[{"name": "vpc-id", "values": tagged}]).ids if tagged else ()
        if not ids and cidr is not None:
            ids = _untagged(cidr, account)
        if not ids:
            zone = next((zone for _, _, zone in adopted if zone), None)
            return cls(adopted=tuple(vpc_id for vpc_id, _, _ in adopted), training_zone=zone)
        vpcs = {vpc_id: ec2.get_vpc(id=vpc_id) for vpc_id in ids}
        vpc = next(iter(vpcs.values()))
        places = _places(vpc.id, ipaddress.IPv4Network(vpc.cidr_block))
        return cls(
            vpcs={vpc_id: one.cidr_block for vpc_id, one in vpcs.items()},
            places=places,
            training_zone=vpc.tags.get(TRAINING_ZONE_TAG) or min(places, key=lambda zone: places[zone], default=None),
        )


def _untagged(cidr: ipaddress.IPv4Network, account: iam.Account) -> list[str]:
    """Ids of the VPC of a stack of release 0.1.0, which has the provider's default tags and a name to find it by."""
    named = ec2.get_vpcs(filters=[{"name": "tag:Name", "values": [OWN_VPC]}, {"name": "cidr", "values": [str(cidr)]}])
    tags = {vpc_id: ec2.get_vpc(id=vpc_id).tags for vpc_id in named.ids}
    return [vpc_id for vpc_id, one in tags.items() if PART_TAG not in one and account.tags.items() <= one.items()]


def _places(vpc_id: str, cidr: ipaddress.IPv4Network) -> dict[str, int]:
    ranges = [str(private_range(cidr, place)) for place in range(MOST_ZONES)]
    listed = ec2.get_subnets(filters=[{"name": "vpc-id", "values": [vpc_id]}, {"name": "cidr-block", "values": ranges}])
    subnets = [ec2.get_subnet(id=subnet_id) for subnet_id in listed.ids]
    return {one.availability_zone: ranges.index(one.cidr_block) for one in subnets}


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
