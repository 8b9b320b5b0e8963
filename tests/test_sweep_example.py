"""The sweep, from its tasks to its table, by way of a queue, a worker and `train`."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from local.aws import Aws
from local.round_trip import working
from tests.conftest import ROOT, RunStack

SWEEP = ROOT / "examples" / "sweep" / "sweep.py"


def call(arguments: Sequence[str | Path], given: str = "", **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tasks() -> list[str]:
    return call([SWEEP, "tasks"]).splitlines()


def test_there_is_a_task_for_each_point_of_the_grid(tasks: list[str]) -> None:
    assert len({json.loads(line)["id"] for line in tasks}) == 100


def test_results_become_a_table_with_the_best_below_and_a_dash_for_what_failed() -> None:
    said = json.dumps({"learning_rate": 0.1, "momentum": 0.5, "loss": 0.25})
    results: list[dict[str, Any]] = [
        {"id": "a", "status": "succeeded", "output": ["step 1", said]},
        {"id": "b", "status": "failed", "output": []},
    ]
    lines = call([SWEEP, "table"], "\n".join(map(json.dumps, results))).splitlines()
    row = next(line.split() for line in lines if line.split()[0] == "0.1")
    assert row == ["0.1", *["-"] * 5, "0.2500", *["-"] * 4]
    assert lines[-1] == "best of 1: loss 0.2500 at learning rate 0.1 and momentum 0.5"


def test_tasks_go_through_a_worker_into_the_table(
    tasks: list[str], run_sections: RunStack, aws: Aws, tmp_path: Path
) -> None:
    exports = run_sections({"queues": {"tasks": {}, "results": {}}}, preview=False).exports
    (tmp_path / "outputs.json").write_text(json.dumps(exports))
    # some of the hundred: each starts a Python of its own
    some = tmp_path / "tasks.jsonl"
    some.write_text("\n".join(tasks[30:36]))
    environment = {**aws.environment, "TRAIN_OUTPUTS": str(tmp_path / "outputs.json")}
    train = ["-m", "client", "task"]
    with working(aws, exports, "tasks"):
        sent = call([*train, "send", "tasks", "--file", some], **environment).split()
        results = call([*train, "results", "--file", some, "--follow", "--take", "--json"], **environment)
    assert sent == [json.loads(line)["id"] for line in tasks[30:36]]
    assert "best of 6: loss 0.0069 " in call([SWEEP, "table"], results)
