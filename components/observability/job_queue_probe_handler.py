"""Asks AWS Batch how the stack's job queues are, and puts into CloudWatch what somebody must know of them.

It runs in AWS Lambda from this file alone, so it imports what Lambda's Python has: the standard library and boto3.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

METRICS = "DistributedTraining/Batch"
"""Namespace of the metrics."""
QUEUE = "JobQueue"
"""The dimension that names the queue, as AWS calls it."""
INVALID = "InvalidComputeEnvironments"
"""How many compute environments of the queue are INVALID; it has points only when there are any."""
WAITED = "FirstJobWaitedSeconds"
"""How long the first job of the queue has been its first; it has points only when a job waits."""
WAITED_IN_IDLE = "FirstJobWaitedInIdleQueueSeconds"
"""The same while no job of the queue runs; 0 while one does."""

MOST_DESCRIBED = 100
"""Batch API, `DescribeJobs`."""
STARTED = ("STARTING", "RUNNING")

Point = tuple[str, float, str]
"""Name, value and unit of a metric."""


def handler(event: Mapping[str, Any], _context: object) -> None:
    """What Lambda calls; `queues` of the event are the names of the job queues."""
    # the program imports the names above, and has no boto3
    import boto3

    client = cast("Any", boto3).client
    probe(client("batch"), client("cloudwatch"), event["queues"], time.time())


def probe(batch: Any, cloudwatch: Any, names: Sequence[str], now_seconds: float) -> None:
    """Ask about these job queues, and put their points.

    Raises:
        ExceptionGroup: of what went wrong with some queues, after all other points were put.

    """
    queues = batch.describe_job_queues(jobQueues=list(names))["jobQueues"]
    invalid = _invalid(batch, queues)
    points: list[dict[str, Any]] = []
    errors: list[Exception] = []
    for queue in queues:
        name = queue["jobQueueName"]
        try:
            for metric, value, unit in _points(batch, queue, invalid, now_seconds):
                dimension = {"Name": QUEUE, "Value": name}
                points.append({"MetricName": metric, "Dimensions": [dimension], "Value": value, "Unit": unit})
        except Exception as error:
            # what is known is told all the same
            error.add_note(f"job queue {name}")
            errors.append(error)
    if points:
        cloudwatch.put_metric_data(Namespace=METRICS, MetricData=points)
    if errors:
        raise ExceptionGroup("Batch could not be asked about all job queues", errors)


def _invalid(batch: Any, queues: Sequence[Mapping[str, Any]]) -> set[str]:
    """ARNs of the compute environments of these queues that are INVALID; a region has no more than one call takes."""
    named = sorted({one["computeEnvironment"] for queue in queues for one in queue["computeEnvironmentOrder"]})
    if not named:
        # without a name Batch describes those of the whole account
        return set()
    found = batch.describe_compute_environments(computeEnvironments=named)["computeEnvironments"]
    for one in (invalid := [one for one in found if one["status"] == "INVALID"]):
        print(f"{one['computeEnvironmentName']} is INVALID: {one.get('statusReason')}")
    return {one["computeEnvironmentArn"] for one in invalid}


def _points(batch: Any, queue: Mapping[str, Any], invalid: set[str], now_seconds: float) -> Iterator[Point]:
    if wrong := sum(one["computeEnvironment"] in invalid for one in queue["computeEnvironmentOrder"]):
        yield INVALID, wrong, "Count"
    name = queue["jobQueueName"]
    waiting = batch.get_job_queue_snapshot(jobQueue=name).get("frontOfQueue", {}).get("jobs")
    if waiting:
        waited_seconds = max(0, now_seconds - waiting[0]["earliestTimeAtPosition"] / 1000)
        yield WAITED, waited_seconds, "Seconds"
        yield WAITED_IN_IDLE, 0 if _runs_any(batch, name) else waited_seconds, "Seconds"


def _runs_any(batch: Any, queue: str) -> bool:
    """Whether a job of the queue runs, or is about to.

    A list has no jobs of an array: their array is listed as PENDING until all of them have ended (Batch API,
    `ListJobs`), and its description counts them.
    """
    if any(job for status in STARTED for job in _jobs(batch, queue, status)):
        return True
    arrays = [job["jobId"] for job in _jobs(batch, queue, "PENDING") if "arrayProperties" in job]
    return any(
        job["arrayProperties"]["statusSummary"].get(status, 0)
        for first in range(0, len(arrays), MOST_DESCRIBED)
        for job in batch.describe_jobs(jobs=arrays[first : first + MOST_DESCRIBED])["jobs"]
        for status in STARTED
    )


def _jobs(batch: Any, queue: str, status: str) -> Iterator[Mapping[str, Any]]:
    for page in batch.get_paginator("list_jobs").paginate(jobQueue=queue, jobStatus=status):
        yield from page["jobSummaryList"]
