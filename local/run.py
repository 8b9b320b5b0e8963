"""A run of a program as data: what it registered, what became of it, and how it ended."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

STACK_TYPE = "pulumi:pulumi:Stack"
PROVIDER_PREFIX = "pulumi:providers:"


class RefusedError(Exception):
    """It cannot go on; each line of the message names a resource or function and says why."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource as the program describes it."""

    urn: str
    type: str
    name: str
    """The logical name."""
    inputs: Mapping[str, Any]
    """Inputs under the provider's camelCase names; whole numbers are int; absent inputs are absent."""


@dataclass(frozen=True, kw_only=True)
class Registration(Resource):
    """A resource that the program registered, with its options."""

    parent: str
    """URN of its parent; the stack's for a resource without one."""
    custom: bool
    """Whether a provider stands behind it; False for a component, also a remote one."""
    dependencies: frozenset[str]
    """URNs of what must exist before it."""
    property_dependencies: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Input -> URNs of the resources that its value is made of."""
    protect: bool = False
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()

    @property
    def is_top(self) -> bool:
        """Whether it stands right under the stack."""
        return f"::{STACK_TYPE}::" in self.parent

    @property
    def provided(self) -> bool:
        """Whether a provider makes something of it in the cloud; False for a component and for a provider itself."""
        return self.custom and not self.type.startswith(PROVIDER_PREFIX)


@dataclass(frozen=True, kw_only=True)
class Created:
    """What AWS gave back for a resource."""

    id: str
    outputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Computed properties under the provider's camelCase names; they are laid over the inputs."""


@dataclass(frozen=True, kw_only=True)
class State:
    """A resource that exists."""

    id: str
    inputs: Mapping[str, Any]
    """As the program described it when it was created or changed last."""
    outputs: Mapping[str, Any]
    """All its properties: the inputs, and what AWS computed."""


@dataclass(kw_only=True)
class Run:
    """What a program did."""

    registrations: dict[str, Registration] = field(default_factory=dict[str, Registration])
    """URN -> resource, in the order of registration."""
    created: dict[str, State] = field(default_factory=dict[str, State])
    """URN -> what it became; empty in a preview."""
    exports: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the stack exports."""
    messages: list[str] = field(default_factory=list[str])
    """Warnings of the program and its SDKs."""
    refusals: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """URN, and what a preview would not let AWS see of it: `property.path: rule, got value`."""
    error: BaseException | None = None
    """What ended the run before its time."""

    def top(self, urn: str) -> str:
        """The URN of the part that a resource is in: of what stands over it right under the stack, or its own."""
        while not self.registrations[urn].is_top:
            urn = self.registrations[urn].parent
        return urn

    def parts(self) -> dict[str, list[Registration]]:
        """What stands right under the stack -> all that it is made of, itself too."""
        parts: dict[str, list[Registration]] = {}
        for urn, one in self.registrations.items():
            parts.setdefault(self.top(urn), []).append(one)
        return parts


Watcher = Callable[[Registration, State | None], None]
"""Called with each resource when it is registered (None) and when it is created."""
