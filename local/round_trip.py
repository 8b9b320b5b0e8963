"""A task's way through the work queue, and a hopeless one's to the dead-letter queue, as a client sees them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from local.aws import Aws


class RoundTripError(Exception):
    """The queue did not behave as a task's sender may expect."""


def round_trip(aws: Aws, exports: Mapping[str, Any], queue: str) -> Iterator[str]:
    """Send tasks through a queue and back, saying what happened.

    Raises:
        RoundTripError: naming what was expected and what came.

    """
    sqs = aws.client("sqs")
    url, dead_letter_url = exports["queue_urls"][queue], exports["dead_letter_queue_urls"][queue]
    attributes: dict[str, str] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    fifo = attributes.get("FifoQueue") == "true"
    receives: int = json.loads(attributes["RedrivePolicy"])["maxReceiveCount"]

    tasks = [json.dumps({"id": f"train-{number}", "command": ["true"]}) for number in (1, 2, 3)]
    # the last one twice: a producer that was not sure
    for body in [*tasks, tasks[-1]] if fifo else tasks:
        _send(sqs, url, body, group="run-1" if fifo else None)
    came: list[str] = []
    while message := _receive(sqs, url):
        came.append(message["Body"])
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    _expect("tasks came out", tasks, came if fifo else sorted(came))
    yield f"{queue}: {len(came)} tasks came out {'in order and ' if fifo else ''}once"

    hopeless = json.dumps({"id": "hopeless", "command": ["false"]})
    _send(sqs, url, hopeless, group="run-2" if fifo else None)
    failures = 0
    while message := _receive(sqs, url):
        failures += 1
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    _expect("a failing task was received", receives, failures)
    dead = _receive(sqs, dead_letter_url)
    _expect("the dead-letter queue holds", hopeless, dead and dead["Body"])
    yield f"{queue}: a task that failed {failures} times is in the dead-letter queue"


def _send(sqs: Any, url: str, body: str, *, group: str | None) -> None:
    sqs.send_message(QueueUrl=url, MessageBody=body, **({"MessageGroupId": group} if group else {}))


def _receive(sqs: Any, url: str) -> Any:
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1, WaitTimeSeconds=0).get("Messages", [])
    return messages[0] if messages else None


def _expect(what: str, expected: object, got: object) -> None:
    if expected != got:
        raise RoundTripError(f"{what}: expected {expected}, got {got}")
