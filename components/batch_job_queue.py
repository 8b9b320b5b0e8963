"""A Batch job queue with what it needs to run GPU jobs on one node or many: compute, job definition, roles, logs.

Nothing runs while the queue is empty. Multi-node jobs run on demand or in a capacity block, in one zone, on one
instance type: AWS Batch offers them nowhere else.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

import pulumi
from pulumi_aws import batch, cloudwatch, ec2, vpc
from pulumi_aws import iam as aws_iam
from pydantic import Field, StringConstraints, model_validator

from components import iam
from components.accelerators import InstanceFacts, efa_network_interfaces
from components.artifacts import Artifacts
from components.network import Network
from components.schema import SecretArn, Settings, mistake, refuse

LOG_RETENTION_DAYS = 30
LARGEST_JOB_NODES = 1000
"""AWS Batch, "Multi-node parallel jobs"."""
MOST_ENVIRONMENTS = 3
"""Compute environments of a job queue (Batch API, `CreateJobQueue`)."""
SHORTEST_TIMEOUT_SECONDS = 60
"""Batch API, `JobTimeout`."""
UPDATE_WAIT_MINUTES = (30, 360)
"""How long Batch waits for running jobs before it replaces their instances: its own default, and the most that the
provider lets through (hashicorp/terraform-provider-aws issue 48709; the API takes 7200, `UpdatePolicy`)."""
ROOT_VOLUME_IOPS = 6000
ROOT_VOLUME_MIB_PER_SECOND = 500
HOST_MEMORY_SHARE = 0.05
"""Part of an instance's memory that the container agent and the kernel keep."""
FAIR_SHARE_DECAY_SECONDS = 3600

USAGE_CLASSES = {"spot": "spot", "onDemand": "on-demand", "capacityBlock": "capacity-block"}
"""Kind of capacity -> what EC2 calls it (API, `InstanceTypeInfo.SupportedUsageClasses`)."""

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
    # the first match wins, and what matches nothing is retried: so the last one matches everything
    {"on_reason": "*", "action": "EXIT"},
)
"""Which ends of an attempt are worth another: those that the job has no part in."""

Capacity = Literal["spot", "onDemand", "capacityBlock"]
ShareIdentifier = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]{1,254}[0-9A-Za-z*]?$")]
"""Letters and digits, with an asterisk at the end for all that begin so (Batch API, `ShareAttributes`)."""


class BatchJobQueueSettings(Settings):
    """One job queue of the `batch` section."""

    nodes: Annotated[int, Field(ge=1, le=LARGEST_JOB_NODES)] = 1
    """Instances that one job runs on. Over 1 makes a multi-node parallel job: never on spot, one instance type."""
    image: str = "pytorch/pytorch:2.8.0-cuda12.8-cudnn9-runtime"
    """Container image of the job definition."""
    command: tuple[str, ...] = ("nvidia-smi",)
    """What the container runs unless a job says otherwise."""
    instance_types: Annotated[tuple[str, ...], Field(min_length=1)] = ("g6.12xlarge", "g6e.12xlarge")
    """EC2 instance types that jobs may run on; several of equal GPU count make spot capacity likelier."""
    capacity: tuple[Capacity, ...] = ("spot", "onDemand")
    """Kinds of capacity in the order in which they are tried, one compute environment each; capacityBlock alone."""
    min_vcpus: Annotated[int, Field(ge=0)] = 0
    """vCPUs that stay running in each compute environment; 0 idles at nothing."""
    max_vcpus: Annotated[int, Field(ge=1)] = 384
    """vCPUs that each compute environment may run."""
    vcpus: Annotated[int, Field(ge=1)] = 40
    """vCPUs of one node's container."""
    memory_mib: Annotated[int, Field(ge=4)] = 160_000
    """Memory of one node's container in MiB; the host needs about 5 % of the instance's."""
    gpus: Annotated[int, Field(ge=0)] = 4
    """GPUs of one node's container."""
    shared_memory_mib: Annotated[int, Field(ge=1)] | None = None
    """Size of /dev/shm in MiB, which data loaders and NCCL use, out of memoryMib; left out, half of it."""
    root_volume_gib: Annotated[int, Field(ge=30, le=16_384)] = 200
    """Size of each instance's root volume in GiB: images and scratch space."""
    efa: bool = False
    """Whether nodes talk over Elastic Fabric Adapter; instances then stay in the first zone, as with nodes over 1."""
    capacity_reservation_id: Annotated[str, Field(pattern=r"^cr-[0-9a-f]{8,17}$")] | None = None
    """The capacity reservation or, with capacity capacityBlock, the capacity block to run in; in the first zone."""
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """How often a job is started at most, when its host was reclaimed or its image could not be pulled."""
    timeout_hours: Annotated[float, Field(gt=0)] = 24
    """After how long an attempt is stopped, in hours; Batch takes a minute at least.

    A change that replaces instances waits so long for what runs on them, but six hours at most: a longer attempt is
    then stopped, and started again where attempts are left.
    """
    priority: Annotated[int, Field(ge=0, le=1000)] = 10
    """Which queue goes first where queues share a compute environment; higher goes first."""
    fair_share: (
        Annotated[dict[ShareIdentifier, Annotated[float, Field(ge=0.0001, le=999.9999)]], Field(min_length=1)] | None
    ) = None
    """Share identifier -> weight (a lower weight gets more); jobs must then name one.

    Batch can neither give it to a queue nor take it away: adding or removing it makes a new queue in its place.
    """
    environment: dict[str, str] = Field(default_factory=dict[str, str])
    """Environment variables of the container."""
    secrets: dict[str, SecretArn] = Field(default_factory=dict[str, SecretArn])
    """Environment variable -> ARN of the Secrets Manager secret or SSM parameter that holds its value."""

    @property
    def in_one_zone(self) -> bool:
        """Whether all instances must be in the training subnet: nodes of a job do not talk across zones."""
        return self.nodes > 1 or self.efa

    @model_validator(mode="after")
    def _can_ever_run(self) -> Self:
        many, block = self.nodes > 1, "capacityBlock" in self.capacity
        capacity = list(self.capacity)
        refuse(
            [
                (key, rule, value)
                for wrong, key, rule, value in (
                    (
                        many and "spot" in self.capacity,
                        "capacity",
                        "must be without spot with nodes over 1, because Batch runs no multi-node job there",
                        capacity,
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
                        not 1 <= len(capacity) <= MOST_ENVIRONMENTS,
                        "capacity",
                        f"must be one to {MOST_ENVIRONMENTS} kinds, because a queue has no more compute environments",
                        capacity,
                    ),
                    (
                        len(set(capacity)) < len(capacity) <= MOST_ENVIRONMENTS,
                        "capacity",
                        "must name each kind once",
                        capacity,
                    ),
                    (
                        block and len(set(self.capacity)) > 1,
                        "capacity",
                        "must be capacityBlock alone, because nothing else starts from its launch template",
                        capacity,
                    ),
                    (
                        block and self.capacity_reservation_id is None,
                        "capacityReservationId",
                        "is required with capacity capacityBlock",
                        self.capacity_reservation_id,
                    ),
                    (
                        block and len(self.instance_types) > 1,
                        "instanceTypes",
                        "must be one type with capacity capacityBlock, the one that was bought",
                        list(self.instance_types),
                    ),
                    (
                        self.capacity_reservation_id is not None and "spot" in self.capacity,
                        "capacity",
                        "must be [onDemand] or [capacityBlock] with capacityReservationId",
                        capacity,
                    ),
                    (
                        self.timeout_hours * 3600 < SHORTEST_TIMEOUT_SECONDS,
                        "timeoutHours",
                        f"must be {SHORTEST_TIMEOUT_SECONDS / 3600:.4f} or more, {SHORTEST_TIMEOUT_SECONDS} seconds",
                        self.timeout_hours,
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
                    (
                        (self.shared_memory_mib or 0) > self.memory_mib,
                        "sharedMemoryMib",
                        f"must be at most memoryMib ({self.memory_mib}), which it is taken from",
                        self.shared_memory_mib,
                    ),
                    *(
                        (
                            name.startswith("AWS_BATCH"),
                            f"{key}.{name}",
                            "must not begin with AWS_BATCH, which Batch keeps for itself",
                            name,
                        )
                        for key, names in (("environment", self.environment), ("secrets", self.secrets))
                        for name in names
                    ),
                    *(
                        (name in self.environment, f"secrets.{name}", "must not stand under environment too", name)
                        for name in self.secrets
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
                if wrong
            ]
        )
        return self

    def preflight(self, path: str, facts: Mapping[str, InstanceFacts], zones: Sequence[str]) -> Iterator[str]:
        """What AWS's facts about the instance types make impossible, as lines like those of any other mistake.

        `zones` are the network's, the training subnet's first; none for an adopted network, whose zones are its own.
        """
        types = [facts[name] for name in self.instance_types]
        listed = ", ".join(self.instance_types)
        if len({one.architecture for one in types}) > 1:
            yield mistake(
                f"{path}.instanceTypes",
                "must share one processor architecture",
                {t.instance_type: t.architecture for t in types},
            )
        elif without := [one.instance_type for one in types if one.batch_image_type is None]:
            yield mistake(
                f"{path}.instanceTypes",
                "must be types whose accelerators Batch's images have a driver for",
                ", ".join(without),
            )
        elif len({one.batch_image_type for one in types}) > 1:
            yield mistake(
                f"{path}.instanceTypes",
                "must be all with GPUs or all without, because their images differ",
                {t.instance_type: t.gpus for t in types},
            )
        asked = {"gpus": self.gpus, "vcpus": self.vcpus, "memoryMib": self.memory_mib}
        rooms = [
            {"gpus": t.gpus, "vcpus": t.vcpus, "memoryMib": int(t.memory_mib * (1 - HOST_MEMORY_SHARE))} for t in types
        ]
        too_much = {key: most for key, wanted in asked.items() if wanted > (most := max(room[key] for room in rooms))}
        for key, most in too_much.items():
            yield mistake(f"{path}.{key}", f"must be at most {most}, what {listed} can give", asked[key])
        if not too_much and not any(all(asked[key] <= room[key] for key in asked) for room in rooms):
            yield mistake(
                f"{path}.instanceTypes", f"must hold a type that gives all of {asked} to one container", listed
            )
        if self.nodes > 1 and self.nodes * types[0].vcpus > self.max_vcpus:
            yield mistake(
                f"{path}.maxVcpus",
                f"must be at least {self.nodes * types[0].vcpus}, because each node is a whole {listed}",
                self.max_vcpus,
            )
        if self.efa and not types[0].efa_interfaces:
            yield mistake(f"{path}.efa", f"must be false, because {listed} has no EFA", self.efa)
        for kind in self.capacity:
            if never := [one.instance_type for one in types if USAGE_CLASSES[kind] not in one.usage_classes]:
                yield mistake(
                    f"{path}.instanceTypes",
                    f"must be types that EC2 offers as {USAGE_CLASSES[kind]}",
                    ", ".join(never),
                )
        used = zones[:1] if self.in_one_zone else zones
        if used and not any(one.zones & set(used) for one in types):
            yield mistake(
                f"{path}.instanceTypes",
                f"must be offered in {', '.join(used)}, where the instances would be",
                {one.instance_type: sorted(one.zones) for one in types},
            )


class BatchInstances(pulumi.ComponentResource):
    """What a queue's instances start with: a security group, permissions, a launch template, a place near each other.

    A component, so that `depends_on` waits for all of it: an environment that outlives its role's policies cannot be
    deleted.
    """

    compute_resources: batch.ComputeEnvironmentComputeResourcesArgsDict
    """What every compute environment over these instances has, whatever its kind of capacity."""

    def __init__(
        self,
        name: str,
        settings: BatchJobQueueSettings,
        *,
        facts: InstanceFacts,
        account: iam.Account,
        network: Network,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("distributed-training:index:BatchInstances", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
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
        if settings.in_one_zone:
            # EFA passes only where a group names itself in both directions; an address range is not enough
            for rule in (vpc.SecurityGroupIngressRule, vpc.SecurityGroupEgressRule):
                rule(
                    f"{name}-nodes",
                    security_group_id=group.id,
                    description="nodes of a job to each other",
                    ip_protocol="-1",
                    referenced_security_group_id=group.id,
                    opts=child,
                )
        role = iam.ServiceRole(
            f"{name}-instance",
            service="ec2.amazonaws.com",
            managed_policies=[account.managed_policy("service-role/AmazonEC2ContainerServiceforEC2Role")],
            opts=child,
        )
        profile = aws_iam.InstanceProfile(name, role=role.role_name, opts=child)
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
            network_interfaces=efa_network_interfaces(facts, [group.id]) if settings.efa else None,
            instance_market_options={"market_type": "capacity-block"} if "capacityBlock" in settings.capacity else None,
            capacity_reservation_specification=(
                {"capacity_reservation_target": {"capacity_reservation_id": settings.capacity_reservation_id}}
                if settings.capacity_reservation_id
                else None
            ),
            tag_specifications=[
                # the provider's own tags stop at what it makes itself
                {"resource_type": kind, "tags": {**account.tags, "Name": name, "BatchJobQueue": name}}
                for kind in ("instance", "volume")
            ],
            opts=child,
        )
        self.compute_resources = {
            "type": "EC2",
            "min_vcpus": settings.min_vcpus,
            "max_vcpus": settings.max_vcpus,
            "instance_types": settings.instance_types,
            "instance_role": profile.arn,
            # said always: without it an update puts AL2 in its place, which Batch no longer starts
            "ec2_configurations": [{"image_type": facts.batch_image_type}],
            "launch_template": {
                "launch_template_id": template.id,
                # "$Latest" is read once; a number makes every new version an update
                "version": template.latest_version.apply(str),
            },
            "subnets": [network.training_subnet_id] if settings.in_one_zone else network.private_subnet_ids,
        }
        # with network interfaces in the template the groups stand there, and here they would hide those
        if not settings.efa:
            self.compute_resources["security_group_ids"] = [group.id]
        # a reservation has its own place: both together end in InsufficientInstanceCapacity
        if settings.nodes > 1 and settings.capacity_reservation_id is None:
            placement = ec2.PlacementGroup(name, strategy="cluster", opts=child)
            # alone among these in replacing the environment, when a reservation comes or goes
            self.compute_resources["placement_group"] = placement.name
        self.register_outputs({})


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
        instances = BatchInstances(name, settings, facts=type_facts, account=account, network=network, opts=child)
        environments = [
            batch.ComputeEnvironment(
                f"{name}-{USAGE_CLASSES[kind]}",
                type="MANAGED",
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
            statements=[*artifacts.read_write(), *statements],
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
        """What submits jobs to this queue with its job definition, and watches and stops jobs."""
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
    return {
        "image": settings.image,
        "command": list(settings.command),
        "jobRoleArn": job_role_arn,
        "executionRoleArn": execution_role_arn,
        "resourceRequirements": [{"type": kind, "value": str(value)} for kind, value in requirements.items() if value],
        "environment": [
            {"name": key, "value": value} for key, value in sorted({**_nccl(settings), **environment}.items())
        ],
        "secrets": [{"name": key, "valueFrom": arn} for key, arn in sorted(settings.secrets.items())],
        "linuxParameters": {
            # hands SIGTERM on to the command, and reaps what it leaves
            "initProcessEnabled": True,
            "sharedMemorySize": settings.shared_memory_mib or settings.memory_mib // 2,
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


def _nccl(settings: BatchJobQueueSettings) -> dict[str, str]:
    """What NCCL must know to find the other nodes; its log then says which provider it selected."""
    if not settings.in_one_zone:
        return {}
    # interfaces that lead nowhere but to the host and the container agent
    nccl = {"NCCL_DEBUG": "INFO", "NCCL_SOCKET_IFNAME": "^docker,ecs,lo,veth"}
    return nccl | {"FI_PROVIDER": "efa"} if settings.efa else nccl


def _update_wait_minutes(settings: BatchJobQueueSettings) -> int:
    least, most = UPDATE_WAIT_MINUTES
    return min(max(math.ceil(settings.timeout_hours * 60), least), most)
