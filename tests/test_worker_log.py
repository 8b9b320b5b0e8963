"""The worker's log where nobody reads it for a while."""

from __future__ import annotations

import json
import os

import pytest

from worker import log


def test_what_a_blocked_stdout_does_not_take_is_dropped_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MAX_WAITING_LINES", 10)
    monkeypatch.setattr(log, "PATIENCE_SECONDS", 0.01)
    read, write = os.pipe()
    os.set_blocking(read, False)
    writer = log.Writer(write)
    line = json.dumps({"event": "output", "line": "x" * 1_000}) + "\n"
    for _ in range(1_000):
        writer.put(line)
    read_lines = b""
    while b"logDropped" not in read_lines:
        try:
            read_lines += os.read(read, 65_536)
        except BlockingIOError:
            writer.flush(0.01)
    events = [json.loads(text) for text in read_lines.splitlines(keepends=True) if text.endswith(b"\n")]
    written = [event for event in events if event["event"] == "output"]
    (dropped,) = (event for event in events if event["event"] == "logDropped")
    assert dropped["lines"] > 800
    assert 40 < len(written) < 200
    writer.put("the last\n")
    writer.flush(10)
    assert os.read(read, 65_536).endswith(b"the last\n")
    os.close(read)
    # a stdout that is gone is no error
    writer.put(line)
    writer.flush(10)
