"""Structured logs: one JSON object a line on stdout, with `time`, `level` and `event` first."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
import time
from datetime import UTC, datetime
from typing import Literal

MAX_WAITING_LINES = 10_000
PATIENCE_SECONDS = 1.0
"""How long a line waits for room in the full buffer, the first time; after that it is dropped at once."""

_writing = threading.Lock()


class Writer:
    """A thread that writes lines, so that a reader who stops reading holds up nothing else: lines are dropped then."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._lines: queue.Queue[str] = queue.Queue(MAX_WAITING_LINES)
        self._dropped = 0
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def put(self, line: str) -> None:
        """Have a line written, or drop it."""
        try:
            self._lines.put(line, timeout=0 if self._dropped else PATIENCE_SECONDS)
        except queue.Full:
            with _writing:
                self._dropped += 1

    def flush(self, seconds: float) -> None:
        """Wait until all is written, but not longer."""
        until = time.monotonic() + seconds
        while self._lines.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.005)

    def _run(self) -> None:
        while True:
            self._write(self._lines.get())
            with _writing:
                dropped, self._dropped = self._dropped, 0
            if dropped:
                self._write(_line("logDropped", "warning", {"lines": dropped}))
            self._lines.task_done()

    def _write(self, line: str) -> None:
        left = line.encode()
        # a stdout that is gone does not stop the worker
        with contextlib.suppress(OSError):
            while left:
                left = left[os.write(self._file, left) :]


_writer: Writer | None = None


def start() -> None:
    """Write from a thread of its own from now on, where stdout is a file."""
    global _writer
    with contextlib.suppress(OSError, ValueError, AttributeError):
        _writer = _writer or Writer(sys.stdout.fileno())


def flush(seconds: float = 1.0) -> None:
    """Wait until all is written, but not longer."""
    if _writer:
        _writer.flush(seconds)


def log(event: str, *, level: Literal["info", "warning", "error"] = "info", **fields: object) -> int:
    """Write one line and return its length in bytes; a stdout that is gone or not read does not stop the worker."""
    line = _line(event, level, fields)
    if _writer:
        _writer.put(line)
    else:
        with _writing, contextlib.suppress(OSError, ValueError):
            sys.stdout.write(line)
            sys.stdout.flush()
    return len(line)


def _line(event: str, level: str, fields: dict[str, object]) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"time": now, "level": level, "event": event, **fields}, default=str) + "\n"
