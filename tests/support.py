"""How tests look at a run of the program."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult

from local.run import Registration, Run

STACKS = sorted(path.name.split(".")[1] for path in Path(__file__).parents[1].glob("Pulumi.*.yaml"))
"""The stacks that have a stack file."""

WHOLE: dict[str, Any] = {
    "queues": {"tasks": {}, "results": {}},
    "batch": {"single": {}},
    "workers": {"queue": "tasks"},
    "eks": {"gpuNodeGroups": {"gpu": {}}},
}
"""Sections that deploy every part."""


def all_of(run: Run, type_: str) -> dict[str, Registration]:
    """Logical name -> resource, of the resources of a type."""
    return {one.name: one for one in run.registrations.values() if one.type == type_}


def one_of(run: Run, type_: str, name: str) -> Registration:
    """The resource of a type with a logical name."""
    return all_of(run, type_)[name]


def policy_documents(run: Run) -> Iterator[tuple[str, dict[str, Any]]]:
    """URN and content of every policy document that a run rendered."""
    for urn, one in run.registrations.items():
        for key in ("policy", "assumeRolePolicy"):
            text = one.inputs.get(key)
            if isinstance(text, str) and '"Statement"' in text:
                yield urn, json.loads(text)


def shape(run: Run) -> set[tuple[str, str]]:
    """What was registered, whatever its values: type and logical name."""
    return {(one.type, one.name) for one in run.registrations.values()}


class Allowed:
    """What policies, given as JSON, allow and do not deny, by moto's own evaluation."""

    def __init__(self, policies: Iterable[str]) -> None:
        self.policies = [IAMPolicy(policy) for policy in policies]
        assert self.policies

    def __call__(self, action: str, resource: str, **condition: str) -> bool:
        results = {
            policy.is_action_permitted(action, resource, incoming_condition_values=condition or None)
            for policy in self.policies
        }
        return PermissionResult.PERMITTED in results and PermissionResult.DENIED not in results
