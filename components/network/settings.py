"""The `network` section."""

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Literal, Self

from pulumi_aws import ec2
from pydantic import Field, field_validator, model_validator

from components import iam, quotas
from components.network.deployed import MOVE, DeployedNetwork, nat_gateways, nat_gateways_in
from components.network.endpoints import EndpointFacts, EndpointService
from components.network.existing import ExistingNetwork
from components.network.ranges import (
    CONTAINER_RANGE,
    LARGEST_PREFIX,
    MOST_ZONES,
    PRIVATE_RANGES,
    SMALLEST_PREFIX,
    SMALLEST_PREFIX_OF_MANY_ZONES,
    WHOLE_SHARE_ZONES,
)
from components.network.zones import ZoneName, Zones, offer_all, placed
from components.schema import Range, Settings, each_once, mistake, refuse
from stack_file.mistakes import Mistake, near


class NetworkSettings(Settings):
    """The `network` section."""

    cidr: Range = ipaddress.IPv4Network("10.0.0.0/16")
    """Private address range of the VPC: /16 to /20, or /16 to /18 with four zones or more.

    It cannot be changed."""
    availability_zones: Annotated[int, Field(ge=2, le=MOST_ZONES)] = 2
    """Number of availability zones. An added zone does not change the others; those that the stack has stay."""
    zones: Annotated[tuple[ZoneName, ...], Field(min_length=2, max_length=MOST_ZONES)] | None = None
    """Their names, in place of their number."""
    training_zone: ZoneName | None = None
    """The zone of jobs on several nodes or with EFA, of reservations, capacity blocks and Lustre.

    Default: the first of the network's that offers every instance type of these, found once and kept. A running EKS
    group stays where it is, and so does Lustre: the zone cannot change while there is one."""
    nat_gateways: Literal["none", "single", "perZone"] = "single"
    """NAT gateways to the internet: one, one for each zone, or none. With `none`, images must be in ECR, and AWS is
    reached by interface endpoints."""
    interface_endpoints: tuple[EndpointService, ...] = ()
    """AWS services to reach without NAT, such as `ecr.api`; paid by the hour and zone. S3 is always included."""
    flow_logs: bool = False
    """Whether CloudWatch logs accepted and rejected traffic, for 30 days or `logs.retentionDays`."""
    existing: ExistingNetwork | None = None
    """A VPC that you already have. Of the keys above only `trainingZone` may then be set.

    A stack cannot move from VPC to VPC."""

    @field_validator("cidr")
    @classmethod
    def _is_a_private_vpc(cls, cidr: ipaddress.IPv4Network) -> ipaddress.IPv4Network:
        if not any(cidr.subnet_of(private) for private in PRIVATE_RANGES):
            raise ValueError("must be a private range (RFC 1918)")
        if not LARGEST_PREFIX <= cidr.prefixlen <= SMALLEST_PREFIX:
            raise ValueError(f"must be a /{LARGEST_PREFIX} to /{SMALLEST_PREFIX}")
        if cidr.overlaps(CONTAINER_RANGE):
            raise ValueError(f"must not overlap {CONTAINER_RANGE}, where containers on an instance have their bridge")
        return cidr

    @field_validator("interface_endpoints")
    @classmethod
    def _are_services(cls, interface_endpoints: tuple[str, ...]) -> tuple[str, ...]:
        if "s3" in interface_endpoints:
            raise ValueError("must not name s3, which always has a gateway endpoint")
        return each_once(interface_endpoints)

    @field_validator("zones")
    @classmethod
    def _are_different(cls, zones: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return zones and each_once(zones)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.existing is not None:
            refuse(
                [
                    (_alias(field), "cannot be set together with existing", getattr(self, field))
                    for field in sorted(self.model_fields_set - {"existing", "training_zone"})
                ]
            )
            return self
        key = "availabilityZones" if self.zones is None else "zones"
        few = f"/{LARGEST_PREFIX} to /{SMALLEST_PREFIX_OF_MANY_ZONES}"
        refuse(
            [
                (key, rule, value)
                for wrong, key, rule, value in (
                    (
                        self.zones is not None and "availability_zones" in self.model_fields_set,
                        "availabilityZones",
                        "cannot be set together with zones",
                        self.availability_zones,
                    ),
                    (
                        self.count > WHOLE_SHARE_ZONES and self.cidr.prefixlen > SMALLEST_PREFIX_OF_MANY_ZONES,
                        "cidr",
                        f"must be a {few} with {key} over {WHOLE_SHARE_ZONES}",
                        str(self.cidr),
                    ),
                )
                if wrong
            ]
        )
        return self

    @property
    def count(self) -> int:
        """How many zones a network of the stack's own has."""
        return self.availability_zones if self.zones is None else len(self.zones)

    def choose(self, known: Sequence[str], there: DeployedNetwork, needs: Mapping[str, frozenset[str]]) -> Zones:
        """The zones to use, of those that the region is known to have.

        What the stack has stays where it is, whatever zones AWS adds. `needs`: path of what must be in the training
        zone -> zones that offer it.
        """
        adopted = {} if self.existing is None else self.existing.zones()
        names = [*adopted] or self._names(known, there)
        # one that is named and is not among them is a mistake
        kept = [self.training_zone] if self.training_zone else [there.training_zone]
        if self.training_zone is None:
            # a VPC that was adopted before it was noted where training is
            kept += names[:1] if there.adopted and there.training_zone is None else offer_all(names, needs)
        training = next((zone for zone in kept if zone in names), "")
        if adopted:
            return Zones(places={zone: place for place, zone in enumerate(adopted)}, training=training, adopted=adopted)
        return Zones(places=placed(names, there.places, first=training, most=self._most_places), training=training)

    @property
    def _most_places(self) -> int:
        return MOST_ZONES if self.cidr.prefixlen <= SMALLEST_PREFIX_OF_MANY_ZONES else WHOLE_SHARE_ZONES

    def _names(self, known: Sequence[str], there: DeployedNetwork) -> list[str]:
        if self.zones is not None:
            return [zone for zone in self.zones if zone in known]
        named = [zone for zone in known if zone == self.training_zone]
        training = self.training_zone or there.training_zone
        kept = sorted(there.places, key=lambda zone: (zone != training, there.places[zone]))
        return sorted([*dict.fromkeys([*kept, *named, *known])][: self.availability_zones])

    def preflight(
        self, path: str, region: str, known: Sequence[str], there: DeployedNetwork, in_default_group: Sequence[str]
    ) -> Iterator[Mistake]:
        """Mistakes that only AWS can find: about the region or the VPC."""
        if self.existing is not None:
            yield from self.existing.preflight(f"{path}.existing", in_default_group)
            return
        listed = ", ".join(known)
        if self.zones is None and self.availability_zones > len(known):
            yield mistake(
                f"{path}.availabilityZones", f"must be at most the {len(known)} of {region}", self.availability_zones
            )
        for zone in self.zones or ():
            if zone not in known:
                rule = f"must be zones of {region} that hold every part ({listed})"
                yield replace(mistake(f"{path}.zones", rule, zone), meant=near(zone, known))
        names = self._names(known, there)
        without = {*names} - {*placed(names, there.places, first="", most=self._most_places)}
        for zone in sorted(without):
            rule = "must lose a zone in one deployment and get another in the next, as their ranges are all in use"
            yield mistake(f"{path}.zones", rule, zone)

    def training_mistakes(
        self, path: str, region: str, known: Sequence[str], zones: Zones, needs: Mapping[str, frozenset[str]]
    ) -> Iterator[Mistake]:
        """The mistake where what must be close together has no zone."""
        listed = ", ".join(zones.names)
        if zones.training or not zones.names:
            return
        if self.training_zone is not None:
            wrong = mistake(f"{path}.trainingZone", f"must be a zone of the network ({listed})", self.training_zone)
            yield replace(wrong, meant=near(self.training_zone, zones.names))
            return
        others = [zone for zone in offer_all(known, needs) if zone not in zones.names]
        where = f"name {' or '.join(others)}" if others else f"no zone of {region} does, so that it is two stacks"
        yield mistake(
            f"{path}.trainingZone",
            f"must offer the instance types of all that is close together, and none of {listed} does; {where}",
            {path: sorted(offering) for path, offering in needs.items()},
        )

    def lacking(
        self, path: str, account: iam.Account, zones: Sequence[str], there: DeployedNetwork
    ) -> Iterator[Mistake]:
        """Mistakes where a new network, or more NAT gateways, need more than AWS lets the account have."""
        has = nat_gateways("vpc-id", [*there.vpcs])
        with_nat = zones[: {"none": 0, "single": 1, "perZone": len(zones)}[self.nat_gateways]][has:]
        wanted = [(f"{path}.cidr", "VPCs", quotas.VPCS, 0 if there.vpcs else 1, lambda: len(ec2.get_vpcs().ids))]
        wanted.append(
            (
                f"{path}.natGateways",
                "elastic IP addresses",
                quotas.ADDRESSES,
                len(with_nat),
                lambda: len(ec2.get_eips().allocation_ids),
            )
        )
        wanted += [
            (f"{path}.natGateways", f"NAT gateways in {zone}", quotas.NAT_GATEWAYS, 1, partial(nat_gateways_in, zone))
            for zone in with_nat
        ]
        for where, what, (service, code), more, used_now in wanted:
            quota = quotas.ask(service, code) if more else None
            if quota is not None and (used := used_now()) + more > quota.value:
                yield mistake(
                    where,
                    (
                        f"the account has {used} of {quota.value:g} {what}, and {more} more would be needed (quota"
                        f" {code}); ask for more at {quotas.page(account, service, code)}"
                    ),
                    self.nat_gateways if where.endswith("natGateways") else str(self.cidr),
                )

    def losses(self, path: str, there: DeployedNetwork) -> Iterator[Mistake]:
        """Mistakes that would move the stack to another VPC, where much of what runs cannot follow."""
        own, adopted = [*there.vpcs], there.adopted
        if self.existing is not None and own:
            yield mistake(
                f"{path}.existing", f"must be left out: the stack has a VPC of its own, {own[0]}; {MOVE}", self.existing
            )
        elif self.existing is not None and adopted and self.existing.vpc_id not in adopted:
            yield mistake(f"{path}.existing.vpcId", f"must stay {adopted[0]}; {MOVE}", self.existing.vpc_id)
        elif self.existing is None and adopted:
            yield mistake(f"{path}.existing", f"must stay, with the VPC {adopted[0]}; {MOVE}", None)
        elif self.existing is None and own and str(self.cidr) not in there.vpcs.values():
            yield mistake(f"{path}.cidr", f"must stay {there.vpcs[own[0]]}; {MOVE}", str(self.cidr))

    def without_endpoint(self, path: str, region: str, found: Mapping[str, EndpointFacts]) -> Iterator[Mistake]:
        """Mistakes where the region has no interface endpoint for a service."""
        for number, service in enumerate(self.interface_endpoints):
            if service not in found:
                rule = f"must be a service that has an interface endpoint in {region}"
                yield mistake(f"{path}.interfaceEndpoints.{number}", rule, service)

    def missing_endpoints(self, path: str, needs: Iterable[tuple[str, Sequence[str]]]) -> Iterator[Mistake]:
        """The mistake where something needs an interface endpoint and there is neither that nor NAT."""
        whole = [*self.interface_endpoints]
        lacking = defaultdict[str, list[str]](list)
        for of, services in needs:
            lacking[of] += [one for one in services if one not in whole]
            whole += lacking[of]
        if missing := "; ".join(f"{', '.join(services)} for {of}" for of, services in lacking.items() if services):
            yield mistake(
                f"{path}.interfaceEndpoints",
                f"must hold, with natGateways none, {missing}: write [{', '.join(sorted(whole))}]",
                list(self.interface_endpoints),
            )


@dataclass(frozen=True, kw_only=True)
class NetworkFacts:
    """The facts that AWS gives about what the `network` section names."""

    zones: Zones
    """The availability zones to use."""
    services: Mapping[str, EndpointFacts] = field(default_factory=dict[str, EndpointFacts])
    """Service -> its interface endpoint, for every one that the section names."""


def _alias(field: str) -> str:
    return NetworkSettings.model_fields[field].alias or field
