"""A run of a program as data: what it registered, what was created, and how it ended."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

STACK_TYPE = "pulumi:pulumi:Stack"
PROVIDER_PREFIX = "pulumi:providers:"


class RefusedError(Exception):
    """The run cannot go on; each line of the message names a resource or function and says why."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource as the program describes it."""

    urn: str
    type: str
    name: str
    """The logical name."""
    inputs: Mapping[str, Any]
    """Inputs under the provider's camelCase names; whole numbers are int; inputs that are not given are missing."""


@dataclass(frozen=True, kw_only=True)
class Registration(Resource):
    """A resource that the program registered, with its options."""

    parent: str
    """URN of its parent; the stack's for a resource without one."""
    custom: bool
    """Whether a provider manages it; False for a component, also a remote one."""
    dependencies: frozenset[str]
    """URNs of what must exist before it."""
    property_dependencies: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Input -> URNs of the resources that its value comes from."""
    protect: bool = False
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()

    @property
    def is_top(self) -> bool:
        """Whether it is a direct child of the stack."""
        return f"::{STACK_TYPE}::" in self.parent

    @property
    def provided(self) -> bool:
        """Whether a provider creates something in the cloud for it; False for a component and for a provider itself."""
        return self.custom and not self.type.startswith(PROVIDER_PREFIX)


@dataclass(frozen=True, kw_only=True)
class Created:
    """What AWS returned for a new resource."""

    id: str
    outputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Computed properties under the provider's camelCase names; they replace inputs of the same name."""


@dataclass(frozen=True, kw_only=True)
class State:
    """A resource that exists."""

    id: str
    inputs: Mapping[str, Any]
    """Its inputs when it was created or updated last."""
    outputs: Mapping[str, Any]
    """All its properties: the inputs, and what AWS computed."""


@dataclass(kw_only=True)
class Run:
    """What a program did."""

    registrations: dict[str, Registration] = field(default_factory=dict[str, Registration])
    """URN -> resource, in the order of registration."""
    created: dict[str, State] = field(default_factory=dict[str, State])
    """URN -> the created resource; empty in a preview."""
    exports: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the stack exports."""
    messages: list[str] = field(default_factory=list[str])
    """Warnings of the program and its SDKs."""
    refusals: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """URN, and what AWS would refuse of the resource: `property.path: rule, got value`."""
    error: BaseException | None = None
    """The error that ended the run."""

    def top(self, urn: str) -> str:
        """URN of the part that a resource is in: of its ancestor right under the stack, or its own."""
        while not self.registrations[urn].is_top:
            urn = self.registrations[urn].parent
        return urn

    def parts(self) -> dict[str, list[Registration]]:
        """URN of each direct child of the stack -> all resources in it, itself included."""
        parts: dict[str, list[Registration]] = {}
        for urn, one in self.registrations.items():
            parts.setdefault(self.top(urn), []).append(one)
        return parts


Watcher = Callable[[Registration, State | None], None]
"""Called with each resource when it is registered (with None) and again when it is created."""
