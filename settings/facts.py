"""The facts that AWS gives about the account, about what the stack file names, and about what the stack has already.

They are asked for once, before anything is registered; what they rule out is in `settings/checks.py`.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pulumi

from components.accelerators import InstanceFacts, ask_facts
from components.batch import BatchJobQueueSettings, DeployedJobQueue, Generation, environment_names
from components.cluster import GpuNodeGroupSettings, RunningCluster
from components.deployed import Deployed
from components.iam import Account
from components.network import DeployedNetwork, EndpointFacts, NetworkFacts, Zones, availability_zones
from components.schema import WrongFieldError
from settings.stack import StackSettings
from stack_file.mistakes import Mistake


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The facts that AWS gives about the account and about everything that the stack file names."""

    account: Account
    """Where the stack is deployed."""
    network: NetworkFacts
    """The network's zones and endpoints."""
    instance_types: Mapping[str, InstanceFacts]
    """Instance type -> its facts, for every type that the stack file names."""
    deployed: Deployed
    """What the stack has already."""
    cluster: RunningCluster
    """What its EKS cluster has already."""
    other_environments: Mapping[str, Sequence[Generation]] = field(default_factory=dict[str, Sequence[Generation]])
    """Job queue -> compute environments that are there and that its settings would not make; empty until asked for."""
    job_queues: Mapping[str, DeployedJobQueue]
    """Job queue -> what it has already."""
    deployed_network: DeployedNetwork
    """What its network has already."""
    network_mistakes: Sequence[Mistake]
    """What AWS finds wrong with the network, whose zones are then not all known."""

    @classmethod
    def ask(cls, settings: StackSettings) -> "Facts":
        """Ask AWS; of settings that are wrong in part, about what is right."""
        account = Account.ask()
        with suppress(WrongFieldError):
            account = replace(account, roles=settings.iam, logs=settings.logs)
        named = {instance_type for _, listed in settings.instance_types() for instance_type in listed}
        types = _Offered(ask_facts(named))
        deployed = Deployed.ask(pulumi.get_stack())
        job_queues, cluster = DeployedJobQueue.ask_all(deployed), RunningCluster.ask(deployed)
        there = _deployed_network(settings, account, deployed)
        wrong, network = _network(settings, account.region, there, _in_one_zone(settings, types))
        return cls(
            account=account,
            network=network,
            instance_types=types,
            deployed=deployed,
            cluster=cluster,
            job_queues=job_queues,
            deployed_network=there,
            network_mistakes=wrong,
        )

    def with_other_environments(self, settings: StackSettings) -> "Facts":
        """The same with `other_environments`: AWS can be asked for them once everything that is named is there."""
        wanted = compute_environments(settings, self)
        others = {name: one.others(wanted.get(name, set())) for name, one in self.job_queues.items()}
        return replace(self, other_environments={**dict.fromkeys(settings.batch, ()), **others})


def compute_environments(settings: StackSettings, facts: Facts) -> dict[str, set[str]]:
    """Job queue -> logical names of the compute environments that its settings make."""
    return {
        name: set(
            environment_names(
                name,
                one,
                facts=facts.instance_types,
                tags=facts.account.tags,
                zones=facts.network.zones,
                lustre=settings.artifacts.lustre is not None,
            ).values()
        )
        for name, one in settings.batch.items()
    }


class _Offered(dict[str, InstanceFacts]):
    """Instance type -> its facts; what needs those of a type that is not offered cannot be judged."""

    def __missing__(self, instance_type: str) -> InstanceFacts:
        raise WrongFieldError(instance_type)


def _in_one_zone(settings: StackSettings, types: Mapping[str, InstanceFacts]) -> dict[str, frozenset[str]]:
    """Path of what must be in the training zone -> zones that offer one of its types."""
    parts: list[tuple[str, BatchJobQueueSettings | GpuNodeGroupSettings]] = []
    with suppress(WrongFieldError):
        parts += [(f"batch.{name}", one) for name, one in settings.batch.items()]
    with suppress(WrongFieldError):
        groups = settings.eks.gpu_node_groups if settings.eks else {}
        parts += [(f"eks.gpuNodeGroups.{name}", one) for name, one in groups.items()]
    offering: dict[str, frozenset[str]] = {}
    for path, one in parts:
        with suppress(WrongFieldError):
            if one.in_training_zone:
                offering[path] = frozenset[str]().union(*(types[each].zones for each in one.instance_types))
    return offering


def _deployed_network(settings: StackSettings, account: Account, deployed: Deployed) -> DeployedNetwork:
    cidr = None
    with suppress(WrongFieldError):
        cidr = settings.network.cidr if settings.network.existing is None else None
    return DeployedNetwork.ask(deployed, account=account, cidr=cidr)


def _network(
    settings: StackSettings, region: str, there: DeployedNetwork, needs: Mapping[str, frozenset[str]]
) -> tuple[list[Mistake], NetworkFacts]:
    """What is wrong with the network, and its facts as far as they are right."""
    in_default_group: list[str] = []
    with suppress(WrongFieldError):
        in_default_group = settings.in_default_group
    wrong: list[Mistake] = []
    zones = Zones()
    with suppress(WrongFieldError):
        network = settings.network
        known = [] if network.existing else availability_zones()
        wrong += network.preflight("network", region, known, there, in_default_group)
        if network.existing is None or not wrong:
            zones = network.choose(known, there, needs)
            wrong += network.training_mistakes("network", region, known, zones, needs)
    services: dict[str, EndpointFacts] = {}
    with suppress(WrongFieldError):
        services = EndpointFacts.ask_all(settings.network.interface_endpoints, region)
        wrong += settings.network.without_endpoint("network", region, services)
    return wrong, NetworkFacts(zones=zones, services=services)
