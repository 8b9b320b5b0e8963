"""Everything that a stack file may hold, with types, checked once before any resource is made."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, cast

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env, is_config_secret
from pydantic import Field

from components import quotas
from components.accelerators import InstanceFacts, ask_facts, offered_types
from components.artifacts import ArtifactsSettings
from components.batch import (
    BatchJobQueueSettings,
    DeployedJobQueue,
    Generation,
    environment_names,
    file_system_in_use,
    no_room,
    zones_in_use,
)
from components.cluster import GpuClusterSettings, GpuNodeGroupSettings, RunningCluster
from components.deployed import Deployed
from components.fargate_workers import WorkerSettings, one_fleet, shared_queues
from components.iam import Account, RolesSettings
from components.images import is_in_ecr
from components.logs import LogsSettings
from components.network import DeployedNetwork, EndpointFacts, NetworkFacts, NetworkSettings, Zones, availability_zones
from components.observability import AlertsSettings
from components.schema import Name, Settings, WrongFieldError, as_far_as_right, judged, mistake
from components.task_queue import RECLAIMS, QueueName, TaskQueueSettings, left_out
from components.teams import TeamSettings
from stack_file import configuration
from stack_file.mistakes import NOTHING, Mistake, near
from stack_file.reading import WrongStackFileError


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

    @classmethod
    def load(cls) -> "StackSettings":
        """The stack's configuration, checked.

        Raises:
            pulumi.RunError: naming every mistake; those, too, that AWS finds in what is right.

        """
        configured = _configured()
        raw = _sections(configured)
        origin = configuration.Origin.of(pulumi.get_project(), pulumi.get_stack(), configured)
        wrong = [*origin.mistakes, *configuration.mistakes(pulumi.get_project(), configured)]
        region_is_right = all(one.path != configuration.REGION for one in wrong)
        settings, found = _judged(raw)
        wrong += found
        if wrong and region_is_right:
            wrong += _asked_all_the_same(settings, raw)
        if wrong:
            raise _refusal(wrong, origin)
        return settings

    def ask_aws(self) -> "Facts":
        """The facts that AWS gives about the account and about everything that the stack file names.

        Raises:
            pulumi.RunError: naming every setting that AWS cannot satisfy.

        """
        facts, wrong = _asked(self, _sections(_configured()))
        if wrong:
            raise _refusal(wrong, configuration.Origin.of(pulumi.get_project(), pulumi.get_stack(), _configured()))
        for notice in quotas.notices(facts.account, self._demands(facts.instance_types)):
            pulumi.log.warn(notice)
        for notice in left_out("queues", self.queues, facts.deployed, protect=self.protect):
            pulumi.log.warn(notice)
        return facts

    def _demands(self, types: Mapping[str, InstanceFacts]) -> Iterator[quotas.Demand]:
        for name, one in self.batch.items():
            yield from one.demands(f"batch.{name}")
        for name, fleet in self.workers.items():
            yield from fleet.demands(f"workers.{name}", types)
        if self.eks is not None:
            yield from self.eks.demands("eks", types)

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
        if _without_internet(self):
            return []
        named = [one.image for one in (*self.batch.values(), *self.workers.values()) if one.image is not None]
        return [*named, *(() if self.eks is None else self.eks.images(self.eks.version))]

    @property
    def in_default_group(self) -> list[str]:
        """Paths of the job queues whose containers have the VPC's default security group."""
        return [f"batch.{name}" for name, one in self.batch.items() if one.in_default_group]


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
    other_environments: Mapping[str, Sequence[Generation]]
    """Job queue -> compute environments that are there and that its settings would not make."""
    cluster: RunningCluster
    """What its EKS cluster has already."""


class _Offered(dict[str, InstanceFacts]):
    """Instance type -> its facts; what needs those of a type that is not offered cannot be judged."""

    def __missing__(self, instance_type: str) -> InstanceFacts:
        raise WrongFieldError(instance_type)


_NAMES = {field.alias or name: name for name, field in StackSettings.model_fields.items()}
"""Section -> field."""


def _configured() -> dict[str, Any]:
    """The whole configuration; pulumi.Config reads a key that it knows, and cannot tell which there are."""
    return {key: configuration.parsed(text) for key, text in sorted({**get_config_env(), **CONFIG.get()}.items())}


def _sections(configured: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of the stack file, right or wrong."""
    prefix = f"{pulumi.get_project()}:"
    return {key.removeprefix(prefix): value for key, value in configured.items() if key.startswith(prefix)}


def _refusal(wrong: Iterable[Mistake], origin: configuration.Origin) -> pulumi.RunError:
    """Every mistake, with its place; what is a secret of the configuration is not shown again."""
    secret = [key.removeprefix(f"{pulumi.get_project()}:") for key in _configured() if is_config_secret(key)]
    error = WrongStackFileError(
        replace(one, got=NOTHING) if any(one.is_in(key) for key in secret) else one for one in wrong
    )
    refusal = pulumi.RunError(origin.said(error.mistakes))
    refusal.__cause__ = error
    return refusal


def _judged(raw: Mapping[str, Any]) -> tuple[StackSettings, list[Mistake]]:
    """The sections as far as they are right, and their mistakes, each section's own and those between them."""
    wrong: list[Mistake] = []
    right: dict[str, Any] = {}
    lost: list[str] = []
    for key, value in raw.items():
        if (name := _NAMES.get(key)) is None:
            meant = near(key, _NAMES)
            rule = "is no section of a stack file" + ("" if meant else f", must be one of {', '.join(sorted(_NAMES))}")
            wrong.append(Mistake(path=key, rule=rule, meant=meant, of_key=True))
            continue
        if key == "workers" and (line := one_fleet(key, value)):
            wrong.append(line)
            continue
        section, found = judged(key, StackSettings.model_fields[name].annotation, value)
        wrong += found
        if section is None and found:
            lost.append(name)
        else:
            right[name] = section
    settings = StackSettings.model_construct(**right)
    for name in lost:
        vars(settings).pop(name)
    for relation in RELATIONS:
        wrong += as_far_as_right(relation(settings, raw))
    return settings, wrong


def _asked_all_the_same(settings: StackSettings, raw: Mapping[str, Any]) -> list[Mistake]:
    """What AWS finds in a stack file that is wrong anyway, if it can be asked."""
    try:
        return _asked(settings, raw)[1]
    except Exception as error:
        return [Mistake(path="", rule=f"AWS could not be asked: {' '.join(str(error).split())}")]


def _asked(settings: StackSettings, raw: Mapping[str, Any]) -> tuple[Facts, list[Mistake]]:
    """The facts that AWS gives, and what it cannot satisfy of what is right.

    `raw` are the sections of the stack file, right or wrong.
    """
    account = Account.ask()
    with suppress(WrongFieldError):
        account = replace(account, roles=settings.iam, logs=settings.logs)
    named = dict(_instance_types_named(settings))
    types = _Offered(ask_facts({instance_type for listed in named.values() for instance_type in listed}))
    deployed = Deployed.ask(pulumi.get_stack())
    there, cluster = DeployedJobQueue.ask_all(deployed), RunningCluster.ask(deployed)
    there_now = _deployed_network(settings, account, deployed)
    wrong_network, network = _network(settings, account.region, there_now, _in_one_zone(settings, types))
    zones = network.zones
    unknown = [(path, one) for path, listed in named.items() for one in listed if one not in types]
    offered = offered_types() if unknown else []
    wrong = [
        Mistake(path=path, rule=f"must be types that {account.region} offers", got=one, meant=near(one, offered))
        for path, one in unknown
    ]
    for found in (
        _batch_preflight(settings, types, zones, account.partition),
        _workers_preflight(settings, types, zones),
        # no zones where a setting of the network is wrong in itself
        _eks_preflight(settings, types, zones, cluster, account.region) if zones.names and not wrong_network else (),
        _queues_preflight(settings, account.region),
        _budgets_preflight(settings, account.partition),
        _account_preflight(settings, account, deployed),
        wrong_network,
        _network_lacks(settings, account, zones, there_now),
        *_losses(settings, deployed, there_now),
        _file_system_stays(settings, deployed, there_now, zones),
        _cluster_ends(settings, raw, deployed),
        _job_queues_end(settings, _named(raw, "batch"), there),
        cluster.left_out(_named(raw.get("eks"), "gpuNodeGroups")),
    ):
        wrong += as_far_as_right(found)
    others: dict[str, list[Generation]] = {}
    with suppress(WrongFieldError):
        if not wrong:
            names = _compute_environments(settings, types, account, zones)
            others = {name: one.others(names.get(name, set())) for name, one in there.items()}
            rest = [one for listed in others.values() for one in listed]
            wrong += no_room({name for listed in names.values() for name in listed}, rest)
            wrong += zones_in_use("network", zones.names, rest)
            wrong += () if settings.artifacts.lustre else file_system_in_use("artifacts.lustre", rest)
    facts = Facts(
        account=account,
        network=network,
        instance_types=types,
        deployed=deployed,
        other_environments={name: others.get(name, []) for name in _named(raw, "batch")},
        cluster=cluster,
    )
    return facts, wrong


def _compute_environments(
    settings: StackSettings, types: Mapping[str, InstanceFacts], account: Account, zones: Zones
) -> dict[str, set[str]]:
    """Job queue -> logical names of its compute environments."""
    return {
        name: set(
            environment_names(
                name, one, facts=types, tags=account.tags, zones=zones, lustre=settings.artifacts.lustre is not None
            ).values()
        )
        for name, one in settings.batch.items()
    }


def _instance_types_named(settings: StackSettings) -> Iterator[tuple[str, Sequence[str]]]:
    """Path and value of every setting that names instance types."""
    with suppress(WrongFieldError):
        for name, one in settings.batch.items():
            with suppress(WrongFieldError):
                yield f"batch.{name}.instanceTypes", one.instance_types
    with suppress(WrongFieldError):
        for name, fleet in settings.workers.items():
            with suppress(WrongFieldError):
                yield f"workers.{name}.instanceTypes", fleet.types
    with suppress(WrongFieldError):
        for where, group in settings.eks.groups() if settings.eks else ():
            with suppress(WrongFieldError):
                yield f"eks.{where}.instanceTypes", group.instance_types


def _batch_preflight(
    settings: StackSettings, types: Mapping[str, InstanceFacts], zones: Zones, partition: str
) -> Iterator[Mistake]:
    for name, one in settings.batch.items():
        yield from as_far_as_right(one.preflight(f"batch.{name}", types, zones, partition))


def _workers_preflight(settings: StackSettings, types: Mapping[str, InstanceFacts], zones: Zones) -> Iterator[Mistake]:
    for name, fleet in settings.workers.items():
        yield from as_far_as_right(fleet.preflight(f"workers.{name}", types, zones))


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


def _eks_preflight(
    settings: StackSettings,
    types: Mapping[str, InstanceFacts],
    zones: Zones,
    cluster: RunningCluster,
    region: str,
) -> Iterator[Mistake]:
    if settings.eks is not None:
        yield from settings.eks.preflight("eks", types, zones, cluster, region)


def _budgets_preflight(settings: StackSettings, partition: str) -> Iterator[Mistake]:
    yield from as_far_as_right(settings.alerts.preflight("alerts", partition))
    for name, team in settings.teams.items():
        yield from as_far_as_right(team.preflight(f"teams.{name}", partition))


def _queues_preflight(settings: StackSettings, region: str) -> Iterator[Mistake]:
    for name, one in settings.queues.items():
        yield from as_far_as_right(one.preflight(f"queues.{name}", region))


def _account_preflight(settings: StackSettings, account: Account, deployed: Deployed) -> Iterator[Mistake]:
    yield from as_far_as_right(settings.iam.preflight("iam", account.id))
    yield from as_far_as_right(settings.iam.losses("iam", deployed))
    yield from as_far_as_right(settings.logs.preflight("logs", account.region))


def _network_lacks(
    settings: StackSettings, account: Account, zones: Zones, there: DeployedNetwork
) -> Iterator[Mistake]:
    if settings.network.existing is None:
        yield from settings.network.lacking("network", account, zones.names, there)


def _losses(settings: StackSettings, deployed: Deployed, there: DeployedNetwork) -> Iterator[Iterable[Mistake]]:
    """What would lose what the stack has already, part by part."""
    with suppress(WrongFieldError):
        yield settings.network.losses("network", there)
    with suppress(WrongFieldError):
        yield settings.artifacts.losses("artifacts", deployed)
    with suppress(WrongFieldError):
        yield from [queue.losses(f"queues.{name}", deployed) for name, queue in settings.queues.items()]


def _file_system_stays(
    settings: StackSettings, deployed: Deployed, there: DeployedNetwork, zones: Zones
) -> Iterator[Mistake]:
    """The mistake where the training zone would leave the file system behind."""
    if settings.artifacts.has_file_system(deployed) and there.training_zone not in (None, zones.training):
        yield mistake(
            "network.trainingZone",
            (
                f"must stay {there.training_zone} with artifacts.lustre, which FSx moves to no other zone: take lustre"
                " out and deploy first; what is in the bucket is there again in another one"
            ),
            zones.training,
        )


def _cluster_ends(settings: StackSettings, raw: Mapping[str, Any], deployed: Deployed) -> Iterator[Mistake]:
    if "eks" not in raw and settings.protect and (clusters := deployed.of("eks", "eks:cluster")):
        name = clusters[0].rpartition("/")[2]
        yield Mistake(
            path="eks", rule=f"must stay in the stack file while protect is true, because of the cluster {name}"
        )


def _job_queues_end(
    settings: StackSettings, job_queues: Collection[str], there: Mapping[str, DeployedJobQueue]
) -> Iterator[Mistake]:
    for name, queue in there.items():
        if name not in job_queues:
            yield from queue.refused(f"batch.{name}", None)
        elif name in settings.batch:
            with suppress(WrongFieldError):
                yield from queue.refused(f"batch.{name}", settings.batch[name].is_shared)


def _queues_of_workers(settings: StackSettings, raw: Mapping[str, Any]) -> Iterator[Mistake]:
    queues = {name: settings.queues.get(name) for name in _named(raw, "queues")}
    for name, fleet in settings.workers.items():
        yield from as_far_as_right(fleet.missing_queues(f"workers.{name}", queues))
    yield from shared_queues("workers", settings.workers)


def _queues_to_send_to(settings: StackSettings, raw: Mapping[str, Any]) -> Iterator[Mistake]:
    senders = {f"workers.{name}": one for name, one in settings.workers.items()}
    senders |= {f"batch.{name}": one for name, one in settings.batch.items()}
    senders |= {} if settings.eks is None else {"eks": settings.eks}
    for path, one in senders.items():
        with suppress(WrongFieldError):
            yield from _missing(f"{path}.sendTo", one.send_to, "queues", raw)


def _job_queues_to_submit_to(settings: StackSettings, raw: Mapping[str, Any]) -> Iterator[Mistake]:
    for name, fleet in settings.workers.items():
        with suppress(WrongFieldError):
            yield from _missing(f"workers.{name}.submitTo", fleet.submit_to, "batch", raw)


def _missing(path: str, named: Sequence[str], section: str, raw: Mapping[str, Any]) -> Iterator[Mistake]:
    there = _named(raw, section)
    for one in named:
        if one not in there:
            yield Mistake(path=path, rule=f"must name what is under {section}", got=one, meant=near(one, there))


def _named(raw: object, section: str) -> list[str]:
    """The names that a section has, right or wrong."""
    found = cast("Mapping[str, Any]", raw).get(section) if isinstance(raw, dict) else None
    return [*cast("Mapping[str, Any]", found)] if isinstance(found, dict) else []


def _what_is_protected(settings: StackSettings, _raw: Mapping[str, Any]) -> Iterator[Mistake]:
    if settings.protect and settings.artifacts.force_destroy:
        yield mistake("artifacts.forceDestroy", "must be false together with protect", True)


def _who_reaches_what_is_protected(settings: StackSettings, _raw: Mapping[str, Any]) -> Iterator[Mistake]:
    if settings.protect and settings.eks and any(not one.prefixlen for one in settings.eks.public_access_cidrs):
        yield mistake("eks.publicAccessCidrs", "must not hold 0.0.0.0/0 together with protect", "0.0.0.0/0")


def _subnets_of_the_cluster(settings: StackSettings, _raw: Mapping[str, Any]) -> Iterator[Mistake]:
    existing = settings.network.existing
    if settings.eks is not None and existing is not None and len(existing.private_subnet_ids) < 2:
        yield mistake(
            "network.existing.privateSubnetIds",
            "must be two or more for EKS, in different zones",
            list(existing.private_subnet_ids),
        )


def _endpoints_without_nat(settings: StackSettings, _raw: Mapping[str, Any]) -> Iterator[Mistake]:
    if not _without_internet(settings):
        return
    needs: list[tuple[str, Sequence[str]]] = []
    with suppress(WrongFieldError):
        for name, one in settings.batch.items():
            needs += one.endpoints(f"batch.{name}")
    with suppress(WrongFieldError):
        for name, fleet in settings.workers.items():
            needs += fleet.endpoints(f"workers.{name}")
    with suppress(WrongFieldError):
        needs += settings.eks.endpoints("eks") if settings.eks else ()
    yield from settings.network.missing_endpoints("network", needs)


def _without_internet(settings: StackSettings) -> bool:
    return settings.network.existing is None and settings.network.nat_gateways == "none"


def _images_without_nat(settings: StackSettings, _raw: Mapping[str, Any]) -> Iterator[Mistake]:
    if not _without_internet(settings):
        return
    images: dict[str, str | None] = {f"batch.{name}.image": one.image for name, one in settings.batch.items()}
    images |= {f"workers.{name}.image": one.image for name, one in settings.workers.items()}
    for path, image in images.items():
        if image is not None and not is_in_ecr(image):
            yield mistake(path, "must be in ECR with network.natGateways none, such as repository:TAG", image)


def _charts_without_nat(settings: StackSettings, _raw: Mapping[str, Any]) -> Iterator[Mistake]:
    if settings.eks is None or not _without_internet(settings):
        return
    image_registry = settings.eks.image_registry
    if image_registry is None or not is_in_ecr(image_registry):
        rule = (
            "must be in ECR with network.natGateways none, with copies of the images of the cluster's software"
            " (python -m tools.images)"
        )
        yield mistake("eks.imageRegistry", rule, image_registry)


def _what_teams_share(settings: StackSettings, raw: Mapping[str, Any]) -> Iterator[Mistake]:
    shared = [f"batch.{name}" for name, one in settings.batch.items() if one.fair_share_by_team]
    teams = _named(raw, "teams")
    if teams and settings.eks is None and not shared:
        rule = "must come with eks or a job queue with fairShareByTeam, as there is nothing else to share"
        yield mistake("teams", rule, teams)
    if teams and settings.eks is not None and not settings.eks.kueue:
        yield mistake("eks.kueue", "must be true with teams, who share its nodes by it", False)
    for path in shared if not teams else ():
        yield mistake(f"{path}.fairShareByTeam", "must be false without teams", True)
    for name in teams if shared else ():
        if "-" in name:
            rule = (
                f"must be letters and digits with {shared[0]}.fairShareByTeam, since a share of Batch has no other name"
            )
            yield replace(mistake(f"teams.{name}", rule, name), of_key=True)


def _people_of_teams(settings: StackSettings, _raw: Mapping[str, Any]) -> Iterator[Mistake]:
    for name, team in settings.teams.items():
        with suppress(WrongFieldError):
            if team.principal_arns and settings.eks is None:
                rule = "must be left out without eks, the only part that they get rights in"
                yield mistake(f"teams.{name}.principalArns", rule, list(team.principal_arns))


RELATIONS = (
    _queues_of_workers,
    _queues_to_send_to,
    _job_queues_to_submit_to,
    _what_is_protected,
    _who_reaches_what_is_protected,
    _subnets_of_the_cluster,
    _endpoints_without_nat,
    _images_without_nat,
    _charts_without_nat,
    _what_teams_share,
    _people_of_teams,
)
"""Rules between sections, each of which is right in itself; one that needs what is wrong ends there."""
