"""What is tried on nodes of one kind, what it costs at most, and whether that is wanted."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from client import prices, show
from client.errors import TrainError
from client.smoke.check import Check, Finding, Patience, not_checked
from client.smoke.fabric.nccl import NODES, Nodes


@dataclass(frozen=True)
class Trial:
    """An all-reduce between nodes of one kind."""

    name: str
    """The part of the stack whose nodes they are."""
    nodes: Nodes
    obstacle: str
    """Why it cannot be made; empty where it can."""
    find: Callable[[Patience], Iterator[Finding]]
    """Makes it."""


def checks(trials: Sequence[Trial], patience: Patience) -> Iterator[Check]:
    """A check for each trial."""
    if not trials:
        why = "no job queue is for jobs on several nodes, and no EKS group has EFA"
        yield Check("fabric", "nodes communicate over their network", partial(_not_made, why))
    for one in trials:
        network = "EFA, no slower than their type should" if one.nodes.efa_interfaces else "their network"
        find = partial(_not_made, one.obstacle) if one.obstacle else partial(one.find, patience)
        yield Check(one.name, f"nodes communicate over {network}", find)


def ask(trials: Sequence[Trial], seconds: int, *, yes: bool) -> None:
    """Say what is started and what it costs at most; with `yes` nobody is asked.

    Raises:
        TrainError: when it is not wanted.

    """
    types = [one.nodes.instance_type for one in trials]
    costs = [None if (hourly := prices.hourly(one)) is None else NODES * hourly * seconds / 3600 for one in types]
    for one, cost in zip(trials, costs, strict=True):
        amount = "no price is known for it" if cost is None else f"at most ${cost:,.2f}"
        show.hint(f"{one.name}: a job on {NODES} x {one.nodes.instance_type} for {seconds / 60:.0f} minutes: {amount}")
    unknown = " and what has no price" * (None in costs)
    show.hint(
        f"together at most ${sum(filter(None, costs)):,.2f}{unknown}, by list prices of {prices.region()}; a node costs"
        " more for the minutes from the end of its job until it is stopped"
    )
    if yes:
        return
    print("start? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise TrainError("nothing was started")


def _not_made(why: str) -> Iterator[Finding]:
    yield not_checked(why)
