"""The two queues: receive, extend, give back, delete, send; and what errors of AWS mean to a worker."""

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
from worker.task import Result

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
_QUERY_PREFIX = "AWS.SimpleQueueService."
"""Of error codes, in answers of the older of SQS's two protocols."""


_REFUSED_MESSAGE = {"BatchRequestTooLong", "InvalidMessageContents", "InvalidParameterValue"}


class TroubleError(Exception):
    """A call failed in a way that may pass: no network, throttling, an expired token, a right not given, nonsense."""

    def __init__(self, operation: str, cause: Exception | str, *, code: str = "") -> None:
        super().__init__(f"{operation}: {cause}")
        self.unanswered = not isinstance(cause, ClientError | str)
        """Nothing was heard from SQS, which may have acted all the same."""
        self.code = code
        self.refuses_message = code.removeprefix(_QUERY_PREFIX) in _REFUSED_MESSAGE
        """SQS does not take this message, and never will."""


class StaleError(Exception):
    """The receipt handle holds the message no longer: it was deleted, is visible again, or another receive has it."""


Outcome = StaleError | TroubleError | None
"""What became of an entry of a batch."""


class Client(Protocol):
    """The part of boto3's clients that the worker uses: of SQS's calls the batch, whose answer names what it did."""

    def receive_message(self, **parameters: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def change_message_visibility_batch(self, **parameters: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def delete_message_batch(self, **parameters: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def send_message_batch(self, **parameters: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def get_queue_attributes(self, **parameters: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def head_object(self, **parameters: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def put_object(self, **parameters: Any) -> Mapping[str, Any]: ...  # noqa: D102


class Connection:
    """A client for any thread, whose failures are `TroubleError` or `StaleError`. It does not try again by itself."""

    def __init__(self, service: str, *, region: str | None, poll_seconds: int, threads: int) -> None:
        self._service = service
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
            return getattr(client, operation)(**parameters)
        except ClientError as error:
            code, message = _code_and_message(error)
            if is_stale(code, message):
                raise StaleError(str(error)) from error
            if code in _EXPIRED_CREDENTIALS:
                self._reconnect(client)
            raise TroubleError(operation, error, code=code) from error
        except Exception as error:  # what boto3 raises when an answer is nonsense is not one of its own errors
            if isinstance(error, NoCredentialsError):
                self._reconnect(client)
            raise TroubleError(operation, error) from error

    def call_batch(self, operation: str, url: str, entries: list[dict[str, Any]]) -> list[Outcome]:
        """Make one call for up to `MAX_BATCH` entries, and say what became of each."""
        if not entries:
            return []
        numbered = [{"Id": str(number), **entry} for number, entry in enumerate(entries)]
        try:
            answer = self.call(operation, QueueUrl=url, Entries=numbered)
        except StaleError as error:
            # it does not say which
            return [error] if len(entries) == 1 else [self.call_batch(operation, url, [one])[0] for one in entries]
        outcomes: dict[str, Outcome] = {entry["Id"]: None for entry in answer.get("Successful", [])}
        for entry in answer.get("Failed", []):
            code, message = str(entry.get("Code", "")), str(entry.get("Message", ""))
            text = f"{code}: {message}"
            outcomes[entry["Id"]] = (
                StaleError(text) if is_stale(code, message) else TroubleError(operation, text, code=code)
            )
        nothing = TroubleError(operation, f"the answer does not say what became of it: {str(answer)[:200]}")
        return [outcomes.get(entry["Id"], nothing) for entry in numbered]

    def _connect(self) -> Client:
        # boto3 makes its clients at run time; no checker knows them
        session = cast("Any", boto3.Session(region_name=self._region))
        return session.client(self._service, config=self._config)

    def _reconnect(self, failed: Client) -> None:
        # credentials from a file are read once a session, so a rotated file needs a new one
        with self._connecting, contextlib.suppress(BotoCoreError):
            if self._client is failed:
                self._client = self._connect()


def is_stale(code: str, message: str) -> bool:
    """Whether SQS says that the receipt handle is no good any more, in one of the several ways in which it says so."""
    code = code.removeprefix(_QUERY_PREFIX)
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
    waited_seconds: float
    """Seconds since the message was sent."""
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
        operation = "get_queue_attributes"
        response = self._connection.call(operation, QueueUrl=self._url, AttributeNames=["All"])
        try:
            attributes: Mapping[str, str] = response["Attributes"]
            self.visibility_seconds = visibility_seconds or int(attributes["VisibilityTimeout"])
            redrive = json.loads(attributes.get("RedrivePolicy", "{}"))
            self.max_receive_count = int(redrive["maxReceiveCount"]) if redrive else None
        except (KeyError, TypeError, ValueError) as error:
            raise TroubleError(operation, f"the answer lacks what it must have: {str(response)[:200]}") from error

    def receive(self, attempt_id: str) -> Lease | None:
        """Wait up to `poll_seconds` for one message: one, because SQS hands out several of the same group together."""
        parameters: dict[str, Any] = {
            "QueueUrl": self._url,
            "MaxNumberOfMessages": 1,
            "WaitTimeSeconds": self._poll_seconds,
            "VisibilityTimeout": self.visibility_seconds,
            "MessageSystemAttributeNames": ["ApproximateReceiveCount", "SentTimestamp"],
        }
        if self._url.endswith(".fifo"):
            parameters["ReceiveRequestAttemptId"] = attempt_id
        asked_at = time.monotonic()
        response = self._connection.call("receive_message", **parameters)
        if not response.get("Messages"):
            return None
        now = time.monotonic()
        try:
            message: Mapping[str, Any] = response["Messages"][0]
            attributes: Mapping[str, str] = message["Attributes"]
            return Lease(
                message_id=message["MessageId"],
                receipt_handle=message["ReceiptHandle"],
                body=message["Body"],
                receive_count=int(attributes["ApproximateReceiveCount"]),
                waited_seconds=max(0.0, time.time() - int(attributes["SentTimestamp"]) / 1000),
                ceiling_at=asked_at + CEILING_SECONDS,
                visibility_seconds=self.visibility_seconds,
                expires_at=now + self.visibility_seconds,
                renew_at=now + self.visibility_seconds / 3,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TroubleError("receive_message", f"a message lacks what it must have: {error!r}") from error

    def is_last_receive(self, lease: Lease) -> bool:
        """Whether the message moves to the dead-letter queue when it comes back once more."""
        return self.max_receive_count is not None and lease.receive_count >= self.max_receive_count

    def extend(self, leases: list[Lease]) -> list[tuple[Lease, Outcome]]:
        """Hold up to `MAX_BATCH` messages for another visibility timeout, or as near to it as the ceiling allows.

        What became of each, of those that are not being deleted or given back just now.
        """
        with contextlib.ExitStack() as calling:
            now = time.monotonic()
            extended: list[tuple[Lease, int]] = []
            for lease in leases:
                if not lease.calling.acquire(blocking=False):
                    continue
                calling.callback(lease.calling.release)
                seconds = min(lease.visibility_seconds, int(lease.ceiling_at - now) - 1)
                if seconds < lease.visibility_seconds and now + seconds <= lease.expires_at + 1:
                    lease.renew_at = float("inf")
                elif not lease.released:
                    extended.append((lease, seconds))
            outcomes = self._change_visibility(extended)
            for (lease, seconds), outcome in zip(extended, outcomes, strict=True):
                if outcome is None:
                    lease.expires_at = now + seconds
                    lease.renew_at = now + lease.visibility_seconds / 3
        return [(lease, outcome) for (lease, _), outcome in zip(extended, outcomes, strict=True)]

    def give_back(self, lease: Lease, wait_seconds: int) -> None:
        """Let the message be received again after `wait_seconds`, at once for 0; the lease ends."""
        with lease.calling:
            lease.released = True
            room = int(lease.ceiling_at - time.monotonic()) - 1
            _only(self._change_visibility([(lease, max(0, min(wait_seconds, room)))]))

    def delete(self, lease: Lease) -> None:
        """Delete the message; the lease ends."""
        _only(self.delete_together([lease]))

    def delete_together(self, leases: list[Lease]) -> list[Outcome]:
        """Delete up to `MAX_BATCH` messages in one call; the leases of those that are deleted end."""
        with contextlib.ExitStack() as calling:
            for lease in leases:
                calling.enter_context(lease.calling)
            handles = [{"ReceiptHandle": lease.receipt_handle} for lease in leases]
            outcomes = self._connection.call_batch("delete_message_batch", self._url, handles)
            for lease, outcome in zip(leases, outcomes, strict=True):
                lease.released = outcome is None
        return outcomes

    def _change_visibility(self, changes: list[tuple[Lease, int]]) -> list[Outcome]:
        entries = [{"ReceiptHandle": lease.receipt_handle, "VisibilityTimeout": seconds} for lease, seconds in changes]
        return self._connection.call_batch("change_message_visibility_batch", self._url, entries)


class ResultQueue:
    """The queue that results go to."""

    def __init__(self, connection: Connection, url: str) -> None:
        self._connection = connection
        self._url = url

    def send(self, result: Result) -> None:
        """Send a result; a second one for the same message within 5 minutes is dropped by SQS."""
        _only(self.send_together([result]))

    def send_together(self, results: list[Result]) -> list[Outcome]:
        """Send up to `MAX_BATCH` results in one call."""
        return self._connection.call_batch(
            "send_message_batch", self._url, [self._message(result) for result in results]
        )

    def _message(self, result: Result) -> dict[str, str]:
        fifo = {"MessageGroupId": result.id, "MessageDeduplicationId": result.message_id}
        return {"MessageBody": result.body(), **(fifo if self._url.endswith(".fifo") else {})}


def _only(outcomes: list[Outcome]) -> None:
    (outcome,) = outcomes
    if outcome:
        raise outcome


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
