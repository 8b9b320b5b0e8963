"""What the AWS provider plans for a changed resource: update in place or replacement, and which values are unknown.

The plans are in `types/replacements.json`, which names their source.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

from local.run import State
from local.wire import UNKNOWN, holds_unknown, is_object

Kind = Literal["added", "removed", "raised", "lowered", "changed", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """An input whose value changes."""

    path: str
    """Its path, as the engine writes it: `a.b[0].c`, `tags["with.dots"]`."""
    kind: Kind
    replaces: bool
    """Whether the change replaces the resource."""

    @property
    def place(self) -> str:
        """Its path without indices."""
        return place_of(self.path)


def between(type_: str, there: State, inputs: Mapping[str, Any], tags: Mapping[str, str] | None) -> list[Change]:
    """What changes when a resource gets these inputs; `tags` are all its tags, the provider's included."""
    found = [
        Change(path=path, kind=kind, replaces=_replaces(type_, place_of(path), kind))
        for path, kind in _differences(there.inputs, inputs, "")
        if place_of(path) not in _plans(type_).get("noDiff", ())
    ]
    before = there.outputs.get("tagsAll")
    if before is not None and tags is not None and before != tags and not any(one.place == "tags" for one in found):
        found.append(Change(path="tagsAll", kind="changed", replaces=False))
    return found


def planned(type_: str, there: State, inputs: Mapping[str, Any], changes: list[Change]) -> dict[str, Any]:
    """The properties that a preview of an update in place shows."""
    known = properties(there, inputs)
    for path, outputs in _plans(type_).get("recomputes", {}).items():
        if any(f"{one.place}.".startswith(f"{path}.") for one in changes):
            known |= dict.fromkeys(outputs, UNKNOWN)
    return known


def properties(there: State, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of a resource after a change of its inputs: what AWS computed is kept, also inside an object."""
    return _laid_over(there.outputs, there.inputs, inputs)


def _laid_over(outputs: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    laid = {key: value for key, value in outputs.items() if key not in before} | dict(after)
    for key in outputs.keys() & before.keys() & after.keys():
        if is_object(outputs[key]) and is_object(before[key]) and is_object(after[key]):
            laid[key] = _laid_over(outputs[key], before[key], after[key])
    return laid


def _differences(old: Any, new: Any, path: str) -> Iterator[tuple[str, Kind]]:
    """Path and kind of every difference; for an added or removed block also those of its content."""
    if isinstance(old, dict | None) and isinstance(new, dict | None) and (path == "" or old or new):
        before, after = cast("dict[str, Any]", old or {}), cast("dict[str, Any]", new or {})
        if path and (old is None) is not (new is None):
            yield path, "added" if old is None else "removed"
        for key in sorted({*before, *after}):
            if not key.startswith("__"):
                yield from _differences(before.get(key), after.get(key), _under(path, key))
    elif isinstance(old, list) and isinstance(new, list):
        before, after = cast("list[Any]", old), cast("list[Any]", new)
        for index in range(max(len(before), len(after))):
            here = f"{path}[{index}]"
            if index >= len(before) or index >= len(after):
                yield here, "added" if index >= len(before) else "removed"
            else:
                yield from _differences(before[index], after[index], here)
    elif old != new:
        yield path, _kind(old, new)


def _kind(old: Any, new: Any) -> Kind:
    match old, new:
        case None, _:
            return "added"
        case _, None:
            return "removed"
        case _ if holds_unknown(new):
            return "unknown"
        case bool(), _:
            return "changed"
        case ((int() | float()), (int() | float())):
            return "raised" if new > old else "lowered"
        case _:
            return "changed"


def _replaces(type_: str, place: str, kind: Kind) -> bool:
    plans = _plans(type_)
    if place in plans.get("replacesWhen", {}):
        return kind in plans["replacesWhen"][place]
    if kind in ("added", "removed") and place in plans.get("replacesAsBlock", ()):
        return True
    return any(f"{place}.".startswith(f"{input_}.") for input_ in plans.get("replaces", ()))


@cache
def _plans(type_: str) -> dict[str, Any]:
    text = (Path(__file__).parent / "types" / "replacements.json").read_text(encoding="utf-8")
    return json.loads(text)["types"].get(type_, {})


def _under(path: str, key: str) -> str:
    """The path of a key, as the engine writes it."""
    return f'{path}["{key}"]' if re.search(r"[^\w-]", key) else f"{path}.{key}".lstrip(".")


def place_of(path: str) -> str:
    """A path without its indices."""
    return re.sub(r'\["([^"]*)"\]', r".\1", re.sub(r"\[\d+\]", "", path))
