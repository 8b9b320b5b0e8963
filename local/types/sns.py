"""Amazon SNS: topics, their policies and their subscriptions."""

from local.aws import Aws
from local.parameters import call, complete
from local.record import ResourceType, tag_actions
from local.run import Created, Resource

PROTOCOLS = {"application": "Application", "firehose": "Firehose", "http": "HTTP", "lambda": "Lambda", "sqs": "SQS"}
"""Kinds of delivery whose success and failure a topic can log, as the API spells them."""

TOPIC_ATTRIBUTES = {
    "archivePolicy": "ArchivePolicy",
    "contentBasedDeduplication": "ContentBasedDeduplication",
    "deliveryPolicy": "DeliveryPolicy",
    "displayName": "DisplayName",
    "fifoThroughputScope": "FifoThroughputScope",
    "fifoTopic": "FifoTopic",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "maximumMessageSize": "MaxMessageSize",
    "policy": "Policy",
    "signatureVersion": "SignatureVersion",
    "tracingConfig": "TracingConfig",
} | {
    f"{key}{feedback}": f"{name}{feedback}"
    for key, name in PROTOCOLS.items()
    for feedback in ("FailureFeedbackRoleArn", "SuccessFeedbackRoleArn", "SuccessFeedbackSampleRate")
}
"""Inputs of a topic that are attributes in the API."""

SUBSCRIPTION_ATTRIBUTES = {
    "deliveryPolicy": "DeliveryPolicy",
    "filterPolicy": "FilterPolicy",
    "filterPolicyScope": "FilterPolicyScope",
    "rawMessageDelivery": "RawMessageDelivery",
    "redrivePolicy": "RedrivePolicy",
    "replayPolicy": "ReplayPolicy",
    "subscriptionRoleArn": "SubscriptionRoleArn",
}
"""Inputs of a subscription that are attributes in the API."""


class Topic(ResourceType, token="aws:sns/topic:Topic"):
    """A topic; SNS takes the two FIFO switches only as true, so the provider leaves them out when they are false."""

    name = "name"
    needs = f"sns:CreateTopic sns:DeleteTopic sns:GetTopicAttributes sns:SetTopicAttributes {tag_actions('sns')}"

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, suffix=".fifo" if new.inputs.get("fifoTopic") else "")
        arn = call(
            aws.client("sns"),
            "create_topic",
            inputs,
            rename={key: f"Attributes.{name}" for key, name in TOPIC_ATTRIBUTES.items()},
            leave=[key for key in ("fifoTopic", "contentBasedDeduplication") if not inputs.get(key)],
        )["TopicArn"]
        return Created(id=arn, outputs=inputs | {"arn": arn, "owner": aws.account_id})


class TopicPolicy(ResourceType, token="aws:sns/topicPolicy:TopicPolicy"):
    """Who may use a topic."""

    needs = "sns:GetTopicAttributes sns:SetTopicAttributes"

    def create(self, aws: Aws, new: Resource) -> Created:
        names = {"arn": "TopicArn", "policy": "AttributeValue"}
        call(aws.client("sns"), "set_topic_attributes", new.inputs, rename=names, attributeName="Policy")
        return Created(id=new.inputs["arn"], outputs={"owner": aws.account_id})


class TopicSubscription(ResourceType, token="aws:sns/topicSubscription:TopicSubscription"):
    """A subscription; one by e-mail waits for its reader to confirm it."""

    needs = (
        "sns:GetSubscriptionAttributes sns:ListSubscriptionsByTopic sns:SetSubscriptionAttributes sns:Subscribe"
        " sns:Unsubscribe"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = new.inputs
        arn = call(
            aws.client("sns"),
            "subscribe",
            inputs,
            rename={"topic": "TopicArn"} | {key: f"Attributes.{name}" for key, name in SUBSCRIPTION_ATTRIBUTES.items()},
            leave=("confirmationTimeoutInMinutes", "endpointAutoConfirms"),
            returnSubscriptionArn=True,
        )["SubscriptionArn"]
        pending = inputs["protocol"].startswith(("email", "http"))
        return Created(
            id=arn,
            outputs={
                "arn": arn,
                "confirmationWasAuthenticated": not pending,
                "ownerId": aws.account_id,
                "pendingConfirmation": pending,
            },
        )
