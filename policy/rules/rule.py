"""How a rule is written: a function over plain properties that yields what is wrong with them, a line each.

Its name and the first line of its docstring are those of the policy. What a preview cannot know breaks no rule: the
rule is asked again by `pulumi up`, with every value known, before the resource is created.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from pulumi_policy import (
    EnforcementLevel,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

UNKNOWN: Final = object()
"""Stands for a value that a preview cannot know."""


@dataclass(frozen=True, kw_only=True)
class Property:
    """A value among a resource's properties, and where it stands."""

    path: str
    """Where it stands, under the provider's names."""
    value: Any
    """Plain data; None where there is nothing, and `UNKNOWN`, here or further down, for what a preview cannot know."""

    def at(self, path: str) -> "Property":
        """The value further down, by keys with dots between them."""
        value = self.value
        for key in path.split("."):
            if value is not UNKNOWN:
                value = cast("dict[str, Any]", value).get(key) if isinstance(value, dict) else None
        return Property(path=f"{self.path}.{path}".lstrip("."), value=value)

    def each(self, path: str) -> "Iterator[Property]":
        """The elements of a list further down; none where it is unknown."""
        listed = self.at(path)
        if isinstance(listed.value, list):
            for index, value in enumerate(cast("list[Any]", listed.value)):
                yield Property(path=f"{listed.path}[{index}]", value=value)

    def parsed(self, path: str) -> "Property":
        """The content of a JSON text further down, or the value itself where it is none."""
        one = self.at(path)
        try:
            return Property(path=one.path, value=json.loads(one.value)) if isinstance(one.value, str) else one
        except json.JSONDecodeError:
            return one

    def must_be(self, path: str, *allowed: str) -> Iterator[str]:
        """What is wrong unless the value further down reads as one of these; `nothing` is no value."""
        one = self.at(path)
        if one.value is not UNKNOWN and _shown(one.value) not in allowed:
            yield one.wrong(f"must be {' or '.join(allowed)}")

    def wrong(self, rule: str) -> str:
        """Say that this value breaks a rule."""
        return f"{self.path}: {rule}, got {_shown(self.value)}"


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource as a rule looks at it."""

    type: str
    properties: Property
    ignore_changes: Sequence[str]
    """Properties that a deployment leaves as they are."""


def each(
    *types: str, level: EnforcementLevel = EnforcementLevel.MANDATORY
) -> Callable[[Callable[[Resource], Iterator[str]]], ResourceValidationPolicy]:
    """Make a rule about each resource of these types, on its inputs, before it is created or changed."""

    def rule(find: Callable[[Resource], Iterator[str]]) -> ResourceValidationPolicy:
        def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
            if args.resource_type in types:
                resource = Resource(
                    type=args.resource_type,
                    properties=properties(args.props),
                    ignore_changes=args.opts.ignore_changes,
                )
                for line in find(resource):
                    report(line, None)

        return ResourceValidationPolicy(*_named(find), validate=validate, enforcement_level=level)

    return rule


def whole_stack(
    find: Callable[[Sequence[PolicyResource]], Iterator[tuple[PolicyResource, str]]],
) -> StackValidationPolicy:
    """Make a rule about all resources together, at the end of a preview or a deployment."""

    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        for resource, line in find(args.resources):
            report(line, resource.urn)

    return StackValidationPolicy(*_named(find), validate=validate, enforcement_level=EnforcementLevel.MANDATORY)


def properties(props: Mapping[str, Any]) -> Property:
    """What the engine hands over, whose unknown values raise when they are touched, as plain data."""
    return Property(path="", value=_plain(props))


def without(
    resources: Sequence[PolicyResource], companion: str, *, key: str, of: str
) -> Iterator[tuple[PolicyResource, str]]:
    """Every resource of the type `of` that no `companion` refers to by its property `key`."""
    served = {
        served.urn
        for one in resources
        if one.resource_type == companion
        # by what the property is made of: its value is not known before the first deployment
        for served in one.property_dependencies.get(key, [])
    }
    for one in resources:
        if one.resource_type == of and one.urn not in served:
            yield one, f"{companion}: must be there with this resource as its {key}, got nothing"


def _named(find: Callable[..., object]) -> tuple[str, str]:
    return find.__name__.replace("_", "-"), (find.__doc__ or "").splitlines()[0]


def _plain(value: Any) -> Any:
    match value:
        case Mapping():
            mapping = cast("Mapping[str, Any]", value)
            return {key: _known(mapping, key) for key in mapping}
        case Sequence() if not isinstance(value, str):
            sequence = cast("Sequence[Any]", value)
            return [_known(sequence, index) for index in range(len(sequence))]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def _known(container: Any, key: str | int) -> Any:
    try:
        return _plain(container[key])
    except UnknownValueError:
        return UNKNOWN


def _shown(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case str():
            return value
        case _:
            return json.dumps(value, default=lambda _: "unknown")
