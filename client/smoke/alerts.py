"""The topic that alerts go to, and the dashboard."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from client.account import Account
from client.outputs import Outputs
from client.smoke.check import Check, Finding, warning


def checks(outputs: Outputs, account: Account) -> Iterator[Check]:
    """The topic with its readers, and the dashboard."""
    yield Check(
        f"alerts {outputs.alerts_topic_arn.rpartition(':')[2]}",
        "is a topic whose readers have confirmed",
        partial(_topic, account.client("sns"), outputs.alerts_topic_arn),
    )
    name = outputs.dashboard_url.rpartition("/")[2]
    yield Check(f"alerts {name}", "is a dashboard", partial(_dashboard, account.client("cloudwatch"), name))


def _topic(sns: Any, arn: str) -> Iterator[Finding]:
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=arn)
    readers = [reader for page in pages for reader in page["Subscriptions"]]
    if waiting := [one["Endpoint"] for one in readers if one["SubscriptionArn"] == "PendingConfirmation"]:
        yield warning(f"{', '.join(waiting)} must follow the link in SNS's mail, and hears nothing until then")


def _dashboard(cloudwatch: Any, name: str) -> Iterator[Finding]:
    cloudwatch.get_dashboard(DashboardName=name)
    yield from ()
