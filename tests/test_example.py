"""What `make example` says of a training that it compares, of a machine without room, and when it is stopped."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, cast
from unittest.mock import Mock

import pytest

from local.aws import Aws
from tests.conftest import ROOT
from tools import example

Attempt = tuple[list[int], int, str]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the nodes' environment is; nothing is there yet."""
    monkeypatch.setattr(example, "ENVIRONMENT", tmp_path / "environment")
    return tmp_path / "environment"


def install(environment: Path, python: str = "") -> None:
    """Leave what an installation leaves, with something that stands for Python."""
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").write_text(f"#!/bin/sh\n{python}")
    (environment / "bin" / "python").chmod(0o755)
    shutil.copy(example.LOCK, environment / "installed")


def test_nothing_is_installed_where_there_is_no_room(
    environment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", Mock(return_value=Mock(free=2_100_000_000)))
    # the handlers are this process's own
    monkeypatch.setattr(signal, "signal", Mock())
    assert example.main() == 1
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", f"error: torch needs 6 GB of free disk in {ROOT}, which has 2.1\n")
    assert not environment.exists()


def test_what_is_installed_is_kept_until_the_lock_is_another(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", Mock(return_value=Mock(returncode=2)))
    install(environment)
    assert example.installed() == environment / "bin" / "python"
    (environment / "installed").write_text("torch==1")
    with pytest.raises(example.ExampleError, match="torch is not installed: uv ends with 2"):
        example.installed()


@pytest.mark.parametrize(
    ("reclaimed", "resumed", "undisturbed", "said"),
    [
        (([75, 75], 40, "9"), ([0, 0], 90, "3"), ([0, 0], 90, "3"), "the same loss after step 90, .*: 3"),
        (([75, 75], 40, "9"), ([0, 0], 90, "4"), ([0, 0], 90, "3"), "must end like the other: .*'4'.*'3'"),
        (([75, 75], 40, "9"), ([0, 0], 60, "3"), ([0, 0], 60, "3"), "must end like the other"),
        (([75, 75], 40, "9"), ([0, 1], 90, "3"), ([0, 1], 90, "3"), "must end like the other"),
        (([75, 1], 40, "9"), ([0, 0], 90, "3"), ([0, 0], 90, "3"), r"that Batch tries again, not with \[75, 1\]"),
    ],
)
def test_only_the_same_loss_after_a_code_that_is_tried_again_is_right(
    reclaimed: Attempt, resumed: Attempt, undisturbed: Attempt, said: str, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example, "train", Mock(side_effect=[reclaimed, resumed, undisturbed]))
    if said.startswith("the same"):
        assert said.split(", ")[0] in example.compare(Path(), aws)
    else:
        with pytest.raises(example.ExampleError, match=said):
            example.compare(Path(), aws)


def test_ctrl_c_is_one_line_and_ends_the_nodes(environment: Path, aws: Aws) -> None:
    node = "trap 'touch \"$0.$AWS_BATCH_JOB_NODE_INDEX\"; exit' TERM\necho 4 processes start after step 0\n"
    install(environment, node + "while :; do sleep 0.05; done")
    program = (
        "import pathlib, sys; from tools import example\n"
        f"example.ENVIRONMENT = pathlib.Path({str(environment)!r})\n"
        # that of the tests, which runs already
        f"there = example.Aws({aws.region!r}, endpoint_url={aws.endpoint_url!r})\n"
        "example.Aws = lambda *_, **__: there\n"
        "sys.exit(example.main())"
    )
    started = 0
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for line in cast("IO[str]", process.stdout):
            started += "4 processes start" in line
            if started == example.NODES:
                process.send_signal(signal.SIGINT)
        assert cast("IO[str]", process.stderr).read() == "interrupted\n"
    assert process.returncode == 130
    assert {path.name for path in (environment / "bin").iterdir()} == {"python", "python.0", "python.1"}
