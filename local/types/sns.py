"""Amazon SNS: topics, their policies and their subscriptions."""

import json
from collections.abc import Mapping
from typing import Any

from local.aws import Aws
from local.parameters import call, complete
from local.record import ResourceType, tag_actions
from local.run import Created, Resource, State
from local.tags import Tagged

TOPIC = "aws:sns/topic:Topic"
DEFAULT_POLICY_ID = "__default_policy_ID"
OWNER_ACTIONS = (
    "AddPermission",
    "DeleteTopic",
    "GetTopicAttributes",
    "ListSubscriptionsByTopic",
    "Publish",
    "RemovePermission",
    "SetTopicAttributes",
    "Subscribe",
)
"""What a topic's default policy allows its owner."""


class Topic(Tagged, token=TOPIC):
    """A topic."""

    service = "sns"
    name = "name"
    rename = {"kmsMasterKeyId": "Attributes.KmsMasterKeyId"}
    refers = {"kmsMasterKeyId": "aws:kms/key:Key"}
    needs = f"sns:CreateTopic sns:DeleteTopic sns:GetTopicAttributes sns:SetTopicAttributes {tag_actions('sns')}"

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        arn = call(aws.client("sns"), "create_topic", inputs, rename=self.rename)["TopicArn"]
        return Created(id=arn, outputs=inputs | {"arn": arn, "owner": aws.account_id})

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any]:
        """Its attributes and tags."""
        return {"Attributes": _attributes(aws, there.id), "tags": self.tags_of(aws, there)}

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Set its key."""
        _set(aws, there.id, "KmsMasterKeyId", new.inputs.get("kmsMasterKeyId", ""))
        return {}

    def delete(self, aws: Aws, there: State) -> None:
        """Delete it with its subscriptions."""
        aws.client("sns").delete_topic(TopicArn=there.id)


class TopicPolicy(ResourceType, token="aws:sns/topicPolicy:TopicPolicy"):
    """Who may use a topic; replaces its default policy."""

    refers = {"arn": TOPIC, "policy": TOPIC}
    needs = "sns:GetTopicAttributes sns:SetTopicAttributes"

    def create(self, aws: Aws, new: Resource) -> Created:
        _set(aws, new.inputs["arn"], "Policy", new.inputs["policy"])
        return Created(id=new.inputs["arn"], outputs={"owner": aws.account_id})

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """The topic's policy; None when it is the default one."""
        found = _attributes(aws, there.id)
        return None if json.loads(found["Policy"]).get("Id") == DEFAULT_POLICY_ID else found

    def delete(self, aws: Aws, there: State) -> None:
        """Put the default policy: a topic cannot have none."""
        statement = {
            "Sid": "__default_statement_ID",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": [f"SNS:{action}" for action in OWNER_ACTIONS],
            "Resource": there.id,
            "Condition": {"StringEquals": {"AWS:SourceOwner": aws.account_id}},
        }
        policy = {"Version": "2008-10-17", "Id": DEFAULT_POLICY_ID, "Statement": [statement]}
        _set(aws, there.id, "Policy", json.dumps(policy))


class TopicSubscription(ResourceType, token="aws:sns/topicSubscription:TopicSubscription"):
    """A subscription; one by e-mail waits for its reader to confirm it."""

    rename = {"topic": "TopicArn"}
    refers = {"topic": TOPIC}
    needs = (
        "sns:GetSubscriptionAttributes sns:ListSubscriptionsByTopic sns:SetSubscriptionAttributes sns:Subscribe"
        " sns:Unsubscribe"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        sns = aws.client("sns")
        arn = call(sns, "subscribe", new.inputs, rename=self.rename, returnSubscriptionArn=True)["SubscriptionArn"]
        pending = new.inputs["protocol"] == "email"
        return Created(id=arn, outputs={"arn": arn, "ownerId": aws.account_id, "pendingConfirmation": pending})

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any]:
        return aws.client("sns").get_subscription_attributes(SubscriptionArn=there.id)["Attributes"]

    def delete(self, aws: Aws, there: State) -> None:
        aws.client("sns").unsubscribe(SubscriptionArn=there.id)


def _attributes(aws: Aws, arn: str) -> dict[str, Any]:
    return aws.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"]


def _set(aws: Aws, arn: str, name: str, value: str) -> None:
    aws.client("sns").set_topic_attributes(TopicArn=arn, AttributeName=name, AttributeValue=value)
