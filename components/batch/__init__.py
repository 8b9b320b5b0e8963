"""A Batch job queue: the queue, the instances that its jobs run on, and the job.

It may import the other components.
"""

from components.batch.generations import DeployedJobQueue
from components.batch.queue import BatchJobQueue, BatchJobQueueSettings

__all__ = ["BatchJobQueue", "BatchJobQueueSettings", "DeployedJobQueue"]
