"""Amazon SNS in moto: what is made, seen, changed and ended."""

import json
from collections.abc import Iterator

import pytest

from local.aws import Aws
from tests.support import Life


@pytest.fixture
def topic(aws: Aws) -> Iterator[Life]:
    """An encrypted topic."""
    one = Life(aws, "aws:sns/topic:Topic", {"kmsMasterKeyId": "alias/one", "tags": {"Name": "it"}})
    yield one
    one.delete()


def test_a_topic_takes_another_key_and_tags_in_place(aws: Aws, topic: Life) -> None:
    topic.update(kmsMasterKeyId="alias/two", tags={"Kind": "alerts"})
    there = aws.client("sns").get_topic_attributes(TopicArn=topic.state.id)["Attributes"]
    assert there["KmsMasterKeyId"] == "alias/two"
    tags = aws.client("sns").list_tags_for_resource(ResourceArn=topic.state.id)["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {**aws.default_tags, "Kind": "alerts"}


def test_a_topics_policy_is_seen_changed_and_gives_way_to_that_of_every_topic(aws: Aws, topic: Life) -> None:
    sns = aws.client("sns")
    statement = {"Sid": "It", "Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sns:Publish", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    at_first = json.loads(sns.get_topic_attributes(TopicArn=topic.state.id)["Attributes"]["Policy"])
    one = Life(aws, "aws:sns/topicPolicy:TopicPolicy", {"arn": topic.state.id, "policy": policy})
    one.update(policy=policy.replace("Deny", "Allow"))
    sns.set_topic_attributes(TopicArn=topic.state.id, AttributeName="Policy", AttributeValue=policy)
    assert json.loads(one.seen()["policy"]) == json.loads(policy)
    one.delete()
    assert json.loads(sns.get_topic_attributes(TopicArn=topic.state.id)["Attributes"]["Policy"])["Id"] == at_first["Id"]


def test_a_subscription_that_somebody_ended_is_gone(aws: Aws, topic: Life) -> None:
    inputs = {"topic": topic.state.id, "protocol": "email", "endpoint": "somebody@example.com"}
    one = Life(aws, "aws:sns/topicSubscription:TopicSubscription", inputs)
    assert one.outputs["pendingConfirmation"]
    assert one.read() == one.state
    aws.client("sns").unsubscribe(SubscriptionArn=one.state.id)
    assert one.read() is None
