"""Workers as ECS and Application Auto Scaling get them."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from components.fargate_workers import LEGAL_MEMORY_MIB
from local.aws import Aws
from local.provider import Provider
from local.run import Run
from tests.batch.support import StableProvider
from tests.conftest import RunStack, run_config
from tests.support import all_of, one_of

QUEUES: dict[str, Any] = {"queues": {"tasks": {}, "results": {}}}
SECRET = "arn:aws:secretsmanager:us-west-2:123456789012:secret:token-AbCdEf"
TASK_DEFINITION = "aws:ecs/taskDefinition:TaskDefinition"
PARAMETER = "arn:aws:ssm:us-west-2:123456789012:parameter/token"


@pytest.fixture(scope="module")
def workers(run_sections: RunStack) -> Run:
    return run_sections(
        {
            **QUEUES,
            "batch": {"single": {}},
            "workers": {
                "workers": {
                    "maxTaskSeconds": 7200,
                    "maxTasks": 8,
                    "tasksPerWorker": 4,
                    "sendTo": ["tasks"],
                    "submitTo": ["single"],
                    "environment": {"EPOCHS": "3"},
                    "secrets": {"TOKEN": f"{SECRET}:key::", "OTHER": PARAMETER},
                }
            },
        },
        preview=False,
    )


def container(run: Run, fleet: str = "workers") -> dict[str, Any]:
    (definition,) = json.loads(one_of(run, TASK_DEFINITION, fleet).inputs["containerDefinitions"])
    return definition


def test_the_container_can_write_nothing_but_tmp_and_is_not_root(workers: Run) -> None:
    definition = container(workers)
    assert definition["readonlyRootFilesystem"] is True
    assert definition["user"] == "10001:10001"
    assert definition["mountPoints"] == [{"sourceVolume": "tmp", "containerPath": "/tmp", "readOnly": False}]  # noqa: S108
    assert definition["linuxParameters"] == {"initProcessEnabled": True}
    assert definition["stopTimeout"] == 120


def test_the_worker_is_told_its_queues_and_limits_and_nothing_secret(workers: Run) -> None:
    definition = container(workers)
    urls = workers.exports["queue_urls"]
    assert {one["name"]: one["value"] for one in definition["environment"]} == {
        "ARTIFACTS_BUCKET": workers.exports["artifacts_bucket"],
        "BATCH_JOB_DEFINITION_SINGLE": workers.exports["batch_job_definition_arns"]["single"]
        .split("/")[1]
        .split(":")[0],
        "BATCH_JOB_QUEUE_SINGLE": workers.exports["batch_job_queue_arns"]["single"],
        "BATCH_SUBMITTED_BY": workers.exports["ecs_cluster_names"]["workers"],
        "EPOCHS": "3",
        "QUEUE_URL_TASKS": urls["tasks"],
        "WORKER_MAX_TASK_SECONDS": "7200",
        "WORKER_MAX_FAILURES": "5",
        "WORKER_QUEUE_URL": urls["tasks"],
        "WORKER_RECORDS_URL": f"s3://{workers.exports['artifacts_bucket']}/worker-records",
        "WORKER_RESULTS_QUEUE_URL": urls["results"],
        "WORKER_TASK_MEMORY_MIB": "3840",
    }
    assert definition["secrets"] == [
        {"name": "OTHER", "valueFrom": PARAMETER},
        {"name": "TOKEN", "valueFrom": f"{SECRET}:key::"},
    ]


def test_their_queue_has_room_for_tasks_that_stopped_workers_give_back(workers: Run) -> None:
    queues = all_of(workers, "aws:sqs/queue:Queue")
    redrive = {
        name: json.loads(queues[name].inputs["redrivePolicy"])["maxReceiveCount"] for name in ("tasks", "results")
    }
    assert redrive == {"tasks": 5 + 10, "results": 5}


def test_a_queue_whose_workers_have_an_image_of_their_own_counts_receives_alone(run_sections: RunStack) -> None:
    own = {"prepare": {"image": "example.com/mine:1"}}
    run = run_sections({"queues": {"tasks": {"maxReceiveCount": 3}}, "workers": own}, preview=False)
    redrive = json.loads(one_of(run, "aws:sqs/queue:Queue", "tasks").inputs["redrivePolicy"])
    assert redrive["maxReceiveCount"] == 3


def test_secrets_are_read_by_the_execution_role_alone(workers: Run) -> None:
    policies = {
        name: json.loads(one.inputs["policy"])["Statement"]
        for name, one in all_of(workers, "aws:iam/rolePolicy:RolePolicy").items()
    }
    readable = {
        (action, resource)
        for statement in policies["workers-execution"]
        for action in statement["Action"]
        for resource in statement["Resource"]
        if action.startswith(("secretsmanager", "ssm"))
    }
    assert readable == {("secretsmanager:GetSecretValue", SECRET), ("ssm:GetParameters", PARAMETER)}
    assert SECRET not in json.dumps(policies["workers-task"])


@pytest.mark.parametrize("tag", ["worker-1", "worker-2026.11"])
def test_the_reference_image_is_checked_by_its_own_command_whatever_its_tag(tag: str, run_sections: RunStack) -> None:
    run = run_sections({**QUEUES, "workers": {"workers": {"imageTag": tag}}}, preview=False)
    definition = container(run)
    assert definition["image"] == f"{run.exports['image_repository_url']}:{tag}"
    assert definition["healthCheck"] == {"command": ["CMD", "python", "-m", "worker", "--healthy"], "startPeriod": 30}
    assert "command" not in definition


def test_another_image_is_not_checked(run_sections: RunStack) -> None:
    fleet = {"image": "mine:1", "command": ["go"]}
    own = container(run_sections({"queues": {"tasks": {}}, "workers": {"workers": fleet}}, preview=False))
    assert (own["image"], own["command"]) == ("mine:1", ["go"])
    assert "healthCheck" not in own


def test_the_service_is_private_rolls_back_and_leaves_its_size_to_scaling(workers: Run) -> None:
    service = one_of(workers, "aws:ecs/service:Service", "workers")
    assert service.ignore_changes == ("desiredCount",)
    assert service.inputs["desiredCount"] == 0
    assert service.inputs["deploymentCircuitBreaker"] == {"enable": True, "rollback": True}
    assert service.inputs["networkConfiguration"]["assignPublicIp"] is False
    assert service.inputs["networkConfiguration"]["subnets"] == workers.exports["private_subnet_ids"]
    assert service.inputs["propagateTags"] == "SERVICE"
    assert "launchType" not in service.inputs


@pytest.mark.parametrize(
    ("spot_share", "weights"),
    [(0, {"FARGATE": 100}), (0.75, {"FARGATE": 25, "FARGATE_SPOT": 75}), (1, {"FARGATE_SPOT": 100})],
)
def test_spot_has_the_share_it_is_given(spot_share: float, weights: dict[str, int], run_sections: RunStack) -> None:
    run = run_sections({**QUEUES, "workers": {"workers": {"spotShare": spot_share}}})
    strategies = one_of(run, "aws:ecs/service:Service", "workers").inputs["capacityProviderStrategies"]
    assert {one["capacityProvider"]: one["weight"] for one in strategies} == weights


@pytest.mark.parametrize(("setting", "expected"), [("x86_64", "X86_64"), ("arm64", "ARM64")])
def test_the_architecture_is_the_images(setting: str, expected: str, run_sections: RunStack) -> None:
    run = run_sections({**QUEUES, "workers": {"workers": {"architecture": setting}}})
    definition = one_of(run, TASK_DEFINITION, "workers")
    assert definition.inputs["runtimePlatform"] == {"operatingSystemFamily": "LINUX", "cpuArchitecture": expected}


def test_a_deployment_can_go_back_to_the_task_definition_before(workers: Run, aws: Aws) -> None:
    definition = one_of(workers, TASK_DEFINITION, "workers")
    there = workers.created[definition.urn]
    Provider(aws).delete(TASK_DEFINITION, definition.urn, there)
    found = aws.client("ecs").describe_task_definition(taskDefinition=there.outputs["arn"])
    assert found["taskDefinition"]["status"] == "ACTIVE"


def test_another_spot_share_is_planned_and_a_busy_worker_holds_up_no_deletion(workers: Run, aws: Aws) -> None:
    service = one_of(workers, "aws:ecs/service:Service", "workers")
    inputs = {**service.inputs, "capacityProviderStrategies": [{"capacityProvider": "FARGATE", "weight": 100}]}
    changes = Provider(aws).diff(service.type, workers.created[service.urn], inputs)
    assert changes
    assert not [one for one in changes if one.replaces]
    assert service.inputs["forceDelete"] is True


def test_every_fleet_has_a_cluster_a_role_and_a_log_of_its_own(run_sections: RunStack) -> None:
    fleets = {"prepare": {"queue": "raw"}, "evaluate": {"queue": "models", "submitTo": ["single"]}}
    run = run_sections(
        {"queues": {"raw": {}, "models": {}, "results": {}}, "batch": {"single": {}}, "workers": fleets}, preview=False
    )
    for kind in ("cluster_names", "cluster_arns", "service_names", "service_arns", "task_definition_arns"):
        assert set(run.exports[f"ecs_{kind}"]) == {"prepare", "evaluate"}
        assert len(set(run.exports[f"ecs_{kind}"].values())) == 2
    for fleet, queue in (("prepare", "raw"), ("evaluate", "models")):
        definition = container(run, fleet)
        told = {one["name"]: one["value"] for one in definition["environment"]}
        assert told["WORKER_QUEUE_URL"] == run.exports["queue_urls"][queue]
        log_group = one_of(run, "aws:cloudwatch/logGroup:LogGroup", fleet)
        assert definition["logConfiguration"]["options"]["awslogs-group"] == run.created[log_group.urn].outputs["name"]
        role = json.dumps(one_of(run, "aws:iam/rolePolicy:RolePolicy", f"{fleet}-task").inputs["policy"])
        assert (run.exports["queue_arns"]["raw"] in role, "batch:SubmitJob" in role) == (
            fleet == "prepare",
            fleet == "evaluate",
        )


def test_fleets_that_say_so_share_a_queue(run_sections: RunStack) -> None:
    both = {"sharesQueue": True}
    run = run_sections({**QUEUES, "workers": {"small": both, "large": both | {"memory": 8192}}}, preview=False)
    told = [json.dumps(container(run, fleet)["environment"]) for fleet in ("small", "large")]
    assert all(run.exports["queue_urls"]["tasks"] in one for one in told)


def test_the_one_fleet_of_0_1_0_keeps_its_resources_under_its_name(workers: Run) -> None:
    beginning = "urn:pulumi:test::distributed-training::distributed-training:index:FargateWorkers"
    assert one_of(workers, "aws:ecs/service:Service", "workers").urn == f"{beginning}$aws:ecs/service:Service::workers"
    assert f"{beginning}::workers" in workers.registrations


def test_a_new_queue_changes_nothing_for_who_does_not_use_it(aws: Aws) -> None:
    sections: dict[str, Any] = {
        "queues": {"tasks": {}, "results": {}},
        "batch": {"single": {"sendTo": ["tasks"]}},
        "workers": {"workers": {"submitTo": ["single"]}},
    }

    def definitions(queues: dict[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
        config = {f"distributed-training:{key}": one for key, one in (sections | {"queues": queues}).items()}
        run = run_config(aws, config, False, StableProvider(aws))
        assert run.error is None
        return {
            (type_, name): one.inputs
            for type_ in (TASK_DEFINITION, "aws:batch/jobDefinition:JobDefinition", "aws:iam/rolePolicy:RolePolicy")
            for name, one in all_of(run, type_).items()
        }

    assert definitions(sections["queues"]) == definitions({**sections["queues"], "new": {}})


def test_memory_sizes_are_those_that_fargate_offers() -> None:
    assert {cpu: (min(sizes), max(sizes), len(sizes)) for cpu, sizes in LEGAL_MEMORY_MIB.items()} == {
        256: (512, 2048, 3),
        512: (1024, 4096, 4),
        1024: (2048, 8192, 7),
        2048: (4096, 16_384, 13),
        4096: (8192, 30_720, 23),
        8192: (16_384, 61_440, 12),
        16_384: (32_768, 122_880, 12),
    }
