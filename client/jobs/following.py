"""`train job logs`, and what follows a job to its end: its states as they come, and what its nodes write."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from client import show, stack
from client.account import said
from client.errors import TrainError
from client.jobs.job import (
    ENDS,
    Described,
    exit_code_of,
    find,
    log_group,
    log_pages,
    log_streams,
    node_count,
    nodes_of,
    reason,
    when,
)
from client.stack import Stack

POLL_SECONDS = 3.0
LAST_LOGS_SECONDS = 6.0
"""For how long after its end more is waited for: what a container wrote last arrives some seconds later."""
MOST_FAILURES = 20
"""How many questions in a row AWS may leave without an answer, as when the network is down for a minute."""
FRONT_OF_QUEUE = 100
"""Jobs of a queue that its snapshot names (Batch API, `GetJobQueueSnapshot`)."""
INTERRUPTED = 130
LARGEST_STATUS = 255


def run(name: str | None, path: Path | None, job_id: str, *, node: int | None, follow: bool, as_json: bool) -> int:
    """Show what a job wrote; with `follow`, until its end, and return its exit status.

    Raises:
        TrainError: when there is none of this id in the stack, or no such node.

    """
    with stack.opened(name, path) as opened:
        job = find(opened, job_id)
        if node is not None and node >= node_count(job):
            raise TrainError(f"--node: must be from 0 to {node_count(job) - 1}, got {node}")
        if follow:
            return _follow(opened, job_id, node=node, as_json=as_json)
        _Logs(opened, node=node, as_json=as_json).read(job)
    return 0


def follow(opened: Stack, job_id: str, *, as_json: bool) -> int:
    """Follow a job to its end; its exit status."""
    return _follow(opened, job_id, node=None, as_json=as_json)


def _follow(opened: Stack, job_id: str, *, node: int | None, as_json: bool) -> int:
    logs, told, failures = _Logs(opened, node=node, as_json=as_json), "", 0
    try:
        while True:
            try:
                job = find(opened, job_id)
                if (text := _state(opened, job)) != told:
                    told = text
                    _tell(job, text, as_json=as_json)
                logs.read(job)
                failures = 0
            except BotoCoreError as error:
                failures += 1
                if failures > MOST_FAILURES:
                    raise
                if failures == 1:
                    show.hint(f"{said(error)}; asking again")
            else:
                if job["status"] in ENDS:
                    break
            time.sleep(POLL_SECONDS)
        _read_last(opened, logs, job)
    except KeyboardInterrupt:
        show.hint(f"{job_id} goes on; stop it with: train job cancel {job_id}")
        return INTERRUPTED
    return _status(opened, job)


def _read_last(opened: Stack, logs: "_Logs", job: Described) -> None:
    """Read what arrives after the end."""
    if opened.account.is_local("batch"):
        show.hint("the local AWS runs no container: there is nothing to read")
        return
    time.sleep(LAST_LOGS_SECONDS)
    logs.read(job)


def _state(opened: Stack, job: Described) -> str:
    """How a job stands, in words."""
    words = [job["status"]]
    if job["status"] == "RUNNABLE":
        words.append(_place(opened, job))
    words.append(reason(job))
    if job["status"] in ENDS and (code := exit_code_of(opened.client("batch"), job)) is not None:
        words.append(f"exit status {code}")
    return ", ".join(filter(None, words))


def _place(opened: Stack, job: Described) -> str:
    """Where it waits in its queue; what stands first waits for an instance."""
    try:
        snapshot = opened.client("batch").get_job_queue_snapshot(jobQueue=job["jobQueue"])
    except ClientError as error:
        return said(error)
    front = [one["jobArn"] for one in snapshot.get("frontOfQueue", {}).get("jobs", [])]
    if job["jobArn"] in front:
        place = front.index(job["jobArn"]) + 1
        return f"place {place} in the queue" + ", waits for an instance" * (place == 1)
    return f"behind the first {FRONT_OF_QUEUE} in the queue" if len(front) == FRONT_OF_QUEUE else ""


def _tell(job: Described, text: str, *, as_json: bool) -> None:
    if as_json:
        show.one({"job": job["jobId"], "state": job["status"], "said": text}, "", as_json=True)
    else:
        show.hint(f"{job['jobId']} is {text}")


def _status(opened: Stack, job: Described) -> int:
    """The job's own exit status; 1 where it failed without one."""
    if job["status"] == "SUCCEEDED":
        return 0
    code = exit_code_of(opened.client("batch"), job)
    return code if code is not None and 0 < code <= LARGEST_STATUS else 1


class _Logs:
    """The log streams of a job's nodes, each read on from where it was left."""

    def __init__(self, opened: Stack, *, node: int | None, as_json: bool) -> None:
        """`node`: the only one that is read; None for all."""
        self._batch, self._logs = opened.client("batch"), opened.client("logs")
        self._node, self._as_json = node, as_json
        self._read: dict[tuple[str, str], str] = {}

    def read(self, job: Described) -> None:
        """Show what is new."""
        for number, node in nodes_of(self._batch, job).items():
            if self._node in (None, number):
                prefix = f"node {number} | " if "nodeProperties" in job and self._node is None else ""
                group = log_group(job, node)
                for stream in log_streams(node):
                    self._read_on(group, stream, number, prefix)

    def _read_on(self, group: str, stream: str, node: int, prefix: str) -> None:
        for page in log_pages(self._logs, group, stream, self._read.get((group, stream))):
            for event in page["events"]:
                self._show(event, node, prefix)
            self._read[group, stream] = page["nextForwardToken"]

    def _show(self, event: Mapping[str, Any], node: int, prefix: str) -> None:
        document = {"node": node, "time": when(event["timestamp"]), "message": event["message"]}
        show.one(document, f"{prefix}{event['message'].rstrip()}", as_json=self._as_json)
