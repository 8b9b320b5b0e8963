"""Amazon CloudWatch and CloudWatch Logs: alarms, dashboards, log groups and what comes with them."""

from local.aws import Aws, Created, Resource, creates, simulates
from local.services._params import call, complete


@creates("aws:cloudwatch/logGroup:LogGroup")
def log_group(aws: Aws, resource: Resource) -> Created:
    """A log group; a retention of 0 days keeps the logs for ever."""
    logs = aws.client("logs")
    inputs = complete(aws, resource)
    name = inputs["name"]
    leave = ("retentionInDays", "skipDestroy")
    call(logs, "create_log_group", inputs, rename={"name": "logGroupName"}, leave=leave)
    if inputs.get("retentionInDays"):
        logs.put_retention_policy(logGroupName=name, retentionInDays=inputs["retentionInDays"])
    return Created(id=name, outputs=inputs | {"arn": aws.arn("logs", f"log-group:{name}")})


@creates("aws:cloudwatch/logMetricFilter:LogMetricFilter")
def log_metric_filter(aws: Aws, resource: Resource) -> Created:
    """A metric made from log lines."""
    inputs = complete(aws, resource, tags=False)
    call(
        aws.client("logs"),
        "put_metric_filter",
        inputs,
        rename={
            "name": "filterName",
            "pattern": "filterPattern",
            "metricTransformation.name": "metricName",
            "metricTransformation.namespace": "metricNamespace",
            "metricTransformation.value": "metricValue",
        },
    )
    return Created(id=inputs["name"], outputs=inputs)


@creates("aws:cloudwatch/logResourcePolicy:LogResourcePolicy")
def log_resource_policy(aws: Aws, resource: Resource) -> Created:
    """Which services may write to log groups."""
    call(aws.client("logs"), "put_resource_policy", resource.inputs)
    return Created(id=resource.inputs["policyName"])


@creates("aws:cloudwatch/metricAlarm:MetricAlarm")
def metric_alarm(aws: Aws, resource: Resource) -> Created:
    """An alarm on a metric or on an expression over metrics."""
    inputs = complete(aws, resource)
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


@simulates("aws:cloudwatch/compositeAlarm:CompositeAlarm")
def composite_alarm(aws: Aws, resource: Resource) -> Created:
    """An alarm on other alarms, which moto cannot create."""
    inputs = complete(aws, resource, name=None)
    name = inputs["alarmName"]
    return Created(id=name, outputs=inputs | {"arn": aws.arn("cloudwatch", f"alarm:{name}")}, simulated=True)


@creates("aws:cloudwatch/dashboard:Dashboard")
def dashboard(aws: Aws, resource: Resource) -> Created:
    """A dashboard."""
    cloudwatch = aws.client("cloudwatch")
    name = resource.inputs["dashboardName"]
    call(cloudwatch, "put_dashboard", resource.inputs)
    return Created(id=name, outputs={"dashboardArn": cloudwatch.get_dashboard(DashboardName=name)["DashboardArn"]})
