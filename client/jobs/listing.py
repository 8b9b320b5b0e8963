"""`train job list` and `train job show`: what jobs there are, and one of them."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

from client import show, stack
from client.account import AT_ONCE
from client.jobs.job import STATES, exit_code_of, find, log_streams, node_count, nodes_of, queue_of, reason, when

COLUMNS = {
    "id": "id",
    "name": "name",
    "queue": "queue",
    "state": "state",
    "nodes": "nodes",
    "created": "created",
    "reason": "reason",
}


def run(name: str | None, path: Path | None, queue: str | None, *, as_json: bool) -> int:
    """Show the jobs of a queue or of all, the newest first.

    Raises:
        TrainError: when there is no such queue.

    """
    with stack.opened(name, path) as opened:
        there = opened.outputs.batch_job_queue_arns
        if queue is not None:
            there = {queue: there[stack.chosen("job queue", queue, there)]}
        found = jobs(opened.client("batch"), there)
    rows = [
        {
            "id": one["jobId"],
            "name": one["jobName"],
            "queue": one_queue,
            "state": one["status"],
            "nodes": one.get("nodeProperties", {}).get("numNodes", 1),
            "created": when(one.get("createdAt")),
            "started": when(one.get("startedAt")),
            "stopped": when(one.get("stoppedAt")),
            "share": one.get("shareIdentifier"),
            "exitCode": one.get("container", {}).get("exitCode"),
            "reason": one.get("statusReason"),
        }
        for one_queue, listed in found.items()
        for one in listed
    ]
    show.rows(sorted(rows, key=lambda row: row["created"] or "", reverse=True), COLUMNS, as_json=as_json)
    return 0


def jobs(batch: Any, queue_arns: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Queue -> its jobs, in every state, as `ListJobs` tells of them."""
    asked = [(queue, arn, state) for queue, arn in queue_arns.items() for state in STATES]

    def ask(one: tuple[str, str, str]) -> list[dict[str, Any]]:
        pages = batch.get_paginator("list_jobs").paginate(jobQueue=one[1], jobStatus=one[2])
        return [job for page in pages for job in page["jobSummaryList"]]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(ask, asked))
    # by id: a job that changed its state meanwhile was listed in both, and is in the later one
    found: dict[str, dict[str, dict[str, Any]]] = {queue: {} for queue in queue_arns}
    for (queue, _, _), listed in zip(asked, answers, strict=True):
        found[queue] |= {job["jobId"]: job for job in listed}
    return {queue: list(by_id.values()) for queue, by_id in found.items()}


def show_one(name: str | None, path: Path | None, job_id: str, *, as_json: bool) -> int:
    """Show how a job stands.

    Raises:
        TrainError: when there is none of this id in the stack.

    """
    with stack.opened(name, path) as opened:
        job = find(opened, job_id)
        batch, queue = opened.client("batch"), queue_of(opened, job)
        nodes, code = nodes_of(batch, job), exit_code_of(batch, job)
    ranges = job.get("nodeProperties", {}).get("nodeRangeProperties", [])
    container = job.get("container", {}) if not ranges else ranges[0].get("container", {})
    document: dict[str, Any] = {
        "id": job["jobId"],
        "name": job["jobName"],
        "queue": queue,
        "share": job.get("shareIdentifier"),
        "state": job["status"],
        "reason": reason(job) or None,
        "nodes": node_count(job),
        "image": container.get("image"),
        "command": container.get("command"),
        "created": when(job.get("createdAt")),
        "started": when(job.get("startedAt")),
        "stopped": when(job.get("stoppedAt")),
        "exitCode": code,
        "submittedBy": job.get("tags", {}).get("SubmittedBy"),
        "attempts": [
            {
                "started": when(one.get("startedAt")),
                "stopped": when(one.get("stoppedAt")),
                "exitCode": one.get("container", {}).get("exitCode"),
                "reason": one.get("container", {}).get("reason") or one.get("statusReason"),
            }
            for one in job.get("attempts", [])
        ],
        "logStreams": {str(number): log_streams(node) for number, node in nodes.items()},
    }
    show.one(document, "\n".join(_lines(document)), as_json=as_json)
    return 0


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    """What a person reads of it: what there is."""
    for key, value in document.items():
        if key == "attempts":
            for number, one in enumerate(value, start=1):
                told = [
                    f"{what} {one[what]}"
                    for what in ("started", "stopped", "exitCode", "reason")
                    if one[what] is not None
                ]
                yield f"attempt {number}    {', '.join(told)}"
        elif key == "logStreams":
            for node, streams in value.items():
                yield from (f"log of {node:<5} {one}" for one in streams)
        elif value is not None:
            yield f"{key:<12} {' '.join(cast('list[str]', value)) if isinstance(value, list) else value}"
