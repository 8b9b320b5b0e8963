"""An EKS cluster for training on Kubernetes: a control plane, a few CPU nodes that always run, GPU nodes on demand."""

from collections.abc import Iterator, Mapping

import pulumi
import pulumi_kubernetes as kubernetes
from pydantic import Field

from components import iam, quotas
from components.accelerators import InstanceFacts
from components.artifacts import Artifacts
from components.cluster.control_plane import Addons, ControlPlane, ControlPlaneSettings
from components.cluster.nodes import GpuNodeGroup, GpuNodeGroupSettings, SystemNodes, SystemNodesSettings
from components.cluster.running import FIRST, GPU_NODES, SYSTEM_NODES, RunningCluster
from components.cluster.shape import NodeShape
from components.cluster.software import ClusterSoftware, SoftwareSettings
from components.deployed import Deployed
from components.images import ADDONS_REGISTRIES
from components.network import Needs, Network, Zones
from components.schema import Name, as_far_as_right, mistake
from components.task_queue import SendTo, TaskQueue, send_to
from components.teams import TeamSettings, groups_of_people, namespace
from stack_file.mistakes import Mistake

VERSIONS_WITH_LUSTRE = ("1.34", "1.35")
"""Kubernetes versions whose nodes are known to have Lustre's modules in their kernel, which is 6.12: Amazon Linux keeps
them there, and the driver's own image has the rest. That of 1.36 is 6.18."""


class GpuClusterSettings(SoftwareSettings, ControlPlaneSettings):
    """The `eks` section."""

    system_nodes: SystemNodesSettings = SystemNodesSettings()
    """The CPU nodes that always run."""
    gpu_node_groups: dict[Name, GpuNodeGroupSettings] = Field(default_factory=lambda: {"gpu": GpuNodeGroupSettings()})
    """GPU node groups by name."""
    send_to: SendTo = ()
    """Queues under `queues` that training jobs may send to."""

    def groups(self) -> Iterator[tuple[str, SystemNodesSettings | GpuNodeGroupSettings]]:
        """Path below this section and settings of every group of nodes."""
        yield "systemNodes", self.system_nodes
        yield from ((f"gpuNodeGroups.{name}", group) for name, group in self.gpu_node_groups.items())

    def preflight(
        self, path: str, facts: Mapping[str, InstanceFacts], zones: Zones, running: RunningCluster, region: str
    ) -> Iterator[Mistake]:
        """Mistakes that only AWS can find: about the instance types, the network's zones, the region, what runs."""
        yield from running.preflight(zones.names)
        plugin = self.device_plugin and self.image_registry is None
        if plugin and region not in ADDONS_REGISTRIES and any(one.efa for one in self.gpu_node_groups.values()):
            rule = f"is required in {region} with efa, because no registry of EFA's device plugin there is known"
            yield mistake(f"{path}.imageRegistry", rule, self.image_registry)
        system = self.system_nodes.preflight(f"{path}.systemNodes", facts, running.nodes(SYSTEM_NODES))
        yield from as_far_as_right(system)
        for name, group in self.gpu_node_groups.items():
            nodes = running.nodes(f"{GPU_NODES}.{name}")
            yield from as_far_as_right(
                group.preflight(f"{path}.gpuNodeGroups.{name}", facts, self.version, zones, nodes)
            )

    def exchanges(self, running: RunningCluster) -> Iterator[str]:
        """Warnings of edits that exchange GPU nodes that run."""
        for name, group in self.gpu_node_groups.items():
            nodes = running.nodes(f"{GPU_NODES}.{name}")
            if nodes is None:
                continue
            for key, (has, wanted) in nodes.exchanged(version=self.version, disk_gib=group.disk_gib).items():
                yield (
                    f"{key}: {has} becomes {wanted}, so the {nodes.size} nodes of {GPU_NODES}.{name} that run are"
                    f" exchanged, a third at once, and what runs on them is stopped: {FIRST}"
                )

    def endpoints(self, path: str) -> Needs:
        """What its nodes and pods need where there is no NAT.

        EKS user guide, "Deploy private clusters with limited internet access": for nodes and their network, for Pod
        Identity, and for Cluster Autoscaler, which asks EKS for the labels of node groups too.
        """
        yield path, ("ec2", "ecr.api", "ecr.dkr", "eks-auth", "autoscaling", "eks")
        if self.container_insights:
            yield f"{path}.containerInsights", ("logs",)
        if self.send_to:
            yield f"{path}.sendTo", ("sqs",)

    def demands(self, path: str, facts: Mapping[str, InstanceFacts]) -> Iterator[quotas.Demand]:
        """The vCPUs that its nodes ask for at most."""
        for where, group in self.groups():
            yield from group.demands(f"{path}.{where}", facts)


class GpuCluster(pulumi.ComponentResource):
    """An EKS control plane, system nodes, GPU node groups that start at zero, and the software that schedules jobs."""

    cluster_name: pulumi.Output[str]
    """Name of the cluster."""
    cluster_arn: pulumi.Output[str]
    """ARN of the cluster."""
    node_group_arns: dict[str, pulumi.Output[str]]
    """GPU node group's name in the stack file -> its ARN."""
    shapes: Mapping[str, NodeShape]
    """GPU node group's name in the stack file -> what Kubernetes sees of its nodes."""
    autoscaling_group_names: list[pulumi.Output[str]]
    """Names of the GPU node groups' Auto Scaling groups."""
    has_insights: bool
    """Whether Container Insights sends what its GPUs do."""
    kubeconfig: pulumi.Output[str]
    """A kubeconfig as JSON that authenticates by `aws eks get-token`; it holds no credential."""
    team_namespaces: dict[str, str]
    """Team -> its namespace."""
    on_aws: list[pulumi.Resource]
    """All of it but what goes through the Kubernetes API."""

    def __init__(
        self,
        name: str,
        settings: GpuClusterSettings,
        *,
        facts: Mapping[str, InstanceFacts],
        account: iam.Account,
        deployed: Deployed,
        running: RunningCluster,
        network: Network,
        artifacts: Artifacts,
        queues: Mapping[str, TaskQueue],
        teams: Mapping[str, TeamSettings],
        protect: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("distributed-training:index:GpuCluster", name, {}, opts)
        lustre = artifacts.lustre
        for notice in (*settings.notices(running), *settings.exchanges(running)):
            pulumi.log.warn(notice, self)
        if lustre and settings.version not in VERSIONS_WITH_LUSTRE:
            pulumi.log.warn(
                f"eks.version: whether nodes of {settings.version} can mount artifacts.lustre is not known, because"
                " their kernel is another one: try it before jobs need it",
                self,
            )
        child = pulumi.ResourceOptions(parent=self)
        control_plane = ControlPlane(
            name,
            settings,
            account=account,
            deployed=deployed,
            running=running,
            network=network,
            people=groups_of_people(teams),
            protect=protect,
            opts=child,
        )
        self.team_namespaces = {team: namespace(team) for team in teams}
        self.cluster_name, self.cluster_arn = control_plane.cluster_name, control_plane.arn
        self.kubeconfig, self.has_insights = control_plane.kubeconfig, settings.container_insights
        node_role = iam.ServiceRole(
            f"{name}-node",
            account=account,
            service=account.instances,
            managed_policies=[
                account.managed_policy(policy)
                for policy in (
                    "AmazonEC2ContainerRegistryPullOnly",
                    "AmazonEKSWorkerNodePolicy",
                    "AmazonEKS_CNI_Policy",
                )
            ],
            statements=artifacts.fill_cache(),
            opts=child,
        )
        system = SystemNodes(
            f"{name}-system",
            settings.system_nodes,
            facts=facts,
            account=account,
            deployed=deployed,
            running=running.nodes(SYSTEM_NODES),
            version=settings.version,
            cluster_name=self.cluster_name,
            node_role=node_role,
            network=network,
            subnet_ids=control_plane.subnet_ids,
            after=[control_plane],
            opts=child,
        )
        self.shapes = shapes = {
            group_name: group.shape(group_name, facts) for group_name, group in settings.gpu_node_groups.items()
        }
        groups = {
            group_name: GpuNodeGroup(
                f"{name}-{group_name}",
                group,
                facts=facts[group.instance_types[0]],
                account=account,
                deployed=deployed,
                running=(nodes := running.nodes(f"{GPU_NODES}.{group_name}")),
                zones=group.zones(nodes, network.zones, facts),
                shape=shapes[group_name],
                version=settings.version,
                cluster_name=self.cluster_name,
                cluster_security_group_id=control_plane.security_group_id,
                node_role=node_role,
                network=network,
                after=[control_plane],
                opts=child,
            )
            for group_name, group in settings.gpu_node_groups.items()
        }
        for group_name, group in settings.gpu_node_groups.items():
            zones = group.zones(running.nodes(f"{GPU_NODES}.{group_name}"), network.zones, facts)
            for notice in lustre.notices(f"{GPU_NODES}.{group_name}", zones) if lustre else ():
                pulumi.log.warn(notice, self)
        self.node_group_arns = {group_name: group.arn for group_name, group in groups.items()}
        self.autoscaling_group_names = [group.autoscaling_group_name for group in groups.values()]
        addons = Addons(
            name,
            settings,
            running=running,
            cluster_name=self.cluster_name,
            account=account,
            system=system,
            lustre=lustre is not None,
            opts=child,
        )
        self.on_aws = [control_plane, node_role, system, *groups.values(), addons]
        sending = send_to(queues, settings.send_to)
        ClusterSoftware(
            name,
            settings,
            version=settings.version,
            shapes=shapes,
            cached=artifacts.cached,
            cluster_name=self.cluster_name,
            statements=[*artifacts.read_write(), *sending],
            teams=teams,
            team_statements={team: [*artifacts.read_write(team), *sending] for team in teams},
            account=account,
            # GPU groups are not among them: whoever cannot reach the Kubernetes API may take one out all the same
            nodes=system,
            dns=addons.dns,
            addons=addons,
            lustre=lustre,
            protect=protect,
            opts=pulumi.ResourceOptions(
                parent=self, providers=[kubernetes.Provider(name, kubeconfig=self.kubeconfig, opts=child)]
            ),
        )
        self.register_outputs({"clusterName": self.cluster_name, "kubeconfig": self.kubeconfig})
