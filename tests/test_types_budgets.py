"""AWS Budgets in moto: what is made, seen, changed and ended."""

from collections.abc import Iterator

import pytest

from local.aws import Aws
from local.moto_process import ACCOUNT_ID
from local.run import RefusedError
from tests.support import Life

NOTIFICATION = {
    "comparisonOperator": "GREATER_THAN",
    "notificationType": "ACTUAL",
    "threshold": 80,
    "thresholdType": "PERCENTAGE",
    "subscriberSnsTopicArns": [f"arn:aws:sns:us-west-2:{ACCOUNT_ID}:alerts"],
}
INPUTS = {
    "budgetType": "COST",
    "timeUnit": "MONTHLY",
    "limitAmount": "100.00",
    "limitUnit": "USD",
    "notifications": [NOTIFICATION],
}


@pytest.fixture
def budget(aws: Aws) -> Iterator[Life]:
    """A budget of a hundred dollars a month."""
    one = Life(aws, "aws:budgets/budget:Budget", INPUTS)
    yield one
    one.delete()


def test_a_limit_changes_and_its_notifications_stay(aws: Aws, budget: Life) -> None:
    budget.update(limitAmount="200.00", tags={"Kind": "alerts"})
    budgets, named = aws.client("budgets"), {"AccountId": ACCOUNT_ID, "BudgetName": budget.outputs["name"]}
    assert budgets.describe_budget(**named)["Budget"]["BudgetLimit"] == {"Amount": "200.00", "Unit": "USD"}
    found = budgets.describe_notifications_for_budget(**named)["Notifications"]
    assert [one["Threshold"] for one in found] == [80]


def test_a_budget_of_what_is_tagged_is_made_and_seen(aws: Aws) -> None:
    tagged = Life(
        aws, "aws:budgets/budget:Budget", INPUTS | {"costFilters": [{"name": "TagKeyValue", "values": ["user:Team$a"]}]}
    )
    named = {"AccountId": ACCOUNT_ID, "BudgetName": tagged.outputs["name"]}
    found = aws.client("budgets").describe_budget(**named)["Budget"]["CostFilters"]
    assert found == {"TagKeyValue": ["user:Team$a"]}
    assert tagged.seen() == tagged.resource.inputs
    tagged.delete()


def test_a_threshold_that_somebody_changed_is_seen(aws: Aws, budget: Life) -> None:
    budgets, named = aws.client("budgets"), {"AccountId": ACCOUNT_ID, "BudgetName": budget.outputs["name"]}
    [before] = budgets.describe_notifications_for_budget(**named)["Notifications"]
    budgets.delete_notification(**named, Notification=before)
    subscribers = [{"SubscriptionType": "EMAIL", "Address": "somebody@example.com"}]
    budgets.create_notification(**named, Notification={**before, "Threshold": 50}, Subscribers=subscribers)
    assert budget.seen()["notifications"] == [{**NOTIFICATION, "threshold": 50}]


def test_an_input_that_the_local_aws_would_drop_is_refused(aws: Aws) -> None:
    inputs = {**INPUTS, "notifications": [{**NOTIFICATION, "subscriberEmailAddresses": ["somebody@example.com"]}]}
    with pytest.raises(RefusedError, match=r"subscriberEmailAddresses: Notification has no parameter for this input$"):
        Life(aws, "aws:budgets/budget:Budget", inputs)
