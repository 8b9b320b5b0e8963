"""The settings of a stack: its sections, and what is asked of all of them together."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from pydantic import Field

from components import quotas
from components.accelerators import InstanceFacts
from components.artifacts import ArtifactsSettings
from components.batch import BatchJobQueueSettings
from components.cluster import GpuClusterSettings
from components.fargate_workers import WorkerSettings
from components.iam import RolesSettings
from components.logs import LogsSettings
from components.network import NetworkSettings
from components.observability import AlertsSettings
from components.schema import Name, Settings, WrongFieldError
from components.task_queue import RECLAIMS, QueueName, TaskQueueSettings
from components.teams import TeamSettings


class StackSettings(Settings):
    """A stack file. A section that is left out is not deployed; network, artifacts and alerts always are."""

    network: NetworkSettings = NetworkSettings()
    """The network: a new VPC, or one that you already have."""
    artifacts: ArtifactsSettings = ArtifactsSettings()
    """The bucket and the image repository."""
    queues: dict[QueueName, TaskQueueSettings] = Field(default_factory=dict[str, TaskQueueSettings])
    """Work queues by name."""
    batch: dict[Name, BatchJobQueueSettings] = Field(default_factory=dict[str, BatchJobQueueSettings])
    """Batch job queues by name."""
    workers: dict[Name, WorkerSettings] = Field(default_factory=dict[str, WorkerSettings])
    """Fleets of workers by name, on Fargate or with GPUs, each on one of the queues."""
    eks: GpuClusterSettings | None = None
    """The EKS cluster."""
    teams: dict[Name, TeamSettings] = Field(default_factory=dict[str, TeamSettings])
    """Teams by name, who share the cluster and the job queues that say so."""
    alerts: AlertsSettings = AlertsSettings()
    """Who is notified when something goes wrong, and the budget."""
    iam: RolesSettings = RolesSettings()
    """Boundary and path of the stack's roles."""
    logs: LogsSettings = LogsSettings()
    """How long logs are kept, and under which key."""
    protect: bool = False
    """Whether Pulumi and AWS refuse to delete what cannot be made again, such as the bucket and the cluster."""

    def reclaims(self, queue: str) -> int:
        """How often a message of this queue may be received besides the times that it may fail.

        Only the reference worker counts failures itself.
        """
        counting = (fleet.queue for fleet in self.workers.values() if fleet.image is None)
        return RECLAIMS if queue in counting else 0

    @property
    def images(self) -> list[str]:
        """Names of the images that its parts have pulled, as far as a cache can serve them.

        Without NAT there is none: ECR needs a way to the internet when it first fetches an image for a VPC with
        endpoints (ECR user guide, "interface VPC endpoints", considerations).
        """
        if self.without_internet:
            return []
        named = [one.image for one in (*self.batch.values(), *self.workers.values()) if one.image is not None]
        return [*named, *(() if self.eks is None else self.eks.images(self.eks.version))]

    @property
    def in_default_group(self) -> list[str]:
        """Paths of the job queues whose containers have the VPC's default security group."""
        return [f"batch.{name}" for name, one in self.batch.items() if one.in_default_group]

    @property
    def without_internet(self) -> bool:
        """Whether nothing in the network reaches the internet: a network of the stack's own without NAT."""
        return self.network.existing is None and self.network.nat_gateways == "none"

    def demands(self, types: Mapping[str, InstanceFacts]) -> Iterator[quotas.Demand]:
        """The vCPUs that its parts ask for at most; `types` are the facts of all instance types that it names."""
        for name, one in self.batch.items():
            yield from one.demands(f"batch.{name}")
        for name, fleet in self.workers.items():
            yield from fleet.demands(f"workers.{name}", types)
        if self.eks is not None:
            yield from self.eks.demands("eks", types)

    def instance_types(self) -> Iterator[tuple[str, Sequence[str]]]:
        """Path and value of every setting that names instance types, as far as they are right."""
        with suppress(WrongFieldError):
            for name, one in self.batch.items():
                with suppress(WrongFieldError):
                    yield f"batch.{name}.instanceTypes", one.instance_types
        with suppress(WrongFieldError):
            for name, fleet in self.workers.items():
                with suppress(WrongFieldError):
                    yield f"workers.{name}.instanceTypes", fleet.types
        with suppress(WrongFieldError):
            for where, group in self.eks.groups() if self.eks else ():
                with suppress(WrongFieldError):
                    yield f"eks.{where}.instanceTypes", group.instance_types
