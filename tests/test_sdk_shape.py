"""Inputs and options against what the SDK's classes declare."""

from collections.abc import Mapping
from typing import Any

import pytest

from local.run import Registration
from local.wire import UNKNOWN
from tests import sdk_shape


def registration(type_: str, inputs: Mapping[str, Any], ignore_changes: tuple[str, ...] = ()) -> Registration:
    return Registration(
        urn="",
        type=type_,
        name="it",
        parent="",
        custom=True,
        inputs=inputs,
        dependencies=frozenset(),
        ignore_changes=ignore_changes,
    )


ENVIRONMENT: dict[str, Any] = {
    "type": "MANAGED",
    "computeResources": {"type": "EC2", "maxVcpus": 4, "subnets": ["subnet-1"]},
}


@pytest.mark.parametrize(
    ("type_", "inputs", "lines"),
    [
        ("aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16", "enableDnsSupport": True}, []),
        ("aws:ec2/vpc:Vpc", {"cidr": "10.0.0.0/16"}, ["cidr: is no property of Vpc, got '10.0.0.0/16'"]),
        ("aws:ec2/vpc:Vpc", {"enableDnsSupport": "yes"}, ["enableDnsSupport: must be true or false, got 'yes'"]),
        ("aws:ec2/subnet:Subnet", {}, ["vpcId: is required, got nothing"]),
        ("aws:ec2/subnet:Subnet", {"vpcId": UNKNOWN}, []),
        ("aws:batch/computeEnvironment:ComputeEnvironment", ENVIRONMENT, []),
        (
            "aws:batch/computeEnvironment:ComputeEnvironment",
            {**ENVIRONMENT, "computeResources": {"type": "EC2", "maxVcpu": "many", "subnets": "subnet-1"}},
            [
                "computeResources.maxVcpu: is no property of ComputeEnvironmentComputeResources, got 'many'",
                "computeResources.subnets: must be a list, got 'subnet-1'",
                "computeResources.maxVcpus: is required, got nothing",
            ],
        ),
        (
            "aws:batch/computeEnvironment:ComputeEnvironment",
            {"type": "MANAGED", "computeResources": "x"},
            ["computeResources: must be an object, got 'x'"],
        ),
        (
            "aws:lambda/permission:Permission",
            {"function": "it", "action": "x"},
            ["principal: is required, got nothing"],
        ),
        ("aws:nowhere/nothing:Nothing", {"anything": 1}, []),
        ("distributed-training:index:Network", {"anything": 1}, []),
    ],
)
def test_inputs_are_those_that_the_sdk_declares(type_: str, inputs: dict[str, Any], lines: list[str]) -> None:
    assert list(sdk_shape.mistakes(registration(type_, inputs))) == lines


@pytest.mark.parametrize(
    ("type_", "path", "leads"),
    [
        ("aws:batch/computeEnvironment:ComputeEnvironment", "computeResources.desiredVcpus", True),
        ("aws:batch/computeEnvironment:ComputeEnvironment", "computeResources.desired_vcpus", False),
        ("aws:batch/computeEnvironment:ComputeEnvironment", "computeResources.ec2Configurations[0].imageType", True),
        ("aws:batch/computeEnvironment:ComputeEnvironment", "desiredVcpus", False),
        ("aws:ecs/service:Service", "desiredCount", True),
        ("aws:ecs/service:Service", "desiredCounts", False),
        ("aws:ecs/service:Service", "desiredCount.now", False),
        ("aws:sqs/queue:Queue", "tags.anything", True),
        ("eks:index:Cluster", "version", True),
        ("eks:index:Cluster", "versions", False),
        ("kubernetes:helm.sh/v3:Release", "values.anything", True),
    ],
)
def test_a_path_in_ignore_changes_names_a_property(type_: str, path: str, leads: bool) -> None:
    name = type_.rpartition(":")[2]
    expected = f"ignore_changes: must name a property of {name}, nested ones in camelCase, got '{path}'"
    assert list(sdk_shape.ignored_nowhere(registration(type_, {}, (path,)))) == ([] if leads else [expected])


def test_two_wrong_paths_in_ignore_changes_are_two_lines() -> None:
    assert len(list(sdk_shape.ignored_nowhere(registration("aws:sns/topic:Topic", {}, ("a", "b"))))) == 2
