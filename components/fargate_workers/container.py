"""The container of a worker, and what it is told."""

from collections.abc import Mapping
from typing import Any

import pulumi

from components.accelerators import shared_memory_mib
from components.batch import BatchJobQueue
from components.fargate_workers.settings import WorkerSettings

STOP_TIMEOUT_SECONDS = 120
"""The longest that Fargate waits between SIGTERM and SIGKILL, and the notice before it takes spot capacity back."""
WORKER_METRICS = "DistributedTraining/Worker"
"""Namespace of the metrics in the reference worker's log; their one dimension is `QueueName`."""
WORKER_MEMORY_MIB = 256
"""What the reference worker needs besides its tasks."""
USER = "10001:10001"
"""Numeric user and group of the reference worker's image."""


def container_definition(
    settings: WorkerSettings,
    *,
    memory_mib: int,
    image: pulumi.Input[str],
    log_group: pulumi.Input[str],
    region: str,
    environment: Mapping[str, pulumi.Input[str]],
) -> dict[str, Any]:
    """The worker's container, under the API's own keys (ECS API, `ContainerDefinition`)."""
    # Fargate tells a task its region; on an instance it could only ask the metadata, which is closed to it
    places = {"AWS_DEFAULT_REGION": region, "AWS_REGION": region} if settings.gpu else {}
    definition: dict[str, Any] = {
        "name": "worker",
        "image": image,
        "essential": True,
        "user": USER,
        "readonlyRootFilesystem": True,
        "linuxParameters": {"initProcessEnabled": True},
        # Fargate has no tmpfs: an empty volume is the one place to write, on instances too
        "mountPoints": [{"sourceVolume": "tmp", "containerPath": "/tmp", "readOnly": False}],  # noqa: S108
        "stopTimeout": STOP_TIMEOUT_SECONDS,
        "environment": [{"name": key, "value": value} for key, value in sorted({**places, **environment}.items())],
        "secrets": [{"name": key, "valueFrom": arn} for key, arn in sorted(settings.secrets.items())],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": log_group,
                "awslogs-region": region,
                "awslogs-stream-prefix": "worker",
                # a slow log never stops a worker; what does not fit is dropped
                "mode": "non-blocking",
                "max-buffer-size": "25m",
            },
        },
    }
    if settings.gpu:
        definition["resourceRequirements"] = [{"type": "GPU", "value": str(settings.gpu)}]
        # what data loaders use; Fargate has no such setting
        definition["linuxParameters"]["sharedMemorySize"] = shared_memory_mib(memory_mib)
    if settings.image is None:
        definition["healthCheck"] = {"command": ["CMD", "python", "-m", "worker", "--healthy"], "startPeriod": 30}
    if settings.command is not None:
        definition["command"] = list(settings.command)
    return definition


def submission(job_queues: Mapping[str, BatchJobQueue], submitter: pulumi.Input[str]) -> dict[str, pulumi.Input[str]]:
    """Environment variables that say how jobs are submitted to these queues."""
    variables = {name: name.upper().replace("-", "_") for name in job_queues}
    return {
        **{f"BATCH_JOB_QUEUE_{variables[name]}": one.arn for name, one in job_queues.items()},
        **{f"BATCH_JOB_DEFINITION_{variables[name]}": one.job_definition_name for name, one in job_queues.items()},
        **({"BATCH_SUBMITTED_BY": submitter} if job_queues else {}),
    }
