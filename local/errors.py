"""How a command reports errors."""

import shutil
import sys
import textwrap
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from json import dumps
from typing import Any

from stack_file.mistakes import Mistake, Place
from stack_file.reading import WIDEST, Document

FAILED = 1
"""The exit status of a command that failed."""
BEGINNING = "error: "


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An error in one line, and its place in the stack file if it has one."""

    message: str
    """The text, which is shown after the place."""
    source: Sequence[str] = ()
    """The line of the file, and a mark under the place."""
    path: str | None = None
    file: str | None = None
    place: Place | None = None

    def __str__(self) -> str:
        where = "" if self.place is None else f"{self.file}:{self.place.line}:{self.place.column}: "
        return f"{where}{self.message}"

    @property
    def document(self) -> dict[str, Any]:
        """The failure as data."""
        where = {} if self.place is None else {"line": self.place.line, "column": self.place.column}
        named = {key: text for key, text in (("path", self.path), ("file", self.file)) if text}
        return {"message": self.message, **named, **where}


def failures(mistakes: Iterable[Mistake], document: Document | None) -> list[Failure]:
    """Mistakes in a stack file, in its order, with source lines that fit the width of the screen."""
    if document is None:
        return [Failure(message=str(one), path=one.path) for one in mistakes]
    width = shutil.get_terminal_size().columns if sys.stderr.isatty() else WIDEST
    made: list[Failure] = []
    for one in document.sorted(mistakes):
        place, source = document.place(one), document.shown(one, width)[1:]
        file = None if place is None else document.name
        made.append(Failure(message=str(one), source=source, path=one.path, file=file, place=place))
    return made


def refused(error: BaseException | None, found: Sequence[Failure], *, json: bool, debug: bool) -> int:
    """Report why a command did not start, with `json` also on standard output; return the exit status."""
    if json:
        print(dumps({"mistakes": [one.document for one in found]}, indent=2))
    return failed(error, found, debug=debug)


def failed(error: BaseException | None, found: Iterable[Failure | str], *, debug: bool) -> int:
    """Report every error on standard error; return the exit status."""
    # imported here, because a command that succeeds does not need it
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for one in found:
        failure = Failure(message=one) if isinstance(one, str) else one
        lines = [f"{BEGINNING}{failure}"]
        if console.is_terminal:
            lines = textwrap.wrap(
                lines[0], console.width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
            )
        text = Text("\n".join(lines))
        text.stylize("bold red", 0, len(BEGINNING))
        console.print(text)
        for line, style in zip(failure.source, ("", "bold red"), strict=False):
            console.print(Text(line, style))
    if debug:
        traceback.print_exception(error)
    return FAILED
