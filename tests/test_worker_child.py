"""A task's child process: its end, its output, and how it is stopped."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.worker_support import wait_until
from worker import child
from worker.child import MAX_LINE_BYTES, TAIL_CHARACTERS, TAIL_LINES, Ended, Output, Stop


def run(*command: str, stops: Sequence[Stop] = (), grace_seconds: float = 60) -> Ended:
    """Run a command, and ask it for each of these stops once it has written a line, the last again and again."""
    lines: list[str] = []
    left = list(stops)

    def stop() -> Stop | None:
        if not lines or not left:
            return None
        return left.pop(0) if len(left) > 1 else left[0]

    return child.run(command, os.environ, stop=stop, grace_seconds=grace_seconds, on_line=lines.append)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # an orphan that nobody has waited for yet
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def test_exit_code_and_both_outputs_are_kept() -> None:
    ended = run("sh", "-c", "echo out; echo err >&2; printf tail; exit 3")
    assert (ended.exit_code, ended.stopped, ended.output) == (3, None, ["out", "err", "tail"])


def test_a_child_that_a_signal_ended_has_a_negative_exit_code() -> None:
    assert run("sh", "-c", "kill -9 $$").exit_code == -signal.SIGKILL


@pytest.mark.parametrize("command", ["no-such-program", "/", "/etc/passwd"])
def test_a_command_that_cannot_start_says_why(command: str) -> None:
    ended = run(command)
    assert ended.exit_code is None
    assert ended.error
    assert ended.error.startswith("could not be started: [Errno ")


def test_a_child_reads_nothing_from_the_worker() -> None:
    assert run("cat").exit_code == 0


def test_sigterm_comes_first_and_lets_the_child_clean_up() -> None:
    command = "trap 'echo saved; exit 7' TERM; echo ready; while :; do sleep 0.05; done"
    ended = run("sh", "-c", command, stops=[Stop.DRAIN])
    assert (ended.exit_code, ended.stopped, ended.output[-1]) == (7, Stop.DRAIN, "saved")


def test_sigkill_follows_after_the_grace() -> None:
    command = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    ended = run("sh", "-c", command, stops=[Stop.TIMEOUT], grace_seconds=0.3)
    assert (ended.exit_code, ended.stopped) == (-signal.SIGKILL, Stop.TIMEOUT)


def test_a_lost_lease_kills_at_once_without_grace() -> None:
    command = "trap 'echo saved; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    ended = run("sh", "-c", command, stops=[Stop.LOST])
    assert (ended.exit_code, ended.stopped, ended.output) == (-signal.SIGKILL, Stop.LOST, ["ready"])


def test_a_lease_lost_during_the_grace_ends_the_grace() -> None:
    command = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    ended = run("sh", "-c", command, stops=[Stop.DRAIN, Stop.LOST], grace_seconds=600)
    assert (ended.exit_code, ended.stopped) == (-signal.SIGKILL, Stop.LOST)


@pytest.mark.parametrize("stops", [[], [Stop.TIMEOUT]])
def test_what_the_child_started_does_not_outlive_it(tmp_path: Path, stops: list[Stop]) -> None:
    pid_file = tmp_path / "pid"
    wait = "wait" if stops else "true"
    ended = run("sh", "-c", f"sleep 300 & echo $! > {pid_file}; echo ready; {wait}", stops=stops)
    assert ended.stopped is (stops[0] if stops else None)
    wait_until(lambda: not is_alive(int(pid_file.read_text())), 30, "the end of the background process")


def test_a_child_that_closes_its_output_is_still_waited_for() -> None:
    assert run("sh", "-c", "exec >&- 2>&-; sleep 0.3; exit 5").exit_code == 5


def test_a_child_that_never_stops_writing_is_stopped_in_time() -> None:
    ended = run("yes", stops=[Stop.TIMEOUT])
    # by SIGTERM: the grace is not used up
    assert (ended.exit_code, ended.stopped) == (-signal.SIGTERM, Stop.TIMEOUT)
    assert ended.output == ["y"] * TAIL_LINES


def test_a_child_gets_just_the_environment_that_it_is_given() -> None:
    ended = child.run(["env"], {"PATH": os.environ["PATH"]}, stop=lambda: None, grace_seconds=0, on_line=lambda _: None)
    assert ended.output == [f"PATH={os.environ['PATH']}"]


def test_a_child_can_be_stopped_by_its_own_sigterm_handler_in_python() -> None:
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)"
    )
    lines: list[str] = []
    ended = child.run(
        [sys.executable, "-c", program],
        os.environ,
        stop=lambda: Stop.DRAIN if lines else None,
        grace_seconds=30,
        on_line=lines.append,
    )
    assert ended.exit_code == 9


class TestOutput:
    def test_the_last_lines_are_kept_and_all_are_passed_on(self) -> None:
        lines: list[str] = []
        output = Output(lines.append)
        for number in range(200):
            output.feed(f"line {number}\n".encode())
        assert output.close() == [f"line {number}" for number in range(200 - TAIL_LINES, 200)]
        assert len(lines) == 200

    def test_the_last_lines_are_bounded_together(self) -> None:
        output = Output(lambda _: None)
        output.feed(b"\n".join([b"x" * 5_000] * 10))
        kept = output.close()
        assert [len(line) for line in kept] == [TAIL_CHARACTERS - 15_000, 5_000, 5_000, 5_000]

    def test_a_line_without_end_is_cut_into_pieces(self) -> None:
        lines: list[str] = []
        output = Output(lines.append)
        for _ in range(10):
            output.feed(b"x" * MAX_LINE_BYTES)
        output.close()
        assert [len(line) for line in lines] == [MAX_LINE_BYTES] * 10

    def test_bytes_that_are_no_text_do_no_harm(self) -> None:
        output = Output(lambda _: None)
        output.feed(b"\xff\xfe\r\n\xc3")
        output.feed(b"\xa4\n\n")
        assert output.close() == ["\ufffd\ufffd", "ä", ""]
