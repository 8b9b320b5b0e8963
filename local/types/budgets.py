"""AWS Budgets."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from local.aws import Aws
from local.parameters import call, complete, refuse_unknown
from local.record import ResourceType, tag_actions
from local.run import Created, Resource

TIME_FORMAT = "%Y-%m-%d_%H:%M"
"""How the provider writes a time."""


class Budget(ResourceType, token="aws:budgets/budget:Budget"):
    """A budget and whom it warns."""

    name = "name"
    needs = f"budgets:ModifyBudget budgets:ViewBudget {tag_actions('budgets')}"

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        account_id = inputs.get("accountId", aws.account_id)
        around = ("accountId", "notifications", "tags", "tagsAll")
        call(
            aws.client("budgets"),
            "create_budget",
            {"accountId": account_id, "resourceTags": inputs["tagsAll"] or None},
            rename={
                "Budget.name": "BudgetName",
                "Budget.limitAmount": "BudgetLimit.Amount",
                "Budget.limitUnit": "BudgetLimit.Unit",
                "Budget.plannedLimits": "PlannedBudgetLimits",
                "Budget.timePeriodEnd": "TimePeriod.End",
                "Budget.timePeriodStart": "TimePeriod.Start",
            },
            Budget=_shaped({key: value for key, value in inputs.items() if key not in around}),
            notificationsWithSubscribers=[_notification(entry) for entry in inputs.get("notifications", [])] or None,
        )
        return Created(
            id=f"{account_id}:{inputs['name']}",
            outputs=inputs
            | {"accountId": account_id, "arn": f"arn:{aws.partition}:budgets::{account_id}:budget/{inputs['name']}"},
        )


def _shaped(inputs: dict[str, Any]) -> dict[str, Any]:
    """The budget with its lists of named values as maps and its times as times, as the API has them."""
    shaped = dict(inputs)
    if "costFilters" in inputs:
        shaped["costFilters"] = {entry["name"]: entry["values"] for entry in inputs["costFilters"]}
    if "plannedLimits" in inputs:
        shaped["plannedLimits"] = {
            str(int(_time(limit["startTime"]).timestamp())): {"amount": limit["amount"], "unit": limit["unit"]}
            for limit in inputs["plannedLimits"]
        }
    if "metrics" in inputs:
        shaped["metrics"] = [inputs["metrics"]]
    for key in ("timePeriodStart", "timePeriodEnd"):
        if key in inputs:
            shaped[key] = _time(inputs[key])
    return shaped


def _notification(given: Mapping[str, Any]) -> dict[str, Any]:
    about = ("comparisonOperator", "notificationType", "threshold", "thresholdType")
    addresses = {"EMAIL": "subscriberEmailAddresses", "SNS": "subscriberSnsTopicArns"}
    refuse_unknown(given, (*about, *addresses.values()))
    return {
        "notification": {key: given[key] for key in about if key in given},
        "subscribers": [
            {"subscriptionType": kind, "address": address}
            for kind, key in addresses.items()
            for address in given.get(key, [])
        ],
    }


def _time(text: str) -> datetime:
    return datetime.strptime(text, TIME_FORMAT).replace(tzinfo=UTC)
