"""What a stack file may say of a fleet of workers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Self, cast

from pydantic import Field, model_validator

from components import iam, quotas
from components.accelerators import InstanceFacts, never_offered
from components.network import Needs, Zones, for_secrets
from components.schema import Image, KeyArn, Like, Name, SecretArn, Settings, mistake, refuse
from components.task_queue import SendTo, TaskQueueSettings
from stack_file.mistakes import Mistake, near

LARGEST_TASK_SECONDS = 43_200 - 900
"""SQS hides a message for 12 hours at most; use Batch for longer work."""

ROLE_ROOM = 45
"""How many queues under `sendTo` the policies inside a role have room for, besides a fleet's other rights."""
ROOM_OF_JOB_QUEUE = 3
"""How many such queues need as much room as one job queue under `submitTo`."""

SHORTEST_VISIBILITY_SECONDS = 60
"""The worker sends a heartbeat at a third of it, and a call to SQS may take 15 seconds to fail (`worker/sqs.py`)."""

LEGAL_MEMORY_MIB: Mapping[int, Sequence[int]] = {
    256: (512, 1024, 2048),
    512: range(1024, 4096 + 1, 1024),
    1024: range(2048, 8192 + 1, 1024),
    2048: range(4096, 16_384 + 1, 1024),
    4096: range(8192, 30_720 + 1, 1024),
    8192: range(16_384, 61_440 + 1, 4096),
    16_384: range(32_768, 122_880 + 1, 8192),
}
"""CPU units (1024 are one vCPU) -> memory sizes that Fargate offers with them (ECS developer guide, "Task size")."""


GPU_TYPES = ("g6.xlarge", "g5.xlarge")
"""Instance types of a fleet with GPUs that names none."""
FARGATE_CPU, FARGATE_MEMORY_MIB = 1024, 4096
"""Size of a worker on Fargate that names none."""

ImageTag = Annotated[
    str,
    Like(r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", "must be a tag of an image, such as worker-1"),
]


class WorkerSettings(Settings):
    """One fleet of the `workers` section: on Fargate, or with `gpu` on EC2 instances of its own."""

    queue: Name = "tasks"
    """The queue under `queues` whose tasks the workers do."""
    shares_queue: bool = False
    """Whether other fleets may do tasks of the same queue; each of them must say so."""
    send_to: SendTo = ()
    """Queues that the workers may send to besides `results`, each under its URL in `QUEUE_URL_NAME`."""
    submit_to: Annotated[tuple[Name, ...], Field(max_length=ROLE_ROOM // ROOM_OF_JOB_QUEUE)] = ()
    """Job queues that the workers may submit to, each in `BATCH_JOB_QUEUE_NAME` and `BATCH_JOB_DEFINITION_NAME`."""
    image_tag: ImageTag = "worker-1"
    """Tag of the reference worker (`worker/`) in the stack's own image repository."""
    image: Image | None = None
    """Another container image, without the health check and the rules of the reference worker.

    `repository:TAG` is one in the stack's own repository.
    """
    command: tuple[str, ...] | None = None
    """Command of the container. Default: the command of its image."""
    gpu: Annotated[int, Field(ge=0)] = 0
    """GPUs of one worker; 0 is a worker on Fargate, which has none."""
    instance_types: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """EC2 instance types that workers with `gpu` run on, on demand in this order. Default: g6.xlarge and g5.xlarge."""
    cpu: Annotated[int, Field(ge=256)] | None = None
    """CPU units of one worker; 1024 are one vCPU. Default: 1024; with `gpu`, its GPUs' share of the type that has
    least."""
    memory: Annotated[int, Field(ge=512)] | None = None
    """Memory of one worker in MiB. Default: 4096; with `gpu`, its GPUs' share of the type that has least."""
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    """Processor architecture of the image."""
    min_tasks: Annotated[int, Field(ge=0)] = 0
    """Workers that run even without work; 0 costs nothing while idle."""
    max_tasks: Annotated[int, Field(ge=1, le=5000)] = 20
    """Workers that run at most. Above 20 there are 20 sizes, each at most a third above the one before up to 200."""
    tasks_per_worker: Annotated[int, Field(ge=1)] = 5
    """How many waiting tasks there are for each worker; a lower number starts more workers.

    Each fleet on a shared queue counts all that wait there.
    """
    spot_share: Annotated[float, Field(ge=0, le=1)] = 0.75
    """Share of the workers on Fargate Spot, or of instances on spot. AWS may stop these with two minutes' notice."""
    max_task_seconds: Annotated[int, Field(ge=1, le=LARGEST_TASK_SECONDS)] = 3600
    """How long one task may take, in seconds; use Batch for longer work."""
    environment: dict[str, str] = Field(default_factory=dict[str, str])
    """Environment variables of the container."""
    secrets: dict[str, SecretArn] = Field(default_factory=dict[str, SecretArn])
    """Environment variable -> ARN of the Secrets Manager secret or SSM parameter that holds its value."""
    secret_key_arns: tuple[KeyArn, ...] = ()
    """KMS keys of your own under which what is named under `secrets` is encrypted. AWS's own keys need not be named."""

    @model_validator(mode="after")
    def _is_a_legal_task(self) -> Self:
        most_job_queues = (ROLE_ROOM - len(self.send_to)) // ROOM_OF_JOB_QUEUE
        refuse(
            [
                (key, rule, value)
                for wrong, key, rule, value in (
                    (
                        self.image is not None and "image_tag" in self.model_fields_set,
                        "imageTag",
                        "must be left out with image, which is no reference worker",
                        self.image_tag,
                    ),
                    (
                        len(self.submit_to) > most_job_queues,
                        "submitTo",
                        (
                            f"must be at most {most_job_queues} beside {len(self.send_to)} under sendTo, because a role"
                            " has no room for more"
                        ),
                        len(self.submit_to),
                    ),
                    (
                        self.min_tasks > self.max_tasks,
                        "minTasks",
                        f"must be at most maxTasks ({self.max_tasks})",
                        self.min_tasks,
                    ),
                    *(self._on_instances() if self.gpu else self._on_fargate()),
                    *iam.wrong_keys(self.secrets.values(), self.secret_key_arns),
                )
                if wrong
            ]
        )
        return self

    def _on_fargate(self) -> Iterator[tuple[bool, str, str, object]]:
        """Whether a rule of Fargate is broken, its key, what it says and the value got."""
        cpu, memory = self.cpu or FARGATE_CPU, self.memory or FARGATE_MEMORY_MIB
        legal = LEGAL_MEMORY_MIB.get(cpu)
        yield (
            self.instance_types is not None,
            "instanceTypes",
            "must be left out without gpu, because Fargate has no instance types",
            list(self.instance_types or ()),
        )
        yield (
            legal is None,
            "cpu",
            f"must be a size that Fargate offers: {', '.join(map(str, LEGAL_MEMORY_MIB))}",
            cpu,
        )
        if legal is not None:
            yield (
                memory not in legal,
                "memory",
                f"must be a size that Fargate offers with cpu {cpu}: {legal[0]} to {legal[-1]}",
                memory,
            )

    def _on_instances(self) -> Iterator[tuple[bool, str, str, object]]:
        yield (
            self.architecture != "x86_64",
            "architecture",
            "must be x86_64 with gpu, because ECS has an image with NVIDIA's driver for no other",
            self.architecture,
        )

    @property
    def types(self) -> Sequence[str]:
        """The instance types of its workers; none on Fargate."""
        return (self.instance_types or GPU_TYPES) if self.gpu else ()

    def size(self, facts: Mapping[str, InstanceFacts]) -> tuple[int, int]:
        """CPU units and MiB of memory of one worker."""
        cpu, memory = FARGATE_CPU, FARGATE_MEMORY_MIB
        if self.gpu:
            types = [facts[one] for one in self.types]
            cpu = min(one.vcpus * 1024 * self.gpu // one.gpus for one in types)
            memory = min(one.container_memory_mib * self.gpu // one.gpus for one in types)
        return self.cpu or cpu, self.memory or memory

    def zones(self, facts: Mapping[str, InstanceFacts], zones: Zones) -> list[str]:
        """The zones of its instances, of those of the network: those that offer one of its types."""
        return [zone for zone in zones.names if any(zone in facts[one].zones for one in self.types)]

    def preflight(self, path: str, facts: Mapping[str, InstanceFacts], zones: Zones) -> Iterator[Mistake]:
        """Mistakes that only AWS can find: about the instance types."""
        types = [facts[name] for name in self.types]
        if few := {one.instance_type: one.gpus for one in types if one.gpus < self.gpu}:
            yield mistake(f"{path}.instanceTypes", f"must be types with {self.gpu} NVIDIA GPUs or more", few)
        elif without := [one.instance_type for one in types if one.batch_image_type is None]:
            yield mistake(
                f"{path}.instanceTypes",
                "must be x86_64 types whose GPUs ECS's image has a driver for",
                ", ".join(without),
            )
        else:
            # the group starts any of them: a worker that fits some alone would wait beside an instance without room
            for key, asked, most in (
                ("cpu", self.cpu, min((one.vcpus * 1024 for one in types), default=0)),
                ("memory", self.memory, min((one.container_memory_mib for one in types), default=0)),
            ):
                if types and asked is not None and asked > most:
                    rule = f"must be at most {most}, what each of {', '.join(self.types)} can give"
                    yield mistake(f"{path}.{key}", rule, asked)
        for usage_class, share in self._shares:
            if share:
                yield from never_offered(f"{path}.instanceTypes", types, usage_class)
        if types and zones.names and not self.zones(facts, zones):
            yield mistake(
                f"{path}.instanceTypes",
                f"must be offered in {', '.join(zones.names)}, where the instances would be",
                {one.instance_type: sorted(one.zones) for one in types},
            )

    @property
    def _shares(self) -> Sequence[tuple[str, float]]:
        """What EC2 calls each kind of capacity, and its share."""
        return ("on-demand", 1 - self.spot_share), ("spot", self.spot_share)

    def demands(self, path: str, facts: Mapping[str, InstanceFacts]) -> Iterator[quotas.Demand]:
        """The vCPUs that it asks for at most, on demand and on spot."""
        path = f"{path}.maxTasks"
        if not self.gpu:
            vcpus = self.max_tasks * self.size(facts)[0] / 1024
            yield from quotas.of_fargate(path, vcpus * (1 - self.spot_share), vcpus * self.spot_share)
            return
        vcpus = self.max_tasks * max(facts[one].vcpus for one in self.types)
        for usage_class, share in self._shares:
            if share:
                yield from quotas.of_instances(path, self.types, usage_class, math.ceil(vcpus * share))

    def endpoints(self, path: str) -> Needs:
        """What its tasks need where there is no NAT. Fargate needs no endpoint for ECS itself, an instance does.

        ECS developer guide, "Amazon ECS interface VPC endpoints".
        """
        yield path, ("ecr.api", "ecr.dkr", "logs", "sqs")
        if self.gpu:
            yield f"{path}.gpu", ("ecs", "ecs-agent", "ecs-telemetry")
        yield from for_secrets(f"{path}.secrets", self.secrets.values())
        if self.submit_to:
            yield f"{path}.submitTo", ("batch",)

    def missing_queues(self, path: str, queues: Mapping[str, TaskQueueSettings | None]) -> Iterator[Mistake]:
        """Mistakes where the stack file lacks a queue that the workers need; None is a queue with mistakes."""
        if self.queue not in queues:
            yield Mistake(
                path=f"{path}.queue",
                rule="must name a queue under queues",
                got=self.queue,
                meant=near(self.queue, queues),
            )
        if self.image is None and "results" not in queues:
            yield Mistake(
                path="queues.results", rule="is required by the reference worker, which answers there, got nothing"
            )
        if self.image is None and self.queue == "results":
            yield mistake(f"{path}.queue", "must not be the queue that the reference worker answers on", self.queue)
        watched = queues.get(self.queue)
        if watched is not None and watched.visibility_timeout_seconds < SHORTEST_VISIBILITY_SECONDS:
            yield mistake(
                f"queues.{self.queue}.visibilityTimeoutSeconds",
                f"must be at least {SHORTEST_VISIBILITY_SECONDS} for workers, whose heartbeat comes at a third of it",
                watched.visibility_timeout_seconds,
            )


def one_fleet(path: str, section: Any) -> Mistake | None:
    """The mistake of a section that is one fleet instead of fleets by name, as in release 0.1.0; None otherwise."""
    if not isinstance(section, dict):
        return None
    given = cast("dict[str, Any]", section)
    own = {field.alias for field in WorkerSettings.model_fields.values()}
    objects = {"environment", "secrets"}
    if given and not any(key in own and (key in objects or not isinstance(one, dict)) for key, one in given.items()):
        return None
    # not the values, of which one may be a secret that is not to be said
    keys = ", ".join(f"{key}: ..." for key in given)
    return Mistake(path=path, rule=f"must be fleets by name: write `workers: {{workers: {{{keys}}}}}`")


def shared_queues(path: str, fleets: Mapping[str, WorkerSettings]) -> Iterator[Mistake]:
    """Mistakes of fleets that do the tasks of the same queue without `sharesQueue`."""
    for name, fleet in fleets.items():
        others = [other for other, one in fleets.items() if other != name and one.queue == fleet.queue]
        if others and not fleet.shares_queue:
            rule = f"must be another queue than that of {', '.join(others)}, or sharesQueue true in all of them"
            yield mistake(f"{path}.{name}.queue", rule, fleet.queue)
