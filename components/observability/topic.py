"""The topic that every alert goes to, and who is notified."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import pulumi
from pulumi_aws import kms, sns
from pydantic import Field, field_validator

from components import iam
from components.schema import Like, Settings, mistake
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

Email = Annotated[str, Like(r"^[^@\s]+@[^@\s]+\.[^@\s]+$", "must be a mail address, such as ml-platform@example.com")]


class AlertsSettings(Settings):
    """The `alerts` section."""

    emails: tuple[Email, ...] = ()
    """E-mail addresses to notify. Each must confirm by the link in its first mail."""
    monthly_budget_usd: Annotated[float, Field(gt=0)] | None = None
    """Monthly budget of the whole account in US dollars. Alerts: when 80 % is spent, and when 100 % is forecast."""

    @field_validator("emails")
    @classmethod
    def _names_each_once(cls, emails: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(emails)) < len(emails):
            raise ValueError("must name each once")
        return emails

    def preflight(self, path: str, partition: str) -> Iterator[Mistake]:
        """The mistake of a budget where there are none: no endpoint of AWS Budgets is in GovCloud (botocore)."""
        if self.monthly_budget_usd is not None and partition == "aws-us-gov":
            rule = "must be left out in GovCloud, which has no AWS Budgets: set it in the account that pays"
            yield mistake(f"{path}.monthlyBudgetUsd", rule, self.monthly_budget_usd)


class AlertTopic(pulumi.ComponentResource):
    """An encrypted topic that CloudWatch, EventBridge and Budgets may publish to, and nobody else.

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
        key = kms.Key(
            name,
            description="Alerts of the training platform",
            enable_key_rotation=True,
            deletion_window_in_days=KMS_DELETION_DAYS,
            policy=iam.document(_key_policy(account)),
            opts=child,
        )
        topic = sns.Topic(name, kms_master_key_id=key.arn, opts=child)
        sns.TopicPolicy(
            name,
            arn=topic.arn,
            policy=iam.document(
                [
                    *_from_services(account, ["sns:Publish"], topic.arn),
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


def _from_services(account: iam.Account, actions: Sequence[str], resource: pulumi.Input[str]) -> list[iam.Statement]:
    """CloudWatch, EventBridge and Budgets may do this, the first and the last only for this account."""
    return [
        {
            "Sid": service.split(".")[0].capitalize(),
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": sorted(actions),
            "Resource": resource,
            **({"Condition": condition} if condition else {}),
        }
        for service, condition in (
            ("budgets.amazonaws.com", {"StringEquals": {"aws:SourceAccount": account.id}}),
            ("cloudwatch.amazonaws.com", {"StringEquals": {"aws:SourceAccount": account.id}}),
            # it names neither its account nor its rule to SNS and KMS: a condition drops every event without a word
            # (EventBridge user guide, "Amazon SNS permissions"; SNS developer guide, "Key management")
            ("events.amazonaws.com", None),
        )
    ]


def _key_policy(account: iam.Account) -> list[iam.Statement]:
    # in a key's policy `*` is the key itself
    return [
        {
            "Sid": "Administration",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{account.partition}:iam::{account.id}:root"},
            "Action": list(KEY_ADMINISTRATION),
            "Resource": "*",
        },
        *_from_services(account, ["kms:Decrypt", "kms:GenerateDataKey"], "*"),
    ]
