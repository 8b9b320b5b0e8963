"""A task's command, run by the supervisor: watched, its output kept, and stopped with everything that it started."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from worker.supervisor import KILL, TERMINATE

TAIL_LINES = 50
TAIL_CHARACTERS = 16_384
MAX_LINE_BYTES = 8_192

_WATCH_SECONDS = 0.1
_READ_BYTES = 65_536
_LAST_BYTES = 1_048_576
"""The most that a pipe holds (`fs.pipe-max-size`), and so the most that is left once all who write have ended."""


class Stop(enum.Enum):
    """Why a child is stopped before its own end."""

    TIMEOUT = "timeout"
    CEILING = "ceiling"
    DRAIN = "drain"
    LOST = "lost"
    MEMORY = "memory"


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a child ended. `exit_code` is None, and `error` says why, when it could not be started."""

    exit_code: int | None
    stopped: Stop | None
    seconds: float
    output: list[str]
    error: str | None = None


class Output:
    """The lines of a child's output: each goes to `on_line`, the last ones are kept.

    A line longer than `MAX_LINE_BYTES` is cut into several, so that no output can fill the memory.
    """

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._partial = b""
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the output."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._emit(line)
        while len(self._partial) > MAX_LINE_BYTES:
            self._emit(self._partial[:MAX_LINE_BYTES])
            self._partial = self._partial[MAX_LINE_BYTES:]

    def close(self) -> list[str]:
        """The last lines: at most `TAIL_LINES`, and `TAIL_CHARACTERS` together."""
        if self._partial:
            self._emit(self._partial)
            self._partial = b""
        room = TAIL_CHARACTERS
        kept: list[str] = []
        for line in reversed(self._tail):
            if room <= 0:
                break
            kept.append(line[-room:])
            room -= len(line)
        return kept[::-1]

    def _emit(self, line: bytes) -> None:
        for start in range(0, max(len(line), 1), MAX_LINE_BYTES):
            text = line[start : start + MAX_LINE_BYTES].decode(errors="replace").rstrip("\r")
            self._tail.append(text)
            self._on_line(text)


class Supervisor:
    """The process that runs commands; another is started when it has died."""

    def __init__(self) -> None:
        self._using = threading.Lock()
        self.socket: socket.socket | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def hand_over(self, control: socket.socket, output: int) -> None:
        """Have a guard forked that listens on `control`."""
        files = [control.fileno(), output]
        with self._using:
            if self.socket:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    socket.send_fds(self.socket, [b"."], files)
                    return
                self.socket.close()
            self.socket = self._start()
            socket.send_fds(self.socket, [b"."], files)

    def _start(self) -> socket.socket:
        if self.process:
            self.process.wait()
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603  its own program
                [sys.executable, "-I", "-S", Path(__file__).with_name("supervisor.py"), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # Ctrl-C is the worker's to handle
                start_new_session=True,
            )
        return ours


supervisor = Supervisor()


def run(
    command: Sequence[str],
    env: Mapping[str, str],
    *,
    stop: Callable[[], Stop | None],
    grace_seconds: float,
    on_line: Callable[[str], None],
    memory_mib: int | None = None,
) -> Ended:
    """Run `command` to its end, asking `stop` ten times a second whether to end it early.

    All its processes are stopped together: SIGTERM, and SIGKILL after `grace_seconds`; SIGKILL at once when the lease
    is lost, because another worker may already run the same task, and when they hold more than `memory_mib`. What the
    command leaves running in the background is killed when it ends. Its folder for temporary files goes with it.
    """
    started = time.monotonic()
    output = Output(on_line)
    request = {"command": list(command), "env": dict(env), "memoryMib": memory_mib}
    control, theirs = socket.socketpair()
    pipe, writing = os.pipe()
    with control, os.fdopen(pipe, "rb", buffering=0):
        with theirs, os.fdopen(writing, "wb"):
            supervisor.hand_over(theirs, writing)
        control.sendall(json.dumps(request).encode() + b"\n")
        stopped = _watch(control, pipe, output, stop, grace_seconds)
        answer = _answer(control)
        _read_the_rest(pipe, output)
    seconds = time.monotonic() - started
    if "error" in answer:
        return Ended(None, stopped, seconds, output.close(), answer["error"])
    return Ended(answer["exitCode"], Stop.MEMORY if answer["isOverMemory"] else stopped, seconds, output.close())


def _watch(
    control: socket.socket, pipe: int, output: Output, stop: Callable[[], Stop | None], grace_seconds: float
) -> Stop | None:
    """Until the guard answers; why it was told to end the command early, if it was."""
    os.set_blocking(pipe, False)
    stopped: Stop | None = None
    kill_at = float("inf")
    look_at = 0.0
    waiting = [control.fileno(), pipe]
    while True:
        ready = select.select(waiting, [], [], _WATCH_SECONDS)[0]
        if pipe in ready:
            data = os.read(pipe, _READ_BYTES)
            output.feed(data)
            # a command that has closed its output goes on in silence
            if not data:
                waiting.remove(pipe)
        if control.fileno() in ready:
            return stopped
        now = time.monotonic()
        if now < look_at:
            continue
        look_at = now + _WATCH_SECONDS
        asked = stop()
        if asked and (stopped is None or (asked is Stop.LOST and stopped is not Stop.LOST)):
            stopped = asked
            kill_at = now if asked is Stop.LOST else now + grace_seconds
            if kill_at > now:
                _tell(control, TERMINATE)
        if now >= kill_at:
            _tell(control, KILL)
            kill_at = float("inf")


def _answer(control: socket.socket) -> dict[str, Any]:
    with contextlib.suppress(ConnectionResetError), control.makefile("rb") as lines:
        if line := lines.readline():
            return json.loads(line)
    return {"error": "the process that ran it was killed"}


def _tell(control: socket.socket, order: bytes) -> None:
    # it may have answered just now
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        control.sendall(order)


def _read_the_rest(pipe: int, output: Output) -> None:
    left = _LAST_BYTES
    with contextlib.suppress(BlockingIOError):
        while left > 0 and (data := os.read(pipe, _READ_BYTES)):
            output.feed(data)
            left -= len(data)
