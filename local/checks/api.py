"""Values against the shapes of the APIs that take them, which botocore ships with every service's constraints.

Botocore itself checks types, required members and the lower ends of ranges, and only when a call is made. AWS checks
enumerations, both ends, lengths and patterns as well, from the same shapes, and so do these, in AWS's words.
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
from botocore.model import DenormalizedStructureBuilder, ServiceModel

from local.checks.plain import is_list, is_object, missing, wrong
from local.checks.rules import Document
from local.engine import UNKNOWN

MODELS = Path(botocore.__file__).parent / "data"
LONGEST_ENUM_SHOWN = 12
"""An instance type's enumeration has over a thousand members; nobody reads them in a message."""

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
"""Type of a shape -> the type that JSON gives it, and how a person calls it."""


@cache
def model(service: str) -> Any:
    """A service's newest API; read here, because botocore's own loader takes half as long again."""
    newest = max((MODELS / service).iterdir())
    text = gzip.decompress((newest / "service-2.json.gz").read_bytes())
    # meanwhile the collector would walk through all that Pulumi has loaded, and find nothing
    gc.disable()
    try:
        return ServiceModel(json.loads(text), service)
    finally:
        gc.enable()


def parameters(service: str, operation: str) -> Any:
    """The shape of an operation's parameters."""
    return model(service).operation_model(operation).input_shape


def document(service: str, shape: str) -> Document:
    """JSON whose content is this shape of this service's API."""
    return lambda value, path: exactly(model(service).shape_for(shape), value, path)


def list_of(service: str, shape: str) -> Document:
    """JSON whose content is a list of this shape of this service's API."""

    def check(value: Any, path: str) -> Iterator[str]:
        if not is_list(value):
            yield wrong(path, "must be a list", value)
            return
        for index, one in enumerate(value):
            yield from exactly(model(service).shape_for(shape), one, f"{path}[{index}]")

    return check


def described(shape: Mapping[str, Any]) -> Document:
    """JSON whose grammar is published outside of any API, said in the form of botocore's own shapes."""

    @cache
    def built() -> Any:
        builder: Any = DenormalizedStructureBuilder()
        return builder.with_members({"document": shape}).build_model().members["document"]

    return lambda value, path: exactly(built(), value, path)


def exactly(shape: Any, value: Any, path: str) -> Iterator[str]:
    """JSON in the API's own words: types, unknown and required keys, and every constraint."""
    if value is None or value == UNKNOWN:
        return
    if not _fits(shape.type_name, value):
        yield wrong(path, f"must be {TYPES[shape.type_name][1]}", value)
        return
    yield from _constraints(shape, value, path)
    match shape.type_name:
        case "structure":
            for key, one in value.items():
                inner = f"{path}.{key}"
                if key in shape.members:
                    yield from exactly(shape.members[key], one, inner)
                else:
                    yield wrong(inner, f"is no key of {shape.name}", one)
            for key in shape.required_members:
                if value.get(key) is None:
                    yield missing(f"{path}.{key}")
        case "list":
            for index, one in enumerate(value):
                yield from exactly(shape.member, one, f"{path}[{index}]")
        case "map":
            for key, one in value.items():
                yield from exactly(shape.key, key, f"{path}.{key}")
                yield from exactly(shape.value, one, f"{path}.{key}")
        case _:
            pass


def _fits(type_name: str, value: object) -> bool:
    kind = TYPES[type_name][0]
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def loosely(shape: Any, inputs: Mapping[str, Any], rename: Mapping[str, str]) -> Iterator[str]:
    """Inputs in the provider's words, as far as they are parameters of an operation in another case or number."""
    yield from _members(shape, inputs, "", "", rename)


def _members(shape: Any, inputs: Mapping[str, Any], path: str, dotted: str, rename: Mapping[str, str]) -> Iterator[str]:
    for key, value in inputs.items():
        inner = f"{dotted}{key}"
        if (member := _find(shape, rename.get(inner, key))) is not None:
            yield from _loosely(member, value, f"{path}{key}", f"{inner}.", rename)


def _find(shape: Any, dotted: str) -> Any:
    """The member at a dotted name, each step in any case, in the singular or the plural."""
    for step in dotted.split("."):
        while shape.type_name == "list":
            shape = shape.member
        if shape.type_name != "structure":
            return None
        names = {_singular(name): name for name in shape.members} | {name.lower(): name for name in shape.members}
        name = names.get(step.lower()) or names.get(_singular(step))
        if name is None:
            return None
        shape = shape.members[name]
    return shape


def _singular(name: str) -> str:
    name = name.lower()
    return f"{name[:-3]}y" if name.endswith("ies") else name.removesuffix("s")


def _loosely(shape: Any, value: Any, path: str, dotted: str, rename: Mapping[str, str]) -> Iterator[str]:
    if value is None or value == UNKNOWN:
        return
    if is_object(value):
        # a block that may occur only once is a list of one in some APIs
        shape = shape.member if shape.type_name == "list" else shape
        if shape.type_name == "structure":
            yield from _members(shape, value, f"{path}.", dotted, rename)
    elif is_list(value):
        items = value
        if shape.type_name == "list":
            yield from _constraints(shape, items, path)
            for index, one in enumerate(items):
                yield from _loosely(shape.member, one, f"{path}[{index}]", dotted, rename)
        elif shape.type_name == "structure":
            for index, one in enumerate(items):
                yield from _loosely(shape, one, f"{path}[{index}]", dotted, rename)
    elif shape.type_name in ("string", "integer", "long", "double", "float") and not isinstance(value, bool):
        yield from _constraints(shape, _scalar(shape.type_name, value), path)


def _scalar(kind: str, value: Any) -> Any:
    if kind == "string":
        return str(value).lower() if isinstance(value, bool) else str(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def _constraints(shape: Any, value: Any, path: str) -> Iterator[str]:
    metadata: Mapping[str, Any] = shape.metadata
    allowed: list[str] = metadata.get("enum") or []
    if allowed:
        if value not in allowed:
            if len(allowed) > LONGEST_ENUM_SHOWN:
                near = ", ".join(get_close_matches(str(value), allowed)) or "none"
                yield wrong(
                    path, f"Member must satisfy enum value set ({len(allowed)} values, close to it: {near})", value
                )
            else:
                yield wrong(path, f"Member must satisfy enum value set: [{', '.join(allowed)}]", value)
        return
    low, high = metadata.get("min"), metadata.get("max")
    measured, what = (value, "value") if isinstance(value, int | float) else (len(value), "length")
    if low is not None and measured < low:
        yield wrong(path, f"Member must have {what} greater than or equal to {low}", _short(value))
    elif high is not None and measured > high:
        yield wrong(path, f"Member must have {what} less than or equal to {high}", _short(value))
    elif (
        isinstance(value, str)
        and (text := metadata.get("pattern"))
        and (pattern := _pattern(text))
        and not pattern.fullmatch(value)
    ):
        yield wrong(path, f"Member must satisfy regular expression pattern: {text}", value)


def _short(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


@cache
def _pattern(text: str) -> re.Pattern[str] | None:
    """A pattern in Java's words, as Python has it; None where Python has no such words."""
    if r"\p{" in text:
        return None
    try:
        return re.compile(text, re.ASCII | re.DOTALL)
    except re.error:
        return None
