"""A YAML file as the Pulumi CLI reads it (YAML 1.2, and a few habits of its own), and where everything in it stands.

What the CLI refuses is a mistake here, and so is what the CLI reads differently from what was meant: a key that is
there twice, a date without quotes, a second document.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import yaml
from yaml.composer import ComposerError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

from stack_file.mistakes import NOTHING, SECRET, Mistake, Place

DEEPEST = 50
"""Most levels of nesting; a stack file has six."""
MOST_VALUES = 100_000
"""Most values in a file. Values behind an alias count each time: a few aliases can stand for billions."""
SHORTEST_ORIGIN = 3
"""Shortest value, in characters, that is looked for in a longer text."""
WIDEST = 160
"""Columns of a line that are shown when the width of the screen is not known."""
TAG = "tag:yaml.org,2002:"
PLAIN = "plain"
"""Tag of a text without quotes; it may be a number, a date and so on."""
TAGS = {PLAIN, *(TAG + kind for kind in ("str", "int", "float", "bool", "null", "map", "seq", "merge"))}
"""Tags that are accepted; programs do not agree on the meaning of YAML's other tags."""
WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
WHOLE = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
"""Sign, and digits to the bases of `BASES`."""
BASES = (16, 2, 8, 10)
FRACTION = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
LARGEST_WITHOUT_EXPONENT = 1e21
"""From this number on Go writes JSON numbers with an exponent."""
ENDLESS = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
DATE = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)"
    r"(?:(?:([Tt])| )(\d\d?):(\d\d?):(\d\d?)(?:\.(\d+))?(?(4)(Z|[-+]\d\d:\d\d)))?"
)
"""Year, month, day; with a time also T, hour, minute, second, fraction and, after a T, a zone."""


class _Loader(yaml.SafeLoader):
    """PyYAML's parser without its meaning of a text without quotes, which is that of YAML 1.1."""

    depth = 0

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        del value
        if kind is ScalarNode:
            return PLAIN if implicit[0] else TAG + "str"
        return TAG + ("map" if kind is MappingNode else "seq")

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        if self.depth > DEEPEST:
            mark = cast("Any", self).peek_event().start_mark
            raise ComposerError(None, None, f"must have at most {DEEPEST} levels of nesting", mark)
        node = cast("Any", super()).compose_node(parent, index)
        self.depth -= 1
        return node


class Document:
    """A file's content, its mistakes as YAML, and the place of everything in it."""

    def __init__(self, name: str, text: str, project: str = "") -> None:
        """Read a text.

        Raises:
            WrongStackFileError: when it is no YAML, or no object, so that its content is not known.

        """
        self.name, self.project = name, project
        self.mistakes: list[Mistake] = []
        self._lines = re.split(r"\r\n|[\n\r\x85\u2028\u2029]", text)
        self._inside: list[Node] = []
        self._values = 0
        try:
            root: Node | None = cast("Any", yaml).compose(text, _Loader)
        except yaml.YAMLError as error:
            raise WrongStackFileError([_of_yaml(error, text)], self) from None
        if root is None or (root.tag == PLAIN and WORDS.get(root.value, True) is None):
            raise WrongStackFileError([Mistake(path="", rule="is empty", place=Place(line=1, column=1))], self)
        if not isinstance(root, MappingNode):
            wrong = Mistake(path="", rule="must be an object, lines of `key: value`", place=_place(root))
            raise WrongStackFileError([wrong], self)
        self._root = root
        self._hide(root)
        self.content: dict[str, Any] = self._mapping(root, ())

    def place(self, mistake: Mistake) -> Place | None:
        """The place of a mistake: its value, or the key if that is wrong or if the value takes several lines.

        The place of something missing is the nearest key above it that exists.
        """
        if mistake.place is not None:
            return mistake.place
        key, value, rest = self._find(mistake.path)
        if key is None or value is None:
            # the place of something missing in the configuration is its beginning
            return self.top("config") or Place(line=1, column=1) if mistake.path else None
        if not rest and not mistake.of_key and not (isinstance(key, ScalarNode) and key.value == mistake.got):
            items: list[Node] = value.value if isinstance(value, SequenceNode) else []
            value = next((one for one in items if one.value == mistake.got), value)
            if value.start_mark.line == value.end_mark.line and value.start_mark.column < value.end_mark.column:
                return _place(value)
        return _place(key)

    def top(self, key: str) -> Place | None:
        """The place of a key at the top of the file."""
        return next((_place(node) for node, _ in self._pairs(self._root) if node.value == key), None)

    def shown(self, mistake: Mistake, width: int = WIDEST) -> list[str]:
        """A mistake with its place, the source line, and a mark under the place."""
        place = self.place(mistake)
        if place is None:
            return [str(mistake)]
        gutter = f"{place.line:>4} | "
        room = max(width - len(gutter), 10)
        line = self._lines[place.line - 1] if place.line <= len(self._lines) else ""
        # a tab would move the mark
        line, begin = "".join(one if one.isprintable() else " " for one in line), place.column - 1
        cut = 0
        while cut < begin and _columns(line[cut : begin + place.length]) > room - 6 * bool(cut):
            cut += 1
        if cut:
            line, begin = f"...{line[cut:]}", begin - cut + 3
        if _columns(line) > room:
            while _columns(line) > room - 3:
                line = line[:-1]
            line += "..."
        marked = max(1, _columns(line[begin : begin + place.length]))
        return [
            f"{self.name}:{place.line}:{place.column}: {mistake}",
            f"{gutter}{line}".rstrip(),
            f"{' ' * 4} | {' ' * _columns(line[:begin])}{'^' * marked}",
        ]

    def sorted(self, mistakes: Iterable[Mistake]) -> list[Mistake]:
        """Mistakes in the order of the file, those without a place last."""

        def where(mistake: Mistake) -> tuple[int, int]:
            place = self.place(mistake)
            return (len(self._lines) + 1, 0) if place is None else (place.line, place.column)

        return sorted(mistakes, key=where)

    def origin(self, text: str) -> tuple[str, Place] | None:
        """Path and place of the value in a section that a text contains; None unless exactly one fits."""
        found: dict[int, list[tuple[str, Node]]] = {}
        sections = [self._named(node, top=False) for key, node in self._pairs(self._root) if key.value == "config"]
        own = f"{self.project}:"
        left = [
            (name.removeprefix(own), node)
            for section in sections
            for name, _, node in section
            if name.startswith(own) or ":" not in name
        ]
        seen = set[int]()
        while left:
            path, node = left.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            left += [(f"{path}.{name}", inner) for name, _, inner in self._named(node, top=False)]
            if isinstance(node, ScalarNode) and re.search(rf"(?<!\w){re.escape(node.value)}(?!\w)", text):
                found.setdefault(len(node.value), []).append((path, node))
        longest = found[max(found)] if found else []
        if len(longest) != 1 or max(found) < SHORTEST_ORIGIN:
            return None
        path, node = longest[0]
        return path, _place(node)

    def _find(self, path: str) -> tuple[Node | None, Node | None, str]:
        """The key and value at a path, or of the longest part of it that exists, and the rest of the path."""
        key: Node | None = None
        value = next((one for name, one in self._pairs(self._root) if name.value == "config"), None)
        while path and value is not None:
            found = [
                (len(name), one, inner, path[len(name) + 1 :])
                for name, one, inner in self._named(value, top=key is None)
                if path == name or path.startswith(f"{name}.")
            ]
            if not found:
                break
            # the first of the longest names: an object's own key comes before one that it merges
            _, key, value, path = max(found, key=lambda one: one[0])
        return key, value, path

    def _named(self, node: Node, *, top: bool) -> Iterator[tuple[str, Node, Node]]:
        """Name, key and value of everything in an object or list; at the top also without the project's namespace."""
        for index, item in enumerate(node.value if isinstance(node, SequenceNode) else ()):
            yield str(index), item, item
        for key, value in self._pairs(node):
            yield key.value, key, value
            if top:
                yield key.value.removeprefix(f"{self.project}:"), key, value

    def _pairs(self, node: Node, within: tuple[Node, ...] = ()) -> Iterator[tuple[ScalarNode, Node]]:
        """Keys and values of an object, those in force first: the last of equal keys, its own before merged ones."""
        if not isinstance(node, MappingNode) or node in within:
            return
        own = [(key, value) for key, value in node.value if isinstance(key, ScalarNode) and not _merges(key)]
        yield from reversed(own)
        for value in (value for key, value in node.value if _merges(key)):
            for one in value.value if isinstance(value, SequenceNode) else (value,):
                yield from self._pairs(one, (*within, node))

    def _value(self, node: Node, path: tuple[str, ...]) -> Any:
        self._values += 1
        if self._values > MOST_VALUES:
            rule = f"must stand for at most {MOST_VALUES:,} values, those behind an alias counted each time"
            raise WrongStackFileError([Mistake(path="", rule=rule, place=_place(node))], self)
        if node.tag not in TAGS:
            self._wrong(node, path, f"must have no tag of its own, which is {node.tag.replace(TAG, '!!')}")
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        if any(one is node for one in self._inside):
            self._wrong(node, path, "must not contain itself through an alias")
            return None
        self._inside.append(node)
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, path)
            return [self._value(one, (*path, str(index))) for index, one in enumerate(node.value)]
        finally:
            self._inside.pop()

    def _mapping(self, node: MappingNode, path: tuple[str, ...]) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if _merges(key_node):
                sources: list[Node] = value_node.value if isinstance(value_node, SequenceNode) else [value_node]
                for source in sources:
                    found = self._value(source, path)
                    if isinstance(found, dict):
                        merged = {**found, **merged}
                    else:
                        self._wrong(source, path, "must be an object, or a list of them, to be merged by <<")
                continue
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in own:
                self._wrong(key_node, (*path, key), f"is there twice, first in line {lines[key]}")
            lines.setdefault(key, key_node.start_mark.line + 1)
            own[key] = self._value(value_node, (*path, key))
        return {**merged, **own}

    def _key(self, node: Node, path: tuple[str, ...]) -> str | None:
        """A key as text; None when it cannot be a key."""
        found = self._scalar(node, path) if isinstance(node, ScalarNode) else None
        match found:
            case str():
                return found
            case bool():
                return str(found).lower()
            case int() | float():
                return f"{found:g}" if isinstance(found, float) else str(found)
            case _:
                self._wrong(node, path, "must be text to be a key; put it in quotes")
                return None

    def _scalar(self, node: ScalarNode, path: tuple[str, ...]) -> Any:
        text: str = node.value
        if any("\ud800" <= one <= "\udfff" for one in text):
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if node.tag == TAG + "str" or node.tag not in TAGS:
            return text
        if text in WORDS:
            return WORDS[text]
        if ENDLESS.fullmatch(text):
            self._wrong(node, path, "must be a finite number", text)
        elif (date := _date(text)) is not None:
            self._wrong(node, path, "is a date in YAML unless it has quotes", text, f'"{text}"')
            return date
        number = _number(text.replace("_", ""))
        return text if number is None else number

    def _wrong(
        self, node: Node, path: tuple[str, ...], rule: str, got: object = NOTHING, meant: str | None = None
    ) -> None:
        within = path[1:] if path[:1] == ("config",) and len(path) > 1 else path
        name = ".".join(within).removeprefix(f"{self.project}:")
        self.mistakes.append(Mistake(path=name, rule=rule, got=got, meant=meant, place=_place(node)))

    def _hide(self, root: Node) -> None:
        """Replace secrets by asterisks, so that no message shows them."""
        seen = set[tuple[int, bool]]()
        left = [(root, False)]
        while left:
            node, hidden = left.pop()
            if (id(node), hidden) in seen:
                continue
            seen.add((id(node), hidden))
            if isinstance(node, MappingNode):
                left += [
                    (value, hidden or bool(isinstance(key, ScalarNode) and SECRET.search(key.value)))
                    for key, value in node.value
                ]
            elif isinstance(node, SequenceNode):
                left += [(one, hidden) for one in node.value]
            elif hidden and not node.value.startswith("arn:"):
                self._cover(node)

    def _cover(self, node: Node) -> None:
        begin, end = node.start_mark, node.end_mark
        for number in range(begin.line, min(end.line + 1, len(self._lines))):
            line = self._lines[number]
            first = begin.column if number == begin.line else 0
            last = end.column if number == end.line else len(line)
            self._lines[number] = line[:first] + "*" * (last - first) + line[last:]


class WrongStackFileError(Exception):
    """A stack file with mistakes; the message has a line for each."""

    def __init__(self, mistakes: Iterable[Mistake], document: Document | None = None) -> None:
        self.mistakes = [*{(one.path, one.rule): one for one in mistakes}.values()]
        self.document = document
        """The file, when it was read."""
        super().__init__("\n".join(str(one) for one in self.mistakes))


def read(path: Path, project: str = "") -> Document:
    """Read a file.

    Raises:
        WrongStackFileError: when it cannot be read, or is not text, not YAML or not an object.

    """
    try:
        return Document(path.name, path.read_bytes().decode("utf-8-sig"), project)
    except OSError as error:
        rule = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        rule = f"must be text in UTF-8, which it is not in line {line}"
    raise WrongStackFileError([Mistake(path=path.name, rule=rule)]) from None


def _of_yaml(error: yaml.YAMLError, text: str) -> Mistake:
    """A PyYAML error in words for somebody who writes a stack file."""
    if isinstance(error, ReaderError):
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - before.rfind("\n")
        rule = f"must not hold the character U+{ord(text[error.position]):04X}"
        return Mistake(path="", rule=rule, place=Place(line=line, column=column))
    said, mark = cast("Any", error).problem or "", cast("Any", error).problem_mark
    match said:
        case "found character '\\t' that cannot start any token":
            rule = "must be indented by spaces, not by a tab"
        case "but found another document":
            rule = "must be one document, and `---` begins another"
        case "mapping values are not allowed here":
            rule = "is no YAML: a text with a colon and a space in it must be in quotes, and keys line up"
        case _:
            rule = said if said.startswith("must") else f"is no YAML: {said}"
    return Mistake(path="", rule=rule, place=Place(line=mark.line + 1, column=mark.column + 1))


def _date(text: str) -> str | None:
    """A time as Go writes it; None for a text that is no time."""
    if (match := DATE.fullmatch(text)) is None:
        return None
    year, month, day, _, hour, minute, second, fraction, zone = (part or "0" for part in match.groups())
    try:
        time = datetime.strptime(f"{year}-{month}-{day} {hour}:{minute}:{second}", "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007
    except ValueError:
        return None
    offset = "+0000 UTC" if zone in "0Z" else " ".join([zone.replace(":", "")] * 2)
    return f"{time} {offset}" if not fraction.strip("0") else f"{time}.{fraction.rstrip('0')} {offset}"


def _number(text: str) -> float | None:
    """A number as in Go and JSON, whole if it has no fraction; None for other text, and if it is too large for Go."""
    if match := WHOLE.fullmatch(text):
        sign, *digits = match.groups()
        whole = next(int(one, base) for one, base in zip(digits, BASES, strict=True) if one is not None)
        number = -whole if sign == "-" else whole
        return number if -(2**63) <= number < 2**64 else float(number)
    if FRACTION.fullmatch(text) and math.isfinite(number := float(text)):
        return int(number) if number.is_integer() and abs(number) < LARGEST_WITHOUT_EXPONENT else number
    return None


def _place(node: Node) -> Place:
    begin, end = node.start_mark, node.end_mark
    length = end.column - begin.column if end.line == begin.line else 1
    return Place(line=begin.line + 1, column=begin.column + 1, length=max(length, 1))


def _merges(key: Node) -> bool:
    return isinstance(key, ScalarNode) and key.value == "<<" and key.tag in (PLAIN, TAG + "merge")


def _columns(text: str) -> int:
    """How wide a text is on a screen."""
    return sum(
        2 if unicodedata.east_asian_width(one) in "WF" else 0 if unicodedata.combining(one) else 1 for one in text
    )
