"""Limits that hold for every type: of tags (AWS general reference, "Tag naming limits and requirements")."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from local.checks.plain import is_list, is_object, wrong
from local.checks.rules import Inputs
from local.engine import UNKNOWN

TAGS_PER_RESOURCE = 50
KEY_CHARACTERS = 128
VALUE_CHARACTERS = 256


def mistakes(type_: str, inputs: Inputs) -> Iterator[str]:
    """Tags that AWS refuses, on the resource and on what it starts."""
    if type_.startswith(("aws:", "eks:")):
        yield from _walk(inputs, "")


def _walk(value: Any, path: str) -> Iterator[str]:
    if is_object(value):
        for key, one in value.items():
            inner = f"{path}.{key}" if path else key
            if (key == "tags" or key.endswith("Tags")) and is_object(one):
                yield from _tags(one, inner)
            else:
                yield from _walk(one, inner)
    elif is_list(value):
        for index, one in enumerate(value):
            yield from _walk(one, f"{path}[{index}]")


def _tags(tags: Mapping[str, Any], path: str) -> Iterator[str]:
    if len(tags) > TAGS_PER_RESOURCE:
        yield wrong(path, f"must have at most {TAGS_PER_RESOURCE} tags", len(tags))
    for key, value in tags.items():
        where = f"{path}.{key}"
        if not 1 <= len(key) <= KEY_CHARACTERS:
            yield wrong(where, f"must have a key of 1 to {KEY_CHARACTERS} characters", key)
        if key.lower().startswith("aws:"):
            yield wrong(where, "Tag keys starting with 'aws:' are reserved for internal use", key)
        if isinstance(value, str) and value != UNKNOWN:
            if len(value) > VALUE_CHARACTERS:
                yield wrong(where, f"must have a value of at most {VALUE_CHARACTERS} characters", len(value))
            for text in (key, value):
                if not re.fullmatch(r"[\w\s.:/=+\-@]*", text):
                    yield wrong(where, "must be letters, digits, white space and _.:/=+-@", text)
