"""`train job cancel`: stop a job."""

from pathlib import Path

from client import show, stack
from client.jobs.job import ENDS, WAITING, find

REASON = "stopped with train job cancel"


def run(name: str | None, path: Path | None, job_id: str, *, as_json: bool) -> int:
    """Stop a job of the stack.

    `TerminateJob` cancels what waits and stops what runs, so that no job slips through between two questions, as one
    could by `CancelJob`, which lets those be that have started (Batch API).

    Raises:
        TrainError: when there is none of this id in the stack.

    """
    with stack.opened(name, path) as opened:
        job = find(opened, job_id)
        before = job["status"]
        if before in ENDS:
            show.one({"job": job_id, "state": before}, f"{job_id} has ended already: {before}", as_json=as_json)
            return 0
        opened.client("batch").terminate_job(jobId=job_id, reason=REASON)
    what = (
        "is cancelled before it started" if before in WAITING else "is stopped: SIGTERM, and SIGKILL 30 seconds later"
    )
    show.one({"job": job_id, "state": before, "stopped": True}, f"{job_id} {what}", as_json=as_json)
    return 0
