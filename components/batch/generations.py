"""What AWS has of a job queue before this deployment: the queue, and the generations of its compute environments.

An environment whose instances would have to change is not changed: another one is made beside it, and the queue gives
its jobs to that. The old one drains: it takes no job, and is deleted by the first deployment that finds it empty.
"""

from collections.abc import Collection, Iterable, Iterator, Set
from dataclasses import dataclass, field
from typing import Self

from pulumi_aws import batch, ecs

from components.deployed import Deployed, if_there
from components.schema import mistake
from stack_file.mistakes import Mistake

MOST_IN_A_REGION = 50
"""AWS Batch, "Service quotas": compute environments of a region; it cannot be raised."""

NAME_TAG = "distributed-training:name"
"""Tag of a compute environment: its logical name, which an upgrade may change while its physical name stays."""
NEEDS_TAG = "distributed-training:needs"
"""Tag of a compute environment: what its instances use that not all instances use, separated by spaces."""
NEARBY, PLACEMENT, MOUNTED = "nearby", "placement", "lustre"
"""Values in that tag: rules by which instances reach each other, a placement group, the file system; the rest are
zones."""


@dataclass(frozen=True, kw_only=True)
class Generation:
    """A compute environment that is there."""

    name: str
    """Its logical name."""
    enabled: bool
    """Whether it takes jobs."""
    tasks: int
    """Containers that run in it or are about to."""
    needs: frozenset[str] = frozenset()
    """What must stay as long as it does (`NEEDS_TAG`)."""

    @classmethod
    def ask(cls, physical_name: str) -> Self | None:
        """Ask AWS for it; None when it is gone or going."""
        found = if_there(lambda: batch.get_compute_environment(name=physical_name))
        if found is None or found.status in ("DELETING", "DELETED"):
            return None
        arn = found.ecs_cluster_arn
        cluster = if_there(lambda: ecs.get_cluster(cluster_name=arn)) if arn else None
        return cls(
            name=found.tags.get(NAME_TAG) or _logical(physical_name),
            enabled=found.state == "ENABLED",
            tasks=0 if cluster is None else cluster.running_tasks_count + cluster.pending_tasks_count,
            needs=frozenset(found.tags.get(NEEDS_TAG, "").split()),
        )


@dataclass(frozen=True, kw_only=True)
class DeployedJobQueue:
    """A job queue that is there; of a new one nothing is."""

    name: str | None = None
    """Physical name of the queue, if it is there."""
    enabled: bool = False
    """Whether it takes jobs."""
    fair_share: bool = False
    """Whether its jobs share by weight."""
    environments: frozenset[str] = field(default_factory=frozenset[str])
    """Physical names of its compute environments, also of those that it gives no job any more."""

    @classmethod
    def ask(cls, deployed: Deployed, path: str) -> Self:
        """Ask AWS for what there is of a path in the stack file."""
        environments = {_name(arn) for arn in deployed.of(path, "batch:compute-environment")}
        for arn in deployed.of(path, "batch:job-queue"):
            name = _name(arn)
            queue = if_there(lambda name=name: batch.get_job_queue(name=name))
            if queue is not None and queue.status not in ("DELETING", "DELETED"):
                # the tags of an environment that was made a moment ago may not be found yet
                environments |= {_name(one.compute_environment) for one in queue.compute_environment_orders}
                return cls(
                    name=queue.name,
                    enabled=queue.state == "ENABLED",
                    fair_share=bool(queue.scheduling_policy_arn),
                    environments=frozenset(environments),
                )
        return cls(environments=frozenset(environments))

    @classmethod
    def ask_all(cls, deployed: Deployed) -> dict[str, Self]:
        """Name in the stack file -> what there is of it, also of what the stack file no longer has."""
        return {
            path.removeprefix("batch."): cls.ask(deployed, path) for path in deployed.arns if path.startswith("batch.")
        }

    def others(self, names: Set[str]) -> list[Generation]:
        """Its compute environments, except those with these logical names."""
        asked = (Generation.ask(one) for one in sorted(self.environments) if _logical(one) not in names)
        found = [one for one in asked if one is not None and one.name not in names]
        # of two with one name, which a broken off deployment may leave, the one that still has something to do
        return list({one.name: one for one in sorted(found, key=lambda one: (one.tasks, one.enabled))}.values())

    def refused(self, path: str, fair_share: bool | None) -> Iterator[Mistake]:
        """The mistake in a stack file that would end jobs, because their queue goes or is made anew.

        `fair_share`: whether the queue has it there; None where the queue is left out.
        """
        if fair_share is not None and (self.name is None or fair_share == self.fair_share):
            return
        tasks = sum(one.tasks for one in self.others(set()))
        if self.enabled or tasks:
            close = f"aws batch update-job-queue --job-queue {self.name} --state DISABLED"
            yield mistake(
                path if fair_share is None else f"{path}.fairShare",
                (
                    "must stay as it is while the queue may have jobs, because they end with it: "
                    f"give new jobs to another queue, close this one ({close}), and wait until it has none"
                ),
                {"state": "ENABLED" if self.enabled else "DISABLED", "tasks": tasks},
            )


def no_room(wanted: Set[str], others: Iterable[Generation]) -> Iterator[Mistake]:
    """The mistake in a stack file that makes more compute environments than a region can have.

    A deployment would end in the middle, and never come to delete those that are empty.
    """
    together = {*wanted, *(one.name for one in others)}
    if len(together) > MOST_IN_A_REGION:
        yield mistake(
            "batch",
            (
                f"must need at most {MOST_IN_A_REGION} compute environments with those that drain, because a region "
                "has no more: name fewer kinds of capacity, or change fewer queues at once"
            ),
            len(together),
        )


def zones_in_use(path: str, zones: Collection[str], others: Iterable[Generation]) -> Iterator[Mistake]:
    """The mistake in a stack file that takes away a zone where tasks run: AWS deletes no subnet that is in use."""
    for one in others:
        if one.tasks and (gone := sorted(one.needs - {NEARBY, PLACEMENT, MOUNTED, *zones})):
            yield mistake(
                path,
                f"must leave {', '.join(gone)} in the stack file until the tasks in {one.name} have ended",
                one.tasks,
            )


def file_system_in_use(path: str, others: Iterable[Generation]) -> Iterator[Mistake]:
    """The mistake in a stack file without the file system while tasks have it mounted: they would hang."""
    if using := {one.name: one.tasks for one in others if one.tasks and MOUNTED in one.needs}:
        yield mistake(path, "must stay in the stack file until the tasks that have it mounted have ended", using)


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]


def _logical(physical_name: str) -> str:
    return physical_name.rpartition("-")[0]
