"""A mistake in a stack file: where it stands, the rule, what was got, and what was perhaps meant."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final, cast

LONGEST_SHOWN = 120
"""Characters of a value in a message."""
CLOSE = 0.7
"""How similar two words must be, from 0 to 1, for one to be suggested for the other."""


SECRET = re.compile(r"secret|secure", re.IGNORECASE)
"""If a key matches, the values under it are not shown."""


class _Nothing:
    """The value of `got` when a mistake does not show one."""


NOTHING: Final = _Nothing()


@dataclass(frozen=True, kw_only=True)
class Place:
    """A place in a file; lines and columns are counted from 1."""

    line: int
    column: int
    length: int = 1
    """How many characters are marked."""


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One mistake in a stack file."""

    path: str
    """Keys joined by dots; empty for a mistake of the whole file."""
    rule: str
    """The rule that is broken, in words."""
    got: object = NOTHING
    """The value that was got instead."""
    meant: str | None = None
    """What was perhaps meant, as a suggestion."""
    of_key: bool = False
    """Whether the key itself is wrong, not its value."""
    place: Place | None = None
    """Where it stands, if that is known already; otherwise it is found by the path."""

    def is_in(self, path: str) -> bool:
        """Whether it is at or under a path."""
        return f"{self.path}.".startswith(f"{path}.")

    def __str__(self) -> str:
        *above, last = self.path.split(".")
        hidden = self.got != last and any(SECRET.search(one) for one in [*above, last])
        got = "" if isinstance(self.got, _Nothing) or hidden else f", got {shown(self.got)}"
        meant = "" if self.meant is None else f"; did you mean {self.meant}?"
        path = "" if not self.path else f"{printable(self.path)}: "
        return f"{path}{self.rule}{got}{meant}"


def near(word: object, words: Iterable[str]) -> str | None:
    """The word of `words` that is most similar to a word, whatever its case; None when none is similar enough."""

    def alike(one: str) -> float:
        return SequenceMatcher(None, _letters(one), _letters(str(word))).ratio()

    best = max(words, key=alike, default=None)
    return best if best is not None and str(word) and best != word and alike(best) >= CLOSE else None


def shown(value: object) -> str:
    """A value as a person writes it, on one line, cut when it is long."""
    text = _written(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def printable(text: str) -> str:
    """A text in which every character that cannot be shown on a line is escaped."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _written(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return f"'{printable(value[: LONGEST_SHOWN + 1])}'"
        case dict():
            pairs = [*cast("Mapping[str, Any]", value).items()][:LONGEST_SHOWN]
            texts = [f"{_written(key)}: {'***' if SECRET.search(key) else _written(one)}" for key, one in pairs]
            return "{" + ", ".join(texts) + "}"
        case list() | tuple():
            return "[" + ", ".join(_written(one) for one in cast("Sequence[Any]", value)[:LONGEST_SHOWN]) + "]"
        case _:
            return printable(str(value))


def _letters(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower()) or word
