"""Amazon SNS: topics, their policies and their subscriptions."""

from local.aws import Aws, Created, Resource, creates
from local.services._params import call, complete

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


@creates("aws:sns/topic:Topic")
def topic(aws: Aws, resource: Resource) -> Created:
    """A topic; SNS takes the two FIFO switches only as true, so the provider leaves them out when they are false."""
    inputs = complete(aws, resource, suffix=".fifo" if resource.inputs.get("fifoTopic") else "")
    arn = call(
        aws.client("sns"),
        "create_topic",
        inputs,
        rename={key: f"Attributes.{name}" for key, name in TOPIC_ATTRIBUTES.items()},
        leave=[key for key in ("fifoTopic", "contentBasedDeduplication") if not inputs.get(key)],
    )["TopicArn"]
    return Created(id=arn, outputs=inputs | {"arn": arn, "owner": aws.account_id})


@creates("aws:sns/topicPolicy:TopicPolicy")
def topic_policy(aws: Aws, resource: Resource) -> Created:
    """Who may use a topic."""
    names = {"arn": "TopicArn", "policy": "AttributeValue"}
    call(aws.client("sns"), "set_topic_attributes", resource.inputs, rename=names, attributeName="Policy")
    return Created(id=resource.inputs["arn"], outputs={"owner": aws.account_id})


@creates("aws:sns/topicSubscription:TopicSubscription")
def topic_subscription(aws: Aws, resource: Resource) -> Created:
    """A subscription; one by e-mail waits for its reader to confirm it."""
    inputs = resource.inputs
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
