"""What all log groups of a stack have: a retention, a key; and keys that CloudWatch Logs would refuse."""

import re
from collections.abc import Callable, Mapping
from typing import Any, cast, get_args

import botocore.session
import pytest

from components.logs import RetentionDays
from local.aws import Aws
from tests.conftest import RunStack
from tests.support import WHOLE, all_of

MistakesIn = Callable[[Mapping[str, Any]], list[str]]

LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
GROUPS = {"single", "workers", "network-flow", "alerts-job-events", "alerts-job-queues", "training"}


@pytest.fixture
def key(aws: Aws) -> str:
    return aws.client("kms").create_key()["KeyMetadata"]["Arn"]


def test_every_log_group_of_the_stack_has_the_retention_and_the_key(run_sections: RunStack, key: str) -> None:
    logs = {"retentionDays": 365, "kmsKeyArn": key}
    groups = all_of(run_sections({**WHOLE, "network": {"flowLogs": True}, "logs": logs}), LOG_GROUP)
    assert set(groups) == GROUPS
    for name, one in groups.items():
        assert (one.inputs["retentionInDays"], one.inputs["kmsKeyId"]) == (365, key), name


def test_without_the_section_logs_stay_as_they_were(run_sections: RunStack) -> None:
    groups = all_of(run_sections({**WHOLE, "network": {"flowLogs": True}}), LOG_GROUP)
    assert {name: one.inputs["retentionInDays"] for name, one in groups.items()} == {
        **dict.fromkeys(GROUPS, 30),
        "training": 90,
    }
    assert [name for name, one in groups.items() if "kmsKeyId" in one.inputs] == []


def test_the_days_are_those_that_cloudwatch_takes() -> None:
    model = cast("Any", botocore.session.get_session().get_service_model("logs"))
    told: str = model.shape_for("PutRetentionPolicyRequest").members["retentionInDays"].documentation
    assert set(get_args(RetentionDays)) == {int(one) for one in re.findall(r"\d+", told)}


def test_days_that_cloudwatch_does_not_take_are_refused(mistakes_in: MistakesIn) -> None:
    for days in (0, 31, 366):
        (line,) = mistakes_in({"logs": {"retentionDays": days}})
        assert line.startswith("logs.retentionDays: must be 1, 3, 5, 7, 14, ")
        assert line.endswith(f"3288 or 3653, got {days}")


def test_a_key_that_is_elsewhere_or_not_there_or_off_or_of_another_kind_is_refused(
    mistakes_in: MistakesIn, aws: Aws, key: str
) -> None:
    kms = aws.client("kms")
    rsa = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    elsewhere, gone = key.replace("us-west-2", "eu-west-1"), f"{key[:-4]}0000"
    rules = {
        elsewhere: "must be a key in us-west-2, where the logs are",
        gone: "must be a key that is there",
        rsa: "must be a symmetric key, because CloudWatch Logs takes no other",
    }
    for arn, rule in rules.items():
        assert mistakes_in({"logs": {"kmsKeyArn": arn}}) == [f"logs.kmsKeyArn: {rule}, got '{arn}'"]
    kms.disable_key(KeyId=key.rpartition("/")[2])
    rule = "must be a key that is enabled, and is Disabled"
    assert mistakes_in({"logs": {"kmsKeyArn": key}}) == [f"logs.kmsKeyArn: {rule}, got '{key}'"]
