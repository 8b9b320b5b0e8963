"""The two JSON bodies: a task as it is received, and its result as it is sent."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Literal, cast

MAX_BODY_BYTES = 262_144
MAX_REASON_CHARACTERS = 2_000
MAX_SHORT_REASON_CHARACTERS = 250
MAX_STRING_BYTES = 131_071
"""Linux takes no longer argument or environment entry (MAX_ARG_STRLEN, with the closing NUL)."""

_FIELDS = ("id", "command", "env", "timeoutSeconds")
# what SQS allows in MessageGroupId and MessageDeduplicationId
_ID = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}", re.ASCII)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_REFUSED_ENV = re.compile(
    r"WORKER_.*|ECS_AGENT_URI|AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|SECURITY_TOKEN|WEB_IDENTITY_.*"
    r"|CONTAINER_CREDENTIALS_.*|CONTAINER_AUTHORIZATION_.*)",
    re.ASCII,
)


@dataclasses.dataclass(frozen=True)
class Task:
    """A command to run."""

    id: str
    command: list[str]
    env: dict[str, str]
    timeout_seconds: int


class BadTaskError(Exception):
    """A body that is no task; `task_id` is its id where it has a usable one."""

    def __init__(self, reasons: list[str], task_id: str | None) -> None:
        super().__init__("; ".join(reasons)[:MAX_REASON_CHARACTERS])
        self.task_id = task_id


def parse(body: str, *, max_task_seconds: int) -> Task:
    """The task in a message's body; raises `BadTaskError` with everything that is wrong with it."""
    size = len(body.encode("utf-8", "surrogatepass"))
    if size > MAX_BODY_BYTES:
        raise BadTaskError([f"body: at most {MAX_BODY_BYTES} bytes, got {size}"], None)
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadTaskError([f"body: must be JSON, {error}"], None) from None
    if not isinstance(decoded, dict):
        raise BadTaskError([f"body: must be a JSON object, got {_kind(decoded)}"], None)

    fields = cast("dict[str, object]", decoded)
    reasons = [f"{_short(name)}: no such field" for name in fields if name not in _FIELDS]
    task_id = _id(fields, reasons)
    command = _command(fields, reasons)
    env = _env(fields.get("env", {}), reasons)
    timeout_seconds = _timeout(fields.get("timeoutSeconds", max_task_seconds), max_task_seconds, reasons)
    if reasons:
        raise BadTaskError(reasons, task_id)
    return Task(task_id or "", command, env, timeout_seconds)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a task."""

    id: str
    status: Literal["succeeded", "failed", "timedOut"]
    exit_code: int | None = None
    reason: str | None = None
    duration_seconds: float = 0.0
    output: list[str] = dataclasses.field(default_factory=list[str])
    receive_count: int
    message_id: str

    def body(self) -> str:
        """JSON in ASCII, since SQS refuses some Unicode characters in a message."""
        return json.dumps(
            {
                "id": self.id,
                "status": self.status,
                "exitCode": self.exit_code,
                "reason": self.reason,
                "durationSeconds": round(self.duration_seconds, 3),
                "output": self.output,
                "receiveCount": self.receive_count,
                "messageId": self.message_id,
            }
        )

    def shortened(self) -> Result:
        """The result without its output and most of its reason: under 1,024 bytes, the least MaximumMessageSize."""
        reason = (self.reason or "").encode("ascii", "replace").decode()
        return dataclasses.replace(self, output=[], reason=reason[:MAX_SHORT_REASON_CHARACTERS] or None)


def _id(fields: dict[str, object], reasons: list[str]) -> str | None:
    value = fields.get("id")
    if isinstance(value, str) and _ID.fullmatch(value):
        return value
    reasons.append(f"id: 1 to 128 letters, digits and punctuation, got {_short(value)}")
    return None


def _command(fields: dict[str, object], reasons: list[str]) -> list[str]:
    value = fields.get("command")
    if not isinstance(value, list) or not value:
        reasons.append(f"command: a list of at least one string, got {_short(cast('object', value))}")
        return []
    words = cast("list[object]", value)
    for position, word in enumerate(words):
        _string(f"command[{position}]", word, reasons)
    if words[0] == "":
        reasons.append("command[0]: the program's name, got ''")
    return cast("list[str]", words)


def _env(value: object, reasons: list[str]) -> dict[str, str]:
    if not isinstance(value, dict):
        reasons.append(f"env: an object of strings, got {_short(value)}")
        return {}
    env = cast("dict[str, object]", value)
    for name, text in env.items():
        if not _ENV_NAME.fullmatch(name):
            reasons.append(f"env: a name of letters, digits and underscores, got {_short(name)}")
        elif _REFUSED_ENV.fullmatch(name):
            reasons.append(f"env.{_short(name)}: is the worker's or a credential, which no message may carry")
        else:
            _string(f"env.{_short(name)}", text, reasons, reserved_bytes=len(name) + 1)
    return cast("dict[str, str]", env)


def _timeout(value: object, most: int, reasons: list[str]) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
        return value
    advice = ""
    if isinstance(value, int) and value > most:
        advice = "; submit longer work to AWS Batch instead"
    reasons.append(f"timeoutSeconds: a whole number from 1 to {most}, got {_short(value)}{advice}")
    return 0


def _string(path: str, value: object, reasons: list[str], reserved_bytes: int = 0) -> None:
    if not isinstance(value, str):
        reasons.append(f"{path}: a string, got {_short(value)}")
        return
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        reasons.append(f"{path}: a string of Unicode characters, got a lone surrogate")
        return
    if "\0" in value:
        reasons.append(f"{path}: a string without NUL, got one")
    if size + reserved_bytes > MAX_STRING_BYTES:
        reasons.append(f"{path}: at most {MAX_STRING_BYTES - reserved_bytes} bytes, got {size}")


def _kind(value: object) -> str:
    kinds: dict[type, str] = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")


def _short(value: object) -> str:
    text = json.dumps(value) if not isinstance(value, str) else value
    return text if len(text) <= 60 else f"{text[:57]}..."
