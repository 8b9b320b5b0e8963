"""How long an empty task takes a worker, over a bare boto3 loop that receives, runs and deletes one by one.

Both include the cost of the child process. The worker also sends results; it saves that time by answering several tasks
in one call while it receives the next. Here moto, which is one Python process, limits both; on AWS the network's
latency does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figure import Figure, in_turns
from local.aws import Aws
from tests.worker_support import Queues, WorkerProcess, client
from worker import child

COMMAND = ["true"]
GROUPS = 50
TASKS = 200
MOST = {1: 1.25, 8: 0.6}
"""Slots of the worker -> bound of the bare loop's rate over the worker's."""


def figures(aws: Aws, runs: int) -> Iterator[Figure]:
    """The worker with one slot and with eight."""
    for slots, most in MOST.items():
        yield Figure(
            name=f"a task of the worker, slots: {slots}",
            floor="receive, run, delete by boto3 alone",
            unit="ms",
            most=most,
            pairs=in_turns(
                runs,
                lambda slots=slots: _worker(_filled(aws), slots),
                lambda: _bare(_filled(aws)),
            ),
        )


def _filled(aws: Aws) -> Queues:
    queues = Queues(aws.endpoint_url, f"run{time.monotonic_ns()}", visibility_seconds=60)
    queues.send_many([(f"group-{i % GROUPS}", {"id": f"task-{i}", "command": COMMAND}) for i in range(TASKS)])
    return queues


def _bare(queues: Queues) -> float:
    """Milliseconds a task of a loop that makes only the necessary calls."""
    sqs = client("sqs", queues.endpoint_url)
    started = time.perf_counter()
    for _ in range(TASKS):
        message = sqs.receive_message(QueueUrl=queues.tasks, WaitTimeSeconds=5)["Messages"][0]
        child.run(COMMAND, os.environ, stop=lambda: None, grace_seconds=0, on_line=print)
        sqs.delete_message(QueueUrl=queues.tasks, ReceiptHandle=message["ReceiptHandle"])
    return 1000 * (time.perf_counter() - started) / TASKS


def _worker(queues: Queues, slots: int) -> float:
    """Milliseconds a task of a worker process, without its start."""
    with (
        TemporaryDirectory() as directory,
        WorkerProcess(queues, Path(directory) / "healthy", WORKER_SLOTS=str(slots)) as process,
    ):
        last = process.wait_for("settled", TASKS, seconds=300)
        first = process.wait_for("ready")
        return 1000 * (_moment(last) - _moment(first)) / TASKS


def _moment(line: dict[str, str]) -> float:
    return datetime.fromisoformat(line["time"]).timestamp()
