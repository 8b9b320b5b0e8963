"""Facts about an instance type, asked of AWS and never listed by hand, and what follows from them."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Literal, Self

import pulumi
from pulumi_aws import ec2

from components.schema import mistake
from stack_file.mistakes import Mistake

GPUS_WITHOUT_DRIVER = frozenset({"K80", "M60", "V100"})
"""NVIDIA GPUs (of p2, g3 and p3) that the driver in Batch's AL2023 image no longer knows (API, `Ec2Configuration`)."""
A100_SMALL_MIB = 40_960
"""Memory of the smaller A100, that of p4d."""
HOST_MEMORY_SHARE = 0.05
"""Part of an instance's memory that AWS says to leave to the host (Batch user guide, "Reserve system memory")."""
HOST_MEMORY_MIB = 256
"""Memory that stays free besides that share, since on small types the kernel alone uses the share."""
MOST_PODS = 737
"""The most pods that AWS sets for any type, however many addresses it has (amazon-eks-ami, `eni-max-pods.txt`)."""
KUBELET_MIB, KUBELET_MIB_PER_POD, EVICTION_MIB = 255, 11, 100
"""Memory that a node keeps for itself: a basis, more for each pod that it may have, and what must stay free
(amazon-eks-ami, `nodeadm`)."""
DAEMONS_MIB, DAEMONS_MILLIVCPUS = 256, 800
"""Room for the pods that run on every node: of the network, the devices, the identities, the monitoring."""
HUGE_PAGES_MIB_PER_VCPU = 220
"""Memory that EFA's set-up keeps as huge pages where there is an interface: two end points of 110 MiB for each vCPU
(bottlerocket-core-kit, `corndog`; 21,122 MiB are seen on p4de.24xlarge)."""


@dataclass(frozen=True, kw_only=True)
class InstanceFacts:
    """What AWS says of an instance type (EC2 `DescribeInstanceTypes` and `DescribeInstanceTypeOfferings`)."""

    instance_type: str
    """Its name."""
    vcpus: int
    """Virtual CPUs."""
    memory_mib: int
    """Memory in MiB."""
    gpus: int
    """NVIDIA GPUs."""
    gpu_models: frozenset[str]
    """Models of its NVIDIA GPUs, such as `H100`."""
    gpu_memory_mib: int
    """Memory of each NVIDIA GPU in MiB; 0 without one."""
    neuron_devices: int
    """AWS Trainium and Inferentia devices."""
    efa_interfaces: int
    """Elastic Fabric Adapters that it takes; 0 without EFA."""
    network_cards: int
    """Network cards; an EFA interface sits on one of them."""
    pods: int
    """Pods that an EKS node of it may have at most, each with an address of its network interfaces."""
    instance_storage_gb: int
    """Size of its own disks together in GB; 0 without any."""
    architecture: Literal["x86_64", "arm64"]
    """Processor architecture."""
    usage_classes: frozenset[str]
    """How it can be had: `on-demand`, `spot`, `capacity-block`."""
    zones: frozenset[str]
    """Names of the availability zones that offer it."""

    @classmethod
    def ask(cls, instance_type: str, zones: Set[str]) -> Self:
        """Ask AWS; fails as the provider's function fails when the region knows no such type."""
        found = ec2.get_instance_type(instance_type=instance_type)
        nvidia = [gpu for gpu in found.gpuses if gpu.manufacturer == "NVIDIA"]
        return cls(
            instance_type=instance_type,
            vcpus=found.default_vcpus,
            memory_mib=found.memory_size,
            gpus=sum(gpu.count for gpu in nvidia),
            gpu_models=frozenset(gpu.name for gpu in nvidia),
            gpu_memory_mib=min((gpu.memory_size for gpu in nvidia), default=0),
            neuron_devices=sum(device.count for device in found.neuron_devices),
            efa_interfaces=found.efa_maximum_interfaces if found.efa_supported else 0,
            network_cards=found.maximum_network_cards,
            # the first address of each interface is its own; two pods have the host's (EKS, `eni-max-pods.txt`)
            pods=min(
                found.maximum_network_interfaces * (found.maximum_ipv4_addresses_per_interface - 1) + 2, MOST_PODS
            ),
            instance_storage_gb=found.total_instance_storage if found.instance_storage_supported else 0,
            architecture="arm64" if "arm64" in found.supported_architectures else "x86_64",
            usage_classes=frozenset(found.supported_usages_classes),
            zones=frozenset(zones),
        )

    @property
    def accelerators(self) -> int:
        """Accelerators, of NVIDIA or AWS; no type has both."""
        return self.gpus or self.neuron_devices

    @property
    def container_memory_mib(self) -> int:
        """Memory in MiB that a container is sure to get when it has a whole instance of this type."""
        return int(self.memory_mib * (1 - HOST_MEMORY_SHARE)) - HOST_MEMORY_MIB

    @property
    def pod_vcpus(self) -> int:
        """The vCPUs that a pod is sure to get when it has a whole EKS node of this type.

        A node keeps 6 % of the first vCPU for itself, 1 % of the second, 0.5 % of the next two and 0.25 % of the others
        (amazon-eks-ami, `nodeadm`): 60, 70, 80 thousandths of the first ones together, and 2.5 of each one more.
        """
        first = (60, 70, 75, 80)[min(self.vcpus, 4) - 1]
        kept = first + 2.5 * max(self.vcpus - 4, 0) + DAEMONS_MILLIVCPUS
        return int(self.vcpus - kept / 1000)

    def pod_memory_mib(self, *, efa: bool) -> int:
        """Memory in MiB that a pod is sure to get when it has a whole EKS node of this type, with EFA or without."""
        kept = KUBELET_MIB + KUBELET_MIB_PER_POD * self.pods + EVICTION_MIB + DAEMONS_MIB
        return self.container_memory_mib - kept - (HUGE_PAGES_MIB_PER_VCPU * self.vcpus if efa else 0)

    @property
    def launcher_name(self) -> str | None:
        """What SkyPilot calls its GPU, in lower case as on a node's label; None where that is no label's value.

        The two sizes of the A100 have one name with AWS, and two with SkyPilot.
        """
        if len(self.gpu_models) != 1:
            return None
        (model,) = self.gpu_models
        name = f"{model.lower()}-80gb" if model == "A100" and self.gpu_memory_mib > A100_SMALL_MIB else model.lower()
        return name if re.fullmatch("[a-z0-9][a-z0-9-]*", name) else None

    @property
    def batch_image_type(self) -> str | None:
        """The kind of AMI that Batch starts; None for an accelerator that no image of Batch's has a driver for.

        AL2023 with NVIDIA's driver is for x86_64 only, and none has the Neuron driver (Batch API, `Ec2Configuration`).
        """
        match self:
            case InstanceFacts(gpus=0, neuron_devices=0):
                return "ECS_AL2023"
            case InstanceFacts(architecture="x86_64", neuron_devices=0) if not self.gpu_models & GPUS_WITHOUT_DRIVER:
                return "ECS_AL2023_NVIDIA"
            case _:
                return None

    @property
    def eks_ami_type(self) -> str:
        """The kind of AMI that an EKS managed node group starts."""
        match self:
            case InstanceFacts(architecture="arm64", gpus=0):
                return "AL2023_ARM_64_STANDARD"
            case InstanceFacts(architecture="arm64"):
                return "AL2023_ARM_64_NVIDIA"
            case InstanceFacts(neuron_devices=count) if count:
                return "AL2023_x86_64_NEURON"
            case InstanceFacts(gpus=0):
                return "AL2023_x86_64_STANDARD"
            case _:
                return "AL2023_x86_64_NVIDIA"


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What a container can have when it has an instance for itself; of several types, what each of them can give."""

    vcpus: int
    """The vCPUs."""
    memory_mib: int
    """Memory in MiB."""
    accelerators: int
    """Accelerators, of NVIDIA or AWS."""
    efa_interfaces: int
    """Elastic Fabric Adapters."""

    @classmethod
    def of_container(cls, types: Sequence[InstanceFacts], *, efa: bool) -> Self:
        """On Batch, where a container may have every vCPU (ECS keeps none for itself)."""
        return cls(
            vcpus=min(one.vcpus for one in types),
            memory_mib=min(one.container_memory_mib for one in types),
            accelerators=min(one.accelerators for one in types),
            efa_interfaces=min(one.efa_interfaces for one in types) if efa else 0,
        )

    @classmethod
    def of_pod(cls, types: Sequence[InstanceFacts], *, efa: bool) -> Self:
        """On EKS, where a pod can have what the node does not keep for itself."""
        return cls(
            vcpus=min(one.pod_vcpus for one in types),
            memory_mib=min(one.pod_memory_mib(efa=efa) for one in types),
            accelerators=min(one.accelerators for one in types),
            efa_interfaces=min(one.efa_interfaces for one in types) if efa else 0,
        )


def nccl(*, efa: bool) -> dict[str, str]:
    """Environment by which NCCL logs which network it selected, and with EFA takes no other.

    `Libfabric` is what aws-ofi-nccl calls itself from 1.12 on. Without EFA it does not start, and NCCL, told to use
    nothing else, fails where it would have gone on over TCP (NVIDIA/nccl, `src/plugin/net.cc`).
    """
    return {"NCCL_DEBUG": "INFO", **({"NCCL_NET": "Libfabric"} if efa else {})}


def shared_memory_mib(memory_mib: int) -> int:
    """Size of /dev/shm in MiB, where data loaders and NCCL exchange data, of a container with this much memory."""
    return memory_mib // 2


def ask_facts(instance_types: Set[str]) -> dict[str, InstanceFacts]:
    """Instance type -> its facts, of those among these that the region offers."""
    if not instance_types:
        return {}
    offered = ec2.get_instance_type_offerings(
        location_type="availability-zone", filters=[{"name": "instance-type", "values": sorted(instance_types)}]
    )
    zones = defaultdict[str, set[str]](set)
    for instance_type, zone in zip(offered.instance_types, offered.locations, strict=True):
        zones[instance_type].add(zone)
    return {instance_type: InstanceFacts.ask(instance_type, zones[instance_type]) for instance_type in sorted(zones)}


def never_offered(path: str, types: Iterable[InstanceFacts], usage_class: str) -> Iterator[Mistake]:
    """The mistake where a setting asks for types as EC2 does not offer them, such as `spot`."""
    if never := [one.instance_type for one in types if usage_class not in one.usage_classes]:
        yield mistake(path, f"must be types that EC2 offers as {usage_class}", ", ".join(never))


def offered_types() -> list[str]:
    """Every instance type that the region offers."""
    return sorted(ec2.get_instance_type_offerings(location_type="region").instance_types)


def efa_network_interfaces(
    facts: InstanceFacts, security_group_ids: Sequence[pulumi.Input[str]]
) -> list[ec2.LaunchTemplateNetworkInterfaceArgsDict]:
    """A launch template's network interfaces for a type with EFA: one on each card, only the first with an address.

    Cards after the first carry an EFA-only interface at device 0, as EC2 recommends (user guide, "Maximize network
    bandwidth on instances with multiple network cards"). The first carries one EFA with an address, where EC2 would
    have two interfaces: a card of p5 takes no more than two, and the containers of multi-node jobs and EKS pods
    need the other. Where there are fewer EFAs than cards (p6-b300), the first card has none.

    Security groups stand on each interface, because those of a compute environment or a node group do not reach the
    interfaces of a template.
    """
    first = "efa" if facts.efa_interfaces >= facts.network_cards else "interface"
    interfaces: list[ec2.LaunchTemplateNetworkInterfaceArgsDict] = [
        {
            "network_card_index": card,
            "device_index": 0,
            "interface_type": "efa-only" if card else first,
            "security_groups": security_group_ids,
            "delete_on_termination": "true",
        }
        for card in range(facts.network_cards)
    ]
    interfaces[0]["associate_public_ip_address"] = "false"
    return interfaces
