"""The nodes of the EKS cluster: a few CPU nodes that always run, and GPU groups that start at zero.

GPU groups carry a taint, so that only what asks for their accelerator lands on them, and everything that Cluster
Autoscaler must know of a node before there is one.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import pulumi
from pulumi_aws import autoscaling, ec2, eks
from pydantic import Field, model_validator

from components import iam, quotas
from components.accelerators import InstanceFacts, efa_network_interfaces
from components.network import Network, let_members_talk
from components.schema import ReservationId, Settings, mistake, refuse
from stack_file.mistakes import Mistake

NVIDIA, NEURON, EFA = "nvidia.com/gpu", "aws.amazon.com/neuron", "vpc.amazonaws.com/efa"
"""Resources that pods ask for; the first two are taints too, each of the nodes that have it."""
NODE_GROUP_LABEL = "node-group"
"""Label that holds the group's name in the stack file."""
EFA_LABEL = "vpc.amazonaws.com/efa.present"
SYSTEM_NODE_DISK_GIB = 50
CAPACITY_TYPES = {"onDemand": "ON_DEMAND", "spot": "SPOT", "capacityBlock": "CAPACITY_BLOCK"}


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

    def preflight(self, path: str, facts: Mapping[str, InstanceFacts]) -> Iterator[Mistake]:
        """Mistakes that only AWS can find: about the instance types."""
        for instance_type in self.instance_types:
            if facts[instance_type].accelerators:
                yield mistake(f"{path}.instanceTypes", "must be types without accelerator", instance_type)
        yield from _one_image(f"{path}.instanceTypes", self.instance_types, facts)

    def demands(self, path: str, facts: Mapping[str, InstanceFacts]) -> Iterator[quotas.Demand]:
        """The vCPUs that it asks for at most."""
        yield from _demands(path, self, "on-demand", facts)


class GpuNodeGroupSettings(Settings):
    """One GPU node group under `eks.gpuNodeGroups`."""

    instance_types: Annotated[tuple[str, ...], Field(min_length=1)] = ("g6.12xlarge",)
    """EC2 instance types with the same number of GPUs; only one type with `efa` or `capacityBlock`."""
    capacity: Literal["onDemand", "spot", "capacityBlock"] = "onDemand"
    """Kind of capacity; `capacityBlock` needs a reservation."""
    min_size: Annotated[int, Field(ge=0)] = 0
    """Nodes at least; 0 costs nothing while idle."""
    max_size: Annotated[int, Field(ge=1)] = 8
    """Nodes at most."""
    efa: bool = False
    """Whether nodes communicate over Elastic Fabric Adapter. All nodes are then in one zone."""
    disk_gib: Annotated[int, Field(ge=50, le=16_384)] = 200
    """Size of each node's root volume in GiB."""
    capacity_reservation_id: ReservationId | None = None
    """A capacity reservation or a capacity block to run in; it must be in the zone of the training subnet."""

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

    def preflight(self, path: str, facts: Mapping[str, InstanceFacts]) -> Iterator[Mistake]:
        """Mistakes that only AWS can find: about the instance types."""
        types = f"{path}.instanceTypes"
        for instance_type in self.instance_types:
            if not facts[instance_type].accelerators:
                yield mistake(types, "must be types with an accelerator", instance_type)
            if self.efa and not facts[instance_type].efa_interfaces:
                yield mistake(f"{path}.efa", f"must be false, because {instance_type} has no EFA", True)
        yield from _one_image(types, self.instance_types, facts)
        counts = {one: facts[one].accelerators for one in self.instance_types}
        if len(set(counts.values())) > 1:
            yield mistake(types, "must have the same number of accelerators, from which the group scales", counts)

    def demands(self, path: str, facts: Mapping[str, InstanceFacts]) -> Iterator[quotas.Demand]:
        """The vCPUs that it asks for at most."""
        yield from _demands(path, self, CAPACITY_TYPES[self.capacity].lower().replace("_", "-"), facts)


@dataclass(frozen=True, kw_only=True)
class NodeShape:
    """A node of a GPU group, as Kubernetes sees it."""

    accelerator: Literal["nvidia.com/gpu", "aws.amazon.com/neuron"]
    """The resource that pods ask for, and the key of the taint that keeps others off."""
    resources: Mapping[str, int]
    """What device plugins offer on a node: resource -> count."""
    vcpus: int
    """vCPUs of a node; of the smallest type, when the group has several."""
    memory_mib: int
    """Memory of a node in MiB; likewise."""
    labels: Mapping[str, str]
    """Labels of a node."""
    max_size: int
    """Nodes at most."""

    @classmethod
    def of(cls, name: str, settings: GpuNodeGroupSettings, facts: Mapping[str, InstanceFacts]) -> Self:
        """The shape that follows from the facts of the group's instance types."""
        types = [facts[instance_type] for instance_type in settings.instance_types]
        gpus = types[0].gpus
        accelerator = NVIDIA if gpus else NEURON
        efa = {EFA: types[0].efa_interfaces} if settings.efa else {}
        return cls(
            accelerator=accelerator,
            resources={accelerator: types[0].accelerators, **efa},
            vcpus=min(one.vcpus for one in types),
            memory_mib=min(one.memory_mib for one in types),
            labels={
                NODE_GROUP_LABEL: name,
                "workload": "training",
                # Cluster Autoscaler waits for the device plugin on nodes with this label; without it, it takes a new
                # node that does not offer GPUs yet for one too small, and starts another
                "k8s.amazonaws.com/accelerator": "nvidia" if gpus else "neuron",
                # where NVIDIA's device plugin runs
                **({"nvidia.com/gpu.present": "true"} if gpus else {}),
                **({EFA_LABEL: "true"} if settings.efa else {}),
            },
            max_size=settings.max_size,
        )

    def autoscaler_tags(self) -> dict[str, str]:
        """Tags of an Auto Scaling group from which Cluster Autoscaler knows its nodes while there are none.

        Their form is that of the autoscaler's AWS provider ("Auto-discovery setup", scaling a node group to 0).
        """
        prefix = "k8s.io/cluster-autoscaler/node-template"
        return {
            f"{prefix}/taint/{self.accelerator}": "true:NoSchedule",
            **{f"{prefix}/label/{key}": value for key, value in self.labels.items()},
            **{f"{prefix}/resources/{key}": str(count) for key, count in self.resources.items()},
        }


class SystemNodes(pulumi.ComponentResource):
    """CPU nodes for what must always run: DNS, the autoscaler, controllers."""

    def __init__(
        self,
        name: str,
        settings: SystemNodesSettings,
        *,
        facts: Mapping[str, InstanceFacts],
        account: iam.Account,
        version: str,
        cluster_name: pulumi.Output[str],
        node_role: iam.ServiceRole,
        network: Network,
        after: Sequence[pulumi.Resource],
        opts: pulumi.ResourceOptions,
    ) -> None:
        """`after` must be on the cluster before a node joins it."""
        super().__init__("distributed-training:index:SystemNodes", name, {}, opts)
        template = ec2.LaunchTemplate(
            name, opts=pulumi.ResourceOptions(parent=self), **_node_template(SYSTEM_NODE_DISK_GIB, name, account)
        )
        eks.NodeGroup(
            name,
            cluster_name=cluster_name,
            # nodes follow the control plane to its next version
            version=version,
            node_role_arn=node_role.arn,
            subnet_ids=network.private_subnet_ids,
            ami_type=facts[settings.instance_types[0]].eks_ami_type,
            capacity_type="ON_DEMAND",
            instance_types=settings.instance_types,
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            scaling_config=_scaling(settings),
            update_config={"max_unavailable": 1},
            node_repair_config={"enabled": True},
            opts=_nodes_of(self, node_role, network, after),
        )
        self.register_outputs({})


class GpuNodeGroup(pulumi.ComponentResource):
    """GPU nodes of one kind, none until something asks for them."""

    arn: pulumi.Output[str]
    """ARN of the node group."""
    autoscaling_group_name: pulumi.Output[str]
    """Name of the Auto Scaling group that EKS makes for it."""

    def __init__(
        self,
        name: str,
        settings: GpuNodeGroupSettings,
        *,
        facts: InstanceFacts,
        account: iam.Account,
        shape: NodeShape,
        version: str,
        cluster_name: pulumi.Output[str],
        cluster_security_group_id: pulumi.Output[str],
        node_role: iam.ServiceRole,
        network: Network,
        after: Sequence[pulumi.Resource],
        opts: pulumi.ResourceOptions,
    ) -> None:
        """`after` must be on the cluster before a node joins it."""
        super().__init__("distributed-training:index:GpuNodeGroup", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        reserved = settings.capacity_reservation_id is not None
        interfaces, placement = None, None
        if settings.efa:
            group = ec2.SecurityGroup(
                name,
                vpc_id=network.vpc_id,
                description="EFA between nodes of the group",
                tags={"Name": name},
                opts=child,
            )
            let_members_talk(name, group.id, "nodes of the group to each other", opts=child)
            interfaces = efa_network_interfaces(facts, [cluster_security_group_id, group.id])
            # a reservation has its own place: both together end in InsufficientInstanceCapacity
            placement = None if reserved else ec2.PlacementGroup(name, strategy="cluster", opts=child)
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
                if reserved
                else None
            ),
            user_data=base64.b64encode(_NODE_USER_DATA.encode()).decode(),
            opts=child,
            **_node_template(settings.disk_gib, name, account),
        )
        nodes = eks.NodeGroup(
            name,
            cluster_name=cluster_name,
            # nodes follow the control plane to its next version
            version=version,
            node_role_arn=node_role.arn,
            # neither EFA, a placement group nor a reservation crosses zones
            subnet_ids=[network.training_subnet_id] if settings.efa or reserved else network.private_subnet_ids,
            ami_type=facts.eks_ami_type,
            capacity_type=CAPACITY_TYPES[settings.capacity],
            instance_types=None if block else settings.instance_types,
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            scaling_config=_scaling(settings),
            labels=shape.labels,
            taints=[{"key": shape.accelerator, "value": "true", "effect": "NO_SCHEDULE"}],
            # an update ends a node before it starts the next one, as there may be no GPU to spare
            update_config={"max_unavailable": 1, "update_strategy": "MINIMAL"},
            node_repair_config={"enabled": True},
            opts=_nodes_of(self, node_role, network, after),
        )
        self.arn, self.autoscaling_group_name = nodes.arn, nodes.resources[0].autoscaling_groups[0].name
        for key, value in shape.autoscaler_tags().items():
            autoscaling.Tag(
                f"{name}-{key.removeprefix('k8s.io/cluster-autoscaler/node-template/').replace('/', '-')}",
                autoscaling_group_name=self.autoscaling_group_name,
                tag={"key": key, "value": value, "propagate_at_launch": False},
                opts=child,
            )
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


def _one_image(path: str, instance_types: Sequence[str], facts: Mapping[str, InstanceFacts]) -> Iterator[Mistake]:
    """A mistake if a node group's types do not run one kind of AMI."""
    kinds = {one: facts[one].eks_ami_type for one in instance_types}
    if len(set(kinds.values())) > 1:
        yield mistake(path, "must share one kind of AMI", kinds)


def _demands(
    path: str, group: SystemNodesSettings | GpuNodeGroupSettings, usage_class: str, facts: Mapping[str, InstanceFacts]
) -> Iterator[quotas.Demand]:
    vcpus = group.max_size * max(facts[one].vcpus for one in group.instance_types)
    yield from quotas.of_instances(f"{path}.maxSize", group.instance_types, usage_class, vcpus)


def _nodes_of(
    parent: pulumi.Resource, node_role: iam.ServiceRole, network: Network, after: Sequence[pulumi.Resource]
) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(
        parent=parent,
        depends_on=[node_role, *network.egress, *after],
        # the autoscaler owns it
        ignore_changes=["scalingConfig.desiredSize"],
    )


def _scaling(settings: SystemNodesSettings | GpuNodeGroupSettings) -> eks.NodeGroupScalingConfigArgsDict:
    return {"min_size": settings.min_size, "desired_size": settings.min_size, "max_size": settings.max_size}


def _node_template(disk_gib: int, name: str, account: iam.Account) -> Mapping[str, Any]:
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
        "tag_specifications": [
            # the provider's own tags stop at what it makes itself
            {"resource_type": kind, "tags": {**account.tags, "Name": name}}
            for kind in ("instance", "volume")
        ],
    }
