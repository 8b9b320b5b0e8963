"""The interface endpoints by which private subnets reach AWS services without NAT."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Annotated

import pulumi
from pulumi_aws import ec2, vpc

from components import iam
from components.schema import Like

NEEDED_ENDPOINTS: Mapping[str, Sequence[str]] = {
    "batch": ("ecr.api", "ecr.dkr", "ecs", "ecs-agent", "ecs-telemetry", "logs"),
    "workers": ("ecr.api", "ecr.dkr", "logs", "sqs"),
    "eks": ("ec2", "ecr.api", "ecr.dkr", "eks-auth"),
}
"""Section of the stack file -> AWS services that its machines need, each by an endpoint where there is no NAT.

Batch and ECS: ECS developer guide, "Amazon ECS interface VPC endpoints"; Fargate needs none of ECS itself. EKS: EKS
user guide, "Deploy private clusters with limited internet access". Image layers come from S3, by its gateway.
"""

EndpointService = Annotated[
    str,
    Like(
        r"^[a-z0-9]+([.-][a-z0-9]+)*$", "must be the name of an AWS service as its endpoints have it, such as ecr.api"
    ),
]


class InterfaceEndpoints(pulumi.ComponentResource):
    """Endpoints by which private subnets reach AWS services without NAT."""

    endpoints: list[ec2.VpcEndpoint]
    """One per service."""

    def __init__(
        self,
        name: str,
        services: Sequence[str],
        *,
        vpc_id: pulumi.Output[str],
        cidr: ipaddress.IPv4Network,
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
            cidr_ipv4=str(cidr),
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
            for service in services
        ]
        self.register_outputs({})
