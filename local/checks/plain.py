"""Plain values, as inputs and JSON have them, and how a mistake in one reads."""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeGuard


def wrong(path: str, rule: str, value: object) -> str:
    """One mistake, as one line."""
    return f"{path}: {rule.removesuffix('.')}, got {shown(value)}"


def missing(path: str) -> str:
    """What is not there and has to be, as one line."""
    return f"{path}: is required, got nothing"


def shown(value: object) -> str:
    """A value as a person writes it, on one line and not at length."""
    match value:
        case str():
            text = f"'{value}'"
        case None:
            text = "nothing"
        case bool() | list() | dict():
            text = json.dumps(value)
        case _:
            text = str(value)
    text = " ".join(text.split())
    return text if len(text) <= 120 else f"{text[:117]}..."


def is_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether JSON calls this an object."""
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether JSON calls this a list."""
    return isinstance(value, list)


def mapping(value: Any) -> Mapping[str, Any]:
    """An object; an empty one for anything else."""
    return value if is_object(value) else {}


def objects(value: Any) -> list[Mapping[str, Any]]:
    """The elements of a list, each as an object; none for anything else."""
    return [mapping(one) for one in value] if is_list(value) else []


def number(value: Any) -> float | None:
    """A number, also one that is written as text."""
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return float(value)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
