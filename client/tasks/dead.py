"""`train task dead`: the tasks that failed for good, as they wait in a dead-letter queue."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from client import show, stack
from client.tasks.looking import looking

LOOK_SECONDS = 2
MOST_SHOWN = 100
COLUMNS = {"id": "task", "sent": "sent", "receives": "receives", "command": "command"}


def run(name: str | None, path: Path | None, queue: str, *, as_json: bool) -> int:
    """Show what waits in the dead-letter queue of a queue, and put it back.

    Raises:
        TrainError: when AWS cannot be asked.

    """
    rows: list[dict[str, Any]] = []
    with stack.opened(name, path) as opened:
        url = opened.outputs.dead_letter_queue_urls[stack.chosen("queue", queue, opened.outputs.dead_letter_queue_urls)]
        with looking(opened.client("sqs"), url) as look:
            while len(rows) < MOST_SHOWN and (found := look.messages(LOOK_SECONDS)):
                rows += map(_row, found)
    show.rows(rows, COLUMNS, as_json=as_json)
    if len(rows) >= MOST_SHOWN:
        show.hint(f"no more than {len(rows)} are shown")
    if rows:
        show.hint(f"mend what made them fail, then: train task redrive {queue}")
    return 0


def _row(message: dict[str, Any]) -> dict[str, Any]:
    attributes = message["Attributes"]
    sent = datetime.fromtimestamp(int(attributes["SentTimestamp"]) / 1000, UTC)
    body = message["Body"]
    try:
        read = json.loads(body)
    except ValueError:
        read = None
    task = cast("dict[str, Any]", read) if isinstance(read, dict) else {"command": body}
    return {
        "id": task.get("id"),
        "sent": f"{sent:%Y-%m-%dT%H:%M:%SZ}",
        "receives": int(attributes["ApproximateReceiveCount"]),
        "command": task.get("command"),
        "body": body,
        "messageId": message["MessageId"],
    }
