"""What the EKS cluster has on AWS, before this deployment changes it: its zones, and the nodes that run."""

import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self, get_args
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pulumi_aws import ec2, eks

from components.deployed import Deployed, if_there
from components.schema import mistake
from stack_file.mistakes import Mistake

CLUSTER, SYSTEM_NODES, GPU_NODES = "eks", "eks.systemNodes", "eks.gpuNodeGroups"
"""Paths in the stack file."""
EFA_LABEL = "vpc.amazonaws.com/efa.present"
Addon = Literal[
    "amazon-cloudwatch-observability",
    "aws-ebs-csi-driver",
    "aws-fsx-csi-driver",
    "coredns",
    "eks-node-monitoring-agent",
    "eks-pod-identity-agent",
    "kube-proxy",
    "metrics-server",
    "vpc-cni",
]
"""The add-ons that the stack has EKS keep."""
INSIGHTS: Addon = "amazon-cloudwatch-observability"
"""The add-on that a cluster has only with `eks.containerInsights`."""
CAPACITY_TYPES = {"onDemand": "ON_DEMAND", "spot": "SPOT", "capacityBlock": "CAPACITY_BLOCK"}
LONGEST_CONNECT_SECONDS = 5
FIRST = "let their jobs end first, or add another group for new jobs, see docs/eks.md"
"""What to do before an edit that would end nodes."""


@dataclass(frozen=True, kw_only=True)
class RunningNodes:
    """A node group as EKS has it."""

    path: str
    """Where it stands in the stack file."""
    size: int
    """Nodes that run, or are about to."""
    min_size: int
    """Nodes at least."""
    max_size: int
    """Nodes at most."""
    instance_types: tuple[str, ...]
    """Its instance types."""
    capacity: str
    """Its kind of capacity, as the stack file calls it."""
    efa: bool
    """Whether its nodes communicate over EFA."""
    capacity_reservation_id: str | None
    """The reservation that it runs in."""
    zones: frozenset[str]
    """Names of the availability zones that it may start nodes in."""
    disk_gib: int
    """Size of each node's root volume in GiB."""
    version: str
    """Kubernetes version of its nodes."""

    @classmethod
    def ask(cls, cluster_name: str, node_group_name: str, deployed: Deployed) -> Self | None:
        """Ask AWS; None for a node group that is not of this stack."""
        found = eks.get_node_group(cluster_name=cluster_name, node_group_name=node_group_name)
        path = deployed.path(found.tags)
        if path is None:
            return None
        sizes = found.scaling_configs[0]
        template = ec2.get_launch_template(id=found.launch_templates[0].id)
        targets = [
            one for each in template.capacity_reservation_specifications for one in each.capacity_reservation_targets
        ]
        return cls(
            path=path,
            size=sizes.desired_size,
            min_size=sizes.min_size,
            max_size=sizes.max_size,
            # of a capacity block the type stands in the template
            instance_types=(template.instance_type,) if template.instance_type else tuple(found.instance_types),
            capacity=next(ours for ours, theirs in CAPACITY_TYPES.items() if theirs == found.capacity_type),
            efa=EFA_LABEL in found.labels,
            capacity_reservation_id=targets[0].capacity_reservation_id if targets else None,
            zones=zones_of(found.subnet_ids),
            disk_gib=template.block_device_mappings[0].ebs[0].volume_size,
            version=found.version,
        )

    def exchanged(self, *, version: str, disk_gib: int) -> dict[str, tuple[object, object]]:
        """Key -> value and next value, of all that exchanges nodes; nothing while none runs."""
        both = {"eks.version": (self.version, version), f"{self.path}.diskGib": (self.disk_gib, disk_gib)}
        return {key: (has, wanted) for key, (has, wanted) in both.items() if self.size and has != wanted}


@dataclass(frozen=True, kw_only=True)
class RunningCluster:
    """The control plane and the node groups of this stack that EKS has."""

    name: str = ""
    """Name of the control plane; empty where there is none."""
    endpoint: str = ""
    """Address of its Kubernetes API; empty where there is none."""
    version: str = ""
    """Its Kubernetes version; empty where there is none."""
    zones: frozenset[str] = frozenset()
    """Names of the availability zones of the control plane, which EKS never changes."""
    node_groups: Sequence[RunningNodes] = ()
    """Its node groups; of one that is being replaced both."""
    addons: Mapping[Addon, str] = field(default_factory=dict[Addon, str])
    """Add-on -> its version, of those that there are."""

    @classmethod
    def ask(cls, deployed: Deployed) -> Self:
        """Ask AWS what there is; a cluster without the tag, such as one of release 0.1.0, is not found."""
        tagged = [arn.rpartition("/")[2] for arn in deployed.of(CLUSTER, "eks:cluster")]
        # the tags of what is gone are still listed for a while
        there = sorted({*tagged} & {*eks.get_clusters().names}) if tagged else []
        if not there:
            return cls()
        name = there[0]
        groups = [RunningNodes.ask(name, one, deployed) for one in eks.get_node_groups(cluster_name=name).names]
        control_plane = eks.get_cluster(name=name)
        return cls(
            name=name,
            endpoint=control_plane.endpoint,
            version=control_plane.version,
            zones=zones_of(control_plane.vpc_config.subnet_ids),
            node_groups=[one for one in groups if one is not None],
            addons={addon: version for addon in get_args(Addon) if (version := _addon_version(name, addon))},
        )

    def answers(self) -> bool:
        """Whether this machine reaches its Kubernetes API; taken for granted where a proxy is between them."""
        address = urlsplit(self.endpoint)
        host = address.hostname or ""
        if "https" in getproxies() and not proxy_bypass(host):
            return True
        try:
            with socket.create_connection((host, address.port or 443), LONGEST_CONNECT_SECONDS):
                return True
        except OSError:
            return False

    def nodes(self, path: str) -> RunningNodes | None:
        """The node group that stands at a path in the stack file; of two the one with more nodes."""
        return max((one for one in self.node_groups if one.path == path), key=lambda one: one.size, default=None)

    def left_out(self, named: Collection[str]) -> Iterator[Mistake]:
        """Mistakes where a GPU node group whose nodes run is not among those that the stack file names."""
        for one in self.node_groups:
            if one.size and one.path.startswith(GPU_NODES) and one.path.removeprefix(f"{GPU_NODES}.") not in named:
                rule = f"must stay in the stack file while {one.size} of its nodes run: {FIRST}"
                yield Mistake(path=one.path, rule=rule)

    def preflight(self, zones: Sequence[str]) -> Iterator[Mistake]:
        """The mistake where a zone of the control plane is not among these zones of the network."""
        if gone := sorted(self.zones - set(zones)):
            yield mistake(
                "network", f"must keep {', '.join(gone)}, because EKS never moves a control plane", list(zones)
            )


def _addon_version(cluster_name: str, addon: Addon) -> str | None:
    there = if_there(lambda: eks.get_addon(cluster_name=cluster_name, addon_name=addon))
    return None if there is None else there.addon_version


def zones_of(subnet_ids: Collection[str]) -> frozenset[str]:
    """Names of the availability zones of subnets."""
    return frozenset(ec2.get_subnet(id=subnet_id).availability_zone for subnet_id in subnet_ids)
