"""What is checked of each resource type, one table per AWS service."""

from collections.abc import Mapping

from local.checks.rules import Checks
from local.checks.services import batch, cloudwatch, ec2, ecs, eks, iam, other, s3, sqs

TABLE: Mapping[str, Checks] = {
    type_: checks
    for service in (batch, cloudwatch, ec2, ecs, eks, iam, other, s3, sqs)
    for type_, checks in service.CHECKS.items()
}
"""Resource type -> its checks."""
