"""A task's command as a child process: run, watched, its output kept, and stopped with everything that it started."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import os
import select
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

TAIL_LINES = 50
TAIL_CHARACTERS = 16_384
MAX_LINE_BYTES = 8_192

_WATCH_SECONDS = 0.1
_READ_BYTES = 65_536


class Stop(enum.Enum):
    """Why a child is stopped before its own end."""

    TIMEOUT = "timeout"
    CEILING = "ceiling"
    DRAIN = "drain"
    LOST = "lost"


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


def run(
    command: Sequence[str],
    env: Mapping[str, str],
    *,
    stop: Callable[[], Stop | None],
    grace_seconds: float,
    on_line: Callable[[str], None],
) -> Ended:
    """Run `command` to its end, asking `stop` ten times a second whether to end it early.

    It runs in a session of its own, so that all its processes can be stopped together: SIGTERM, and SIGKILL after
    `grace_seconds`; SIGKILL at once when the lease is lost, because another worker may already run the same task. What
    the command leaves running in the background is killed when it ends.
    """
    started = time.monotonic()
    output = Output(on_line)
    try:
        process = subprocess.Popen(  # noqa: S603  running the sender's command is what a worker is for
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
        )
    except OSError as error:
        return Ended(None, None, time.monotonic() - started, [], f"could not be started: {error}")
    with process:
        try:
            stopped = _watch(process, output, stop, grace_seconds)
        finally:
            _signal_group(process, signal.SIGKILL)
        _read_the_rest(process, output)
    return Ended(process.returncode, stopped, time.monotonic() - started, output.close())


def _watch(
    process: subprocess.Popen[bytes], output: Output, stop: Callable[[], Stop | None], grace_seconds: float
) -> Stop | None:
    assert process.stdout is not None  # noqa: S101  it is a pipe
    pipe = process.stdout.fileno()
    os.set_blocking(pipe, False)
    stopped: Stop | None = None
    kill_at = float("inf")
    look_at = 0.0
    open_pipe = True
    while True:
        if open_pipe and select.select([pipe], [], [], _WATCH_SECONDS)[0]:
            data = os.read(pipe, _READ_BYTES)
            output.feed(data)
            open_pipe = bool(data)
        # a child that has closed its output is about to exit, or goes on in silence; so is one that only leaves
        # a background process with the pipe behind
        if not open_pipe:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_WATCH_SECONDS)
        now = time.monotonic()
        if process.returncode is not None:
            return stopped
        if now < look_at:
            continue
        look_at = now + _WATCH_SECONDS
        if process.poll() is not None:
            return stopped
        asked = stop()
        if asked and (stopped is None or (asked is Stop.LOST and stopped is not Stop.LOST)):
            stopped = asked
            kill_at = now if asked is Stop.LOST else now + grace_seconds
            if kill_at > now:
                _signal_group(process, signal.SIGTERM)
        if now >= kill_at:
            _signal_group(process, signal.SIGKILL)


def _read_the_rest(process: subprocess.Popen[bytes], output: Output) -> None:
    assert process.stdout is not None  # noqa: S101  it is a pipe
    with contextlib.suppress(BlockingIOError):
        while data := os.read(process.stdout.fileno(), _READ_BYTES):
            output.feed(data)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # the group outlives its leader while a background process is in it; macOS answers EPERM for a group of zombies
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
