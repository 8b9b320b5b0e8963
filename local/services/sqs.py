"""Amazon SQS: queues and their policies."""

from typing import Any

from local.aws import Aws, Created, Resource, creates
from local.services._params import call, complete

ATTRIBUTES = {
    "contentBasedDeduplication": "ContentBasedDeduplication",
    "deduplicationScope": "DeduplicationScope",
    "delaySeconds": "DelaySeconds",
    "fifoQueue": "FifoQueue",
    "fifoThroughputLimit": "FifoThroughputLimit",
    "kmsDataKeyReusePeriodSeconds": "KmsDataKeyReusePeriodSeconds",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "maxMessageSize": "MaximumMessageSize",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "policy": "Policy",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "redriveAllowPolicy": "RedriveAllowPolicy",
    "redrivePolicy": "RedrivePolicy",
    "sqsManagedSseEnabled": "SqsManagedSseEnabled",
    "visibilityTimeoutSeconds": "VisibilityTimeout",
}
"""Inputs that are attributes in the API."""


@creates("aws:sqs/queue:Queue")
def queue(aws: Aws, resource: Resource) -> Created:
    """A queue; SQS takes the two FIFO switches only as true, so the provider leaves them out when they are false."""
    sqs = aws.client("sqs")
    inputs = complete(aws, resource, suffix=".fifo" if resource.inputs.get("fifoQueue") else "")
    made = call(
        sqs,
        "create_queue",
        inputs,
        rename={"name": "QueueName"} | {key: f"Attributes.{name}" for key, name in ATTRIBUTES.items()},
        leave=[key for key in ("fifoQueue", "contentBasedDeduplication") if not inputs.get(key)],
    )
    url = made["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return Created(id=url, outputs=inputs | {"arn": arn, "url": url})


@creates("aws:sqs/queuePolicy:QueuePolicy")
def queue_policy(aws: Aws, resource: Resource) -> Created:
    """Who may use a queue."""
    return _set_attribute(aws, resource, "policy")


@creates("aws:sqs/redrivePolicy:RedrivePolicy")
def redrive_policy(aws: Aws, resource: Resource) -> Created:
    """Where a queue sends the messages that it gives up on."""
    return _set_attribute(aws, resource, "redrivePolicy")


@creates("aws:sqs/redriveAllowPolicy:RedriveAllowPolicy")
def redrive_allow_policy(aws: Aws, resource: Resource) -> Created:
    """Which queues may use this one as their dead-letter queue."""
    return _set_attribute(aws, resource, "redriveAllowPolicy")


def _set_attribute(aws: Aws, resource: Resource, key: str) -> Created:
    sqs = aws.client("sqs")
    url = resource.inputs["queueUrl"]
    # moto forgets the queue's policy with every other attribute that is set, so it goes along each time
    kept: dict[str, Any] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]).get("Attributes", {})
    names = {key: f"attributes.{ATTRIBUTES[key]}"}
    call(sqs, "set_queue_attributes", {"attributes": kept, **resource.inputs}, rename=names)
    return Created(id=url)
