"""The topic that every alert goes to, and who is notified."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Self

import pulumi
from pulumi_aws import kms, sns
from pydantic import Field, field_validator, model_validator

from components import iam
from components.schema import Like, Settings, each_once, mistake, refuse
from stack_file.mistakes import Mistake

KMS_DELETION_DAYS = 30

KEY_ADMINISTRATION = (
    "kms:CancelKeyDeletion",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateKeyDescription",
)
"""What the account's own identities may do with the topic's key, if their policies say so: keep it, not use it."""

EVENTS = "events.amazonaws.com"
PUBLISHERS = ("budgets.amazonaws.com", "cloudwatch.amazonaws.com", EVENTS)
"""Services that publish to the topic."""
COST_ANOMALIES = "costalerts.amazonaws.com"
"""The service of Cost Anomaly Detection, which publishes too (Cost Management user guide, "Creating an Amazon SNS topic
for anomaly notifications")."""

MonitorArn = Annotated[
    str,
    Like(
        r"^arn:aws[a-z-]*:ce::[0-9]{12}:anomalymonitor/\S+$",
        "must be the ARN of a monitor of Cost Anomaly Detection, such as arn:aws:ce::123456789012:anomalymonitor/ID",
    ),
]
"""A monitor of AWS Cost Anomaly Detection."""

Email = Annotated[str, Like(r"^[^@\s]+@[^@\s]+\.[^@\s]+$", "must be a mail address, such as ml-platform@example.com")]


class AlertsSettings(Settings):
    """The `alerts` section."""

    emails: tuple[Email, ...] = ()
    """E-mail addresses to notify. Each must confirm by the link in its first mail."""
    monthly_budget_usd: Annotated[float, Field(gt=0)] | None = None
    """Monthly budget of the whole account in US dollars. Alerts: when 80 % is spent, and when 100 % is forecast."""
    anomaly_usd: Annotated[int, Field(ge=1)] | None = None
    """US dollars. An alert when the account spends this much more on an AWS service than AWS expects from the days
    before.

    Left out, there is no such alert. AWS Cost Anomaly Detection needs Cost Explorer, alerts within a day, and costs
    nothing.
    """
    anomaly_monitor_arn: MonitorArn | None = None
    """The monitor of AWS services that the account has already: there can be no second. Default: the stack's own.

    AWS may have made one, and so may another stack; `aws ce get-anomaly-monitors` tells."""

    @model_validator(mode="after")
    def _is_asked_for(self) -> Self:
        refuse(
            [("anomalyMonitorArn", "must be left out without anomalyUsd", self.anomaly_monitor_arn)]
            if self.anomaly_monitor_arn is not None and self.anomaly_usd is None
            else []
        )
        return self

    @field_validator("emails")
    @classmethod
    def _names_each_once(cls, emails: tuple[str, ...]) -> tuple[str, ...]:
        return each_once(emails)

    def preflight(self, path: str, partition: str) -> Iterator[Mistake]:
        """The mistakes of what GovCloud has no endpoint of (botocore): AWS Budgets, Cost Explorer."""
        for key, value, service in (
            ("monthlyBudgetUsd", self.monthly_budget_usd, "AWS Budgets"),
            ("anomalyUsd", self.anomaly_usd, "Cost Anomaly Detection"),
        ):
            if value is not None and partition == "aws-us-gov":
                rule = f"must be left out in GovCloud, which has no {service}: set it in the account that pays"
                yield mistake(f"{path}.{key}", rule, value)


class AlertTopic(pulumi.ComponentResource):
    """An encrypted topic that CloudWatch, EventBridge and what watches the costs may publish to, and nobody else.

    The key is the stack's own and costs a dollar a month, and one more after each of its first two yearly rotations.
    AWS's own key for SNS lets no service publish: alarms would be lost (SNS developer guide, "Key management").
    """

    arn: pulumi.Output[str]
    """ARN of the topic."""

    def __init__(
        self, name: str, settings: AlertsSettings, *, account: iam.Account, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("distributed-training:index:AlertTopic", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        publishers = PUBLISHERS if settings.anomaly_usd is None else [*PUBLISHERS, COST_ANOMALIES]
        key = kms.Key(
            name,
            description="Alerts of the training platform",
            enable_key_rotation=True,
            deletion_window_in_days=KMS_DELETION_DAYS,
            policy=iam.document(_key_policy(account, publishers)),
            opts=child,
        )
        topic = sns.Topic(name, kms_master_key_id=key.arn, opts=child)
        sns.TopicPolicy(
            name,
            arn=topic.arn,
            policy=iam.document(
                [
                    *_from_services(publishers, account, ["sns:Publish"], topic.arn),
                    # the one action of a topic that goes without TLS at all; SNS takes no `sns:*` in a topic's policy
                    iam.tls_only("sns:Publish", [topic.arn]),
                ]
            ),
            opts=child,
        )
        for email in settings.emails:
            sns.TopicSubscription(f"{name}-{email}", topic=topic.arn, protocol="email", endpoint=email, opts=child)
        self.arn = topic.arn
        self.register_outputs({"arn": self.arn})


def _from_services(
    services: Sequence[str], account: iam.Account, actions: Sequence[str], resource: pulumi.Input[str]
) -> list[iam.Statement]:
    """These services may do this; all but EventBridge only for this account."""
    return [
        {
            "Sid": service.split(".")[0].capitalize(),
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": sorted(actions),
            "Resource": resource,
            # it names neither its account nor its rule to SNS and KMS: a condition drops every event without a word
            # (EventBridge user guide, "Amazon SNS permissions"; SNS developer guide, "Key management")
            **({} if service == EVENTS else {"Condition": {"StringEquals": {"aws:SourceAccount": account.id}}}),
        }
        for service in services
    ]


def _key_policy(account: iam.Account, publishers: Sequence[str]) -> list[iam.Statement]:
    # in a key's policy `*` is the key itself
    return [
        {
            "Sid": "Administration",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{account.partition}:iam::{account.id}:root"},
            "Action": list(KEY_ADMINISTRATION),
            "Resource": "*",
        },
        *_from_services(publishers, account, ["kms:Decrypt", "kms:GenerateDataKey"], "*"),
    ]
