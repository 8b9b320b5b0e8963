"""How a rule is written: a function that gets plain properties and yields a line for each mistake in them.

The function's name and the first line of its docstring are the policy's name and description. A value that a preview
cannot know breaks no rule: `pulumi up` asks the rule again, with every value known, before the resource is created.
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
"""Marks a value that a preview cannot know."""


@dataclass(frozen=True, kw_only=True)
class Property:
    """A value in a resource's properties, and its path."""

    path: str
    """Its path, in the provider's names."""
    value: Any
    """Plain data; None when there is no value, and `UNKNOWN`, here or inside it, for what a preview cannot know."""

    def at(self, path: str) -> "Property":
        """The value at a dotted path under this one."""
        value = self.value
        for key in path.split("."):
            if value is not UNKNOWN:
                value = cast("dict[str, Any]", value).get(key) if isinstance(value, dict) else None
        return Property(path=f"{self.path}.{path}".lstrip("."), value=value)

    def each(self, path: str) -> "Iterator[Property]":
        """The elements of the list at a path under this one; none when it is unknown."""
        listed = self.at(path)
        if isinstance(listed.value, list):
            for index, value in enumerate(cast("list[Any]", listed.value)):
                yield Property(path=f"{listed.path}[{index}]", value=value)

    def parsed(self, path: str) -> "Property":
        """The content of the JSON text at a path under this one, or the value itself if it is no JSON text."""
        one = self.at(path)
        try:
            return Property(path=one.path, value=json.loads(one.value)) if isinstance(one.value, str) else one
        except json.JSONDecodeError:
            return one

    def must_be(self, path: str, *allowed: str) -> Iterator[str]:
        """A mistake unless the value at a path under this one is shown as one of these; `nothing` means no value."""
        one = self.at(path)
        if one.value is not UNKNOWN and _shown(one.value) not in allowed:
            yield one.wrong(f"must be {' or '.join(allowed)}")

    def wrong(self, rule: str) -> str:
        """The line that says that this value breaks a rule."""
        return f"{self.path}: {rule}, got {_shown(self.value)}"


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource as a rule gets it."""

    type: str
    properties: Property
    ignore_changes: Sequence[str]
    """Properties that a deployment does not change."""


def each(
    *types: str, level: EnforcementLevel = EnforcementLevel.MANDATORY
) -> Callable[[Callable[[Resource], Iterator[str]]], ResourceValidationPolicy]:
    """Make a rule on the inputs of each resource of these types, before it is created or changed."""

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
    """The engine's properties as plain data; unknown values raise there when they are used."""
    return Property(path="", value=_plain(props))


def without(
    resources: Sequence[PolicyResource], companion: str, *, key: str, of: str
) -> Iterator[tuple[PolicyResource, str]]:
    """Every resource of the type `of` that no `companion` refers to by its property `key`."""
    served = {
        served.urn
        for one in resources
        if one.resource_type == companion
        # by the resources that the value comes from: it is not known before the first deployment
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
