"""Ends this process on Ctrl-C, SIGTERM or the end of its terminal: one line is printed, and nothing is left running.

No exception is raised, because code on the way up may swallow it: the signal handler itself ends the processes that
were started, then this one.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LAST_SECONDS = 5
"""How long each process that was started may take to end when this one is interrupted."""
LOOK_SECONDS = 0.005
CLEAR = "\r\x1b[2K\x1b[0m\x1b[?25h"
"""Gives a terminal its cursor back, on an empty line."""

_started: dict[int, "subprocess.Popen[str]"] = {}
_undo: list[Callable[[], object]] = []
_turn = threading.RLock()
_holder: int | None = None
_waiting: list[int] = []


def listen() -> None:
    """End on each of `SIGNALS` from now on, except those that this process was started to ignore."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)


@contextmanager
def held() -> Generator[None]:
    """Delay an interruption until this block has ended."""
    global _holder
    with _turn:
        before, _holder = _holder, threading.get_ident()
        try:
            yield
        finally:
            _holder = before
            if _waiting and before is None:
                _end(_waiting[0])


@contextmanager
def undone(undo: Callable[[], object]) -> Generator[None]:
    """Call `undo` when the block ends, also when the process is interrupted in it."""
    _undo.append(undo)
    try:
        yield
    finally:
        undo()
        _undo.remove(undo)


def start(command: Sequence[str], **options: Any) -> "subprocess.Popen[str]":
    """Start a process that ends with this one; in a session of its own, so that Ctrl-C reaches only this one."""
    with held():
        process = subprocess.Popen(command, text=True, start_new_session=True, **options)
        _started[process.pid] = process
    return process


def end(process: "subprocess.Popen[str]") -> None:
    """End a process that was started here."""
    process.kill()
    process.communicate()
    leave(process)


def leave(process: "subprocess.Popen[str]") -> None:
    """Let a process that was started here outlive this one."""
    del _started[process.pid]


def _end_all() -> None:
    # not by Popen, whose lock the interrupted code may hold; the last one first, because it may still need the one
    # before
    for pid in reversed(_started):
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGTERM)
            until = time.monotonic() + LAST_SECONDS
            while os.waitpid(pid, os.WNOHANG) == (0, 0):
                if time.monotonic() > until:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(LOOK_SECONDS)


def _on_signal(number: int, _frame: FrameType | None) -> None:
    if _holder == threading.get_ident():
        _waiting.append(number)
    else:
        _end(number)


def _end(number: int) -> None:
    global _holder
    with _turn:
        # further signals are ignored
        _holder = threading.get_ident()
        _end_all()
        for undo in reversed(_undo):
            with suppress(OSError):
                undo()
        on_terminal = os.isatty(2) and os.environ.get("TERM") != "dumb"
        with suppress(OSError):
            os.write(2, f"{CLEAR * on_terminal}interrupted\n".encode())
        os._exit(128 + number)
