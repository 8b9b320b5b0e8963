"""`train status` and `train open`, against the local AWS as it is deployed, and with what people and AWS do in it."""

import json
import os
import pty
import re
import subprocess
import sys
import termios
from contextlib import suppress
from typing import Any

import pytest

from local.aws import Aws
from tests.client_support import Recorded, Train, TrainWith, error
from tests.conftest import ROOT, RunStack

SECTIONS: dict[str, Any] = {
    "network": {"natGateways": "single"},
    "queues": {"tasks": {}, "results": {}},
    "batch": {"single": {"instanceTypes": ["g6.12xlarge"]}, "tasks": {}},
    "workers": {"prepare": {"queue": "tasks"}, "evaluate": {"gpu": 1, "queue": "results", "image": "mine:1"}},
    "eks": {"gpuNodeGroups": {"gpu": {}}},
}


@pytest.fixture(scope="module")
def exports(run_sections: RunStack) -> dict[str, Any]:
    return run_sections(SECTIONS, preview=False).exports


@pytest.fixture
def train(train_with: TrainWith, exports: dict[str, Any]) -> Train:
    return train_with(exports)


def instance(
    aws: Aws, exports: dict[str, Any], type_: str, *, group: str | None = None, fleet: str | None = None
) -> str:
    """Start an instance of a node group, of a fleet, or one of the Batch queue `single`; its id."""
    ec2 = aws.client("ec2")
    given: dict[str, Any] = {}
    if fleet is not None:
        tag = {"Key": "EcsCluster", "Value": exports["ecs_cluster_names"][fleet]}
        given["TagSpecifications"] = [{"ResourceType": "instance", "Tags": [tag]}]
    elif group is None:
        (arn, *_) = exports["batch_compute_environment_arns"]["single"]
        found = aws.client("batch").describe_compute_environments(computeEnvironments=[arn])["computeEnvironments"]
        given["IamInstanceProfile"] = {"Arn": found[0]["computeResources"]["instanceRole"]}
    else:
        name = exports["eks_node_group_arns"][group].split("/")[2] if group in exports["eks_node_group_arns"] else group
        tags = {"eks:cluster-name": exports["eks_cluster_name"], "eks:nodegroup-name": name}
        given["TagSpecifications"] = [
            {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        ]
    (made,) = ec2.run_instances(
        ImageId="ami-0123456789abcdef0",
        InstanceType=type_,
        SubnetId=exports["private_subnet_ids"][0],
        MinCount=1,
        MaxCount=1,
        **given,
    )["Instances"]
    return made["InstanceId"]


def test_a_stack_at_rest_costs_what_is_paid_by_the_hour(train: Train) -> None:
    status, out, err = train("status")
    assert (status, err) == (0, [])
    lines = [re.split("  +", line) for line in out]
    assert lines[:6] == [
        ["queue", "tasks", "0 waiting, 0 in flight, 0 dead"],
        ["queue", "results", "0 waiting, 0 in flight, 0 dead"],
        ["jobs", "single", "0 waiting, 0 starting, 0 running, 0 succeeded, 0 failed"],
        ["jobs", "tasks", "0 waiting, 0 starting, 0 running, 0 succeeded, 0 failed"],
        ["workers", "evaluate", "0 running of 0"],
        ["workers", "prepare", "0 running of 0"],
    ]
    assert ["nodes", "gpu", "0 running"] in lines
    assert ["alarms", "-", "none is raised"] in lines
    assert lines[-1] == [
        "cost",
        "-",
        (
            "about $0.15 an hour: 1 EKS control plane, 1 NAT gateway, 1 public IPv4 address;"
            " by list prices of us-west-2, without storage, traffic, requests, endpoints, logs"
        ),
    ]


def test_what_waits_runs_and_fails_is_counted(train: Train, aws: Aws, exports: dict[str, Any]) -> None:
    sqs, cloudwatch = aws.client("sqs"), aws.client("cloudwatch")
    for url in (exports["queue_urls"]["tasks"], exports["dead_letter_queue_urls"]["tasks"]):
        sqs.send_message(QueueUrl=url, MessageBody="{}", MessageGroupId="a", MessageDeduplicationId="a")
    assert train("job", "submit", "single", "--", "true")[0] == 0
    instances = [
        instance(aws, exports, "g6.12xlarge"),
        instance(aws, exports, "g6.12xlarge", group="gpu"),
        instance(aws, exports, "p3.16xlarge", group="gpu"),
        instance(aws, exports, "m7i.large", group="system"),
        instance(aws, exports, "g6.12xlarge", fleet="evaluate"),
    ]
    alarm = next(
        one
        for one in cloudwatch.describe_alarms()["MetricAlarms"]
        if exports["alerts_topic_arn"] in one["AlarmActions"]
    )
    cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue="ALARM", StateReason="1 task failed")
    try:
        status, out, _ = train("status", "--json")
    finally:
        aws.client("ec2").terminate_instances(InstanceIds=instances)
        cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue="OK", StateReason="")
        sqs.purge_queue(QueueUrl=exports["dead_letter_queue_urls"]["tasks"])
        sqs.purge_queue(QueueUrl=exports["queue_urls"]["tasks"])
    found = json.loads("\n".join(out))
    assert status == 0
    assert found["queues"]["tasks"] == {"waiting": 1, "inFlight": 0, "dead": 1}
    assert found["jobs"]["single"]["SUCCEEDED"] == 1
    assert found["nodes"] == {"gpu": 2, "system": 1}
    assert [(one["name"], one["reason"]) for one in found["alarms"]] == [(alarm["AlarmName"], "1 task failed")]
    assert {one["what"]: (one["count"], one["usdPerHour"]) for one in found["costs"]["parts"]} == {
        "g6.12xlarge": (3, 13.8048),
        "m7i.large": (1, 0.1008),
        "EKS control plane": (1, 0.1),
        "NAT gateway": (1, 0.045),
        "public IPv4 address": (1, 0.005),
        "p3.16xlarge": (1, None),
    }
    assert (found["costs"]["usdPerHour"], found["costs"]["withoutPrice"]) == (14.0556, ["p3.16xlarge"])


def test_workers_cost_what_their_tasks_have_and_those_with_gpus_their_instances(
    train: Train, aws: Aws, exports: dict[str, Any], recorded: Recorded
) -> None:
    del aws
    recorded.answer(
        "DescribeServices",
        lambda asked: {"services": [{"runningCount": 3, "desiredCount": 4, "serviceName": asked["services"][0]}]},
    )
    _, out, _ = train("status", "--json")
    found = json.loads("\n".join(out))
    assert found["workers"] == {fleet: {"running": 3, "desired": 4} for fleet in ("evaluate", "prepare")}
    parts = {one["what"]: one["count"] for one in found["costs"]["parts"]}
    definitions = [one["taskDefinition"] for one in recorded.calls("DescribeTaskDefinition")]
    assert sorted(definitions) == sorted(exports["ecs_task_definition_arns"].values())
    assert (parts["Fargate vCPU"], parts["Fargate memory"]) == (3, 12)
    assert found["costs"]["atMost"] is True


def test_what_may_not_be_seen_is_said_and_the_rest_is_shown(train: Train, recorded: Recorded) -> None:
    recorded.answer("DescribeAlarms", [error("AccessDenied", "no")])
    status, out, _ = train("status")
    assert status == 1
    (line,) = (line for line in out if line.startswith("alarms"))
    assert line.endswith(
        "AWS refuses DescribeAlarms: AccessDenied: no; the permission cloudwatch:DescribeAlarms is missing"
    )
    assert any(line.startswith("cost") for line in out)


@pytest.mark.usefixtures("train")
def test_a_terminal_of_80_columns_shows_it_all() -> None:
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    process = subprocess.Popen([sys.executable, "-m", "client", "status"], cwd=ROOT, stdout=terminal, env=os.environ)
    os.close(terminal)
    shown = b""
    with suppress(OSError):
        while some := os.read(controller, 65536):
            shown += some
    os.close(controller)
    assert process.wait(60) == 0
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).replace("\r", "").splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert "0 waiting, 0 starting, 0 running, 0 succeeded, 0 failed" in shown.decode()


CONSOLE = "https://us-west-2.console.aws.amazon.com"


@pytest.mark.parametrize(
    ("arguments", "address"),
    [
        (["dashboard"], r".*#dashboards/dashboard/distributed-training-test"),
        (
            ["logs", "single"],
            rf"{CONSOLE}/cloudwatch/home\?region=us-west-2#logsV2:log-groups/log-group/single-\w{{7}}",
        ),
        (
            ["queue", "results"],
            (
                rf"{CONSOLE}/sqs/v3/home\?region=us-west-2"
                r"#/queues/https?%3A%2F%2F\S+%2F123456789012%2Fresults-\w{7}\.fifo"
            ),
        ),
        (
            ["queue", "single"],
            rf"{CONSOLE}/batch/home\?region=us-west-2#queues/detail/arn:aws:batch:us-west-2:\d+:job-queue/single-\w+",
        ),
    ],
)
def test_a_page_of_the_console_has_an_address(arguments: list[str], address: str, train: Train) -> None:
    status, (line,), err = train("open", *arguments)
    assert (status, err) == (0, [])
    assert re.fullmatch(address, line)


def test_two_queues_of_one_name_have_both_their_pages(train: Train) -> None:
    _, out, _ = train("open", "queue", "tasks")
    assert [re.findall("/(sqs|batch)/", line) for line in out] == [["sqs"], ["batch"]]


def test_a_page_is_not_guessed(train: Train) -> None:
    assert train("open", "queue") == (1, [], ["error: queue: name one of this stack's (results, single, tasks)"])
    assert train("open", "logs")[2] == ["error: logs: name one of this stack's (evaluate, prepare, single, tasks)"]
    assert train("open", "pages")[0] == 2
