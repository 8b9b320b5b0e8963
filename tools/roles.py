"""The policies of the two roles that pipelines assume, from the IAM actions that each resource type needs.

They are the files of docs/bootstrap/. A policy allows the actions that the records name for the resource types of a
stack with every part, and for the functions that it calls. Their resources, and whether an action only reads, come from
AWS's service authorization reference (`iam_reference.py`). docs/bootstrap.md says how `ACCOUNT_ID`, `REGION` and
`ROLE_PATH` are filled in.
"""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from local.record import FUNCTIONS, TYPES
from local.run import Run
from tools import iam_reference
from tools.whole import ANY_NAME

FOLDER = Path(__file__).parents[1] / "docs" / "bootstrap"
LARGEST_POLICY = 6144
"""Most characters of a managed policy, without white space (IAM user guide, "IAM and AWS STS quotas")."""
LONGEST_REGION = "ap-southeast-1"
LONGEST_PATH = "/" * 31
"""As long as `iam.rolePath` may be, without its first slash."""

SMOKE = "ecr:DescribeImages eks:ListNodegroups"
"""Actions that the check of a deployed stack needs in addition."""

PARAMETERS = "distributed-training"
"""The folder of Parameter Store that every stack has one in."""
LINKED_ROLES = (
    "autoscaling.amazonaws.com",
    "batch.amazonaws.com",
    "ecr.amazonaws.com",
    "ecs.amazonaws.com",
    "ecs.application-autoscaling.amazonaws.com",
    "eks-nodegroup.amazonaws.com",
    "eks.amazonaws.com",
    "fsx.amazonaws.com",
    "pullthroughcache.ecr.amazonaws.com",
    "s3.data-source.lustre.fsx.amazonaws.com",
    "spot.amazonaws.com",
)
"""Services whose own role AWS creates with the caller's permissions, at the first use in an account."""
ONCE_ATTACHED = ("arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role",)
"""AWS's policies that an earlier release attached, and that an upgrade detaches."""
GLOBAL = ("budgets", "ce", "iam", "route53")
"""Global services: `aws:RequestedRegion` is us-east-1 for them."""
EC2_IN_CHINA = "ec2.amazonaws.com.cn"
"""EC2's name in trust policies in China; the other services have one name in all partitions."""
SERVICES_ROLES = "arn:aws:iam::ACCOUNT_ID:role/aws-service-role"
BESIDES: Mapping[str, tuple[str, ...]] = {
    # EKS checks with the caller's permissions whether its own role exists (EKS user guide, "Service-linked role
    # permissions")
    f"{SERVICES_ROLES}/*": ("iam:GetRole",),
    f"{SERVICES_ROLES}/s3.data-source.lustre.fsx.amazonaws.com/*": ("iam:AttachRolePolicy", "iam:PutRolePolicy"),
}
"""AWS's own roles -> actions on them that need the caller's permissions."""


def documents(run: Run) -> dict[str, str]:
    """File name -> policy, for both roles, each small enough to be attached."""
    made = {one.type for one in run.registrations.values() if one.type.startswith("aws:")}
    needs = [*(TYPES[type_].needs for type_ in made), *(one.needs for one in FUNCTIONS.values()), SMOKE]
    actions = {action for text in needs for action in text.split()}
    reads = {action for action in actions if iam_reference.access_level(action) in ("List", "Read")}
    return {
        f"{role}-{number}.json": f"{json.dumps(policy, indent=2)}\n"
        for role, allowed in (("preview", reads), ("deploy", actions))
        for number, policy in enumerate(_policies(_statements(allowed, run)), start=1)
    }


def size(policy: Mapping[str, Any]) -> int:
    """How many characters IAM counts of a policy after it is filled in."""
    text = json.dumps(policy).replace("ACCOUNT_ID", "123456789012").replace("REGION", LONGEST_REGION)
    text = text.replace("ROLE_PATH", LONGEST_PATH)
    return len(re.sub(r"\s", "", text))


def _statements(allowed: Collection[str], run: Run) -> Iterator[dict[str, Any]]:
    grouped = defaultdict[tuple[tuple[str, ...], str], list[str]](list)
    for action in sorted(allowed):
        condition = _condition(action, run)
        resources = _resources(action, run)
        if resources == ("*",) and action.split(":")[0] not in GLOBAL:
            condition = {"StringEquals": {"aws:RequestedRegion": "REGION"}}
        grouped[resources, json.dumps(condition)].append(action)
    for role, done in BESIDES.items():
        if among := [action for action in done if action in allowed]:
            grouped[(role,), "null"] = among
    for (resources, condition), actions in sorted(grouped.items()):
        statement = {"Effect": "Allow", "Action": actions, "Resource": list(resources)}
        yield statement if condition == "null" else statement | {"Condition": json.loads(condition)}


def _policies(statements: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Policies with these statements in their order, as few as they fit into."""
    policies: list[dict[str, Any]] = []
    for statement in statements:
        if not policies or size(policies[-1]) + size(statement) + 1 > LARGEST_POLICY:
            policies.append({"Version": "2012-10-17", "Statement": []})
        policies[-1]["Statement"].append(statement)
    return policies


def _resources(action: str, run: Run) -> tuple[str, ...]:
    """Resources of an action: with this stack's names where the ARN has a name, else all in the account and region.

    The ARN leaves out the kind of resource after the account, because an action applies only to its own kinds.
    """
    service, name = action.split(":")
    roles = tuple(f"arn:aws:iam::ACCOUNT_ID:role/ROLE_PATH{name}" for name in _names(run, "aws:iam/role:Role"))
    profiles = _names(run, "aws:iam/instanceProfile:InstanceProfile")
    buckets = tuple(f"arn:aws:s3:::{name}" for name in _names(run, "aws:s3/bucket:Bucket"))
    match service:
        case "iam" if name == "CreateServiceLinkedRole":
            return (f"{SERVICES_ROLES}/*",)
        case "iam" if "InstanceProfile" in name and name != "ListInstanceProfilesForRole":
            return tuple(f"arn:aws:iam::ACCOUNT_ID:instance-profile/{name}" for name in profiles)
        case "iam" if iam_reference.resource_types(action) == {"policy"}:
            # a large stack has more than one, with a number in the name
            logical = {one.name for one in run.registrations.values() if one.type == "aws:iam/policy:Policy"}
            return tuple(f"arn:aws:iam::ACCOUNT_ID:policy/{name}-*" for name in sorted(logical))
        case "iam":
            return roles
        case "ssm" if name != "DescribeParameters":
            own = f"arn:aws:ssm:REGION:ACCOUNT_ID:parameter/{PARAMETERS}/*"
            # of no account: AWS's, which hold the ids of its images
            images = "arn:aws:ssm:REGION:*:parameter/aws/service/ecs/*"
            return (own, images) if name == "GetParameter" else (own,)
        case "s3":
            return tuple(f"{one}/*" for one in buckets) if "Object" in name.split("Bucket")[0] else buckets
        case _:
            arns = {arn for arn in iam_reference.resource_arns(action) if arn.split(":")[2] == service}
            return tuple(sorted({_owner(arn) for arn in arns})) or ("*",)


def _owner(arn: str) -> str:
    """An ARN of everything of a service; in the account and region, as far as the given ARN names them."""
    filled = arn.replace("${Partition}", "aws").replace("${Region}", "REGION").replace("${Account}", "ACCOUNT_ID")
    *owner, _ = filled.split(":", 5)
    return ":".join([*owner, "*"])


def _names(run: Run, type_: str) -> tuple[str, ...]:
    """Patterns of a type's physical names: the logical name, and the seven digits that Pulumi adds."""
    logical = {one.name for one in run.registrations.values() if one.type == type_}
    return tuple(sorted({re.sub(rf"^{ANY_NAME}(-multi)?(?=-|$)", "*", name) + "-???????" for name in logical}))


def _condition(action: str, run: Run) -> dict[str, Any] | None:
    match action:
        case "iam:PassRole":
            trusted = {
                service
                for role in _made(run, "aws:iam/role:Role")
                for statement in json.loads(role["assumeRolePolicy"])["Statement"]
                for service in _listed(statement["Principal"]["Service"])
            }
            # Batch passes its roles on, as EKS does, which is in `trusted` already
            return {"StringEquals": {"iam:PassedToService": sorted(trusted | {"batch.amazonaws.com", EC2_IN_CHINA})}}
        case "iam:CreateServiceLinkedRole":
            return {"StringEquals": {"iam:AWSServiceName": list(LINKED_ROLES)}}
        case "iam:AttachRolePolicy" | "iam:DetachRolePolicy":
            kept = {one["policyArn"] for one in _made(run, "aws:iam/rolePolicyAttachment:RolePolicyAttachment")}
            gone = ONCE_ATTACHED if action == "iam:DetachRolePolicy" else ()
            return {"ArnEquals": {"iam:PolicyARN": sorted({*kept, *gone})}}
        case "kms:CreateGrant":
            return {"Bool": {"kms:GrantIsForAWSResource": "true"}}
        case _:
            return None


def _made(run: Run, type_: str) -> Iterator[dict[str, Any]]:
    """The properties of all resources of a type."""
    for urn, one in run.registrations.items():
        if one.type == type_:
            yield {**one.inputs, **(run.created[urn].outputs if urn in run.created else {})}


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
