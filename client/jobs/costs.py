"""`train job cost`: what the instances of a job have cost while it ran."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client import prices, show, stack
from client.jobs.job import Described, find, nodes_of, queue_of, when
from client.stack import Stack

SPOT = "SPOT"
MILLISECONDS_PER_HOUR = 3_600_000
COLUMNS = {
    "node": "node",
    "attempt": "attempt",
    "instanceTypes": "instance type",
    "started": "started",
    "hours": "hours",
    "usd": "US dollars",
}


@dataclass(frozen=True)
class Environment:
    """A compute environment, in which an attempt may have run."""

    cluster: str
    """Name of its ECS cluster."""
    instance_types: Sequence[str]
    spot: bool
    own: bool
    """Whether it takes jobs of the queue now; another one drains, or is of another queue."""


def run(name: str | None, path: Path | None, job_id: str, *, as_json: bool) -> int:
    """Show what each attempt of each node has cost, and the sum.

    Raises:
        TrainError: when there is none of this id in the stack.

    """
    with stack.opened(name, path) as opened:
        job, now = find(opened, job_id), time.time() * 1000
        there = _environments(opened, queue_of(opened, job))
        nodes = nodes_of(opened.client("batch"), job)
        rows = [row for number, node in nodes.items() for row in _attempts(node, number, there, now)]
        notes = list(_notes(rows, opened.outputs.region))
    known = [row["usd"] for row in rows if row["usd"] is not None]
    total = None if rows and not known else round(sum(known), 4)
    at_most = any(row["spot"] is not False or len(row["instanceTypes"]) > 1 for row in rows)
    if as_json:
        document = {"job": job_id, "usd": total, "atMost": at_most, "notes": notes, "attempts": rows}
        show.one(document, "", as_json=True)
        return 0
    show.rows(rows, COLUMNS, as_json=False)
    told = f" ({'; '.join(notes)})" if notes else ""
    amount = "unknown" if total is None else f"{'at most' if at_most else 'about'} ${total:,.2f}"
    show.one({}, f"{amount}{told}", as_json=False)
    return 0


def _environments(opened: Stack, queue: str) -> list[Environment]:
    """All compute environments of the account: one that only drains is no longer the queue's."""
    own = opened.outputs.batch_compute_environment_arns[queue]
    pages = opened.client("batch").get_paginator("describe_compute_environments").paginate()
    return [
        Environment(
            one.get("ecsClusterArn", "").rpartition("/")[2],
            one["computeResources"].get("instanceTypes", []),
            spot=one["computeResources"]["type"] == SPOT,
            own=one["computeEnvironmentArn"] in own,
        )
        for page in pages
        for one in page["computeEnvironments"]
        if "computeResources" in one
    ]


def _attempts(node: Described, number: int, there: Sequence[Environment], now: float) -> Iterator[dict[str, Any]]:
    """What each attempt of a node has cost; while one runs, until now."""
    attempts: list[dict[str, Any]] = [*node.get("attempts", [])]
    # an attempt is listed when it has ended; of a node perhaps not even then
    if all("stoppedAt" in one for one in attempts) and (node["status"] == "RUNNING" or not attempts):
        attempts.append({key: node[key] for key in ("startedAt", "stoppedAt", "container") if key in node})
    for count, one in enumerate(attempts, start=1):
        if not one.get("startedAt"):
            continue
        where = _where(one.get("container", {}).get("containerInstanceArn", ""), there)
        named = node.get("container", {}).get("instanceType")
        types = [named] if named else sorted({type_ for env in where for type_ in env.instance_types})
        hours = max(one.get("stoppedAt", now) - one["startedAt"], 0) / MILLISECONDS_PER_HOUR
        price = prices.dearest(types)
        kinds = {env.spot for env in where}
        yield {
            "node": number,
            "attempt": count,
            "instanceTypes": types,
            # where it is not known, it may have been
            "spot": kinds.pop() if len(kinds) == 1 else None,
            "started": when(one["startedAt"]),
            "stopped": when(one.get("stoppedAt")),
            "hours": round(hours, 4),
            "usd": None if price is None else round(hours * price, 4),
        }


def _where(instance_arn: str, there: Sequence[Environment]) -> list[Environment]:
    """The compute environment of an instance, or all that it may have been in."""
    _, _, path = instance_arn.partition(":container-instance/")
    exact = [one for one in there if path and one.cluster == path.partition("/")[0]]
    return exact or [one for one in there if one.own]


def _notes(rows: Sequence[Mapping[str, Any]], region: str) -> Iterator[str]:
    """What limits the sum."""
    types = {one for row in rows for one in row["instanceTypes"]}
    if without := sorted(one for one in types if prices.hourly(one) is None):
        yield f"no price is known for {', '.join(without)}"
    if any(row["spot"] is not False for row in rows):
        yield "spot costs less than its list price"
    if any(len(row["instanceTypes"]) > 1 for row in rows):
        yield "where the instance type is not known, the dearest of the queue's counts"
    if region != prices.region():
        yield f"by prices of {prices.region()}, and the stack is in {region}"
