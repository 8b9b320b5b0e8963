"""Checks values against the shapes of AWS's APIs, which botocore contains with all their constraints.

Botocore itself checks only types, required members and minimums, and only when a call is made. AWS also checks
enumerations, maximums, lengths and patterns of the same shapes. So does this module, in AWS's words.
"""

import gc
import gzip
import json
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import botocore
from botocore.model import ServiceModel

from local.parameters import member
from local.properties import Property
from local.record import Document
from local.wire import UNKNOWN, is_list, is_object

MODELS = Path(botocore.__file__).parent / "data"
LONGEST_ENUM_SHOWN = 12
"""Longer enumerations, such as the over thousand instance types, are not listed in a message."""
TYPES: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "boolean": (bool, "true or false"),
    "double": ((int, float), "a number"),
    "float": ((int, float), "a number"),
    "integer": (int, "a whole number"),
    "list": (list, "a list"),
    "long": (int, "a whole number"),
    "map": (dict, "an object"),
    "string": (str, "text"),
    "structure": (dict, "an object"),
}
"""Type of a shape -> its type in Python, and its name in messages."""


@cache
def model(service: str) -> Any:
    """A service's newest API. It is read here, because botocore's own loader takes one and a half times as long."""
    newest = max((MODELS / service).iterdir())
    text = gzip.decompress((newest / "service-2.json.gz").read_bytes())
    # otherwise the garbage collector searches all that Pulumi has loaded, and finds nothing
    gc.disable()
    try:
        return ServiceModel(json.loads(text), service)
    finally:
        gc.enable()


def parameters(service: str, operation: str) -> Any:
    """The shape of an operation's parameters."""
    return model(service).operation_model(operation).input_shape


def document(service: str, shape: str) -> Document:
    """A check of JSON whose content is this shape of this service's API."""
    return lambda value, path: exactly(model(service).shape_for(shape), Property(path, value))


def list_of(service: str, shape: str) -> Document:
    """A check of JSON whose content is a list of this shape of this service's API."""

    def check(value: Any, path: str) -> Iterator[str]:
        for one in Property(path, value).elements():
            yield from exactly(model(service).shape_for(shape), one)

    return check


def document_mistakes(given: Property, path: str, grammar: Document) -> Iterator[str]:
    """Mistakes in the JSON text at a path."""
    for one in given.select(path):
        if isinstance(one.value, str) and one.value:
            try:
                value = json.loads(one.value)
            except json.JSONDecodeError as error:
                yield one.wrong(f"contains an invalid JSON: {error.msg[0].lower()}{error.msg[1:]}")
            else:
                yield from grammar(value, one.path)


def exactly(shape: Any, one: Property) -> Iterator[str]:
    """Mistakes in JSON with the API's own keys: types, unknown and required keys, and every constraint."""
    if not one.is_known:
        return
    if not _fits(shape.type_name, one.value):
        yield one.wrong(f"must be {TYPES[shape.type_name][1]}")
        return
    yield from _constraints(shape, one.value, one)
    match shape.type_name:
        case "structure":
            for key in one.value:
                if key in shape.members:
                    yield from exactly(shape.members[key], Property(f"{one.path}.{key}", one.value[key]))
                else:
                    yield one.at(key).wrong(f"is no key of {shape.name}")
            for key in shape.required_members:
                if one.value.get(key) is None:
                    yield f"{one.path}.{key}: is required, got nothing"
        case "list":
            for element in one.elements():
                yield from exactly(shape.member, element)
        case "map":
            for key, value in one.value.items():
                yield from exactly(shape.key, Property(f"{one.path}.{key}", key))
                yield from exactly(shape.value, Property(f"{one.path}.{key}", value))
        case _:
            pass


def _fits(type_name: str, value: object) -> bool:
    kind = TYPES[type_name][0]
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def loosely(shape: Any, inputs: Mapping[str, Any], rename: Mapping[str, str]) -> Iterator[str]:
    """Mistakes in the provider's inputs whose names are those of API parameters but for case or plural."""
    yield from _members(shape, Property("", dict(inputs)), "", rename)


def _members(shape: Any, given: Property, dotted: str, rename: Mapping[str, str]) -> Iterator[str]:
    for key, value in given.value.items():
        inner = f"{dotted}{key}"
        if (found := _find(shape, rename.get(inner, key))) is not None:
            yield from _loosely(found, Property(f"{given.path}.{key}".lstrip("."), value), f"{inner}.", rename)


def _find(shape: Any, dotted: str) -> Any:
    """The member at a dotted name, each step in any case, in the singular or the plural."""
    for step in dotted.split("."):
        while shape.type_name == "list":
            shape = shape.member
        if shape.type_name != "structure" or (name := member(shape.members, step)) is None:
            return None
        shape = shape.members[name]
    return shape


def _loosely(shape: Any, one: Property, dotted: str, rename: Mapping[str, str]) -> Iterator[str]:
    if not one.is_known:
        return
    if is_object(one.value):
        # a block that may occur only once is a list of one in some APIs
        shape = shape.member if shape.type_name == "list" else shape
        if shape.type_name == "structure":
            yield from _members(shape, one, dotted, rename)
    elif is_list(one.value):
        if shape.type_name == "list":
            yield from _constraints(shape, one.value, one)
        if shape.type_name in ("list", "structure"):
            of = shape.member if shape.type_name == "list" else shape
            for element in one.elements():
                yield from _loosely(of, element, dotted, rename)
    elif shape.type_name in ("string", "integer", "long", "double", "float") and not isinstance(one.value, bool):
        yield from _constraints(shape, str(one.value) if shape.type_name == "string" else one.number, one)


def _constraints(shape: Any, value: Any, one: Property) -> Iterator[str]:
    metadata: Mapping[str, Any] = shape.metadata
    if value is None or value == UNKNOWN:
        return
    allowed: list[str] = metadata.get("enum") or []
    if allowed:
        if value not in allowed:
            near = ", ".join(get_close_matches(str(value), allowed)) or "none"
            listed = f"({len(allowed)} values, close to it: {near})"
            yield one.wrong(
                "Member must satisfy enum value set"
                + (f" {listed}" if len(allowed) > LONGEST_ENUM_SHOWN else f": [{', '.join(allowed)}]")
            )
        return
    low, high = metadata.get("min"), metadata.get("max")
    measured, what = (value, "value") if isinstance(value, int | float) else (len(value), "length")
    if low is not None and measured < low:
        yield one.wrong(f"Member must have {what} greater than or equal to {low}")
    elif high is not None and measured > high:
        yield one.wrong(f"Member must have {what} less than or equal to {high}")
    elif (
        isinstance(value, str)
        and (text := metadata.get("pattern"))
        and (pattern := _pattern(text))
        and not pattern.fullmatch(value)
    ):
        yield one.wrong(f"Member must satisfy regular expression pattern: {text}")


@cache
def _pattern(text: str) -> re.Pattern[str] | None:
    """A pattern of Java as one of Python; None where Python cannot express it."""
    if r"\p{" in text:
        return None
    try:
        return re.compile(text, re.ASCII | re.DOTALL)
    except re.error:
        return None
