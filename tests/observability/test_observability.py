"""Alarms, events and dashboard together: that they watch what AWS emits, and what exists."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from local.aws import Aws
from local.run import Run
from tests.conftest import RunStack
from tests.observability.support import ALARM, RULE, widgets
from tests.support import all_of, one_of
from worker.metrics import NAMESPACE

ANOMALY_MONITOR = "aws:costexplorer/anomalyMonitor:AnomalyMonitor"
ANOMALY_SUBSCRIPTION = "aws:costexplorer/anomalySubscription:AnomalySubscription"

SQS = ({"QueueName"}, "SQS developer guide, Available CloudWatch metrics for Amazon SQS")
FAIR = ({"QueueName"}, "SQS developer guide, Amazon SQS fair queues, CloudWatch metrics; standard queues alone")
ECS = ({"ClusterName", "ServiceName"}, "ECS developer guide, Amazon ECS CloudWatch metrics")
INSIGHTS = ({"ClusterName", "ServiceName"}, "CloudWatch user guide, Amazon ECS Container Insights metrics")
JOB_QUEUE = ({"JobQueue"}, "components/observability/job_queue_probe_handler.py; test_job_queue_probe.py")
LAMBDA = ({"FunctionName"}, "Lambda developer guide, Types of metrics for Lambda functions")
GPUS = ({"BatchJobQueue"}, "components/batch/gpu_metrics.py; tests/batch/test_gpu_metrics.py")
WORKER = ({"QueueName"}, "worker/slot.py; tests/test_worker_run.py")

EMITTED: dict[tuple[str, str], tuple[set[str], set[str], str]] = {
    (namespace, metric): (dimensions, statistics, source)
    for namespace, metric, (dimensions, source), statistics in (
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", SQS, {"Average", "Maximum", "Minimum"}),
        ("AWS/SQS", "ApproximateNumberOfMessagesNotVisible", SQS, {"Average", "Maximum", "Minimum"}),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage", SQS, {"Average", "Maximum", "Minimum"}),
        ("AWS/SQS", "NumberOfMessagesReceived", SQS, {"Average", "Maximum", "Minimum", "Sum"}),
        ("AWS/SQS", "ApproximateNumberOfNoisyGroups", FAIR, {"Average", "Maximum", "Minimum"}),
        ("AWS/SQS", "ApproximateAgeOfOldestMessageInQuietGroups", FAIR, {"Average", "Maximum", "Minimum"}),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisibleInQuietGroups", FAIR, {"Average", "Maximum", "Minimum"}),
        ("AWS/ECS", "CPUUtilization", ECS, {"Average", "Maximum", "Minimum"}),
        ("AWS/ECS", "MemoryUtilization", ECS, {"Average", "Maximum", "Minimum"}),
        ("ECS/ContainerInsights", "DesiredTaskCount", INSIGHTS, {"Average", "Maximum", "Minimum"}),
        ("ECS/ContainerInsights", "RunningTaskCount", INSIGHTS, {"Average", "Maximum", "Minimum"}),
        *((NAMESPACE, one, WORKER, {"Sum"}) for one in ("TasksDone", "TasksFailed", "TasksGivenBack", "LeasesLost")),
        *((NAMESPACE, one, WORKER, {"Average", "Maximum"}) for one in ("SecondsWaited", "SecondsWorked")),
        *(
            ("DistributedTraining/Gpu", f"nvidia_smi_{one}", GPUS, {"Average", "Maximum", "Minimum"})
            for one in ("utilization_gpu", "memory_used", "temperature_gpu")
        ),
        ("DistributedTraining/Gpu", "gpu_faults", GPUS, {"Sum"}),
        *(
            ("DistributedTraining/Batch", one, JOB_QUEUE, {"Average", "Maximum", "Minimum"})
            for one in ("InvalidComputeEnvironments", "FirstJobWaitedSeconds", "FirstJobWaitedInIdleQueueSeconds")
        ),
        ("AWS/Lambda", "Errors", LAMBDA, {"Sum"}),
        (
            "AWS/AutoScaling",
            "GroupInServiceInstances",
            ({"AutoScalingGroupName"}, "EKS user guide, View metrics for Amazon EC2 Auto Scaling groups"),
            {"Average", "Maximum", "Minimum"},
        ),
        (
            "AWS/EKS",
            "scheduler_pending_pods_UNSCHEDULABLE",
            ({"ClusterName"}, "EKS user guide, Monitor cluster data with Amazon CloudWatch"),
            {"Average", "Maximum", "Minimum"},
        ),
        (
            "AWS/Usage",
            "ResourceCount",
            ({"Service", "Type", "Resource", "Class"}, "Service Quotas API, GetServiceQuota, UsageMetric of EC2"),
            {"Maximum"},
        ),
    )
}
"""Metric -> the dimensions and the meaningful statistics that AWS documents for it, and where."""

Watched = tuple[str, str, dict[str, str], str]
"""A metric that is watched: namespace, name, dimensions, statistic."""


def of_alarms(run: Run) -> Iterator[Watched]:
    for name, alarm in all_of(run, ALARM).items():
        if not name.startswith("alerts-"):
            continue
        if "metricName" in alarm.inputs:
            one = alarm.inputs
            yield one["namespace"], one["metricName"], one["dimensions"], one["statistic"]
        for query in alarm.inputs.get("metricQueries", []):
            if "metric" in query:
                one = query["metric"]
                yield one["namespace"], one["metricName"], one["dimensions"], one["stat"]


def of_dashboard(run: Run) -> Iterator[Watched]:
    for widget in widgets(run):
        for namespace, metric, *pairs in widget["properties"].get("metrics", []):
            dimensions = dict(zip(pairs[::2], pairs[1::2], strict=True))
            yield namespace, metric, dimensions, widget["properties"]["stat"]


def test_alarms_and_dashboard_watch_only_what_aws_emits(deployed: Run, teams: Run) -> None:
    watched = [one for run in (deployed, teams) for one in (*of_alarms(run), *of_dashboard(run))]
    for namespace, metric, dimensions, statistic in watched:
        expected, statistics, _source = EMITTED[namespace, metric]
        assert set(dimensions) == expected, (namespace, metric)
        assert statistic in statistics, (namespace, metric)
    assert {one[:2] for one in watched} == set(EMITTED), "the table holds what is watched and nothing more"
    of_standard_queues = {metric for metric, (_, _, source) in EMITTED.items() if source == FAIR[1]}
    assert not of_standard_queues & {one[:2] for one in (*of_alarms(deployed), *of_dashboard(deployed))}


def test_what_is_watched_exists(deployed: Run, aws: Aws) -> None:
    described = aws.client("cloudwatch").describe_alarms(AlarmNamePrefix="alerts-")["MetricAlarms"]
    ours = {created.id for urn, created in deployed.created.items() if f"${ALARM}::alerts-" in urn}
    assert ours <= {alarm["AlarmName"] for alarm in described}
    for _namespace, _metric, dimensions, _statistic in [*of_alarms(deployed), *of_dashboard(deployed)]:
        match dimensions:
            case {"QueueName": name}:
                assert aws.client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
            case {"ClusterName": cluster, "ServiceName": service}:
                found = aws.client("ecs").describe_services(cluster=cluster, services=[service])
                assert found["services"][0]["status"] == "ACTIVE"
            case {"ClusterName": cluster}:
                assert aws.client("eks").describe_cluster(name=cluster)
            case {"BatchJobQueue": name}:
                template = one_of(deployed, "aws:ec2/launchTemplate:LaunchTemplate", "single").inputs
                assert f'"{name}"' in base64.b64decode(template["userData"]).decode()
            case {"JobQueue": name}:
                (queue,) = aws.client("batch").describe_job_queues(jobQueues=[name])["jobQueues"]
                assert queue["status"] == "VALID"
            case {"FunctionName": name}:
                assert aws.client("lambda").get_function(FunctionName=name)
            case {"AutoScalingGroupName": name}:
                _, cluster, group, _ = deployed.exports["eks_node_group_arns"]["gpu"].split("/")
                found = aws.client("eks").describe_nodegroup(clusterName=cluster, nodegroupName=group)
                assert found["nodegroup"]["resources"]["autoScalingGroups"] == [{"name": name}]
            case _:
                assert dimensions["Service"] == "EC2"
    for widget in widgets(deployed):
        for arn in widget["properties"].get("alarms", []):
            assert arn.rsplit(":", 1)[1] in ours


def test_a_budget_warns_at_80_percent_and_when_the_whole_is_forecast(deployed: Run, aws: Aws) -> None:
    budgets = aws.client("budgets")
    (name,) = [
        one.id.split(":", 1)[1] for urn, one in deployed.created.items() if "$aws:budgets/budget:Budget::" in urn
    ]
    budget = budgets.describe_budget(AccountId="123456789012", BudgetName=name)["Budget"]
    assert (budget["TimeUnit"], budget["BudgetType"]) == ("MONTHLY", "COST")
    assert (float(budget["BudgetLimit"]["Amount"]), budget["BudgetLimit"]["Unit"]) == (5000, "USD")
    notices = budgets.describe_notifications_for_budget(AccountId="123456789012", BudgetName=name)["Notifications"]
    assert {(one["NotificationType"], one["Threshold"]) for one in notices} == {("ACTUAL", 80), ("FORECASTED", 100)}
    resource = one_of(deployed, "aws:budgets/budget:Budget", "alerts")
    assert {tuple(one["subscriberSnsTopicArns"]) for one in resource.inputs["notifications"]} == {
        (deployed.exports["alerts_topic_arn"],)
    }
    policy = one_of(deployed, "aws:sns/topicPolicy:TopicPolicy", "alerts")
    assert policy.urn in resource.dependencies, "Budgets refuses a topic that it may not publish to"


def test_an_anomaly_of_the_costs_is_told_to_the_topic_by_the_only_monitor_of_services(
    deployed: Run, run_sections: RunStack
) -> None:
    monitor = one_of(deployed, ANOMALY_MONITOR, "alerts")
    subscription = one_of(deployed, ANOMALY_SUBSCRIPTION, "alerts")
    assert (monitor.inputs["monitorType"], monitor.inputs["monitorDimension"]) == ("DIMENSIONAL", "SERVICE")
    assert subscription.inputs["monitorArnLists"] == [deployed.created[monitor.urn].outputs["arn"]]
    assert subscription.inputs["frequency"] == "IMMEDIATE"
    assert subscription.inputs["subscribers"] == [{"type": "SNS", "address": deployed.exports["alerts_topic_arn"]}]
    assert subscription.inputs["thresholdExpression"]["dimension"] == {
        "key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
        "matchOptions": ["GREATER_THAN_OR_EQUAL"],
        "values": ["200"],
    }
    assert one_of(deployed, "aws:sns/topicPolicy:TopicPolicy", "alerts").urn in subscription.dependencies
    there = "arn:aws:ce::123456789012:anomalymonitor/0a1b2c3d"
    run = run_sections({"alerts": {"anomalyUsd": 200, "anomalyMonitorArn": there}})
    assert all_of(run, ANOMALY_MONITOR) == {}
    assert one_of(run, ANOMALY_SUBSCRIPTION, "alerts").inputs["monitorArnLists"] == [there]


@pytest.mark.parametrize(
    ("sections", "rules", "alarms"),
    [
        ({}, {"image-findings"}, set[str]()),
        ({"queues": {"tasks": {}}}, {"image-findings"}, {"tasks-dead-letters", "tasks-too-old", "tasks-unconsumed"}),
        (
            {"batch": {"single": {}}},
            {"image-findings", "job-events", "job-failed", "job-queue-blocked", "job-queues", "spot-reclaimed"},
            {
                "job-queues-unwatched",
                *(f"single-{what}" for what in ("idle-gpus", "gpu-faults", "invalid-environment")),
                *(f"single-{what}" for what in ("nothing-starts", "waits-too-long")),
            },
        ),
        ({"eks": {}}, {"image-findings", "spot-reclaimed"}, set[str]()),
        ({"eks": {"gpuNodeGroups": {}}}, {"image-findings", "spot-reclaimed"}, set[str]()),
    ],
    ids=["nothing", "queues", "batch", "eks", "eks without GPU"],
)
def test_only_the_parts_that_there_are_are_watched(
    sections: dict[str, Any], rules: set[str], alarms: set[str], run_sections: RunStack
) -> None:
    run = run_sections(sections, preview=False)
    assert set(all_of(run, RULE)) == {f"alerts-{name}" for name in rules}
    assert set(all_of(run, ALARM)) == {f"alerts-{name}" for name in alarms}
    assert all_of(run, "aws:budgets/budget:Budget") == all_of(run, ANOMALY_SUBSCRIPTION) == {}
    assert all(widget["properties"].get("metrics") != [] for widget in widgets(run))


def test_every_fleet_has_alarms_and_rows_of_its_own(run_sections: RunStack) -> None:
    fleets = {"prepare": {"queue": "raw"}, "evaluate": {"queue": "models"}}
    run = run_sections({"queues": {"raw": {}, "models": {}, "results": {}}, "workers": fleets}, preview=False)
    watched = {name.removeprefix("alerts-") for name in all_of(run, ALARM)}
    for fleet in fleets:
        assert {f"{fleet}-{what}" for what in ("below-desired", "memory", "lost-leases", "failing")} <= watched
        services = {run.exports["ecs_service_names"][fleet]}
        shown = [one for one in widgets(run) if one["properties"]["title"].startswith(f"Workers of {fleet}:")]
        metrics = [metric for one in shown for metric in one["properties"]["metrics"]]
        assert {metric[metric.index("ServiceName") + 1] for metric in metrics if "ServiceName" in metric} == services
