"""The topic of all alerts: who publishes to it, and who is notified."""

import json
from typing import Any

import pytest

from local.aws import Aws
from local.run import Run
from tests.observability.support import MistakesIn
from tests.support import one_of

SERVICES = {"budgets.amazonaws.com", "cloudwatch.amazonaws.com", "costalerts.amazonaws.com", "events.amazonaws.com"}
MONITOR = "arn:aws:ce::123456789012:anomalymonitor/0a1b2c3d"


def test_the_topic_is_encrypted_with_a_key_that_only_its_publishers_may_use(deployed: Run, aws: Aws) -> None:
    topic = deployed.exports["alerts_topic_arn"]
    attributes = aws.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]
    kms = aws.client("kms")
    metadata = kms.describe_key(KeyId=attributes["KmsMasterKeyId"])["KeyMetadata"]
    assert metadata["KeyManager"] == "CUSTOMER"
    assert kms.get_key_rotation_status(KeyId=metadata["KeyId"])["KeyRotationEnabled"] is True
    key_policy = json.loads(kms.get_key_policy(KeyId=metadata["KeyId"], PolicyName="default")["Policy"])
    topic_policy = json.loads(attributes["Policy"])
    for policy, actions in (
        (key_policy, {"kms:Decrypt", "kms:GenerateDataKey"}),
        (topic_policy, {"sns:Publish"}),
    ):
        users = {
            statement["Principal"].get("Service"): statement
            for statement in policy["Statement"]
            if statement["Effect"] == "Allow" and actions & set(statement["Action"])
        }
        assert set(users) == SERVICES
        for service, statement in users.items():
            assert set(statement["Action"]) == actions
            # EventBridge sends neither its account nor its rule along: any condition would drop its events
            ours = {"StringEquals": {"aws:SourceAccount": "123456789012"}}
            assert statement.get("Condition") == (None if service == "events.amazonaws.com" else ours)


def test_nobody_publishes_to_the_topic_without_tls(deployed: Run, aws: Aws) -> None:
    topic = deployed.exports["alerts_topic_arn"]
    policy = json.loads(aws.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"])
    assert [statement for statement in policy["Statement"] if statement["Effect"] == "Deny"] == [
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": "sns:Publish",
            "Resource": [topic],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]


def test_the_account_can_always_mend_the_policy_of_the_key(deployed: Run) -> None:
    policy = json.loads(one_of(deployed, "aws:kms/key:Key", "alerts").inputs["policy"])
    (administration,) = [one for one in policy["Statement"] if "AWS" in one["Principal"]]
    assert administration["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
    assert {"kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:DescribeKey"} <= set(administration["Action"])


def test_people_hear_of_alerts_by_mail(deployed: Run, aws: Aws) -> None:
    topic = deployed.exports["alerts_topic_arn"]
    found = aws.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert [(one["Protocol"], one["Endpoint"]) for one in found] == [("email", "ops@example.com")]


@pytest.mark.parametrize(
    ("alerts", "line"),
    [
        ({"emails": ["a@b.c", "a@b.c"]}, "emails: must name each once, got ['a@b.c', 'a@b.c']"),
        ({"monthlyBudgetUsd": 0}, "monthlyBudgetUsd: must be more than 0, got 0"),
        ({"anomalyUsd": 0}, "anomalyUsd: must be at least 1, got 0"),
        (
            {"anomalyMonitorArn": MONITOR},
            f"anomalyMonitorArn: must be left out without anomalyUsd, got '{MONITOR}'",
        ),
        (
            {"anomalyUsd": 100, "anomalyMonitorArn": "default"},
            (
                "anomalyMonitorArn: must be the ARN of a monitor of Cost Anomaly Detection, such as"
                " arn:aws:ce::123456789012:anomalymonitor/ID, got 'default'"
            ),
        ),
    ],
)
def test_alerts_that_cannot_be_are_refused(alerts: dict[str, Any], line: str, mistakes_in: MistakesIn) -> None:
    assert mistakes_in({"alerts": alerts}) == [f"alerts.{line}"]
