"""Amazon CloudWatch and CloudWatch Logs: alarms, dashboards, log groups and their resource policies."""

from collections.abc import Iterator, Mapping
from typing import Any

from local.aws import Aws
from local.costs import Line, Priced
from local.edits import Edit, Effect
from local.parameters import call, complete
from local.properties import Property
from local.record import ResourceType, tag_actions
from local.run import Created, Resource, State
from local.tags import Tagged

LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
LARGEST_DASHBOARD_BYTES = 1024 * 1024
MOST_WIDGETS = 500
"""CloudWatch user guide, "CloudWatch service quotas"."""
MOST_ALARMS_OF_WIDGET = 100
"""CloudWatch API, "Dashboard body structure and syntax"."""


class LogGroup(Tagged, token=LOG_GROUP):
    """A log group; a retention of 0 days keeps the logs for ever."""

    service = "logs"
    name = "name"
    rename = {"name": "logGroupName"}
    needs = (
        "logs:AssociateKmsKey logs:CreateLogGroup logs:DeleteLogGroup logs:DeleteRetentionPolicy"
        " logs:DescribeLogGroups logs:DisassociateKmsKey logs:PutRetentionPolicy"
        f" {tag_actions('logs')}"
    )
    ended = Effect(
        work="lost",
        what="its logs are deleted",
        first="export the logs that are needed (aws logs create-export-task)",
    )

    def work(self, edit: Edit) -> Iterator[Effect]:
        """A shorter retention deletes older logs."""
        yield from super().work(edit)
        if edit.lowers("retentionInDays") and edit.after["retentionInDays"]:
            yield Effect(
                work="lost",
                what=f"logs older than {edit.after['retentionInDays']} days are deleted",
                first="export the logs that are needed (aws logs create-export-task)",
            )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        name = inputs["name"]
        call(aws.client("logs"), "create_log_group", inputs, rename=self.rename, leave=["retentionInDays"])
        _retain(aws, name, inputs.get("retentionInDays"))
        return Created(id=name, outputs=inputs | {"arn": aws.arn("logs", f"log-group:{name}")})

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        # moto never changes the key
        groups = aws.client("logs").describe_log_groups(logGroupNamePrefix=there.id)["logGroups"]
        found = next((one for one in groups if one["logGroupName"] == there.id), None)
        if found is None:
            return None
        told = {key: value for key, value in found.items() if key != "kmsKeyId"}
        return {"retentionInDays": 0, **told, "tags": self.tags_of(aws, there)}

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Set its retention."""
        _retain(aws, there.id, new.inputs.get("retentionInDays"))
        return {}

    def delete(self, aws: Aws, there: State) -> None:
        """Delete it with its logs."""
        aws.client("logs").delete_log_group(logGroupName=there.id)


class LogResourcePolicy(ResourceType, token="aws:cloudwatch/logResourcePolicy:LogResourcePolicy"):
    """Which services may write to log groups."""

    refers = {"policyDocument": LOG_GROUP}
    needs = "logs:DeleteResourcePolicy logs:DescribeResourcePolicies logs:PutResourcePolicy"

    def create(self, aws: Aws, new: Resource) -> Created:
        call(aws.client("logs"), "put_resource_policy", new.inputs)
        return Created(id=new.inputs["policyName"])

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        found = aws.client("logs").describe_resource_policies()["resourcePolicies"]
        return next((one for one in found if one["policyName"] == there.id), None)

    def delete(self, aws: Aws, there: State) -> None:
        aws.client("logs").delete_resource_policy(policyName=there.id)


class MetricAlarm(Tagged, token="aws:cloudwatch/metricAlarm:MetricAlarm"):
    """An alarm on a metric or on an expression over metrics."""

    service = "cloudwatch"
    name = "name"
    rename = {
        "name": "AlarmName",
        "metricQueries": "Metrics",
        "Metrics.metric": "MetricStat",
        "Metrics.MetricStat.dimensions": "Metric.Dimensions",
        "Metrics.MetricStat.metricName": "Metric.MetricName",
        "Metrics.MetricStat.namespace": "Metric.Namespace",
    }
    needs = f"cloudwatch:DeleteAlarms cloudwatch:DescribeAlarms cloudwatch:PutMetricAlarm {tag_actions('cloudwatch')}"

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        call(aws.client("cloudwatch"), "put_metric_alarm", inputs, rename=self.rename)
        return Created(id=inputs["name"], outputs=inputs | {"arn": aws.arn("cloudwatch", f"alarm:{inputs['name']}")})

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """All of it, with its metrics in the form of the inputs, which nest less deep."""
        alarms = aws.client("cloudwatch").describe_alarms(AlarmNames=[there.id])["MetricAlarms"]
        if not alarms:
            return None
        metrics = [
            {**one, "metric": {**one["MetricStat"], **one["MetricStat"]["Metric"]}} if "MetricStat" in one else one
            for one in alarms[0].get("Metrics", [])
        ]
        return {**alarms[0], "Metrics": metrics, "tags": self.tags_of(aws, there)}

    def delete(self, aws: Aws, there: State) -> None:
        aws.client("cloudwatch").delete_alarms(AlarmNames=[there.id])

    def paid(self, one: Priced) -> Iterator[Line]:
        """An alarm costs by the number of metrics that it reads."""
        metrics = sum("metric" in query for query in one.resource.inputs.get("metricQueries", [])) or 1
        yield Line(resource="alarms", price="CloudWatch alarm", at_rest=metrics, at_most=metrics)


class Dashboard(ResourceType, token="aws:cloudwatch/dashboard:Dashboard"):
    """A dashboard."""

    needs = "cloudwatch:DeleteDashboards cloudwatch:GetDashboard cloudwatch:PutDashboard"

    def refused(self, given: Property) -> Iterator[str]:
        """A name with illegal characters from the stack's name, and more than a dashboard can hold."""
        yield from given.matches(
            "dashboardName", r"[A-Za-z0-9_-]{1,255}", "must be 1 to 255 letters, digits, hyphens and underscores"
        )
        yield from given.at_most("dashboardBody", LARGEST_DASHBOARD_BYTES, "bytes")
        body = given.parsed("dashboardBody")
        yield from body.at_most("widgets", MOST_WIDGETS, "widgets")
        yield from body.at_most("widgets[].properties.alarms", MOST_ALARMS_OF_WIDGET, "alarms")

    def create(self, aws: Aws, new: Resource) -> Created:
        cloudwatch = aws.client("cloudwatch")
        name = new.inputs["dashboardName"]
        call(cloudwatch, "put_dashboard", new.inputs)
        return Created(id=name, outputs={"dashboardArn": cloudwatch.get_dashboard(DashboardName=name)["DashboardArn"]})

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any]:
        return aws.client("cloudwatch").get_dashboard(DashboardName=there.id)

    def delete(self, aws: Aws, there: State) -> None:
        aws.client("cloudwatch").delete_dashboards(DashboardNames=[there.id])

    def paid(self, one: Priced) -> Iterator[Line]:
        """A dashboard costs per month."""
        yield one.line("CloudWatch dashboard")


def _retain(aws: Aws, name: str, days: int | None) -> None:
    logs = aws.client("logs")
    if days:
        logs.put_retention_policy(logGroupName=name, retentionInDays=days)
    else:
        logs.delete_retention_policy(logGroupName=name)
