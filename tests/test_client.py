"""The program `train` as such: its command line, what it imports, and how it is installed."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from client import command_line
from tests.conftest import ROOT


def run(*arguments: str, python: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *python, "-m", "client", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_alone_it_says_what_there_is(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search("^  smoke +say whether what a deployed stack exports is there and healthy$", done.stdout, re.M)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["smok"], "No such command 'smok'. Did you mean 'smoke'?"),
        (["smoke", "a\nb"], "Got unexpected extra argument(s) (a\\x0ab)"),
        (["smoke", "--round"], "No such option: --round (Possible options: --round-trip)"),
        (["smoke", "[red]more[/red]"], "Got unexpected extra argument(s) ([red]more[/red])"),
        (["smoke", "--outputs"], "Option '--outputs' requires an argument."),
    ],
)
def test_a_wrong_command_line_is_one_line(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(arguments) == 2
    assert capsys.readouterr() == ("", f"error: {line}\n")


def test_what_is_not_installed_is_one_line() -> None:
    # -S: without the folder of what is installed
    done = run("smoke", python=("-S",))
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"error: \w+ is not installed in \S+; `make local` installs it\n", done.stderr)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_what_cannot_be_written_is_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "client", "--help"], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"error: standard output: No space left on device\n")


def test_a_reader_who_leaves_is_told_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "client", "--help"], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def imported(*modules: str) -> set[str]:
    """The packages that are imported with these modules."""
    program = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in shown.stdout.split()}


def test_a_check_needs_neither_pulumi_nor_moto_nor_anything_of_another_room() -> None:
    names = (path.relative_to(ROOT).with_suffix("") for path in (ROOT / "client").rglob("*.py"))
    packages = imported(*(".".join(name.parts) for name in names))
    assert "boto3" in packages
    rooms = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()} | {"settings"}
    assert {"client", "components", "local"} <= rooms
    assert packages & {"pulumi", "pulumi_aws", "moto", *rooms} == {"client"}


def test_help_waits_for_no_sdk() -> None:
    assert not imported("client.__main__", "client.command_line") & {"boto3", "botocore", "rich"}


def test_what_is_installed_with_it_is_what_the_tests_run_with() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = dict(re.findall(r"^(\S+)==(\S+)$", (ROOT / "requirements-dev.txt").read_text(encoding="utf-8"), re.M))
    wanted = [Requirement(one) for one in project["dependencies"]]
    assert {one.name for one in wanted} == {"boto3", "rich", "typer"}
    for one in wanted:
        assert one.specifier.contains(pinned[one.name]), str(one)
