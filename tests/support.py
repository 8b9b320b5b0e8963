"""How tests look at a run of the program."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult

from local.aws import Aws
from local.provider import Provider
from local.run import Registration, Resource, Run, State

STACKS = sorted(path.name.split(".")[1] for path in Path(__file__).parents[1].glob("Pulumi.*.yaml"))
"""The stacks that have a stack file."""

WHOLE: dict[str, Any] = {
    "queues": {"tasks": {}, "results": {}},
    "batch": {"single": {}},
    "workers": {"workers": {"queue": "tasks"}},
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


class Life:
    """One resource through its life, without a program."""

    def __init__(self, aws: Aws, type_: str, inputs: Mapping[str, Any], name: str = "it") -> None:
        self.provider = Provider(aws)
        self.resource = Resource(urn=f"urn:pulumi:test::test::{type_}::{name}", type=type_, name=name, inputs=inputs)
        self.state = self.provider.create(self.resource)

    @property
    def outputs(self) -> Mapping[str, Any]:
        """Its properties, as they were after the last change."""
        return self.state.outputs

    def read(self) -> State | None:
        """What AWS has of it."""
        return self.provider.read(self.resource.type, self.resource.urn, self.state)

    def seen(self) -> Mapping[str, Any]:
        """Its inputs as AWS has them."""
        found = self.read()
        assert found is not None
        return found.inputs

    def change(self, **changes: Any) -> None:
        """Give some inputs other values; nothing may be replaced for it."""
        inputs = {**self.resource.inputs, **changes}
        assert not [one for one in self.provider.diff(self.resource.type, self.state, inputs) if one.replaces]
        self.resource = replace(self.resource, inputs=inputs)
        self.state = self.provider.update(self.state, self.resource)

    def update(self, **changes: Any) -> None:
        """The same, and all of it must be seen."""
        self.change(**changes)
        assert self.read() == self.state

    def delete(self) -> None:
        """End it."""
        self.provider.delete(self.resource.type, self.resource.urn, self.state)
        assert self.read() is None


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
