"""Events of AWS that notify somebody, and a log of the events of jobs.

EKS says nothing outside Kubernetes when it repairs a node: no event and no metric of AWS tells of it, so nothing here
does. `kubectl get events` shows it (EKS user guide, "Detect node health issues and enable automatic node repair").
"""

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_aws import cloudwatch

from components import iam
from components.batch import BatchJobQueue
from components.cluster import GpuCluster
from components.fargate_workers import FargateWorkers

JOB_EVENTS_DAYS = 30


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


def events(
    job_queues: Mapping[str, BatchJobQueue], workers: FargateWorkers | None, cluster: GpuCluster | None
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name -> description and pattern of the events that notify somebody."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    if job_queues:
        of_these = _job_pattern(job_queues)
        found["job-failed"] = (
            "A Batch job of this stack failed, and is not tried again",
            of_these | {"detail": of_these["detail"] | {"status": ["FAILED"]}},
        )
        found["job-queue-blocked"] = (
            "The first job of a Batch job queue of this stack cannot start",
            of_these | {"detail-type": ["Batch Job Queue Blocked"]},
        )
    if job_queues or cluster is not None:
        found["spot-reclaimed"] = (
            # an instance that is taken back is named by its id alone, so the event cannot tell whose it is
            "EC2 takes a spot instance back in two minutes, any of this account in this region",
            {"source": ["aws.ec2"], "detail-type": ["EC2 Spot Instance Interruption Warning"]},
        )
    if workers is not None:
        found["worker-reclaimed"] = (
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
        found["deployment-failed"] = (
            "A deployment of the workers failed, and the one before it is restored",
            {
                "source": ["aws.ecs"],
                "detail-type": ["ECS Deployment State Change"],
                "resources": [workers.service_arn],
                "detail": {"eventName": ["SERVICE_DEPLOYMENT_FAILED"]},
            },
        )
    return found


def _job_pattern(job_queues: Mapping[str, BatchJobQueue]) -> dict[str, Any]:
    return {
        "source": ["aws.batch"],
        "detail-type": ["Batch Job State Change"],
        "detail": {"jobQueue": [queue.arn for queue in job_queues.values()]},
    }
