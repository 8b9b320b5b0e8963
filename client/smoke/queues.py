"""The work queues and their dead-letter queues."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from client.account import Account
from client.outputs import Outputs
from client.smoke.check import Check, Finding, failed, warning

HELD = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
"""Attributes whose sum is what a queue holds."""


def checks(outputs: Outputs, account: Account) -> Iterator[Check]:
    """Each queue with the queue that takes what fails."""
    sqs = account.client("sqs")
    for name, url in outputs.queue_urls.items():
        dead_letter_arn = outputs.dead_letter_queue_arns[name]
        yield Check(
            f"queues {name}",
            "takes messages, and gives those that fail to its dead-letter queue",
            partial(_queue, sqs, url, outputs.queue_arns[name], dead_letter_arn),
        )
        yield Check(
            f"queues {name}",
            "has a dead-letter queue, in which nothing waits",
            partial(_dead_letters, sqs, outputs.dead_letter_queue_urls[name], dead_letter_arn),
        )


def attributes_of(sqs: Any, url: str) -> dict[str, str]:
    """A queue's attributes, all of them text."""
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]


def held(attributes: dict[str, str]) -> int:
    """About how many messages a queue holds: waiting, in flight, delayed."""
    return sum(int(attributes[key]) for key in HELD)


def _queue(sqs: Any, url: str, arn: str, dead_letter_arn: str) -> Iterator[Finding]:
    attributes = attributes_of(sqs, url)
    yield from _is_named(url, arn, attributes)
    redrive: dict[str, Any] = json.loads(attributes.get("RedrivePolicy", "{}"))
    if redrive.get("deadLetterTargetArn") != dead_letter_arn:
        yield failed(
            f"what fails goes to {redrive.get('deadLetterTargetArn', 'nowhere')}, not to {dead_letter_arn};"
            " `pulumi refresh` and `pulumi up` set it again"
        )


def _dead_letters(sqs: Any, url: str, arn: str) -> Iterator[Finding]:
    attributes = attributes_of(sqs, url)
    yield from _is_named(url, arn, attributes)
    if count := held(attributes):
        yield warning(f"{count} waiting: find out why they failed, then redrive or purge them")


def _is_named(url: str, arn: str, attributes: dict[str, str]) -> Iterator[Finding]:
    if attributes["QueueArn"] != arn:
        yield failed(f"its ARN is {attributes['QueueArn']}, and {arn} is exported")
    # boto3 finds a queue by the URL's path alone
    if urlsplit(url).path.split("/")[1:] != arn.split(":")[4:]:
        yield failed(f"{url} is not the URL of {arn}")
    if (attributes.get("FifoQueue") == "true") != arn.endswith(".fifo"):
        yield failed("is a FIFO queue only by its name, or only not by its name")
