"""The availability zones that a network has, and the one of what must be close together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import pulumi_aws as aws

from components.schema import Like

UNFIT_ZONE_IDS = ("cac1-az3", "use1-az3", "usw1-az2")
"""Zones in which EKS makes no control plane (EKS user guide, "View Amazon EKS networking requirements")."""

ZoneName = Annotated[
    str, Like(r"^[a-z]{2}(-[a-z]+)+-[0-9][a-z]$", "must be the name of an availability zone, such as us-west-2b")
]
"""Name of an availability zone."""


@dataclass(frozen=True, kw_only=True)
class Zones:
    """The zones of the network's private subnets; none where the network is wrong in the stack file."""

    places: Mapping[str, int] = field(default_factory=dict[str, int])
    """Zone -> which of the network's ranges its subnets have."""
    training: str = ""
    """The zone of what must be close together; empty while there is none that has all of it."""
    adopted: Mapping[str, str] = field(default_factory=dict[str, str])
    """Zone -> id of its private subnet, where that was there before the stack."""

    @property
    def names(self) -> list[str]:
        """Their names, in the order of their places."""
        return sorted(self.places, key=lambda zone: self.places[zone])

    @property
    def training_alone(self) -> list[str]:
        """The training zone, if there is one."""
        return [self.training] if self.training else []

    def subnets(self, zones: Iterable[str]) -> list[str]:
        """What tells the private subnets of zones from others before they exist: the zone, or the id of an adopted."""
        return [self.adopted.get(zone, zone) for zone in zones]


def availability_zones() -> list[str]:
    """The region's own availability zones that hold everything a stack may have, by name."""
    return sorted(
        aws.get_availability_zones(
            # whatever their state: a zone that is impaired for an hour must not move the subnets of the others.
            # local and wavelength zones must be opted into, and hold neither NAT nor EKS
            filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
            exclude_zone_ids=UNFIT_ZONE_IDS,
        ).names
    )


def offer_all(zones: Iterable[str], needs: Mapping[str, frozenset[str]]) -> list[str]:
    """The zones that offer all that is needed; `needs`: what needs it -> zones that offer it."""
    return [zone for zone in zones if all(zone in offering for offering in needs.values())]


def placed(zones: Sequence[str], there: Mapping[str, int], *, first: str, most: int) -> dict[str, int]:
    """Zone -> its place: the one that it has, or the next free one of `most`; of the new zones `first` is served first.

    A place whose zone goes in the same deployment is not free yet: AWS deletes its subnet after it has made the others.
    A zone without a place is left out.
    """
    free = [place for place in range(most) if place not in there.values()]
    new = sorted((zone for zone in zones if zone not in there), key=lambda zone: zone != first)
    return {zone: there[zone] for zone in zones if zone in there} | dict(zip(new, free, strict=False))
