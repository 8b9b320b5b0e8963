"""The dashboard: a row for every part."""

import json

from local.aws import Aws
from local.run import Run
from tests.observability.support import widgets


def test_the_dashboard_has_a_row_for_every_part(deployed: Run) -> None:
    rows: dict[int, list[str]] = {}
    for widget in widgets(deployed):
        rows.setdefault(widget["y"], []).append(widget["properties"]["title"])
        assert widget["x"] + widget["width"] <= 24
    assert [titles[0].split(":")[0] for _, titles in sorted(rows.items())] == [
        "Alarms",
        "Queue tasks",
        "Queue results",
        "Workers of workers",
        "Workers of workers",
        "Batch jobs by state, of those that changed it in the time shown",
        "GPUs of Batch jobs",
        "EKS",
        "vCPUs that run in this account and region, by quota",
    ]


def test_jobs_are_counted_from_the_log_that_their_events_go_to(deployed: Run, aws: Aws) -> None:
    (query,) = [one["properties"]["query"] for one in widgets(deployed) if one["type"] == "log"]
    log_group = query.split("'")[1]
    assert aws.client("logs").describe_log_groups(logGroupNamePrefix=log_group)["logGroups"]
    policies = aws.client("logs").describe_resource_policies()["resourcePolicies"]
    statements = [statement for one in policies for statement in json.loads(one["policyDocument"])["Statement"]]
    assert f"arn:aws:logs:us-west-2:123456789012:log-group:{log_group}:*" in {one["Resource"] for one in statements}
