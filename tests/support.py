"""How tests look at a run of the program."""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

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


def write_program(path: Path, source: str, *flags: str) -> None:
    """Write a program in Python: to the shell its beginning is two commands, to Python a text.

    Not by `#!`, which takes no Python in a folder with a space in its name.
    """
    begin = f"#!/bin/sh\n''':'\nexec \"{sys.executable}\" {' '.join(flags)} \"$0\" \"$@\"\n' '''\n"
    path.write_text(begin + source, encoding="utf-8")
    path.chmod(0o755)


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
    """What policies, given as JSON, allow and do not deny, by IAM's rules (user guide, "Policy evaluation logic")."""

    def __init__(self, policies: Iterable[str]) -> None:
        self.statements = [one for policy in policies for one in json.loads(policy)["Statement"]]
        assert self.statements

    def __call__(self, action: str, resource: str, **condition: str) -> bool:
        effects = {
            one["Effect"]
            for one in self.statements
            if _concerns(one, "Action", action)
            and _concerns(one, "Resource", resource)
            and all(_holds(operator, keys, condition) for operator, keys in one.get("Condition", {}).items())
        }
        return effects == {"Allow"}


def _concerns(statement: Mapping[str, Any], element: str, text: str) -> bool:
    """Whether an action or resource is of those that a statement names, or of the others where it says `Not`."""
    named = _listed(statement.get(element) or statement[f"Not{element}"])
    return any(_like(pattern, text) for pattern in named) == (element in statement)


def _holds(operator: str, keys: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    """Whether a condition holds; a key that a call does not have is one that no value fits, but for all of none."""
    every, _, comparison = operator.rpartition(":")
    fits = {"StringEquals": str.__eq__, "StringLike": _like, "ArnEquals": _like, "Bool": str.__eq__}[comparison]
    return all(
        any(fits(wanted, context[key]) for wanted in _listed(values)) if key in context else every == "ForAllValues"
        for key, values in keys.items()
    )


def _like(pattern: str, text: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text) is not None


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
