"""The network that everything else stands in."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from client.account import Account
from client.outputs import Outputs
from client.smoke.check import Check, Finding, failed


def checks(outputs: Outputs, account: Account) -> Iterator[Check]:
    """The VPC and its private subnets."""
    ec2 = account.client("ec2")
    yield Check(f"network {outputs.vpc_id}", "is available", partial(_vpc, ec2, outputs.vpc_id))
    for subnet_id in outputs.private_subnet_ids:
        yield Check(
            f"network {subnet_id}",
            "is available in that VPC and gives out no public address",
            partial(_subnet, ec2, subnet_id, outputs.vpc_id),
        )
    if outputs.training_subnet_id:
        yield Check(
            f"network {outputs.training_subnet_id}",
            "is one of these, for what must be close together",
            partial(_training_subnet, outputs),
        )


def _vpc(ec2: Any, vpc_id: str) -> Iterator[Finding]:
    (vpc,) = ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"]
    if vpc["State"] != "available":
        yield failed(f"is {vpc['State']}")


def _training_subnet(outputs: Outputs) -> Iterator[Finding]:
    if outputs.training_subnet_id not in outputs.private_subnet_ids:
        yield failed(f"is none of {', '.join(outputs.private_subnet_ids)}")


def _subnet(ec2: Any, subnet_id: str, vpc_id: str) -> Iterator[Finding]:
    (subnet,) = ec2.describe_subnets(SubnetIds=[subnet_id])["Subnets"]
    if subnet["State"] != "available":
        yield failed(f"is {subnet['State']}")
    if subnet["VpcId"] != vpc_id:
        yield failed(f"is in {subnet['VpcId']}")
    if subnet["MapPublicIpOnLaunch"]:
        yield failed("gives what starts in it a public address; turn MapPublicIpOnLaunch off")
