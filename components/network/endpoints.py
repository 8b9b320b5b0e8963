"""The interface endpoints by which private subnets reach AWS services without NAT."""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Self

import pulumi
from pulumi_aws import ec2, vpc

from components.deployed import if_there
from components.schema import Like

Needs = Iterator[tuple[str, Sequence[str]]]
"""Path in the stack file, and the AWS services that it needs, each by an endpoint where there is no NAT."""

EndpointService = Annotated[
    str,
    Like(
        r"^[a-z0-9]+([.-][a-z0-9]+)*$", "must be the name of an AWS service as its endpoints have it, such as ecr.api"
    ),
]


@dataclass(frozen=True, kw_only=True)
class EndpointFacts:
    """What AWS says of the endpoints of one of its services in a region (EC2 `DescribeVpcEndpointServices`)."""

    service_name: str
    """Its whole name, which in China begins with `cn.com` or `com`, service by service."""
    zones: frozenset[str]
    """Names of the availability zones that may have one; empty where AWS does not say, as in GovCloud."""

    @classmethod
    def ask_all(cls, services: Iterable[str], region: str) -> dict[str, Self]:
        """Service -> the answer of AWS; without those that have no endpoint in the region."""
        found = {service: cls.ask(service, region) for service in services}
        return {service: facts for service, facts in found.items() if facts is not None}

    @classmethod
    def ask(cls, service: str, region: str) -> Self | None:
        """Ask AWS; None for a service that has no endpoint in the region."""
        names = [f"{prefix}.{region}.{service}" for prefix in ("com.amazonaws", "cn.com.amazonaws")]
        found = if_there(
            lambda: ec2.get_vpc_endpoint_service(filters=[{"name": "service-name", "values": names}]),
        )
        if found is None:
            return None
        return cls(service_name=found.service_name, zones=frozenset(found.availability_zones or ()))


class InterfaceEndpoints(pulumi.ComponentResource):
    """Endpoints by which private subnets reach AWS services without NAT."""

    endpoints: list[ec2.VpcEndpoint]
    """One per service."""

    def __init__(
        self,
        name: str,
        services: Mapping[str, EndpointFacts],
        *,
        vpc_id: pulumi.Output[str],
        cidr: ipaddress.IPv4Network,
        subnets: Mapping[str, pulumi.Output[str]],
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
            cidr_ipv4=str(cidr),
            opts=child,
        )
        self.endpoints = [
            ec2.VpcEndpoint(
                f"{name}-{service.replace('.', '-')}",
                vpc_id=vpc_id,
                service_name=facts.service_name,
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=[one for zone, one in subnets.items() if zone in (facts.zones or subnets)],
                security_group_ids=[group.id],
                tags={"Name": f"{name}-{service}"},
                opts=child,
            )
            for service, facts in services.items()
        ]
        self.register_outputs({})


def for_secrets(path: str, arns: Iterable[str]) -> Needs:
    """What reads the values of secrets and parameters needs: ECS fetches them from inside the network.

    No endpoint for KMS: Secrets Manager and Systems Manager decrypt by themselves, on behalf of who asks.
    """
    if services := sorted({arn.split(":")[2] for arn in arns}):
        yield path, services
