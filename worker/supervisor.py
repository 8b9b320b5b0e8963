"""The parent of what tasks start: it runs their commands, and ends all that comes of them, also when the worker dies.

It is a process of its own, which `worker.child` starts as `python -I -S supervisor.py SOCKET`, and has one thread, so
that it may fork. For each task it forks a guard. On Linux a process whose parent has ended becomes a child of the
guard (PR_SET_CHILD_SUBREAPER), whatever process group or session it is in, so none outlives the task. macOS has nothing
like it: what leaves the command's process group is missed there.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

TERMINATE, KILL = b"T", b"K"
"""What a guard is told: SIGTERM for all that the task started, or the end of it. A worker that is gone tells KILL."""

_IS_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LOOK_SECONDS = 0.5
_END_SECONDS = 10.0
"""How long SIGKILL may take: a process that hangs in the kernel does not hold up the worker for good."""


def main() -> None:
    """Fork a guard for each pair of a control socket and an output that comes; return when the worker is gone."""
    worker = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for number in (signal.SIGINT, signal.SIGTERM):
        # the worker decides when a task is stopped; a command has the signals' own meaning again, as for any handler
        signal.signal(number, lambda _number, _frame: None)
    while True:
        data, files, _, _ = socket.recv_fds(worker, 1, 2)
        if not data:
            return
        if os.fork() == 0:
            worker.close()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                guard(socket.socket(fileno=files[0]), files[1])
            os._exit(0)
        for file in files:
            os.close(file)


def guard(control: socket.socket, output: int) -> None:
    """Run the command that comes on `control` as a line of JSON, and answer how it ended as JSON."""
    with control.makefile("rb") as lines:
        request = json.loads(lines.readline())
    try:
        with TemporaryDirectory(prefix="task-", ignore_cleanup_errors=True) as folder:
            answer = _Guard(request, folder, output).run(control, request["memoryMib"])
    except (OSError, subprocess.SubprocessError) as error:
        answer = {"error": f"could not be started: {error}"}
    control.sendall(json.dumps(answer).encode() + b"\n")


class _Guard:
    """The command, and all that it started."""

    def __init__(self, request: Mapping[str, Any], folder: str, output: int) -> None:
        self._wake, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        # any handler at all makes the signal write to the pipe
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        if _IS_LINUX:
            _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._process = subprocess.Popen(  # noqa: S603  running the sender's command is what a worker is for
            request["command"],
            env={"TMPDIR": folder, **request["env"]},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_before_exec if _IS_LINUX else None,
        )
        # the worker reads to the end once all who write have ended
        os.close(output)
        self._exit_code: int | None = None

    def run(self, control: socket.socket, memory_mib: int | None) -> dict[str, object]:
        """Until the command has ended, or is to end."""
        is_over_memory = False
        while not (self._reap() or self._exit_code is not None or is_over_memory):
            look_seconds = _LOOK_SECONDS if memory_mib else None
            ready = select.select([control, self._wake], [], [], look_seconds)[0]
            if self._wake in ready:
                os.read(self._wake, 512)
            if control in ready:
                if control.recv(1) != TERMINATE:
                    break
                self._signal(signal.SIGTERM)
            is_over_memory = bool(memory_mib) and _memory_mib() > memory_mib
        self._end()
        return {"exitCode": self._exit_code, "isOverMemory": is_over_memory}

    def _end(self) -> None:
        until = time.monotonic() + _END_SECONDS
        if not _IS_LINUX:
            self._signal(signal.SIGKILL)
        # again and again: what a process starts while it is killed comes here next
        while not self._reap() and time.monotonic() < until:
            self._signal(signal.SIGKILL)
            time.sleep(0.002)
        if self._exit_code is None:
            self._exit_code = -signal.SIGKILL

    def _reap(self) -> bool:
        """Wait for those that have ended; whether no child is left."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == self._process.pid:
                    self._exit_code = os.waitstatus_to_exitcode(status)
                if not pid:
                    return False
        return True

    def _signal(self, number: signal.Signals) -> None:
        # macOS answers EPERM for a group of zombies
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if not _IS_LINUX:
                os.killpg(self._process.pid, number)
        for pid in _descendants():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)


def _before_exec() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # a container that is out of memory loses a task's process, not the worker
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _descendants() -> list[int]:
    """All that descends from this process, parents first."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # "PID (NAME) STATE PARENT ...", and a name may hold blanks and parentheses
            parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = [os.getpid()]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]


def _memory_mib() -> int:
    """What all that descends from this process holds; memory that several share counts once."""
    kib = 0
    for pid in _descendants():
        # a kernel without this file knows no limit
        with contextlib.suppress(OSError):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            kib += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return kib // 1024


if __name__ == "__main__":
    main()
