"""Events of AWS that notify somebody, and a log of the events of jobs.

EKS says nothing outside Kubernetes when it repairs a node: no event and no metric of AWS tells of it, so nothing here
does (docs/decisions.md). `kubectl get events` shows it (EKS user guide, "Detect node health issues and enable automatic
node repair").
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pulumi
from pulumi_aws import cloudwatch

from components import iam
from components.artifacts import Artifacts
from components.batch import BatchJobQueue
from components.cluster import GpuCluster
from components.fargate_workers import FargateWorkers
from components.json_document import to_json

MOST_ARNS = 12
"""ARNs in one pattern, of up to 141 characters each: a pattern has 2,048 (EventBridge user guide, "Quotas")."""


class JobEvents(pulumi.ComponentResource):
    """A log of every change of a job's state: Batch has no metrics of its jobs, so they are counted from this."""

    log_group_name: pulumi.Output[str]
    """Name of the log group; an event is one JSON line."""

    def __init__(
        self,
        name: str,
        job_queues: Mapping[str, BatchJobQueue],
        *,
        account: iam.Account,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("distributed-training:index:JobEvents", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        log_group = account.logs.group(
            name,
            # the prefix that EventBridge asks of a log group (EventBridge user guide, "CloudWatch Logs permissions")
            name_prefix=f"/aws/events/{name}-",
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
        for rule_name, arns in _parted(name, [queue.arn for queue in job_queues.values()]):
            rule = cloudwatch.EventRule(
                rule_name,
                description="Every change of state of this stack's Batch jobs",
                event_pattern=to_json(_job_pattern(arns)),
                opts=child,
            )
            cloudwatch.EventTarget(
                rule_name,
                rule=rule.name,
                arn=log_group.arn,
                opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
            )
        self.log_group_name = log_group.name
        self.register_outputs({"logGroupName": self.log_group_name})


def events(
    artifacts: Artifacts,
    job_queues: Mapping[str, BatchJobQueue],
    workers: Mapping[str, FargateWorkers],
    cluster: GpuCluster | None,
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name -> description and pattern of the events that notify somebody."""
    found: dict[str, tuple[str, dict[str, Any]]] = {
        "image-findings": (
            "An image that was pushed has vulnerabilities of severity CRITICAL or HIGH",
            {
                # the second of each is that of Amazon Inspector, where the account has it scan (ECR user guide,
                # "Amazon ECR events and EventBridge", "EventBridge events sent for enhanced scanning")
                "source": ["aws.ecr", "aws.inspector2"],
                "detail-type": ["ECR Image Scan", "Inspector2 Scan"],
                "detail": {
                    "scan-status": ["COMPLETE", "INITIAL_SCAN_COMPLETE"],
                    "repository-name": [artifacts.repository_name, artifacts.repository_arn],
                    "finding-severity-counts": {
                        "$or": [{severity: [{"numeric": [">", 0]}]} for severity in ("CRITICAL", "HIGH")]
                    },
                },
            },
        )
    }
    queue_arns = [queue.arn for queue in job_queues.values()]
    for name, arns in _parted("job-failed", queue_arns):
        pattern = _job_pattern(arns)
        found[name] = (
            "A Batch job of this stack failed, and is not tried again",
            pattern | {"detail": pattern["detail"] | {"status": ["FAILED"]}},
        )
    for name, arns in _parted("job-queue-blocked", queue_arns):
        found[name] = (
            "The first job of a Batch job queue of this stack cannot start",
            _job_pattern(arns) | {"detail-type": ["Batch Job Queue Blocked"]},
        )
    if job_queues or cluster is not None or any(fleet.settings.gpu for fleet in workers.values()):
        found["spot-reclaimed"] = (
            # an instance that is taken back is named by its id alone, so the event cannot tell whose it is
            "EC2 takes a spot instance back in two minutes, any of this account in this region",
            {"source": ["aws.ec2"], "detail-type": ["EC2 Spot Instance Interruption Warning"]},
        )
    on_fargate = [fleet.cluster_arn for fleet in workers.values() if not fleet.settings.gpu]
    for name, arns in _parted("worker-reclaimed", on_fargate):
        found[name] = (
            "Fargate Spot takes a worker back in two minutes",
            {
                "source": ["aws.ecs"],
                "detail-type": ["ECS Task State Change"],
                "detail": {
                    "clusterArn": arns,
                    "stopCode": ["SpotInterruption"],
                    # of the several events of a task that stops, the first
                    "lastStatus": ["RUNNING"],
                },
            },
        )
    for name, arns in _parted("deployment-failed", [fleet.service_arn for fleet in workers.values()]):
        found[name] = (
            "A deployment of the workers failed, and the one before it is restored",
            {
                "source": ["aws.ecs"],
                "detail-type": ["ECS Deployment State Change"],
                "resources": arns,
                "detail": {"eventName": ["SERVICE_DEPLOYMENT_FAILED"]},
            },
        )
    return found


def _job_pattern(queue_arns: Sequence[pulumi.Output[str]]) -> dict[str, Any]:
    return {"source": ["aws.batch"], "detail-type": ["Batch Job State Change"], "detail": {"jobQueue": queue_arns}}


def _parted(name: str, arns: Sequence[pulumi.Output[str]]) -> Iterator[tuple[str, Sequence[pulumi.Output[str]]]]:
    """The ARNs in as many rules as their patterns need; the first has the name itself."""
    for number, first in enumerate(range(0, len(arns), MOST_ARNS), start=1):
        yield name if number == 1 else f"{name}-{number}", arns[first : first + MOST_ARNS]
