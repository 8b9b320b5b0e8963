"""The nodes of the EKS cluster: a few CPU nodes that always run, and GPU groups that start at zero.

GPU groups carry taints, so that only what asks for their accelerator and names the group lands on them, and everything
that Cluster Autoscaler must know of a node before there is one (`components/cluster/shape.py`).
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

import pulumi
from pulumi_aws import autoscaling, ec2, eks
from pydantic import Field, model_validator

from components import iam, quotas
from components.accelerators import InstanceFacts, efa_network_interfaces, never_offered
from components.cluster.running import CAPACITY_TYPES, FIRST, GPU_NODES, SYSTEM_NODES, RunningNodes
from components.cluster.shape import NODE_GROUP_LABEL, NodeShape
from components.deployed import Deployed
from components.network import Network, ZoneName, Zones, let_members_talk
from components.schema import ReservationId, Settings, mistake, refuse
from stack_file.mistakes import Mistake, near

SYSTEM_NODE_DISK_GIB = 50
NUMBER_OF_NODES = "scalingConfig.desiredSize"
UPDATED_AT_ONCE_PERCENT = 33
"""Share of a group's nodes that an update exchanges at once."""
UPDATE_TIMEOUT = "3h"
"""For how long an update of a node group is waited for.

A third at once are five rounds at most (of five nodes one at a time); EKS waits 15 minutes for the pods of a node to
leave (EKS user guide, "Understand each phase of node updates"), and the next node takes up to 10 to join.
"""


def _size_mistakes(min_size: int, max_size: int) -> list[tuple[str, str, object]]:
    return [("minSize", f"must be at most maxSize ({max_size})", min_size)] if min_size > max_size else []


class SystemNodesSettings(Settings):
    """The CPU nodes that always run, for what the cluster itself needs."""

    instance_types: Annotated[tuple[str, ...], Field(min_length=1)] = ("m7i.large",)
    """EC2 instance types without GPU."""
    min_size: Annotated[int, Field(ge=1)] = 2
    """Nodes at least."""
    max_size: Annotated[int, Field(ge=1)] = 4
    """Nodes at most, and no fewer than run now."""

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        refuse(_size_mistakes(self.min_size, self.max_size))
        return self

    def preflight(
        self, path: str, facts: Mapping[str, InstanceFacts], running: RunningNodes | None
    ) -> Iterator[Mistake]:
        """Mistakes that only AWS can find: about the instance types, and the nodes that run."""
        for instance_type in self.instance_types:
            if facts[instance_type].accelerators:
                yield mistake(f"{path}.instanceTypes", "must be types without accelerator", instance_type)
        yield from never_offered(f"{path}.instanceTypes", [facts[one] for one in self.instance_types], "on-demand")
        yield from _one_image(f"{path}.instanceTypes", self.instance_types, facts)
        yield from _too_many_run(path, self.max_size, running)

    def demands(self, path: str, facts: Mapping[str, InstanceFacts]) -> Iterator[quotas.Demand]:
        """The vCPUs that it asks for at most."""
        yield from _demands(path, self, "on-demand", facts)


class GpuNodeGroupSettings(Settings):
    """One GPU node group under `eks.gpuNodeGroups`."""

    instance_types: Annotated[tuple[str, ...], Field(min_length=1)] = ("g6.12xlarge",)
    """EC2 instance types with the same number of GPUs; only one type with `efa` or `capacityBlock`.

    A change of these, of `capacity`, `zone`, `efa` or `capacityReservationId` makes the group anew, and is refused
    while one of its nodes runs."""
    capacity: Literal["onDemand", "spot", "capacityBlock"] = "onDemand"
    """Kind of capacity; `capacityBlock` needs a reservation."""
    min_size: Annotated[int, Field(ge=0)] = 0
    """Nodes at least; 0 costs nothing while idle."""
    max_size: Annotated[int, Field(ge=1)] = 8
    """Nodes at most, and no fewer than run now."""
    zone: ZoneName | None = None
    """Availability zone of its nodes, for good.

    Default: `network.trainingZone` with `efa` or a reservation, else the first of the network's that has its types."""
    efa: bool = False
    """Whether nodes communicate over Elastic Fabric Adapter."""
    disk_gib: Annotated[int, Field(ge=50, le=16_384)] = 200
    """Size of each node's root volume in GiB. A change exchanges the nodes that run."""
    capacity_reservation_id: ReservationId | None = None
    """A capacity reservation or a capacity block to run in; it must be in the group's zone."""

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

    @property
    def in_training_zone(self) -> bool:
        """Whether a new group of it is in the training zone."""
        return self.zone is None and (self.efa or self.capacity_reservation_id is not None)

    def zones(self, running: RunningNodes | None, zones: Zones, facts: Mapping[str, InstanceFacts]) -> list[str]:
        """The zones of its nodes, of those of the network: one, or all that a group of release 0.1.0 has.

        In several, Auto Scaling ends nodes to even them out, and a job on many nodes crosses them.
        """
        if running is not None and not self.made_anew(running, zones.names):
            return sorted(running.zones)
        if self.in_training_zone:
            return zones.training_alone
        # of zones with as many of the types the first
        offering = max(zones.names, key=lambda zone: sum(zone in facts[one].zones for one in self.instance_types))
        return [self.zone or offering]

    def made_anew(self, running: RunningNodes, zones: Sequence[str]) -> dict[str, object]:
        """Key -> value, of all that makes the node group anew."""
        both = {
            "instanceTypes": ([*running.instance_types], [*self.instance_types]),
            "capacity": (running.capacity, self.capacity),
            "efa": (running.efa, self.efa),
            "capacityReservationId": (running.capacity_reservation_id, self.capacity_reservation_id),
        }
        moves = not running.zones <= {*zones} if self.zone is None else running.zones != frozenset({self.zone})
        return {
            **{key: wanted for key, (has, wanted) in both.items() if has != wanted},
            **({"zone": self.zone} if moves else {}),
        }

    def preflight(
        self,
        path: str,
        facts: Mapping[str, InstanceFacts],
        version: str,
        zones: Zones,
        running: RunningNodes | None,
    ) -> Iterator[Mistake]:
        """Mistakes that only AWS can find: about the instance types, the network's zones and the nodes that run."""
        types = f"{path}.instanceTypes"
        if self.zone is not None and self.zone not in zones.names:
            wrong = mistake(f"{path}.zone", f"must be a zone of the network ({', '.join(zones.names)})", self.zone)
            yield replace(wrong, meant=near(self.zone, zones.names))
        elif used := self.zones(running, zones, facts):
            offers = {one: sorted(facts[one].zones) for one in self.instance_types}
            if not any({*used} & {*offered} for offered in offers.values()):
                yield mistake(types, f"must be offered in {', '.join(used)}, where the nodes would be", offers)
        yield from never_offered(types, [facts[one] for one in self.instance_types], self._usage_class)
        for instance_type in self.instance_types:
            if not facts[instance_type].accelerators:
                yield mistake(types, "must be types with an accelerator", instance_type)
            if self.efa and not facts[instance_type].efa_interfaces:
                yield mistake(f"{path}.efa", f"must be false, because {instance_type} has no EFA", True)
        yield from _one_image(types, self.instance_types, facts)
        counts = {one: facts[one].accelerators for one in self.instance_types}
        if len(set(counts.values())) > 1:
            yield mistake(types, "must have the same number of accelerators, from which the group scales", counts)
        yield from _too_many_run(path, self.max_size, running)
        if running is not None and running.size:
            for key, wanted in self.made_anew(running, zones.names).items():
                yield mistake(f"{path}.{key}", f"cannot change while {running.size} nodes of it run: {FIRST}", wanted)
            # EKS updates such a group only at zero (EKS user guide, "Create a managed node group with Capacity Blocks")
            exchanged = running.exchanged(version=version, disk_gib=self.disk_gib)
            for key, (_, wanted) in exchanged.items() if self.capacity == "capacityBlock" else ():
                yield mistake(key, f"cannot change while {running.size} nodes of {path} run: {FIRST}", wanted)

    def demands(self, path: str, facts: Mapping[str, InstanceFacts]) -> Iterator[quotas.Demand]:
        """The vCPUs that it asks for at most."""
        yield from _demands(path, self, self._usage_class, facts)

    def shape(self, name: str, facts: Mapping[str, InstanceFacts]) -> NodeShape:
        """What Kubernetes sees of a node of the group with this name."""
        types = [facts[one] for one in self.instance_types]
        return NodeShape.of(name, types, efa=self.efa, max_size=self.max_size)

    @property
    def _usage_class(self) -> str:
        """What EC2 calls its kind of capacity."""
        return CAPACITY_TYPES[self.capacity].lower().replace("_", "-")


class SystemNodes(pulumi.ComponentResource):
    """CPU nodes for what must always run: DNS, the autoscaler, controllers."""

    def __init__(
        self,
        name: str,
        settings: SystemNodesSettings,
        *,
        facts: Mapping[str, InstanceFacts],
        account: iam.Account,
        deployed: Deployed,
        running: RunningNodes | None,
        version: str,
        cluster_name: pulumi.Output[str],
        node_role: iam.ServiceRole,
        network: Network,
        subnet_ids: Sequence[pulumi.Output[str]],
        after: Sequence[pulumi.Resource],
        opts: pulumi.ResourceOptions,
    ) -> None:
        """`after` must be on the cluster before a node joins it."""
        super().__init__("distributed-training:index:SystemNodes", name, {}, opts)
        template = ec2.LaunchTemplate(
            name, opts=_template_options(self), **_node_template(SYSTEM_NODE_DISK_GIB, name, account)
        )
        nodes = eks.NodeGroup(
            name,
            cluster_name=cluster_name,
            # nodes follow the control plane to its next version
            version=version,
            node_role_arn=node_role.arn,
            subnet_ids=subnet_ids,
            ami_type=facts[settings.instance_types[0]].eks_ami_type,
            capacity_type="ON_DEMAND",
            instance_types=settings.instance_types,
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            scaling_config=_scaling(settings, running),
            update_config={"max_unavailable_percentage": UPDATED_AT_ONCE_PERCENT},
            node_repair_config={"enabled": True},
            tags=deployed.tag(SYSTEM_NODES),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[node_role, *network.egress, *after],
                custom_timeouts=pulumi.CustomTimeouts(update=UPDATE_TIMEOUT),
                ignore_changes=_left_alone(settings, running),
            ),
        )
        _tag_nodes(self, name, nodes.resources[0].autoscaling_groups[0].name, account)
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
        deployed: Deployed,
        running: RunningNodes | None,
        zones: Sequence[str],
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
        made_anew = {} if running is None else settings.made_anew(running, network.zones.names)
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
            opts=_template_options(self),
            **_node_template(settings.disk_gib, name, account),
        )
        nodes = eks.NodeGroup(
            name,
            cluster_name=cluster_name,
            # nodes follow the control plane to its next version
            version=version,
            node_role_arn=node_role.arn,
            subnet_ids=network.private_subnets(zones),
            ami_type=facts.eks_ami_type,
            capacity_type=CAPACITY_TYPES[settings.capacity],
            instance_types=None if block else settings.instance_types,
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            scaling_config=_scaling(settings, running),
            labels=shape.labels,
            # EKS puts one that is new on nodes that run, too; it ends no pod
            taints=[{"key": key, "value": value, "effect": "NO_SCHEDULE"} for key, value in shape.taints.items()],
            # an update ends a node before it starts the next one, as there may be no GPU to spare
            update_config={"max_unavailable_percentage": UPDATED_AT_ONCE_PERCENT, "update_strategy": "MINIMAL"},
            node_repair_config={"enabled": True},
            tags=deployed.tag(f"{GPU_NODES}.{shape.labels[NODE_GROUP_LABEL]}"),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[node_role, *network.egress, *after],
                custom_timeouts=pulumi.CustomTimeouts(update=UPDATE_TIMEOUT),
                ignore_changes=_left_alone(settings, running, made_anew=bool(made_anew)),
            ),
        )
        self.arn, self.autoscaling_group_name = nodes.arn, nodes.resources[0].autoscaling_groups[0].name
        for key, value in shape.autoscaler_tags().items():
            autoscaling.Tag(
                f"{name}-{key.removeprefix('k8s.io/cluster-autoscaler/node-template/').replace('/', '-')}",
                autoscaling_group_name=self.autoscaling_group_name,
                tag={"key": key, "value": value, "propagate_at_launch": False},
                opts=child,
            )
        _tag_nodes(self, name, self.autoscaling_group_name, account)
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


def _too_many_run(path: str, max_size: int, running: RunningNodes | None) -> Iterator[Mistake]:
    """A mistake if more nodes run than are to: EKS would end some of them."""
    if running is not None and running.size > max_size:
        yield mistake(
            f"{path}.maxSize", f"must be at least {running.size}, the nodes that run, until jobs have ended", max_size
        )


def _scaling(
    settings: SystemNodesSettings | GpuNodeGroupSettings, running: RunningNodes | None
) -> eks.NodeGroupScalingConfigArgsDict:
    """The sizes; EKS takes all three together, and no `min_size` above the desired one."""
    size = settings.min_size if running is None else max(settings.min_size, running.size)
    return {"min_size": settings.min_size, "desired_size": size, "max_size": settings.max_size}


def _left_alone(
    settings: SystemNodesSettings | GpuNodeGroupSettings, running: RunningNodes | None, *, made_anew: bool = False
) -> list[str]:
    """Inputs that a deployment leaves as it finds them.

    The autoscaler owns the number of nodes, but an edit of a limit sends that, too: then it must be the one that EKS
    has, as the engine's is that of the last edit. Where nodes of release 0.1.0 are is not known before they are tagged.
    """
    if running is None:
        return [NUMBER_OF_NODES, "subnetIds"]
    limits_stay = (running.min_size, running.max_size) == (settings.min_size, settings.max_size)
    return [NUMBER_OF_NODES] if limits_stay and not made_anew else []


def _template_options(parent: pulumi.Resource) -> pulumi.ResourceOptions:
    # another version exchanges all nodes, so these are the tags that there were at first; `_tag_nodes` adds the others
    return pulumi.ResourceOptions(parent=parent, ignore_changes=["tagSpecifications"])


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


def _tag_nodes(parent: pulumi.Resource, name: str, group: pulumi.Output[str], account: iam.Account) -> None:
    """Give the provider's own tags to instances that start from now on; Auto Scaling does not tag their volumes."""
    for key, value in account.tags.items():
        autoscaling.Tag(
            f"{name}-tag-{key}",
            autoscaling_group_name=group,
            tag={"key": key, "value": value, "propagate_at_launch": True},
            opts=pulumi.ResourceOptions(parent=parent),
        )
