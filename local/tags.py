"""Limits of tags, which hold for every type (AWS general reference, "Tag naming limits and requirements")."""

import re
from collections.abc import Iterator
from typing import Any, cast

from local.properties import Property
from local.wire import UNKNOWN

TAGS_PER_RESOURCE = 50
KEY_CHARACTERS = 128
VALUE_CHARACTERS = 256


def mistakes(given: Property) -> Iterator[str]:
    """Tags that AWS refuses, on a resource and on what it starts."""
    for one in given.elements():
        yield from mistakes(one)
    if isinstance(given.value, dict):
        for key in cast("dict[str, Any]", given.value):
            inner = Property(f"{given.path}.{key}".lstrip("."), given.value[key])
            tagged = (key == "tags" or key.endswith("Tags")) and isinstance(inner.value, dict)
            yield from _tags(inner) if tagged else mistakes(inner)


def _tags(tags: Property) -> Iterator[str]:
    if len(tags.value) > TAGS_PER_RESOURCE:
        yield Property(tags.path, len(tags.value)).wrong(f"must have at most {TAGS_PER_RESOURCE} tags")
    for key, value in tags.value.items():
        where = f"{tags.path}.{key}"
        if not 1 <= len(key) <= KEY_CHARACTERS:
            yield Property(where, key).wrong(f"must have a key of 1 to {KEY_CHARACTERS} characters")
        if key.lower().startswith("aws:"):
            yield Property(where, key).wrong("Tag keys starting with 'aws:' are reserved for internal use")
        if isinstance(value, str) and value != UNKNOWN:
            if len(value) > VALUE_CHARACTERS:
                yield Property(where, len(value)).wrong(f"must have a value of at most {VALUE_CHARACTERS} characters")
            for text in (key, value):
                if not re.fullmatch(r"[\w\s.:/=+\-@]*", text):
                    yield Property(where, text).wrong("must be letters, digits, white space and _.:/=+-@")
