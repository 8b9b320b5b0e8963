"""How a command says what went wrong."""

import sys
import traceback

FAILED = 1
"""The exit status."""


def failed(error: BaseException | None, lines: list[str], *, debug: bool) -> int:
    """Every mistake as a line of its own on standard error; the exit status."""
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    if debug:
        traceback.print_exception(error)
    return FAILED
