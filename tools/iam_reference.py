"""What AWS's service authorization reference says about an action, and a policy linter that uses the reference.

Both come with the package `parliament` (distributed as ol-parliament).
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, cast


def access_level(action: str) -> str:
    """What an action does, in AWS's words: List, Read, Write, Tagging or Permissions management."""
    return _action(action)["access_level"]


def dependent_actions(action: str) -> set[str]:
    """Actions that AWS also requires of the caller of this action."""
    return {one for listed in _action(action)["resource_types"] for one in listed["dependent_actions"]}


def condition_keys(action: str) -> set[str]:
    """The keys of conditions that an action can be allowed under, besides those of every action."""
    return {key for listed in _action(action)["resource_types"] for key in listed["condition_keys"]}


def resource_types(action: str) -> set[str]:
    """The kinds of resource to which a policy can limit an action; empty when there are none."""
    return {one["resource_type"].rstrip("*") for one in _action(action)["resource_types"]} - {""}


def resource_arns(action: str) -> set[str]:
    """Patterns of the ARNs of those kinds, with `${Partition}`, `${Region}`, `${Account}` and more to fill in."""
    kinds = resource_types(action)
    return {one["arn"] for service in _services(action) for one in service["resources"] if one["resource"] in kinds}


def lint(policy: Mapping[str, Any]) -> list[str]:
    """Mistakes in a policy: actions that do not exist, resources that do not match them, ways to gain privileges."""
    analyzed = _parliament().analyze_policy_string(json.dumps(policy))
    found = [str(finding) for finding in analyzed.findings]
    if any(one.startswith("UNKNOWN_ACTION") for one in found):
        return found
    # where every kind of resource is optional, parliament does not check
    return found + [
        f"RESOURCE_MISMATCH - {action} is for none of these - {statement['Resource']}"
        for statement, read in zip(policy["Statement"], analyzed.statements, strict=True)
        for action in _listed(statement.get("Action", []))
        if ":" in action and "*" not in action
        if resource_types(action) and not read.get_resources_for_privilege(*action.split(":"))
    ]


@cache
def _action(action: str) -> dict[str, Any]:
    name = action.split(":")[1]
    return next(one for service in _services(action) for one in service["privileges"] if one["privilege"] == name)


def _services(action: str) -> Iterator[dict[str, Any]]:
    """The chapters on an action's service; some services have more than one."""
    return (one for one in _parliament().iam_definition if one["prefix"] == action.split(":")[0])


def _parliament() -> Any:
    import parliament  # imported here, because it reads the whole reference

    return cast("Any", parliament)


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
