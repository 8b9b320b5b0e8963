"""How a command says what went wrong, on terminals and in a pipe."""

import io
import re
import sys

import pytest

from local.errors import failed, failures
from stack_file.mistakes import Mistake
from stack_file.reading import Document

TEXT = f"config:\n  queues: {{{'a' * 60}: {{}}, tasks: {{fifo: yes}}}}\n"
WRONG = Mistake(path="queues.tasks.fifo", rule="must be true or false", got="yes", meant="true")


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def said(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, columns: int) -> list[str]:
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm-256color")
    assert failed(None, failures([WRONG], Document("Pulumi.test.yaml", TEXT)), debug=False) == 1
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_a_terminal_breaks_between_words_and_keeps_the_mark_under_its_place(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = said(Screen(), monkeypatch, columns)
    plain = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in lines]
    *message, source, mark = plain
    assert " ".join(line.strip() for line in message) == f"error: Pulumi.test.yaml:2:92: {WRONG}"
    assert max(map(len, [source, mark])) <= columns
    assert source[mark.index("^") :].startswith("yes")
    assert lines[0].startswith("\x1b[1;31merror:")


def test_no_color_is_kept_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert not [line for line in said(Screen(), monkeypatch, 80) if re.search(r"\x1b\[[\d;]*3\dm", line)]


def test_a_pipe_gets_plain_lines_that_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(io.StringIO(), monkeypatch, 20) == [
        f"error: Pulumi.test.yaml:2:92: {WRONG}",
        f"   2 | {TEXT.splitlines()[1]}",
        "     | " + " " * 91 + "^^^",
    ]
