"""What a task is: the rules of the worker (worker/task.py), held here before anything is sent.

The two are kept alike by tests/test_client_task.py, since neither may import the other.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, cast

LARGEST_BODY_BYTES = 262_144
"""What the worker takes. A message of SQS may be 1 MiB."""
LARGEST_STRING_BYTES = 131_071
"""Linux takes no longer argument or environment entry."""
LONGEST_SECONDS = 43_080
"""SQS hides a message for 12 hours at most, and the worker needs 2 minutes of them to stop a task and answer."""
FIELDS = ("id", "command", "env", "timeoutSeconds")

_ID = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}", re.ASCII)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_REFUSED_ENV = re.compile(
    r"WORKER_.*|ECS_AGENT_URI|AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|SECURITY_TOKEN|WEB_IDENTITY_.*"
    r"|CONTAINER_CREDENTIALS_.*|CONTAINER_AUTHORIZATION_.*)",
    re.ASCII,
)


def mistakes(task: Any, *, longest_seconds: int = LONGEST_SECONDS) -> Iterator[str]:
    """Each rule of the worker that a task breaks, with what was got."""
    if not isinstance(task, dict):
        yield f"a task: must be a JSON object, got {_short(task)}"
        return
    fields = cast("dict[str, Any]", task)
    for name in fields:
        if name not in FIELDS:
            yield f"{_short(name)}: is no field of a task; there are {', '.join(FIELDS)}"
    if not is_id(fields.get("id")):
        yield f"id: must be 1 to 128 letters, digits and punctuation, got {_short(fields.get('id'))}"
    yield from _command(fields.get("command"))
    yield from _env(fields.get("env", {}))
    yield from _timeout(fields.get("timeoutSeconds", 1), longest_seconds)


def body(task: dict[str, Any]) -> str:
    """A task as the text of a message: ASCII, since SQS refuses some Unicode characters."""
    return json.dumps(task)


def size_mistakes(text: str) -> Iterator[str]:
    """Whether a body is too large."""
    if len(text) > LARGEST_BODY_BYTES:
        yield (
            f"must be at most {LARGEST_BODY_BYTES} bytes as JSON, got {len(text)};"
            " put what is large into the artifacts bucket and name it in the command"
        )


def is_id(value: Any) -> bool:
    """Whether a task may have this id: whatever SQS takes as a message group."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _command(value: Any) -> Iterator[str]:
    if not isinstance(value, list) or not value:
        yield f"command: must be a list of at least one string, got {_short(value)}"
        return
    words = cast("list[Any]", value)
    for position, word in enumerate(words):
        yield from _string(f"command[{position}]", word)
    if words[0] == "":
        yield "command[0]: must be the program's name, got ''"


def _env(value: Any) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"env: must be an object of strings, got {_short(value)}"
        return
    for name, text in cast("dict[str, Any]", value).items():
        if not _ENV_NAME.fullmatch(name):
            yield f"env: must have names of letters, digits and underscores, got {_short(name)}"
        elif _REFUSED_ENV.fullmatch(name):
            yield f"env.{_short(name)}: is the worker's or a credential, which no message may carry"
        else:
            yield from _string(f"env.{_short(name)}", text, reserved_bytes=len(name) + 1)


def _timeout(value: Any, longest: int) -> Iterator[str]:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= longest:
        return
    longer = isinstance(value, int) and value > longest
    yield (
        f"timeoutSeconds: must be a whole number from 1 to {longest}, got {_short(value)}"
        f"{'; longer work is a Batch job' * longer}"
    )


def _string(path: str, value: Any, reserved_bytes: int = 0) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{path}: must be a string, got {_short(value)}"
        return
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        yield f"{path}: must be a string of Unicode characters, got a lone surrogate"
        return
    if "\0" in value:
        yield f"{path}: must be a string without NUL, got one"
    if size + reserved_bytes > LARGEST_STRING_BYTES:
        yield f"{path}: must be at most {LARGEST_STRING_BYTES - reserved_bytes} bytes, got {size}"


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else json.dumps(value)
    # a lone surrogate could not be printed
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= 60 else f"{text[:57]}..."
