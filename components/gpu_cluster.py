"""An EKS cluster for training on Kubernetes: a control plane, a few CPU nodes that always run, GPU nodes on demand.

GPU groups rest at zero nodes and carry a taint, so that only what asks for a GPU lands on them.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

import pulumi
import pulumi_eks
import pulumi_kubernetes as kubernetes
from pulumi_aws import ec2, eks, kms, vpc
from pydantic import Field, StringConstraints, field_validator, model_validator

from components import iam
from components.accelerators import InstanceFacts, efa_network_interfaces
from components.network import Network
from components.schema import Arn, Name, Settings, mistake, refuse

CONTROL_PLANE_LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")
ADDONS = ("coredns", "eks-pod-identity-agent")
"""Add-ons beside those that `pulumi_eks.Cluster` manages (vpc-cni and kube-proxy)."""
GPU_TAINT = "nvidia.com/gpu"
SYSTEM_NODE_DISK_GIB = 50
KMS_DELETION_DAYS = 30

STANDARD_SUPPORT_ENDS = {"1.34": "2026-12-02", "1.35": "2027-03-27", "1.36": "2027-08-02"}
"""Kubernetes version -> last day of its standard support on EKS (EKS user guide, "Kubernetes release calendar")."""

DEVICE_PLUGIN: Mapping[str, Any] = {
    "chart": "nvidia-device-plugin",
    "version": "0.19.2",
    "repository_opts": {"repo": "https://nvidia.github.io/k8s-device-plugin"},
    "namespace": "kube-system",
    "values": {"tolerations": [{"key": GPU_TAINT, "operator": "Exists", "effect": "NoSchedule"}]},
}
KUEUE: Mapping[str, Any] = {
    "chart": "oci://registry.k8s.io/kueue/charts/kueue",
    "version": "0.17.0",
    "namespace": "kueue-system",
    "create_namespace": True,
}
TRAINER: Mapping[str, Any] = {
    "chart": "oci://ghcr.io/kubeflow/charts/kubeflow-trainer",
    "version": "2.4.0",
    "namespace": "kubeflow-system",
    "create_namespace": True,
    "values": {"runtimes": {"defaultEnabled": True}},
}

Cidr = Annotated[str, StringConstraints(pattern=r"^(\d{1,3}\.){3}\d{1,3}/\d{1,2}$")]


def _size_mistakes(min_size: int, max_size: int) -> list[tuple[str, str, object]]:
    return [("minSize", f"must be at most maxSize ({max_size})", min_size)] if min_size > max_size else []


class SystemNodesSettings(Settings):
    """The CPU nodes that always run, for what the cluster itself needs."""

    instance_types: Annotated[tuple[str, ...], Field(min_length=1)] = ("m7i.large",)
    """EC2 instance types without GPU."""
    min_size: Annotated[int, Field(ge=1)] = 2
    """Nodes at least."""
    max_size: Annotated[int, Field(ge=1)] = 4
    """Nodes at most."""

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        refuse(_size_mistakes(self.min_size, self.max_size))
        return self


class GpuNodeGroupSettings(Settings):
    """One GPU node group under `eks.gpuNodeGroups`."""

    instance_types: Annotated[tuple[str, ...], Field(min_length=1)] = ("g6.12xlarge",)
    """EC2 instance types with GPUs; one with `efa` or `capacityBlock`."""
    capacity: Literal["onDemand", "spot", "capacityBlock"] = "onDemand"
    """Kind of capacity; `capacityBlock` needs a reservation."""
    min_size: Annotated[int, Field(ge=0)] = 0
    """Nodes at least; 0 idles at nothing."""
    max_size: Annotated[int, Field(ge=1)] = 8
    """Nodes at most."""
    efa: bool = False
    """Whether nodes talk over Elastic Fabric Adapter; they then share one zone."""
    disk_gib: Annotated[int, Field(ge=50, le=16_384)] = 200
    """Size of each node's root volume in GiB."""
    capacity_reservation_id: Annotated[str, StringConstraints(pattern=r"^cr-[0-9a-f]{8,17}$")] | None = None
    """The on-demand reservation or capacity block to run in."""

    @model_validator(mode="after")
    def _can_ever_run(self) -> Self:
        refuse(
            [
                *_size_mistakes(self.min_size, self.max_size),
                *(
                    (key, rule, value)
                    for wrong, key, rule, value in (
                        (
                            self.capacity == "capacityBlock" and self.capacity_reservation_id is None,
                            "capacityReservationId",
                            "is required with capacity capacityBlock",
                            None,
                        ),
                        (
                            self.capacity == "spot" and self.capacity_reservation_id is not None,
                            "capacity",
                            "must be onDemand or capacityBlock with capacityReservationId",
                            self.capacity,
                        ),
                        (
                            (self.efa or self.capacity == "capacityBlock") and len(self.instance_types) > 1,
                            "instanceTypes",
                            "must be one type with efa or capacityBlock",
                            list(self.instance_types),
                        ),
                    )
                    if wrong
                ),
            ]
        )
        return self


class GpuClusterSettings(Settings):
    """The `eks` section."""

    version: str = "1.35"
    """Kubernetes version; EKS upgrades a forgotten cluster when its standard support ends."""
    public_access_cidrs: tuple[Cidr, ...] = ()
    """Address ranges that reach the Kubernetes API from outside; empty makes it private to the VPC."""
    admin_principal_arns: tuple[Arn, ...] = ()
    """IAM roles and users that administer the cluster, beside whoever deploys the stack."""
    system_nodes: SystemNodesSettings = SystemNodesSettings()
    """The CPU nodes that always run."""
    gpu_node_groups: dict[Name, GpuNodeGroupSettings] = Field(default_factory=lambda: {"gpu": GpuNodeGroupSettings()})
    """GPU node groups by name."""
    device_plugin: bool = True
    """Whether NVIDIA's device plugin is installed, without which no pod can ask for a GPU."""
    kueue: bool = False
    """Whether Kueue is installed."""
    trainer: bool = False
    """Whether Kubeflow Trainer is installed."""

    @field_validator("version")
    @classmethod
    def _is_supported(cls, version: str) -> str:
        if version not in STANDARD_SUPPORT_ENDS:
            raise ValueError(f"must be one that EKS supports: {', '.join(STANDARD_SUPPORT_ENDS)}")
        return version

    def preflight(self, path: str, facts: Mapping[str, InstanceFacts]) -> Iterator[str]:
        """What AWS's facts about the instance types make impossible, as lines like those of any other mistake."""
        for instance_type in self.system_nodes.instance_types:
            if facts[instance_type].gpus or facts[instance_type].neuron_devices:
                yield mistake(f"{path}.systemNodes.instanceTypes", "must be types without accelerator", instance_type)
        for name, group in self.gpu_node_groups.items():
            for instance_type in group.instance_types:
                one = facts[instance_type]
                if not one.gpus and not one.neuron_devices:
                    yield mistake(
                        f"{path}.gpuNodeGroups.{name}.instanceTypes", "must be types with an accelerator", instance_type
                    )
                if group.efa and not one.efa_interfaces:
                    yield mistake(
                        f"{path}.gpuNodeGroups.{name}.efa", f"must be false, because {instance_type} has no EFA", True
                    )
            if len({facts[instance_type].eks_ami_type for instance_type in group.instance_types}) > 1:
                yield mistake(
                    f"{path}.gpuNodeGroups.{name}.instanceTypes",
                    "must share one kind of AMI",
                    {one: facts[one].eks_ami_type for one in group.instance_types},
                )


class GpuCluster(pulumi.ComponentResource):
    """An EKS control plane with system nodes, GPU node groups at rest, and the device plugin."""

    cluster_name: pulumi.Output[str]
    """Name of the cluster."""
    cluster_arn: pulumi.Output[str]
    """ARN of the cluster."""
    node_group_arns: dict[str, pulumi.Output[str]]
    """GPU node group's name in the stack file -> its ARN."""
    kubeconfig: pulumi.Output[str]
    """A kubeconfig as JSON that authenticates by `aws eks get-token`; it holds no credential."""

    def __init__(
        self,
        name: str,
        settings: GpuClusterSettings,
        *,
        facts: Mapping[str, InstanceFacts],
        account: iam.Account,
        network: Network,
        protect: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("distributed-training:index:GpuCluster", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        key = kms.Key(
            name,
            description="Kubernetes secrets of the training cluster",
            enable_key_rotation=True,
            deletion_window_in_days=KMS_DELETION_DAYS,
            opts=child,
        )
        cluster = pulumi_eks.Cluster(
            name,
            version=settings.version,
            vpc_id=network.vpc_id,
            private_subnet_ids=network.private_subnet_ids,
            endpoint_private_access=True,
            endpoint_public_access=bool(settings.public_access_cidrs),
            public_access_cidrs=settings.public_access_cidrs or None,
            authentication_mode=pulumi_eks.AuthenticationMode.API,
            access_entries=_admin_entries(settings, account),
            enabled_cluster_log_types=CONTROL_PLANE_LOGS,
            encryption_config_key_arn=key.arn,
            upgrade_policy={"support_type": "STANDARD"},
            deletion_protection=protect,
            skip_default_node_group=True,
            skip_default_security_groups=True,
            create_instance_role=False,
            opts=pulumi.ResourceOptions(parent=self, protect=protect),
        )
        self.cluster_name, self.cluster_arn = cluster.eks_cluster.name, cluster.eks_cluster.arn
        self.kubeconfig = cluster.kubeconfig_json
        node_role = iam.ServiceRole(
            f"{name}-node",
            service="ec2.amazonaws.com",
            managed_policies=[
                account.managed_policy(policy)
                for policy in (
                    "AmazonEC2ContainerRegistryPullOnly",
                    "AmazonEKSWorkerNodePolicy",
                    "AmazonEKS_CNI_Policy",
                )
            ],
            opts=child,
        )
        system_template = ec2.LaunchTemplate(
            f"{name}-system",
            opts=child,
            **_node_template(SYSTEM_NODE_DISK_GIB, f"{name}-system"),
        )
        system = eks.NodeGroup(
            f"{name}-system",
            cluster_name=self.cluster_name,
            node_role_arn=node_role.arn,
            subnet_ids=network.private_subnet_ids,
            ami_type=facts[settings.system_nodes.instance_types[0]].eks_ami_type,
            instance_types=settings.system_nodes.instance_types,
            launch_template={"id": system_template.id, "version": system_template.latest_version.apply(str)},
            scaling_config={
                "min_size": settings.system_nodes.min_size,
                "desired_size": settings.system_nodes.min_size,
                "max_size": settings.system_nodes.max_size,
            },
            update_config={"max_unavailable": 1},
            node_repair_config={"enabled": True},
            opts=_nodes_of(self, node_role, network),
        )
        for addon in ADDONS:
            eks.Addon(
                f"{name}-{addon}",
                cluster_name=self.cluster_name,
                addon_name=addon,
                resolve_conflicts_on_create="OVERWRITE",
                resolve_conflicts_on_update="PRESERVE",
                # an add-on is healthy only once its pods have a node
                opts=pulumi.ResourceOptions(parent=self, depends_on=[system]),
            )
        groups = {
            group_name: GpuNodeGroup(
                f"{name}-{group_name}",
                group,
                facts=facts[group.instance_types[0]],
                cluster_name=self.cluster_name,
                cluster_security_group_id=cluster.eks_cluster.vpc_config.cluster_security_group_id,
                node_role=node_role,
                network=network,
                opts=child,
            )
            for group_name, group in settings.gpu_node_groups.items()
        }
        self.node_group_arns = {group_name: group.arn for group_name, group in groups.items()}
        charts = {
            "device-plugin": DEVICE_PLUGIN if settings.device_plugin else None,
            "kueue": KUEUE if settings.kueue else None,
            "trainer": TRAINER if settings.trainer else None,
        }
        if any(charts.values()):
            provider = kubernetes.Provider(name, kubeconfig=self.kubeconfig, opts=child)
            for chart_name, chart in charts.items():
                if chart is not None:
                    kubernetes.helm.v3.Release(
                        f"{name}-{chart_name}",
                        # a release's pods need nodes to start on, and to be taken off from
                        opts=pulumi.ResourceOptions(parent=self, provider=provider, depends_on=[system]),
                        **chart,
                    )
        self.register_outputs({"clusterName": self.cluster_name, "kubeconfig": self.kubeconfig})


class GpuNodeGroup(pulumi.ComponentResource):
    """GPU nodes of one kind, none until something asks for them."""

    arn: pulumi.Output[str]
    """ARN of the node group."""

    def __init__(
        self,
        name: str,
        settings: GpuNodeGroupSettings,
        *,
        facts: InstanceFacts,
        cluster_name: pulumi.Output[str],
        cluster_security_group_id: pulumi.Output[str],
        node_role: iam.ServiceRole,
        network: Network,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("distributed-training:index:GpuNodeGroup", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        interfaces, placement = None, None
        if settings.efa:
            group = ec2.SecurityGroup(
                name,
                vpc_id=network.vpc_id,
                description="EFA between nodes of the group",
                tags={"Name": name},
                opts=child,
            )
            # EFA passes only where a group names itself in both directions; an address range is not enough
            for rule in (vpc.SecurityGroupIngressRule, vpc.SecurityGroupEgressRule):
                rule(
                    name,
                    security_group_id=group.id,
                    description="nodes of the group to each other",
                    ip_protocol="-1",
                    referenced_security_group_id=group.id,
                    opts=child,
                )
            interfaces = efa_network_interfaces(facts, [cluster_security_group_id, group.id])
            # a reservation has its own place: both together end in InsufficientInstanceCapacity
            if settings.capacity_reservation_id is None:
                placement = ec2.PlacementGroup(name, strategy="cluster", opts=child)
        block = settings.capacity == "capacityBlock"
        template = ec2.LaunchTemplate(
            name,
            network_interfaces=interfaces,
            placement=None if placement is None else {"group_name": placement.name},
            # EKS takes the type from the template for a capacity block, from the node group otherwise
            instance_type=settings.instance_types[0] if block else None,
            instance_market_options={"market_type": "capacity-block"} if block else None,
            capacity_reservation_specification=(
                {"capacity_reservation_target": {"capacity_reservation_id": settings.capacity_reservation_id}}
                if settings.capacity_reservation_id
                else None
            ),
            user_data=base64.b64encode(_NODE_USER_DATA.encode()).decode(),
            opts=child,
            **_node_template(settings.disk_gib, name),
        )
        nodes = eks.NodeGroup(
            name,
            cluster_name=cluster_name,
            node_role_arn=node_role.arn,
            subnet_ids=[network.training_subnet_id] if settings.efa or block else network.private_subnet_ids,
            ami_type=facts.eks_ami_type,
            capacity_type={"onDemand": "ON_DEMAND", "spot": "SPOT", "capacityBlock": "CAPACITY_BLOCK"}[
                settings.capacity
            ],
            instance_types=None if block else settings.instance_types,
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            scaling_config={
                "min_size": settings.min_size,
                "desired_size": settings.min_size,
                "max_size": settings.max_size,
            },
            labels={"workload": "training", "nvidia.com/gpu.present": "true"},
            taints=[{"key": GPU_TAINT, "value": "true", "effect": "NO_SCHEDULE"}],
            update_config={"max_unavailable": 1},
            node_repair_config={"enabled": True},
            opts=_nodes_of(self, node_role, network),
        )
        self.arn = nodes.arn
        self.register_outputs({"arn": self.arn})


_NODE_USER_DATA = """\
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="node"

--node
Content-Type: application/node.eks.aws

apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  instance:
    localStorage:
      strategy: RAID0

--node--
"""
"""Puts container images and scratch space on the instance's own NVMe disks (AL2023 `nodeadm`)."""


def _admin_entries(settings: GpuClusterSettings, account: iam.Account) -> dict[str, pulumi_eks.AccessEntryArgs]:
    policy_arn = f"arn:{account.partition}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
    return {
        principal_arn.split(":", 5)[5].replace("/", "-"): pulumi_eks.AccessEntryArgs(
            principal_arn=principal_arn,
            access_policies={
                "admin": pulumi_eks.AccessPolicyAssociationArgs(
                    policy_arn=policy_arn, access_scope=eks.AccessPolicyAssociationAccessScopeArgs(type="cluster")
                )
            },
        )
        for principal_arn in settings.admin_principal_arns
    }


def _nodes_of(parent: pulumi.Resource, node_role: iam.ServiceRole, network: Network) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(
        parent=parent,
        depends_on=[node_role, *network.egress],
        # the autoscaler owns it
        ignore_changes=["scalingConfig.desiredSize"],
    )


def _node_template(disk_gib: int, name: str) -> Mapping[str, Any]:
    """What every node's launch template says: IMDSv2 that pods cannot reach, an encrypted root, tags for cost."""
    return {
        "update_default_version": True,
        "metadata_options": {"http_endpoint": "enabled", "http_tokens": "required", "http_put_response_hop_limit": 1},
        "block_device_mappings": [
            {
                "device_name": "/dev/xvda",
                "ebs": {
                    "volume_size": disk_gib,
                    "volume_type": "gp3",
                    "encrypted": "true",
                    "delete_on_termination": "true",
                },
            }
        ],
        "tag_specifications": [{"resource_type": kind, "tags": {"Name": name}} for kind in ("instance", "volume")],
    }
