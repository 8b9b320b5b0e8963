"""The interface endpoints: what is reached by them, and what a network without NAT must have."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import RunStack
from tests.support import WHOLE, all_of, one_of

MistakesIn = Callable[[dict[str, Any]], list[str]]

NO_NAT = {"natGateways": "none"}
ENDPOINTS = [
    "ecr.api",
    "ecr.dkr",
    "ecs",
    "ecs-agent",
    "ecs-telemetry",
    "logs",
    "monitoring",
    "sqs",
    "ec2",
    "eks-auth",
    "autoscaling",
    "eks",
]
MIRROR = "123456789012.dkr.ecr.us-west-2.amazonaws.com/mirror"
ECR_IMAGE = "123456789012.dkr.ecr.us-west-2.amazonaws.com/train:1"
SECRET = "arn:aws:secretsmanager:us-west-2:123456789012:secret:wandb-AbCdEf"
PARAMETER = "arn:aws:ssm:us-west-2:123456789012:parameter/wandb"


def test_interface_endpoints_take_https_from_the_network_alone(run_sections: RunStack) -> None:
    run = run_sections({"network": {"interfaceEndpoints": ["ecr.api", "logs"]}}, preview=False)
    endpoints = all_of(run, "aws:ec2/vpcEndpoint:VpcEndpoint")
    assert set(endpoints) == {"network-s3", "network-ecr-api", "network-logs"}
    (group,) = endpoints["network-logs"].inputs["securityGroupIds"]
    assert endpoints["network-logs"].inputs["privateDnsEnabled"] is True
    assert endpoints["network-logs"].inputs["serviceName"] == "com.amazonaws.us-west-2.logs"
    rule = one_of(run, "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "network-endpoints").inputs
    assert (rule["securityGroupId"], rule["cidrIpv4"]) == (group, "10.0.0.0/16")
    assert (rule["ipProtocol"], rule["fromPort"], rule["toPort"]) == ("tcp", 443, 443)


def test_a_service_without_endpoint_is_refused_before_anything_is_made(mistakes_in: MistakesIn) -> None:
    assert mistakes_in({"network": {"interfaceEndpoints": ["logs", "nonsense"]}}) == [
        "network.interfaceEndpoints.1: must be a service that has an interface endpoint in us-west-2, got 'nonsense'"
    ]


@pytest.mark.parametrize(
    ("sections", "missing", "whole"),
    [
        (
            {"batch": {"single": {"image": ECR_IMAGE, "secrets": {"A": SECRET, "B": PARAMETER}}}},
            (
                "ecr.api, ecr.dkr, ecs, ecs-agent, ecs-telemetry, logs for batch.single; "
                "monitoring for batch.single.gpuMetrics; secretsmanager, ssm for batch.single.secrets"
            ),
            "ecr.api, ecr.dkr, ecs, ecs-agent, ecs-telemetry, logs, monitoring, secretsmanager, ssm",
        ),
        (
            {
                "queues": {"tasks": {}, "results": {}},
                "batch": {
                    "single": {
                        "image": ECR_IMAGE,
                        "sendTo": ["results"],
                        "terminateFaultyInstances": True,
                        "gpuMetrics": False,
                    }
                },
                "workers": {"w": {"queue": "tasks", "submitTo": ["single"]}},
            },
            (
                "ecr.api, ecr.dkr, ecs, ecs-agent, ecs-telemetry, logs for batch.single; sqs for batch.single.sendTo; "
                "ec2 for batch.single.terminateFaultyInstances; batch for workers.w.submitTo"
            ),
            "batch, ec2, ecr.api, ecr.dkr, ecs, ecs-agent, ecs-telemetry, logs, sqs",
        ),
        (
            {"queues": {"tasks": {}}, "eks": {"imageRegistry": MIRROR, "sendTo": ["tasks"]}},
            "ec2, ecr.api, ecr.dkr, eks-auth, autoscaling, eks for eks; sqs for eks.sendTo",
            "autoscaling, ec2, ecr.api, ecr.dkr, eks, eks-auth, sqs",
        ),
    ],
    ids=["secrets", "sendTo and submitTo", "eks"],
)
def test_without_nat_all_missing_endpoints_are_one_line_with_the_list_to_write(
    sections: dict[str, Any], missing: str, whole: str, mistakes_in: MistakesIn, run_sections: RunStack
) -> None:
    assert mistakes_in(sections | {"network": NO_NAT}) == [
        f"network.interfaceEndpoints: must hold, with natGateways none, {missing}: write [{whole}], got []"
    ]
    written = NO_NAT | {"interfaceEndpoints": whole.split(", ")}
    assert run_sections(sections | {"network": written}).error is None


def test_endpoints_that_nothing_needs_are_no_mistake(run_sections: RunStack) -> None:
    assert run_sections({"network": NO_NAT | {"interfaceEndpoints": ["kms", "fsx"]}}).error is None


def test_without_nat_nothing_may_come_from_the_internet(mistakes_in: MistakesIn) -> None:
    network = NO_NAT | {"interfaceEndpoints": ENDPOINTS}
    in_ecr = "must be in ECR with network.natGateways none"
    assert mistakes_in(WHOLE | {"network": network, "workers": {"f": {"image": "python:3.12"}}}) == [
        (
            f"batch.single.image: {in_ecr}, such as repository:TAG,"
            " got 'public.ecr.aws/deep-learning-containers/pytorch:2.13-cu133-amzn2023'"
        ),
        f"workers.f.image: {in_ecr}, such as repository:TAG, got 'python:3.12'",
        (
            f"eks.imageRegistry: {in_ecr}, with copies of the images of the cluster's software"
            " (python -m tools.images), got null"
        ),
    ]


def test_without_nat_a_registry_outside_ecr_is_refused(mistakes_in: MistakesIn) -> None:
    network = NO_NAT | {"interfaceEndpoints": ENDPOINTS}
    (line,) = mistakes_in({"network": network, "eks": {"imageRegistry": "registry.example.com/mirror"}})
    assert line.startswith("eks.imageRegistry: must be in ECR")
    assert line.endswith("got 'registry.example.com/mirror'")


def test_with_its_endpoints_every_part_lives_without_nat(run_sections: RunStack) -> None:
    run = run_sections(
        WHOLE
        | {
            "network": NO_NAT | {"interfaceEndpoints": ENDPOINTS},
            "batch": {"single": {"image": ECR_IMAGE}},
            "eks": {"imageRegistry": MIRROR, "kueue": True, "trainer": True},
        }
    )
    assert all_of(run, "aws:ec2/natGateway:NatGateway") == {}
    assert all_of(run, "aws:ec2/eip:Eip") == {}
    assert len(all_of(run, "aws:ec2/vpcEndpoint:VpcEndpoint")) == len(ENDPOINTS) + 1
    # the first pull through a cache needs a way to the internet
    assert all_of(run, "aws:ecr/pullThroughCacheRule:PullThroughCacheRule") == {}
