"""Messages of a queue, looked at and put back: each look counts as a receive, and hides a message from others."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

HIDDEN_SECONDS = 60
"""Until a message comes back by itself, if this program is killed while it holds it."""
RENEW_SECONDS = 20
MOST_AT_ONCE = 10


class Look:
    """What a look has received and not put back yet."""

    def __init__(self, sqs: Any, url: str) -> None:
        self._sqs, self._url = sqs, url
        self._held: dict[str, str] = {}
        self._renewed = time.monotonic()

    def messages(self, wait_seconds: int) -> list[dict[str, Any]]:
        """The next few that nobody has, which this look then holds; none when none comes in so many seconds."""
        if time.monotonic() - self._renewed > RENEW_SECONDS:
            self.hide(HIDDEN_SECONDS)
            self._renewed = time.monotonic()
        answer = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=MOST_AT_ONCE,
            WaitTimeSeconds=wait_seconds,
            VisibilityTimeout=HIDDEN_SECONDS,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
        )
        found: list[dict[str, Any]] = answer.get("Messages", [])
        # a message that came back before it was renewed is not new
        new = [one for one in found if one["MessageId"] not in self._held]
        self._held |= {one["MessageId"]: one["ReceiptHandle"] for one in found}
        return new

    def take(self, message: dict[str, Any]) -> None:
        """Delete a message that is held."""
        self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=self._held.pop(message["MessageId"]))

    @property
    def held(self) -> int:
        """How many messages are held."""
        return len(self._held)

    def hide(self, seconds: int) -> None:
        """Hide what is held from others for so long from now."""
        handles = list(self._held.values())
        for first in range(0, len(handles), MOST_AT_ONCE):
            entries = [
                {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
                for number, handle in enumerate(handles[first : first + MOST_AT_ONCE])
            ]
            # one that is gone meanwhile is somebody else's
            self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)


@contextmanager
def looking(sqs: Any, url: str) -> Generator[Look]:
    """A look at a queue; what it still holds in the end is put back, whatever ends it."""
    look = Look(sqs, url)
    try:
        yield look
    finally:
        look.hide(0)
