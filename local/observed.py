"""A resource's inputs as AWS has them now, read from what the API returns."""

import json
from collections.abc import Mapping
from typing import Any

from local.parameters import member
from local.wire import is_list, is_object

ABSENT = object()
MAPPINGS = ("labels", "tags")
"""Inputs whose keys the user chooses, so that an additional key is a change."""
PAIR = 2


def observed(
    found: Mapping[str, Any], inputs: Mapping[str, Any], rename: Mapping[str, str], default_tags: Mapping[str, str]
) -> dict[str, Any]:
    """The inputs that have another value in `found`, but not those that are missing there or have another form."""
    now: dict[str, Any] = {}
    for key, value in inputs.items():
        there = _at(found, rename.get(key, key))
        if there is ABSENT:
            continue
        seen = there if key in MAPPINGS and is_object(there) else _like(value, there)
        if key == "tags" and is_object(seen):
            # the provider's own tags are not among the inputs
            seen = {tag: text for tag, text in seen.items() if tag in value or default_tags.get(tag) != text}
        if seen != value:
            now[key] = seen
    return now


def _at(found: Any, dotted: str) -> Any:
    for step in dotted.split("."):
        if not is_object(found) or (name := member(found, step)) is None:
            return ABSENT
        found = found[name]
    return found


def _like(value: Any, there: Any) -> Any:
    """The API's value in the form of the input; the input itself when the forms differ."""
    if is_object(value):
        if is_list(there):
            # a block that may occur only once is a list of one in some APIs
            alone = _like(value, there[0]) if len(there) == 1 else value
            return alone if (pairs := _pairs(there)) is None else pairs
        seen = {key: _at(there, key) for key in value}
        return {key: one if seen[key] is ABSENT else _like(one, seen[key]) for key, one in value.items()}
    if is_list(value):
        return _list_like(value, there) if is_list(there) else value
    match value, there:
        case bool(), str() if there.lower() in ("true", "false"):
            return there.lower() == "true"
        case ((int() | float()), str()) if there.lstrip("-").isdigit():
            return int(there)
        case (bool(), bool()) | ((int() | float()), (int() | float())):
            return there
        case str(), str():
            return value if _same_document(value, there) else there
        case _:
            return value


def _list_like(value: list[Any], there: list[Any]) -> list[Any]:
    """To AWS lists of texts are sets; other lists can be compared only when they have the same length."""
    if all(isinstance(one, str) for one in (*value, *there)):
        return value if sorted(value) == sorted(there) else there
    return [_like(one, now) for one, now in zip(value, there, strict=True)] if len(value) == len(there) else value


def _pairs(there: list[Any]) -> dict[str, Any] | None:
    """A list of key-value pairs, such as tags and dimensions, as a mapping; None for any other list."""
    found: dict[str, Any] = {}
    for one in there:
        named = {name.lower().removeprefix("tag"): one[name] for name in one} if is_object(one) else {}
        key = named.get("key", named.get("name"))
        if key is None or "value" not in named or len(named) != PAIR:
            return None
        found[key] = named["value"]
    return found


def _same_document(value: str, there: str) -> bool:
    try:
        return value[:1] in "{[" and json.loads(value) == json.loads(there)
    except json.JSONDecodeError:
        return False
