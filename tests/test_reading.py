"""A stack file is read as the CLI reads it, and each mistake in it is shown where it stands."""

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stack_file.mistakes import Mistake
from stack_file.reading import DEEPEST, Document, WrongStackFileError, read
from tests.conftest import ROOT

FILE = "Pulumi.test.yaml"
BILLION = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcde", "bcdef", strict=True)
)


def document(text: str) -> Document:
    return Document(FILE, text, "distributed-training")


def opened(text: str) -> tuple[Document, list[Mistake]]:
    """A text as far as it can be read, and all that is wrong with it as YAML."""
    try:
        read = document(text)
    except WrongStackFileError as error:
        if error.document is None:
            raise
        return error.document, error.mistakes
    return read, read.mistakes


def wrong(text: str) -> list[str]:
    """The first line of each mistake of a text, with its place."""
    read, mistakes = opened(text)
    return [read.shown(one)[0].removeprefix(f"{FILE}:") for one in mistakes]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("off", "off"),
        ("y", "y"),
        ("True", True),
        ("~", None),
        ("", None),
        ("1:30", "1:30"),
        ("4.0", 4),
        ("5e4", 50_000),
        ("1.35", 1.35),
        (".5", 0.5),
        ("1.", 1),
        ("0o17", 15),
        ("017", 15),
        ("08", 8),
        ("0x1F", 31),
        ("0b11", 3),
        ("1_000", 1000),
        ("+5", 5),
        ("-0", 0),
        ("1e400", "1e400"),
        ("12345678901234567890123", 1.2345678901234568e22),
        ("'1.35'", "1.35"),
        ("!!str 5", "5"),
        ("!!int '7'", 7),
        ("!!float 3", 3),
        ("[a, 1]", ["a", 1]),
        ("{1: a, true: b, 1.5: c, 017: d}", {"1": "a", "true": "b", "1.5": "c", "15": "d"}),
        ('"\\ud83d\\ude00"', "😀"),
        ('"\\ud800"', "\ufffd"),
    ],
)
def test_a_value_is_what_the_cli_takes_it_for(text: str, value: Any) -> None:
    read = document(f"a: {text}\n")
    assert read.mistakes == []
    assert read.content == {"a": value}
    assert type(read.content["a"]) is type(value)


@pytest.mark.parametrize("text", ["2026-01-02", "2026-1-2", "2026-01-02 0:0:0", "2026-01-02T00:00:00.0Z"])
def test_a_date_is_what_the_cli_makes_of_it_beside_the_mistake(text: str) -> None:
    assert document(f"a: {text}\n").content == {"a": "2026-01-02 00:00:00 +0000 UTC"}


def test_an_alias_and_a_merge_stand_for_what_they_name() -> None:
    read = document("a: &x {b: 1, c: 2}\nd: *x\ne: {<<: *x, c: 3}\nf: {<<: [{b: 4}, *x]}\n")
    assert read.mistakes == []
    assert read.content == {
        "a": {"b": 1, "c": 2},
        "d": {"b": 1, "c": 2},
        "e": {"b": 1, "c": 3},
        "f": {"b": 4, "c": 2},
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "1:1: is empty"),
        ("# nothing\n", "1:1: is empty"),
        ("~\n", "1:1: is empty"),
        ("- a\n", "1:1: must be an object, lines of `key: value`"),
        ("hello\n", "1:1: must be an object, lines of `key: value`"),
        ("config:\n\ta: 1\n", "2:1: must be indented by spaces, not by a tab"),
        ("config: {}\n---\nconfig: {}\n", "2:1: must be one document, and `---` begins another"),
        ("a: b: c\n", "1:5: is no YAML: a text with a colon and a space in it must be in quotes, and keys line up"),
        ("a: [1\n", "2:1: is no YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: *b\n", "1:4: is no YAML: found undefined alias 'b'"),
        ("a: \x00\n", "1:4: must not hold the character U+0000"),
        ("a: " + "[" * 99, f"1:{DEEPEST + 3}: must have at most {DEEPEST} levels of nesting"),
        ("a: &a {b: *a}\n", "1:4: a.b: must not contain itself through an alias"),
        (BILLION, "1:4: must stand for at most 100,000 values, those behind an alias counted each time"),
        ("a: !!binary aGVsbG8=\n", "1:4: a: must have no tag of its own, which is !!binary"),
        ("a: !mine b\n", "1:4: a: must have no tag of its own, which is !mine"),
        ("a: [1, .inf]\n", "1:8: a.1: must be a finite number, got '.inf'"),
        ("a: .NaN\n", "1:4: a: must be a finite number, got '.NaN'"),
        (
            "a: 2026-01-01\n",
            "1:4: a: is a date in YAML unless it has quotes, got '2026-01-01'; did you mean \"2026-01-01\"?",
        ),
        ("a: {~: 1}\n", "1:5: a: must be text to be a key; put it in quotes"),
        ("a: {[1]: 1}\n", "1:5: a: must be text to be a key; put it in quotes"),
        ("a: {<<: 5}\n", "1:9: a: must be an object, or a list of them, to be merged by <<"),
        (
            "config:\n  distributed-training:queues: {tasks: {}, 'tasks': {}}\n",
            "2:44: queues.tasks: is there twice, first in line 2",
        ),
    ],
)
def test_what_the_cli_refuses_or_takes_for_something_else_is_a_mistake(text: str, line: str) -> None:
    assert wrong(text) == [line]


def test_a_file_that_is_no_text_or_not_there_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"config:\n  a: \xff\n")
    with pytest.raises(WrongStackFileError, match=f"{FILE}: must be text in UTF-8, which it is not in line 2"):
        read(tmp_path / FILE)
    with pytest.raises(WrongStackFileError, match=r"no\.yaml: cannot be read: No such file or directory"):
        read(tmp_path / "no.yaml")


STACK_FILE = """\
config:
  aws:region: us-west-2
  distributed-training:queues:
    tasks: {fifo: yes}
  network: {interfaceEndpoints: [sqs, ecr.ap]}
  distributed-training:batch:
    a:
      environment: {X.Y: 1}
"""


@pytest.mark.parametrize(
    ("mistake", "place"),
    [
        (Mistake(path="aws:region", rule=""), (2, 15, 9)),
        (Mistake(path="aws:region", rule="", of_key=True), (2, 3, 10)),
        (Mistake(path="queues.tasks.fifo", rule="", got="yes"), (4, 19, 3)),
        # an object of several lines is marked at its key, and so is what is not there
        (Mistake(path="queues", rule=""), (3, 3, 27)),
        (Mistake(path="queues.results", rule=""), (3, 3, 27)),
        (Mistake(path="queues.tasks.maxReceiveCount", rule=""), (4, 5, 5)),
        (Mistake(path="eks.version", rule=""), (1, 1, 6)),
        (Mistake(path="network.interfaceEndpoints.1", rule=""), (5, 39, 6)),
        (Mistake(path="network.interfaceEndpoints", rule="", got="ecr.ap"), (5, 39, 6)),
        (Mistake(path="network.interfaceEndpoints", rule="", got=["sqs", "ecr.ap"]), (5, 33, 13)),
        (Mistake(path="batch.a.environment.X.Y", rule=""), (8, 26, 1)),
        (Mistake(path="batch.a.environment.X.Y", rule="", got="X.Y"), (8, 21, 3)),
    ],
)
def test_a_mistake_stands_at_its_value_or_its_key(mistake: Mistake, place: tuple[int, int, int]) -> None:
    found = document(STACK_FILE).place(mistake)
    assert found is not None
    assert (found.line, found.column, found.length) == place


def test_a_text_is_traced_to_the_one_value_that_it_is_made_with() -> None:
    read = document(STACK_FILE)
    found = read.origin("no service 'com.amazonaws.us-west-2.ecr.ap' here")
    assert found is not None
    assert (found[0], found[1].line, found[1].column) == ("network.interfaceEndpoints.1", 5, 39)
    # of another namespace, too short, in a longer word, twice
    assert read.origin("us-west-2") is None
    assert read.origin("1") is None
    assert read.origin("sqss") is None
    assert document("config:\n  network: {a: same, b: same}\n").origin("same") is None


@pytest.mark.parametrize("width", [20, 40, 80, 160])
@pytest.mark.parametrize("before", [0, 30, 300])
@pytest.mark.parametrize("after", [0, 300])
def test_the_mark_is_under_what_it_marks_however_narrow_the_screen(width: int, before: int, after: int) -> None:
    text = f"config: {{a{'日x' * before}: 1, wrong: 2, b{'y' * after}: 3}}\n"
    read = document(text)
    _, source, mark = read.shown(Mistake(path="wrong", rule="", of_key=True), width)
    assert max(columns(source), columns(mark)) <= width
    begin = columns(mark[: mark.index("^")])
    assert at_column(source, begin).startswith("wrong" if width > 20 else "wro")
    assert mark.count("^") >= 5


def columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


def at_column(text: str, column: int) -> str:
    """What is left of a text from a column on."""
    while column > 0:
        column -= columns(text[0])
        text = text[1:]
    return text


@pytest.mark.parametrize(
    "text",
    [
        "config:\n  batch: {a: {secrets: {TOKEN: hunter2}, gpus: 99}}\n",
        "config:\n  batch:\n    a: {gpus: 99, secrets: [hunter2]}\n",
        "config:\n  batch: {a: {gpus: 99, mySecret: &s hunter2}}\n",
        "config:\n  batch: {a: {gpus: 99, secrets: {TOKEN: 'a\n     hunter2'}}}\n",
    ],
)
def test_a_secret_in_a_line_is_not_shown(text: str) -> None:
    read = document(text)
    shown = read.shown(Mistake(path="batch.a.gpus", rule="must be less", got=99))
    assert "hunter2" not in "\n".join(shown)
    assert all(len(shown) == 3 and "hunter2" not in line for line in read.shown(Mistake(path="batch.a", rule="")))


FRAGMENTS = (
    *("yes", "no", "~", "null", "1.35", "1:30", "0o17", "1_000", "5e4", ".inf", "-.inf", ".nan", "2026-01-01"),
    *("!!binary aGVsbG8=", "!mine x", "*a", "&a ", "&a {b: *a}", "<<: *a", "? [a]", "'", '"', "[", "{", "]", "}", ","),
    *("\t", "\n", "\n\n  ", "---\n", "...\n", "%YAML 1.1\n", "@", "`", "|\n", ">-\n", "#", ": ", "- ", "\x00", "\x07"),
    *("\u2028", "\ufeff", "日本", "12345678901234567890123", "1e400", "[" * 60, "us-wset-2", "us-west-2a", "'': ''"),
    *(
        "config:\n",
        "aws:region: ",
        "aws:defaultTags: hello\n",
        "distributed-training:queues: ",
        "a:b:c: 1\n",
        "5: {a: 1}",
    ),
    *(
        "tasks: ",
        "secure: x",
        "{secure: x}",
        "secrets: {A: b}",
        "vpcId: vpc-1",
        "existing: {}",
        "gpus: 99",
        "version: ",
    ),
)
"""What a hand may put anywhere into a stack file."""
BASES = [(ROOT / f"Pulumi.{stack}.yaml").read_text() for stack in ("dev", "prod")] + [STACK_FILE, ""]


@st.composite
def raw(draw: st.DrawFn) -> str:
    """A stack file after a few slips of a hand."""
    text = draw(st.sampled_from(BASES))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        gone = draw(st.integers(0, 12))
        text = text[:at] + draw(st.sampled_from(FRAGMENTS) | st.text(max_size=4)) + text[at + gone :]
    return text


@settings(
    deadline=None, derandomize=True, database=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow]
)
@given(text=raw())
def test_any_text_is_read_or_refused_in_three_lines_a_mistake(text: str) -> None:
    read, mistakes = opened(text.encode("utf-8", "replace").decode())
    for one in mistakes:
        said, source, mark = read.shown(one, 60)
        assert said.startswith(f"{FILE}:")
        assert "\n" not in said
        assert said.isprintable()
        assert max(columns(source), len(mark)) <= 60
        assert set(mark) <= set(" |^")
