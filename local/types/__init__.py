"""What this machine knows of the resource types and provider functions, one file per AWS service.

It imports the AWS of this machine and what a record is made of, and nothing that drives it.
"""

if __name__ == "types":
    # whoever runs the folder `local` by its path has Python find this here in place of its own module of that name
    import os
    import sys

    print(f'error: it runs as a module: cd "{__file__.rpartition("/local/")[0]}" && python -m local', file=sys.stderr)
    os._exit(1)

from local.record import TYPES, ResourceType
from local.types import (
    appautoscaling,
    autoscaling,
    batch,
    budgets,
    cloudwatch,
    ec2,
    ecr,
    ecs,
    eks,
    events,
    fsx,
    iam,
    kms,
    kubernetes,
    resourcegroupstaggingapi,
    s3,
    servicequotas,
    sns,
    sqs,
    sts,
    vpc,
)

__all__ = [
    "appautoscaling",
    "autoscaling",
    "batch",
    "budgets",
    "cloudwatch",
    "ec2",
    "ecr",
    "ecs",
    "eks",
    "events",
    "fsx",
    "iam",
    "is_simulated",
    "kms",
    "kubernetes",
    "of",
    "resourcegroupstaggingapi",
    "s3",
    "servicequotas",
    "sns",
    "sqs",
    "sts",
    "vpc",
]


def of(type_: str) -> ResourceType | None:
    """The record of a type; all of Kubernetes has one, and so have all providers."""
    return TYPES.get(type_) or kubernetes.BY_PREFIX.get(type_.split(":", 1)[0])


def is_simulated(type_: str) -> bool:
    """Whether moto does not hold a type."""
    record = of(type_)
    return record is not None and record.simulated
