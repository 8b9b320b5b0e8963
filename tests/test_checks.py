"""What is refused before AWS is asked: each wrong input with its line, and that nothing right is refused.

The inputs and the lines are in checks.yaml.
"""

import copy
import json
import re
from collections.abc import Mapping
from typing import Any, cast

import pytest
import yaml

from local.aws import Aws
from local.moto_process import ACCOUNT_ID
from local.provider import Provider
from local.record import TYPES, ResourceType
from local.run import Registration
from local.wire import UNKNOWN
from tests import sdk_shape
from tests.conftest import REGION, ROOT, RunStack

KEY = f"arn:aws:kms:us-west-2:{ACCOUNT_ID}:key/11111111-2222-3333-4444-555555555555"


def expanded(value: Any) -> Any:
    """A value of the table, its long texts written out."""
    match value:
        case {"repeat": text, "times": times}:
            return text * times
        case dict():
            return {key: expanded(one) for key, one in cast("dict[str, Any]", value).items()}
        case list():
            return [expanded(one) for one in cast("list[Any]", value)]
        case _:
            return value


CASES: dict[str, Any] = expanded(yaml.safe_load((ROOT / "tests" / "checks.yaml").read_text(encoding="utf-8")))
ACCEPTED: dict[str, dict[str, Any]] = {type_: case["accepted"] for type_, case in CASES.items()}
"""Resource type -> inputs that AWS takes."""
REFUSED: list[tuple[str, dict[str, Any], list[str]]] = [
    (type_, one["change"], one["says"]) for type_, case in CASES.items() for one in case.get("refused", [])
]
"""Type, changes to what AWS takes, and what is said of them."""


def mistakes(type_: str, inputs: Mapping[str, Any]) -> list[str]:
    """What is said of inputs; no AWS is started for it."""
    return Provider(Aws(REGION)).check(type_, inputs)


def mistakes_of_shape(type_: str, inputs: Mapping[str, Any]) -> list[str]:
    return list(
        sdk_shape.mistakes(
            Registration(urn="", type=type_, name="it", parent="", custom=True, inputs=inputs, dependencies=frozenset())
        )
    )


def documents(type_: str, inputs: Mapping[str, Any]) -> set[str]:
    """Inputs that are written out in the table and are JSON text to the SDK."""
    lines = mistakes_of_shape(type_, inputs)
    return {key for key in inputs if any(line.startswith(f"{key}: must be text, got") for line in lines)}


def written(type_: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs as the program registers them."""
    text = documents(type_, inputs)
    return {key: json.dumps(value) if key in text else value for key, value in inputs.items()}


def changed(inputs: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with other values at these paths; None takes one away, and a list grows at its end."""
    copied = copy.deepcopy(dict(inputs))
    for path, value in changes.items():
        *parents, last = re.findall(r"[^.\[\]]+", path)
        there: Any = copied
        for step in parents:
            there = there[int(step)] if step.isdigit() else there.setdefault(step, {})
        if not last.isdigit():
            there[last] = value
        else:
            there[int(last) :] = [value, *there[int(last) + 1 :]]
    return without_none(copied)


def without_none(value: Any) -> Any:
    match value:
        case dict():
            given = cast("dict[str, Any]", value)
            return {key: without_none(one) for key, one in given.items() if one is not None}
        case list():
            return [without_none(one) for one in cast("list[Any]", value)]
        case _:
            return value


@pytest.mark.parametrize("type_", ACCEPTED)
def test_what_aws_takes_is_not_refused(type_: str) -> None:
    inputs = written(type_, ACCEPTED[type_])
    assert mistakes_of_shape(type_, inputs) == []
    assert mistakes(type_, inputs) == []


@pytest.mark.parametrize(("type_", "changes", "lines"), REFUSED)
def test_what_aws_refuses_is_refused(type_: str, changes: dict[str, Any], lines: list[str]) -> None:
    assert mistakes(type_, written(type_, changed(ACCEPTED[type_], changes))) == lines


@pytest.mark.parametrize("type_", ACCEPTED)
def test_what_is_not_known_yet_is_not_refused(type_: str) -> None:
    inputs = ACCEPTED[type_]
    text = documents(type_, inputs)
    unknown_inputs = {key: UNKNOWN if key in text else unknown(value) for key, value in inputs.items()}
    assert mistakes(type_, unknown_inputs) == []


def unknown(value: Any) -> Any:
    """A value with every text in it unknown, as those that other resources give are in a preview."""
    match value:
        case dict():
            return {key: unknown(one) for key, one in cast("dict[str, Any]", value).items()}
        case list():
            return [unknown(one) for one in cast("list[Any]", value)]
        case str():
            return UNKNOWN
        case _:
            return value


def test_every_record_that_refuses_something_is_tried_here() -> None:
    refusing = {
        token for token, record in TYPES.items() if record.documents or type(record).refused is not ResourceType.refused
    }
    assert refusing - {type_ for type_, _, _ in REFUSED} == set()


def test_every_type_tried_here_has_a_record() -> None:
    assert set(ACCEPTED) - set(TYPES) == set()


def test_every_mistake_of_a_resource_is_a_line() -> None:
    inputs = {"visibilityTimeoutSeconds": -1, "tags": {"aws:a": "b"}}
    assert mistakes("aws:sqs/queue:Queue", inputs) == [
        "visibilityTimeoutSeconds: expected to be in the range (0 - 43200), got -1",
        "tags.aws:a: Tag keys starting with 'aws:' are reserved for internal use, got 'aws:a'",
    ]


def test_fifty_tags_are_enough() -> None:
    tags = {str(number): "x" for number in range(51)}
    assert mistakes("aws:sns/topic:Topic", {"tags": tags}) == ["tags: must have at most 50 tags, got 51"]


EVERYTHING: dict[str, Any] = {
    "network": {
        "availabilityZones": 3,
        "natGateways": "perZone",
        "interfaceEndpoints": ["ecr.api", "ecr.dkr", "logs", "sqs", "sts", "batch", "ecs", "ecs-agent", "eks-auth"],
        "flowLogs": True,
    },
    "artifacts": {"checkpointDays": None, "lustre": {"storageGib": 2400, "throughputPerTib": 250}},
    "queues": {
        "tasks": {"kmsKeyArn": KEY},
        "results": {},
        "plain": {"fifo": False},
        "slow": {"visibilityTimeoutSeconds": 43_200, "highThroughput": False},
    },
    "batch": {
        "shared": {"fairShare": {"a": 1.0, "b": 0.5}, "capacity": ["onDemand", "spot"]},
        "multi": {
            "nodes": 2,
            "instanceTypes": ["p5.48xlarge"],
            "capacity": ["onDemand"],
            "efa": True,
        },
        "reserved": {"capacity": ["onDemand"], "capacityReservationId": "cr-0123456789abcdef0"},
    },
    "workers": {
        "arm": {
            "queue": "plain",
            "secrets": {"TOKEN": f"arn:aws:secretsmanager:us-west-2:{ACCOUNT_ID}:secret:token-AbCdEf:key::"},
            "architecture": "arm64",
            "sendTo": ["tasks", "slow"],
            "submitTo": ["shared", "multi", "reserved"],
        },
        "own": {"queue": "slow", "image": "python:3.13", "sharesQueue": True},
        "gpu": {"queue": "slow", "image": "mine:1", "sharesQueue": True, "gpu": 2, "instanceTypes": ["g6.12xlarge"]},
    },
    "eks": {
        "publicAccessCidrs": ["9.9.9.0/24"],
        "adminPrincipalArns": [f"arn:aws:iam::{ACCOUNT_ID}:role/admin"],
        "gpuNodeGroups": {
            "efa": {"instanceTypes": ["p5.48xlarge"], "efa": True},
            "block": {
                "instanceTypes": ["p5.48xlarge"],
                "capacity": "capacityBlock",
                "capacityReservationId": "cr-0123456789abcdef1",
            },
        },
        "kueue": True,
        "trainer": True,
    },
    "teams": {"vision": {"principalArns": [f"arn:aws:iam::{ACCOUNT_ID}:role/vision"], "monthlyBudgetUsd": 50}},
    "alerts": {"emails": ["somebody@example.com"], "monthlyBudgetUsd": 100.5, "anomalyUsd": 100},
    "protect": True,
}


@pytest.mark.parametrize("preview", [True, False], ids=["preview", "up"])
def test_a_stack_with_every_part_is_not_refused(preview: bool, run_sections: RunStack) -> None:
    assert run_sections(EVERYTHING, preview=preview).error is None
