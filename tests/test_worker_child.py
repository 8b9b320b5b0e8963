"""A task's child process: its end, its output, and how it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.worker_support import ROOT, wait_until
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
    try:
        # an orphan that nobody has waited for yet
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


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


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="macOS has no subreaper")
SLEEP = "echo $$ >> pids; exec sleep 300"
INNER = SLEEP.replace("$", "\\$")
"""For a shell in a shell, which is to write down its own pid."""
ESCAPES = {
    "in the background": f"sh -c '{SLEEP}' &",
    "in a session of its own": f"setsid sh -c '{SLEEP}' &",
    "in a process group of its own": f"timeout 300 sh -c '{SLEEP}' &",
    "with another environment, twice removed": f"env -i setsid sh -c 'setsid sh -c \"{INNER}\" & exit 0' &",
    "deaf to SIGTERM": f"setsid sh -c 'trap \"\" TERM; {SLEEP}' &",
}


@LINUX
@pytest.mark.parametrize("stops", [[], [Stop.TIMEOUT], [Stop.LOST]], ids=["ends", "is stopped", "is killed"])
def test_nothing_that_the_child_started_outlives_it(tmp_path: Path, stops: list[Stop]) -> None:
    program = [
        f"cd {tmp_path}; touch pids",
        *ESCAPES.values(),
        f"while [ $(cat pids | wc -l) -lt {len(ESCAPES)} ]; do :; done",
    ]
    ended = run("sh", "-c", "\n".join([*program, "echo ready", "wait" if stops else "exit 0"]), stops=stops)
    assert (ended.stopped, ended.output) == (stops[0] if stops else None, ["ready"])
    pids = (tmp_path / "pids").read_text().split()
    assert len(pids) == len(ESCAPES)
    assert not any(is_alive(int(pid)) for pid in pids)


@LINUX
def test_what_a_stopped_child_waits_for_is_stopped_in_whatever_group_it_is() -> None:
    ended = run("bash", "-c", "echo ready; timeout 302 sleep 302; echo x", stops=[Stop.TIMEOUT])
    assert (ended.exit_code, ended.stopped, ended.output) == (-signal.SIGTERM, Stop.TIMEOUT, ["ready"])


@LINUX
def test_a_flood_from_a_process_that_escaped_ends_with_the_child() -> None:
    ended = run("bash", "-c", "setsid yes x & sleep 0.1; exit 0")
    assert (ended.exit_code, ended.stopped, ended.output) == (0, None, ["x"] * TAIL_LINES)


@LINUX
def test_all_that_a_task_started_ends_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from worker import child\n"
        "child.run(['sh', '-c', sys.argv[1]], os.environ, stop=lambda: None, grace_seconds=0, on_line=print)"
    )
    command = f"cd {tmp_path}; setsid sh -c '{SLEEP}' & echo $$ >> pids; echo $TMPDIR > folder; touch ready; wait"
    (tmp_path / "pids").touch()
    with subprocess.Popen([sys.executable, "-c", program, command], cwd=ROOT) as worker:
        try:
            wait_until(lambda: len((tmp_path / "pids").read_text().split()) == 2, 30, "two processes")
            wait_until((tmp_path / "ready").exists, 30, "the folder")
        finally:
            worker.kill()
    for pid in (tmp_path / "pids").read_text().split():
        wait_until(lambda pid=pid: not is_alive(int(pid)), 30, "the end of both")
    folder = Path((tmp_path / "folder").read_text().strip())
    wait_until(lambda: not folder.exists(), 30, "the end of its folder")


@LINUX
def test_a_child_that_holds_too_much_memory_is_killed_with_all_its_processes() -> None:
    program = "import time; held = b'x' * 2**26; print('ready', flush=True); time.sleep(300)"
    command = ["sh", "-c", f'"{sys.executable}" -c "{program}" & "{sys.executable}" -c "{program}"; wait']
    ended = child.run(command, os.environ, stop=lambda: None, grace_seconds=300, on_line=lambda _: None, memory_mib=100)
    assert (ended.exit_code, ended.stopped) == (-signal.SIGKILL, Stop.MEMORY)


@LINUX
def test_a_container_without_memory_loses_a_task_before_its_worker() -> None:
    assert run("cat", "/proc/self/oom_score_adj").output == ["1000"]


def test_the_next_child_runs_when_what_started_the_others_was_killed() -> None:
    assert run("true").exit_code == 0
    supervisor = child.supervisor.process
    assert supervisor
    supervisor.kill()
    supervisor.wait()
    assert run("true").exit_code == 0


def test_a_child_is_stopped_by_the_worker_alone_and_not_by_signals_to_what_runs_it() -> None:
    ended = run("bash", "-c", "kill -TERM $PPID; kill -INT $PPID; sleep 0.1; kill -TERM $$; sleep 300")
    assert (ended.exit_code, ended.stopped) == (-signal.SIGTERM, None)


def test_a_child_that_kills_what_runs_it_has_failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where its folder stays
    monkeypatch.setattr(child, "supervisor", child.Supervisor())
    ended = run("bash", "-c", "kill -9 $PPID; sleep 300")
    assert (ended.exit_code, ended.error) == (None, "the process that ran it was killed")
    assert child.supervisor.socket
    assert child.supervisor.process
    child.supervisor.socket.close()
    assert child.supervisor.process.wait() == 0


def test_a_child_that_closes_its_output_is_still_waited_for() -> None:
    assert run("sh", "-c", "exec >&- 2>&-; sleep 0.3; exit 5").exit_code == 5


def test_a_child_that_never_stops_writing_is_stopped_in_time() -> None:
    ended = run("yes", stops=[Stop.TIMEOUT])
    # by SIGTERM: the grace is not used up
    assert (ended.exit_code, ended.stopped) == (-signal.SIGTERM, Stop.TIMEOUT)
    assert ended.output == ["y"] * TAIL_LINES


def test_a_child_gets_just_the_environment_that_it_is_given() -> None:
    env = {"PATH": os.environ["PATH"], "TMPDIR": "/elsewhere"}
    ended = child.run(["env"], env, stop=lambda: None, grace_seconds=0, on_line=lambda _: None)
    assert sorted(ended.output) == [f"PATH={env['PATH']}", "TMPDIR=/elsewhere"]


def test_a_child_has_a_folder_for_temporary_files_that_goes_with_all_that_is_in_it() -> None:
    ended = run("sh", "-c", "cd $TMPDIR && mkdir -p a/b && touch a/b/c && chmod 500 a a/b && pwd")
    (folder,) = ended.output
    assert Path(folder).name.startswith("task-")
    assert not Path(folder).exists()


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
