"""The `network` section."""

import ipaddress
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Annotated, Literal, Self

from pulumi_aws import ec2
from pydantic import Field, field_validator, model_validator

from components import iam, quotas
from components.deployed import Deployed
from components.network.endpoints import NEEDED_ENDPOINTS, EndpointService
from components.network.existing import ExistingNetwork
from components.network.ranges import (
    CONTAINER_RANGE,
    LARGEST_PREFIX,
    PRIVATE_RANGES,
    SMALLEST_PREFIX,
    SMALLEST_PREFIX_OF_MANY_ZONES,
    WHOLE_SHARE_ZONES,
)
from components.network.there import ADOPTED_VPC, MOVE, nat_gateways, nat_gateways_in, own, untagged
from components.schema import Range, Settings, each_once, mistake, refuse
from stack_file.mistakes import Mistake


class NetworkSettings(Settings):
    """The `network` section."""

    cidr: Range = ipaddress.IPv4Network("10.0.0.0/16")
    """Private address range of the VPC: /16 to /20, or /16 to /18 with four zones or more.

    It cannot be changed."""
    availability_zones: Annotated[int, Field(ge=2, le=6)] = 2
    """Number of availability zones. An added zone does not change the others."""
    nat_gateways: Literal["none", "single", "perZone"] = "single"
    """NAT gateways to the internet. With `none`, images must be in ECR, and AWS is reached by interface endpoints."""
    interface_endpoints: tuple[EndpointService, ...] = ()
    """AWS services to reach without NAT, such as `ecr.api`; paid by the hour and zone. S3 is always included."""
    flow_logs: bool = False
    """Whether CloudWatch logs accepted and rejected traffic, for 30 days."""
    existing: ExistingNetwork | None = None
    """A VPC that you already have. The keys above must then be left out. A stack cannot move from VPC to VPC."""

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

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.existing is not None:
            refuse(
                [
                    (_alias(field), "cannot be set together with existing", getattr(self, field))
                    for field in sorted(self.model_fields_set - {"existing"})
                ]
            )
        elif self.availability_zones > WHOLE_SHARE_ZONES and self.cidr.prefixlen > SMALLEST_PREFIX_OF_MANY_ZONES:
            refuse(
                [
                    (
                        "cidr",
                        (
                            f"must be a /{LARGEST_PREFIX} to /{SMALLEST_PREFIX_OF_MANY_ZONES}"
                            f" with availabilityZones over {WHOLE_SHARE_ZONES}"
                        ),
                        str(self.cidr),
                    )
                ]
            )
        return self

    def places(self, zones: Sequence[str]) -> Sequence[str]:
        """What tells the private subnets from others before they exist: their zones, or the ids of adopted ones."""
        return zones if self.existing is None else self.existing.private_subnet_ids

    def preflight(
        self, path: str, region: str, zones: Sequence[str], in_default_group: Sequence[str]
    ) -> Iterator[Mistake]:
        """Mistakes that only AWS can find: about the region or the VPC."""
        if self.existing is not None:
            yield from self.existing.preflight(f"{path}.existing", in_default_group)
        elif self.availability_zones > len(zones):
            yield mistake(
                f"{path}.availabilityZones", f"must be at most the {len(zones)} of {region}", self.availability_zones
            )

    def lacking(self, path: str, account: iam.Account, zones: Sequence[str], deployed: Deployed) -> Iterator[Mistake]:
        """Mistakes where a new network, or more NAT gateways, need more than AWS lets the account have."""
        vpc_ids = own(deployed) or untagged(path, self.cidr)
        has = nat_gateways("vpc-id", vpc_ids)
        with_nat = zones[: {"none": 0, "single": 1, "perZone": len(zones)}[self.nat_gateways]][has:]
        wanted = [(f"{path}.cidr", "VPCs", quotas.VPCS, 0 if vpc_ids else 1, lambda: len(ec2.get_vpcs().ids))]
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
        for where, what, (service, code), more, there in wanted:
            if more and (most := quotas.ask(service, code)) is not None and (used := there()) + more > most:
                yield mistake(
                    where,
                    (
                        f"the account has {used} of {most:g} {what}, and {more} more would be needed (quota {code});"
                        f" ask for more at {quotas.page(account, service, code)}"
                    ),
                    self.nat_gateways if where.endswith("natGateways") else str(self.cidr),
                )

    def losses(self, path: str, deployed: Deployed) -> Iterator[Mistake]:
        """Mistakes that would take the network from under what runs on it, half of which cannot follow."""
        vpc_ids = own(deployed)
        adopted = deployed.noted(ADOPTED_VPC)
        if self.existing is not None and vpc_ids:
            yield mistake(
                f"{path}.existing",
                f"must be left out: the stack has a VPC of its own, {vpc_ids[0]}; {MOVE}",
                self.existing,
            )
        elif self.existing is not None and adopted and self.existing.vpc_id not in adopted:
            yield mistake(f"{path}.existing.vpcId", f"must stay {adopted[0]}; {MOVE}", self.existing.vpc_id)
        elif self.existing is None and adopted and not vpc_ids:
            yield mistake(f"{path}.existing", f"must stay, with the VPC {adopted[0]}; {MOVE}", None)
        elif self.existing is None and vpc_ids:
            ranges = [ec2.get_vpc(id=vpc_id).cidr_block for vpc_id in vpc_ids]
            if str(self.cidr) not in ranges:
                yield mistake(f"{path}.cidr", f"must stay {ranges[0]}; {MOVE}", str(self.cidr))

    def missing_endpoints(self, path: str, sections: Collection[str]) -> Iterator[Mistake]:
        """Mistakes where a section needs an interface endpoint and there is neither that nor NAT."""
        for section, needed in NEEDED_ENDPOINTS.items():
            missing = [service for service in needed if service not in self.interface_endpoints]
            if section in sections and missing:
                yield mistake(
                    f"{path}.interfaceEndpoints",
                    f"must hold {', '.join(missing)} for {section} with natGateways none",
                    list(self.interface_endpoints),
                )


def _alias(field: str) -> str:
    return NetworkSettings.model_fields[field].alias or field
