"""The two queues: receive, extend, give back, delete, send; and what SQS's errors mean to a worker."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import random
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any, Protocol, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from worker.settings import CEILING_SECONDS

CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 10
MAX_BATCH = 10

_EXPIRED_CREDENTIALS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "InvalidSecurity",
}


class TroubleError(Exception):
    """A call failed in a way that may pass: no network, throttling, an expired token, a right not given yet."""

    def __init__(self, operation: str, cause: Exception) -> None:
        super().__init__(f"{operation}: {cause}")
        self.unanswered = isinstance(cause, BotoCoreError)
        """Nothing was heard from SQS, which may have acted all the same."""


class StaleError(Exception):
    """The receipt handle holds the message no longer: it was deleted, is visible again, or another receive has it."""


class SqsClient(Protocol):
    """The part of boto3's client that the worker uses."""

    def receive_message(self, **parameters: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def change_message_visibility(self, **parameters: Any) -> Mapping[str, Any] | None: ...  # noqa: D102
    def delete_message(self, **parameters: Any) -> Mapping[str, Any] | None: ...  # noqa: D102
    def delete_message_batch(self, **parameters: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def send_message(self, **parameters: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def send_message_batch(self, **parameters: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def get_queue_attributes(self, **parameters: Any) -> Mapping[str, Any]: ...  # noqa: D102


class Connection:
    """A client for any thread, whose failures are `TroubleError` or `StaleError`. It does not try again by itself."""

    def __init__(self, *, region: str | None, poll_seconds: int, threads: int) -> None:
        self._region = region
        self._config = Config(
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=poll_seconds + READ_TIMEOUT_SECONDS,
            # the worker's own tries log each failure, and stop when the worker stops
            retries={"total_max_attempts": 1},
            max_pool_connections=threads,
        )
        self._connecting = threading.Lock()
        self._client = self._connect()

    def call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """Make one call; raises `StaleError` when the receipt handle is no good any more, else `TroubleError`."""
        client = self._client
        try:
            answer: Mapping[str, Any] | None = getattr(client, operation)(**parameters)
        except ClientError as error:
            if is_stale(error):
                raise StaleError(str(error)) from error
            if _code_and_message(error)[0] in _EXPIRED_CREDENTIALS:
                self._reconnect(client)
            raise TroubleError(operation, error) from error
        except BotoCoreError as error:
            if isinstance(error, NoCredentialsError):
                self._reconnect(client)
            raise TroubleError(operation, error) from error
        return answer or {}

    def call_batch(self, operation: str, url: str, entries: list[dict[str, str]]) -> list[bool]:
        """Make one call for several entries; which of them succeeded. Raises `TroubleError` when the call failed."""
        numbered = [{"Id": str(number), **entry} for number, entry in enumerate(entries)]
        if not numbered:
            return []
        answer = self.call(operation, QueueUrl=url, Entries=numbered)
        successful = {entry["Id"] for entry in answer.get("Successful", [])}
        return [entry["Id"] in successful for entry in numbered]

    def _connect(self) -> SqsClient:
        # boto3 makes its clients at run time; no checker knows them
        session = cast("Any", boto3.Session(region_name=self._region))
        return session.client("sqs", config=self._config)

    def _reconnect(self, failed: SqsClient) -> None:
        # credentials from a file are read once a session, so a rotated file needs a new one
        with self._connecting, contextlib.suppress(BotoCoreError):
            if self._client is failed:
                self._client = self._connect()


def is_stale(error: ClientError) -> bool:
    """Whether SQS says that the receipt handle is no good any more, in one of the several ways in which it says so."""
    code, message = _code_and_message(error)
    code = code.removeprefix("AWS.SimpleQueueService.")
    # FIFO: "Value ... for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
    return code in {"ReceiptHandleIsInvalid", "MessageNotInflight"} or (
        code == "InvalidParameterValue" and ("ReceiptHandle" in message or "receipt handle" in message)
    )


def _code_and_message(error: ClientError) -> tuple[str, str]:
    details = cast("Mapping[str, Mapping[str, object]]", error.response).get("Error", {})
    return str(details.get("Code", "")), str(details.get("Message", ""))


@dataclasses.dataclass(eq=False, kw_only=True)
class Lease:
    """A received message, and how long this worker holds it. Times are `time.monotonic()`."""

    message_id: str
    receipt_handle: str
    body: str
    receive_count: int
    ceiling_at: float
    """12 hours from the ReceiveMessage request: no extension reaches beyond."""
    visibility_seconds: int
    expires_at: float
    renew_at: float
    lost: bool = False
    released: bool = False
    calling: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    """Held over each call with the receipt handle, so that no late extension undoes a give-back."""

    def is_lost(self) -> bool:
        """Whether another worker has the message, or is about to: it stops counting as held just before it expires."""
        return self.lost or time.monotonic() >= self.expires_at - min(5.0, self.visibility_seconds / 10)


class TaskQueue:
    """The queue that tasks come from."""

    def __init__(self, connection: Connection, url: str, *, poll_seconds: int) -> None:
        self._connection = connection
        self._url = url
        self._poll_seconds = poll_seconds
        self.visibility_seconds = 0
        self.max_receive_count: int | None = None

    def describe(self, visibility_seconds: int | None) -> None:
        """Ask for the visibility timeout, unless it is given, and for the redrive policy's `maxReceiveCount`."""
        response = self._connection.call("get_queue_attributes", QueueUrl=self._url, AttributeNames=["All"])
        attributes: Mapping[str, Any] = response.get("Attributes", {})
        self.visibility_seconds = visibility_seconds or int(attributes.get("VisibilityTimeout", 30))
        redrive = json.loads(attributes.get("RedrivePolicy", "{}"))
        self.max_receive_count = int(redrive["maxReceiveCount"]) if "maxReceiveCount" in redrive else None

    def receive(self, attempt_id: str) -> Lease | None:
        """Wait up to `poll_seconds` for one message: one, because SQS hands out several of the same group together."""
        parameters: dict[str, Any] = {
            "QueueUrl": self._url,
            "MaxNumberOfMessages": 1,
            "WaitTimeSeconds": self._poll_seconds,
            "VisibilityTimeout": self.visibility_seconds,
            "MessageSystemAttributeNames": ["ApproximateReceiveCount"],
        }
        if self._url.endswith(".fifo"):
            parameters["ReceiveRequestAttemptId"] = attempt_id
        asked_at = time.monotonic()
        response = self._connection.call("receive_message", **parameters)
        messages: list[Mapping[str, Any]] = response.get("Messages", [])
        if not messages:
            return None
        message = messages[0]
        now = time.monotonic()
        return Lease(
            message_id=message["MessageId"],
            receipt_handle=message["ReceiptHandle"],
            body=message.get("Body", ""),
            receive_count=int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1)),
            ceiling_at=asked_at + CEILING_SECONDS,
            visibility_seconds=self.visibility_seconds,
            expires_at=now + self.visibility_seconds,
            renew_at=now + self.visibility_seconds / 3,
        )

    def is_last_receive(self, lease: Lease) -> bool:
        """Whether the message moves to the dead-letter queue when it comes back once more."""
        return self.max_receive_count is not None and lease.receive_count >= self.max_receive_count

    def extend(self, lease: Lease) -> None:
        """Hold the message for another visibility timeout, or as near to it as the ceiling allows."""
        with lease.calling:
            if lease.released:
                return
            now = time.monotonic()
            seconds = min(lease.visibility_seconds, int(lease.ceiling_at - now) - 1)
            if seconds < lease.visibility_seconds and now + seconds <= lease.expires_at + 1:
                lease.renew_at = float("inf")
                return
            self._change_visibility(lease, seconds)
            lease.expires_at = now + seconds
            lease.renew_at = now + lease.visibility_seconds / 3

    def give_back(self, lease: Lease, wait_seconds: int) -> None:
        """Let the message be received again after `wait_seconds`, at once for 0; the lease ends."""
        with lease.calling:
            lease.released = True
            room = int(lease.ceiling_at - time.monotonic()) - 1
            self._change_visibility(lease, max(0, min(wait_seconds, room)))

    def delete(self, lease: Lease) -> None:
        """Delete the message; the lease ends."""
        with lease.calling:
            self._connection.call("delete_message", QueueUrl=self._url, ReceiptHandle=lease.receipt_handle)
            lease.released = True

    def delete_together(self, leases: list[Lease]) -> list[bool]:
        """Delete up to `MAX_BATCH` messages in one call; which of them it deleted, whose leases end."""
        with contextlib.ExitStack() as calling:
            for lease in leases:
                calling.enter_context(lease.calling)
            deleted = self._connection.call_batch(
                "delete_message_batch", self._url, [{"ReceiptHandle": lease.receipt_handle} for lease in leases]
            )
            for lease, was_deleted in zip(leases, deleted, strict=True):
                lease.released = was_deleted
        return deleted

    def _change_visibility(self, lease: Lease, seconds: int) -> None:
        self._connection.call(
            "change_message_visibility",
            QueueUrl=self._url,
            ReceiptHandle=lease.receipt_handle,
            VisibilityTimeout=seconds,
        )


class ResultQueue:
    """The queue that results go to."""

    def __init__(self, connection: Connection, url: str) -> None:
        self._connection = connection
        self._url = url

    def send(self, task_id: str, body: str) -> None:
        """Send a result; a second one with the same id within 5 minutes is dropped by SQS."""
        self._connection.call("send_message", QueueUrl=self._url, **self._message(task_id, body))

    def send_together(self, results: list[tuple[str, str]]) -> list[bool]:
        """Send up to `MAX_BATCH` results, each a task's id and a body, in one call; which of them it sent."""
        return self._connection.call_batch(
            "send_message_batch", self._url, [self._message(*result) for result in results]
        )

    def _message(self, task_id: str, body: str) -> dict[str, str]:
        fifo = {"MessageGroupId": task_id, "MessageDeduplicationId": task_id} if self._url.endswith(".fifo") else {}
        return {"MessageBody": body, **fifo}


class Backoff:
    """Growing, jittered waits between tries: half to all of 0.5, 1, 2, ... seconds, up to `most_seconds`."""

    def __init__(self, most_seconds: float) -> None:
        self._most_seconds = most_seconds
        self._tries = 0

    def next_seconds(self) -> float:
        """How long to wait before the next try."""
        longest = min(self._most_seconds, 0.5 * 2 ** min(self._tries, 16))
        self._tries += 1
        return longest * random.uniform(0.5, 1)  # noqa: S311  jitter is no secret

    def reset(self) -> None:
        """Start over after a success."""
        self._tries = 0


def new_attempt_id() -> str:
    """An id for one ReceiveMessage, with which it may be repeated when its answer was lost."""
    return uuid.uuid4().hex
