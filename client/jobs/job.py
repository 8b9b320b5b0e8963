"""A job as AWS Batch describes it, and where it belongs.

A multi-node job has a child for each node, `ID#0` the main one; attempts, exit status and logs of a node are the
child's (Batch user guide, "Multi-node parallel jobs").
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from client.account import code_of
from client.errors import TrainError
from client.stack import Stack

WAITING = ("SUBMITTED", "PENDING", "RUNNABLE")
UNDER_WAY = ("STARTING", "RUNNING")
ENDS = ("SUCCEEDED", "FAILED")
STATES = (*WAITING, *UNDER_WAY, *ENDS)
MOST_DESCRIBED = 100
"""Jobs of one question (Batch API, `DescribeJobs`)."""
DEFAULT_LOG_GROUP = "/aws/batch/job"
"""Log group of a job whose job definition names none."""

Described = Mapping[str, Any]
"""A job or a node, as `DescribeJobs` answers (Batch API, `JobDetail`)."""


def find(stack: Stack, job_id: str) -> Described:
    """A job of the stack.

    Raises:
        TrainError: when there is none of this id, or it is in a queue of somebody else.

    """
    found: list[dict[str, Any]] = stack.client("batch").describe_jobs(jobs=[job_id])["jobs"]
    if not found:
        raise TrainError(
            f"job: AWS Batch knows no '{job_id}'; it forgets jobs about a week after their end, and `train job list`"
            " says which there are"
        )
    queue_of(stack, found[0])
    return found[0]


def queue_of(stack: Stack, job: Described) -> str:
    """The name in the stack file of the queue that a job is in.

    Raises:
        TrainError: when it is none of the stack's.

    """
    names = {arn: name for name, arn in stack.outputs.batch_job_queue_arns.items()}
    if job["jobQueue"] not in names:
        raise TrainError(
            f"job: must be in one of this stack's queues ({', '.join(sorted(names.values())) or 'none'}), got"
            f" '{job['jobId']}' in {job['jobQueue']}"
        )
    return names[job["jobQueue"]]


def node_count(job: Described) -> int:
    """How many nodes it has."""
    return job.get("nodeProperties", {}).get("numNodes", 1)


def nodes_of(batch: Any, job: Described) -> dict[int, Described]:
    """Number -> node, of those that there are; a job on one node is its own."""
    if "nodeProperties" not in job:
        return {0: job}
    ids = [f"{job['jobId']}#{number}" for number in range(node_count(job))]
    found: dict[int, Described] = {}
    for first in range(0, len(ids), MOST_DESCRIBED):
        for one in batch.describe_jobs(jobs=ids[first : first + MOST_DESCRIBED])["jobs"]:
            found[int(one["jobId"].rpartition("#")[2])] = one
    return dict(sorted(found.items()))


def log_group(job: Described, node: Described) -> str:
    """Where a node's logs are."""
    ranges: Sequence[Mapping[str, Any]] = job.get("nodeProperties", {}).get("nodeRangeProperties", [])
    for container in (node.get("container", {}), *(one.get("container", {}) for one in ranges)):
        if group := container.get("logConfiguration", {}).get("options", {}).get("awslogs-group"):
            return group
    return DEFAULT_LOG_GROUP


def log_streams(node: Described) -> list[str]:
    """The streams of a node's attempts, the first attempt's first."""
    containers = [*(one.get("container", {}) for one in node.get("attempts", [])), node.get("container", {})]
    return list(dict.fromkeys(stream for one in containers if (stream := one.get("logStreamName"))))


def log_pages(logs: Any, group: str, stream: str, token: str | None = None) -> Iterator[Mapping[str, Any]]:
    """What a stream holds from a page's token on, page by page; nothing before its container wrote the first line."""
    given: dict[str, Any] = {"logGroupName": group, "logStreamName": stream, "startFromHead": True}
    while True:
        try:
            page = logs.get_log_events(**given, **({} if token is None else {"nextToken": token}))
        except ClientError as error:
            # a container has a stream's name before it has written
            if code_of(error) != "ResourceNotFoundException":
                raise
            return
        yield page
        # at the end the token stays what it is (CloudWatch Logs API, `GetLogEvents`)
        if page["nextForwardToken"] == token:
            return
        token = page["nextForwardToken"]


def exit_code(job: Described) -> int | None:
    """What the command of its last attempt ended with; None where it did not come so far."""
    last: list[Mapping[str, Any]] = job.get("attempts", [])[-1:]
    containers = [*(one.get("container", {}) for one in last), job.get("container", {})]
    return next((one["exitCode"] for one in containers if "exitCode" in one), None)


def exit_code_of(batch: Any, job: Described) -> int | None:
    """The same, where the job itself may not say it, and its main node does."""
    code = exit_code(job)
    if code is None and "nodeProperties" in job:
        main = nodes_of(batch, job).get(job["nodeProperties"].get("mainNode", 0))
        return None if main is None else exit_code(main)
    return code


def reason(job: Described) -> str:
    """Why it is in its state, as far as AWS says."""
    told: list[str | None] = [job.get("statusReason"), job.get("container", {}).get("reason")]
    if job["status"] in ENDS:
        told += [one.get("container", {}).get("reason") for one in job.get("attempts", [])[-1:]]
    return "; ".join(dict.fromkeys(filter(None, told)))


def when(milliseconds: int | None) -> str | None:
    """A time of AWS, to the second, in UTC."""
    if not milliseconds:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
