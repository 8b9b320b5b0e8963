"""`train launcher metaflow`: a configuration of Metaflow for a job queue."""

import json
from pathlib import Path
from typing import Any

from client import show, stack
from client.errors import TrainError
from client.jobs.submitting import SUBMITTER_TAG
from client.stack import Stack

FOLDER = "metaflow"
"""Where in the artifacts bucket flows keep their data."""


def run(name: str | None, path: Path | None, queue: str | None) -> int:
    """Print the configuration.

    Raises:
        TrainError: when there is no such queue, or none that Metaflow can use.

    """
    with stack.opened(name, path) as opened:
        chosen = stack.chosen("job queue", queue, opened.outputs.batch_job_queue_arns)
        configuration = of(opened, chosen)
        group = opened.outputs.batch_log_groups[chosen]
    print(json.dumps(configuration, indent=2), flush=True)
    show.hint(
        "logs of its jobs go to /aws/batch/job; this puts them with the others:"
        f' @batch(log_driver="awslogs", log_options=["awslogs-group:{group}"])'
    )
    return 0


def of(opened: Stack, queue: str) -> dict[str, Any]:
    """What Metaflow must know of a job queue.

    Raises:
        TrainError: when the queue wants a share with each job, which Metaflow does not give, or the stack was deployed
            before it exported what is needed.

    """
    outputs = opened.outputs
    if queue not in outputs.batch_job_role_arns or queue not in outputs.batch_log_groups:
        raise TrainError(f"outputs.batch_job_role_arns: has no '{queue}': deploy the stack with this version once")
    arn = outputs.batch_job_queue_arns[queue]
    for one in opened.client("batch").describe_job_queues(jobQueues=[arn])["jobQueues"]:
        if one.get("schedulingPolicyArn"):
            raise TrainError(f"job queue: must be one without fairShare, since Metaflow names no share, got '{queue}'")
    configuration: dict[str, Any] = {
        "METAFLOW_DEFAULT_DATASTORE": "s3",
        "METAFLOW_DATASTORE_SYSROOT_S3": f"s3://{outputs.artifacts_bucket}/{FOLDER}",
        "METAFLOW_BATCH_JOB_QUEUE": arn,
        "METAFLOW_ECS_S3_ACCESS_IAM_ROLE": outputs.batch_job_role_arns[queue],
    }
    if outputs.train_submitted_by:
        configuration["METAFLOW_BATCH_DEFAULT_TAGS"] = {SUBMITTER_TAG: outputs.train_submitted_by}
    return configuration
