"""The network that everything runs on: private subnets for computing, public ones only for NAT.

A VPC that is already there can be adopted instead; then nothing is created in it.
"""

import ipaddress
from collections.abc import Collection
from typing import Literal

import pulumi
from pulumi_aws import ec2, vpc

from components import iam
from components.deployed import Deployed
from components.network.deployed import ADOPTED_VPC, OWN_VPC, TRAINING_ZONE_TAG
from components.network.endpoints import InterfaceEndpoints
from components.network.flow_logs import FlowLogs
from components.network.ranges import private_range, public_range
from components.network.security_groups import let_members_talk
from components.network.settings import NetworkFacts, NetworkSettings
from components.network.zones import Zones


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
    """Private subnets, one per zone, the training subnet first; they exist before their routes do."""
    training_subnet_id: pulumi.Output[str]
    """The private subnet for nodes that must be close together: EFA and multi-node jobs do not cross zones."""
    zones: Zones
    """The private subnets' availability zones."""
    egress: list[pulumi.Resource]
    """What must exist before an instance in a private subnet can reach AWS; empty for a VPC that was adopted."""
    adopted: str | None
    """What a later deployment must find of a VPC that was adopted, which carries no tag of the stack's."""

    def __init__(
        self,
        name: str,
        settings: NetworkSettings,
        *,
        facts: NetworkFacts,
        account: iam.Account,
        deployed: Deployed,
        in_default_group: Collection[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`in_default_group`: what has the default security group; where nothing has it, it lets nothing through."""
        super().__init__("distributed-training:index:Network", name, {}, opts)
        zones, self.adopted = facts.zones, None
        self.zones = zones
        if settings.existing is None:
            self._create(name, settings, facts, account, deployed=deployed, in_default_group=in_default_group)
        else:
            self.vpc_id = pulumi.Output.from_input(settings.existing.vpc_id)
            self.cidr = ec2.get_vpc_output(
                id=settings.existing.vpc_id, opts=pulumi.InvokeOutputOptions(parent=self)
            ).cidr_block
            self._subnets = {zone: pulumi.Output.from_input(one) for zone, one in zones.adopted.items()}
            self.egress, self.adopted = [], f"{ADOPTED_VPC}/{settings.existing.vpc_id}/{zones.training}"
        self.training_subnet_id = self._subnets[zones.training]
        others = [one for zone, one in self._subnets.items() if zone != zones.training]
        self.private_subnet_ids = [self.training_subnet_id, *others]
        self.register_outputs({"vpcId": self.vpc_id, "privateSubnetIds": self.private_subnet_ids})

    def private_subnets(self, zones: Collection[str]) -> list[pulumi.Output[str]]:
        """Ids of the private subnets in these zones."""
        return [one for zone, one in self._subnets.items() if zone in zones]

    def _create(
        self,
        name: str,
        settings: NetworkSettings,
        facts: NetworkFacts,
        account: iam.Account,
        *,
        deployed: Deployed,
        in_default_group: Collection[str],
    ) -> None:
        child = pulumi.ResourceOptions(parent=self)
        main = ec2.Vpc(
            name,
            cidr_block=str(settings.cidr),
            enable_dns_support=True,
            # the private names of interface endpoints and of EKS's private endpoint need both
            enable_dns_hostnames=True,
            tags={"Name": name, **deployed.tag(OWN_VPC), TRAINING_ZONE_TAG: facts.zones.training},
            opts=child,
        )
        # adopted to be emptied: AWS makes it so that everything in it may talk to everything
        default_group = ec2.DefaultSecurityGroup(name, vpc_id=main.id, opts=child)
        if in_default_group:
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
        made: dict[str, Zone] = {}
        zones = facts.zones
        for zone in zones.names:
            match settings.nat_gateways:
                case "none":
                    nat = None
                case "single" if made:
                    nat = made[zones.names[0]].nat_gateway_id
                case _:
                    nat = "own"
            made[zone] = Zone(
                f"{name}-{zone}",
                zone,
                vpc_id=main.id,
                private_range=private_range(settings.cidr, zones.places[zone]),
                public_range=public_range(settings.cidr, zones.places[zone]),
                public_route_table_id=public.id,
                nat=nat,
                opts=child,
            )
        self.vpc_id, self.cidr = main.id, main.cidr_block
        self._subnets = {zone: one.private_subnet_id for zone, one in made.items()}
        self.egress = [
            *(resource for one in made.values() for resource in one.egress),
            ec2.VpcEndpoint(
                f"{name}-s3",
                vpc_id=main.id,
                service_name=f"com.amazonaws.{account.region}.s3",
                vpc_endpoint_type="Gateway",
                route_table_ids=[one.private_route_table_id for one in made.values()],
                tags={"Name": f"{name}-s3"},
                opts=child,
            ),
        ]
        if settings.interface_endpoints:
            endpoints = InterfaceEndpoints(
                name, facts.services, vpc_id=main.id, cidr=settings.cidr, subnets=self._subnets, opts=child
            )
            self.egress += endpoints.endpoints
        if settings.flow_logs:
            FlowLogs(name, vpc_id=main.id, account=account, opts=child)
