"""What a deployment does to existing resources, and to the work that runs on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

Operation = Literal["create", "update", "replace", "delete"]
Work = Literal["nothing", "waits", "goes on", "refused", "lost", "stopped"]
WORK: Mapping[Work, str] = {
    "nothing": "it keeps running unchanged",
    "waits": "it starts or answers later; none of it is ended",
    "goes on": "it is ended; if it may be tried again, it starts again, from its last checkpoint if there is one",
    "refused": "the edit is refused, or the deployment ends there, perhaps in the middle",
    "lost": "data that is kept for it is deleted",
    "stopped": "it is ended, and does not start again by itself",
}
"""What can happen to running work, the worst last."""


@dataclass(frozen=True, kw_only=True)
class Edit:
    """What a deployment does to one resource."""

    urn: str
    type: str
    name: str
    """The logical name."""
    operation: Operation
    changed: tuple[str, ...] = ()
    """Paths of the inputs that change, without indices: `computeResources.instanceTypes`."""
    ignored: tuple[str, ...] = ()
    """Paths whose values the engine keeps from the last deployment, whatever AWS has now."""
    before: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Its inputs before the edit; empty when it is created."""
    after: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Its inputs after the edit; empty when it is deleted."""

    @property
    def ends(self) -> bool:
        """Whether the resource that exists now is deleted."""
        return self.operation in ("replace", "delete")

    def touches(self, *places: str) -> bool:
        """Whether an input at or under one of these paths changes, and the resource is not replaced."""
        return self.operation == "update" and any(
            f"{one}.".startswith(f"{place}.") for one in self.changed for place in places
        )

    def lowers(self, place: str) -> bool:
        """Whether the number at a path becomes smaller, and the resource is not replaced."""
        before, after = at(self.before, place), at(self.after, place)
        return self.touches(place) and isinstance(before, int) and isinstance(after, int) and after < before


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What one edit does to running work."""

    work: Work
    what: str
    """A sentence, which is shown after the resource's name."""
    first: str = ""
    """What to do before the deployment, so that the effect does not happen or does no harm."""


def at(inputs: Mapping[str, Any], place: str) -> Any:
    """The value at a dotted path; None where there is none."""
    value: Any = inputs
    for key in place.split("."):
        value = cast("Mapping[str, Any]", value).get(key) if isinstance(value, Mapping) else None
    return value
