"""A Batch job of one second on each job queue."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import uuid4

from client.account import Account
from client.outputs import Outputs
from client.smoke.check import Check, Finding, Patience, failed, not_checked, passed

COMMAND = ["sleep", "1"]
LONGEST_ATTEMPT_SECONDS = 300
"""After which Batch ends the job by itself, whatever becomes of this check."""
JOB_POLL_SECONDS = 5
ENDS = ("SUCCEEDED", "FAILED")


def checks(outputs: Outputs, account: Account, patience: Patience) -> Iterator[Check]:
    """A job per job queue, with its own job definition."""
    batch, local = account.client("batch"), account.is_local("batch")
    for name in outputs.batch_job_queue_arns:
        find = partial(_job, batch, outputs, name, local, patience)
        yield Check(f"batch {name}", "a job of one second succeeds", find)


def _job(batch: Any, outputs: Outputs, name: str, local: bool, patience: Patience) -> Iterator[Finding]:
    started, status, why = time.monotonic(), "SUBMITTED", ""
    request = _request(batch, outputs.batch_job_queue_arns[name], outputs.batch_job_definition_arns[name])
    job_id: str = batch.submit_job(**request)["jobId"]
    try:
        for _ in patience.tries(JOB_POLL_SECONDS):
            for job in batch.describe_jobs(jobs=[job_id])["jobs"]:
                if job["status"] != status and job["status"] not in ENDS:
                    patience.say(f"batch {name}", f"{job_id} is {job['status']}")
                status, why = job["status"], _reason(job)
            if status in ENDS:
                break
    finally:
        # whoever interrupts this leaves nothing behind that may yet start an instance
        if status not in ENDS:
            batch.terminate_job(jobId=job_id, reason="the smoke check did not wait any longer")
    if status == "FAILED":
        yield failed(f"{job_id} failed: {why or 'no reason given'}")
    elif status != "SUCCEEDED":
        yield failed(
            f"{job_id} was still {status} after {patience.seconds} s and was terminated: {why or 'no reason given'};"
            " a job that stays RUNNABLE waits for capacity, or for a quota of vCPUs"
        )
    elif local:
        yield not_checked("the local AWS took the job, and runs no container")
    else:
        yield passed(f"in {time.monotonic() - started:.0f} s")


def _request(batch: Any, queue_arn: str, definition_arn: str) -> dict[str, Any]:
    """What submits the job, to a queue with fair share under the first of its shares."""
    (queue,) = batch.describe_job_queues(jobQueues=[queue_arn])["jobQueues"]
    (definition,) = batch.describe_job_definitions(jobDefinitions=[definition_arn])["jobDefinitions"]
    request: dict[str, Any] = {
        "jobName": f"smoke-{uuid4().hex[:8]}",
        "jobQueue": queue_arn,
        "jobDefinition": definition_arn,
        "timeout": {"attemptDurationSeconds": LONGEST_ATTEMPT_SECONDS},
    }
    override = {"command": COMMAND}
    if definition["type"] == "multinode":
        properties = [{"targetNodes": "0:", "containerOverrides": override}]
        request["nodeOverrides"] = {"nodePropertyOverrides": properties}
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
