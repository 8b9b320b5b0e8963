"""A Batch job queue: the queue, the instances that its jobs run on, and the job.

It may import the other components.
"""

from components.batch.generations import DeployedJobQueue, Generation, no_room, zones_in_use
from components.batch.instances import environment_names
from components.batch.queue import SUBMITTER_TAG, BatchJobQueue, BatchJobQueueSettings

__all__ = [
    "SUBMITTER_TAG",
    "BatchJobQueue",
    "BatchJobQueueSettings",
    "DeployedJobQueue",
    "Generation",
    "environment_names",
    "no_room",
    "zones_in_use",
]
