"""What the worker is told through its environment, checked once.

Every variable that starts with `WORKER_` and is not listed here is a mistake. `AWS_REGION` and `AWS_ENDPOINT_URL` are
boto3's, `ECS_AGENT_URI` is set by ECS.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

CEILING_SECONDS = 43_200
"""SQS keeps a received message invisible for at most 12 hours from its ReceiveMessage; extending resets nothing.

Source: Amazon SQS Developer Guide, "Amazon SQS visibility timeout", and awsdocs/amazon-sqs-developer-guide#40. It is
counted anew at each receive, so a task that came back has 12 hours again."""

CEILING_MARGIN_SECONDS = 120
"""How long before the ceiling a child is stopped, so that there is time to stop it and to answer."""

LONGEST_STOP_SECONDS = 110
"""ECS kills a Fargate task 120 seconds after SIGTERM at the latest (`stopTimeout`); 10 are left to answer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Each field is the variable `WORKER_` and its name in capitals."""

    queue_url: str
    """URL of the queue that tasks come from; required."""

    results_queue_url: str
    """URL of the queue that results go to; required."""

    visibility_timeout_seconds: int | None = None
    """How long a received task stays invisible unless it is extended; left out, the queue's own. A third of it is the
    heartbeat's interval. 30 or more is sensible outside tests: a call to SQS may take 15 seconds to fail."""

    max_failures: int | None = None
    """How often a task may fail. Together with `records_url`; left out, the queue's `maxReceiveCount`, so that a task
    that a stopped worker gave back has one attempt less."""

    records_url: str | None = None
    """Where in S3, as `s3://BUCKET/PREFIX`, the worker counts failures, which SQS does not tell from other receives."""

    max_task_seconds: int = 3600
    """How long a task may run at most, and the default of its `timeoutSeconds`."""

    slots: int = 1
    """How many tasks run at once. A slot may hold one more, which has ended and waits for its answer to be sent."""

    log_bytes: int = 10_000_000
    """How much of a task's output goes to the log, in bytes of the log."""

    task_memory_mib: int | None = None
    """How much memory all processes of a task may hold together, looked at twice a second; Linux alone knows. Left out,
    there is no limit, and a container that is out of memory loses a task's process before the worker."""

    poll_seconds: int = 5
    """How long one ReceiveMessage waits for a message.

    A poll is never cut off: SQS goes on with a poll whose client has gone, and the next message would go to nobody and
    stay invisible for the whole visibility timeout (aws/aws-sdk-js#2350, aws/aws-sdk-java#2083). So SIGTERM waits for
    the poll's end, gives back what it brings, and this is short where SQS would allow 20."""

    drain_seconds: int = 90
    """How long children may go on after SIGTERM."""

    stop_grace_seconds: int = 10
    """How long a child has between SIGTERM and SIGKILL."""

    retry_seconds: int = 10
    """How long a task that failed once waits for its next attempt; doubles with each further failure. Its group waits
    with it, since the order within a group is kept."""

    retry_max_seconds: int = 900
    """The longest such wait."""

    trouble_max_seconds: int = 20
    """The longest wait between two tries of a call to SQS that fails."""

    protection_linger_seconds: int = 10
    """How long the ECS task stays protected from scale-in after its last task, so that short tasks do not toggle it."""

    health_file: Path = Path("/tmp/worker-healthy")  # noqa: S108  the one writable path in the container, not shared
    """Touched every second or so while every thread of the worker lives."""

    ecs_agent_uri: str | None = None
    """`ECS_AGENT_URI`, without the prefix; left out, the worker is not in ECS and protects nothing."""

    region: str | None = None
    """`AWS_REGION`, or `AWS_DEFAULT_REGION`, or the region in the queue's URL; left out, boto3 looks in its profile."""


class SettingsError(Exception):
    """The environment's mistakes, one line each in `mistakes`."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


_BOUNDS: dict[str, tuple[int, int]] = {
    "visibility_timeout_seconds": (1, CEILING_SECONDS),
    "max_failures": (1, 1000),
    "max_task_seconds": (1, CEILING_SECONDS - CEILING_MARGIN_SECONDS),
    "slots": (1, 64),
    "log_bytes": (0, 999_999_999),
    "task_memory_mib": (16, 16_777_216),
    "poll_seconds": (1, 20),
    "drain_seconds": (0, LONGEST_STOP_SECONDS),
    "stop_grace_seconds": (0, LONGEST_STOP_SECONDS),
    "retry_seconds": (0, 3600),
    "retry_max_seconds": (0, 3600),
    "trouble_max_seconds": (1, 300),
    "protection_linger_seconds": (0, 3600),
}
_URLS = ("queue_url", "results_queue_url")
_NAMES = (*_URLS, *_BOUNDS, "records_url", "health_file")


def from_environment(environment: Mapping[str, str]) -> Settings:
    """The settings in `environment`; raises `SettingsError` with every mistake, each as `NAME: rule, got value`."""
    mistakes: list[str] = []
    given: dict[str, str] = {}
    for variable, value in environment.items():
        if variable.startswith("WORKER_"):
            field = variable.removeprefix("WORKER_").lower()
            if field in _NAMES and variable == _variable(field):
                given[field] = value
            else:
                mistakes.append(f"{variable}: no such setting, one of {', '.join(map(_variable, _NAMES))}")

    urls = {field: _url(field, given.get(field), mistakes) for field in _URLS}
    if urls["queue_url"] and urls["queue_url"] == urls["results_queue_url"]:
        mistakes.append(f"WORKER_RESULTS_QUEUE_URL: must differ from WORKER_QUEUE_URL, got {urls['queue_url']!r}")

    numbers: dict[str, int | None] = {field: getattr(Settings, field) for field in _BOUNDS}
    for field, (least, most) in _BOUNDS.items():
        if field in given:
            numbers[field] = _number(field, given[field], least, most, mistakes)
    _at_most(LONGEST_STOP_SECONDS, ("drain_seconds", "stop_grace_seconds"), numbers, mistakes)
    retry, retry_max = numbers["retry_seconds"], numbers["retry_max_seconds"]
    if retry is not None and retry_max is not None and retry > retry_max:
        mistakes.append(f"WORKER_RETRY_SECONDS: at most WORKER_RETRY_MAX_SECONDS ({retry_max}), got {retry}")

    records_url = given.get("records_url")
    if records_url is not None and not re.fullmatch(r"s3://[^/\s]+/[^/\s]+", records_url):
        mistakes.append(f"WORKER_RECORDS_URL: s3://BUCKET/PREFIX, got {records_url!r}")
    if (records_url is None) != ("max_failures" not in given):
        mistakes.append("WORKER_MAX_FAILURES: together with WORKER_RECORDS_URL, got one of them")

    health_file = Path(given.get("health_file", Settings.health_file))
    if not health_file.is_absolute():
        mistakes.append(f"WORKER_HEALTH_FILE: an absolute path, got {given['health_file']!r}")

    if mistakes:
        raise SettingsError(mistakes)
    return Settings(
        queue_url=urls["queue_url"],
        results_queue_url=urls["results_queue_url"],
        records_url=records_url,
        health_file=health_file,
        ecs_agent_uri=environment.get("ECS_AGENT_URI") or None,
        region=_region(environment, urls["queue_url"]),
        **numbers,  # pyright: ignore[reportArgumentType]  a number that is None is a mistake, or one that may be
    )


def _variable(field: str) -> str:
    return f"WORKER_{field.upper()}"


def _url(field: str, value: str | None, mistakes: list[str]) -> str:
    if not value:
        mistakes.append(f"{_variable(field)}: required, the URL of an SQS queue")
    elif not re.fullmatch(r"https?://[^/\s]+/\S+", value):
        mistakes.append(f"{_variable(field)}: the URL of an SQS queue, got {value!r}")
    return value or ""


def _number(field: str, value: str, least: int, most: int, mistakes: list[str]) -> int | None:
    if re.fullmatch(r"[0-9]{1,9}", value) and least <= int(value) <= most:
        return int(value)
    unit = " seconds" if field.endswith("_seconds") else ""
    mistakes.append(f"{_variable(field)}: a whole number from {least} to {most}{unit}, got {value!r}")
    return None


def _at_most(most: int, fields: tuple[str, ...], numbers: Mapping[str, int | None], mistakes: list[str]) -> None:
    values = [value for field in fields if (value := numbers[field]) is not None]
    if len(values) == len(fields) and sum(values) > most:
        mistakes.append(f"{' + '.join(map(_variable, fields))}: at most {most} seconds, got {sum(values)}")


def _region(environment: Mapping[str, str], queue_url: str) -> str | None:
    # botocore reads AWS_DEFAULT_REGION only, while ECS and people set AWS_REGION
    in_url = re.match(r"https?://sqs\.([a-z0-9-]+)\.", queue_url)
    return environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or (in_url and in_url[1])
