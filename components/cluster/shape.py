"""A node of a GPU group as Kubernetes sees it: what pods can ask it for, its labels, its taints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from components.accelerators import InstanceFacts, Preset, nccl, shared_memory_mib
from components.cluster.running import EFA_LABEL

NVIDIA, NEURON, EFA = "nvidia.com/gpu", "aws.amazon.com/neuron", "vpc.amazonaws.com/efa"
"""Resources that pods ask for; the first two are taints too, each of the nodes that have it."""
LAUNCHER_LABEL = "skypilot.co/accelerator"
NODE_GROUP_LABEL = "node-group"
"""Label, and taint, that holds the group's name in the stack file."""


@dataclass(frozen=True, kw_only=True)
class NodeShape:
    """A node of a GPU group, as Kubernetes sees it."""

    accelerator: Literal["nvidia.com/gpu", "aws.amazon.com/neuron"]
    """The resource that pods ask for, and the key of a taint."""
    resources: Mapping[str, int]
    """What device plugins offer on a node: resource -> count."""
    vcpus: int
    """vCPUs that a pod with the whole node may ask for; of the smallest type, when the group has several."""
    memory_mib: int
    """Memory in MiB that such a pod may ask for, of the smallest type too."""
    environment: Mapping[str, str]
    """Environment of its container."""
    labels: Mapping[str, str]
    """Labels of a node."""
    max_size: int
    """Nodes at most."""

    @classmethod
    def of(cls, name: str, types: Sequence[InstanceFacts], *, efa: bool, max_size: int) -> Self:
        """The shape of a group's nodes; `types` are the facts of its instance types."""
        gpus = types[0].gpus
        accelerator = NVIDIA if gpus else NEURON
        pod = Preset.of_pod(types, efa=efa)
        return cls(
            accelerator=accelerator,
            resources={accelerator: pod.accelerators, **({EFA: pod.efa_interfaces} if efa else {})},
            vcpus=pod.vcpus,
            memory_mib=pod.memory_mib,
            # huge pages would have to be asked for beside the memory
            environment={
                **(nccl(efa=efa) if gpus else {}),
                **({"FI_EFA_USE_HUGE_PAGE": "0"} if efa else {}),
            },
            labels={
                NODE_GROUP_LABEL: name,
                "workload": "training",
                # Cluster Autoscaler waits for the device plugin on nodes with this label; without it, it takes a new
                # node that does not offer GPUs yet for one too small, and starts another
                "k8s.amazonaws.com/accelerator": "nvidia" if gpus else "neuron",
                # where NVIDIA's device plugin runs
                **({"nvidia.com/gpu.present": "true"} if gpus else {}),
                **({EFA_LABEL: "true"} if efa else {}),
                # by which SkyPilot finds a GPU before a node has it; one label names one kind
                **({LAUNCHER_LABEL: gpu} if (gpu := _launcher_name(types)) else {}),
            },
            max_size=max_size,
        )

    def pods_have(self, nodes: int) -> dict[str, str]:
        """Resource -> what pods can have of it on this many nodes together; on one node, what one pod can have."""
        return {
            "cpu": str(self.vcpus * nodes),
            "memory": f"{self.memory_mib * nodes}Mi",
            **{resource: str(count * nodes) for resource, count in self.resources.items()},
        }

    @property
    def pod_shared_memory(self) -> str:
        """Size of its /dev/shm, a part of its memory."""
        return f"{shared_memory_mib(self.memory_mib)}Mi"

    @property
    def taints(self) -> dict[str, str]:
        """Key -> value of what a pod must tolerate.

        The first keeps off what asks for no accelerator, the second what asks for one of another group: of all groups
        that have room for a pod, Cluster Autoscaler may start any, also the most expensive.
        """
        return {self.accelerator: "true", NODE_GROUP_LABEL: self.labels[NODE_GROUP_LABEL]}

    def autoscaler_tags(self) -> dict[str, str]:
        """Tags of an Auto Scaling group from which Cluster Autoscaler knows its nodes while there are none.

        Their form is that of the autoscaler's AWS provider ("Auto-discovery setup", scaling a node group to 0).
        """
        prefix = "k8s.io/cluster-autoscaler/node-template"
        return {
            **{f"{prefix}/taint/{key}": f"{value}:NoSchedule" for key, value in self.taints.items()},
            **{f"{prefix}/label/{key}": value for key, value in self.labels.items()},
            **{f"{prefix}/resources/{key}": str(count) for key, count in self.resources.items()},
        }


def _launcher_name(types: Sequence[InstanceFacts]) -> str | None:
    """What launchers call the GPU of a group; None where its types have several kinds, or none with a name."""
    (name, *others) = {one.launcher_name for one in types}
    return None if others else name
