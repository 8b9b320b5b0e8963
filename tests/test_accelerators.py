"""Facts about instance types, and what follows from them, with moto's catalogue as EC2's."""

import dataclasses
from dataclasses import replace
from typing import Any

import pulumi
import pytest

from components.accelerators import InstanceFacts, ask_facts, efa_network_interfaces
from local import engine
from local.aws import Aws
from local.provider import Provider

KINDS = (
    "c7i.large",
    "m7g.large",
    "g5.xlarge",
    "g5.8xlarge",
    "g5g.16xlarge",
    "g6e.12xlarge",
    "g6e.48xlarge",
    "p3dn.24xlarge",
    "p4d.24xlarge",
    "p4de.24xlarge",
    "p5.48xlarge",
    "p5en.48xlarge",
    "p6-b200.48xlarge",
    "p6-b300.48xlarge",
    "trn1.32xlarge",
    "inf2.48xlarge",
)


@pytest.fixture(scope="module")
def facts(aws: Aws) -> dict[str, InstanceFacts]:
    found: dict[str, InstanceFacts] = {}

    def program() -> None:
        found.update(ask_facts({*KINDS, "p9.huge"}))

    run = engine.run(program, Provider(aws), preview=True)
    assert run.error is None
    return found


def test_facts_are_what_aws_says(facts: dict[str, InstanceFacts]) -> None:
    assert facts["p5.48xlarge"] == InstanceFacts(
        instance_type="p5.48xlarge",
        vcpus=192,
        memory_mib=2_097_152,
        gpus=8,
        gpu_models=frozenset({"H100"}),
        gpu_memory_mib=81_920,
        neuron_devices=0,
        efa_interfaces=32,
        network_cards=32,
        pods=737,
        instance_storage_gb=30_400,
        architecture="x86_64",
        usage_classes=frozenset({"capacity-block", "on-demand", "spot"}),
        zones=frozenset({"us-west-2a", "us-west-2b", "us-west-2c", "us-west-2d"}),
    )
    assert facts["g5.xlarge"].efa_interfaces == 0
    assert facts["m7g.large"].instance_storage_gb == 0
    assert facts["trn1.32xlarge"].neuron_devices == 16
    assert facts["trn1.32xlarge"].zones == {"us-west-2b", "us-west-2d"}
    assert facts["m7g.large"].architecture == "arm64"


@pytest.mark.parametrize(
    ("instance_type", "efa", "vcpus", "memory_mib"),
    [
        # aws-k8s-tester pull request 471
        ("g5.8xlarge", False, 31.850, 127_462_076 // 1024),
        # awsome-distributed-training, "PyTorch DDP on EKS"
        ("p4de.24xlarge", True, 95.690, 1_146_004_920 // 1024),
        # performance study of the Flux operator
        ("p3dn.24xlarge", True, 95.690, 753_772_012 // 1024),
    ],
)
def test_a_pod_of_a_whole_node_fits_what_nodes_were_seen_to_offer(
    instance_type: str, efa: bool, vcpus: float, memory_mib: int, facts: dict[str, InstanceFacts]
) -> None:
    one = facts[instance_type]
    assert 0 <= vcpus - one.pod_vcpus < 2
    assert 0.95 * memory_mib < one.pod_memory_mib(efa=efa) <= memory_mib


def test_every_type_with_an_accelerator_has_room_for_a_pod(facts: dict[str, InstanceFacts]) -> None:
    for one in facts.values():
        assert one.pod_vcpus >= one.vcpus // 2
        assert one.memory_mib // 2 < one.pod_memory_mib(efa=bool(one.efa_interfaces)) < one.container_memory_mib


@pytest.mark.parametrize(
    ("instance_type", "name"),
    [
        ("g5.xlarge", "a10g"),
        ("p4d.24xlarge", "a100"),
        ("p5.48xlarge", "h100"),
        ("trn1.32xlarge", None),
    ],
)
def test_launchers_know_a_gpu_by_its_name(
    instance_type: str, name: str | None, facts: dict[str, InstanceFacts]
) -> None:
    assert facts[instance_type].launcher_name == name


def test_launchers_tell_the_larger_a100_from_the_smaller(facts: dict[str, InstanceFacts]) -> None:
    assert replace(facts["p4d.24xlarge"], gpu_memory_mib=81_920).launcher_name == "a100-80gb"


def test_a_type_that_the_region_does_not_offer_has_no_facts(facts: dict[str, InstanceFacts]) -> None:
    assert "p9.huge" not in facts


@pytest.mark.parametrize(
    ("instance_type", "image_type"),
    [
        ("c7i.large", "ECS_AL2023"),
        ("m7g.large", "ECS_AL2023"),
        ("g6e.12xlarge", "ECS_AL2023_NVIDIA"),
        ("p5.48xlarge", "ECS_AL2023_NVIDIA"),
        ("g5g.16xlarge", None),
        ("trn1.32xlarge", None),
        ("inf2.48xlarge", None),
    ],
)
def test_the_batch_image_follows_from_the_instance_type(
    instance_type: str, image_type: str | None, facts: dict[str, InstanceFacts]
) -> None:
    assert facts[instance_type].batch_image_type == image_type


def test_no_batch_image_has_a_driver_for_the_gpus_of_p3(facts: dict[str, InstanceFacts]) -> None:
    p3 = dataclasses.replace(facts["p4d.24xlarge"], gpu_models=frozenset({"V100"}))
    assert p3.batch_image_type is None


@pytest.mark.parametrize(
    ("instance_type", "image_type"),
    [
        ("c7i.large", "AL2023_x86_64_STANDARD"),
        ("m7g.large", "AL2023_ARM_64_STANDARD"),
        ("g6e.12xlarge", "AL2023_x86_64_NVIDIA"),
        ("g5g.16xlarge", "AL2023_ARM_64_NVIDIA"),
        ("trn1.32xlarge", "AL2023_x86_64_NEURON"),
    ],
)
def test_the_eks_image_follows_from_the_instance_type(
    instance_type: str, image_type: str, facts: dict[str, InstanceFacts]
) -> None:
    assert facts[instance_type].eks_ami_type == image_type


@pytest.mark.parametrize(
    ("instance_type", "first", "efa_only"),
    [
        ("g6e.12xlarge", "efa", 0),
        ("g6e.48xlarge", "efa", 3),
        ("p4d.24xlarge", "efa", 3),
        ("trn1.32xlarge", "efa", 7),
        ("p6-b200.48xlarge", "efa", 7),
        ("p5en.48xlarge", "efa", 15),
        ("p5.48xlarge", "efa", 31),
        ("p6-b300.48xlarge", "interface", 16),
    ],
)
def test_every_efa_of_a_type_has_an_interface_on_a_card_of_its_own(
    instance_type: str, first: str, efa_only: int, facts: dict[str, InstanceFacts]
) -> None:
    made = interfaces(facts[instance_type])
    assert [one["interface_type"] for one in made] == [first, *["efa-only"] * efa_only]
    assert [one["network_card_index"] for one in made] == list(range(1 + efa_only))
    assert {one["device_index"] for one in made} == {0}
    assert sum(one["interface_type"].startswith("efa") for one in made) == facts[instance_type].efa_interfaces


def test_only_the_first_interface_has_an_address_and_it_is_private(facts: dict[str, InstanceFacts]) -> None:
    made = interfaces(facts["p4d.24xlarge"])
    assert [one.get("associate_public_ip_address") for one in made] == ["false", None, None, None]
    assert all(one["security_groups"] == ["sg-1"] and one["delete_on_termination"] == "true" for one in made)


def interfaces(facts: InstanceFacts) -> list[dict[str, Any]]:
    names = (
        "interface_type",
        "network_card_index",
        "device_index",
        "security_groups",
        "delete_on_termination",
        "associate_public_ip_address",
    )
    groups: list[pulumi.Input[str]] = ["sg-1"]
    return [{name: one.get(name) for name in names} for one in efa_network_interfaces(facts, groups)]
