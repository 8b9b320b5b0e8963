"""Facts about an instance type, asked of AWS and never listed by hand, and what follows from them."""

from collections.abc import Set
from dataclasses import dataclass
from typing import Literal, Self

import pulumi
from pulumi_aws import ec2


@dataclass(frozen=True, kw_only=True)
class InstanceFacts:
    """What AWS says of an instance type (EC2 `DescribeInstanceTypes`)."""

    instance_type: str
    """Its name."""
    vcpus: int
    """Virtual CPUs."""
    memory_mib: int
    """Memory in MiB."""
    gpus: int
    """NVIDIA GPUs."""
    neuron_devices: int
    """AWS Trainium and Inferentia devices."""
    efa_interfaces: int
    """Elastic Fabric Adapters that it takes; 0 without EFA."""
    network_cards: int
    """Network cards; an EFA interface sits on one of them."""
    architecture: Literal["x86_64", "arm64"]
    """Processor architecture."""

    @classmethod
    def ask(cls, instance_type: str) -> Self:
        """Ask AWS; fails as the provider's function fails when the region knows no such type."""
        found = ec2.get_instance_type(instance_type=instance_type)
        return cls(
            instance_type=instance_type,
            vcpus=found.default_vcpus,
            memory_mib=found.memory_size,
            gpus=sum(gpu.count for gpu in found.gpuses if gpu.manufacturer == "NVIDIA"),
            neuron_devices=sum(device.count for device in found.neuron_devices),
            efa_interfaces=found.efa_maximum_interfaces if found.efa_supported else 0,
            network_cards=found.maximum_network_cards,
            architecture="arm64" if "arm64" in found.supported_architectures else "x86_64",
        )

    @property
    def batch_image_type(self) -> str:
        """The kind of AMI that Batch starts: said always, because a default that AWS moves replaces instances."""
        return "ECS_AL2023_NVIDIA" if self.gpus else "ECS_AL2023"

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


def ask_facts(instance_types: Set[str]) -> dict[str, InstanceFacts]:
    """Instance type -> its facts, of those among these that the region offers."""
    if not instance_types:
        return {}
    offered = ec2.get_instance_type_offerings(
        location_type="region", filters=[{"name": "instance-type", "values": sorted(instance_types)}]
    ).instance_types
    return {instance_type: InstanceFacts.ask(instance_type) for instance_type in sorted(offered)}


def efa_network_interfaces(
    facts: InstanceFacts, security_group_ids: list[pulumi.Input[str]]
) -> list[ec2.LaunchTemplateNetworkInterfaceArgs]:
    """A launch template's network interfaces for a type with EFA: one on each card, only the first with an address.

    The layout is the one EC2 recommends for types with several cards: card 0, device 0, and device 1 on every other
    (EC2 user guide, "Maximize network bandwidth on instances with multiple network cards"). Security groups stand on
    each interface, because those of a compute environment or a node group do not reach the interfaces of a template.
    """
    return [
        ec2.LaunchTemplateNetworkInterfaceArgs(
            network_card_index=card,
            device_index=min(card, 1),
            # a type with fewer EFA interfaces than cards has none on card 0
            interface_type="efa-only"
            if card
            else "efa"
            if facts.efa_interfaces == facts.network_cards
            else "interface",
            security_groups=security_group_ids,
            delete_on_termination="true",
            associate_public_ip_address=None if card else "false",
        )
        for card in range(facts.network_cards)
    ]
