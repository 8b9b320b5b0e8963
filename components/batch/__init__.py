"""A Batch job queue: the queue, the instances that its jobs run on, and the job.

It may import the other components.
"""

from components.batch.generations import DeployedJobQueue, Generation, file_system_in_use, no_room, zones_in_use
from components.batch.gpu_metrics import FAULTS, GPU_METRICS, metric
from components.batch.instances import environment_names
from components.batch.queue import BatchJobQueue, BatchJobQueueSettings, marking, stop_jobs

__all__ = [
    "FAULTS",
    "GPU_METRICS",
    "BatchJobQueue",
    "BatchJobQueueSettings",
    "DeployedJobQueue",
    "Generation",
    "environment_names",
    "file_system_in_use",
    "marking",
    "metric",
    "no_room",
    "stop_jobs",
    "zones_in_use",
]
