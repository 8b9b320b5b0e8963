"""The worker's environment: defaults, bounds, and every mistake at once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.worker_support import ROOT
from worker.__main__ import HEALTHY_SECONDS, main
from worker.settings import SettingsError, from_environment

QUEUES = {
    "WORKER_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/tasks.fifo",
    "WORKER_RESULTS_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/results.fifo",
}


def mistakes(**environment: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        from_environment({**QUEUES, **environment})
    return caught.value.mistakes


def test_two_queue_urls_are_enough() -> None:
    settings = from_environment(QUEUES)
    assert settings.visibility_timeout_seconds is None
    assert (settings.max_task_seconds, settings.slots, settings.drain_seconds) == (3600, 1, 90)
    assert settings.health_file == Path("/tmp/worker-healthy")  # noqa: S108
    assert settings.ecs_agent_uri is None


def test_every_setting_is_read_from_its_variable() -> None:
    settings = from_environment(
        {
            **QUEUES,
            "WORKER_VISIBILITY_TIMEOUT_SECONDS": "900",
            "WORKER_MAX_FAILURES": "3",
            "WORKER_RECORDS_URL": "s3://artifacts-1a2b3c/worker-records",
            "WORKER_MAX_TASK_SECONDS": "43080",
            "WORKER_SLOTS": "4",
            "WORKER_LOG_BYTES": "1000",
            "WORKER_TASK_MEMORY_MIB": "512",
            "WORKER_POLL_SECONDS": "20",
            "WORKER_DRAIN_SECONDS": "60",
            "WORKER_STOP_GRACE_SECONDS": "20",
            "WORKER_RETRY_SECONDS": "1",
            "WORKER_RETRY_MAX_SECONDS": "2",
            "WORKER_TROUBLE_MAX_SECONDS": "3",
            "WORKER_PROTECTION_LINGER_SECONDS": "4",
            "WORKER_HEALTH_FILE": "/tmp/x",  # noqa: S108
            "ECS_AGENT_URI": "http://169.254.170.2/api/x",
        }
    )
    assert (settings.visibility_timeout_seconds, settings.max_task_seconds, settings.slots) == (900, 43080, 4)
    assert (settings.max_failures, settings.records_url) == (3, "s3://artifacts-1a2b3c/worker-records")
    assert (settings.log_bytes, settings.task_memory_mib) == (1000, 512)
    assert (settings.poll_seconds, settings.drain_seconds, settings.stop_grace_seconds) == (20, 60, 20)
    assert (settings.retry_seconds, settings.retry_max_seconds, settings.trouble_max_seconds) == (1, 2, 3)
    assert (settings.protection_linger_seconds, str(settings.health_file)) == (4, "/tmp/x")  # noqa: S108
    assert settings.ecs_agent_uri == "http://169.254.170.2/api/x"


@pytest.mark.parametrize(
    ("environment", "region"),
    [
        ({"AWS_REGION": "us-west-2", "AWS_DEFAULT_REGION": "us-east-1"}, "us-west-2"),
        ({"AWS_DEFAULT_REGION": "us-east-1"}, "us-east-1"),
        ({}, "eu-west-1"),
        ({"WORKER_QUEUE_URL": "http://127.0.0.1:5000/1/tasks"}, None),
    ],
)
def test_the_region_is_told_or_stands_in_the_url(environment: dict[str, str], region: str | None) -> None:
    assert from_environment({**QUEUES, **environment}).region == region


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("WORKER_SLOTS", "0", "WORKER_SLOTS: a whole number from 1 to 64, got '0'"),
        ("WORKER_SLOTS", "two", "WORKER_SLOTS: a whole number from 1 to 64, got 'two'"),
        ("WORKER_SLOTS", "-1", "WORKER_SLOTS: a whole number from 1 to 64, got '-1'"),
        ("WORKER_POLL_SECONDS", "21", "WORKER_POLL_SECONDS: a whole number from 1 to 20 seconds, got '21'"),
        (
            "WORKER_MAX_TASK_SECONDS",
            "43081",
            "WORKER_MAX_TASK_SECONDS: a whole number from 1 to 43080 seconds, got '43081'",
        ),
        (
            "WORKER_DRAIN_SECONDS",
            "101",
            "WORKER_DRAIN_SECONDS + WORKER_STOP_GRACE_SECONDS: at most 110 seconds, got 111",
        ),
        ("WORKER_RETRY_SECONDS", "901", "WORKER_RETRY_SECONDS: at most WORKER_RETRY_MAX_SECONDS (900), got 901"),
        ("WORKER_HEALTH_FILE", "healthy", "WORKER_HEALTH_FILE: an absolute path, got 'healthy'"),
        ("WORKER_QUEUE_URL", "tasks", "WORKER_QUEUE_URL: the URL of an SQS queue, got 'tasks'"),
        ("WORKER_QUEUE_URL", "", "WORKER_QUEUE_URL: required, the URL of an SQS queue"),
    ],
)
def test_a_wrong_value_is_named_with_its_rule(variable: str, value: str, expected: str) -> None:
    assert mistakes(**{variable: value}) == [expected]


@pytest.mark.parametrize("alone", [{"WORKER_MAX_FAILURES": "3"}, {"WORKER_RECORDS_URL": "s3://bucket/records"}])
def test_failures_are_counted_only_where_there_is_a_place_for_it(alone: dict[str, str]) -> None:
    assert mistakes(**alone) == ["WORKER_MAX_FAILURES: together with WORKER_RECORDS_URL, got one of them"]


@pytest.mark.parametrize("url", ["bucket", "s3://bucket", "s3://bucket/", "https://bucket/records"])
def test_records_are_in_a_folder_of_a_bucket(url: str) -> None:
    both = {"WORKER_MAX_FAILURES": "3", "WORKER_RECORDS_URL": url}
    assert mistakes(**both) == [f"WORKER_RECORDS_URL: s3://BUCKET/PREFIX, got {url!r}"]


def test_an_unknown_setting_is_a_mistake() -> None:
    (line,) = mistakes(WORKER_SLOT="2")
    assert line.startswith("WORKER_SLOT: no such setting, one of WORKER_QUEUE_URL, ")
    assert line.endswith("WORKER_HEALTH_FILE")


def test_the_results_cannot_go_where_the_tasks_come_from() -> None:
    url = QUEUES["WORKER_QUEUE_URL"]
    expected = f"WORKER_RESULTS_QUEUE_URL: must differ from WORKER_QUEUE_URL, got {url!r}"
    assert mistakes(WORKER_RESULTS_QUEUE_URL=url) == [expected]


def test_all_mistakes_come_at_once_on_stderr_with_exit_code_2() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "worker"],
        cwd=ROOT,
        env={"WORKER_SLOTS": "many", "WORKER_DRAIN_SECONDS": "-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.splitlines() == [
        "WORKER_QUEUE_URL: required, the URL of an SQS queue",
        "WORKER_RESULTS_QUEUE_URL: required, the URL of an SQS queue",
        "WORKER_SLOTS: a whole number from 1 to 64, got 'many'",
        "WORKER_DRAIN_SECONDS: a whole number from 0 to 110 seconds, got '-1'",
    ]


def test_an_unknown_argument_is_answered_with_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 2
    assert capsys.readouterr().err == "usage: python -m worker [--healthy], got --help\n"


def test_healthy_is_a_health_file_that_was_touched_lately(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "healthy"
    monkeypatch.setenv("WORKER_HEALTH_FILE", str(file))
    assert main(["--healthy"]) == 1
    file.touch()
    assert main(["--healthy"]) == 0
    monkeypatch.setattr(time, "time", lambda: file.stat().st_mtime + HEALTHY_SECONDS + 1)
    assert main(["--healthy"]) == 1
