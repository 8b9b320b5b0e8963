"""Queues as SQS gets them, and as their users find them."""

import json
import time
from typing import Any

import pytest

from components.deployed import PART_TAG
from local.aws import Aws
from local.run import Registration, Run
from tests.conftest import RunStack
from tests.support import one_of

QUEUE = "aws:sqs/queue:Queue"
KEY = "arn:aws:kms:us-west-2:123456789012:key/11111111-2222-3333-4444-555555555555"


@pytest.fixture(scope="module")
def queues(run_sections: RunStack) -> Run:
    return run_sections(
        {
            "queues": {
                "tasks": {"visibilityTimeoutSeconds": 1, "maxReceiveCount": 2, "retentionDays": 3},
                "plain": {"fifo": False},
                "keyed": {"kmsKeyArn": KEY},
                "whole": {"highThroughput": False, "contentBasedDeduplication": False},
            }
        },
        preview=False,
    )


def inputs(queues: Run, name: str) -> dict[str, Any]:
    return dict(one_of(queues, QUEUE, name).inputs)


def test_a_fifo_queue_keeps_order_and_drops_duplicates_per_group(queues: Run) -> None:
    given = inputs(queues, "tasks")
    redrive = json.loads(given.pop("redrivePolicy"))
    assert given == {
        "contentBasedDeduplication": True,
        "deduplicationScope": "messageGroup",
        "fifoQueue": True,
        "fifoThroughputLimit": "perMessageGroupId",
        "maxMessageSize": 1_048_576,
        "messageRetentionSeconds": 3 * 86_400,
        "receiveWaitTimeSeconds": 20,
        "sqsManagedSseEnabled": True,
        "tags": {PART_TAG: "test/queues.tasks"},
        "visibilityTimeoutSeconds": 1,
    }
    assert redrive == {"deadLetterTargetArn": queues.exports["dead_letter_queue_arns"]["tasks"], "maxReceiveCount": 2}


def test_its_dead_letter_queue_is_fifo_too_and_keeps_messages_longest(queues: Run) -> None:
    given = inputs(queues, "tasks-dlq")
    assert given["fifoQueue"] is True
    assert given["messageRetentionSeconds"] == 14 * 86_400
    assert "redrivePolicy" not in given


def test_the_dead_letter_queue_takes_from_its_own_queue_only(queues: Run) -> None:
    allow = one_of(queues, "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy", "tasks-dlq")
    assert allow.inputs["queueUrl"] == queues.exports["dead_letter_queue_urls"]["tasks"]
    assert json.loads(allow.inputs["redriveAllowPolicy"]) == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [queues.exports["queue_arns"]["tasks"]],
    }


def test_a_standard_queue_says_nothing_that_only_fifo_has(queues: Run) -> None:
    for name in ("plain", "plain-dlq"):
        assert not {"fifoQueue", "contentBasedDeduplication", "deduplicationScope", "fifoThroughputLimit"} & set(
            inputs(queues, name)
        )
        assert not queues.exports["queue_urls"]["plain"].endswith(".fifo")


def test_without_high_throughput_limits_count_for_the_queue(queues: Run) -> None:
    given = inputs(queues, "whole")
    assert (given["deduplicationScope"], given["fifoThroughputLimit"]) == ("queue", "perQueue")
    assert given["contentBasedDeduplication"] is False


def test_a_key_that_is_given_encrypts_both_queues_and_may_be_used_by_who_may_use_the_queue(
    queues: Run, run_sections: RunStack
) -> None:
    for name in ("keyed", "keyed-dlq"):
        given = inputs(queues, name)
        assert (given["kmsMasterKeyId"], given["kmsDataKeyReusePeriodSeconds"]) == (KEY, 300)
        assert "sqsManagedSseEnabled" not in given
    run = run_sections(
        {
            "queues": {"tasks": {"kmsKeyArn": KEY}, "results": {}},
            "workers": {"workers": {"sendTo": ["tasks"]}},
            "batch": {"single": {"sendTo": ["tasks"]}},
        },
        preview=False,
    )
    on_key = {
        role: {
            action
            for statement in _statements(one_of(run, "aws:iam/rolePolicy:RolePolicy", role))
            if KEY in statement["Resource"]
            for action in statement["Action"]
        }
        for role in ("workers-task", "single-job")
    }
    assert on_key == {
        "workers-task": {"kms:Decrypt", "kms:GenerateDataKey"},
        "single-job": {"kms:Decrypt", "kms:GenerateDataKey"},
    }


def test_failed_messages_reach_a_fifo_dead_letter_queue_in_their_group(queues: Run, aws: Aws) -> None:
    sqs = aws.client("sqs")
    url, dead = queues.exports["queue_urls"]["tasks"], queues.exports["dead_letter_queue_urls"]["tasks"]
    sqs.send_message(QueueUrl=url, MessageBody="poison", MessageGroupId="run")
    sqs.send_message(QueueUrl=url, MessageBody="next", MessageGroupId="run")
    seen: list[str] = []
    until = time.monotonic() + 30
    while "next" not in seen and time.monotonic() < until:
        messages = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", [])
        seen += [message["Body"] for message in messages]
    # the second waits behind the first until that is out of the way
    assert seen == ["poison", "poison", "next"]
    (message,) = sqs.receive_message(QueueUrl=dead, AttributeNames=["MessageGroupId"], WaitTimeSeconds=0)["Messages"]
    assert (message["Body"], message["Attributes"]["MessageGroupId"]) == ("poison", "run")


def _statements(policy: Registration) -> list[dict[str, Any]]:
    return json.loads(policy.inputs["policy"])["Statement"]
