"""A Batch job of one second on each job queue, and what any job of a check needs."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any
from uuid import uuid4

from client.account import Account
from client.jobs.job import ENDS
from client.jobs.submitting import SUBMITTER_TAG
from client.outputs import Outputs
from client.smoke.check import Check, Finding, Patience, failed, not_checked, passed

COMMAND = ["sleep", "1"]
LONGEST_ATTEMPT_SECONDS = 300
"""After which Batch ends the job by itself, whatever becomes of this check."""
JOB_POLL_SECONDS = 5


def checks(outputs: Outputs, account: Account, patience: Patience) -> Iterator[Check]:
    """A job per job queue, with its own job definition."""
    batch, local = account.client("batch"), account.is_local("batch")
    for name in outputs.batch_job_queue_arns:
        find = partial(_job, batch, outputs, name, local, patience)
        yield Check(f"batch {name}", "a job of one second succeeds", find)


def _job(batch: Any, outputs: Outputs, name: str, local: bool, patience: Patience) -> Iterator[Finding]:
    started = time.monotonic()
    request = request_of(batch, outputs, name, COMMAND, LONGEST_ATTEMPT_SECONDS)
    job = run(batch, request, f"batch {name}", patience)
    if job["status"] != "SUCCEEDED":
        yield no_success(job, patience)
    elif local:
        yield not_checked("the local AWS took the job, and runs no container")
    else:
        yield passed(f"in {time.monotonic() - started:.0f} s")


def run(batch: Any, request: dict[str, Any], name: str, patience: Patience) -> dict[str, Any]:
    """Submit a job and wait for its end; as AWS described it last, which is no end when the time is up."""
    job: dict[str, Any] = {"jobId": batch.submit_job(**request)["jobId"], "status": "SUBMITTED"}
    try:
        for _ in patience.tries(JOB_POLL_SECONDS):
            for found in batch.describe_jobs(jobs=[job["jobId"]])["jobs"]:
                if found["status"] != job["status"] and found["status"] not in ENDS:
                    patience.say(name, f"{job['jobId']} is {found['status']}")
                job = found
            if job["status"] in ENDS:
                break
    finally:
        # whoever interrupts this leaves nothing behind that may yet start an instance
        if job["status"] not in ENDS:
            batch.terminate_job(jobId=job["jobId"], reason="the smoke check did not wait any longer")
    return job


def no_success(job: dict[str, Any], patience: Patience) -> Finding:
    """Why a job that was run did not succeed."""
    job_id, status, why = job["jobId"], job["status"], _reason(job) or "no reason given"
    if status == "FAILED":
        return failed(f"{job_id} failed: {why}")
    return failed(
        f"{job_id} was still {status} after {patience.seconds} s and was terminated: {why};"
        " a job that stays RUNNABLE waits for capacity, or for a quota of vCPUs"
    )


def request_of(
    batch: Any, outputs: Outputs, name: str, command: Sequence[str], seconds: int, nodes: int | None = None
) -> dict[str, Any]:
    """What submits a job to a queue, where there is fair share under the first of its shares.

    Args:
        batch: a client of the Batch API.
        outputs: those of the stack.
        name: the queue's, in the stack file.
        command: what each node runs.
        seconds: after how many Batch ends it by itself.
        nodes: how many, where they are to be others than the job definition says.

    """
    definition_arn = outputs.batch_job_definition_arns[name]
    (queue,) = batch.describe_job_queues(jobQueues=[outputs.batch_job_queue_arns[name]])["jobQueues"]
    (definition,) = batch.describe_job_definitions(jobDefinitions=[definition_arn])["jobDefinitions"]
    request: dict[str, Any] = {
        "jobName": f"smoke-{uuid4().hex[:8]}",
        "jobQueue": outputs.batch_job_queue_arns[name],
        "jobDefinition": definition_arn,
        "timeout": {"attemptDurationSeconds": seconds},
    }
    # without it, those who only use the stack may neither submit nor stop it
    if outputs.train_submitted_by:
        request["tags"] = {SUBMITTER_TAG: outputs.train_submitted_by}
    override = {"command": [*command]}
    if definition["type"] == "multinode":
        properties = [{"targetNodes": "0:", "containerOverrides": override}]
        request["nodeOverrides"] = {
            **({} if nodes is None else {"numNodes": nodes}),
            "nodePropertyOverrides": properties,
        }
    else:
        request["containerOverrides"] = override
    if policy_arn := queue.get("schedulingPolicyArn"):
        request["shareIdentifier"] = _share(batch, policy_arn)
    return request


def _share(batch: Any, policy_arn: str) -> str:
    (policy,) = batch.describe_scheduling_policies(arns=[policy_arn])["schedulingPolicies"]
    shares = policy.get("fairsharePolicy", {}).get("shareDistribution", [])
    # an asterisk stands for whatever follows, and for nothing
    return shares[0]["shareIdentifier"].rstrip("*") if shares else "smoke"


def _reason(job: dict[str, Any]) -> str:
    container: dict[str, Any] = job.get("container", {})
    said = [job.get("statusReason"), container.get("reason"), container.get("logStreamName")]
    return ", ".join(str(one) for one in said if one)
