"""Plans the changes to the resources of an earlier run, as Pulumi's engine does."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from local import changes
from local.edits import Edit
from local.provider import Provider
from local.run import Registration, Run, State


class Planner:
    """Plans resource by resource, in the order of registration; aliases are not followed."""

    def __init__(self, provider: Provider, before: Run) -> None:
        self.provider, self.before = provider, before
        self.edits: list[Edit] = []
        self.protected: set[str] = set()
        """URNs of protected resources that would be deleted or replaced."""

    def plan(self, one: Registration) -> State:
        """Plan a resource; return its preview, in which what only the deployment will tell is missing or unknown."""
        there = self.before.created.get(one.urn)
        if there is None:
            self._note(one, Edit(urn=one.urn, type=one.type, name=one.name, operation="create", after=one.inputs))
            return State(id="", inputs=one.inputs, outputs=one.inputs)
        inputs = _ignoring(one.ignore_changes, there.inputs, one.inputs)
        found = self.provider.diff(one.type, there, inputs)
        anew = any(change.replaces or _under(change.place, one.replace_on_changes) for change in found)
        places = {change.place for change in found}
        edit = Edit(
            urn=one.urn,
            type=one.type,
            name=one.name,
            operation="replace" if anew else "update",
            changed=tuple(sorted(places - {"tagsAll"} or places)),
            ignored=one.ignore_changes,
            before=there.inputs,
            after=inputs,
        )
        if not found:
            return there
        self._note(one, edit)
        if anew:
            if self.before.registrations[one.urn].protect:
                self.protected.add(one.urn)
            return State(id="", inputs=inputs, outputs=inputs)
        return replace(there, inputs=inputs, outputs=changes.planned(one.type, there, inputs, found))

    def finish(self, run: Run) -> None:
        """Plan the deletion of resources that the program does not register any more."""
        for urn, one in reversed(self.before.registrations.items()):
            if urn not in run.registrations and one.custom:
                self._note(one, Edit(urn=urn, type=one.type, name=one.name, operation="delete", before=one.inputs))
                if one.protect:
                    self.protected.add(urn)

    def _note(self, one: Registration, edit: Edit) -> None:
        if one.provided:
            self.edits.append(edit)


def _ignoring(paths: tuple[str, ...], before: Mapping[str, Any], after: Mapping[str, Any]) -> Mapping[str, Any]:
    """The new inputs, but with the old values at the paths that the program ignores."""
    inputs: dict[str, Any] = deepcopy(dict(after))
    for path in paths:
        *way, last = path.split(".")
        old: Mapping[str, Any] = before
        new = inputs
        for key in way:
            old, new = old.get(key, {}), new.get(key, {})
        if last in old:
            new[last] = old[last]
        else:
            new.pop(last, None)
    return inputs


def _under(place: str, paths: tuple[str, ...]) -> bool:
    return any(f"{place}.".startswith(f"{path}.") for path in paths)
