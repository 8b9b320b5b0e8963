"""How people see whether the platform works: alerts and a dashboard."""

from collections.abc import Mapping

import pulumi
from pulumi_aws import budgets, cloudwatch, costexplorer

from components import iam
from components.json_document import to_json
from components.observability.alarms import alarms
from components.observability.dashboard import widgets
from components.observability.events import JobEvents, events
from components.observability.job_queue_probe import JobQueueProbe
from components.observability.topic import AlertsSettings, AlertTopic
from components.parts import Parts
from components.teams import TEAM_TAG, TeamSettings


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
        parts: Parts,
        account: iam.Account,
        teams: Mapping[str, TeamSettings],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("distributed-training:index:Observability", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        topic = AlertTopic(name, settings, account=account, opts=child)
        probe = (
            JobQueueProbe(f"{name}-job-queues", parts.job_queues, account=account, opts=child)
            if parts.job_queues
            else None
        )
        raised = [
            cloudwatch.MetricAlarm(
                f"{name}-{alarm_name}",
                # an idle queue and a service at zero emit nothing, and that is no fault
                treat_missing_data="notBreaching",
                alarm_actions=[topic.arn],
                ok_actions=[topic.arn],
                opts=child,
                **alarm,
            )
            for alarm_name, alarm in alarms(parts.queues, parts.workers, parts.job_queues, probe, parts.cluster).items()
        ]
        for event_name, (description, pattern) in events(
            parts.artifacts, parts.job_queues, parts.workers, parts.cluster
        ).items():
            rule = cloudwatch.EventRule(
                f"{name}-{event_name}",
                description=description,
                event_pattern=to_json(pattern),
                opts=child,
            )
            cloudwatch.EventTarget(f"{name}-{event_name}", rule=rule.name, arn=topic.arn, opts=child)
        for budget_name, limit_usd, tagged in (
            (name, settings.monthly_budget_usd, None),
            *((f"{name}-team-{team}", one.monthly_budget_usd, team) for team, one in teams.items()),
        ):
            if limit_usd is None:
                continue
            budgets.Budget(
                budget_name,
                budget_type="COST",
                time_unit="MONTHLY",
                limit_amount=f"{limit_usd:.2f}",
                limit_unit="USD",
                # `user:` is what Budgets has before a tag of one's own (Budgets API, `CostFilters`)
                cost_filters=[{"name": "TagKeyValue", "values": [f"user:{TEAM_TAG}${tagged}"]}] if tagged else None,
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
        if settings.anomaly_usd is not None:
            monitor_arn = settings.anomaly_monitor_arn
            costexplorer.AnomalySubscription(
                name,
                # SNS takes no other one (Cost Explorer API, `AnomalySubscription`)
                frequency="IMMEDIATE",
                monitor_arn_lists=[
                    costexplorer.AnomalyMonitor(
                        name, monitor_type="DIMENSIONAL", monitor_dimension="SERVICE", opts=child
                    ).arn
                    if monitor_arn is None
                    else monitor_arn
                ],
                subscribers=[{"type": "SNS", "address": topic.arn}],
                threshold_expression={
                    "dimension": {
                        "key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
                        "match_options": ["GREATER_THAN_OR_EQUAL"],
                        "values": [str(settings.anomaly_usd)],
                    }
                },
                # nothing is told by a topic that it may not publish to
                opts=pulumi.ResourceOptions(parent=self, depends_on=[topic]),
            )
        job_events = (
            JobEvents(f"{name}-job-events", parts.job_queues, account=account, opts=child) if parts.job_queues else None
        )
        shown = widgets(
            region=account.region,
            alarm_arns=[alarm.arn for alarm in raised],
            queues=parts.queues,
            workers=parts.workers,
            job_queues=parts.job_queues,
            job_log_group_name=None if job_events is None else job_events.log_group_name,
            cluster=parts.cluster,
        )
        dashboard = cloudwatch.Dashboard(
            name,
            dashboard_name=f"{pulumi.get_project()}-{pulumi.get_stack()}",
            dashboard_body=to_json({"widgets": shown}),
            opts=child,
        )
        self.topic_arn = topic.arn
        self.dashboard_url = pulumi.Output.concat(
            f"{account.console}/cloudwatch/home?region={account.region}#dashboards/dashboard/",
            dashboard.dashboard_name,
        )
        self.register_outputs({"topicArn": self.topic_arn, "dashboardUrl": self.dashboard_url})
