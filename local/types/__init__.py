"""What `local` knows about resource types and provider functions, one file per AWS service, of EC2 three.

It imports the local AWS and what records are made of, but nothing that uses the records.
"""

if __name__ == "types":
    # when the folder `local` is run by its path, Python imports this module instead of its own `types`
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
    costexplorer,
    ec2,
    ecr,
    ecs,
    eks,
    events,
    fsx,
    iam,
    kms,
    kubernetes,
    lambda_,
    resourcegroupstaggingapi,
    s3,
    security_groups,
    servicequotas,
    sns,
    sqs,
    ssm,
    sts,
    vpc,
)

__all__ = [
    "appautoscaling",
    "autoscaling",
    "batch",
    "budgets",
    "cloudwatch",
    "costexplorer",
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
    "lambda_",
    "of",
    "resourcegroupstaggingapi",
    "s3",
    "security_groups",
    "servicequotas",
    "sns",
    "sqs",
    "ssm",
    "sts",
    "vpc",
]


def of(type_: str) -> ResourceType | None:
    """The record of a type; all types of Kubernetes share one, and so do all providers."""
    return TYPES.get(type_) or kubernetes.BY_PREFIX.get(type_.split(":", 1)[0])


def is_simulated(type_: str) -> bool:
    """Whether moto lacks a type."""
    record = of(type_)
    return record is not None and record.simulated
