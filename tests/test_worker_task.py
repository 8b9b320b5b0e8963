"""Task bodies and result bodies."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.task import MAX_BODY_BYTES, BadTaskError, Result, parse

TASK: dict[str, Any] = {"id": "task-1", "command": ["true"]}


def refusal(body: str) -> BadTaskError:
    with pytest.raises(BadTaskError) as caught:
        parse(body, max_task_seconds=3600)
    return caught.value


def test_env_and_timeout_may_be_left_out() -> None:
    task = parse(json.dumps(TASK), max_task_seconds=3600)
    assert (task.id, task.command, task.env, task.timeout_seconds) == ("task-1", ["true"], {}, 3600)


def test_every_field_is_kept_as_it_is() -> None:
    body = {"id": "a/b:c.1", "command": ["echo", "", "ä\n"], "env": {"N_1": "x=y"}, "timeoutSeconds": 5}
    task = parse(json.dumps(body), max_task_seconds=3600)
    assert (task.id, task.command, task.env, task.timeout_seconds) == (
        "a/b:c.1",
        ["echo", "", "ä\n"],
        {"N_1": "x=y"},
        5,
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", "body: must be JSON, "),
        ("{", "body: must be JSON, "),
        ("[" * 100_000, "body: must be JSON, "),
        ("[]", "body: must be a JSON object, got an array"),
        ("7", "body: must be a JSON object, got a number"),
        ("null", "body: must be a JSON object, got null"),
        ('"' + "x" * MAX_BODY_BYTES + '"', f"body: at most {MAX_BODY_BYTES} bytes, got {MAX_BODY_BYTES + 2}"),
    ],
)
def test_a_body_that_is_no_object_is_refused_without_an_id(body: str, expected: str) -> None:
    error = refusal(body)
    assert str(error).startswith(expected)
    assert error.task_id is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"comand": ["x"]}, "comand: no such field"),
        ({"command": None}, "command: a list of at least one string, got null"),
        ({"command": "true"}, "command: a list of at least one string, got true"),
        ({"command": []}, "command: a list of at least one string, got []"),
        ({"command": [""]}, "command[0]: the program's name, got ''"),
        ({"command": ["x", 1]}, "command[1]: a string, got 1"),
        ({"command": ["a\0b"]}, "command[0]: a string without NUL, got one"),
        ({"command": ["\ud800"]}, "command[0]: a string of Unicode characters, got a lone surrogate"),
        ({"command": ["x" * 131_072]}, "command[0]: at most 131071 bytes, got 131072"),
        ({"env": []}, "env: an object of strings, got []"),
        ({"env": {"A": 1}}, "env.A: a string, got 1"),
        ({"env": {"A=B": "x"}}, "env: a name of letters, digits and underscores, got A=B"),
        ({"env": {"A": "x" * 131_070}}, "env.A: at most 131069 bytes, got 131070"),
        ({"timeoutSeconds": 0}, "timeoutSeconds: a whole number from 1 to 3600, got 0"),
        ({"timeoutSeconds": True}, "timeoutSeconds: a whole number from 1 to 3600, got true"),
        ({"timeoutSeconds": 1.5}, "timeoutSeconds: a whole number from 1 to 3600, got 1.5"),
        (
            {"timeoutSeconds": 43_201},
            "timeoutSeconds: a whole number from 1 to 3600, got 43201; submit longer work to AWS Batch instead",
        ),
    ],
)
def test_a_wrong_field_is_named_and_the_id_is_kept(change: dict[str, Any], expected: str) -> None:
    error = refusal(json.dumps({**TASK, **change}))
    assert str(error) == expected
    assert error.task_id == "task-1"


@pytest.mark.parametrize("task_id", ["", "x" * 129, "a b", "ä", 7, None, "a\n"])
def test_an_id_that_sqs_would_not_take_is_refused(task_id: object) -> None:
    error = refusal(json.dumps({**TASK, "id": task_id}))
    assert str(error).startswith("id: 1 to 128 letters, digits and punctuation, got ")
    assert error.task_id is None


@pytest.mark.parametrize(
    "name",
    ["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "WORKER_SLOTS", "ECS_AGENT_URI"],
)
def test_env_may_not_carry_credentials_or_the_workers_settings(name: str) -> None:
    expected = f"env.{name}: is the worker's or a credential, which no message may carry"
    assert str(refusal(json.dumps({**TASK, "env": {name: "x"}}))) == expected


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_PROFILE", "PATH", "WORKERS"])
def test_env_may_carry_anything_else(name: str) -> None:
    assert parse(json.dumps({**TASK, "env": {name: "x"}}), max_task_seconds=1).env == {name: "x"}


def test_all_that_is_wrong_is_said_at_once_and_briefly() -> None:
    error = refusal(json.dumps({"command": [], "x": 1}))
    assert str(error).split("; ") == [
        "x: no such field",
        "id: 1 to 128 letters, digits and punctuation, got null",
        "command: a list of at least one string, got []",
    ]
    assert len(str(refusal(json.dumps({f"field-{number}": 0 for number in range(9_000)})))) == 2_000


@settings(max_examples=50, deadline=None)
@given(st.text() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_no_text_makes_parsing_fail_otherwise(body: str) -> None:
    refusal(body)


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["id", "command", "env", "timeoutSeconds", "x"]),
        st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text() | st.integers()) | st.just({"A": 1}),
    )
)
def test_no_object_makes_parsing_fail_otherwise(fields: dict[str, object]) -> None:
    with contextlib.suppress(BadTaskError):
        parse(json.dumps(fields), max_task_seconds=3600)


def test_a_result_is_ascii_json_with_every_field() -> None:
    result = Result(
        id="task-1",
        status="failed",
        exit_code=3,
        reason="exited with 3",
        duration_seconds=1.23456,
        output=["\x00ä\ufffe"],
        receive_count=2,
        message_id="m",
    )
    assert result.body().isascii()
    assert json.loads(result.body()) == {
        "id": "task-1",
        "status": "failed",
        "exitCode": 3,
        "reason": "exited with 3",
        "durationSeconds": 1.235,
        "output": ["\x00ä\ufffe"],
        "receiveCount": 2,
        "messageId": "m",
    }
