"""A task through the workers' queue and back, and a message through each queue that nobody works on."""

import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, cast
from uuid import uuid4

from client.account import Account
from client.fleets import container
from client.outputs import Outputs
from client.smoke.check import Check, Finding, Patience, failed, not_checked, passed
from client.smoke.queues import attributes_of, held

LOOK_SECONDS = 2
"""How long one look at a queue waits for a message."""
HIDDEN_SECONDS = 30
"""Seconds until a message comes back by itself, if this check dies while it is in flight."""
TASK_SECONDS = 60
ECHO_SECONDS = 30
"""How long a message may take through a queue that nobody else reads."""
LEAST_RECEIVES = 3
"""Fewest `maxReceiveCount` of the results queue: two looks of this check at somebody else's result, and one of its
reader."""


def checks(outputs: Outputs, account: Account, patience: Patience) -> Iterator[Check]:
    """A round trip by way of the workers where there are any, and one through each other queue."""
    sqs = account.client("sqs")
    urls = dict(outputs.queue_urls)
    names = {url: name for name, url in urls.items()}
    answering = set[str]()
    for fleet in outputs.ecs_task_definition_arns:
        worker = container(account.client("ecs"), outputs, fleet)
        told = {one["name"]: one["value"] for one in worker.get("environment", [])}
        tasks_url, results_url = told["WORKER_QUEUE_URL"], told.get("WORKER_RESULTS_QUEUE_URL", "")
        # of fleets that share a queue nobody knows which takes the task
        if tasks_url not in answering:
            yield Check(
                f"queues {names[tasks_url]}",
                "a task goes to a worker, and its result comes back",
                # only the reference worker has this health check, and only it is known to do tasks of this form
                partial(_task, sqs, tasks_url, results_url, account.is_local("sqs"), patience)
                if "worker" in worker.get("healthCheck", {}).get("command", [])
                else partial(_foreign, worker["image"]),
            )
        answering |= {tasks_url, results_url}
    for name, url in urls.items():
        if url not in answering:
            yield Check(f"queues {name}", "a message goes in and comes out", partial(_echo, sqs, url, patience))


def _foreign(image: str) -> Iterator[Finding]:
    yield not_checked(f"workers run {image}, and what its tasks are is not known here")


def _task(sqs: Any, tasks_url: str, results_url: str, local: bool, patience: Patience) -> Iterator[Finding]:
    attributes = attributes_of(sqs, results_url)
    # a look counts as a receive: somebody else's result may not be pushed to the dead-letter queue by it
    if count := held(attributes):
        yield not_checked(
            f"{count} results of others wait, and this check may not receive them; try again when they are fetched"
        )
        return
    if json.loads(attributes.get("RedrivePolicy", "{}")).get("maxReceiveCount", LEAST_RECEIVES) < LEAST_RECEIVES:
        yield not_checked(
            f"results are received fewer than {LEAST_RECEIVES} times, too few to look for one among others"
        )
        return
    task_id, started = f"smoke-{uuid4().hex[:8]}", time.monotonic()
    _send(sqs, tasks_url, task_id)
    hint = f"; start a worker: WORKER_QUEUE_URL={tasks_url} WORKER_RESULTS_QUEUE_URL={results_url} python -m worker"
    patience.say("task", f"{task_id} is sent{hint * local}")
    seen: set[str] = set()
    for _ in patience.tries(0):
        result, others = _taken(sqs, results_url, task_id)
        if result is not None:
            took = f"after {time.monotonic() - started:.0f} s"
            if result.get("status") == "succeeded":
                yield passed(took)
            else:
                yield failed(f"{task_id} {result.get('status')} {took}: {result.get('reason')}")
            return
        if seen & others:
            yield not_checked(f"others' results come that nobody fetches; that of {task_id} will be among them")
            return
        seen |= others
    yield failed(
        f"no result of {task_id} within {patience.seconds} s: see the service's events and the workers' log; the task"
        " stays in the queue and does no harm"
    )


def _echo(sqs: Any, url: str, patience: Patience) -> Iterator[Finding]:
    if count := held(attributes_of(sqs, url)):
        yield not_checked(f"{count} messages of others are in it, and this check may not receive them")
        return
    task_id = f"smoke-{uuid4().hex[:8]}"
    _send(sqs, url, task_id)
    for _ in Patience(ECHO_SECONDS, patience.say).tries(0):
        came, others = _taken(sqs, url, task_id)
        if came is not None:
            return
        if others:
            yield not_checked(f"others send to it just now; {task_id} is among theirs")
            return
    yield failed(f"{task_id} did not come out within {ECHO_SECONDS} s; does somebody else receive from this queue?")


def _send(sqs: Any, url: str, task_id: str) -> None:
    """Send a task that does nothing, and harms nothing should a worker that is not known here take it."""
    body = json.dumps({"id": task_id, "command": ["true"], "timeoutSeconds": TASK_SECONDS})
    fifo = {"MessageGroupId": task_id, "MessageDeduplicationId": task_id} if url.endswith(".fifo") else {}
    sqs.send_message(QueueUrl=url, MessageBody=body, **fifo)


def _taken(sqs: Any, url: str, task_id: str) -> tuple[dict[str, Any] | None, set[str]]:
    """The message about this task, taken out of the queue, and the ids of those that others are to have, put back."""
    answer = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=LOOK_SECONDS, VisibilityTimeout=HIDDEN_SECONDS
    )
    mine, others = None, set[str]()
    for message in answer.get("Messages", []):
        handle = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
        body = _parsed(message["Body"])
        if body.get("id") == task_id:
            mine = body
            sqs.delete_message(**handle)
        else:
            sqs.change_message_visibility(**handle, VisibilityTimeout=0)
            others.add(message["MessageId"])
    return mine, others


def _parsed(body: str) -> dict[str, Any]:
    try:
        result = json.loads(body)
    except ValueError:
        return {}
    return cast("dict[str, Any]", result) if isinstance(result, dict) else {}
