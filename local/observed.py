"""Inputs of a resource as AWS has them now, out of what the API says of it."""

import json
from collections.abc import Mapping
from typing import Any, cast

from local.parameters import member

ABSENT = object()
PAIR = 2


def observed(
    found: Mapping[str, Any], inputs: Mapping[str, Any], rename: Mapping[str, str], default_tags: Mapping[str, str]
) -> dict[str, Any]:
    """The inputs that have another value in what was found; one that is not found there, or not alike, stays."""
    now: dict[str, Any] = {}
    for key, value in inputs.items():
        there = _at(found, rename.get(key, key))
        if there is ABSENT:
            continue
        seen = _like(value, there)
        if key == "tags" and isinstance(seen, dict):
            # the provider's own tags are not among the inputs
            own = cast("dict[str, Any]", seen).items()
            seen = {tag: text for tag, text in own if tag in value or default_tags.get(tag) != text}
        if seen != value:
            now[key] = seen
    return now


def _at(found: Any, dotted: str) -> Any:
    for step in dotted.split("."):
        if not isinstance(found, Mapping):
            return ABSENT
        there = cast("Mapping[str, Any]", found)
        if (name := member(there, step)) is None:
            return ABSENT
        found = there[name]
    return found


def _like(value: Any, there: Any) -> Any:
    """What the API says, in the form that the input has; the input itself where the two are not alike."""
    match value, there:
        case bool(), bool():
            return there
        case bool(), str() if there.lower() in ("true", "false"):
            return there.lower() == "true"
        case ((int() | float()), str()) if there.lstrip("-").isdigit():
            return int(there)
        case ((int() | float()), (int() | float())):
            return there
        case str(), str():
            return value if _same_document(value, there) else there
        case list(), list():
            return _list_like(cast("list[Any]", value), cast("list[Any]", there))
        case dict(), list() if _pairs(there) is not None:
            return _pairs(there)
        case dict(), dict():
            given, seen = cast("dict[str, Any]", value), cast("dict[str, Any]", there)
            return {key: one if (now := _at(seen, key)) is ABSENT else _like(one, now) for key, one in given.items()}
        case _:
            return value


def _list_like(value: list[Any], there: list[Any]) -> list[Any]:
    """Lists of texts are sets to AWS; of others only those of one length can be laid beside each other."""
    if all(isinstance(one, str) for one in (*value, *there)):
        return value if sorted(value) == sorted(there) else there
    return [_like(one, now) for one, now in zip(value, there, strict=True)] if len(value) == len(there) else value


def _pairs(there: list[Any]) -> dict[str, Any] | None:
    """A list of keys and values, as tags and dimensions are, as a mapping."""
    found: dict[str, Any] = {}
    for one in there:
        named = {name.lower().removeprefix("tag"): text for name, text in one.items()} if isinstance(one, dict) else {}
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
