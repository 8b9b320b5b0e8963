"""A fleet of workers on ECS: its settings, its service, its instances with GPUs, its container and its scaling.

It may import the other components.
"""

from components.fargate_workers.container import WORKER_METRICS
from components.fargate_workers.fleet import FargateWorkers
from components.fargate_workers.settings import (
    LEGAL_MEMORY_MIB,
    ROLE_ROOM,
    ROOM_OF_JOB_QUEUE,
    WorkerSettings,
    one_fleet,
    shared_queues,
)

__all__ = [
    "LEGAL_MEMORY_MIB",
    "ROLE_ROOM",
    "ROOM_OF_JOB_QUEUE",
    "WORKER_METRICS",
    "FargateWorkers",
    "WorkerSettings",
    "one_fleet",
    "shared_queues",
]
