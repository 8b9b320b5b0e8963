"""The job definition of a job queue: its container, and what is tried again."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, cast

import boto3
import pytest
from botocore.validate import ParamValidator

from components.batch.user_data import user_data
from local.run import Run
from tests.batch.support import (
    JOB_DEFINITION,
    JOB_QUEUE,
    LAUNCH_TEMPLATE,
    MULTI,
    ROLE_POLICY,
    SECRET,
    SINGLE,
    environments,
)
from tests.conftest import RunStack
from tests.support import Allowed, all_of, one_of


def expected_container(name: str, settings: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "image": (
            "123456789012.dkr.ecr.us-west-2.amazonaws.com/artifacts-Repository/public/deep-learning-containers/pytorch"
            ":2.13-cu133-amzn2023"
        ),
        "command": ["nvidia-smi"],
        "jobRoleArn": f"arn:aws:role:us-west-2:123456789012:{name}-job-Role",
        "executionRoleArn": f"arn:aws:role:us-west-2:123456789012:{name}-execution-Role",
        "resourceRequirements": [
            {"type": "GPU", "value": str(settings["gpus"])},
            {"type": "VCPU", "value": str(settings["vcpus"])},
            {"type": "MEMORY", "value": str(settings["memoryMib"])},
        ],
        "environment": [{"name": "ARTIFACTS_BUCKET", "value": "artifacts-Bucket"}],
        "secrets": [],
        "linuxParameters": {
            "initProcessEnabled": True,
            "sharedMemorySize": settings["memoryMib"] // 2,
            "devices": [],
        },
        "ulimits": [
            {"name": "memlock", "softLimit": -1, "hardLimit": -1},
            {"name": "nofile", "softLimit": 65_536, "hardLimit": 65_536},
            {"name": "stack", "softLimit": 67_108_864, "hardLimit": 67_108_864},
        ],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": f"{name}-LogGroup",
                "awslogs-region": "us-west-2",
                "awslogs-stream-prefix": "job",
            },
        },
        "privileged": False,
        "volumes": [{"name": "scratch", "host": {"sourcePath": "/scratch"}}],
        "mountPoints": [{"sourceVolume": "scratch", "containerPath": "/scratch", "readOnly": False}],
        **more,
    }


def test_jobs_find_the_file_system_on_one_node_and_on_many(run_stably: RunStack) -> None:
    run = run_stably({"artifacts": {"lustre": {}}, "batch": {"single": SINGLE, "multi": MULTI}})
    of_nodes = json.loads(one_of(run, JOB_DEFINITION, "multi").inputs["nodeProperties"])
    for container in (
        json.loads(one_of(run, JOB_DEFINITION, "single").inputs["containerProperties"]),
        of_nodes["nodeRangeProperties"][0]["container"],
    ):
        assert container["volumes"] == [
            {"name": "scratch", "host": {"sourcePath": "/scratch"}},
            {"name": "lustre", "host": {"sourcePath": "/lustre"}},
        ]
        assert [(one["sourceVolume"], one["containerPath"]) for one in container["mountPoints"]] == [
            ("scratch", "/scratch"),
            ("lustre", "/lustre"),
        ]
    for name in ("single", "multi"):
        # it is named only when the queue gives jobs to instances that have it
        assert one_of(run, JOB_QUEUE, name).urn in one_of(run, JOB_DEFINITION, name).dependencies
        text = base64.b64decode(one_of(run, LAUNCH_TEMPLATE, name).inputs["userData"]).decode()
        source = "artifacts-LustreFileSystem.example@tcp:/mount"
        measured = {"BatchJobQueue": f"distributed-training-test-{name}"}
        assert text == user_data(own_interfaces=name == "multi", scratch=True, file_system=source, measured=measured)
    for one in environments(run).values():
        assert "lustre" in one.inputs["tags"]["distributed-training:needs"].split()
        # which waits for what shows the bucket in it
        assert any("DataRepositoryAssociation" in urn for urn in one.dependencies)
    (message,) = run.messages
    assert message == (
        "batch.single: instances in us-west-2b reach the file system in us-west-2a across zones, which is slower, and"
        " charged as data transfer"
    )


RETRY = {
    "attempts": 3,
    "evaluateOnExits": [
        {"onStatusReason": "Host EC2*", "action": "RETRY"},
        {"onReason": "CannotPullContainerError*", "action": "RETRY"},
        # what the example ends with when it is told to stop, and when a GPU fails its check
        {"onExitCode": "75", "action": "RETRY"},
        {"onExitCode": "80", "action": "RETRY"},
        # the fifth, as ever: another number makes another definition
        {"onReason": "*", "action": "EXIT"},
    ],
}


def test_a_single_node_definition_says_all_that_a_training_container_needs(stable: Run) -> None:
    inputs = dict(one_of(stable, JOB_DEFINITION, "single").inputs)
    assert json.loads(inputs.pop("containerProperties")) == expected_container("single", SINGLE)
    assert inputs == {
        "type": "container",
        "platformCapabilities": ["EC2"],
        "retryStrategy": RETRY,
        "timeout": {"attemptDurationSeconds": 86_400},
        "propagateTags": True,
        "deregisterOnNewRevision": False,
    }


def test_a_container_of_which_nothing_is_said_has_a_whole_instance_of_the_smallest_type(run_stably: RunStack) -> None:
    run = run_stably({"batch": {"q": {"instanceTypes": ["g6e.48xlarge", "p5.48xlarge", "g6e.24xlarge"], "gpus": 2}}})
    container = json.loads(one_of(run, JOB_DEFINITION, "q").inputs["containerProperties"])
    # the g6e.24xlarge: 4 GPUs, 96 vCPUs, 768 GiB less 5 % and 256 MiB; of the GPUs the stack file says something
    has = {one["type"]: int(one["value"]) for one in container["resourceRequirements"]}
    assert has == {"GPU": 2, "VCPU": 96, "MEMORY": 746_854}
    assert container["linuxParameters"]["sharedMemorySize"] == 373_427


def test_a_container_on_a_type_without_gpus_asks_for_none(run_stably: RunStack) -> None:
    run = run_stably({"batch": {"q": {"instanceTypes": ["m7i.large"]}}})
    container = json.loads(one_of(run, JOB_DEFINITION, "q").inputs["containerProperties"])
    assert container["resourceRequirements"] == [
        {"type": "VCPU", "value": "2"},
        {"type": "MEMORY", "value": "7526"},
    ]


def test_a_multi_node_definition_passes_every_efa_device_to_every_node(stable: Run) -> None:
    inputs = dict(one_of(stable, JOB_DEFINITION, "multi").inputs)
    container = expected_container("multi", MULTI, instanceType="p5.48xlarge")
    container["environment"] += [
        # instance metadata, where SDKs look last, is closed to its containers
        {"name": "AWS_DEFAULT_REGION", "value": "us-west-2"},
        {"name": "AWS_REGION", "value": "us-west-2"},
        {"name": "NCCL_DEBUG", "value": "INFO"},
        # what falls back to TCP fails
        {"name": "NCCL_NET", "value": "Libfabric"},
        {"name": "NCCL_SOCKET_IFNAME", "value": "^docker,ecs,lo,veth"},
    ]
    container["linuxParameters"]["devices"] = [
        {
            "hostPath": f"/dev/infiniband/uverbs{index}",
            "containerPath": f"/dev/infiniband/uverbs{index}",
            "permissions": ["READ", "WRITE", "MKNOD"],
        }
        for index in range(32)
    ]
    assert json.loads(inputs.pop("nodeProperties")) == {
        "numNodes": 2,
        "mainNode": 0,
        "nodeRangeProperties": [{"targetNodes": "0:", "container": container}],
    }
    assert inputs == {
        "type": "multinode",
        "retryStrategy": RETRY,
        "timeout": {"attemptDurationSeconds": 7200},
        "propagateTags": True,
        "deregisterOnNewRevision": False,
    }


@pytest.mark.parametrize(
    ("name", "key", "shape"),
    [("single", "containerProperties", "ContainerProperties"), ("multi", "nodeProperties", "NodeProperties")],
)
def test_the_json_of_a_definition_fits_the_apis_own_shape_and_is_in_stable_order(
    name: str, key: str, shape: str, stable: Run
) -> None:
    text = one_of(stable, JOB_DEFINITION, name).inputs[key]
    client = cast("Any", boto3).client("batch", region_name="us-west-2")
    said = json.loads(text)
    report = ParamValidator().validate(said, client.meta.service_model.shape_for(shape))
    assert not report.has_errors(), report.generate_report()
    assert text == json.dumps(said, sort_keys=True)


def test_a_container_finds_the_bucket_the_queues_its_environment_and_its_secrets(run_stably: RunStack) -> None:
    own = {"environment": {"EPOCHS": "3"}, "secrets": {"WANDB_API_KEY": f"{SECRET}:key::"}, "sharedMemoryMib": 1024}
    run = run_stably({"queues": {"tasks": {}, "other": {}}, "batch": {"single": SINGLE | own | {"sendTo": ["tasks"]}}})
    container = json.loads(one_of(run, JOB_DEFINITION, "single").inputs["containerProperties"])
    assert [one["name"] for one in container["environment"]] == ["ARTIFACTS_BUCKET", "EPOCHS", "QUEUE_URL_TASKS"]
    assert container["secrets"] == [{"name": "WANDB_API_KEY", "valueFrom": f"{SECRET}:key::"}]
    assert container["linuxParameters"]["sharedMemorySize"] == 1024
    # the agent reads the secret before the container starts, and the job itself may not
    may_read = {
        name: "secretsmanager:GetSecretValue" in policy.inputs["policy"]
        for name, policy in all_of(run, ROLE_POLICY).items()
    }
    assert may_read["single-execution"]
    assert not may_read["single-job"]
    (statement,) = [
        one
        for one in json.loads(one_of(run, ROLE_POLICY, "single-execution").inputs["policy"])["Statement"]
        if one["Action"] == ["secretsmanager:GetSecretValue"]
    ]
    assert statement["Resource"] == [SECRET]


def test_a_job_may_end_its_instance_where_that_is_asked_for_and_no_other_queues(run_stably: RunStack) -> None:
    run = run_stably({"batch": {"single": SINGLE | {"terminateFaultyInstances": True}, "other": SINGLE}})
    container = json.loads(one_of(run, JOB_DEFINITION, "single").inputs["containerProperties"])
    assert {"name": "TERMINATE_FAULTY_INSTANCE", "value": "true"} in container["environment"]
    policies = {name: policy.inputs["policy"] for name, policy in all_of(run, ROLE_POLICY).items()}
    assert "ec2:TerminateInstances" not in policies["other-job"]
    may = Allowed([policies["single-job"]])
    profile, other = (
        f"arn:aws:instanceprofile:us-west-2:123456789012:{name}-InstanceProfile" for name in ("single", "other")
    )
    instance = "arn:aws:ec2:us-west-2:123456789012:instance/i-0123456789abcdef0"
    assert may("ec2:TerminateInstances", instance, **{"ec2:InstanceProfile": profile})
    assert not may("ec2:TerminateInstances", instance, **{"ec2:InstanceProfile": other})
    assert not may("ec2:TerminateInstances", instance)


def test_a_job_on_many_nodes_cannot_end_an_instance(mistakes_in: Callable[[Mapping[str, Any]], list[str]]) -> None:
    assert mistakes_in({"batch": {"multi": MULTI | {"terminateFaultyInstances": True}}}) == [
        (
            "batch.multi.terminateFaultyInstances: must be false with nodes over 1, whose containers do not learn on"
            " which instance they are, got true"
        )
    ]
