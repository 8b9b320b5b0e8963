"""Amazon CloudWatch and CloudWatch Logs in moto: what is made, seen, changed and ended."""

import json
from typing import Any

import pytest

from local.aws import Aws
from tests.support import Life

LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
OF_METRIC: dict[str, Any] = {
    "namespace": "AWS/SQS",
    "metricName": "ApproximateNumberOfMessagesVisible",
    "dimensions": {"QueueName": "tasks"},
    "statistic": "Maximum",
    "period": 60,
}
OF_EXPRESSION: dict[str, Any] = {
    "metricQueries": [
        {
            "id": "waiting",
            "metric": {
                "namespace": "AWS/SQS",
                "metricName": "ApproximateNumberOfMessagesVisible",
                "dimensions": {"QueueName": "tasks"},
                "period": 60,
                "stat": "Maximum",
            },
        },
        {"id": "twice", "expression": "waiting * 2", "label": "twice", "returnData": True},
    ]
}


def alarm(aws: Aws, watches: dict[str, Any]) -> Life:
    common = {"comparisonOperator": "GreaterThanThreshold", "evaluationPeriods": 1, "threshold": 1}
    return Life(aws, ALARM, {**common, **watches, "treatMissingData": "notBreaching"})


def test_logs_are_kept_longer_or_for_ever_in_place(aws: Aws) -> None:
    one = Life(aws, LOG_GROUP, {"namePrefix": "/aws/events/it-", "retentionInDays": 30, "tags": {"Name": "it"}})
    name = one.outputs["name"]
    assert name.startswith("/aws/events/it-")
    logs = aws.client("logs")
    one.update(retentionInDays=60, tags={"Kind": "jobs"})
    [there] = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    assert there["retentionInDays"] == 60
    tags = logs.list_tags_for_resource(resourceArn=one.outputs["arn"])["tags"]
    assert tags == {**aws.default_tags, "Kind": "jobs"}
    one.update(retentionInDays=0)
    assert "retentionInDays" not in logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"][0]
    one.delete()
    assert logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"] == []


def test_logs_that_somebody_keeps_for_ever_are_seen(aws: Aws) -> None:
    one = Life(aws, LOG_GROUP, {"retentionInDays": 30})
    aws.client("logs").delete_retention_policy(logGroupName=one.state.id)
    assert one.seen()["retentionInDays"] == 0
    one.delete()


def test_a_group_whose_name_another_begins_with_is_not_taken_for_it(aws: Aws) -> None:
    one, other = (Life(aws, LOG_GROUP, {"name": name}) for name in ("/jobs", "/jobs-of-others"))
    one.delete()
    assert other.read() == other.state
    other.delete()


def test_who_may_write_logs_changes_in_place(aws: Aws) -> None:
    document: dict[str, Any] = {"Version": "2012-10-17", "Statement": []}
    one = Life(
        aws,
        "aws:cloudwatch/logResourcePolicy:LogResourcePolicy",
        {"policyName": "events", "policyDocument": json.dumps(document)},
    )
    one.update(policyDocument=json.dumps({**document, "Id": "events"}))
    one.delete()
    found = aws.client("logs").describe_resource_policies()["resourcePolicies"]
    assert "events" not in {policy["policyName"] for policy in found}


@pytest.mark.parametrize("watches", [OF_METRIC, OF_EXPRESSION], ids=["metric", "expression"])
def test_a_threshold_changes_in_place(aws: Aws, watches: dict[str, Any]) -> None:
    one = alarm(aws, watches)
    cloudwatch = aws.client("cloudwatch")
    one.update(threshold=5, tags={"Kind": "queue"})
    [there] = cloudwatch.describe_alarms(AlarmNames=[one.state.id])["MetricAlarms"]
    assert (there["Threshold"], there["AlarmArn"]) == (5, one.outputs["arn"])
    tags = {
        tag["Key"]: tag["Value"] for tag in cloudwatch.list_tags_for_resource(ResourceARN=there["AlarmArn"])["Tags"]
    }
    assert tags == {**aws.default_tags, "Kind": "queue"}
    one.delete()
    assert cloudwatch.describe_alarms(AlarmNames=[one.state.id])["MetricAlarms"] == []


def test_a_metric_that_somebody_watches_otherwise_is_seen(aws: Aws) -> None:
    one = alarm(aws, OF_EXPRESSION)
    cloudwatch = aws.client("cloudwatch")
    [there] = cloudwatch.describe_alarms(AlarmNames=[one.state.id])["MetricAlarms"]
    keys = ("AlarmName", "ComparisonOperator", "EvaluationPeriods", "Threshold", "TreatMissingData", "Metrics")
    there["Metrics"][0]["MetricStat"]["Metric"]["Dimensions"][0]["Value"] = "results"
    cloudwatch.put_metric_alarm(**{key: there[key] for key in keys})
    metric = one.seen()["metricQueries"][0]["metric"]
    assert metric == {**OF_EXPRESSION["metricQueries"][0]["metric"], "dimensions": {"QueueName": "results"}}
    one.delete()


def test_a_dashboard_changes_in_place(aws: Aws) -> None:
    widget = {"type": "text", "x": 0, "y": 0, "width": 6, "height": 6, "properties": {"markdown": "one"}}
    one = Life(
        aws,
        "aws:cloudwatch/dashboard:Dashboard",
        {"dashboardName": "training", "dashboardBody": json.dumps({"widgets": []})},
    )
    one.update(dashboardBody=json.dumps({"widgets": [widget]}))
    cloudwatch = aws.client("cloudwatch")
    cloudwatch.put_dashboard(DashboardName="training", DashboardBody=json.dumps({"widgets": [widget, widget]}))
    assert json.loads(one.seen()["dashboardBody"]) == {"widgets": [widget, widget]}
    one.delete()
    assert cloudwatch.list_dashboards(DashboardNamePrefix="training").get("DashboardEntries", []) == []
