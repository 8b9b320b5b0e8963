"""Amazon SQS in moto: what is made, seen, changed and ended."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.aws import Aws
from tests.support import Life

QUEUE = "aws:sqs/queue:Queue"
ALLOW = "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy"
POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Sid": "It", "Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sqs:*", "Resource": "*"}],
    }
)


@pytest.fixture
def queue(aws: Aws) -> Iterator[Life]:
    """A FIFO queue with a dead-letter queue."""
    dead = Life(aws, QUEUE, {"fifoQueue": True}, name="dead")
    redrive = json.dumps({"deadLetterTargetArn": dead.outputs["arn"], "maxReceiveCount": 5})
    inputs = {
        "fifoQueue": True,
        "visibilityTimeoutSeconds": 900,
        "sqsManagedSseEnabled": True,
        "redrivePolicy": redrive,
    }
    one = Life(aws, QUEUE, inputs | {"tags": {"Name": "it"}})
    yield one
    one.delete()
    dead.delete()


def attributes(aws: Aws, queue: Life) -> dict[str, Any]:
    return aws.client("sqs").get_queue_attributes(QueueUrl=queue.state.id, AttributeNames=["All"])["Attributes"]


def test_a_queue_takes_other_times_and_tags_in_place(aws: Aws, queue: Life) -> None:
    redrive = json.loads(queue.resource.inputs["redrivePolicy"]) | {"maxReceiveCount": 3}
    queue.update(visibilityTimeoutSeconds=60, redrivePolicy=json.dumps(redrive), tags={"Kind": "tasks"})
    assert attributes(aws, queue)["VisibilityTimeout"] == "60"
    assert json.loads(attributes(aws, queue)["RedrivePolicy"])["maxReceiveCount"] == 3
    assert aws.client("sqs").list_queue_tags(QueueUrl=queue.state.id)["Tags"] == {**aws.default_tags, "Kind": "tasks"}


def test_a_queue_gets_a_key_and_loses_it(aws: Aws, queue: Life) -> None:
    queue.update(kmsMasterKeyId="alias/it", kmsDataKeyReusePeriodSeconds=300, sqsManagedSseEnabled=None)
    assert attributes(aws, queue)["KmsMasterKeyId"] == "alias/it"
    queue.update(kmsMasterKeyId=None, kmsDataKeyReusePeriodSeconds=None, sqsManagedSseEnabled=True)
    assert "KmsMasterKeyId" not in attributes(aws, queue)


def test_a_policy_stays_when_the_queue_changes_and_goes_when_it_is_deleted(aws: Aws, queue: Life) -> None:
    one = Life(aws, "aws:sqs/queuePolicy:QueuePolicy", {"queueUrl": queue.state.id, "policy": POLICY})
    queue.update(visibilityTimeoutSeconds=60)
    assert one.read() == one.state
    changed = POLICY.replace("sqs:*", "sqs:SendMessage")
    aws.client("sqs").set_queue_attributes(QueueUrl=queue.state.id, Attributes={"Policy": changed})
    assert one.seen()["policy"] == changed
    one.delete()
    assert queue.read() == queue.state


def test_who_may_send_dead_letters_is_seen_changed_and_taken_away(aws: Aws, queue: Life) -> None:
    everybody, nobody = (json.dumps({"redrivePermission": permission}) for permission in ("allowAll", "denyAll"))
    one = Life(aws, ALLOW, {"queueUrl": queue.state.id, "redriveAllowPolicy": everybody})
    one.update(redriveAllowPolicy=nobody)
    aws.client("sqs").set_queue_attributes(QueueUrl=queue.state.id, Attributes={"RedriveAllowPolicy": everybody})
    assert one.seen()["redriveAllowPolicy"] == everybody
    one.delete()
