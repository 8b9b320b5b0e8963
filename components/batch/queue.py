"""A Batch job queue with what it needs to run GPU jobs on one node or many: compute, job definition, roles, logs.

Nothing runs while the queue is empty. Multi-node jobs run on demand or in a capacity block, in one zone, on one
instance type: AWS Batch offers them nowhere else.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated

import pulumi
from pulumi_aws import batch, cloudwatch
from pydantic import Field

from components import iam
from components.accelerators import InstanceFacts
from components.artifacts import Artifacts
from components.batch.instances import USAGE_CLASSES, BatchInstances, InstancesSettings
from components.batch.job import RETRIES, container_properties, node_properties
from components.deployed import Deployed
from components.network import Network
from components.schema import Like
from components.task_queue import TaskQueue, send_to, urls

LOG_RETENTION_DAYS = 30
UPDATE_WAIT_MINUTES = (30, 360)
"""How long Batch waits for running jobs before it replaces their instances: its own default, and the most that the
provider lets through (hashicorp/terraform-provider-aws issue 48709; the API takes 7200, `UpdatePolicy`)."""
FAIR_SHARE_DECAY_SECONDS = 3600

GIVE_UP_SECONDS = {
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY": 4 * 3600,
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE": 600,
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT": 600,
}
"""Reason why the job at the head of the queue cannot start -> how long it may block the queue (Batch API,
`JobStateTimeLimitAction`; 600 to 86,400 seconds)."""

SUBMITTER_TAG = "SubmittedBy"
"""Tag of a job that names who may stop it."""

ShareIdentifier = Annotated[
    str,
    Like(
        r"^[0-9A-Za-z]{1,254}[0-9A-Za-z*]?$",
        "must be letters and digits, an asterisk at most at the end, such as teamA*",
    ),
]
"""Letters and digits, with an asterisk at the end for all that begin so (Batch API, `ShareAttributes`)."""


class BatchJobQueueSettings(InstancesSettings):
    """One job queue of the `batch` section."""

    priority: Annotated[int, Field(ge=0, le=1000)] = 10
    """Priority among queues that share a compute environment; the higher number goes first."""
    fair_share: (
        Annotated[dict[ShareIdentifier, Annotated[float, Field(ge=0.0001, le=999.9999)]], Field(min_length=1)] | None
    ) = None
    """Share identifier -> weight; a lower weight gets more. Each job must then name a share.

    Adding or removing it replaces the queue.
    """

    def _rules(self) -> Iterator[tuple[bool, str, str, object]]:
        yield from super()._rules()
        yield from (
            *(
                (
                    share.endswith("*") and other != share and other.startswith(share[:-1]),
                    f"fairShare.{other}",
                    f"must not begin as {share} does, which holds it already",
                    other,
                )
                for share in self.fair_share or ()
                for other in self.fair_share or ()
            ),
        )


class BatchJobQueue(pulumi.ComponentResource):
    """A job queue, its compute environments in order of preference, and a job definition that fits them."""

    arn: pulumi.Output[str]
    """ARN of the job queue."""
    job_definition_arn: pulumi.Output[str]
    """ARN of the job definition's newest revision."""
    job_definition_name: pulumi.Output[str]
    """Name of the job definition, which stands for its newest revision."""
    compute_environment_arns: list[pulumi.Output[str]]
    """ARNs of the compute environments, in the order in which Batch tries them."""

    def __init__(
        self,
        name: str,
        settings: BatchJobQueueSettings,
        *,
        facts: Mapping[str, InstanceFacts],
        account: iam.Account,
        deployed: Deployed,
        network: Network,
        artifacts: Artifacts,
        queues: Mapping[str, TaskQueue],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("distributed-training:index:BatchJobQueue", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        type_facts = facts[settings.instance_types[0]]
        log_group = cloudwatch.LogGroup(name, retention_in_days=LOG_RETENTION_DAYS, opts=child)
        instances = BatchInstances(name, settings, facts=type_facts, account=account, network=network, opts=child)
        environments = [
            batch.ComputeEnvironment(
                f"{name}-{USAGE_CLASSES[kind]}",
                type="MANAGED",
                tags=deployed.tag(f"batch.{name}"),
                # no service role: only with Batch's own service-linked role are changes made in place
                compute_resources={
                    **instances.compute_resources,
                    "type": "SPOT" if kind == "spot" else "EC2",
                    # of the strategies that the provider updates in place
                    "allocation_strategy": (
                        "SPOT_PRICE_CAPACITY_OPTIMIZED" if kind == "spot" else "BEST_FIT_PROGRESSIVE"
                    ),
                },
                update_policy={
                    "terminate_jobs_on_update": False,
                    "job_execution_timeout_minutes": _update_wait_minutes(settings),
                },
                opts=pulumi.ResourceOptions(
                    parent=self,
                    depends_on=[instances, *network.egress],
                    # Batch's own, and it refuses to lower it
                    ignore_changes=["computeResources.desiredVcpus"],
                ),
            )
            for kind in settings.capacity
        ]
        fair_share = (
            batch.SchedulingPolicy(
                name,
                fair_share_policy={
                    "share_decay_seconds": FAIR_SHARE_DECAY_SECONDS,
                    "share_distributions": [
                        {"share_identifier": share, "weight_factor": weight}
                        for share, weight in sorted(settings.fair_share.items())
                    ],
                },
                opts=child,
            )
            if settings.fair_share
            else None
        )
        job_role = iam.ServiceRole(
            f"{name}-job",
            service="ecs-tasks.amazonaws.com",
            source_account=account.id,
            statements=[*artifacts.read_write(), *send_to(queues, settings.send_to)],
            opts=child,
        )
        execution_role = iam.ServiceRole(
            f"{name}-execution",
            service="ecs-tasks.amazonaws.com",
            source_account=account.id,
            statements=[*artifacts.pull(), *iam.start_containers(log_group.arn, settings.secrets.values())],
            opts=child,
        )
        queue = batch.JobQueue(
            name,
            state="ENABLED",
            priority=settings.priority,
            scheduling_policy_arn=None if fair_share is None else fair_share.arn,
            compute_environment_orders=[
                {"order": order, "compute_environment": environment.arn}
                for order, environment in enumerate(environments, start=1)
            ],
            job_state_time_limit_actions=[
                {"action": "CANCEL", "state": "RUNNABLE", "reason": reason, "max_time_seconds": seconds}
                for reason, seconds in GIVE_UP_SECONDS.items()
            ],
            opts=pulumi.ResourceOptions(
                parent=self,
                # its jobs end when it is deleted, and until then they need these
                depends_on=[job_role, execution_role],
                # Batch neither adds fair share to a queue nor takes it away
                replace_on_changes=["schedulingPolicyArn"],
            ),
        )
        container = container_properties(
            settings,
            type_facts,
            job_role_arn=job_role.arn,
            execution_role_arn=execution_role.arn,
            log_group=log_group.name,
            region=account.region,
            environment={
                "ARTIFACTS_BUCKET": artifacts.bucket,
                **urls(queues, settings.send_to),
                **settings.environment,
            },
        )
        definition = batch.JobDefinition(
            name,
            type="multinode" if settings.nodes > 1 else "container",
            platform_capabilities=["EC2"] if settings.nodes == 1 else None,
            container_properties=pulumi.Output.json_dumps(container, sort_keys=True) if settings.nodes == 1 else None,
            node_properties=(
                pulumi.Output.json_dumps(node_properties(settings, type_facts, container), sort_keys=True)
                if settings.nodes > 1
                else None
            ),
            retry_strategy={"attempts": settings.attempts, "evaluate_on_exits": RETRIES},
            timeout={"attempt_duration_seconds": round(settings.timeout_hours * 3600)},
            propagate_tags=True,
            # running submitters may hold the revision before this one
            deregister_on_new_revision=False,
            opts=child,
        )
        self.arn = queue.arn
        self.compute_environment_arns = [environment.arn for environment in environments]
        self.job_definition_arn, self.job_definition_name = definition.arn, definition.name
        self._account = account
        self.register_outputs({"arn": self.arn, "jobDefinitionArn": self.job_definition_arn})

    def submit(self, submitter: pulumi.Input[str]) -> list[iam.Statement]:
        """Statements that allow submitting jobs to this queue, and stopping those tagged `SubmittedBy` this submitter.

        A job's ARN does not tell its queue, and its tags are given when it is submitted. The right to give them is
        asked of the queue and the definition, not of the job (wri/gfw-data-api pull request 175), so that nobody can
        tag the job of another.
        """
        definition = pulumi.Output.concat(self._account.arn("batch", "job-definition/"), self.job_definition_name)
        revisions, jobs = pulumi.Output.concat(definition, ":*"), self._account.arn("batch", "job/*")
        return [
            # the definition by its name, by its revision, and the job that comes of it
            iam.allow(["batch:SubmitJob"], [self.arn, definition, revisions, jobs]),
            iam.allow(
                ["batch:TagResource"],
                [self.arn, revisions],
                {
                    "StringEquals": {f"aws:RequestTag/{SUBMITTER_TAG}": submitter},
                    "ForAllValues:StringEquals": {"aws:TagKeys": [SUBMITTER_TAG]},
                },
            ),
            iam.allow(
                ["batch:CancelJob", "batch:TerminateJob"],
                [jobs],
                {"StringEquals": {f"aws:ResourceTag/{SUBMITTER_TAG}": submitter}},
            ),
            # AWS knows no resource for these
            iam.allow(["batch:DescribeJobs", "batch:ListJobs"], ["*"]),
        ]


def _update_wait_minutes(settings: BatchJobQueueSettings) -> int:
    least, most = UPDATE_WAIT_MINUTES
    return min(max(math.ceil(settings.timeout_hours * 60), least), most)
