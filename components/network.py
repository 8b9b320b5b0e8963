"""The network that everything runs on: private subnets for computing, public ones only for NAT.

A VPC that is already there can be adopted instead; then nothing is created in it.
"""

import ipaddress
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Literal, Self

import pulumi
import pulumi_aws as aws
from pulumi_aws import cloudwatch, ec2, vpc
from pydantic import Field, field_validator, model_validator

from components import iam, quotas
from components.deployed import Deployed
from components.schema import Like, Range, Settings, mistake, refuse
from stack_file.mistakes import Mistake

LARGEST_PREFIX = 16
"""AWS allows a VPC of /16 at most (VPC user guide, "VPC CIDR blocks")."""
SMALLEST_PREFIX = 20
"""Below /20 the public subnets would be smaller than the /28 that AWS allows."""
SMALLEST_PREFIX_OF_MANY_ZONES = 18
"""From the fourth zone on a private subnet is a sixteenth of the VPC; below /22 it is too small for pods and EFA."""
WHOLE_SHARE_ZONES = 3
"""How many zones have a quarter of the VPC each for their private subnet."""
PRIVATE_RANGES = tuple(ipaddress.IPv4Network(one) for one in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
"""RFC 1918, and nothing else of what `is_private` calls private."""
CONTAINER_RANGE = ipaddress.IPv4Network("172.17.0.0/16")
"""The bridge of the container engine on every ECS and Batch instance (VPC user guide, "VPC CIDR blocks")."""
FLOW_LOG_RETENTION_DAYS = 30
OWN_VPC, ADOPTED_VPC = "network", "network.existing"
"""Paths under which a later deployment finds the VPC."""
MOVE = "a control plane and a file system cannot move to another VPC: make a second stack, and move to it"
"""What to do in place of an edit that would move the stack to another VPC."""

UNFIT_ZONE_IDS = ("cac1-az3", "use1-az3", "usw1-az2")
"""Zones in which EKS makes no control plane (EKS user guide, "View Amazon EKS networking requirements")."""

NEEDED_ENDPOINTS: Mapping[str, Sequence[str]] = {
    "batch": ("ecr.api", "ecr.dkr", "ecs", "ecs-agent", "ecs-telemetry", "logs"),
    "workers": ("ecr.api", "ecr.dkr", "logs", "sqs"),
    "eks": ("ec2", "ecr.api", "ecr.dkr", "eks-auth"),
}
"""Section of the stack file -> AWS services that its machines need, each by an endpoint where there is no NAT.

Batch and ECS: ECS developer guide, "Amazon ECS interface VPC endpoints"; Fargate needs none of ECS itself. EKS: EKS
user guide, "Deploy private clusters with limited internet access". Image layers come from S3, by its gateway.
"""

VpcId = Annotated[str, Like(r"^vpc-[0-9a-f]{8,17}$", "must be the id of a VPC, such as vpc-0123456789abcdef0")]
SubnetId = Annotated[
    str, Like(r"^subnet-[0-9a-f]{8,17}$", "must be the id of a subnet, such as subnet-0123456789abcdef0")
]
EndpointService = Annotated[
    str,
    Like(
        r"^[a-z0-9]+([.-][a-z0-9]+)*$", "must be the name of an AWS service as its endpoints have it, such as ecr.api"
    ),
]


class ExistingNetwork(Settings):
    """A VPC that you already have."""

    vpc_id: VpcId
    """Its id. For multi-node jobs over EFA its default security group must allow all from itself, and all out."""
    private_subnet_ids: Annotated[tuple[SubnetId, ...], Field(min_length=1)]
    """Its private subnets, one per zone; the first is the training subnet. Each needs routes to the AWS services."""

    @field_validator("private_subnet_ids")
    @classmethod
    def _names_each_once(cls, private_subnet_ids: tuple[str, ...]) -> tuple[str, ...]:
        return _each_once(private_subnet_ids)

    def zones(self) -> list[str]:
        """Names of the availability zones of its private subnets, in their order."""
        return [ec2.get_subnet(id=subnet_id).availability_zone for subnet_id in self.private_subnet_ids]

    def preflight(self, path: str, in_default_group: Sequence[str]) -> Iterator[Mistake]:
        """Mistakes that only AWS can find in the settings of the VPC.

        `in_default_group` names what in the stack file has the default security group.
        """
        of_this_vpc = ec2.get_subnets(filters=[{"name": "vpc-id", "values": [self.vpc_id]}]).ids
        zones: dict[str, str] = {}
        for subnet_id in self.private_subnet_ids:
            if subnet_id not in of_this_vpc:
                yield mistake(f"{path}.privateSubnetIds", f"must be subnets of {self.vpc_id}", subnet_id)
                continue
            zone = ec2.get_subnet(id=subnet_id).availability_zone
            if zone in zones:
                yield mistake(f"{path}.privateSubnetIds", f"must be one per zone, {zone} has {zones[zone]}", subnet_id)
            zones[zone] = subnet_id
        if in_default_group:
            group_id = ec2.get_security_group(vpc_id=self.vpc_id, name="default").id
            if not _members_talk(group_id):
                yield mistake(
                    f"{path}.vpcId",
                    (
                        f"must have a default security group ({group_id}) that lets in all traffic from itself and lets"
                        f" out all to 0.0.0.0/0, for the nodes of {', '.join(in_default_group)}"
                    ),
                    self.vpc_id,
                )


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
        return _each_once(interface_endpoints)

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
        own = _own(deployed) or _untagged(path, self.cidr)
        has = _nat_gateways("vpc-id", own)
        with_nat = zones[: {"none": 0, "single": 1, "perZone": len(zones)}[self.nat_gateways]][has:]
        wanted = [(f"{path}.cidr", "VPCs", quotas.VPCS, 0 if own else 1, lambda: len(ec2.get_vpcs().ids))]
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
            (f"{path}.natGateways", f"NAT gateways in {zone}", quotas.NAT_GATEWAYS, 1, partial(_nat_gateways_in, zone))
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
        own = _own(deployed)
        adopted = deployed.noted(ADOPTED_VPC)
        if self.existing is not None and own:
            yield mistake(
                f"{path}.existing", f"must be left out: the stack has a VPC of its own, {own[0]}; {MOVE}", self.existing
            )
        elif self.existing is not None and adopted and self.existing.vpc_id not in adopted:
            yield mistake(f"{path}.existing.vpcId", f"must stay {adopted[0]}; {MOVE}", self.existing.vpc_id)
        elif self.existing is None and adopted and not own:
            yield mistake(f"{path}.existing", f"must stay, with the VPC {adopted[0]}; {MOVE}", None)
        elif self.existing is None and own:
            ranges = [ec2.get_vpc(id=vpc_id).cidr_block for vpc_id in own]
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


class Zone(pulumi.ComponentResource):
    """One availability zone's private and public subnet, with their routes."""

    private_subnet_id: pulumi.Output[str]
    """Id of the private subnet; it exists before its routes do."""
    private_route_table_id: pulumi.Output[str]
    """Id of the private subnet's route table."""
    nat_gateway_id: pulumi.Output[str] | None
    """Id of the NAT gateway that the private subnet uses, if there is one."""
    egress: list[pulumi.Resource]
    """What must exist before an instance in the private subnet can reach the internet."""

    def __init__(
        self,
        name: str,
        availability_zone: str,
        *,
        vpc_id: pulumi.Output[str],
        private_range: ipaddress.IPv4Network,
        public_range: ipaddress.IPv4Network,
        public_route_table_id: pulumi.Output[str],
        nat: pulumi.Output[str] | Literal["own"] | None,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("distributed-training:index:Zone", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        private = ec2.Subnet(
            f"{name}-private",
            vpc_id=vpc_id,
            availability_zone=availability_zone,
            cidr_block=str(private_range),
            # EKS puts internal load balancers where it finds this tag, internet-facing ones at the other
            tags={"Name": f"{name}-private", "kubernetes.io/role/internal-elb": "1"},
            opts=child,
        )
        public = ec2.Subnet(
            f"{name}-public",
            vpc_id=vpc_id,
            availability_zone=availability_zone,
            cidr_block=str(public_range),
            tags={"Name": f"{name}-public", "kubernetes.io/role/elb": "1"},
            opts=child,
        )
        public_route = ec2.RouteTableAssociation(
            f"{name}-public", subnet_id=public.id, route_table_id=public_route_table_id, opts=child
        )
        table = ec2.RouteTable(f"{name}-private", vpc_id=vpc_id, tags={"Name": f"{name}-private"}, opts=child)
        self.egress = [
            ec2.RouteTableAssociation(f"{name}-private", subnet_id=private.id, route_table_id=table.id, opts=child)
        ]
        if nat == "own":
            address = ec2.Eip(name, domain="vpc", tags={"Name": name}, opts=child)
            nat = ec2.NatGateway(
                name,
                subnet_id=public.id,
                allocation_id=address.id,
                tags={"Name": name},
                # AWS fails a NAT gateway whose subnet has no way to the internet yet
                opts=pulumi.ResourceOptions(parent=self, depends_on=[public_route]),
            ).id
        if nat is not None:
            self.egress.append(
                ec2.Route(
                    name,
                    route_table_id=table.id,
                    destination_cidr_block="0.0.0.0/0",
                    nat_gateway_id=nat,
                    opts=child,
                )
            )
        self.private_subnet_id, self.private_route_table_id, self.nat_gateway_id = private.id, table.id, nat
        self.register_outputs({"privateSubnetId": private.id})


class Network(pulumi.ComponentResource):
    """A new VPC with private and public subnets in each zone, or an adopted one."""

    vpc_id: pulumi.Output[str]
    """Id of the VPC."""
    cidr: pulumi.Output[str]
    """Address range of the VPC."""
    private_subnet_ids: list[pulumi.Output[str]]
    """Private subnets, one per zone; they exist before their routes do."""
    training_subnet_id: pulumi.Output[str]
    """The private subnet for nodes that must be close together: EFA and multi-node jobs do not cross zones."""
    zones: Sequence[str]
    """Names of the private subnets' availability zones, in their order."""
    egress: list[pulumi.Resource]
    """What must exist before an instance in a private subnet can reach AWS; empty for a VPC that was adopted."""
    places: Sequence[str]
    """What tells the private subnets from others before they exist: their zones, or the ids of adopted ones."""
    adopted_id: str | None
    """Id of a VPC that was adopted."""

    def __init__(
        self,
        name: str,
        settings: NetworkSettings,
        *,
        zones: Sequence[str],
        account: iam.Account,
        deployed: Deployed,
        default_group_in_use: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`default_group_in_use`: whether something uses the default security group; it is empty otherwise."""
        super().__init__("distributed-training:index:Network", name, {}, opts)
        self.places = settings.places(zones)
        self.adopted_id = None if settings.existing is None else settings.existing.vpc_id
        if settings.existing is None:
            self._create(name, settings, zones, account, deployed=deployed, default_group_in_use=default_group_in_use)
        else:
            self.vpc_id = pulumi.Output.from_input(settings.existing.vpc_id)
            self.cidr = ec2.get_vpc_output(
                id=settings.existing.vpc_id, opts=pulumi.InvokeOutputOptions(parent=self)
            ).cidr_block
            self.private_subnet_ids = [pulumi.Output.from_input(one) for one in settings.existing.private_subnet_ids]
            self.egress = []
        self.training_subnet_id, self.zones = self.private_subnet_ids[0], zones
        self.register_outputs({"vpcId": self.vpc_id, "privateSubnetIds": self.private_subnet_ids})

    def private_subnets(self, zones: Collection[str]) -> list[pulumi.Output[str]]:
        """Ids of the private subnets in these zones."""
        return [one for zone, one in zip(self.zones, self.private_subnet_ids, strict=True) if zone in zones]

    def _create(
        self,
        name: str,
        settings: NetworkSettings,
        zone_names: Sequence[str],
        account: iam.Account,
        *,
        deployed: Deployed,
        default_group_in_use: bool,
    ) -> None:
        child = pulumi.ResourceOptions(parent=self)
        main = ec2.Vpc(
            name,
            cidr_block=str(settings.cidr),
            enable_dns_support=True,
            # the private names of interface endpoints and of EKS's private endpoint need both
            enable_dns_hostnames=True,
            tags={"Name": name, **deployed.tag(OWN_VPC)},
            opts=child,
        )
        # adopted to be emptied: AWS makes it so that everything in it may talk to everything
        default_group = ec2.DefaultSecurityGroup(name, vpc_id=main.id, opts=child)
        if default_group_in_use:
            # each a resource: the provider leaves inline rules in AWS when the program no longer names any
            let_members_talk(f"{name}-nodes", default_group.id, "nodes of a multi-node job to each other", opts=child)
            vpc.SecurityGroupEgressRule(
                f"{name}-default",
                security_group_id=default_group.id,
                description="nodes of a multi-node job to anywhere",
                ip_protocol="-1",
                cidr_ipv4="0.0.0.0/0",
                opts=child,
            )
        gateway = ec2.InternetGateway(name, vpc_id=main.id, tags={"Name": name}, opts=child)
        public = ec2.RouteTable(
            f"{name}-public",
            vpc_id=main.id,
            routes=[{"cidr_block": "0.0.0.0/0", "gateway_id": gateway.id}],
            tags={"Name": f"{name}-public"},
            opts=child,
        )
        zones: list[Zone] = []
        for index, zone in enumerate(zone_names):
            match settings.nat_gateways:
                case "none":
                    nat = None
                case "single" if zones:
                    nat = zones[0].nat_gateway_id
                case _:
                    nat = "own"
            zones.append(
                Zone(
                    f"{name}-{zone}",
                    zone,
                    vpc_id=main.id,
                    private_range=private_range(settings.cidr, index),
                    public_range=public_range(settings.cidr, index),
                    public_route_table_id=public.id,
                    nat=nat,
                    opts=child,
                )
            )
        self.vpc_id, self.cidr = main.id, main.cidr_block
        self.private_subnet_ids = [zone.private_subnet_id for zone in zones]
        self.egress = [
            *(resource for zone in zones for resource in zone.egress),
            ec2.VpcEndpoint(
                f"{name}-s3",
                vpc_id=main.id,
                service_name=f"com.amazonaws.{account.region}.s3",
                vpc_endpoint_type="Gateway",
                route_table_ids=[zone.private_route_table_id for zone in zones],
                tags={"Name": f"{name}-s3"},
                opts=child,
            ),
        ]
        if settings.interface_endpoints:
            endpoints = InterfaceEndpoints(
                name, settings, vpc_id=main.id, subnet_ids=self.private_subnet_ids, account=account, opts=child
            )
            self.egress += endpoints.endpoints
        if settings.flow_logs:
            FlowLogs(name, vpc_id=main.id, account=account, opts=child)


class InterfaceEndpoints(pulumi.ComponentResource):
    """Endpoints by which private subnets reach AWS services without NAT."""

    endpoints: list[ec2.VpcEndpoint]
    """One per service."""

    def __init__(
        self,
        name: str,
        settings: NetworkSettings,
        *,
        vpc_id: pulumi.Output[str],
        subnet_ids: Sequence[pulumi.Output[str]],
        account: iam.Account,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("distributed-training:index:InterfaceEndpoints", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        group = ec2.SecurityGroup(
            f"{name}-endpoints",
            vpc_id=vpc_id,
            description="HTTPS from the VPC to AWS endpoints",
            tags={"Name": f"{name}-endpoints"},
            # another description is another group
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["description"]),
        )
        vpc.SecurityGroupIngressRule(
            f"{name}-endpoints",
            security_group_id=group.id,
            description="HTTPS from the VPC",
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            cidr_ipv4=str(settings.cidr),
            opts=child,
        )
        self.endpoints = [
            ec2.VpcEndpoint(
                f"{name}-{service.replace('.', '-')}",
                vpc_id=vpc_id,
                service_name=f"com.amazonaws.{account.region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=subnet_ids,
                security_group_ids=[group.id],
                tags={"Name": f"{name}-{service}"},
                opts=child,
            )
            for service in settings.interface_endpoints
        ]
        self.register_outputs({})


class FlowLogs(pulumi.ComponentResource):
    """A log of the network's accepted and rejected traffic."""

    def __init__(
        self, name: str, *, vpc_id: pulumi.Output[str], account: iam.Account, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("distributed-training:index:FlowLogs", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        log_group = cloudwatch.LogGroup(f"{name}-flow", retention_in_days=FLOW_LOG_RETENTION_DAYS, opts=child)
        role = iam.ServiceRole(
            f"{name}-flow-logs",
            service="vpc-flow-logs.amazonaws.com",
            source_account=account.id,
            statements=[
                iam.allow(
                    ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                    [pulumi.Output.concat(log_group.arn, ":*")],
                )
            ],
            opts=child,
        )
        ec2.FlowLog(
            name,
            vpc_id=vpc_id,
            traffic_type="ALL",
            log_destination=log_group.arn,
            iam_role_arn=role.arn,
            tags={"Name": name},
            opts=child,
        )
        self.register_outputs({})


def private_range(cidr: ipaddress.IPv4Network, zone_index: int) -> ipaddress.IPv4Network:
    """The private subnet of a zone: a quarter of the VPC each for the first three, a sixteenth each for the others.

    It depends on nothing but the zone's place, so that adding a zone leaves the others as they are.
    """
    *whole, last = cidr.subnets(prefixlen_diff=2)
    return [*whole, *last.subnets(prefixlen_diff=2)][zone_index]


def public_range(cidr: ipaddress.IPv4Network, zone_index: int) -> ipaddress.IPv4Network:
    """The public subnet of a zone, for NAT and load balancers: 1/256 of the VPC, from its last sixteenth."""
    return list(list(cidr.subnets(prefixlen_diff=4))[-1].subnets(prefixlen_diff=4))[zone_index]


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


def let_members_talk(name: str, group_id: pulumi.Input[str], description: str, *, opts: pulumi.ResourceOptions) -> None:
    """Let what is in a security group reach all else in it: EFA passes only where the group names itself both ways.

    An address range is not enough.
    """
    for rule in (vpc.SecurityGroupIngressRule, vpc.SecurityGroupEgressRule):
        rule(
            name,
            security_group_id=group_id,
            description=description,
            ip_protocol="-1",
            referenced_security_group_id=group_id,
            opts=opts,
        )


def _own(deployed: Deployed) -> Sequence[str]:
    """Ids of the VPC that the stack has made."""
    tagged = [arn.rpartition("/")[2] for arn in deployed.of(OWN_VPC, "ec2:vpc/")]
    # the tags of a VPC that is gone are still listed for a while
    return ec2.get_vpcs(filters=[{"name": "vpc-id", "values": tagged}]).ids if tagged else ()


def _untagged(name: str, cidr: ipaddress.IPv4Network) -> Sequence[str]:
    """Ids of the VPC of a stack of release 0.1.0, which carries no tag to find it by but its name."""
    return ec2.get_vpcs(filters=[{"name": "tag:Name", "values": [name]}, {"name": "cidr", "values": [str(cidr)]}]).ids


def _nat_gateways_in(zone: str) -> int:
    return _nat_gateways("subnet-id", ec2.get_subnets(filters=[{"name": "availability-zone", "values": [zone]}]).ids)


def _nat_gateways(where: str, ids: Sequence[str]) -> int:
    """How many there are; those that are gone are still listed for a while, in another state."""
    if not ids:
        # EC2 refuses a filter without values
        return 0
    found = ec2.get_nat_gateways(
        filters=[{"name": "state", "values": ["pending", "available"]}, {"name": where, "values": ids}]
    )
    return len(found.ids)


def _members_talk(group_id: str) -> bool:
    """Whether a security group lets in all traffic from itself, and lets out all."""
    listed = vpc.get_security_group_rules(filters=[{"name": "group-id", "values": [group_id]}])
    rules = [vpc.get_security_group_rule(security_group_rule_id=rule_id) for rule_id in listed.ids]
    unbounded = [rule for rule in rules if rule.ip_protocol == "-1"]
    return any(not rule.is_egress and rule.referenced_security_group_id == group_id for rule in unbounded) and any(
        rule.is_egress and rule.cidr_ipv4 == "0.0.0.0/0" for rule in unbounded
    )


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("must name each once")
    return names


def _alias(field: str) -> str:
    return NetworkSettings.model_fields[field].alias or field
