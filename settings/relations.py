"""The rules between sections, each of which is right in itself.

What a section must not say by itself, its own model checks; what only AWS can find is in `settings/checks.py`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from components.fargate_workers import shared_queues
from components.images import is_in_ecr
from components.schema import WrongFieldError, as_far_as_right, mistake
from settings.sections import named
from settings.stack import StackSettings
from stack_file.mistakes import Mistake, near

Relation = Callable[[StackSettings, Mapping[str, Any]], Iterator[Mistake]]
"""A rule, of the settings as far as they are right and the sections as they stand -> its mistakes.

It ends at the first setting that it needs and that is wrong.
"""


def _queues_of_workers(settings: StackSettings, raw: Mapping[str, Any]) -> Iterator[Mistake]:
    queues = {name: settings.queues.get(name) for name in named(raw, "queues")}
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


def _missing(path: str, wanted: Sequence[str], section: str, raw: Mapping[str, Any]) -> Iterator[Mistake]:
    there = named(raw, section)
    for one in wanted:
        if one not in there:
            yield Mistake(path=path, rule=f"must name what is under {section}", got=one, meant=near(one, there))


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
    if not settings.without_internet:
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


def _images_without_nat(settings: StackSettings, _raw: Mapping[str, Any]) -> Iterator[Mistake]:
    if not settings.without_internet:
        return
    images: dict[str, str | None] = {f"batch.{name}.image": one.image for name, one in settings.batch.items()}
    images |= {f"workers.{name}.image": one.image for name, one in settings.workers.items()}
    for path, image in images.items():
        if image is not None and not is_in_ecr(image):
            yield mistake(path, "must be in ECR with network.natGateways none, such as repository:TAG", image)


def _charts_without_nat(settings: StackSettings, _raw: Mapping[str, Any]) -> Iterator[Mistake]:
    if settings.eks is None or not settings.without_internet:
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
    teams = named(raw, "teams")
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


RELATIONS: Sequence[Relation] = (
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
"""Every rule between sections; the functions above in their order."""
