"""Amazon CloudWatch and CloudWatch Logs: alarms, dashboards, log groups and what comes with them."""

from local.aws import Aws
from local.parameters import call, complete
from local.record import ResourceType, tag_actions
from local.run import Created, Resource


class LogGroup(ResourceType, token="aws:cloudwatch/logGroup:LogGroup"):
    """A log group; a retention of 0 days keeps the logs for ever."""

    name = "name"
    needs = (
        "logs:CreateLogGroup logs:DeleteLogGroup logs:DeleteRetentionPolicy logs:DescribeLogGroups"
        f" logs:PutRetentionPolicy {tag_actions('logs')}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        logs = aws.client("logs")
        inputs = complete(aws, new)
        name = inputs["name"]
        leave = ("retentionInDays", "skipDestroy")
        call(logs, "create_log_group", inputs, rename={"name": "logGroupName"}, leave=leave)
        if inputs.get("retentionInDays"):
            logs.put_retention_policy(logGroupName=name, retentionInDays=inputs["retentionInDays"])
        return Created(id=name, outputs=inputs | {"arn": aws.arn("logs", f"log-group:{name}")})


class LogResourcePolicy(ResourceType, token="aws:cloudwatch/logResourcePolicy:LogResourcePolicy"):
    """Which services may write to log groups."""

    needs = "logs:DeleteResourcePolicy logs:DescribeResourcePolicies logs:PutResourcePolicy"

    def create(self, aws: Aws, new: Resource) -> Created:
        call(aws.client("logs"), "put_resource_policy", new.inputs)
        return Created(id=new.inputs["policyName"])


class MetricAlarm(ResourceType, token="aws:cloudwatch/metricAlarm:MetricAlarm"):
    """An alarm on a metric or on an expression over metrics."""

    name = "name"
    needs = f"cloudwatch:DeleteAlarms cloudwatch:DescribeAlarms cloudwatch:PutMetricAlarm {tag_actions('cloudwatch')}"

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        call(
            aws.client("cloudwatch"),
            "put_metric_alarm",
            inputs,
            rename={
                "name": "AlarmName",
                "metricQueries": "Metrics",
                "Metrics.metric": "MetricStat",
                "Metrics.MetricStat.dimensions": "Metric.Dimensions",
                "Metrics.MetricStat.metricName": "Metric.MetricName",
                "Metrics.MetricStat.namespace": "Metric.Namespace",
            },
        )
        return Created(id=inputs["name"], outputs=inputs | {"arn": aws.arn("cloudwatch", f"alarm:{inputs['name']}")})


class Dashboard(ResourceType, token="aws:cloudwatch/dashboard:Dashboard"):
    """A dashboard."""

    needs = "cloudwatch:DeleteDashboards cloudwatch:GetDashboard cloudwatch:PutDashboard"

    def create(self, aws: Aws, new: Resource) -> Created:
        cloudwatch = aws.client("cloudwatch")
        name = new.inputs["dashboardName"]
        call(cloudwatch, "put_dashboard", new.inputs)
        return Created(id=name, outputs={"dashboardArn": cloudwatch.get_dashboard(DashboardName=name)["DashboardArn"]})
