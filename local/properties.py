"""A resource's inputs for a check: the path of each value, and what is wrong with it, a line for each mistake.

A value that is missing, or that a preview does not know yet, is no mistake.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from local.wire import UNKNOWN, is_list, is_object

LONGEST_SHOWN = 120
"""Characters of a value in a message."""


@dataclass(frozen=True)
class Property:
    """A value and its path."""

    path: str
    value: Any

    def at(self, path: str) -> "Property":
        """The value at a dotted path under this one; None where there is none."""
        value = self.value
        for key in path.split("."):
            if value != UNKNOWN:
                value = value.get(key) if is_object(value) else None
        return Property(f"{self.path}.{path}".lstrip("."), value)

    def select(self, path: str) -> "Iterator[Property]":
        """Every known value at a path under this one: `a.b` goes into objects, `a[].b` into each element of a list."""
        head, each, rest = path.partition("[]")
        found = self.at(head) if head else self
        if found.is_known and each:
            for one in found.elements():
                yield from one.select(rest.removeprefix(".")) if rest else [one] if one.is_known else []
        elif found.is_known:
            yield found

    def elements(self) -> "Iterator[Property]":
        """The elements of a list; none of anything else."""
        for index, value in enumerate(self.value if is_list(self.value) else ()):
            yield Property(f"{self.path}[{index}]", value)

    def parsed(self, path: str) -> "Property":
        """The content of the JSON text at a path under this one; None where there is none."""
        one = self.at(path)
        try:
            return Property(one.path, json.loads(one.value) if isinstance(one.value, str) and one.is_known else None)
        except json.JSONDecodeError:
            return Property(one.path, None)

    @property
    def is_known(self) -> bool:
        """Whether there is a value, and it is known."""
        return self.value is not None and self.value != UNKNOWN

    @property
    def is_given(self) -> bool:
        """Whether there is a value, known or not; an empty value does not count."""
        return self.value not in (None, [], {}, "")

    @property
    def number(self) -> float | None:
        """The value as a number, also where it is written as text."""
        if isinstance(self.value, str) and re.fullmatch(r"-?\d+(\.\d+)?", self.value):
            return float(self.value)
        return float(self.value) if isinstance(self.value, int | float) and not isinstance(self.value, bool) else None

    def within(self, path: str, low: float, high: float, words: str | None = None) -> Iterator[str]:
        """Mistakes unless the number is from `low` to `high`, both included."""
        for one in self.select(path):
            if one.number is not None and not low <= one.number <= high:
                # in the words of the provider, which refuses it before AWS does
                yield one.wrong(words or f"expected to be in the range ({low} - {high})")

    def one_of(self, path: str, *allowed: object, words: str | None = None) -> Iterator[str]:
        """Mistakes unless the value is one of these."""
        for one in self.select(path):
            if one.value not in allowed:
                yield one.wrong(words or f"expected to be one of [{', '.join(map(str, allowed))}]")

    def matches(self, path: str, pattern: str, words: str) -> Iterator[str]:
        """Mistakes unless the pattern matches the whole text."""
        for one in self.select(path):
            if isinstance(one.value, str) and not re.fullmatch(pattern, one.value):
                yield one.wrong(words)

    def at_most(self, path: str, largest: int, what: str) -> Iterator[str]:
        """Mistakes when a text has more bytes, or a list more elements, than `largest`."""
        for one in self.select(path):
            size = len(one.value.encode()) if isinstance(one.value, str) else len(one.value)
            if size > largest:
                yield Property(one.path, size).wrong(f"must have at most {largest} {what}")

    def required(self, path: str) -> Iterator[str]:
        """Mistakes unless there is a value."""
        if not self.at(path).is_given:
            yield f"{self.at(path).path}: is required, got nothing"

    def wrong(self, rule: str) -> str:
        """The line that says that this value breaks a rule."""
        return f"{self.path}: {rule.removesuffix('.')}, got {shown(self.value)}"


def shown(value: object) -> str:
    """A value as a person writes it, on one line, cut when it is long."""
    if isinstance(value, str):
        text = f"'{value}'"
    elif value is None:
        text = "nothing"
    else:
        text = json.dumps(value) if isinstance(value, bool) or is_list(value) or is_object(value) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."
