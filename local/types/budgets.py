"""AWS Budgets."""

from collections.abc import Mapping
from typing import Any

from local.aws import Aws
from local.parameters import call, complete
from local.record import ResourceType, tag_actions
from local.run import Created, Resource, State


class Budget(ResourceType, token="aws:budgets/budget:Budget"):
    """A budget, with the topic that it notifies."""

    name = "name"
    takes = ("budgets", "CreateBudget")
    rename = {
        "budgetType": "Budget.BudgetType",
        "costFilters": "Budget.CostFilters",
        "limitAmount": "Budget.BudgetLimit.Amount",
        "limitUnit": "Budget.BudgetLimit.Unit",
        "name": "Budget.BudgetName",
        "notifications": "NotificationsWithSubscribers",
        "tags": "ResourceTags",
        "timeUnit": "Budget.TimeUnit",
    }
    refers = {"notifications[].subscriberSnsTopicArns[]": "aws:sns/topic:Topic"}
    needs = f"budgets:ModifyBudget budgets:ViewBudget {tag_actions('budgets')}"

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        filters = {one["name"]: one["values"] for one in inputs.get("costFilters", [])}
        notifications = [_with_subscribers(one) for one in inputs.get("notifications", [])]
        call(
            aws.client("budgets"),
            "create_budget",
            inputs,
            rename=self.rename,
            accountId=aws.account_id,
            costFilters=filters or None,
            notifications=notifications or None,
        )
        name = inputs["name"]
        return Created(
            id=f"{aws.account_id}:{name}",
            outputs=inputs
            | {"accountId": aws.account_id, "arn": f"arn:{aws.partition}:budgets::{aws.account_id}:budget/{name}"},
        )

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any]:
        """All but its subscribers and tags, which moto does not return."""
        budgets, named = aws.client("budgets"), _named(there)
        budget = budgets.describe_budget(**named)["Budget"]
        return {
            "Budget": budget,
            "NotificationsWithSubscribers": budgets.describe_notifications_for_budget(**named)["Notifications"],
        }

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Delete and create it: moto cannot update a budget."""
        self.delete(aws, there)
        return self.create(aws, new).outputs

    def retag(self, aws: Aws, there: State, tags: Mapping[str, str], gone: list[str]) -> None:
        """Nothing: moto keeps no tags of a budget."""

    def delete(self, aws: Aws, there: State) -> None:
        aws.client("budgets").delete_budget(**_named(there))


def _named(there: State) -> dict[str, str]:
    account_id, _, name = there.id.partition(":")
    return {"AccountId": account_id, "BudgetName": name}


def _with_subscribers(given: Mapping[str, Any]) -> dict[str, Any]:
    notification = {key: one for key, one in given.items() if key != "subscriberSnsTopicArns"}
    topics = given.get("subscriberSnsTopicArns", [])
    return {
        "notification": notification,
        "subscribers": [{"subscriptionType": "SNS", "address": topic} for topic in topics],
    }
