"""Who hears of what goes wrong, and the one page that shows whether the platform works.

EKS says nothing outside Kubernetes when it repairs a node: no event and no metric of AWS tells of it, so nothing here
does. `kubectl get events` shows it (EKS user guide, "Detect node health issues and enable automatic node repair").
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pulumi
from pulumi_aws import budgets, cloudwatch, kms, sns
from pydantic import Field, StringConstraints, field_validator

from components import iam
from components.batch_job_queue import BatchJobQueue
from components.fargate_workers import FargateWorkers
from components.gpu_cluster import GpuCluster
from components.schema import Settings
from components.task_queue import TaskQueue, TaskQueueSettings

UNCONSUMED_MINUTES = 15
"""How long tasks wait with nobody receiving any before somebody hears of it; the first worker is up long before."""
WORKERS_BELOW_DESIRED_MINUTES = 15
"""How long ECS may take to bring up workers: capacity, a large image, one restart."""
WORKER_MEMORY_PERCENT = 90
JOB_EVENTS_DAYS = 30
KMS_DELETION_DAYS = 30
WIDGET_COLUMNS = 24
"""Width of a CloudWatch dashboard."""
WIDGET_HEIGHT = 6

VCPU_CLASSES = ("Standard", "G", "P", "Trn")
"""Families of instance types that share a quota of vCPUs (EC2 user guide, "Amazon EC2 service quotas")."""

KEY_ADMINISTRATION = (
    "kms:CancelKeyDeletion",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateKeyDescription",
)
"""What the account's own identities may do with the topic's key, if their policies say so: keep it, not use it."""

Email = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
Metric = Sequence[pulumi.Input[str]]
"""A metric in a dashboard's words: namespace, name, then names and values of dimensions."""


class AlertsSettings(Settings):
    """The `alerts` section."""

    emails: tuple[Email, ...] = ()
    """Addresses that hear of alarms; each confirms by a link in its first mail."""
    monthly_budget_usd: Annotated[float, Field(gt=0)] | None = None
    """Monthly cost in US dollars of the whole account, of which 80 % and a forecast of 100 % raise an alert."""

    @field_validator("emails")
    @classmethod
    def _names_each_once(cls, emails: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(emails)) < len(emails):
            raise ValueError("must name each once")
        return emails


class Observability(pulumi.ComponentResource):
    """A topic for alerts, alarms and events that go to it, and a dashboard."""

    topic_arn: pulumi.Output[str]
    """ARN of the topic that every alert goes to."""
    dashboard_url: pulumi.Output[str]
    """Where the dashboard is shown."""

    def __init__(
        self,
        name: str,
        settings: AlertsSettings,
        *,
        account: iam.Account,
        queues: Mapping[str, TaskQueue],
        job_queues: Mapping[str, BatchJobQueue],
        workers: FargateWorkers | None,
        cluster: GpuCluster | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("distributed-training:index:Observability", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        topic = AlertTopic(name, settings, account=account, opts=child)
        alarms = [
            cloudwatch.MetricAlarm(
                f"{name}-{alarm_name}",
                # an idle queue and a service at zero emit nothing, and that is no fault
                treat_missing_data="notBreaching",
                alarm_actions=[topic.arn],
                ok_actions=[topic.arn],
                opts=child,
                **alarm,
            )
            for alarm_name, alarm in _alarms(queues, workers).items()
        ]
        for event_name, (description, pattern) in _events(job_queues, workers, cluster).items():
            rule = cloudwatch.EventRule(
                f"{name}-{event_name}",
                description=description,
                event_pattern=pulumi.Output.json_dumps(pattern, sort_keys=True),
                opts=child,
            )
            cloudwatch.EventTarget(f"{name}-{event_name}", rule=rule.name, arn=topic.arn, opts=child)
        if settings.monthly_budget_usd is not None:
            budgets.Budget(
                name,
                budget_type="COST",
                time_unit="MONTHLY",
                limit_amount=f"{settings.monthly_budget_usd:.2f}",
                limit_unit="USD",
                notifications=[
                    {
                        "comparison_operator": "GREATER_THAN",
                        "notification_type": kind,
                        "threshold": threshold,
                        "threshold_type": "PERCENTAGE",
                        "subscriber_sns_topic_arns": [topic.arn],
                    }
                    for kind, threshold in (("ACTUAL", 80), ("FORECASTED", 100))
                ],
                # Budgets refuses a topic that it may not publish to
                opts=pulumi.ResourceOptions(parent=self, depends_on=[topic]),
            )
        job_events = JobEvents(f"{name}-job-events", job_queues, opts=child) if job_queues else None
        rows = [
            *([[_alarm_widget([alarm.arn for alarm in alarms])]] if alarms else []),
            *_queue_rows(queues),
            *(_worker_rows(workers) if workers else []),
            *(_job_rows(job_events.log_group_name) if job_events else []),
            *(_cluster_rows(cluster) if cluster else []),
            *([[_vcpu_graph()]] if job_queues or cluster else []),
        ]
        dashboard = cloudwatch.Dashboard(
            name,
            dashboard_name=f"{pulumi.get_project()}-{pulumi.get_stack()}",
            dashboard_body=pulumi.Output.json_dumps({"widgets": _grid(rows, account.region)}, sort_keys=True),
            opts=child,
        )
        self.topic_arn = topic.arn
        self.dashboard_url = pulumi.Output.concat(
            f"https://{account.region}.console.aws.amazon.com/cloudwatch/home?region={account.region}#dashboards/dashboard/",
            dashboard.dashboard_name,
        )
        self.register_outputs({"topicArn": self.topic_arn, "dashboardUrl": self.dashboard_url})


class AlertTopic(pulumi.ComponentResource):
    """An encrypted topic that CloudWatch, EventBridge and Budgets may publish to, and nobody else.

    The key is the stack's own and costs a dollar a month, and one more after each of its first two yearly rotations.
    AWS's own key for SNS lets no service publish: alarms would be lost (SNS developer guide, "Key management").
    """

    arn: pulumi.Output[str]
    """ARN of the topic."""

    def __init__(
        self, name: str, settings: AlertsSettings, *, account: iam.Account, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("distributed-training:index:AlertTopic", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        key = kms.Key(
            name,
            description="Alerts of the training platform",
            enable_key_rotation=True,
            deletion_window_in_days=KMS_DELETION_DAYS,
            policy=iam.document(_key_policy(account)),
            opts=child,
        )
        topic = sns.Topic(name, kms_master_key_id=key.arn, opts=child)
        sns.TopicPolicy(
            name,
            arn=topic.arn,
            policy=iam.document(
                [
                    *_from_services(account, ["sns:Publish"], topic.arn),
                    # the one action of a topic that goes without TLS at all; SNS takes no `sns:*` in a topic's policy
                    iam.tls_only("sns:Publish", [topic.arn]),
                ]
            ),
            opts=child,
        )
        for email in settings.emails:
            sns.TopicSubscription(f"{name}-{email}", topic=topic.arn, protocol="email", endpoint=email, opts=child)
        self.arn = topic.arn
        self.register_outputs({"arn": self.arn})


class JobEvents(pulumi.ComponentResource):
    """A log of every change of a job's state: Batch has no metrics of its jobs, so they are counted from this."""

    log_group_name: pulumi.Output[str]
    """Name of the log group; an event is one JSON line."""

    def __init__(self, name: str, job_queues: Mapping[str, BatchJobQueue], *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("distributed-training:index:JobEvents", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        log_group = cloudwatch.LogGroup(
            name,
            # the prefix that EventBridge asks of a log group (EventBridge user guide, "CloudWatch Logs permissions")
            name_prefix=f"/aws/events/{name}-",
            retention_in_days=JOB_EVENTS_DAYS,
            opts=child,
        )
        policy = cloudwatch.LogResourcePolicy(
            name,
            policy_name=f"{pulumi.get_project()}-{pulumi.get_stack()}-{name}",
            policy_document=iam.document(
                [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": ["delivery.logs.amazonaws.com", "events.amazonaws.com"]},
                        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                        "Resource": pulumi.Output.concat(log_group.arn, ":*"),
                    }
                ]
            ),
            opts=child,
        )
        rule = cloudwatch.EventRule(
            name,
            description="Every change of state of this stack's Batch jobs",
            event_pattern=pulumi.Output.json_dumps(_job_pattern(job_queues), sort_keys=True),
            opts=child,
        )
        cloudwatch.EventTarget(
            name,
            rule=rule.name,
            arn=log_group.arn,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        self.log_group_name = log_group.name
        self.register_outputs({"logGroupName": self.log_group_name})


def _from_services(account: iam.Account, actions: Sequence[str], resource: pulumi.Input[str]) -> list[iam.Statement]:
    """CloudWatch, EventBridge and Budgets may do this, the first and the last only for this account."""
    return [
        {
            "Sid": service.split(".")[0].capitalize(),
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": sorted(actions),
            "Resource": resource,
            **({"Condition": condition} if condition else {}),
        }
        for service, condition in (
            ("budgets.amazonaws.com", {"StringEquals": {"aws:SourceAccount": account.id}}),
            ("cloudwatch.amazonaws.com", {"StringEquals": {"aws:SourceAccount": account.id}}),
            # it names neither its account nor its rule to SNS and KMS: a condition drops every event without a word
            # (EventBridge user guide, "Amazon SNS permissions"; SNS developer guide, "Key management")
            ("events.amazonaws.com", None),
        )
    ]


def _key_policy(account: iam.Account) -> list[iam.Statement]:
    # in a key's policy `*` is the key itself
    return [
        {
            "Sid": "Administration",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{account.partition}:iam::{account.id}:root"},
            "Action": list(KEY_ADMINISTRATION),
            "Resource": "*",
        },
        *_from_services(account, ["kms:Decrypt", "kms:GenerateDataKey"], "*"),
    ]


def _alarms(queues: Mapping[str, TaskQueue], workers: FargateWorkers | None) -> dict[str, Any]:
    """Name -> what the alarm watches. A deployment that fails has no metric: it is an event."""
    alarms: dict[str, Any] = {}
    for name, queue in queues.items():
        alarms[f"{name}-dead-letters"] = {
            "alarm_description": f"Tasks of queue {name} failed for good and wait in its dead-letter queue.",
            "namespace": "AWS/SQS",
            "metric_name": "ApproximateNumberOfMessagesVisible",
            "dimensions": {"QueueName": queue.dead_letter_name},
            "statistic": "Maximum",
            "period": 60,
            "evaluation_periods": 1,
            "threshold": 1,
            "comparison_operator": "GreaterThanOrEqualToThreshold",
        }
        alarms[f"{name}-too-old"] = {
            "alarm_description": f"The oldest task of queue {name} is older than all its receives together may last.",
            "namespace": "AWS/SQS",
            "metric_name": "ApproximateAgeOfOldestMessage",
            "dimensions": {"QueueName": queue.queue_name},
            "statistic": "Maximum",
            "period": 60,
            "evaluation_periods": 5,
            "threshold": oldest_task_seconds(queue.settings),
            "comparison_operator": "GreaterThanThreshold",
        }
        alarms[f"{name}-unconsumed"] = {
            "alarm_description": f"Tasks wait in queue {name}, none is in hand, and nobody receives any.",
            "evaluation_periods": UNCONSUMED_MINUTES // 5,
            "threshold": 1,
            "comparison_operator": "GreaterThanOrEqualToThreshold",
            "metric_queries": [
                *(
                    _query(metric_id, "AWS/SQS", metric, {"QueueName": queue.queue_name}, statistic, 300)
                    for metric_id, metric, statistic in (
                        ("waiting", "ApproximateNumberOfMessagesVisible", "Minimum"),
                        ("in_hand", "ApproximateNumberOfMessagesNotVisible", "Maximum"),
                        ("received", "NumberOfMessagesReceived", "Sum"),
                    )
                ),
                {
                    "id": "unconsumed",
                    "expression": "IF(waiting > 0 AND FILL(in_hand, 0) == 0 AND FILL(received, 0) == 0, 1, 0)",
                    "label": "tasks wait and nobody receives them",
                    "return_data": True,
                },
            ],
        }
    if workers is not None:
        service = {"ClusterName": workers.cluster_name, "ServiceName": workers.service_name}
        alarms["workers-below-desired"] = {
            "alarm_description": "Fewer workers run than ECS is asked for: no capacity, or they end as they start.",
            "evaluation_periods": WORKERS_BELOW_DESIRED_MINUTES,
            "threshold": 0,
            "comparison_operator": "GreaterThanThreshold",
            "metric_queries": [
                _query("desired", "ECS/ContainerInsights", "DesiredTaskCount", service, "Average", 60),
                _query("running", "ECS/ContainerInsights", "RunningTaskCount", service, "Average", 60),
                {
                    "id": "missing",
                    "expression": "desired - FILL(running, 0)",
                    "label": "workers that are missing",
                    "return_data": True,
                },
            ],
        }
        alarms["workers-memory"] = {
            "alarm_description": "A worker is about to run out of memory: `workers.memory` is too small for its tasks.",
            "namespace": "AWS/ECS",
            "metric_name": "MemoryUtilization",
            "dimensions": service,
            "statistic": "Maximum",
            "period": 60,
            "evaluation_periods": 5,
            "threshold": WORKER_MEMORY_PERCENT,
            "comparison_operator": "GreaterThanThreshold",
        }
    return alarms


def oldest_task_seconds(settings: TaskQueueSettings) -> int:
    """Age beyond which a task was neither done nor given up: all its receives one after the other.

    Never more than half of what SQS keeps a message for, so that somebody hears of it before it is dropped.
    """
    return min(
        settings.visibility_timeout_seconds * settings.max_receive_count, settings.retention_days * 24 * 3600 // 2
    )


def _query(
    metric_id: str,
    namespace: str,
    metric_name: str,
    dimensions: Mapping[str, pulumi.Input[str]],
    statistic: str,
    period_seconds: int,
) -> cloudwatch.MetricAlarmMetricQueryArgsDict:
    return {
        "id": metric_id,
        "metric": {
            "namespace": namespace,
            "metric_name": metric_name,
            "dimensions": dimensions,
            "stat": statistic,
            "period": period_seconds,
        },
    }


def _job_pattern(job_queues: Mapping[str, BatchJobQueue]) -> dict[str, Any]:
    return {
        "source": ["aws.batch"],
        "detail-type": ["Batch Job State Change"],
        "detail": {"jobQueue": [queue.arn for queue in job_queues.values()]},
    }


def _events(
    job_queues: Mapping[str, BatchJobQueue], workers: FargateWorkers | None, cluster: GpuCluster | None
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name -> description and pattern of the events that somebody hears of."""
    events: dict[str, tuple[str, dict[str, Any]]] = {}
    if job_queues:
        of_these = _job_pattern(job_queues)
        events["job-failed"] = (
            "A Batch job of this stack failed, and is not tried again",
            of_these | {"detail": of_these["detail"] | {"status": ["FAILED"]}},
        )
        events["job-queue-blocked"] = (
            "The first job of a Batch job queue of this stack cannot start",
            of_these | {"detail-type": ["Batch Job Queue Blocked"]},
        )
    if job_queues or cluster is not None:
        events["spot-reclaimed"] = (
            # an instance that is taken back is named by its id alone, so the event cannot tell whose it is
            "EC2 takes a spot instance back in two minutes, any of this account in this region",
            {"source": ["aws.ec2"], "detail-type": ["EC2 Spot Instance Interruption Warning"]},
        )
    if workers is not None:
        events["worker-reclaimed"] = (
            "Fargate Spot takes a worker back in two minutes",
            {
                "source": ["aws.ecs"],
                "detail-type": ["ECS Task State Change"],
                "detail": {
                    "clusterArn": [workers.cluster_arn],
                    "stopCode": ["SpotInterruption"],
                    # of the several events of a task that stops, the first
                    "lastStatus": ["RUNNING"],
                },
            },
        )
        events["deployment-failed"] = (
            "A deployment of the workers failed, and the one before it is restored",
            {
                "source": ["aws.ecs"],
                "detail-type": ["ECS Deployment State Change"],
                "resources": [workers.service_arn],
                "detail": {"eventName": ["SERVICE_DEPLOYMENT_FAILED"]},
            },
        )
    return events


Widget = dict[str, Any]
"""A dashboard's widget without its place."""


def _queue_rows(queues: Mapping[str, TaskQueue]) -> list[list[Widget]]:
    return [
        [
            _graph(
                f"Queue {name}: tasks that wait, are in hand, failed for good",
                [
                    ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue.queue_name],
                    ["AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "QueueName", queue.queue_name],
                    ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue.dead_letter_name],
                ],
            ),
            _graph(
                f"Queue {name}: age of the oldest task in seconds",
                [["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", queue.queue_name]],
            ),
        ]
        for name, queue in queues.items()
    ]


def _worker_rows(workers: FargateWorkers) -> list[list[Widget]]:
    service = ("ClusterName", workers.cluster_name, "ServiceName", workers.service_name)
    return [
        [
            _graph(
                "Workers: asked for and running",
                [["ECS/ContainerInsights", one, *service] for one in ("DesiredTaskCount", "RunningTaskCount")],
            ),
            _graph(
                "Workers: CPU and memory of the busiest, in percent",
                [["AWS/ECS", one, *service] for one in ("CPUUtilization", "MemoryUtilization")],
            ),
        ]
    ]


def _job_rows(log_group_name: pulumi.Output[str]) -> list[list[Widget]]:
    return [
        [
            {
                "type": "log",
                "properties": {
                    "title": "Batch jobs by state, of those that changed it in the time shown",
                    "view": "table",
                    "query": pulumi.Output.concat(
                        "SOURCE '",
                        log_group_name,
                        "' | stats latest(detail.status) as state, latest(detail.jobQueue) as queue by detail.jobId",
                        " | stats count(*) as jobs by queue, state",
                    ),
                },
            }
        ]
    ]


def _cluster_rows(cluster: GpuCluster) -> list[list[Widget]]:
    waiting: Metric = ["AWS/EKS", "scheduler_pending_pods_UNSCHEDULABLE", "ClusterName", cluster.cluster_name]
    nodes: list[Metric] = [
        ["AWS/AutoScaling", "GroupInServiceInstances", "AutoScalingGroupName", name]
        for name in cluster.autoscaling_group_names
    ]
    return [
        [
            *([_graph("EKS: GPU nodes in service, by node group", nodes)] if nodes else []),
            _graph("EKS: pods that no node has room for", [waiting]),
        ]
    ]


def _vcpu_graph() -> Widget:
    return _graph(
        "vCPUs that run in this account and region, by quota",
        [
            [
                "AWS/Usage",
                "ResourceCount",
                "Service",
                "EC2",
                "Type",
                "Resource",
                "Resource",
                "vCPU",
                "Class",
                vcpu_class,
            ]
            for capacity in ("OnDemand", "Spot")
            for vcpu_class in (f"{family}/{capacity}" for family in VCPU_CLASSES)
        ],
        period_seconds=300,
    )


def _graph(title: str, metrics: Sequence[Metric], *, period_seconds: int = 60) -> Widget:
    properties = {"title": title, "metrics": metrics, "stat": "Maximum", "period": period_seconds}
    return {"type": "metric", "properties": properties}


def _alarm_widget(alarm_arns: Sequence[pulumi.Output[str]]) -> Widget:
    return {"type": "alarm", "properties": {"title": "Alarms", "alarms": alarm_arns}}


def _grid(rows: Sequence[Sequence[Widget]], region: str) -> list[dict[str, Any]]:
    """The widgets in their places, as wide as their row has room."""
    return [
        {
            "type": widget["type"],
            "x": WIDGET_COLUMNS // len(row) * column,
            "y": WIDGET_HEIGHT * line,
            "width": WIDGET_COLUMNS // len(row),
            "height": WIDGET_HEIGHT,
            "properties": widget["properties"] | ({} if widget["type"] == "alarm" else {"region": region}),
        }
        for line, row in enumerate(rows)
        for column, widget in enumerate(row)
    ]
