"""Alarms, events, the topic they go to and the dashboard: that they watch what AWS emits, and what exists."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from moto.events.models import EventPattern

from components.observability import oldest_task_seconds
from components.task_queue import TaskQueueSettings
from local import engine
from local.aws import Aws
from tests.conftest import RunStack
from tests.support import WHOLE, all_of, one_of

MistakesIn = Callable[[dict[str, Any]], list[str]]

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
RULE = "aws:cloudwatch/eventRule:EventRule"
SERVICES = {"budgets.amazonaws.com", "cloudwatch.amazonaws.com", "events.amazonaws.com"}

SQS = ({"QueueName"}, "SQS developer guide, Available CloudWatch metrics for Amazon SQS")
ECS = ({"ClusterName", "ServiceName"}, "ECS developer guide, Amazon ECS CloudWatch metrics")
INSIGHTS = ({"ClusterName", "ServiceName"}, "CloudWatch user guide, Amazon ECS Container Insights metrics")

EMITTED: dict[tuple[str, str], tuple[set[str], set[str], str]] = {
    (namespace, metric): (dimensions, statistics, source)
    for namespace, metric, (dimensions, source), statistics in (
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", SQS, {"Average", "Maximum", "Minimum"}),
        ("AWS/SQS", "ApproximateNumberOfMessagesNotVisible", SQS, {"Average", "Maximum", "Minimum"}),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage", SQS, {"Average", "Maximum", "Minimum"}),
        ("AWS/SQS", "NumberOfMessagesReceived", SQS, {"Average", "Maximum", "Minimum", "Sum"}),
        ("AWS/ECS", "CPUUtilization", ECS, {"Average", "Maximum", "Minimum"}),
        ("AWS/ECS", "MemoryUtilization", ECS, {"Average", "Maximum", "Minimum"}),
        ("ECS/ContainerInsights", "DesiredTaskCount", INSIGHTS, {"Average", "Maximum", "Minimum"}),
        ("ECS/ContainerInsights", "RunningTaskCount", INSIGHTS, {"Average", "Maximum", "Minimum"}),
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


@pytest.fixture(scope="module")
def deployed(run_sections: RunStack) -> engine.Run:
    alerts = {"emails": ["ops@example.com"], "monthlyBudgetUsd": 5000}
    return run_sections(WHOLE | {"alerts": alerts}, preview=False)


def of_alarms(run: engine.Run) -> Iterator[Watched]:
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


def widgets(run: engine.Run) -> list[dict[str, Any]]:
    return json.loads(one_of(run, "aws:cloudwatch/dashboard:Dashboard", "alerts").inputs["dashboardBody"])["widgets"]


def of_dashboard(run: engine.Run) -> Iterator[Watched]:
    for widget in widgets(run):
        for namespace, metric, *pairs in widget["properties"].get("metrics", []):
            dimensions = dict(zip(pairs[::2], pairs[1::2], strict=True))
            yield namespace, metric, dimensions, widget["properties"]["stat"]


def test_alarms_and_dashboard_watch_only_what_aws_emits(deployed: engine.Run) -> None:
    watched = [*of_alarms(deployed), *of_dashboard(deployed)]
    for namespace, metric, dimensions, statistic in watched:
        expected, statistics, _source = EMITTED[namespace, metric]
        assert set(dimensions) == expected, (namespace, metric)
        assert statistic in statistics, (namespace, metric)
    assert {one[:2] for one in watched} == set(EMITTED), "the table holds what is watched and nothing more"


def test_what_is_watched_exists(deployed: engine.Run, aws: Aws) -> None:
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
            case {"AutoScalingGroupName": name}:
                _, cluster, group, _ = deployed.exports["eks_node_group_arns"]["gpu"].split("/")
                found = aws.client("eks").describe_nodegroup(clusterName=cluster, nodegroupName=group)
                assert found["nodegroup"]["resources"]["autoScalingGroups"] == [{"name": name}]
            case _:
                assert dimensions["Service"] == "EC2"
    for widget in widgets(deployed):
        for arn in widget["properties"].get("alarms", []):
            assert arn.rsplit(":", 1)[1] in ours


def test_no_alarm_is_raised_by_a_platform_at_rest(deployed: engine.Run) -> None:
    alarms = {name: one for name, one in all_of(deployed, ALARM).items() if name.startswith("alerts-")}
    assert set(alarms) == {
        *(f"alerts-{queue}-{what}" for queue in WHOLE["queues"] for what in ("dead-letters", "too-old", "unconsumed")),
        "alerts-workers-below-desired",
        "alerts-workers-memory",
    }
    topic = deployed.exports["alerts_topic_arn"]
    for alarm in alarms.values():
        assert alarm.inputs["treatMissingData"] == "notBreaching"
        assert alarm.inputs["alarmActions"] == alarm.inputs["okActions"] == [topic]


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        (TaskQueueSettings(visibility_timeout_seconds=900, max_receive_count=5), 4500),
        (TaskQueueSettings(visibility_timeout_seconds=60, max_receive_count=1), 60),
        (TaskQueueSettings(visibility_timeout_seconds=43_200, max_receive_count=1000, retention_days=2), 86_400),
    ],
)
def test_a_task_is_too_old_when_its_receives_are_over_or_it_is_soon_dropped(
    settings: TaskQueueSettings, seconds: int
) -> None:
    assert oldest_task_seconds(settings) == seconds


def test_a_queue_is_unconsumed_only_while_tasks_wait_and_none_is_in_hand(deployed: engine.Run) -> None:
    queries = one_of(deployed, ALARM, "alerts-tasks-unconsumed").inputs["metricQueries"]
    assert {one["id"]: one["metric"]["stat"] for one in queries if "metric" in one} == {
        "waiting": "Minimum",
        "in_hand": "Maximum",
        "received": "Sum",
    }
    (result,) = [one for one in queries if one.get("returnData")]
    assert result["expression"] == "IF(waiting > 0 AND FILL(in_hand, 0) == 0 AND FILL(received, 0) == 0, 1, 0)"


def batch_event(detail_type: str, queue: str, status: str) -> dict[str, Any]:
    """AWS Batch user guide, "Job state change events" and "Job queue blocked events"."""
    job = "arn:aws:batch:us-west-2:123456789012:job/4c7599ae-0a82-49aa-ba5a-4727fcce14a8"
    return {
        "version": "0",
        "id": "c8f9c4b5-76e5-d76a-f980-7011e206042b",
        "detail-type": detail_type,
        "source": "aws.batch",
        "account": "123456789012",
        "time": "2022-01-11T23:36:40Z",
        "region": "us-west-2",
        "resources": [job, queue],
        "detail": {
            "jobArn": job,
            "jobName": "event-test",
            "jobId": "4c7599ae-0a82-49aa-ba5a-4727fcce14a8",
            "jobQueue": queue,
            "status": status,
            "attempts": [],
            "createdAt": 1641944200058,
        },
    }


def spot_event() -> dict[str, Any]:
    """EC2 user guide, "Spot Instance interruption notices"."""
    return {
        "version": "0",
        "id": "12345678-1234-1234-1234-123456789012",
        "detail-type": "EC2 Spot Instance Interruption Warning",
        "source": "aws.ec2",
        "account": "123456789012",
        "time": "2022-01-11T23:36:40Z",
        "region": "us-west-2",
        "resources": ["arn:aws:ec2:us-west-2b:instance/i-1234567890abcdef0"],
        "detail": {"instance-id": "i-1234567890abcdef0", "instance-action": "terminate"},
    }


def task_event(cluster: str, last_status: str = "RUNNING", stop_code: str = "SpotInterruption") -> dict[str, Any]:
    """ECS developer guide, "Amazon ECS clusters for Fargate workloads", termination notices."""
    task = "arn:aws:ecs:us-west-2:123456789012:task/b99d40b3-5176-4f71-9a52-9dbd6f1cebef"
    return {
        "version": "0",
        "id": "9bcdac79-b31f-4d3d-9410-fbd727c29fab",
        "detail-type": "ECS Task State Change",
        "source": "aws.ecs",
        "account": "123456789012",
        "resources": [task],
        "detail": {
            "clusterArn": cluster,
            "createdAt": "2016-12-06T16:41:05.702Z",
            "desiredStatus": "STOPPED",
            "lastStatus": last_status,
            "stoppedReason": "Your Spot Task was interrupted.",
            "stopCode": stop_code,
            "taskArn": task,
        },
    }


def deployment_event(service: str, name: str = "SERVICE_DEPLOYMENT_FAILED") -> dict[str, Any]:
    """ECS developer guide, "Amazon ECS service deployment state change events"."""
    return {
        "version": "0",
        "id": "ddca6449-b258-46c0-8653-e0e3aEXAMPLE",
        "detail-type": "ECS Deployment State Change",
        "source": "aws.ecs",
        "account": "123456789012",
        "time": "2020-05-23T12:31:14Z",
        "region": "us-west-2",
        "resources": [service],
        "detail": {
            "eventType": "ERROR",
            "eventName": name,
            "deploymentId": "ecs-svc/123",
            "updatedAt": "2020-05-23T11:11:11Z",
            "reason": "ECS deployment circuit breaker: task failed to start.",
        },
    }


def test_events_of_this_stack_reach_the_topic_and_others_do_not(deployed: engine.Run) -> None:
    queue = deployed.exports["batch_job_queue_arns"]["single"]
    cluster, service = deployed.exports["ecs_cluster_arn"], deployed.exports["ecs_service_arn"]
    blocked, changed = "Batch Job Queue Blocked", "Batch Job State Change"
    samples: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
        "alerts-job-failed": (
            [batch_event(changed, queue, "FAILED")],
            [batch_event(changed, queue, "SUCCEEDED"), batch_event(changed, f"{queue}-other", "FAILED")],
        ),
        "alerts-job-queue-blocked": (
            [batch_event(blocked, queue, "RUNNABLE")],
            [batch_event(changed, queue, "RUNNABLE"), batch_event(blocked, f"{queue}-other", "RUNNABLE")],
        ),
        "alerts-job-events": (
            [batch_event(changed, queue, status) for status in ("SUBMITTED", "RUNNING", "FAILED")],
            [batch_event(changed, f"{queue}-other", "RUNNING"), batch_event(blocked, queue, "RUNNABLE")],
        ),
        "alerts-spot-reclaimed": ([spot_event()], [task_event(cluster)]),
        "alerts-worker-reclaimed": (
            [task_event(cluster)],
            [
                task_event(f"{cluster}-other"),
                task_event(cluster, last_status="STOPPED"),
                task_event(cluster, stop_code="ServiceSchedulerInitiated"),
            ],
        ),
        "alerts-deployment-failed": (
            [deployment_event(service)],
            [deployment_event(f"{service}-other"), deployment_event(service, "SERVICE_DEPLOYMENT_COMPLETED")],
        ),
    }
    rules = all_of(deployed, RULE)
    assert set(rules) == set(samples)
    for name, (matching, others) in samples.items():
        pattern: Any = EventPattern(None, json.loads(rules[name].inputs["eventPattern"]))
        assert all(pattern.matches_event(event) for event in matching), name
        assert not any(pattern.matches_event(event) for event in others), name


def test_every_rule_has_a_target_that_exists(deployed: engine.Run, aws: Aws) -> None:
    log_group = one_of(deployed, "aws:cloudwatch/eventTarget:EventTarget", "alerts-job-events").inputs["arn"]
    found = aws.client("logs").describe_log_groups(logGroupNamePrefix="/aws/events/alerts-job-events-")["logGroups"]
    assert log_group in {one["arn"].removesuffix(":*") for one in found}
    for name, target in all_of(deployed, "aws:cloudwatch/eventTarget:EventTarget").items():
        expected = log_group if name == "alerts-job-events" else deployed.exports["alerts_topic_arn"]
        assert target.inputs["arn"] == expected
        assert "roleArn" not in target.inputs, "with a role EventBridge fails on an encrypted topic"


def test_the_topic_is_encrypted_with_a_key_that_only_its_publishers_may_use(deployed: engine.Run, aws: Aws) -> None:
    topic = deployed.exports["alerts_topic_arn"]
    attributes = aws.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]
    kms = aws.client("kms")
    metadata = kms.describe_key(KeyId=attributes["KmsMasterKeyId"])["KeyMetadata"]
    assert metadata["KeyManager"] == "CUSTOMER"
    assert kms.get_key_rotation_status(KeyId=metadata["KeyId"])["KeyRotationEnabled"] is True
    key_policy = json.loads(kms.get_key_policy(KeyId=metadata["KeyId"], PolicyName="default")["Policy"])
    topic_policy = json.loads(attributes["Policy"])
    for policy, actions in (
        (key_policy, {"kms:Decrypt", "kms:GenerateDataKey"}),
        (topic_policy, {"sns:Publish"}),
    ):
        users = {
            statement["Principal"].get("Service"): statement
            for statement in policy["Statement"]
            if statement["Effect"] == "Allow" and actions & set(statement["Action"])
        }
        assert set(users) == SERVICES
        for service, statement in users.items():
            assert set(statement["Action"]) == actions
            # EventBridge sends neither its account nor its rule along: any condition would drop its events
            ours = {"StringEquals": {"aws:SourceAccount": "123456789012"}}
            assert statement.get("Condition") == (None if service == "events.amazonaws.com" else ours)


def test_nobody_publishes_to_the_topic_without_tls(deployed: engine.Run, aws: Aws) -> None:
    topic = deployed.exports["alerts_topic_arn"]
    policy = json.loads(aws.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"])
    assert [statement for statement in policy["Statement"] if statement["Effect"] == "Deny"] == [
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": "sns:Publish",
            "Resource": [topic],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]


def test_the_account_can_always_mend_the_policy_of_the_key(deployed: engine.Run) -> None:
    policy = json.loads(one_of(deployed, "aws:kms/key:Key", "alerts").inputs["policy"])
    (administration,) = [one for one in policy["Statement"] if "AWS" in one["Principal"]]
    assert administration["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
    assert {"kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:DescribeKey"} <= set(administration["Action"])


def test_people_hear_of_alerts_by_mail(deployed: engine.Run, aws: Aws) -> None:
    topic = deployed.exports["alerts_topic_arn"]
    found = aws.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert [(one["Protocol"], one["Endpoint"]) for one in found] == [("email", "ops@example.com")]


def test_a_budget_warns_at_80_percent_and_when_the_whole_is_forecast(deployed: engine.Run, aws: Aws) -> None:
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


def test_the_dashboard_has_a_row_for_every_part(deployed: engine.Run) -> None:
    rows: dict[int, list[str]] = {}
    for widget in widgets(deployed):
        rows.setdefault(widget["y"], []).append(widget["properties"]["title"])
        assert widget["x"] + widget["width"] <= 24
    assert [titles[0].split(":")[0] for _, titles in sorted(rows.items())] == [
        "Alarms",
        "Queue tasks",
        "Queue results",
        "Workers",
        "Batch jobs by state, of those that changed it in the time shown",
        "EKS",
        "vCPUs that run in this account and region, by quota",
    ]


def test_jobs_are_counted_from_the_log_that_their_events_go_to(deployed: engine.Run, aws: Aws) -> None:
    (query,) = [one["properties"]["query"] for one in widgets(deployed) if one["type"] == "log"]
    log_group = query.split("'")[1]
    assert aws.client("logs").describe_log_groups(logGroupNamePrefix=log_group)["logGroups"]
    policies = aws.client("logs").describe_resource_policies()["resourcePolicies"]
    statements = [statement for one in policies for statement in json.loads(one["policyDocument"])["Statement"]]
    assert f"arn:aws:logs:us-west-2:123456789012:log-group:{log_group}:*" in {one["Resource"] for one in statements}


@pytest.mark.parametrize(
    ("sections", "rules", "alarms"),
    [
        ({}, set[str](), set[str]()),
        ({"queues": {"tasks": {}}}, set[str](), {"tasks-dead-letters", "tasks-too-old", "tasks-unconsumed"}),
        ({"batch": {"single": {}}}, {"job-events", "job-failed", "job-queue-blocked", "spot-reclaimed"}, set[str]()),
        ({"eks": {}}, {"spot-reclaimed"}, set[str]()),
        ({"eks": {"gpuNodeGroups": {}}}, {"spot-reclaimed"}, set[str]()),
    ],
    ids=["nothing", "queues", "batch", "eks", "eks without GPU"],
)
def test_only_the_parts_that_there_are_are_watched(
    sections: dict[str, Any], rules: set[str], alarms: set[str], run_sections: RunStack
) -> None:
    run = run_sections(sections, preview=False)
    assert set(all_of(run, RULE)) == {f"alerts-{name}" for name in rules}
    assert set(all_of(run, ALARM)) == {f"alerts-{name}" for name in alarms}
    assert all_of(run, "aws:budgets/budget:Budget") == {}
    assert all(widget["properties"].get("metrics") != [] for widget in widgets(run))


@pytest.mark.parametrize(
    ("alerts", "line"),
    [
        ({"emails": ["a@b.c", "a@b.c"]}, "emails: must name each once, got ['a@b.c', 'a@b.c']"),
        ({"monthlyBudgetUsd": 0}, "monthlyBudgetUsd: must be greater than 0, got 0"),
    ],
)
def test_alerts_that_cannot_be_are_refused(alerts: dict[str, Any], line: str, mistakes_in: MistakesIn) -> None:
    assert mistakes_in({"alerts": alerts}) == [f"alerts.{line}"]
