"""A Batch job queue with what it needs to run GPU jobs on one node or many: compute, job definition, roles, logs.

Nothing runs while the queue is empty. Multi-node jobs run on demand or in a capacity block, in one zone, on one
instance type: AWS Batch offers them nowhere else.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Annotated, Any

import pulumi
from pulumi_aws import batch
from pydantic import Field

from components import iam
from components.accelerators import InstanceFacts
from components.artifacts import Artifacts
from components.batch import gpu_metrics
from components.batch.generations import MOUNTED, NAME_TAG, NEEDS_TAG, Generation
from components.batch.instances import USAGE_CLASSES, BatchInstances, InstancesSettings, environment_names
from components.batch.job import RETRIES, container_properties, node_properties, terminate_instances
from components.batch.user_data import LUSTRE, SCRATCH
from components.deployed import Deployed
from components.json_document import to_json
from components.network import Network
from components.schema import Like
from components.task_queue import TaskQueue, send_to, urls
from components.teams import TeamSettings, shares

FAIR_SHARE_DECAY_SECONDS = 3600
WAIT_SECONDS = (600, 86_400)
"""Shortest and longest time that a job may wait (Batch API, `JobStateTimeLimitAction`)."""

GIVE_UP_SECONDS = {
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE": 600,
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT": 600,
}
"""Reason why the job at the head of the queue can never start -> how long it may block the queue."""

UPDATE_POLICY: batch.ComputeEnvironmentUpdatePolicyArgsDict = {
    "terminate_jobs_on_update": False,
    "job_execution_timeout_minutes": 360,
}
"""What Batch does with jobs when somebody has it take a newer image: it waits as long as the provider lets through
(hashicorp/terraform-provider-aws issue 48709; the API takes 7200). No deployment makes it exchange instances."""

CHANGED_BY_BATCH = ["computeResources.desiredVcpus"]
"""Inputs that Batch itself changes; it refuses a lower number than it has set."""
FIXED = [
    f"computeResources.{key}"
    for key in (
        "allocationStrategy",
        "ec2Configurations",
        "instanceRole",
        "instanceTypes",
        "launchTemplate",
        "maxVcpus",
        "placementGroup",
        "securityGroupIds",
        "subnets",
        "type",
    )
]
"""What an environment that drains keeps as it was, beside `CHANGED_BY_BATCH`."""

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

    A queue has it from the start or never: adding or removing it makes another queue, and is refused while there may be
    jobs in this one.
    """
    fair_share_by_team: bool = False
    """Whether each team under `teams` has a share of its name, with its weight, in place of `fairShare`.

    The same holds for adding and removing it; another team, or another weight, changes the queue in place.
    """
    wait_hours: Annotated[float, Field(gt=0, le=24)] = 4
    """Hours that the first job of the queue waits for capacity before it is cancelled; ten minutes or more."""

    def _rules(self) -> Iterator[tuple[bool, str, str, object]]:
        yield from super()._rules()
        least, _ = WAIT_SECONDS
        yield from (
            (
                self.wait_hours * 3600 < least,
                "waitHours",
                f"must be {least / 3600:.4f} or more, {least} seconds",
                self.wait_hours,
            ),
            (
                self.fair_share_by_team and self.fair_share is not None,
                "fairShareByTeam",
                "must be false together with fairShare, which names all shares",
                True,
            ),
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

    @property
    def is_shared(self) -> bool:
        """Whether each of its jobs must name a share."""
        return self.fair_share_by_team or self.fair_share is not None


class BatchJobQueue(pulumi.ComponentResource):
    """A job queue, its compute environments in order of preference, and a job definition that fits them."""

    settings: BatchJobQueueSettings
    """What it was made from."""
    arn: pulumi.Output[str]
    """ARN of the job queue."""
    queue_name: pulumi.Output[str]
    """Name of the job queue."""
    job_definition_arn: pulumi.Output[str]
    """ARN of the job definition's newest revision."""
    job_definition_name: pulumi.Output[str]
    """Name of the job definition, which stands for its newest revision."""
    job_role_arn: pulumi.Output[str]
    """ARN of the role that its jobs have."""
    execution_role_arn: pulumi.Output[str]
    """ARN of the role that starts their containers."""
    log_group_name: pulumi.Output[str]
    """Name of the group that their logs go to."""
    security_group_id: pulumi.Output[str]
    """The security group of its instances, and of the nodes of multi-node jobs without EFA."""
    gpu_dimensions: Mapping[str, str] | None
    """Dimensions of the metrics of its GPUs, where there are any."""
    compute_environment_arns: list[pulumi.Output[str]]
    """ARNs of the compute environments, in the order in which Batch tries them; without those that drain."""

    def __init__(
        self,
        name: str,
        settings: BatchJobQueueSettings,
        *,
        facts: Mapping[str, InstanceFacts],
        account: iam.Account,
        deployed: Deployed,
        others: Sequence[Generation],
        network: Network,
        artifacts: Artifacts,
        queues: Mapping[str, TaskQueue],
        teams: Mapping[str, TeamSettings],
        protect: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`others`: compute environments that the queue has on AWS, except those that these settings make."""
        super().__init__("distributed-training:index:BatchJobQueue", name, {}, opts)
        zones, lustre = settings.zones(network.zones), artifacts.lustre
        for notice in (*settings.notices(f"batch.{name}"), *(lustre.notices(f"batch.{name}", zones) if lustre else ())):
            pulumi.log.warn(notice, self)
        child = pulumi.ResourceOptions(parent=self)
        type_facts = facts[settings.instance_types[0]]
        log_group = account.logs.group(name, opts=child)
        names = environment_names(
            name, settings, facts=facts, tags=account.tags, zones=network.zones, lustre=lustre is not None
        )
        # the name does not tell which file system they mount: where there was none before, this one
        version = [] if lustre and lustre.is_new else ["computeResources.launchTemplate.version"]
        needs = {*settings.needs, *zones, *([MOUNTED] if lustre else [])}
        draining = [one for one in others if one.enabled or one.tasks]
        self._tell(others, draining)
        instances = BatchInstances(
            name,
            settings,
            facts=facts,
            account=account,
            deployed=deployed,
            network=network,
            needs=frozenset[str]().union(*(one.needs for one in draining)),
            file_system=lustre.source if lustre else None,
            # ECS has its agent pull with the instance's role (ECR user guide, "Using ECR images with ECS")
            statements=[*artifacts.pull(settings.image), iam.write_logs(log_group.arn)],
            opts=child,
        )
        environments = [
            batch.ComputeEnvironment(
                names[kind],
                type="MANAGED",
                state="ENABLED",
                tags=_tags(deployed.tag(f"batch.{name}"), names[kind], needs),
                # no service role: only with Batch's own service-linked role does an environment take a newer image
                compute_resources=compute_resources,
                update_policy=UPDATE_POLICY,
                opts=pulumi.ResourceOptions(
                    parent=self,
                    # instances mount the file system while there are any
                    depends_on=[instances, *network.egress, *([lustre] if lustre else [])],
                    # the name tells what the version holds: one that comes back keeps its own
                    ignore_changes=[*CHANGED_BY_BATCH, *version],
                    # as it is called in stacks of 0.1.0
                    aliases=[pulumi.Alias(name=f"{name}-{USAGE_CLASSES[kind]}")],
                ),
            )
            for kind, compute_resources in instances.compute_resources.items()
        ]
        weights = shares(teams) if settings.fair_share_by_team else settings.fair_share or {}
        fair_share = (
            batch.SchedulingPolicy(
                name,
                fair_share_policy={
                    "share_decay_seconds": FAIR_SHARE_DECAY_SECONDS,
                    "share_distributions": [
                        {"share_identifier": share, "weight_factor": weight}
                        for share, weight in sorted(weights.items())
                    ],
                },
                opts=child,
            )
            if settings.is_shared
            else None
        )
        job_role = iam.ServiceRole(
            f"{name}-job",
            account=account,
            service="ecs-tasks.amazonaws.com",
            source_account=account.id,
            statements=[
                *artifacts.read_write(),
                *send_to(queues, settings.send_to),
                *(
                    [terminate_instances(account, instances.compute_resources[settings.capacity[0]])]
                    if settings.terminate_faulty_instances
                    else []
                ),
            ],
            opts=child,
        )
        execution_role = iam.execution_role(
            name,
            account=account,
            pull=artifacts.pull(settings.image),
            log_group_arn=log_group.arn,
            secret_arns=settings.secrets.values(),
            key_arns=settings.secret_key_arns,
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
                for reason, seconds in {
                    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY": round(settings.wait_hours * 3600),
                    **GIVE_UP_SECONDS,
                }.items()
            ],
            tags=deployed.tag(f"batch.{name}"),
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=protect,
                # its jobs end when it is deleted, and until then they need these
                depends_on=[job_role, execution_role],
                # Batch neither adds fair share to a queue nor takes it away
                replace_on_changes=["schedulingPolicyArn"],
            ),
        )
        for one in draining:
            batch.ComputeEnvironment(
                one.name,
                type="MANAGED",
                state="DISABLED",
                tags=_tags(deployed.tag(f"batch.{name}"), one.name, one.needs),
                compute_resources={**instances.compute_resources[settings.capacity[0]], "min_vcpus": 0},
                update_policy=UPDATE_POLICY,
                opts=pulumi.ResourceOptions(
                    parent=self,
                    # the queue has let go of it before it takes no job any more
                    depends_on=[instances, *network.egress, queue, *([lustre] if lustre else [])],
                    ignore_changes=[*CHANGED_BY_BATCH, *FIXED],
                ),
            )
        container = container_properties(
            settings,
            [facts[one] for one in settings.instance_types],
            image=artifacts.image(settings.image),
            job_role_arn=job_role.arn,
            execution_role_arn=execution_role.arn,
            log_group=log_group.name,
            region=account.region,
            folders=[*([SCRATCH] if settings.has_scratch(facts) else []), *([LUSTRE] if lustre else [])],
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
            container_properties=to_json(container) if settings.nodes == 1 else None,
            node_properties=(to_json(node_properties(settings, type_facts, container)) if settings.nodes > 1 else None),
            retry_strategy={"attempts": settings.attempts, "evaluate_on_exits": RETRIES},
            timeout={"attempt_duration_seconds": round(settings.timeout_hours * 3600)},
            propagate_tags=True,
            # running submitters may hold the revision before this one
            deregister_on_new_revision=False,
            # on an instance without the file system a job would write to the root volume
            opts=pulumi.ResourceOptions(parent=self, depends_on=[queue] if lustre else None),
        )
        self.settings = settings
        self.arn, self.queue_name = queue.arn, queue.name
        self.compute_environment_arns = [environment.arn for environment in environments]
        self.job_definition_arn, self.job_definition_name = definition.arn, definition.name
        self.job_role_arn, self.execution_role_arn = job_role.arn, execution_role.arn
        self.log_group_name, self.security_group_id = log_group.name, instances.security_group_id
        self.gpu_dimensions = gpu_metrics.dimensions(name) if settings.is_measured(facts) else None
        self._account = account
        self.register_outputs({"arn": self.arn, "jobDefinitionArn": self.job_definition_arn})

    def _tell(self, others: Sequence[Generation], draining: Sequence[Generation]) -> None:
        """Say in the preview what becomes of the compute environments that are not the newest."""
        for one in others:
            if one in draining:
                pulumi.log.warn(
                    f"{one.name} takes no new job (tasks that go on in it: {one.tasks}); "
                    "the first deployment that finds it empty deletes it",
                    self,
                )
            else:
                pulumi.log.info(f"{one.name} is empty, and is deleted", self)

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
            iam.allow(["batch:TagResource"], [self.arn, revisions], marking(submitter)),
            stop_jobs(self._account, submitter),
            # AWS knows no resource for these
            iam.allow(["batch:DescribeJobs", "batch:ListJobs"], ["*"]),
        ]


def marking(submitter: pulumi.Input[str]) -> dict[str, Any]:
    """The condition that a request gives a job the tag `SubmittedBy` this submitter, and no other tag."""
    return {
        "StringEquals": {f"aws:RequestTag/{SUBMITTER_TAG}": submitter},
        "ForAllValues:StringEquals": {"aws:TagKeys": [SUBMITTER_TAG]},
    }


def stop_jobs(account: iam.Account, submitter: pulumi.Input[str]) -> iam.Statement:
    """A statement that allows stopping the jobs that are tagged `SubmittedBy` this submitter."""
    return iam.allow(
        ["batch:CancelJob", "batch:TerminateJob"],
        [account.arn("batch", "job/*")],
        {"StringEquals": {f"aws:ResourceTag/{SUBMITTER_TAG}": submitter}},
    )


def _tags(part: Mapping[str, str], name: str, needs: Set[str]) -> dict[str, str]:
    """What a later deployment must know of a compute environment."""
    return {**part, NAME_TAG: name} | ({NEEDS_TAG: " ".join(sorted(needs))} if needs else {})
