"""Sends tasks through the queue and a worker, and one that always fails to the dead-letter queue, as a sender would."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local import interrupt
from local.aws import Aws

PATIENCE_SECONDS = 60
"""How long to wait for a result before the round trip has failed."""
MOST_ATTEMPTS = 20
"""Most attempts for which a task that always fails is tried here."""


class RoundTripError(Exception):
    """A task did not end as its sender may expect."""


def round_trip(aws: Aws, exports: Mapping[str, Any], queue: str) -> Iterator[str]:
    """Send tasks to a queue, let a worker process do them, and say what its results were.

    Raises:
        RoundTripError: naming what was expected and what was received.

    """
    sqs = aws.client("sqs")
    url, dead_letter_url = exports["queue_urls"][queue], exports["dead_letter_queue_urls"][queue]
    results_url = exports["queue_urls"]["results"]
    attributes: dict[str, str] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    fifo = attributes.get("FifoQueue") == "true"
    settings = _settings(aws, exports, url)
    attempts = int(settings.get("WORKER_MAX_FAILURES") or json.loads(attributes["RedrivePolicy"])["maxReceiveCount"])

    good = [_task(f"train-{number}", "print('a step of training')") for number in (1, 2, 3)]
    hopeless = _task("hopeless", "raise SystemExit('no such data')")
    # the last one twice, as a producer does that is not sure whether it was sent
    for body in [*good, good[-1]] if fifo else good:
        _send(sqs, url, body, group="run-1" if fifo else None)
    gives_up = attempts <= MOST_ATTEMPTS
    if gives_up:
        _send(sqs, url, hopeless, group="run-2" if fifo else None)

    with working(aws, exports, queue) as worker:
        results = [json.loads(_received(sqs, results_url, worker)["Body"]) for _ in range(3 + gives_up)]
        done = [result["id"] for result in results if result["status"] == "succeeded"]
        _expect("tasks that succeeded", ["train-1", "train-2", "train-3"], done if fifo else sorted(done))
        yield f"{queue}: a worker did {len(done)} tasks {'in order and ' if fifo else ''}once"
        if gives_up:
            (failed,) = (result for result in results if result["status"] == "failed")
            _expect("attempts at the hopeless task", attempts, failed["receiveCount"])
            _expect("the dead-letter queue", hopeless, _received(sqs, dead_letter_url, worker)["Body"])
            yield f"{queue}: a task that failed {attempts} times is in the dead-letter queue"
        else:
            yield f"{queue}: maxReceiveCount {attempts} is too high to try here how a task fails"
    left = sqs.receive_message(QueueUrl=results_url, WaitTimeSeconds=0).get("Messages", [])
    _expect("further results", [], [message["Body"] for message in left])


def _settings(aws: Aws, exports: Mapping[str, Any], url: str) -> dict[str, str]:
    """The settings that the stack gives the workers of this queue."""
    for definition in exports.get("ecs_task_definition_arns", {}).values():
        described = aws.client("ecs").describe_task_definition(taskDefinition=definition)["taskDefinition"]
        told = {one["name"]: one["value"] for one in described["containerDefinitions"][0]["environment"]}
        if told.get("WORKER_QUEUE_URL") == url:
            return {name: value for name, value in told.items() if name.startswith("WORKER_")}
    return {}


@contextmanager
def working(aws: Aws, exports: Mapping[str, Any], queue: str) -> Generator["subprocess.Popen[str]"]:
    """The reference worker as a process, without a wait between attempts at a task or for a running task at its end."""
    url = exports["queue_urls"][queue]
    worker = interrupt.start(
        [sys.executable, "-m", "worker"],
        cwd=Path(__file__).parents[1],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("WORKER_")},
            **aws.environment,
            **_settings(aws, exports, url),
            "WORKER_QUEUE_URL": url,
            "WORKER_RESULTS_QUEUE_URL": exports["queue_urls"]["results"],
            "WORKER_POLL_SECONDS": "1",
            "WORKER_SLOTS": "4",
            "WORKER_RETRY_SECONDS": "0",
            "WORKER_DRAIN_SECONDS": "0",
            "WORKER_STOP_GRACE_SECONDS": "0",
            "WORKER_HEALTH_FILE": os.devnull,
        },
        stdout=subprocess.DEVNULL,
    )
    try:
        yield worker
    finally:
        interrupt.end(worker)


def _task(task_id: str, program: str) -> str:
    return json.dumps({"id": task_id, "command": [sys.executable, "-c", program]})


def _send(sqs: Any, url: str, body: str, *, group: str | None) -> None:
    sqs.send_message(QueueUrl=url, MessageBody=body, **({"MessageGroupId": group} if group else {}))


def _received(sqs: Any, url: str, worker: "subprocess.Popen[str]") -> Any:
    """The next message of a queue, which is removed from it."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if (status := worker.poll()) is not None:
            raise RoundTripError(f"the worker ended with status {status} before the tasks did")
        for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", []):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return message
    raise RoundTripError(f"{url}: nothing came within {PATIENCE_SECONDS} s")


def _expect(what: str, expected: object, got: object) -> None:
    if expected != got:
        raise RoundTripError(f"{what}: expected {expected}, got {got}")
