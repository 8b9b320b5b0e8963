"""What AWS cannot satisfy of a stack file, and what a deployment of it would lose.

What can be known without AWS is in the sections' own models and in `settings/relations.py`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from components.accelerators import offered_types
from components.batch import file_system_in_use, no_room, zones_in_use
from components.schema import WrongFieldError, as_far_as_right, mistake
from settings.facts import Facts, compute_environments
from settings.sections import named
from settings.stack import StackSettings
from stack_file.mistakes import Mistake, near

Check = Callable[[StackSettings, Mapping[str, Any], Facts], Iterator[Mistake]]
"""A check, of the settings as far as they are right, the sections as they stand, and the facts -> its mistakes.

It ends at the first setting that it needs and that is wrong.
"""


def mistakes(settings: StackSettings, raw: Mapping[str, Any], facts: Facts) -> list[Mistake]:
    """All that AWS cannot satisfy."""
    return [one for check in CHECKS for one in as_far_as_right(check(settings, raw, facts))]


def draining(settings: StackSettings, facts: Facts) -> Iterator[Mistake]:
    """What must stay for the compute environments that are there besides those of the settings."""
    rest = [one for listed in facts.other_environments.values() for one in listed]
    wanted = {name for listed in compute_environments(settings, facts).values() for name in listed}
    yield from no_room(wanted, rest)
    yield from zones_in_use("network", facts.network.zones.names, rest)
    if settings.artifacts.lustre is None:
        yield from file_system_in_use("artifacts.lustre", rest)


def _offered(settings: StackSettings, _raw: Mapping[str, Any], facts: Facts) -> Iterator[Mistake]:
    unknown = [
        (path, one) for path, listed in settings.instance_types() for one in listed if one not in facts.instance_types
    ]
    offered = offered_types() if unknown else []
    for path, one in unknown:
        rule = f"must be types that {facts.account.region} offers"
        yield Mistake(path=path, rule=rule, got=one, meant=near(one, offered))


def _batch(settings: StackSettings, _raw: Mapping[str, Any], facts: Facts) -> Iterator[Mistake]:
    for name, one in settings.batch.items():
        yield from as_far_as_right(
            one.preflight(f"batch.{name}", facts.instance_types, facts.network.zones, facts.account.partition)
        )


def _workers(settings: StackSettings, _raw: Mapping[str, Any], facts: Facts) -> Iterator[Mistake]:
    for name, fleet in settings.workers.items():
        yield from as_far_as_right(fleet.preflight(f"workers.{name}", facts.instance_types, facts.network.zones))


def _eks(settings: StackSettings, _raw: Mapping[str, Any], facts: Facts) -> Iterator[Mistake]:
    zones = facts.network.zones
    # no zones where a setting of the network is wrong in itself
    if settings.eks is not None and zones.names and not facts.network_mistakes:
        yield from settings.eks.preflight("eks", facts.instance_types, zones, facts.cluster, facts.account.region)


def _queues(settings: StackSettings, _raw: Mapping[str, Any], facts: Facts) -> Iterator[Mistake]:
    for name, one in settings.queues.items():
        yield from as_far_as_right(one.preflight(f"queues.{name}", facts.account.region))


def _budgets(settings: StackSettings, _raw: Mapping[str, Any], facts: Facts) -> Iterator[Mistake]:
    yield from as_far_as_right(settings.alerts.preflight("alerts", facts.account.partition))
    for name, team in settings.teams.items():
        yield from as_far_as_right(team.preflight(f"teams.{name}", facts.account.partition))


def _account(settings: StackSettings, _raw: Mapping[str, Any], facts: Facts) -> Iterator[Mistake]:
    yield from as_far_as_right(settings.iam.preflight("iam", facts.account.id))
    yield from as_far_as_right(settings.iam.losses("iam", facts.deployed))
    yield from as_far_as_right(settings.logs.preflight("logs", facts.account.region))


def _network(settings: StackSettings, _raw: Mapping[str, Any], facts: Facts) -> Iterator[Mistake]:
    yield from facts.network_mistakes
    if settings.network.existing is None:
        there = facts.deployed_network
        yield from settings.network.lacking("network", facts.account, facts.network.zones.names, there)


def _losses(settings: StackSettings, _raw: Mapping[str, Any], facts: Facts) -> Iterator[Mistake]:
    with suppress(WrongFieldError):
        yield from settings.network.losses("network", facts.deployed_network)
    with suppress(WrongFieldError):
        yield from settings.artifacts.losses("artifacts", facts.deployed)
    for name, queue in settings.queues.items():
        yield from as_far_as_right(queue.losses(f"queues.{name}", facts.deployed))


def _file_system_stays(settings: StackSettings, _raw: Mapping[str, Any], facts: Facts) -> Iterator[Mistake]:
    was, will_be = facts.deployed_network.training_zone, facts.network.zones.training
    if settings.artifacts.has_file_system(facts.deployed) and was not in (None, will_be):
        yield mistake(
            "network.trainingZone",
            (
                f"must stay {was} with artifacts.lustre, which FSx moves to no other zone: take lustre"
                " out and deploy first; what is in the bucket is there again in another one"
            ),
            will_be,
        )


def _cluster_stays(settings: StackSettings, raw: Mapping[str, Any], facts: Facts) -> Iterator[Mistake]:
    if "eks" not in raw and settings.protect and (clusters := facts.deployed.of("eks", "eks:cluster")):
        name = clusters[0].rpartition("/")[2]
        yield Mistake(
            path="eks", rule=f"must stay in the stack file while protect is true, because of the cluster {name}"
        )


def _job_queues_stay(settings: StackSettings, raw: Mapping[str, Any], facts: Facts) -> Iterator[Mistake]:
    for name, queue in facts.job_queues.items():
        if name not in named(raw, "batch"):
            yield from queue.refused(f"batch.{name}", None)
        elif name in settings.batch:
            with suppress(WrongFieldError):
                yield from queue.refused(f"batch.{name}", settings.batch[name].is_shared)


def _node_groups_stay(_settings: StackSettings, raw: Mapping[str, Any], facts: Facts) -> Iterator[Mistake]:
    yield from facts.cluster.left_out(named(raw.get("eks"), "gpuNodeGroups"))


CHECKS: Sequence[Check] = (
    _offered,
    _batch,
    _workers,
    _eks,
    _queues,
    _budgets,
    _account,
    _network,
    _losses,
    _file_system_stays,
    _cluster_stays,
    _job_queues_stay,
    _node_groups_stay,
)
"""Every check; the functions above in their order."""
