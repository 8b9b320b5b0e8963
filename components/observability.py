"""Who hears of what goes wrong, and the one page that shows whether the platform works."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pulumi
from pulumi_aws import budgets, cloudwatch, sns
from pydantic import Field, StringConstraints

from components import iam
from components.batch_job_queue import BatchJobQueue
from components.fargate_workers import FargateWorkers
from components.schema import Settings
from components.task_queue import TaskQueue

Email = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]


class AlertsSettings(Settings):
    """The `alerts` section."""

    emails: tuple[Email, ...] = ()
    """Addresses that hear of alarms; each confirms by a link in its first mail."""
    monthly_budget_usd: Annotated[float, Field(gt=0)] | None = None
    """Monthly cost in US dollars of the whole account, of which 80 % and a forecast of 100 % raise an alert."""


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
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("distributed-training:index:Observability", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        topic = sns.Topic(name, opts=child)
        sns.TopicPolicy(name, arn=topic.arn, policy=iam.document(_publishers(topic.arn, account)), opts=child)
        for email in settings.emails:
            sns.TopicSubscription(f"{name}-{email}", topic=topic.arn, protocol="email", endpoint=email, opts=child)
        for queue_name, queue in queues.items():
            cloudwatch.MetricAlarm(
                f"{name}-{queue_name}-dead-letters",
                alarm_description=f"Tasks of queue {queue_name} failed for good and wait in its dead-letter queue.",
                namespace="AWS/SQS",
                metric_name="ApproximateNumberOfMessagesVisible",
                dimensions={"QueueName": queue.dead_letter_name},
                statistic="Maximum",
                period=60,
                evaluation_periods=1,
                threshold=1,
                comparison_operator="GreaterThanOrEqualToThreshold",
                treat_missing_data="notBreaching",
                alarm_actions=[topic.arn],
                ok_actions=[topic.arn],
                opts=child,
            )
        if job_queues:
            rule = cloudwatch.EventRule(
                f"{name}-job-failed",
                description="A Batch job of this stack failed",
                event_pattern=pulumi.Output.json_dumps(
                    {
                        "source": ["aws.batch"],
                        "detail-type": ["Batch Job State Change"],
                        "detail": {"status": ["FAILED"], "jobQueue": [queue.arn for queue in job_queues.values()]},
                    },
                    sort_keys=True,
                ),
                opts=child,
            )
            cloudwatch.EventTarget(f"{name}-job-failed", rule=rule.name, arn=topic.arn, opts=child)
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
                opts=child,
            )
        dashboard = cloudwatch.Dashboard(
            name,
            dashboard_name=f"{pulumi.get_project()}-{pulumi.get_stack()}",
            dashboard_body=pulumi.Output.json_dumps(
                {"widgets": _widgets(account.region, queues, workers)}, sort_keys=True
            ),
            opts=child,
        )
        self.topic_arn = topic.arn
        self.dashboard_url = pulumi.Output.concat(
            f"https://{account.region}.console.aws.amazon.com/cloudwatch/home?region={account.region}#dashboards/dashboard/",
            dashboard.dashboard_name,
        )
        self.register_outputs({"topicArn": self.topic_arn, "dashboardUrl": self.dashboard_url})


def _publishers(topic_arn: pulumi.Output[str], account: iam.Account) -> list[iam.Statement]:
    """CloudWatch, EventBridge and Budgets may publish for this account, and nobody else."""
    return [
        {
            "Sid": service.split(".")[0].capitalize(),
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sns:Publish",
            "Resource": topic_arn,
            "Condition": {"StringEquals": {"aws:SourceAccount": account.id}},
        }
        for service in ("budgets.amazonaws.com", "cloudwatch.amazonaws.com", "events.amazonaws.com")
    ]


def _widgets(region: str, queues: Mapping[str, TaskQueue], workers: FargateWorkers | None) -> list[dict[str, Any]]:
    rows: list[tuple[str, Sequence[Sequence[pulumi.Input[str]]]]] = [
        (
            f"Queue {name}",
            [
                ["AWS/SQS", metric, "QueueName", queue.queue_name]
                for metric in ("ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible")
            ],
        )
        for name, queue in queues.items()
    ]
    if workers is not None:
        dimensions = ("ClusterName", workers.cluster_name, "ServiceName", workers.service_name)
        rows.append(
            (
                "Workers",
                [["ECS/ContainerInsights", metric, *dimensions] for metric in ("DesiredTaskCount", "RunningTaskCount")],
            )
        )
    return [
        {
            "type": "metric",
            "x": 0,
            "y": 6 * row,
            "width": 24,
            "height": 6,
            "properties": {"title": title, "region": region, "metrics": metrics, "stat": "Average", "period": 60},
        }
        for row, (title, metrics) in enumerate(rows)
    ]
