"""Structured logs: one JSON object a line on stdout, with `time`, `level` and `event` first."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from datetime import UTC, datetime
from typing import Literal

_writing = threading.Lock()


def log(event: str, *, level: Literal["info", "warning", "error"] = "info", **fields: object) -> int:
    """Write one line, and say how long it is; a stdout that is gone does not stop the worker."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = json.dumps({"time": now, "level": level, "event": event, **fields}, default=str)
    with _writing, contextlib.suppress(OSError, ValueError):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    return len(line) + 1
