"""The instances of a job queue: their settings, permissions, launch template and placement group."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Annotated, Any, Literal

import pulumi
from pulumi_aws import batch, ec2, vpc
from pulumi_aws import iam as aws_iam
from pydantic import Field

from components import iam, quotas
from components.accelerators import HOST_MEMORY_SHARE, InstanceFacts, efa_network_interfaces, never_offered
from components.batch import gpu_metrics
from components.batch.generations import NEARBY, PLACEMENT
from components.batch.job import JobSettings
from components.batch.user_data import user_data
from components.deployed import Deployed
from components.network import Network, Zones, let_members_talk
from components.schema import ReservationId, mistake
from stack_file.mistakes import Mistake

MOST_ENVIRONMENTS = 3
"""Compute environments of a job queue (Batch API, `CreateJobQueue`)."""
ROOT_VOLUME_IOPS = 6000
ROOT_VOLUME_MIB_PER_SECOND = 500

USAGE_CLASSES = {"spot": "spot", "onDemand": "on-demand", "capacityBlock": "capacity-block"}
"""Kind of capacity -> what EC2 calls it (API, `InstanceTypeInfo.SupportedUsageClasses`)."""

Capacity = Literal["spot", "onDemand", "capacityBlock"]

BATCH_TYPES: Mapping[Capacity, str] = {"spot": "SPOT", "onDemand": "EC2", "capacityBlock": "EC2"}
"""Kind of capacity -> what Batch calls it."""
STRATEGIES: Mapping[Capacity, str] = {
    "spot": "SPOT_PRICE_CAPACITY_OPTIMIZED",
    "onDemand": "BEST_FIT_PROGRESSIVE",
    "capacityBlock": "BEST_FIT_PROGRESSIVE",
}
"""Kind of capacity -> how Batch chooses instances. Under others an environment takes no newer image."""

PARTITIONS_WITHOUT_EFA = ("aws-cn",)
"""Where Batch does not support it (Getting Started with Amazon Web Services in China, "Amazon Batch")."""

DIGEST_CHARACTERS = 8


class InstancesSettings(JobSettings):
    """Settings of a queue's instances."""

    instance_types: Annotated[tuple[str, ...], Field(min_length=1)] = ("g6.12xlarge", "g6e.12xlarge")
    """EC2 instance types that jobs may run on. With several of the same GPU count, spot capacity is easier to get."""
    capacity: tuple[Capacity, ...] = ("spot", "onDemand")
    """Kinds of capacity, in the order in which Batch tries them; `capacityBlock` only alone."""
    min_vcpus: Annotated[int, Field(ge=0)] = 0
    """The vCPUs that always run, for each kind of capacity; 0 costs nothing while idle."""
    max_vcpus: Annotated[int, Field(ge=1)] = 384
    """The vCPUs that run at most, for each kind of capacity; those of an environment that drains come on top."""
    root_volume_gib: Annotated[int, Field(ge=30, le=16_384)] = 200
    """Size of each instance's root volume in GiB, for images and scratch space."""
    capacity_reservation_id: ReservationId | None = None
    """A capacity reservation to run in, or with `capacityBlock` a capacity block, in `network.trainingZone`."""

    @property
    def needs(self) -> frozenset[str]:
        """What its instances use besides what all have."""
        # a reservation has its own place: both together end in InsufficientInstanceCapacity
        placed = self.nodes > 1 and self.capacity_reservation_id is None
        return frozenset(need for need, wanted in ((NEARBY, self.in_one_zone), (PLACEMENT, placed)) if wanted)

    @property
    def in_training_zone(self) -> bool:
        """Whether its instances are all in the training zone."""
        return self.in_one_zone or self.capacity_reservation_id is not None

    def is_measured(self, facts: Mapping[str, InstanceFacts]) -> bool:
        """Whether what its GPUs do is sent to CloudWatch."""
        return self.gpu_metrics and self.container([facts[one] for one in self.instance_types]).accelerators > 0

    def has_scratch(self, facts: Mapping[str, InstanceFacts]) -> bool:
        """Whether some of its instances have disks of their own; on the others the folder is on the root volume."""
        return any(facts[one].instance_storage_gb for one in self.instance_types)

    def zones(self, zones: Zones) -> list[str]:
        """The zones of its instances, of those of the network."""
        return zones.training_alone if self.in_training_zone else zones.names

    def _rules(self) -> Iterator[tuple[bool, str, str, object]]:
        yield from super()._rules()
        many, block, capacity = self.nodes > 1, "capacityBlock" in self.capacity, list(self.capacity)
        yield from (
            (
                many and "spot" in self.capacity,
                "capacity",
                "must be without spot with nodes over 1, because Batch runs no multi-node job there",
                capacity,
            ),
            (
                many and len(self.instance_types) > 1,
                "instanceTypes",
                "must be one type with nodes over 1, because all nodes of a job are alike",
                list(self.instance_types),
            ),
            (
                self.efa and len(self.instance_types) > 1,
                "instanceTypes",
                "must be one type with efa, because the launch template has that type's network cards",
                list(self.instance_types),
            ),
            (
                not 1 <= len(capacity) <= MOST_ENVIRONMENTS,
                "capacity",
                f"must be one to {MOST_ENVIRONMENTS} kinds, because a queue has no more compute environments",
                capacity,
            ),
            (
                len(set(capacity)) < len(capacity) <= MOST_ENVIRONMENTS,
                "capacity",
                "must name each kind once",
                capacity,
            ),
            (
                block and len(set(self.capacity)) > 1,
                "capacity",
                "must be capacityBlock alone, because nothing else starts from its launch template",
                capacity,
            ),
            (
                block and self.capacity_reservation_id is None,
                "capacityReservationId",
                "is required with capacity capacityBlock",
                self.capacity_reservation_id,
            ),
            (
                block and len(self.instance_types) > 1,
                "instanceTypes",
                "must be one type with capacity capacityBlock, the one that was bought",
                list(self.instance_types),
            ),
            (
                self.capacity_reservation_id is not None and "spot" in self.capacity,
                "capacity",
                "must be [onDemand] or [capacityBlock] with capacityReservationId",
                capacity,
            ),
            (
                self.min_vcpus > self.max_vcpus,
                "minVcpus",
                f"must be at most maxVcpus ({self.max_vcpus})",
                self.min_vcpus,
            ),
            (
                self.nodes * (self.vcpus or 0) > self.max_vcpus,
                "maxVcpus",
                f"must be at least nodes x vcpus ({self.nodes * (self.vcpus or 0)}), or no job ever starts",
                self.max_vcpus,
            ),
        )

    def preflight(
        self, path: str, facts: Mapping[str, InstanceFacts], zones: Zones, partition: str
    ) -> Iterator[Mistake]:
        """Mistakes that only AWS can find: about the instance types, and what the partition lacks."""
        if self.efa and partition in PARTITIONS_WITHOUT_EFA:
            yield mistake(f"{path}.efa", "must be false in China, where Batch has no EFA", self.efa)
        types = [facts[name] for name in self.instance_types]
        listed = ", ".join(self.instance_types)
        if len({one.architecture for one in types}) > 1:
            yield mistake(
                f"{path}.instanceTypes",
                "must share one processor architecture",
                {t.instance_type: t.architecture for t in types},
            )
        elif without := [one.instance_type for one in types if one.batch_image_type is None]:
            yield mistake(
                f"{path}.instanceTypes",
                "must be types whose accelerators Batch's images have a driver for",
                ", ".join(without),
            )
        elif len({one.batch_image_type for one in types}) > 1:
            yield mistake(
                f"{path}.instanceTypes",
                "must be all with GPUs or all without, because their images differ",
                {t.instance_type: t.gpus for t in types},
            )
        said = {"gpus": self.gpus, "vcpus": self.vcpus, "memoryMib": self.memory_mib}
        asked = {key: value for key, value in said.items() if value is not None}
        rooms = [
            {"gpus": t.gpus, "vcpus": t.vcpus, "memoryMib": int(t.memory_mib * (1 - HOST_MEMORY_SHARE))} for t in types
        ]
        too_much = {key: most for key, wanted in asked.items() if wanted > (most := max(room[key] for room in rooms))}
        for key, most in too_much.items():
            yield mistake(f"{path}.{key}", f"must be at most {most}, what {listed} can give", asked[key])
        if not too_much and not any(all(asked[key] <= room[key] for key in asked) for room in rooms):
            yield mistake(
                f"{path}.instanceTypes", f"must hold a type that gives all of {asked} to one container", listed
            )
        container = self.container(types)
        if (self.shared_memory_mib or 0) > container.memory_mib:
            rule = f"must be at most the container's memory ({container.memory_mib}), which it is taken from"
            yield mistake(f"{path}.sharedMemoryMib", rule, self.shared_memory_mib)
        if self.efa and not types[0].efa_interfaces:
            yield mistake(f"{path}.efa", f"must be false, because {listed} has no EFA", self.efa)
        for kind in self.capacity:
            yield from never_offered(f"{path}.instanceTypes", types, USAGE_CLASSES[kind])
        used = self.zones(zones)
        if used and not any(one.zones & set(used) for one in types):
            yield mistake(
                f"{path}.instanceTypes",
                (
                    f"must be offered in {', '.join(used)}, where the instances would be"
                    + (" (network.trainingZone)" if self.in_training_zone else "")
                ),
                {one.instance_type: sorted(one.zones) for one in types},
            )
        # each node is a whole instance, and so is the one container of which nothing is said
        least = self.nodes * (types[0].vcpus if self.nodes > 1 else container.vcpus)
        if least > self.max_vcpus:
            whole = f"because each node is a whole {listed}" if self.nodes > 1 else "the vCPUs of a container"
            yield mistake(f"{path}.maxVcpus", f"must be at least {least}, {whole}", self.max_vcpus)

    def demands(self, path: str) -> Iterator[quotas.Demand]:
        """The vCPUs that it asks for at most, of each kind of capacity."""
        for kind in self.capacity:
            yield from quotas.of_instances(f"{path}.maxVcpus", self.instance_types, USAGE_CLASSES[kind], self.max_vcpus)


class BatchInstances(pulumi.ComponentResource):
    """What a queue's instances start with: a security group, permissions, a launch template, a place near each other.

    A component, so that `depends_on` waits for all of it: an environment that outlives its role's policies cannot be
    deleted.
    """

    compute_resources: Mapping[Capacity, batch.ComputeEnvironmentComputeResourcesArgsDict]
    """Kind of capacity -> the compute resources of its compute environment."""
    security_group_id: pulumi.Output[str]
    """The group that every instance has."""

    def __init__(
        self,
        name: str,
        settings: InstancesSettings,
        *,
        facts: Mapping[str, InstanceFacts],
        account: iam.Account,
        deployed: Deployed,
        network: Network,
        needs: Set[str],
        file_system: pulumi.Output[str] | None,
        statements: Sequence[iam.Statement],
        opts: pulumi.ResourceOptions,
    ) -> None:
        """`needs`: what the instances need that still run in environments that drain (`InstancesSettings.needs`).

        `file_system`: what they mount (`Lustre.source`).

        `statements`: what lets their containers write logs, and pull images.
        """
        super().__init__("distributed-training:index:BatchInstances", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        group = ec2.SecurityGroup(
            name,
            vpc_id=network.vpc_id,
            description="Batch instances: to anywhere, from nobody but each other",
            tags={"Name": name},
            # another description is another group
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["description"]),
        )
        vpc.SecurityGroupEgressRule(
            name,
            security_group_id=group.id,
            description="anywhere: AWS, and where images and data come from",
            ip_protocol="-1",
            cidr_ipv4="0.0.0.0/0",
            opts=child,
        )
        if NEARBY in needs | settings.needs:
            # a dot, because a queue may be called like this one with "-nodes" after it; where that queue is deployed,
            # the name before was never this one's
            before = None if deployed.arns.get(f"batch.{name}-nodes") else [pulumi.Alias(name=f"{name}-nodes")]
            let_members_talk(
                f"{name}.nodes",
                group.id,
                "nodes of a job to each other",
                opts=pulumi.ResourceOptions(parent=self, aliases=before),
            )
        role = iam.ServiceRole(
            f"{name}-instance",
            account=account,
            service=account.instances,
            statements=[
                # the name of an environment is in that of its cluster, by no form that AWS promises: AWSBatch-NAME-ID
                # is seen. single-node jobs share the host's network and can take on this role
                *iam.run_agent(account, f"*{name}-*"),
                *([gpu_metrics.send_metrics()] if settings.is_measured(facts) else []),
                *statements,
            ],
            opts=child,
        )
        profile = aws_iam.InstanceProfile(name, role=role.role_name, opts=child)
        template = ec2.LaunchTemplate(
            name,
            update_default_version=True,
            **_starts_with(name, settings, facts=facts, tags=account.tags, groups=[group.id], file_system=file_system),
            opts=child,
        )
        placement = (
            ec2.PlacementGroup(name, strategy="cluster", opts=child) if PLACEMENT in needs | settings.needs else None
        )
        everywhere: batch.ComputeEnvironmentComputeResourcesArgsDict = {
            "type": "EC2",
            "min_vcpus": settings.min_vcpus,
            "max_vcpus": settings.max_vcpus,
            "instance_types": settings.instance_types,
            "instance_role": profile.arn,
            # said always: without it an update puts AL2 in its place, which Batch no longer starts
            "ec2_configurations": [{"image_type": facts[settings.instance_types[0]].batch_image_type}],
            "launch_template": {
                "launch_template_id": template.id,
                # "$Latest" is read once, and not again for a generation that comes back
                "version": template.latest_version.apply(str),
            },
            "subnets": network.private_subnets(settings.zones(network.zones)),
        }
        # with network interfaces in the template the groups stand there, and here they would hide those
        if not settings.efa:
            everywhere["security_group_ids"] = [group.id]
        if placement is not None and PLACEMENT in settings.needs:
            everywhere["placement_group"] = placement.name
        self.compute_resources = {
            kind: {**everywhere, "type": BATCH_TYPES[kind], "allocation_strategy": STRATEGIES[kind]}
            for kind in settings.capacity
        }
        self.security_group_id = group.id
        self.register_outputs({})


def environment_names(
    name: str,
    settings: InstancesSettings,
    *,
    facts: Mapping[str, InstanceFacts],
    tags: Mapping[str, str],
    zones: Zones,
    lustre: bool,
) -> dict[Capacity, str]:
    """Kind of capacity -> logical name of its compute environment.

    `lustre`: whether they mount the file system, of which nothing is known yet before there is one.

    Each ends in a digest of all that only new instances take on: where that changes, there is another environment.
    """
    common = [
        # the provider holds them as a set
        sorted(settings.instance_types),
        facts[settings.instance_types[0]].batch_image_type,
        PLACEMENT in settings.needs,
        zones.subnets(settings.zones(zones)),
        _starts_with(name, settings, facts=facts, tags=tags, groups=[], file_system="" if lustre else None),
    ]

    def named(kind: Capacity) -> str:
        what = json.dumps([BATCH_TYPES[kind], STRATEGIES[kind], *common], sort_keys=True)
        digest = hashlib.sha256(what.encode()).hexdigest()
        return f"{name}-{USAGE_CLASSES[kind]}-{digest[:DIGEST_CHARACTERS]}"

    return {kind: named(kind) for kind in settings.capacity}


def _starts_with(
    name: str,
    settings: InstancesSettings,
    *,
    facts: Mapping[str, InstanceFacts],
    tags: Mapping[str, str],
    groups: Sequence[pulumi.Input[str]],
    file_system: str | pulumi.Output[str] | None,
) -> dict[str, Any]:
    """What the launch template says of an instance; what it does not say is no part of the digest either."""
    measured = gpu_metrics.dimensions(name) if settings.is_measured(facts) else None

    def start(mounted: str | None) -> str:
        text = user_data(
            own_interfaces=settings.nodes > 1,
            scratch=settings.has_scratch(facts),
            file_system=mounted,
            measured=measured,
        )
        return base64.b64encode(text.encode()).decode()

    interfaces = efa_network_interfaces(facts[settings.instance_types[0]], groups) if settings.efa else None
    said = {
        "metadata_options": {"http_endpoint": "enabled", "http_tokens": "required", "http_put_response_hop_limit": 1},
        "block_device_mappings": [
            {
                "device_name": "/dev/xvda",
                "ebs": {
                    "volume_size": settings.root_volume_gib,
                    "volume_type": "gp3",
                    "iops": ROOT_VOLUME_IOPS,
                    "throughput": ROOT_VOLUME_MIB_PER_SECOND,
                    "encrypted": "true",
                    "delete_on_termination": "true",
                },
            }
        ],
        "user_data": file_system.apply(start) if isinstance(file_system, pulumi.Output) else start(file_system),
        "network_interfaces": interfaces,
        "instance_market_options": {"market_type": "capacity-block"} if "capacityBlock" in settings.capacity else None,
        "capacity_reservation_specification": (
            {"capacity_reservation_target": {"capacity_reservation_id": settings.capacity_reservation_id}}
            if settings.capacity_reservation_id
            else None
        ),
        "tag_specifications": [
            # the provider's own tags stop at what it makes itself
            {"resource_type": kind, "tags": {**tags, "Name": name, "BatchJobQueue": name}}
            for kind in ("instance", "volume")
        ],
    }
    return {key: value for key, value in said.items() if value is not None}
