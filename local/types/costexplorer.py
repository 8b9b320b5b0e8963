"""AWS Cost Explorer: detection of cost anomalies, which moto does not have."""

import uuid
from collections.abc import Iterator

from local.aws import Aws
from local.properties import Property
from local.record import ResourceType, tag_actions
from local.run import Created, Resource

MONITOR = "aws:costexplorer/anomalyMonitor:AnomalyMonitor"


class AnomalyMonitor(ResourceType, token=MONITOR):
    """What looks for anomalies in the costs of the account."""

    simulated = True
    name = "name"
    takes = ("ce", "CreateAnomalyMonitor")
    rename = {
        "monitorDimension": "AnomalyMonitor.MonitorDimension",
        "monitorType": "AnomalyMonitor.MonitorType",
        "name": "AnomalyMonitor.MonitorName",
        "tags": "ResourceTags",
    }
    needs = (
        "ce:CreateAnomalyMonitor ce:DeleteAnomalyMonitor ce:GetAnomalyMonitors ce:UpdateAnomalyMonitor"
        f" {tag_actions('ce')}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        """Name it."""
        return _created(aws, "anomalymonitor")


class AnomalySubscription(ResourceType, token="aws:costexplorer/anomalySubscription:AnomalySubscription"):
    """Who is told of anomalies, and of how large ones."""

    simulated = True
    name = "name"
    takes = ("ce", "CreateAnomalySubscription")
    rename = {
        "frequency": "AnomalySubscription.Frequency",
        "monitorArnLists": "AnomalySubscription.MonitorArnList",
        "name": "AnomalySubscription.SubscriptionName",
        "subscribers": "AnomalySubscription.Subscribers",
        "tags": "ResourceTags",
        "thresholdExpression": "AnomalySubscription.ThresholdExpression",
        "thresholdExpression.dimension": "Dimensions",
    }
    refers = {"monitorArnLists[]": MONITOR, "subscribers[].address": "aws:sns/topic:Topic"}
    needs = (
        "ce:CreateAnomalySubscription ce:DeleteAnomalySubscription ce:GetAnomalySubscriptions"
        f" ce:UpdateAnomalySubscription {tag_actions('ce')}"
    )

    def refused(self, given: Property) -> Iterator[str]:
        """Alerts to a topic that are not immediate (Cost Explorer API, `AnomalySubscription`)."""
        if any(one.value == "SNS" for one in given.select("subscribers[].type")):
            yield from given.one_of("frequency", "IMMEDIATE", words="must be IMMEDIATE for a topic")

    def create(self, aws: Aws, new: Resource) -> Created:
        """Name it."""
        created = _created(aws, "anomalysubscription")
        return Created(id=created.id, outputs={**created.outputs, "accountId": aws.account_id})


def _created(aws: Aws, kind: str) -> Created:
    arn = f"arn:{aws.partition}:ce::{aws.account_id}:{kind}/{uuid.uuid4()}"
    return Created(id=arn, outputs={"arn": arn})
