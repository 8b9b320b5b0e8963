"""The EKS cluster: the control plane, the nodes and the software on them.

It may import the other components.
"""

from components.cluster.cluster import GpuCluster, GpuClusterSettings
from components.cluster.nodes import GpuNodeGroupSettings
from components.cluster.running import RunningCluster

__all__ = ["GpuCluster", "GpuClusterSettings", "GpuNodeGroupSettings", "RunningCluster"]
