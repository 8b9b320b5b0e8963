"""How commands show what they found: a table on a terminal, plain lines in a pipe, JSON where it is asked for."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, cast

from rich.console import Console
from rich.table import Table
from rich.text import Text


def rows(found: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, as_json: bool) -> None:
    """Show what there is of one kind.

    Args:
        found: each with the same keys; JSON has all of them, under their own names.
        columns: key -> heading, of what a table and a line show. Lines have no headings, and two blanks between the
            columns; what is empty is a dash, so that each line has as many words as columns of one word.
        as_json: whether to write a JSON array instead.

    """
    if as_json:
        print(json.dumps(list(found), indent=2, default=str), flush=True)
        return
    cells = [[_cell(one.get(key)) for key in columns] for one in found]
    console = Console(highlight=False)
    if console.is_terminal:
        table = Table(*columns.values(), box=None, pad_edge=False, header_style="bold")
        for row in cells:
            table.add_row(*map(Text, row))
        console.print(table)
        return
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    sys.stdout.flush()


def one(document: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """Show one thing, or the next of what goes on: a line of text, or the document as a line of JSON."""
    print(json.dumps(document, default=str) if as_json else text, flush=True)


def hint(text: str) -> None:
    """Say what to do next, where it does not mix with what a program reads."""
    print(text, file=sys.stderr, flush=True)


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple):
        value = " ".join(map(str, cast("list[Any]", value)))
    return "-" if value in (None, "") else " ".join(str(value).split())
