"""AWS Lambda in moto: what is made, seen, changed and ended."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from local.aws import Aws
from local.moto_process import ACCOUNT_ID
from local.wire import SIGNATURE
from tests.support import Life

FUNCTION = "aws:lambda/function:Function"
RULE = f"arn:aws:events:us-west-2:{ACCOUNT_ID}:rule/often"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}


def code(text: str) -> Mapping[str, Any]:
    """An archive of one text, as Pulumi's engine hands it on."""
    asset = {SIGNATURE: "c44067f5952c0a294b673a41bacd8c17", "text": text}
    return {SIGNATURE: "0def7320c3a5731c473e5ecbe6d01bc7", "assets": {"index.py": asset}}


@pytest.fixture
def function(aws: Aws) -> Iterator[Life]:
    """A function, with its role."""
    role = Life(aws, "aws:iam/role:Role", {"assumeRolePolicy": json.dumps(TRUST)})
    one = Life(
        aws,
        FUNCTION,
        {
            "code": code("x = 1"),
            "handler": "index.handler",
            "runtime": "python3.14",
            "role": role.outputs["arn"],
            "timeout": 60,
            "loggingConfig": {"logFormat": "Text", "logGroup": "it"},
            "tags": {"Name": "it"},
        },
    )
    yield one
    one.delete()
    role.delete()


def test_code_configuration_and_tags_change_in_place(aws: Aws, function: Life) -> None:
    client, name = aws.client("lambda"), function.outputs["name"]
    before = client.get_function(FunctionName=name)["Configuration"]
    function.update(timeout=120, memorySize=256, description="asks", tags={"Kind": "alerts"})
    after = client.get_function(FunctionName=name)
    assert after["Configuration"]["CodeSha256"] == before["CodeSha256"]
    assert (after["Configuration"]["Timeout"], after["Configuration"]["MemorySize"]) == (120, 256)
    assert after["Tags"] == {**aws.default_tags, "Kind": "alerts"}
    function.update(code=code("x = 2"))
    assert client.get_function(FunctionName=name)["Configuration"]["CodeSha256"] != before["CodeSha256"]
    function.update(code=code("x = 1"))
    assert client.get_function(FunctionName=name)["Configuration"]["CodeSha256"] == before["CodeSha256"]


def test_a_timeout_that_somebody_changed_is_seen(aws: Aws, function: Life) -> None:
    aws.client("lambda").update_function_configuration(FunctionName=function.outputs["name"], Timeout=3)
    assert function.seen()["timeout"] == 3


def test_who_may_call_a_function_is_a_statement_of_its_policy_that_goes_by_itself(aws: Aws, function: Life) -> None:
    name = function.outputs["name"]
    inputs = {"function": name, "action": "lambda:InvokeFunction", "principal": "events.amazonaws.com"}
    one = Life(aws, "aws:lambda/permission:Permission", {**inputs, "sourceArn": RULE})
    assert one.read() == one.state
    (statement,) = json.loads(aws.client("lambda").get_policy(FunctionName=name)["Policy"])["Statement"]
    assert statement["Condition"] == {"ArnLike": {"AWS:SourceArn": RULE}}
    assert all(
        change.replaces for change in one.provider.diff(one.resource.type, one.state, {**inputs, "sourceArn": "x"})
    )
    one.delete()
    assert function.read() == function.state


def test_what_somebody_took_away_is_gone(aws: Aws, function: Life) -> None:
    name = function.outputs["name"]
    one = Life(
        aws,
        "aws:lambda/permission:Permission",
        {"function": name, "action": "lambda:InvokeFunction", "principal": "events.amazonaws.com", "sourceArn": RULE},
    )
    aws.client("lambda").remove_permission(FunctionName=name, StatementId=one.state.id)
    assert one.read() is None
    aws.client("lambda").delete_function(FunctionName=name)
    assert function.read() is None
