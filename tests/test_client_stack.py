"""How `train` finds the stack that a command is about."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from client import command_line
from local.aws import Aws
from tests.conftest import RunStack
from tests.support import write_program

PULUMI = """
import os, sys
expected = ["stack", "output", "--json", "--stack", "dev", "--non-interactive"]
if sys.argv[1:] != expected:
    sys.exit(f"error: no stack named '{sys.argv[5]}' found")
print(os.environ["SAID"])
"""


@pytest.fixture(scope="module")
def exports(run_sections: RunStack) -> dict[str, Any]:
    return run_sections({"queues": {"tasks": {}, "results": {}}}, preview=False).exports


@pytest.fixture(autouse=True)
def _environment(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "TRAIN_OUTPUTS", "TRAIN_STACK", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def file(exports: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps(exports))
    return path


@pytest.fixture
def pulumi(exports: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CLI that knows one stack, `dev`."""
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    write_program(program, PULUMI, "-IS")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SAID", json.dumps(exports))


def send(*options: str) -> int:
    return command_line.main(["task", "send", "tasks", *options, "--", "true"])


def test_a_file_is_named_by_an_option_or_in_the_environment(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert send("--outputs", str(file)) == 0
    monkeypatch.setenv("TRAIN_OUTPUTS", str(file))
    assert send() == 0
    assert capsys.readouterr().err == ""


def test_an_option_counts_more_than_the_environment(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRAIN_OUTPUTS", "/nowhere")
    monkeypatch.setenv("TRAIN_STACK", "another")
    assert send("--outputs", str(file)) == 0
    assert send() == 1
    assert capsys.readouterr().err == "error: /nowhere: cannot be read: No such file or directory\n"


@pytest.mark.usefixtures("pulumi")
def test_a_stack_without_parameters_is_asked_of_pulumi(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert send("--stack", "dev") == 0
    monkeypatch.setenv("TRAIN_STACK", "dev")
    assert send() == 0
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("pulumi")
def test_a_stack_that_nobody_knows_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert send("--stack", "gone") == 1
    assert capsys.readouterr() == (
        "",
        (
            "error: stack 'gone': there is no /distributed-training/gone/outputs in Parameter Store of this account"
            " and region; and `pulumi stack output` says: error: no stack named 'gone' found\n"
        ),
    )


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ([], "which stack? give --stack NAME or --outputs FILE, or set TRAIN_STACK or TRAIN_OUTPUTS"),
        (["--stack", "dev", "--outputs", "a"], "--stack and --outputs: give one of them, got both"),
    ],
)
def test_without_one_stack_nothing_is_asked(options: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert send(*options) == 1
    assert capsys.readouterr().err.startswith(f"error: {line}")


def test_a_name_that_is_none_of_the_stacks_is_answered_with_those_that_there_are(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(["task", "send", "taks", "--outputs", str(file), "--", "true"]) == 1
    assert capsys.readouterr().err == "error: queue: must be one of this stack's (results, tasks), got 'taks'\n"
