"""Ctrl-C, SIGTERM and a closed terminal, at moments that are events of the process itself, however fast the machine."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, cast

import pytest

from local.kept import FOLDER
from tests.conftest import ROOT

AT_MOMENT = """
import os, runpy, signal, sys, threading, time
module, event, word, number, *arguments = sys.argv[1:]
def again_and_again():
    # to the whole group, as a terminal does
    while True:
        os.killpg(0, int(number))
        time.sleep(0.001)
def hook(seen, about):
    global event
    if seen == event and word in repr(about[:2]):
        event = None
        threading.Thread(target=again_and_again, daemon=True).start()
sys.addaudithook(hook)
sys.argv[1:] = arguments
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
"""Run a module that gets a signal from the first event of this kind that is about this, and then no rest any more."""


def at_moment(
    project: Path, module: str, event: str, word: str, *arguments: str, number: int = signal.SIGINT
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", AT_MOMENT, module, event, word, str(int(number)), *arguments],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end_of(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Its status and what it said on standard error, which nothing that it started may still have when it has ended."""
    said = cast("IO[str]", process.stderr)
    status = process.wait(timeout=60)
    os.set_blocking(said.fileno(), False)
    errors = b""
    while some := os.read(said.fileno(), 65536):  # raises where somebody could still write
        errors += some
    process.communicate()
    return status, errors.decode()


@pytest.mark.parametrize(
    ("event", "word", "command"),
    [
        pytest.param("import", "'local.command_line'", "up", id="it starts"),
        pytest.param("import", "'pulumi'", "preview", id="it imports Pulumi"),
        pytest.param("subprocess.Popen", "'local.moto_process'", "up", id="moto starts"),
        pytest.param("socket.connect", "127.0.0.1", "up", id="it asks moto"),
        pytest.param("subprocess.Popen", "'worker'", "up", id="the worker starts"),
    ],
)
def test_ctrl_c_is_one_line_and_nothing_is_left_when(event: str, word: str, command: str, small_project: Path) -> None:
    assert end_of(at_moment(small_project, "local", event, word, command)) == (130, "interrupted\n")


def test_ctrl_c_while_the_worker_works_ends_it_too(small_project: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "local", "up"],
        cwd=small_project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while "a worker did 3 tasks" not in (line := cast("IO[str]", process.stdout).readline()):
        assert line, process.communicate()
    os.killpg(process.pid, signal.SIGINT)
    assert end_of(process) == (130, "interrupted\n")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_it_ends_so_when_it_is_told_to_or_loses_its_terminal(
    number: signal.Signals, status: int, small_project: Path
) -> None:
    process = at_moment(small_project, "local", "subprocess.Popen", "'local.moto_process'", "up", number=number)
    assert end_of(process) == (status, "interrupted\n")


def test_an_aws_that_shall_stay_does_not_when_its_start_is_broken_off(small_project: Path) -> None:
    command = ("aws", "sqs", "list-queues")
    process = at_moment(small_project, "local", "subprocess.Popen", "'local.moto_process'", *command)
    assert end_of(process) == (130, "interrupted\n")
    with (small_project / FOLDER / "aws").open() as mark:
        # whoever is an AWS holds it
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_signal_that_is_ignored_stays_so() -> None:
    program = "import os, signal; from local import interrupt; interrupt.listen(); os.kill(0, signal.SIGHUP); print(1)"
    done = subprocess.run(
        ["nohup", sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, start_new_session=True
    )
    assert (done.returncode, done.stdout) == (0, "1\n")


def test_what_may_not_be_left_half_done_is_done_first() -> None:
    program = """
import os, signal
from local import interrupt
interrupt.listen()
with interrupt.undone(lambda: os.write(1, b"undone, ")), interrupt.held():
    with interrupt.held():
        signal.raise_signal(signal.SIGINT)
    os.write(1, b"done, ")
    raise Exception
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "done, undone, ", "interrupted\n")


def test_a_worker_that_is_told_to_stop_while_it_starts_has_stopped() -> None:
    process = at_moment(ROOT, "worker", "import", "'worker.settings'")
    assert end_of(process) == (0, "")
