"""How a check is written: a table per resource type, of rules that say which value is wrong and why."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.checks.plain import is_list, is_object, mapping, number, wrong
from local.checks.references import Known
from local.engine import UNKNOWN

Inputs = Mapping[str, Any]
Rule = Callable[[Inputs, Known], Iterator[str]]
"""Yields a line for each mistake in a resource's inputs; an unknown value is none."""

Document = Callable[[Any, str], Iterator[str]]
"""Yields a line for each mistake in a parsed JSON document that is the value of an input at a path."""


@dataclass(frozen=True, kw_only=True)
class Checks:
    """What is checked of a resource type beside what its SDK class declares."""

    api: tuple[str, str] | None = None
    """Service and operation whose parameters the inputs become: their enums, ranges, lengths and patterns hold."""
    rename: Mapping[str, str] = field(default_factory=dict[str, str])
    """Dotted path of an input -> its dotted name in the operation, where that is another word."""
    documents: Mapping[str, Document] = field(default_factory=dict[str, Document])
    """Path of an input that holds JSON -> its grammar."""
    values: Sequence[Rule] = ()
    """What AWS refuses and moto does not."""
    limits: Sequence[Rule] = ()
    """AWS's lengths and counts."""


def select(inputs: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every value at a path that is there and known: `a.b` goes into objects, `a[].b` into each element of a list."""
    yield from _select(inputs, path.replace("[]", ".[]").split("."), "")


def _select(value: Any, steps: Sequence[str], path: str) -> Iterator[tuple[str, Any]]:
    if value is None or value == UNKNOWN:
        return
    if not steps:
        yield path, value
    elif steps[0] == "[]" and is_list(value):
        for index, item in enumerate(value):
            yield from _select(item, steps[1:], f"{path}[{index}]")
    elif is_object(value):
        found = mapping(value).get(steps[0])
        yield from _select(found, steps[1:], f"{path}.{steps[0]}" if path else steps[0])


def within(path: str, low: float, high: float, words: str | None = None) -> Rule:
    """A number at the path lies between two others, both of which it may be."""
    # the words of the provider, which refuses it before AWS can
    said = words or f"expected to be in the range ({low} - {high})"

    def rule(inputs: Inputs, known: Known) -> Iterator[str]:
        del known
        for where, value in select(inputs, path):
            if (given := number(value)) is not None and not low <= given <= high:
                yield wrong(where, said, value)

    return rule


def one_of(path: str, *allowed: object, words: str | None = None) -> Rule:
    """A value at the path is one of these."""
    said = words or f"expected to be one of [{', '.join(map(str, allowed))}]"

    def rule(inputs: Inputs, known: Known) -> Iterator[str]:
        del known
        for where, value in select(inputs, path):
            if value not in allowed:
                yield wrong(where, said, value)

    return rule


def matching(path: str, pattern: str, words: str) -> Rule:
    """The text at the path is as the whole pattern says."""

    def rule(inputs: Inputs, known: Known) -> Iterator[str]:
        del known
        for where, value in select(inputs, path):
            if isinstance(value, str) and not re.fullmatch(pattern, value):
                yield wrong(where, words, value)

    return rule


def not_matching(path: str, pattern: str, words: str) -> Rule:
    """The text at the path has nothing of the pattern."""

    def rule(inputs: Inputs, known: Known) -> Iterator[str]:
        del known
        for where, value in select(inputs, path):
            if isinstance(value, str) and re.search(pattern, value):
                yield wrong(where, words, value)

    return rule


def at_most(path: str, largest: int, what: str) -> Rule:
    """A text at the path has no more bytes, or a list no more elements, than this."""

    def rule(inputs: Inputs, known: Known) -> Iterator[str]:
        del known
        for where, value in select(inputs, path):
            size = len(value.encode()) if isinstance(value, str) else len(value)
            if size > largest:
                yield wrong(where, f"must have at most {largest} {what}", size)

    return rule


def ordered(smaller: str, larger: str, words: str) -> Rule:
    """The number at one path is not over that at another."""

    def rule(inputs: Inputs, known: Known) -> Iterator[str]:
        del known
        for where, value in select(inputs, smaller):
            for _, limit in select(inputs, larger):
                if (low := number(value)) is not None and (high := number(limit)) is not None and low > high:
                    yield wrong(where, words.format(limit=limit), value)

    return rule


def conflicting(path: str, others: Sequence[str]) -> Rule:
    """An input stands alone: none of the others is given with it."""

    def rule(inputs: Inputs, known: Known) -> Iterator[str]:
        del known
        if given(inputs, path):
            for other in others:
                if given(inputs, other):
                    yield wrong(path, f"conflicts with {other}", value_at(inputs, path))

    return rule


def given(inputs: Any, path: str) -> bool:
    """Whether an input is there, known or not."""
    return value_at(inputs, path) not in (None, [], {}, "")


def value_at(inputs: Any, path: str) -> Any:
    """The value at a path through objects, or None."""
    for step in path.split("."):
        inputs = mapping(inputs).get(step)
    return inputs


def parsed(inputs: Any, path: str) -> Any:
    """The JSON document at a path, or None when it is not there, unknown or no JSON."""
    text = value_at(inputs, path)
    try:
        return json.loads(text) if isinstance(text, str) and text != UNKNOWN else None
    except json.JSONDecodeError:
        return None
