"""How often each task has failed, in S3: SQS counts receives, and one that a stopped worker gave back is among them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from worker.log import log
from worker.sqs import Connection, TroubleError


class Records:
    """An object for each task that has failed, named after its message, with the number in its metadata.

    What cannot be written or read counts as no failure: a task is rather tried once more than given up too early.
    """

    def __init__(self, url: str, connect: Callable[[], Connection]) -> None:
        self._bucket, _, self._prefix = url.removeprefix("s3://").partition("/")
        self._connect = connect
        self._connecting = threading.Lock()
        self._connection: Connection | None = None

    def failures(self, message_id: str) -> int:
        """How often the task in this message has failed."""
        try:
            return int(self._call("head_object", message_id)["Metadata"]["failures"])
        except (TroubleError, KeyError, ValueError) as error:
            if not (isinstance(error, TroubleError) and error.code == "404"):
                log("trouble", level="warning", messageId=message_id, error=f"its record: {error!r}")
        return 0

    def write(self, message_id: str, failures: int) -> None:
        """Say how often it has failed now."""
        try:
            self._call("put_object", message_id, Metadata={"failures": str(failures)})
        except TroubleError as error:
            log("trouble", level="warning", messageId=message_id, error=f"its record: {error!r}")

    def _call(self, operation: str, message_id: str, **parameters: object) -> Mapping[str, Any]:
        with self._connecting:
            # most workers never need it
            self._connection = self._connection or self._connect()
        return self._connection.call(operation, Bucket=self._bucket, Key=f"{self._prefix}/{message_id}", **parameters)
