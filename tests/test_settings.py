"""What a stack file may say, and how a wrong one is refused."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import pulumi
import pytest

from local import engine
from local.aws import Aws
from settings.loading import load
from settings.stack import StackSettings
from tests.conftest import NewStackProvider

MistakesIn = Callable[[dict[str, Any]], list[str]]


@pytest.mark.parametrize(
    ("sections", "line"),
    [
        ({"queues": {"tasks": {"fifoo": True}}}, "queues.tasks.fifoo: is no key of queues.tasks; did you mean fifo?"),
        ({"bacth": {}}, "bacth: is no section of a stack file; did you mean batch?"),
        (
            {"nonsense": {}},
            (
                "nonsense: is no section of a stack file, must be one of "
                "alerts, artifacts, batch, eks, iam, logs, network, protect, queues, teams, workers"
            ),
        ),
        (
            {"batch": {"single": {"max_vcpus": 5}}},
            "batch.single.max_vcpus: is no key of batch.single; did you mean maxVcpus?",
        ),
        (
            {"alerts": {"since": 1}},
            "alerts.since: is no key of alerts, which may have anomalyMonitorArn, anomalyUsd, emails, monthlyBudgetUsd",
        ),
        (
            {"queues": {"tasks": {"fifo": "yes"}}},
            "queues.tasks.fifo: must be true or false, got 'yes'; did you mean true?",
        ),
        ({"queues": ["tasks"]}, "queues: must be an object, got ['tasks']"),
        ({"queues": {"tasks": 3}}, "queues.tasks: must be an object, got 3"),
        (
            {"queues": {"tasks": {"visibilityTimeoutSeconds": 43_201}}},
            "queues.tasks.visibilityTimeoutSeconds: must be at most 43200, got 43201",
        ),
        (
            {"queues": {"tasks": {"maxReceiveCount": 0}}},
            "queues.tasks.maxReceiveCount: must be at least 1, got 0",
        ),
        (
            {"queues": {"tasks": {"fifo": False, "highThroughput": True}}},
            "queues.tasks.highThroughput: must be left out or false on a standard queue (fifo: false), got true",
        ),
        (
            {"queues": {"Tasks": {}}},
            (
                "queues.Tasks: must be a name of small letters, digits and hyphens that begins with a letter,"
                " such as gpu-2, got 'Tasks'"
            ),
        ),
        (
            {"queues": {"tasks-dlq": {}}},
            "queues.tasks-dlq: must not end in -dlq, the name of a dead-letter queue, got 'tasks-dlq'",
        ),
        (
            {"workers": {"f": {"queue": "q"}}, "queues": {"q": {"visibilityTimeoutSeconds": 59}, "results": {}}},
            (
                "queues.q.visibilityTimeoutSeconds: must be at least 60 for workers, "
                "whose heartbeat comes at a third of it, got 59"
            ),
        ),
        (
            {"workers": {"f": {"queue": "q"}}, "queues": {"q": {}}},
            "queues.results: is required by the reference worker, which answers there, got nothing",
        ),
        (
            {"workers": {"f": {"queue": "results"}}, "queues": {"results": {}}},
            "workers.f.queue: must not be the queue that the reference worker answers on, got 'results'",
        ),
        (
            {"workers": {"f": {"queue": "nowhere", "image": "mine:1"}}},
            "workers.f.queue: must name a queue under queues, got 'nowhere'",
        ),
        (
            {"workers": {"queue": "q", "maxTasks": 4}, "queues": {"q": {}, "results": {}}},
            "workers: must be fleets by name: write `workers: {workers: {queue: ..., maxTasks: ...}}`",
        ),
        (
            {"workers": {}, "queues": {"tasks": {}, "results": {}}},
            "workers: must be fleets by name: write `workers: {workers: {}}`",
        ),
        (
            {"workers": {"secrets": {"TOKEN": "arn"}}, "queues": {"tasks": {}, "results": {}}},
            "workers: must be fleets by name: write `workers: {workers: {secrets: ...}}`",
        ),
        (
            {"workers": {"a": {"sharesQueue": True}, "b": {}}, "queues": {"tasks": {}, "results": {}}},
            "workers.b.queue: must be another queue than that of a, or sharesQueue true in all of them, got 'tasks'",
        ),
        (
            {"workers": {"f": {"image": "mine:1", "imageTag": "mine"}}, "queues": {"tasks": {}}},
            "workers.f.imageTag: must be left out with image, which is no reference worker, got 'mine'",
        ),
        (
            {"workers": {"f": {"sendTo": ["nowhere"]}}, "queues": {"tasks": {}, "results": {}}},
            "workers.f.sendTo: must name what is under queues, got 'nowhere'",
        ),
        (
            {"workers": {"f": {"submitTo": ["nowhere"]}}, "queues": {"tasks": {}, "results": {}}},
            "workers.f.submitTo: must name what is under batch, got 'nowhere'",
        ),
        (
            {
                "batch": {f"b{number}": {"capacity": ["spot"]} for number in range(9)},
                "queues": {"tasks": {}, "results": {}},
                "workers": {"f": {"sendTo": ["tasks"] * 20, "submitTo": [f"b{number}" for number in range(9)]}},
            },
            (
                "workers.f.submitTo: must be at most 8 beside 20 under sendTo, because a role has no room for more,"
                " got 9"
            ),
        ),
        (
            {"batch": {"single": {"sendTo": ["nowhere"]}}, "queues": {"tasks": {}}},
            "batch.single.sendTo: must name what is under queues, got 'nowhere'",
        ),
        ({"eks": {"sendTo": ["nowhere"]}}, "eks.sendTo: must name what is under queues, got 'nowhere'"),
        *(
            ({"workers": {"f": fleet}, "queues": {"tasks": {}, "results": {}}}, f"workers.f.{line}")
            for fleet, line in (
                (
                    {"instanceTypes": ["g6.xlarge"]},
                    (
                        "instanceTypes: must be left out without gpu, because Fargate has no instance types,"
                        " got ['g6.xlarge']"
                    ),
                ),
                (
                    {"gpu": 1, "architecture": "arm64"},
                    (
                        "architecture: must be x86_64 with gpu, because ECS has an image with NVIDIA's driver for no"
                        " other, got 'arm64'"
                    ),
                ),
                (
                    {"cpu": 3000},
                    "cpu: must be a size that Fargate offers: 256, 512, 1024, 2048, 4096, 8192, 16384, got 3000",
                ),
                (
                    {"gpu": 1, "instanceTypes": ["g99.xlarge"]},
                    "instanceTypes: must be types that us-west-2 offers, got 'g99.xlarge'; did you mean g5.xlarge?",
                ),
                (
                    {"gpu": 2},
                    ("instanceTypes: must be types with 2 NVIDIA GPUs or more, got {'g6.xlarge': 1, 'g5.xlarge': 1}"),
                ),
            )
        ),
        (
            {"workers": {"f": {"queue": "q", "cpu": 256, "memory": 4096}}, "queues": {"q": {}, "results": {}}},
            "workers.f.memory: must be a size that Fargate offers with cpu 256: 512 to 2048, got 4096",
        ),
        (
            {"batch": {"multi": {"nodes": 2, "instanceTypes": ["p5.48xlarge"]}}},
            (
                "batch.multi.capacity: must be without spot with nodes over 1, "
                "because Batch runs no multi-node job there, got ['spot', 'onDemand']"
            ),
        ),
        (
            {"batch": {"single": {"vcpus": 8, "maxVcpus": 4}}},
            "batch.single.maxVcpus: must be at least nodes x vcpus (8), or no job ever starts, got 4",
        ),
        (
            {"batch": {"single": {"gpus": 5}}},
            "batch.single.gpus: must be at most 4, what g6.12xlarge, g6e.12xlarge can give, got 5",
        ),
        (
            {
                "batch": {
                    "single": {"instanceTypes": ["g5.xlarge"], "gpus": 1, "vcpus": 3, "memoryMib": 12_000, "efa": True}
                }
            },
            "batch.single.efa: must be false, because g5.xlarge has no EFA, got true",
        ),
        (
            {"batch": {"single": {"instanceTypes": ["g5.12xlarge", "g5g.16xlarge"], "gpus": 2}}},
            (
                "batch.single.instanceTypes: must share one processor architecture, "
                "got {'g5.12xlarge': 'x86_64', 'g5g.16xlarge': 'arm64'}"
            ),
        ),
        (
            {"eks": {"version": "1.30"}},
            (
                "eks.version: must be one in EKS's standard support: 1.34 (to 2026-12-02), 1.35 (to 2027-03-27),"
                " 1.36 (to 2027-08-02), got '1.30'"
            ),
        ),
        (
            {"eks": {"gpuNodeGroups": {"gpu": {"capacity": "capacityBlock"}}}},
            "eks.gpuNodeGroups.gpu.capacityReservationId: is required with capacity capacityBlock, got null",
        ),
        (
            {"eks": {"gpuNodeGroups": {"cpu": {"instanceTypes": ["m7i.large"]}}}},
            "eks.gpuNodeGroups.cpu.instanceTypes: must be types with an accelerator, got 'm7i.large'",
        ),
        (
            {"eks": {"publicAccessCidrs": ["0.0.0.0/0"]}, "protect": True},
            "eks.publicAccessCidrs: must not hold 0.0.0.0/0 together with protect, got '0.0.0.0/0'",
        ),
        (
            {"protect": True, "artifacts": {"forceDestroy": True}},
            "artifacts.forceDestroy: must be false together with protect, got true",
        ),
        ({"network": {"cidr": "8.8.0.0/16"}}, "network.cidr: must be a private range (RFC 1918), got '8.8.0.0/16'"),
        ({"network": {"cidr": "10.0.0.0/24"}}, "network.cidr: must be a /16 to /20, got '10.0.0.0/24'"),
        (
            {"network": {"cidr": "10.0.0.1/16"}},
            (
                "network.cidr: must be a range of IPv4 addresses, such as 10.0.0.0/16, with zeros after its"
                " prefix, got '10.0.0.1/16'; did you mean 10.0.0.0/16?"
            ),
        ),
        (
            {"network": {"availabilityZones": 7}},
            "network.availabilityZones: must be at most 6, got 7",
        ),
        (
            {"network": {"existing": {"vpcId": "vpc-12345678"}}},
            "network.existing.privateSubnetIds: is required, got nothing",
        ),
        (
            {"alerts": {"emails": ["somebody"]}},
            "alerts.emails.0: must be a mail address, such as ml-platform@example.com, got 'somebody'",
        ),
    ],
)
def test_a_mistake_is_one_line(sections: dict[str, Any], line: str, mistakes_in: MistakesIn) -> None:
    assert mistakes_in(sections) == [line]


def test_all_mistakes_are_reported_at_once(mistakes_in: MistakesIn) -> None:
    lines = mistakes_in(
        {
            "queues": {"tasks": {"maxReceiveCount": 0, "fifoo": 1}, "results": {"retentionDays": 15}},
            "network": {"natGateways": "many"},
            "workers": {"f": {"queue": "nowhere", "spotShare": 0.5}},
            "nonsense": 1,
        }
    )
    assert [line.split(":")[0] for line in lines] == [
        "network.natGateways",
        "nonsense",
        "queues.tasks.maxReceiveCount",
        "queues.tasks.fifoo",
        "queues.results.retentionDays",
        "workers.f.queue",
    ]


@pytest.mark.parametrize(
    ("sections", "paths"),
    [
        # a rule between two fields, beside a third that is wrong
        (
            {"batch": {"a": {"gpus": "4", "minVcpus": 500, "maxVcpus": 400}}},
            ["batch.a.gpus", "batch.a.minVcpus"],
        ),
        (
            {"queues": {"q": {}}, "workers": {"f": {"queue": "q", "spotShare": 2, "minTasks": 30}}},
            ["workers.f.spotShare", "workers.f.minTasks"],
        ),
        # but none that needs the one that is wrong, whose default would be judged in its place
        ({"batch": {"a": {"vcpus": "8", "maxVcpus": 10}}}, ["batch.a.vcpus"]),
        ({"batch": {"a": {"nodes": "2", "capacity": ["spot"]}}}, ["batch.a.nodes"]),
        # between sections, one of which has other mistakes
        (
            {"protect": True, "artifacts": {"forceDestroy": True, "checkpointDays": 0}},
            ["artifacts.checkpointDays", "artifacts.forceDestroy"],
        ),
        ({"protect": True, "artifacts": {"forceDestroy": 1}}, ["artifacts.forceDestroy"]),
        ({"protect": "yes", "artifacts": {"forceDestroy": True}}, ["protect"]),
        ({"network": 3, "batch": {"a": {"gpus": 5}}}, ["network", "batch.a.gpus"]),
        ({"queues": 3, "workers": {"f": {"queue": "q", "image": "mine:1"}}}, ["queues", "workers.f.queue"]),
        # what AWS knows of one part, beside mistakes of others, of its own too, and types that it does not know
        (
            {"batch": {"a": {"instanceTypes": ["g6.12xlrge"], "gpus": 5}, "b": {"gpus": 5}, "c": {"priority": -1}}},
            ["batch.c.priority", "batch.a.instanceTypes", "batch.b.gpus"],
        ),
        ({"batch": {"a": {"priority": -1, "gpus": 5}}}, ["batch.a.priority", "batch.a.gpus"]),
        ({"batch": {"a": {"instanceTypes": [], "gpus": 5}}}, ["batch.a.instanceTypes"]),
        (
            {
                "eks": {
                    "systemNodes": {"instanceTypes": ["m7i.lrge"]},
                    "gpuNodeGroups": {"a": {"maxSize": 0, "instanceTypes": ["m7i.large"]}, "b": {"efa": 1}},
                }
            },
            [
                "eks.gpuNodeGroups.a.maxSize",
                "eks.gpuNodeGroups.b.efa",
                "eks.systemNodes.instanceTypes",
                "eks.gpuNodeGroups.a.instanceTypes",
            ],
        ),
        (
            {
                "eks": {
                    "systemNodes": {"instanceTypes": 3},
                    "gpuNodeGroups": {"a": {"instanceTypes": ["m7i.large"]}, "b": {"instanceTypes": ["g6.12xlrge"]}},
                }
            },
            [
                "eks.systemNodes.instanceTypes",
                "eks.gpuNodeGroups.b.instanceTypes",
                "eks.gpuNodeGroups.a.instanceTypes",
            ],
        ),
        ({"network": {"cidr": 3, "availabilityZones": 5}}, ["network.cidr", "network.availabilityZones"]),
        # a list of which one is wrong is not too short as well
        (
            {"network": {"existing": {"vpcId": "vpc-0123abcd", "privateSubnetIds": ["subnet-1"]}}},
            ["network.existing.privateSubnetIds.0"],
        ),
    ],
)
def test_a_mistake_hides_no_other_and_makes_none(
    sections: dict[str, Any], paths: list[str], mistakes_in: MistakesIn
) -> None:
    assert [line.split(":")[0] for line in mistakes_in(sections) if "results" not in line] == paths


def test_a_key_of_another_region_is_refused(mistakes_in: MistakesIn) -> None:
    key = "arn:aws:kms:eu-west-1:123456789012:key/mine"
    (line,) = mistakes_in({"queues": {"tasks": {"kmsKeyArn": key}}})
    assert line == f"queues.tasks.kmsKeyArn: must be a key in us-west-2, where the queue is, got '{key}'"


def test_a_key_that_is_of_no_secret_is_refused(mistakes_in: MistakesIn) -> None:
    key, alias = "arn:aws:kms:eu-west-1:123456789012:key/mine", "arn:aws:kms:us-west-2:123456789012:alias/mine"
    secret = "arn:aws:secretsmanager:us-west-2:123456789012:secret:token-AbCdEf"
    queues: Any = {"tasks": {}, "results": {}}
    assert mistakes_in({"batch": {"a": {"secretKeyArns": [alias]}}}) == [
        (
            "batch.a.secretKeyArns.0: must be the ARN of a KMS key, not of an alias,"
            " such as arn:aws:kms:us-west-2:123456789012:key/ID"
        )
    ]
    assert mistakes_in({"batch": {"a": {"secretKeyArns": [key]}}}) == [
        "batch.a.secretKeyArns: must be left out without secrets"
    ]
    fleet = {"f": {"secrets": {"TOKEN": secret}, "secretKeyArns": [key]}}
    assert mistakes_in({"workers": fleet, "queues": queues}) == [
        "workers.f.secretKeyArns: must be in us-west-2, as what is under secrets"
    ]


@pytest.mark.parametrize(
    "image",
    ["", " ", "two words", "repository", "repository:", "repository:-1", "repository/train:1", "repository@sha256:0"],
)
def test_an_image_that_is_none_is_refused(image: str, mistakes_in: MistakesIn) -> None:
    sections = {"batch": {"a": {"image": image}}, "workers": {"f": {"queue": "results", "image": image}}}
    lines = mistakes_in({**sections, "queues": {"results": {}}})
    rule = (
        "must be an image without white space, such as public.ecr.aws/docker/library/python:3.13, or repository:TAG for"
        f" one in the stack's own repository, got '{image}'"
    )
    assert lines == [f"batch.a.image: {rule}", f"workers.f.image: {rule}"]


def test_a_name_that_is_too_long_is_refused_by_its_length(mistakes_in: MistakesIn) -> None:
    (line,) = mistakes_in({"queues": {"t" * 33: {}}})
    assert line == f"queues.{'t' * 33}: must have at most 32 characters, got '{'t' * 33}'"


@pytest.mark.parametrize("text", ["", "x", "10.0.0.0/33", "10.0/16", 3])
def test_a_range_that_is_none_is_refused_in_words(text: object, mistakes_in: MistakesIn) -> None:
    lines = mistakes_in({"network": {"cidr": text}, "eks": {"publicAccessCidrs": [text]}})
    rule = "must be a range of IPv4 addresses, such as 10.0.0.0/16, with zeros after its prefix"
    got = f"'{text}'" if isinstance(text, str) else text
    assert lines == [f"{path}: {rule}, got {got}" for path in ("eks.publicAccessCidrs.0", "network.cidr")]


def test_a_secret_in_clear_text_is_not_said_again(mistakes_in: MistakesIn) -> None:
    (line,) = mistakes_in({"batch": {"a": {"secrets": {"TOKEN": "hunter2"}}}})
    assert line.startswith("batch.a.secrets.TOKEN: must be the ARN of a Secrets Manager secret")
    assert "hunter2" not in line


def test_a_secret_of_the_configuration_is_not_said_again(aws: Aws) -> None:
    def program() -> None:
        pulumi.runtime.set_all_config(dict(pulumi.runtime.config.CONFIG.get()), ["distributed-training:queues"])
        load()

    run = engine.run(
        program,
        NewStackProvider(aws),
        preview=True,
        project="distributed-training",
        config={"aws:region": "us-west-2", "distributed-training:queues": "hunter2"},
    )
    assert str(run.error) == "queues: must be an object"


def test_what_a_number_or_a_word_may_mean_is_said(mistakes_in: MistakesIn) -> None:
    assert mistakes_in({"eks": {"version": 1.35, "trainer": "on"}, "alerts": "", "batch": {"a": {"image": 5}}}) == [
        "alerts: must be an object; {} is one with nothing in it, got ''",
        "batch.a.image: must be text: put it in quotes, got 5",
        "eks.version: must be text: put it in quotes, got 1.35",
        "eks.trainer: must be true or false, got 'on'; did you mean true?",
    ]


def test_every_pattern_has_its_words() -> None:
    def objects(schema: Any) -> Iterator[dict[str, Any]]:
        if isinstance(schema, dict):
            yield cast("dict[str, Any]", schema)
            schema = [*cast("dict[str, Any]", schema).values()]
        for one in cast("list[Any]", schema) if isinstance(schema, list) else ():
            yield from objects(one)

    of_texts = [one for one in objects(StackSettings.model_json_schema()) if "pattern" in one]
    assert len(of_texts) > 10
    assert [one["pattern"] for one in of_texts if "patternErrorMessage" not in one] == []
