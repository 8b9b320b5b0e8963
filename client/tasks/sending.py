"""`train task send`: check tasks by the worker's rules, and send them."""

import hashlib
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from client import show, stack
from client.account import said
from client.errors import TrainError
from client.fleets import fleets
from client.tasks import task

MOST_IN_BATCH = 10
LARGEST_BATCH_BYTES = 1_048_576
"""What one SendMessageBatch takes (SQS API, SendMessageBatch)."""
UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Message:
    """A task that is to be sent."""

    place: str
    """Where it comes from, before what is said of it; empty for one of the command line."""
    id: str
    body: str


def run(
    name: str | None,
    path: Path | None,
    queue: str,
    command: Sequence[str],
    *,
    group: str | None,
    task_id: str | None,
    timeout: str | None,
    file: Path | None,
    as_json: bool,
) -> int:
    """Send the task of the command line, or those of a file, in their order.

    Raises:
        TrainError: naming every mistake before anything is sent, or what was not sent.

    """
    if file is not None and (command or task_id):
        raise TrainError("--file: has commands and ids of its own; leave out --id and what comes after --")
    if file is None and not command:
        raise TrainError("a command: is required after --, as in: train task send tasks -- python prepare.py")
    seconds = None if timeout is None else _seconds(timeout)
    with stack.opened(name, path) as opened:
        url = opened.outputs.queue_urls[stack.chosen("queue", queue, opened.outputs.queue_urls)]
        fifo = url.endswith(".fifo")
        longest = task.LONGEST_SECONDS
        if opened.outputs.ecs_task_definition_arns:
            there = list(fleets(opened.client("ecs"), opened.outputs))
            if (at_work := [one for one in there if one.tasks_url == url]) == [] and any(
                one.results_url == url for one in there
            ):
                raise TrainError(f"queue: '{queue}' is where workers answer; send the task to the queue they work on")
            longest = min((one.longest_seconds or longest for one in at_work), default=longest)
        wrong = [] if group is None else list(_group_mistakes(group, queue, fifo))
        messages = list(_messages(_given(command, task_id, file), seconds, longest, wrong))
        if wrong:
            raise TrainError("\n".join(wrong))
        sqs, sent = opened.client("sqs"), 0
        for batch in batches(messages):
            send_batch(sqs, url, batch, messages[:sent], fifo=fifo, group=group)
            sent += len(batch)
            for one in batch:
                show.one({"id": one.id, "queue": queue}, one.id, as_json=as_json)
    return 0


def _seconds(timeout: str) -> int:
    if not (match := re.fullmatch(r"([0-9]{1,6})([smh]?)", timeout)):
        raise TrainError(f"--timeout: must be a number of seconds, or of s, m or h, such as 15m, got '{timeout}'")
    return int(match[1]) * UNITS[match[2] or "s"]


def _group_mistakes(group: str, queue: str, fifo: bool) -> Iterator[str]:
    if not fifo:
        yield f"--group: must be left out, since '{queue}' is no FIFO queue and keeps no order, got '{group}'"
    elif not task.is_id(group):
        yield f"--group: must be 1 to 128 letters, digits and punctuation, got '{group}'"


def _given(command: Sequence[str], task_id: str | None, file: Path | None) -> Iterator[tuple[str, Any]]:
    """Each task as it is given, and its place."""
    if file is None:
        yield "", {"command": list(command)} | ({} if task_id is None else {"id": task_id})
        return
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{file}, line {number}: ", line


def _messages(
    given: Iterator[tuple[str, Any]], seconds: int | None, longest: int, wrong: list[str]
) -> Iterator[Message]:
    """The tasks that are right; what is wrong with the others goes into `wrong`."""
    places: dict[str, str] = {}
    for place, one in given:
        if isinstance(one, str):
            try:
                one = json.loads(one)
            except (ValueError, RecursionError) as error:
                wrong.append(f"{place}must be JSON: {error}")
                continue
        if isinstance(one, dict):
            defaults: dict[str, Any] = {"id": f"task-{uuid4().hex[:12]}"}
            if seconds is not None:
                defaults["timeoutSeconds"] = seconds
            one = defaults | cast("dict[str, Any]", one)
        found = [f"{place}{line}" for line in task.mistakes(one, longest_seconds=longest)]
        if not found:
            body = task.body(one)
            found = [f"{place}{line}" for line in task.size_mistakes(body)]
            before = places.setdefault(one["id"], place)
            if before != place:
                found.append(f"{place}id: must differ from that of {before.rstrip(': ')}, got '{one['id']}'")
            elif not found:
                yield Message(place, one["id"], body)
        wrong += found
    if not places and not wrong:
        wrong.append("--file: must hold at least one task, got none")


def batches(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    """The messages in their order, as many at once as SQS takes."""
    first = size = 0
    for number, one in enumerate(messages):
        size += len(one.body)
        if number - first == MOST_IN_BATCH or size > LARGEST_BATCH_BYTES:
            yield messages[first:number]
            first, size = number, len(one.body)
    yield messages[first:]


def send_batch(
    sqs: Any, url: str, batch: Sequence[Message], sent: Sequence[Message], *, fifo: bool, group: str | None
) -> None:
    """Send a batch. Nothing is sent after one that SQS refuses, so that a group keeps its order."""
    before = f"; {len(sent)} before it are sent, and nothing after it" if sent else ""
    entries = [
        {"Id": str(number), "MessageBody": one.body}
        | (
            {
                "MessageGroupId": group or one.id,
                # what SQS itself takes where the queue says so: the same task twice within 5 minutes is one
                "MessageDeduplicationId": hashlib.sha256(one.body.encode()).hexdigest(),
            }
            if fifo
            else {}
        )
        for number, one in enumerate(batch)
    ]
    try:
        answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    except (BotoCoreError, ClientError) as error:
        raise TrainError(f"{batch[0].place}{said(error)}{before}") from error
    refused = {int(one["Id"]): one for one in answer.get("Failed", [])}
    if refused:
        lines = [
            f"{batch[number].place}'{batch[number].id}' is not sent: {one['Code']}: {one.get('Message', '')}"
            for number, one in sorted(refused.items())
        ]
        count = len(sent) + len(batch) - len(refused)
        raise TrainError("\n".join([*lines, f"{count} tasks are sent, and none after these"]))
