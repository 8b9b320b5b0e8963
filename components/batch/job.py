"""The job that a queue is made for: what its container may use, and what is tried again when it ends.

The container is written under the Batch API's own keys, once for a job on one node and for every node of a larger one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Self

import pulumi
from pulumi_aws import batch
from pydantic import Field, model_validator

from components import iam
from components.accelerators import InstanceFacts, Preset, nccl, shared_memory_mib
from components.images import TRAINING_IMAGE, lacks_efa
from components.network import Needs, for_secrets
from components.schema import Image, KeyArn, SecretArn, Settings, refuse
from components.task_queue import SendTo

LARGEST_JOB_NODES = 1000
"""AWS Batch, "Multi-node parallel jobs"."""
SHORTEST_TIMEOUT_SECONDS = 60
"""Batch API, `JobTimeout`."""

LONGEST_TIMEOUT_HOURS = (2**31 - 1) // 3600
"""The largest number of seconds that the API takes, in hours."""

STOPPED, FAULTY_GPU = 75, 80
"""Exit codes of `examples/batch`: told to stop before the end, and a GPU that failed its check before the start."""

RETRIES: Sequence[batch.JobDefinitionRetryStrategyEvaluateOnExitArgsDict] = (
    {"on_status_reason": "Host EC2*", "action": "RETRY"},
    {"on_reason": "CannotPullContainerError*", "action": "RETRY"},
    *({"on_exit_code": str(code), "action": "RETRY"} for code in (STOPPED, FAULTY_GPU)),
    # the first match wins, and what matches nothing is retried: so the last one matches everything
    {"on_reason": "*", "action": "EXIT"},
)
"""Ends of an attempt that lead to another one: those that the job did not cause.

Five, as many as there may be (Batch API, `RetryStrategy`): with another number the provider makes the definition anew,
under another name, and takes every revision of the old one out of use.
"""


class JobSettings(Settings):
    """Settings of a queue's jobs."""

    nodes: Annotated[int, Field(ge=1, le=LARGEST_JOB_NODES)] = 1
    """Instances for one job. 2 or more make a multi-node parallel job: not on spot, one instance type."""
    image: Image = TRAINING_IMAGE
    """Container image of the job definition. `repository:TAG` is one in the stack's own repository."""
    command: tuple[str, ...] = ("nvidia-smi",)
    """Command of the container, unless a job names another."""
    vcpus: Annotated[int, Field(ge=1)] | None = None
    """vCPUs of one node's container. Default: all that the smallest of `instanceTypes` has."""
    memory_mib: Annotated[int, Field(ge=4)] | None = None
    """Memory of one node's container in MiB. Default: that of the smallest type, less 5 % and 256 MiB for its host."""
    gpus: Annotated[int, Field(ge=0)] | None = None
    """GPUs of one node's container. Default: as many as the type with the fewest has."""
    shared_memory_mib: Annotated[int, Field(ge=1)] | None = None
    """Size of /dev/shm in MiB, a part of `memoryMib` that data loaders and NCCL use. Default: half of it."""
    efa: bool = False
    """Whether nodes communicate over Elastic Fabric Adapter. They are then in `network.trainingZone`, as with `nodes`
    over 1."""
    gpu_metrics: bool = True
    """Whether use, memory and temperature of its GPUs are metrics in CloudWatch, and an alarm tells when they are idle.

    Three metrics, paid for the hours in which an instance of the queue runs. An edit makes other instances.
    """
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """How often a job starts at most: again after AWS reclaimed its host, its image could not be pulled, or it ended
    with 75 (told to stop) or 80 (a faulty GPU)."""
    terminate_faulty_instances: bool = False
    """Whether `examples/batch` ends an instance on which a GPU fails its check: the next attempt is then on another.

    Any job of the queue may then end any instance of the queue.
    """
    timeout_hours: Annotated[float, Field(gt=0, le=LONGEST_TIMEOUT_HOURS)] = 24
    """Hours until an attempt is stopped; a minute or more."""
    send_to: SendTo = ()
    """Queues under `queues` that jobs may send to, each under its URL in `QUEUE_URL_NAME`."""
    environment: dict[str, str] = Field(default_factory=dict[str, str])
    """Environment variables of the container."""
    secrets: dict[str, SecretArn] = Field(default_factory=dict[str, SecretArn])
    """Environment variable -> ARN of the Secrets Manager secret or SSM parameter that holds its value."""
    secret_key_arns: tuple[KeyArn, ...] = ()
    """KMS keys of your own under which what is named under `secrets` is encrypted. AWS's own keys need not be named."""

    def endpoints(self, path: str) -> Needs:
        """What its instances and jobs need where there is no NAT; layers of images come from S3, by its gateway.

        ECS developer guide, "Amazon ECS interface VPC endpoints".
        """
        yield path, ("ecr.api", "ecr.dkr", "ecs", "ecs-agent", "ecs-telemetry", "logs")
        if self.gpu_metrics and self.gpus != 0:
            yield f"{path}.gpuMetrics", ("monitoring",)
        yield from for_secrets(f"{path}.secrets", self.secrets.values())
        if self.send_to:
            yield f"{path}.sendTo", ("sqs",)
        if self.terminate_faulty_instances:
            yield f"{path}.terminateFaultyInstances", ("ec2",)

    def container(self, types: Sequence[InstanceFacts]) -> Preset:
        """What one node's container has: what the settings say, otherwise all that the smallest of the types has."""
        whole = Preset.of_container(types, efa=self.efa)
        said = {"vcpus": self.vcpus, "memory_mib": self.memory_mib, "accelerators": self.gpus}
        return replace(whole, **{key: value for key, value in said.items() if value is not None})

    @property
    def in_one_zone(self) -> bool:
        """Whether its instances must be close together: nodes of a job do not communicate across zones."""
        return self.nodes > 1 or self.efa

    @property
    def in_default_group(self) -> bool:
        """Whether its containers have the VPC's default security group.

        Each node of a multi-node job has a network interface of its own, with the groups of the compute environment or,
        where that has none, the default one (Batch user guide, "Compute environment considerations for multi-node
        parallel jobs"). With EFA it has none: the API refuses groups beside network interfaces in the launch template.
        """
        return self.nodes > 1 and self.efa

    def notices(self, path: str) -> Iterator[str]:
        """Warnings before a deployment of settings that are right."""
        if self.efa and lacks_efa(self.image):
            yield (
                f"{path}.image: {self.image} holds neither libfabric nor aws-ofi-nccl, so NCCL fails in its jobs;"
                f" build it on {TRAINING_IMAGE}"
            )

    @model_validator(mode="after")
    def _can_ever_run(self) -> Self:
        refuse([(key, rule, value) for wrong, key, rule, value in self._rules() if wrong])
        return self

    def _rules(self) -> Iterator[tuple[bool, str, str, object]]:
        """Whether a rule is broken, its key, what it says and the value got."""
        yield from (
            (
                self.timeout_hours * 3600 < SHORTEST_TIMEOUT_SECONDS,
                "timeoutHours",
                f"must be {SHORTEST_TIMEOUT_SECONDS / 3600:.4f} or more, {SHORTEST_TIMEOUT_SECONDS} seconds",
                self.timeout_hours,
            ),
            (
                self.memory_mib is not None and (self.shared_memory_mib or 0) > self.memory_mib,
                "sharedMemoryMib",
                f"must be at most memoryMib ({self.memory_mib}), which it is taken from",
                self.shared_memory_mib,
            ),
            (
                self.terminate_faulty_instances and self.nodes > 1,
                "terminateFaultyInstances",
                "must be false with nodes over 1, whose containers do not learn on which instance they are",
                self.terminate_faulty_instances,
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
            *iam.wrong_keys(self.secrets.values(), self.secret_key_arns),
        )


def container_properties(
    settings: JobSettings,
    types: Sequence[InstanceFacts],
    *,
    image: pulumi.Input[str],
    job_role_arn: pulumi.Input[str],
    execution_role_arn: pulumi.Input[str],
    log_group: pulumi.Input[str],
    region: str,
    folders: Sequence[str],
    environment: Mapping[str, pulumi.Input[str]],
) -> dict[str, Any]:
    """One node's container, under the API's own keys (Batch API, `ContainerProperties`).

    `folders`: of the instance, which the container finds under the same path.
    """
    has = settings.container(types)
    requirements = {"GPU": has.accelerators, "VCPU": has.vcpus, "MEMORY": has.memory_mib}
    # whose SDKs cannot ask the instance's metadata, which is closed to them
    places = {"AWS_DEFAULT_REGION": region, "AWS_REGION": region} if settings.nodes > 1 else {}
    devices = [f"/dev/infiniband/uverbs{index}" for index in range(has.efa_interfaces)]
    faulty = {"TERMINATE_FAULTY_INSTANCE": "true"} if settings.terminate_faulty_instances else {}
    return {
        "image": image,
        "command": list(settings.command),
        "jobRoleArn": job_role_arn,
        "executionRoleArn": execution_role_arn,
        "resourceRequirements": [{"type": kind, "value": str(value)} for kind, value in requirements.items() if value],
        "environment": [
            {"name": key, "value": value}
            for key, value in sorted({**_nccl(settings), **places, **faulty, **environment}.items())
        ],
        "secrets": [{"name": key, "valueFrom": arn} for key, arn in sorted(settings.secrets.items())],
        "linuxParameters": {
            # hands SIGTERM on to the command, and reaps what it leaves
            "initProcessEnabled": True,
            "sharedMemorySize": settings.shared_memory_mib or shared_memory_mib(has.memory_mib),
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
        **_shared(folders),
    }


def terminate_instances(
    account: iam.Account, instances: batch.ComputeEnvironmentComputeResourcesArgsDict
) -> iam.Statement:
    """What lets a job end instances of its queue, which alone have the queue's instance profile."""
    condition = {"ArnEquals": {"ec2:InstanceProfile": instances.get("instance_role")}}
    return iam.allow(["ec2:TerminateInstances"], [account.arn("ec2", "instance/*")], condition)


def node_properties(settings: JobSettings, facts: InstanceFacts, container: Mapping[str, Any]) -> dict[str, Any]:
    """A multi-node job whose nodes are all alike, node 0 the main one (Batch API, `NodeProperties`)."""
    return {
        "numNodes": settings.nodes,
        "mainNode": 0,
        "nodeRangeProperties": [{"targetNodes": "0:", "container": {**container, "instanceType": facts.instance_type}}],
    }


def _shared(folders: Sequence[str]) -> dict[str, Any]:
    """The keys of a container that sees these folders of its instance."""
    if not folders:
        return {}
    names = {folder: folder.strip("/") for folder in folders}
    return {
        "volumes": [{"name": name, "host": {"sourcePath": folder}} for folder, name in names.items()],
        "mountPoints": [
            {"sourceVolume": name, "containerPath": folder, "readOnly": False} for folder, name in names.items()
        ],
    }


def _nccl(settings: JobSettings) -> dict[str, str]:
    """Settings by which NCCL finds the other nodes."""
    if not settings.in_one_zone:
        return {}
    # interfaces that lead nowhere but to the host and the container agent
    return {**nccl(efa=settings.efa), "NCCL_SOCKET_IFNAME": "^docker,ecs,lo,veth"}
