"""Everything that a stack file may hold, with types, checked once before any resource is made."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env
from pydantic import Field, TypeAdapter, ValidationError

from components.accelerators import InstanceFacts, ask_facts
from components.artifacts import ArtifactsSettings
from components.batch import BatchJobQueueSettings
from components.cluster import GpuClusterSettings
from components.deployed import Deployed
from components.fargate_workers import WorkerSettings
from components.iam import Account
from components.network import NetworkSettings, availability_zones
from components.observability import AlertsSettings
from components.schema import Name, Settings, mistake, mistakes
from components.task_queue import RECLAIMS, QueueName, TaskQueueSettings


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
    workers: WorkerSettings | None = None
    """Fargate workers on one of the queues."""
    eks: GpuClusterSettings | None = None
    """The EKS cluster."""
    alerts: AlertsSettings = AlertsSettings()
    """Who is notified when something goes wrong, and the budget."""
    protect: bool = False
    """Whether Pulumi and AWS refuse to delete what cannot be made again, such as the bucket and the cluster."""

    @classmethod
    def load(cls) -> Self:
        """The stack's configuration, checked.

        Raises:
            pulumi.RunError: naming every mistake, a line each.

        """
        raw = _configured()
        wrong: list[str] = []
        right: dict[str, Any] = {}
        for key, value in raw.items():
            if (field := _FIELDS.get(key)) is None:
                wrong.append(f"{key}: is no section of a stack file, must be one of {', '.join(sorted(_FIELDS))}")
                continue
            try:
                # as JSON, so that it can be strict and still take a list for a tuple
                right[key] = field.validate_json(json.dumps(value), strict=True)
            except ValidationError as error:
                wrong += mistakes(key, error.errors())
        wrong += _relations(right, raw)
        if wrong:
            raise pulumi.RunError("\n".join(wrong))
        return cls.model_construct(**right)

    def ask_aws(self) -> "Facts":
        """The facts that AWS gives about the account and about everything that the stack file names.

        Raises:
            pulumi.RunError: naming every setting that AWS cannot satisfy, a line each.

        """
        account = Account.ask()
        zones = [] if self.network.existing else availability_zones()
        used = zones[: self.network.availability_zones]
        named = {f"batch.{name}.instanceTypes": one.instance_types for name, one in self.batch.items()}
        named |= {} if self.eks is None else self.eks.instance_types_named("eks")
        types = ask_facts({instance_type for listed in named.values() for instance_type in listed})
        wrong = [
            mistake(path, f"must be types that {account.region} offers", instance_type)
            for path, listed in named.items()
            for instance_type in listed
            if instance_type not in types
        ]
        if not wrong:
            wrong += [line for name, one in self.batch.items() for line in one.preflight(f"batch.{name}", types, used)]
            wrong += [] if self.eks is None else self.eks.preflight("eks", types)
        wrong += self.network.preflight("network", account.region, zones, self.in_default_group)
        if wrong:
            raise pulumi.RunError("\n".join(wrong))
        return Facts(account=account, zones=used, instance_types=types, deployed=Deployed.ask(pulumi.get_stack()))

    def reclaims(self, queue: str) -> int:
        """How often a message of this queue may be received besides the times that it may fail."""
        return RECLAIMS if self.workers is not None and self.workers.queue == queue else 0

    @property
    def in_default_group(self) -> list[str]:
        """Paths of the job queues whose containers have the VPC's default security group."""
        return [f"batch.{name}" for name, one in self.batch.items() if one.in_default_group]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The facts that AWS gives about the account and about everything that the stack file names."""

    account: Account
    """Where the stack is deployed."""
    zones: Sequence[str]
    """Names of the availability zones to use, in order; empty for an adopted network."""
    instance_types: Mapping[str, InstanceFacts]
    """Instance type -> its facts, for every type that the stack file names."""
    deployed: Deployed
    """What the stack has already."""


_FIELDS: Mapping[str, TypeAdapter[Any]] = {
    field.alias or name: TypeAdapter(cast("Any", field.annotation))
    for name, field in StackSettings.model_fields.items()
}


def _configured() -> dict[str, Any]:
    """The project's own configuration; pulumi.Config reads a key that it knows, and cannot tell which there are."""
    prefix = f"{pulumi.get_project()}:"
    return {
        key.removeprefix(prefix): _parsed(text)
        for key, text in sorted({**get_config_env(), **CONFIG.get()}.items())
        if key.startswith(prefix)
    }


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _relations(right: Mapping[str, Any], raw: Mapping[str, Any]) -> Iterator[str]:
    """Mistakes between sections, each of which is right in itself."""
    workers: WorkerSettings | None = right.get("workers")
    if workers is not None:
        checked: dict[str, TaskQueueSettings] = right.get("queues", {})
        yield from workers.missing_queues("workers", {name: checked.get(name) for name in raw.get("queues") or ()})
    artifacts: ArtifactsSettings | None = right.get("artifacts")
    if right.get("protect") and artifacts is not None and artifacts.force_destroy:
        yield mistake("artifacts.forceDestroy", "must be false together with protect", True)
    eks: GpuClusterSettings | None = right.get("eks")
    if right.get("protect") and eks is not None and any(not one.prefixlen for one in eks.public_access_cidrs):
        yield mistake("eks.publicAccessCidrs", "must not hold 0.0.0.0/0 together with protect", "0.0.0.0/0")
    network: NetworkSettings = right.get("network", NetworkSettings())
    if eks is not None and network.existing is not None and len(network.existing.private_subnet_ids) < 2:
        yield mistake(
            "network.existing.privateSubnetIds",
            "must be two or more for EKS, in different zones",
            list(network.existing.private_subnet_ids),
        )
    if network.existing is None and network.nat_gateways == "none":
        yield from network.missing_endpoints("network", [key for key, section in right.items() if section])
        batch: dict[str, BatchJobQueueSettings] = right.get("batch", {})
        images: dict[str, str | None] = {f"batch.{name}.image": one.image for name, one in batch.items()}
        images["workers.image"] = None if workers is None else workers.image
        for path, image in images.items():
            if image is not None and ".dkr.ecr." not in image:
                yield mistake(path, "must be in ECR with network.natGateways none", image)
        charts = {} if eks is None else {"devicePlugin": eks.device_plugin, "kueue": eks.kueue, "trainer": eks.trainer}
        for key, installed in charts.items():
            if installed:
                yield mistake(
                    f"eks.{key}", "must be false with network.natGateways none: its image is not in ECR", True
                )
