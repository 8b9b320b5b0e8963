"""Amazon SQS: queues and their policies (API, `SetQueueAttributes`)."""

from collections.abc import Iterator, Mapping
from typing import Any

from local.aws import Aws
from local.edits import Edit, Effect
from local.parameters import call, complete, retag
from local.properties import Property
from local.record import ResourceType, answers
from local.run import Created, Resource, State

QUEUE = "aws:sqs/queue:Queue"
ATTRIBUTE_NEEDS = "sqs:GetQueueAttributes sqs:SetQueueAttributes"
ATTRIBUTES = {
    "contentBasedDeduplication": "ContentBasedDeduplication",
    "deduplicationScope": "DeduplicationScope",
    "fifoQueue": "FifoQueue",
    "fifoThroughputLimit": "FifoThroughputLimit",
    "kmsDataKeyReusePeriodSeconds": "KmsDataKeyReusePeriodSeconds",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "maxMessageSize": "MaximumMessageSize",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "redrivePolicy": "RedrivePolicy",
    "sqsManagedSseEnabled": "SqsManagedSseEnabled",
    "visibilityTimeoutSeconds": "VisibilityTimeout",
}
"""Inputs of a queue that are attributes in the API."""


class Queue(ResourceType, token=QUEUE):
    """A queue; SQS accepts the two FIFO switches only as true, so the provider leaves them out when they are false."""

    name = "name"
    ended = Effect(
        work="lost",
        what="the messages in it are gone",
        first="send nothing more to it and deploy when it is empty",
    )
    rename = {"name": "QueueName"} | {key: f"Attributes.{name}" for key, name in ATTRIBUTES.items()}
    refers = {"kmsMasterKeyId": "aws:kms/key:Key", "redrivePolicy": QUEUE}
    needs = (
        "sqs:CreateQueue sqs:DeleteQueue sqs:GetQueueUrl sqs:ListQueueTags sqs:TagQueue sqs:UntagQueue"
        f" {ATTRIBUTE_NEEDS}"
    )

    def work(self, edit: Edit) -> Iterator[Effect]:
        """A shorter retention deletes older messages; a new key leaves older messages under the old key."""
        yield from super().work(edit)
        if edit.lowers("messageRetentionSeconds"):
            days = edit.after["messageRetentionSeconds"] / 86_400
            yield Effect(
                work="lost",
                what=f"messages older than {days:g} days are dropped",
                first="let the workers catch up",
            )
        if edit.touches("kmsMasterKeyId") and edit.before.get("kmsMasterKeyId"):
            yield Effect(
                work="waits",
                what="existing messages can be read only with a right to the old key",
                first="send nothing more to it and deploy when it is empty",
            )

    def refused(self, given: Property) -> Iterator[str]:
        """A timeout that SQS does not accept."""
        yield from given.within("visibilityTimeoutSeconds", 0, 43_200)

    def create(self, aws: Aws, new: Resource) -> Created:
        sqs = aws.client("sqs")
        inputs = complete(aws, new, suffix=".fifo" if new.inputs.get("fifoQueue") else "")
        only_true = [key for key in ("fifoQueue", "contentBasedDeduplication") if not inputs.get(key)]
        url = call(sqs, "create_queue", inputs, rename=self.rename, leave=only_true)["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
        return Created(id=url, outputs=inputs | {"arn": attributes["QueueArn"], "url": url})

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any]:
        """Its attributes and tags."""
        sqs = aws.client("sqs")
        attributes = sqs.get_queue_attributes(QueueUrl=there.id, AttributeNames=["All"])["Attributes"]
        return {"Attributes": attributes, "Tags": sqs.list_queue_tags(QueueUrl=there.id).get("Tags", {})}

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Set its attributes; those that make it FIFO cannot change."""
        given = {key: new.inputs.get(key) for key in ATTRIBUTES if key != "fifoQueue"}
        # SQS keeps an attribute that is not named, so a key that is taken away must be set to nothing
        _set(aws, there.id, {**given, "kmsMasterKeyId": given["kmsMasterKeyId"] or ""})
        return {}

    def retag(self, aws: Aws, there: State, tags: Mapping[str, str], gone: list[str]) -> None:
        retag(aws.client("sqs"), {"queueUrl": there.id}, tags, gone, what="queue")

    def delete(self, aws: Aws, there: State) -> None:
        """Delete it with its messages."""
        aws.client("sqs").delete_queue(QueueUrl=there.id)


class _Attribute(ResourceType):
    """An attribute of a queue as a resource of its own; its input has the attribute's name."""

    attribute: str
    needs = ATTRIBUTE_NEEDS

    def create(self, aws: Aws, new: Resource) -> Created:
        url = new.inputs["queueUrl"]
        _set(aws, url, {self.attribute: new.inputs[self.attribute]})
        return Created(id=url)

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """The queue's attribute; None when it has none."""
        found = aws.client("sqs").get_queue_attributes(QueueUrl=there.id, AttributeNames=["All"])["Attributes"]
        return found if _name(self.attribute) in found else None

    def delete(self, aws: Aws, there: State) -> None:
        aws.client("sqs").set_queue_attributes(QueueUrl=there.id, Attributes={_name(self.attribute): ""})


class QueuePolicy(_Attribute, token="aws:sqs/queuePolicy:QueuePolicy"):
    """Who may use a queue."""

    attribute = "policy"
    refers = {"policy": QUEUE, "queueUrl": QUEUE}


class RedriveAllowPolicy(_Attribute, token="aws:sqs/redriveAllowPolicy:RedriveAllowPolicy"):
    """Which queues may use this one as their dead-letter queue."""

    attribute = "redriveAllowPolicy"
    refers = {"queueUrl": QUEUE, "redriveAllowPolicy": QUEUE}


@answers("aws:sqs/getQueues:getQueues", needs="sqs:ListQueues")
def get_queues(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """URLs of the queues whose names begin with a prefix."""
    pages = aws.client("sqs").get_paginator("list_queues").paginate(QueueNamePrefix=inputs["queueNamePrefix"])
    return {"id": aws.region, "queueUrls": [url for page in pages for url in page.get("QueueUrls", [])]}


def _set(aws: Aws, url: str, given: Mapping[str, Any]) -> None:
    names = {key: f"attributes.{_name(key)}" for key in given}
    call(aws.client("sqs"), "set_queue_attributes", {"queueUrl": url, **given}, rename=names)


def _name(attribute: str) -> str:
    return ATTRIBUTES.get(attribute) or attribute[0].upper() + attribute[1:]
