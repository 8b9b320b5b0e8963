"""IAM's policy grammar: of a policy that says what its holder may do, of one on a resource, and of a trust policy.

Whether an action exists and fits its resources is for a linter; here is what IAM refuses to store.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Literal

from local.checks.api import MODELS
from local.checks.plain import is_list, is_object, mapping, missing, wrong
from local.checks.rules import Document

Kind = Literal["identity", "resource", "trust"]

VERSIONS = ("2008-10-17", "2012-10-17")
ELEMENTS = (
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
)
PRINCIPALS = ("AWS", "CanonicalUser", "Federated", "Service")

OPERATORS = {
    *(f"String{one}" for one in ("Equals", "NotEquals", "EqualsIgnoreCase", "NotEqualsIgnoreCase", "Like", "NotLike")),
    *(
        f"{kind}{one}"
        for kind in ("Numeric", "Date")
        for one in ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
    ),
    *(f"Arn{one}" for one in ("Equals", "NotEquals", "Like", "NotLike")),
    "BinaryEquals",
    "Bool",
    "IpAddress",
    "Null",
    "NotIpAddress",
}
"""Operators of conditions (IAM user guide, "IAM JSON policy elements: Condition operators")."""

OTHER_SERVICES = {
    "budgets",
    "cloudwatch",
    "delivery.logs",
    "ecs-tasks",
    "edgelambda",
    "eks-fargate-pods",
    "eks-nodegroup",
    "pods.eks",
    "spot",
    "spotfleet",
    "vpc-flow-logs",
}
"""Services that assume roles and publish under a name that is not that of an API."""

ACTION = re.compile(r"\*|[A-Za-z0-9-]+:[A-Za-z0-9*?]+")
RESOURCE = re.compile(r"\*|arn:[^:]*:[^:]*:[^:]*:[^:]*:.+", re.DOTALL)


def identity(value: Any, path: str) -> Iterator[str]:
    """What the holder of a role may do."""
    yield from _policy(value, path, "identity", None)


def trust(value: Any, path: str) -> Iterator[str]:
    """Who may assume a role."""
    yield from _policy(value, path, "trust", ("sts",))


def endpoint(value: Any, path: str) -> Iterator[str]:
    """Who may do what through a VPC endpoint, with actions of any service."""
    yield from _policy(value, path, "resource", None)


def on(*services: str) -> Document:
    """Who may do what to a resource of a service, with actions of that service only."""
    return lambda value, path: _policy(value, path, "resource", services)


def _policy(value: Any, path: str, kind: Kind, services: Collection[str] | None) -> Iterator[str]:
    if not is_object(value):
        yield wrong(path, "must be an object", value)
        return
    policy = value
    for key in policy.keys() - {"Version", "Id", "Statement"}:
        yield wrong(f"{path}.{key}", "Syntax errors in policy. is no element of a policy", policy[key])
    if policy.get("Version") is None and services and "sqs" in services:
        # the provider waits for a document that SQS never gives back (hashicorp/terraform-provider-aws#29497)
        yield missing(f"{path}.Version")
    elif policy.get("Version", VERSIONS[0]) not in VERSIONS:
        yield wrong(f"{path}.Version", "The policy must contain a valid version string", policy["Version"])
    if not policy.get("Statement"):
        yield missing(f"{path}.Statement")
        return
    statements = policy["Statement"] if is_list(policy["Statement"]) else [policy["Statement"]]
    sids: list[str] = []
    for index, statement in enumerate(statements):
        where = f"{path}.Statement[{index}]"
        if not is_object(statement):
            yield wrong(where, "must be an object", statement)
            continue
        yield from _statement(statement, where, kind, services)
        if isinstance(sid := statement.get("Sid"), str):
            if sid in sids:
                yield wrong(f"{where}.Sid", "Statement IDs (SID) in a single policy must be unique.", sid)
            sids.append(sid)


def _statement(statement: Mapping[str, Any], path: str, kind: Kind, services: Collection[str] | None) -> Iterator[str]:
    for key in statement.keys() - set(ELEMENTS):
        yield wrong(f"{path}.{key}", f"is no element of a statement, which are {', '.join(ELEMENTS)}", statement[key])
    if statement.get("Effect") not in ("Allow", "Deny"):
        yield wrong(f"{path}.Effect", "must be Allow or Deny", statement.get("Effect"))
    for pair, need in (
        (("Action", "NotAction"), True),
        (("Resource", "NotResource"), kind != "trust"),
        (("Principal", "NotPrincipal"), kind != "identity"),
    ):
        yield from _one_of_two(statement, path, pair, needed=need)
    if kind != "identity" and isinstance(sid := statement.get("Sid"), str) and not re.fullmatch(r"[\w -]*", sid):
        yield wrong(f"{path}.Sid", "must be letters, digits, hyphens, underscores and spaces", sid)
    if kind == "identity" and isinstance(sid := statement.get("Sid"), str) and not re.fullmatch(r"[A-Za-z0-9]*", sid):
        yield wrong(
            f"{path}.Sid",
            "Statement IDs (SID) must be alpha-numeric.",
            sid,
        )
    yield from _actions(statement, path, kind, services)
    for key in ("Resource", "NotResource"):
        for where, resource in _texts(statement.get(key), f"{path}.{key}"):
            if not RESOURCE.fullmatch(resource):
                yield wrong(where, 'Resource must be in ARN format or "*".', resource)
    for key in ("Principal", "NotPrincipal"):
        if statement.get(key) is not None and kind != "identity":
            yield from _principal(statement[key], f"{path}.{key}")
    yield from _conditions(statement.get("Condition"), f"{path}.Condition")


def _one_of_two(statement: Mapping[str, Any], path: str, pair: Sequence[str], *, needed: bool) -> Iterator[str]:
    first, second = pair
    there = [key for key in pair if statement.get(key) not in (None, [], "")]
    if not needed:
        yield from (wrong(f"{path}.{key}", f"Has prohibited field {key}", statement[key]) for key in there)
    elif not there:
        yield wrong(f"{path}.{first}", f"Policy statement must contain {first.lower()}s.", statement.get(first))
    elif len(there) > 1:
        yield wrong(f"{path}.{second}", f"must not stand beside {first}", statement[second])


def _actions(statement: Mapping[str, Any], path: str, kind: Kind, services: Collection[str] | None) -> Iterator[str]:
    for key in ("Action", "NotAction"):
        for where, action in _texts(statement.get(key), f"{path}.{key}"):
            vendor = action.split(":")[0].lower()
            if not ACTION.fullmatch(action):
                yield wrong(where, "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.", action)
            elif services is not None and action != "*" and vendor not in services:
                words = (
                    "AssumeRole policy may only specify STS AssumeRole actions."
                    if kind == "trust"
                    else f"Policy statement action out of service scope! It must be one of {', '.join(services)}"
                )
                yield wrong(where, words, action)


def _principal(value: Any, path: str) -> Iterator[str]:
    if value == "*":
        return
    if not is_object(value):
        yield wrong(path, "Invalid principal in policy", value)
        return
    for kind, named in value.items():
        if kind not in PRINCIPALS:
            yield wrong(f"{path}.{kind}", f"Invalid principal in policy: must be one of {', '.join(PRINCIPALS)}", named)
            continue
        for where, principal in _texts(named, f"{path}.{kind}"):
            if kind == "Service" and not _is_service(principal):
                yield wrong(where, 'Invalid principal in policy: "SERVICE"', principal)
            if kind == "AWS" and not re.fullmatch(
                r"\*|\d{12}|arn:[a-z-]+:(iam|sts)::\d{12}:.+|arn:[a-z-]+:iam::cloudfront:.+|A[A-Z]{3}[A-Z0-9]{12,}",
                principal,
            ):
                yield wrong(where, 'Invalid principal in policy: "AWS"', principal)


def _is_service(principal: str) -> bool:
    found = re.fullmatch(r"([a-z0-9.-]+?)\.amazonaws\.com(\.cn)?", principal)
    # of some services each region has its own principal
    return found is not None and re.sub(r"\.[a-z]{2}(-[a-z]+)+-\d$", "", found[1]) in services()


@cache
def services() -> frozenset[str]:
    """Names under which services may be principals."""
    apis = {path.name for path in MODELS.iterdir() if path.is_dir()}
    return frozenset(apis | OTHER_SERVICES)


def _conditions(value: Any, path: str) -> Iterator[str]:
    if value is None:
        return
    if not is_object(value):
        yield wrong(path, "must be an object", value)
        return
    for operator, tests in value.items():
        plain = operator.removeprefix("ForAllValues:").removeprefix("ForAnyValue:").removesuffix("IfExists")
        if plain not in OPERATORS:
            yield wrong(f"{path}.{operator}", "Invalid Condition type", operator)
        elif not is_object(tests):
            yield wrong(f"{path}.{operator}", "must be an object of condition keys", tests)
        else:
            for key in tests:
                if ":" not in key:
                    yield wrong(
                        f"{path}.{operator}.{key}",
                        "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
                        key,
                    )


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif is_list(value):
        for index, one in enumerate(value):
            if isinstance(one, str):
                yield f"{path}[{index}]", one


def allows(policy: Any, action: str) -> bool:
    """Whether any statement of a policy allows somebody this action, whatever its conditions."""
    return any(
        fnmatchcase(action.lower(), one.lower())
        for _, statement in _statements(policy, "")
        if statement.get("Effect") == "Allow"
        for _, one in _texts(statement.get("Action"), "")
    )


def public_statements(policy: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Path and principal of each statement that allows everybody something without a condition."""
    everybody = ("*", {"AWS": "*"}, {"AWS": ["*"]})
    for where, statement in _statements(policy, path):
        allowed = statement.get("Effect") == "Allow" and not statement.get("Condition")
        if allowed and statement.get("Principal") in everybody:
            yield f"{where}.Principal", statement["Principal"]


def resources(policy: Any, path: str) -> Iterator[tuple[str, str]]:
    """Path and text of each resource that a policy names."""
    for where, statement in _statements(policy, path):
        yield from _texts(statement.get("Resource"), f"{where}.Resource")


def _statements(policy: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    found = mapping(policy).get("Statement")
    for index, statement in enumerate(found if is_list(found) else [found]):
        yield f"{path}.Statement[{index}]", mapping(statement)
