"""A VPC that was there before the stack."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from pulumi_aws import ec2
from pydantic import Field, field_validator

from components.network.security_groups import members_talk
from components.schema import Like, Settings, each_once, mistake
from stack_file.mistakes import Mistake

VpcId = Annotated[str, Like(r"^vpc-[0-9a-f]{8,17}$", "must be the id of a VPC, such as vpc-0123456789abcdef0")]
SubnetId = Annotated[
    str, Like(r"^subnet-[0-9a-f]{8,17}$", "must be the id of a subnet, such as subnet-0123456789abcdef0")
]


class ExistingNetwork(Settings):
    """A VPC that you already have."""

    vpc_id: VpcId
    """Its id. For multi-node jobs over EFA its default security group must allow all from itself, and all out."""
    private_subnet_ids: Annotated[tuple[SubnetId, ...], Field(min_length=1)]
    """Its private subnets, one per zone. Each needs routes to the AWS services."""

    @field_validator("private_subnet_ids")
    @classmethod
    def _names_each_once(cls, private_subnet_ids: tuple[str, ...]) -> tuple[str, ...]:
        return each_once(private_subnet_ids)

    def zones(self) -> dict[str, str]:
        """Availability zone -> private subnet in it, in the order of the stack file."""
        return {ec2.get_subnet(id=subnet_id).availability_zone: subnet_id for subnet_id in self.private_subnet_ids}

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
            if not members_talk(group_id):
                yield mistake(
                    f"{path}.vpcId",
                    (
                        f"must have a default security group ({group_id}) that lets in all traffic from itself and lets"
                        f" out all to 0.0.0.0/0, for the nodes of {', '.join(in_default_group)}"
                    ),
                    self.vpc_id,
                )
