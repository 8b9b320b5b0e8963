"""A Batch job queue with what it needs to run GPU jobs on one node or many: compute, job definition, roles, logs.

Nothing runs while the queue is empty. Multi-node jobs run on demand, in one zone, on one instance type: AWS Batch
offers them nowhere else.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

import pulumi
from pulumi_aws import batch, cloudwatch, ec2, vpc
from pulumi_aws import iam as aws_iam
from pydantic import Field, model_validator

from components import iam
from components.accelerators import InstanceFacts, efa_network_interfaces
from components.artifacts import Artifacts
from components.network import Network
from components.schema import Name, Settings, mistake, refuse

LOG_RETENTION_DAYS = 30
LARGEST_JOB_NODES = 1000
"""AWS Batch, "Multi-node parallel jobs"."""
LARGEST_UPDATE_WAIT_MINUTES = 7200
"""How long Batch waits at most for running jobs before it replaces their instances (API, `UpdatePolicy`, 5 days)."""
ROOT_VOLUME_IOPS = 6000
ROOT_VOLUME_MIB_PER_SECOND = 500
HOST_MEMORY_SHARE = 0.05
"""Part of an instance's memory that the container agent and the kernel keep."""

GIVE_UP_SECONDS = {
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY": 4 * 3600,
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE": 600,
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT": 600,
}
"""Reason why the job at the head of the queue cannot start -> how long it may block the queue (Batch API,
`JobStateTimeLimitAction`; 600 to 86,400 seconds)."""

RETRIES: Sequence[batch.JobDefinitionRetryStrategyEvaluateOnExitArgsDict] = (
    {"on_status_reason": "Host EC2*", "action": "RETRY"},
    {"on_reason": "CannotPullContainerError*", "action": "RETRY"},
    {"on_status_reason": "Task failed to start", "action": "RETRY"},
    # the first match wins, and what matches nothing is retried: so the last one matches everything
    {"on_reason": "*", "action": "EXIT"},
)
"""Which ends of an attempt are worth another: those that the job has no part in."""


class BatchJobQueueSettings(Settings):
    """One job queue of the `batch` section."""

    nodes: Annotated[int, Field(ge=1, le=LARGEST_JOB_NODES)] = 1
    """Instances that one job runs on. Over 1 makes a multi-node parallel job: on demand, one instance type."""
    image: str = "pytorch/pytorch:2.8.0-cuda12.8-cudnn9-runtime"
    """Container image of the job definition."""
    command: tuple[str, ...] = ("nvidia-smi",)
    """What the container runs unless a job says otherwise."""
    instance_types: Annotated[tuple[str, ...], Field(min_length=1)] = ("g6.12xlarge", "g6e.12xlarge")
    """EC2 instance types that jobs may run on; several of equal GPU count make spot capacity likelier."""
    capacity: Annotated[tuple[Literal["spot", "onDemand"], ...], Field(min_length=1, max_length=3)] = (
        "spot",
        "onDemand",
    )
    """Kinds of capacity in the order in which they are tried: one compute environment each."""
    min_vcpus: Annotated[int, Field(ge=0)] = 0
    """vCPUs that stay running in each compute environment; 0 idles at nothing."""
    max_vcpus: Annotated[int, Field(ge=1)] = 384
    """vCPUs that each compute environment may run."""
    vcpus: Annotated[int, Field(ge=1)] = 40
    """vCPUs of one node's container."""
    memory_mib: Annotated[int, Field(ge=4)] = 160_000
    """Memory of one node's container in MiB; leave the host about 5 %."""
    gpus: Annotated[int, Field(ge=0)] = 4
    """GPUs of one node's container."""
    shared_memory_mib: Annotated[int, Field(ge=1)] = 65_536
    """Size of /dev/shm in MiB, which data loaders and NCCL use."""
    root_volume_gib: Annotated[int, Field(ge=30, le=16_384)] = 200
    """Size of each instance's root volume in GiB: images and scratch space."""
    efa: bool = False
    """Whether nodes talk over Elastic Fabric Adapter."""
    capacity_reservation_id: Annotated[str, Field(pattern=r"^cr-[0-9a-f]{8,17}$")] | None = None
    """An on-demand capacity reservation to run in."""
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """How often a job is started at most, when its host was reclaimed or its image could not be pulled."""
    timeout_hours: Annotated[float, Field(ge=60 / 3600)] = 24
    """After how long an attempt is stopped, in hours; Batch takes a minute at least."""
    priority: Annotated[int, Field(ge=0, le=1000)] = 10
    """Which queue goes first where queues share a compute environment; higher goes first."""
    fair_share: dict[Name, Annotated[float, Field(ge=0.0001, le=999.9999)]] | None = None
    """Share identifier -> weight (a lower weight gets more); jobs must then name one. It cannot be removed later."""
    environment: dict[str, str] = Field(default_factory=dict[str, str])
    """Environment variables of the container."""

    @model_validator(mode="after")
    def _can_ever_run(self) -> Self:
        many = self.nodes > 1
        refuse(
            [
                (key, rule, value)
                for wrong, key, rule, value in (
                    (
                        many and "spot" in self.capacity,
                        "capacity",
                        "must be [onDemand] with nodes over 1, because Batch runs multi-node jobs on demand only",
                        list(self.capacity),
                    ),
                    (
                        many and len(self.instance_types) > 1,
                        "instanceTypes",
                        "must be one type with nodes over 1, because all nodes of a job are alike",
                        list(self.instance_types),
                    ),
                    (
                        self.efa and len(self.instance_types) > 1,
                        "instanceTypes",
                        "must be one type with efa, because the launch template has that type's network cards",
                        list(self.instance_types),
                    ),
                    (
                        self.capacity_reservation_id is not None and "spot" in self.capacity,
                        "capacity",
                        "must be [onDemand] with capacityReservationId",
                        list(self.capacity),
                    ),
                    (
                        len(set(self.capacity)) < len(self.capacity),
                        "capacity",
                        "must name each kind once",
                        list(self.capacity),
                    ),
                    (
                        self.min_vcpus > self.max_vcpus,
                        "minVcpus",
                        f"must be at most maxVcpus ({self.max_vcpus})",
                        self.min_vcpus,
                    ),
                    (
                        self.nodes * self.vcpus > self.max_vcpus,
                        "maxVcpus",
                        f"must be at least nodes x vcpus ({self.nodes * self.vcpus}), or no job ever starts",
                        self.max_vcpus,
                    ),
                )
                if wrong
            ]
        )
        return self

    def preflight(self, path: str, facts: Mapping[str, InstanceFacts]) -> Iterator[str]:
        """What AWS's facts about the instance types make impossible, as lines like those of any other mistake."""
        types = [facts[name] for name in self.instance_types]
        if len({one.architecture for one in types}) > 1:
            yield mistake(
                f"{path}.instanceTypes",
                "must share one processor architecture",
                {t.instance_type: t.architecture for t in types},
            )
        for key, wanted, offered in (
            ("gpus", self.gpus, max(one.gpus for one in types)),
            ("vcpus", self.vcpus, max(one.vcpus for one in types)),
            ("memoryMib", self.memory_mib, int(max(one.memory_mib for one in types) * (1 - HOST_MEMORY_SHARE))),
        ):
            if wanted > offered:
                yield mistake(
                    f"{path}.{key}",
                    f"must be at most {offered}, what {', '.join(self.instance_types)} can give",
                    wanted,
                )
        if self.efa and not all(one.efa_interfaces for one in types):
            yield mistake(f"{path}.efa", f"must be false, because {self.instance_types[0]} has no EFA", self.efa)


class BatchJobQueue(pulumi.ComponentResource):
    """A job queue, its compute environments in order of preference, and a job definition that fits them."""

    arn: pulumi.Output[str]
    """ARN of the job queue."""
    job_definition_arn: pulumi.Output[str]
    """ARN of the job definition's newest revision."""
    job_definition_name: pulumi.Output[str]
    """Name of the job definition, which stands for its newest revision."""
    compute_environment_arns: list[pulumi.Output[str]]
    """ARNs of the compute environments, in the order in which they are tried."""

    def __init__(
        self,
        name: str,
        settings: BatchJobQueueSettings,
        *,
        facts: Mapping[str, InstanceFacts],
        account: iam.Account,
        network: Network,
        artifacts: Artifacts,
        statements: Sequence[iam.Statement] = (),
        environment: Mapping[str, pulumi.Input[str]] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("distributed-training:index:BatchJobQueue", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        type_facts = facts[settings.instance_types[0]]
        log_group = cloudwatch.LogGroup(name, retention_in_days=LOG_RETENTION_DAYS, opts=child)
        group = ec2.SecurityGroup(
            name,
            vpc_id=network.vpc_id,
            description="Batch instances: to anywhere, from nobody but each other",
            tags={"Name": name},
            opts=child,
        )
        vpc.SecurityGroupEgressRule(
            name, security_group_id=group.id, ip_protocol="-1", cidr_ipv4="0.0.0.0/0", opts=child
        )
        together = settings.nodes > 1 or settings.efa
        if together:
            # EFA passes only where a group names itself in both directions; an address range is not enough
            vpc.SecurityGroupIngressRule(
                f"{name}-nodes",
                security_group_id=group.id,
                description="nodes of a job to each other",
                ip_protocol="-1",
                referenced_security_group_id=group.id,
                opts=child,
            )
            vpc.SecurityGroupEgressRule(
                f"{name}-nodes",
                security_group_id=group.id,
                description="nodes of a job to each other",
                ip_protocol="-1",
                referenced_security_group_id=group.id,
                opts=child,
            )
        instance_role = iam.ServiceRole(
            f"{name}-instance",
            service="ec2.amazonaws.com",
            managed_policies=[account.managed_policy("service-role/AmazonEC2ContainerServiceforEC2Role")],
            opts=child,
        )
        profile = aws_iam.InstanceProfile(name, role=instance_role.role_name, opts=child)
        template = ec2.LaunchTemplate(
            name,
            update_default_version=True,
            metadata_options={"http_endpoint": "enabled", "http_tokens": "required", "http_put_response_hop_limit": 1},
            block_device_mappings=[
                {
                    "device_name": "/dev/xvda",
                    "ebs": {
                        "volume_size": settings.root_volume_gib,
                        "volume_type": "gp3",
                        "iops": ROOT_VOLUME_IOPS,
                        "throughput": ROOT_VOLUME_MIB_PER_SECOND,
                        "encrypted": "true",
                        "delete_on_termination": "true",
                    },
                }
            ],
            network_interfaces=efa_network_interfaces(type_facts, [group.id]) if settings.efa else None,
            capacity_reservation_specification=(
                {"capacity_reservation_target": {"capacity_reservation_id": settings.capacity_reservation_id}}
                if settings.capacity_reservation_id
                else None
            ),
            tag_specifications=[
                {"resource_type": kind, "tags": {"Name": name, "BatchJobQueue": name}}
                for kind in ("instance", "volume")
            ],
            opts=child,
        )
        placement = (
            ec2.PlacementGroup(name, strategy="cluster", opts=child)
            # a reservation has its own place: both together end in InsufficientInstanceCapacity
            if settings.nodes > 1 and settings.capacity_reservation_id is None
            else None
        )
        environments = [
            batch.ComputeEnvironment(
                f"{name}-{'spot' if kind == 'spot' else 'on-demand'}",
                type="MANAGED",
                # no service role: only with Batch's own service-linked role are changes made in place
                compute_resources={
                    "type": "SPOT" if kind == "spot" else "EC2",
                    "allocation_strategy": (
                        "SPOT_PRICE_CAPACITY_OPTIMIZED" if kind == "spot" else "BEST_FIT_PROGRESSIVE"
                    ),
                    "min_vcpus": settings.min_vcpus,
                    "max_vcpus": settings.max_vcpus,
                    "instance_types": settings.instance_types,
                    "instance_role": profile.arn,
                    "ec2_configurations": [{"image_type": type_facts.batch_image_type}],
                    "launch_template": {
                        "launch_template_id": template.id,
                        # "$Latest" is read once; a number makes every new version an update
                        "version": template.latest_version.apply(str),
                    },
                    # with network interfaces in the template the groups stand there
                    "security_group_ids": None if settings.efa else [group.id],
                    "subnets": ([network.training_subnet_id] if together else network.private_subnet_ids),
                    "placement_group": None if placement is None else placement.name,
                    "tags": {"Name": name, "BatchJobQueue": name},
                },
                update_policy={
                    "terminate_jobs_on_update": False,
                    "job_execution_timeout_minutes": _update_wait_minutes(settings),
                },
                opts=pulumi.ResourceOptions(
                    parent=self,
                    # the role's policies outlive the environment: without them it cannot be deleted
                    depends_on=[instance_role, *network.egress],
                    ignore_changes=["computeResources.desiredVcpus"],
                ),
            )
            for kind in settings.capacity
        ]
        fair_share = (
            batch.SchedulingPolicy(
                name,
                fair_share_policy={
                    "share_decay_seconds": 3600,
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
            opts=child,
        )
        job_role = iam.ServiceRole(
            f"{name}-job",
            service="ecs-tasks.amazonaws.com",
            source_account=account.id,
            statements=[*artifacts.read_write(), *statements],
            opts=child,
        )
        execution_role = iam.ServiceRole(
            f"{name}-execution",
            service="ecs-tasks.amazonaws.com",
            source_account=account.id,
            statements=[
                *artifacts.pull(),
                iam.allow(["logs:CreateLogStream", "logs:PutLogEvents"], [pulumi.Output.concat(log_group.arn, ":*")]),
            ],
            opts=child,
        )
        container = container_properties(
            settings,
            type_facts,
            job_role_arn=job_role.arn,
            execution_role_arn=execution_role.arn,
            log_group=log_group.name,
            region=account.region,
            environment={"ARTIFACTS_BUCKET": artifacts.bucket, **(environment or {}), **settings.environment},
        )
        definition = batch.JobDefinition(
            name,
            type="multinode" if settings.nodes > 1 else "container",
            platform_capabilities=["EC2"] if settings.nodes == 1 else None,
            container_properties=pulumi.Output.json_dumps(container, sort_keys=True) if settings.nodes == 1 else None,
            node_properties=(
                pulumi.Output.json_dumps(node_properties(settings, container), sort_keys=True)
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

    def submit(self) -> list[iam.Statement]:
        """What submits jobs to this queue, watches and stops them."""
        definition = pulumi.Output.concat(self._account.arn("batch", "job-definition/"), self.job_definition_name)
        jobs = self._account.arn("batch", "job/*")
        return [
            # the definition by its name, by its revision, and the job that comes of it
            iam.allow(["batch:SubmitJob"], [self.arn, definition, pulumi.Output.concat(definition, ":*"), jobs]),
            # a job's ARN does not tell its queue
            iam.allow(["batch:CancelJob", "batch:TerminateJob"], [jobs]),
            # AWS knows no resource for these
            iam.allow(["batch:DescribeJobs", "batch:ListJobs"], ["*"]),
        ]


def container_properties(
    settings: BatchJobQueueSettings,
    facts: InstanceFacts,
    *,
    job_role_arn: pulumi.Input[str],
    execution_role_arn: pulumi.Input[str],
    log_group: pulumi.Input[str],
    region: str,
    environment: Mapping[str, pulumi.Input[str]],
) -> dict[str, Any]:
    """One node's container, under the API's own keys (Batch API, `ContainerProperties`)."""
    requirements = {"GPU": settings.gpus, "VCPU": settings.vcpus, "MEMORY": settings.memory_mib}
    devices = [f"/dev/infiniband/uverbs{index}" for index in range(facts.efa_interfaces if settings.efa else 0)]
    nccl = {"FI_PROVIDER": "efa", "NCCL_DEBUG": "INFO"} if settings.efa else {}
    return {
        "image": settings.image,
        "command": list(settings.command),
        "jobRoleArn": job_role_arn,
        "executionRoleArn": execution_role_arn,
        "resourceRequirements": [{"type": kind, "value": str(value)} for kind, value in requirements.items() if value],
        "environment": [{"name": key, "value": value} for key, value in sorted({**nccl, **environment}.items())],
        "linuxParameters": {
            "sharedMemorySize": settings.shared_memory_mib,
            "devices": [
                {"hostPath": path, "containerPath": path, "permissions": ["READ", "WRITE", "MKNOD"]} for path in devices
            ],
        },
        "ulimits": [
            {"name": "memlock", "softLimit": -1, "hardLimit": -1},
            {"name": "nofile", "softLimit": 65_536, "hardLimit": 65_536},
            {"name": "stack", "softLimit": 67_108_864, "hardLimit": 67_108_864},
        ],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": log_group,
                "awslogs-region": region,
                "awslogs-stream-prefix": "job",
            },
        },
        "privileged": False,
    }


def node_properties(settings: BatchJobQueueSettings, container: Mapping[str, Any]) -> dict[str, Any]:
    """A multi-node job whose nodes are all alike, node 0 the main one (Batch API, `NodeProperties`)."""
    return {
        "numNodes": settings.nodes,
        "mainNode": 0,
        "nodeRangeProperties": [
            {"targetNodes": "0:", "container": {**container, "instanceType": settings.instance_types[0]}}
        ],
    }


def _update_wait_minutes(settings: BatchJobQueueSettings) -> int:
    # Batch's own default of 30 minutes would end long training when an AMI changes
    return min(max(round(settings.timeout_hours * 60), 30), LARGEST_UPDATE_WAIT_MINUTES)
