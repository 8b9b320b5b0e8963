"""Workers as ECS and Application Auto Scaling get them."""

import json
from typing import Any

import pytest

from components.fargate_workers import LEGAL_MEMORY_MIB
from local.run import Run
from tests.conftest import RunStack
from tests.support import all_of, one_of

QUEUES: dict[str, Any] = {"queues": {"tasks": {}, "results": {}}}
SECRET = "arn:aws:secretsmanager:us-west-2:123456789012:secret:token-AbCdEf"
PARAMETER = "arn:aws:ssm:us-west-2:123456789012:parameter/token"


@pytest.fixture(scope="module")
def workers(run_sections: RunStack) -> Run:
    return run_sections(
        {
            **QUEUES,
            "workers": {
                "maxTaskSeconds": 7200,
                "maxTasks": 8,
                "tasksPerWorker": 4,
                "environment": {"EPOCHS": "3"},
                "secrets": {"TOKEN": f"{SECRET}:key::", "OTHER": PARAMETER},
            },
        },
        preview=False,
    )


def container(run: Run) -> dict[str, Any]:
    (definition,) = json.loads(
        one_of(run, "aws:ecs/taskDefinition:TaskDefinition", "workers").inputs["containerDefinitions"]
    )
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
        "EPOCHS": "3",
        "QUEUE_URL_RESULTS": urls["results"],
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


def test_the_reference_image_is_checked_by_its_own_command_and_another_is_not(
    workers: Run, run_sections: RunStack
) -> None:
    definition = container(workers)
    assert definition["image"] == f"{workers.exports['image_repository_url']}:worker-1"
    assert definition["healthCheck"] == {"command": ["CMD", "python", "-m", "worker", "--healthy"], "startPeriod": 30}
    assert "command" not in definition
    own = container(run_sections({**QUEUES, "workers": {"image": "mine:1", "command": ["go"]}}, preview=False))
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
    run = run_sections({**QUEUES, "workers": {"spotShare": spot_share}})
    strategies = one_of(run, "aws:ecs/service:Service", "workers").inputs["capacityProviderStrategies"]
    assert {one["capacityProvider"]: one["weight"] for one in strategies} == weights


@pytest.mark.parametrize(("setting", "expected"), [("x86_64", "X86_64"), ("arm64", "ARM64")])
def test_the_architecture_is_the_images(setting: str, expected: str, run_sections: RunStack) -> None:
    run = run_sections({**QUEUES, "workers": {"architecture": setting}})
    definition = one_of(run, "aws:ecs/taskDefinition:TaskDefinition", "workers")
    assert definition.inputs["runtimePlatform"] == {"operatingSystemFamily": "LINUX", "cpuArchitecture": expected}


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


def tracked(run: Run) -> dict[str, Any]:
    policy = one_of(run, "aws:appautoscaling/policy:Policy", "workers-backlog")
    return policy.inputs["targetTrackingScalingPolicyConfiguration"]


def evaluate(expression: str, **metrics: float | None) -> float:
    """Metric math on one point in time: a metric without a point is None, which FILL fills and all else passes on."""

    def fill(value: float | None, otherwise: float) -> float:
        return otherwise if value is None else value

    def choose(condition: float, then: float | None, otherwise: float | None) -> float | None:
        return then if condition else otherwise

    return eval(expression, {"__builtins__": {}, "IF": choose, "FILL": fill}, metrics)  # noqa: S307


@pytest.mark.parametrize(
    ("waiting", "in_hand", "running", "per_worker"),
    [(0, 0, None, 0), (8, 0, None, 8), (8, 0, 0, 8), (6, 2, 2, 4), (0, 1, 1, 1), (0, 0, 3, 0)],
)
def test_scaling_follows_tasks_waiting_or_in_hand_per_worker(
    workers: Run, waiting: float, in_hand: float, running: float | None, per_worker: float
) -> None:
    specification = tracked(workers)["customizedMetricSpecification"]["metrics"]
    (returned,) = (one for one in specification if one["returnData"])
    assert evaluate(returned["expression"], waiting=waiting, in_hand=in_hand, workers=running) == per_worker
    assert tracked(workers)["targetValue"] == 4


def test_the_last_worker_goes_only_when_nothing_is_in_hand(workers: Run) -> None:
    # target tracking wants ceil(workers x metric / target) of them
    (returned,) = (one for one in tracked(workers)["customizedMetricSpecification"]["metrics"] if one["returnData"])
    target = tracked(workers)["targetValue"]
    for running in range(1, 9):
        metric = evaluate(returned["expression"], waiting=0, in_hand=1, workers=running)
        assert -(-running * metric // target) >= 1
        assert evaluate(returned["expression"], waiting=0, in_hand=0, workers=running) == 0


@pytest.mark.parametrize(
    ("waiting", "running", "alarm"), [(1, None, True), (1, 0, True), (0, None, False), (5, 1, False)]
)
def test_the_first_waiting_task_starts_the_first_worker(
    workers: Run, waiting: float, running: float | None, alarm: bool
) -> None:
    first = one_of(workers, "aws:cloudwatch/metricAlarm:MetricAlarm", "workers-first").inputs
    (returned,) = (one for one in first["metricQueries"] if one.get("returnData"))
    value = evaluate(returned["expression"], waiting=waiting, workers=running)
    assert (value >= first["threshold"]) is alarm
    assert first["comparisonOperator"] == "GreaterThanOrEqualToThreshold"
    policy = one_of(workers, "aws:appautoscaling/policy:Policy", "workers-first")
    assert first["alarmActions"] == [workers.created[policy.urn].outputs["arn"]]
    assert policy.inputs["stepScalingPolicyConfiguration"]["stepAdjustments"] == [
        {"metricIntervalLowerBound": "0", "scalingAdjustment": 1}
    ]


def test_scaling_goes_from_none_to_as_many_as_are_allowed(workers: Run) -> None:
    target = one_of(workers, "aws:appautoscaling/target:Target", "workers")
    exports = workers.exports
    assert target.inputs == {
        "maxCapacity": 8,
        "minCapacity": 0,
        "resourceId": f"service/{exports['ecs_cluster_name']}/{exports['ecs_service_name']}",
        "scalableDimension": "ecs:service:DesiredCount",
        "serviceNamespace": "ecs",
    }
