"""The parts of the stack, for what is made of all of them: alerts, exports, people's access, protection."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components.artifacts import Artifacts
from components.batch import BatchJobQueue
from components.cluster import GpuCluster
from components.fargate_workers import FargateWorkers
from components.network import Network
from components.task_queue import TaskQueue


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the stack has, by the names in the stack file; a section that is left out has nothing here."""

    network: Network
    """The network, which is always there."""
    artifacts: Artifacts
    """The bucket and the image repository, which are always there."""
    queues: Mapping[str, TaskQueue]
    """Work queues."""
    job_queues: Mapping[str, BatchJobQueue]
    """Batch job queues."""
    workers: Mapping[str, FargateWorkers]
    """Fleets of workers."""
    cluster: GpuCluster | None
    """The EKS cluster."""

    @property
    def on_aws(self) -> list[pulumi.Resource]:
        """All of it but what goes through the Kubernetes API."""
        return [
            self.network,
            self.artifacts,
            *self.queues.values(),
            *self.job_queues.values(),
            *self.workers.values(),
            *(self.cluster.on_aws if self.cluster else ()),
        ]
