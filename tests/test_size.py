"""Large stacks: what a part may use fits into what AWS takes, whatever the number and the length of names."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.fargate_workers import ROLE_ROOM, ROOM_OF_JOB_QUEUE
from components.observability.events import MOST_ARNS
from components.task_queue import MOST_SEND_TO
from local import command_line
from local.run import Run
from local.types.events import LARGEST_PATTERN_CHARACTERS
from local.types.iam import MOST_INLINE_CHARACTERS
from tests.conftest import RunStack
from tests.engine_support import RealEngine
from tests.support import all_of

LONGEST_NAME = 32
KEY = "arn:aws:kms:us-west-2:123456789012:key/mrk-{:032x}"


QUEUES = [*(f"queue-{number}" for number in range(95)), "results", *(f"tasks-{number}" for number in range(4))]
JOB_QUEUES = [f"jobs-{number}" for number in range(40)]


def submit_to(queues: int) -> int:
    """How many job queues a fleet may name at most beside these queues."""
    return (ROLE_ROOM - queues) // ROOM_OF_JOB_QUEUE


LARGE: dict[str, dict[str, Any]] = {
    "queues": {name: {} for name in QUEUES},
    "batch": {
        name: {"capacity": ["onDemand"], "sendTo": QUEUES[first : first + MOST_SEND_TO]}
        for first, name in enumerate(JOB_QUEUES)
    },
    "workers": {
        f"fleet-{number}": {
            "queue": f"tasks-{number}",
            "sendTo": QUEUES[:MOST_SEND_TO],
            "submitTo": JOB_QUEUES[number : number + submit_to(MOST_SEND_TO)],
        }
        for number in range(4)
    },
}


def write_large(project: Path) -> None:
    config = {f"distributed-training:{key}": section for key, section in LARGE.items()}
    (project / "Pulumi.large.yaml").write_text(yaml.safe_dump({"config": {"aws:region": "us-west-2", **config}}))


def test_a_stack_of_100_queues_40_job_queues_and_4_fleets_is_right(
    small_project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], thorough: bool
) -> None:
    write_large(small_project)
    monkeypatch.setattr(command_line, "PROJECT", small_project)
    # by day the test of the real engine alone deploys it
    assert command_line.main(["up" if thorough else "preview", "--stack", "large", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    # what is larger than AWS takes would be one
    assert document["mistakes"] == []
    made = Counter(one["type"] for one in document["resources"])
    assert made["aws:sqs/queue:Queue"] == 200
    assert made["aws:batch/jobQueue:JobQueue"] == 40
    assert made["aws:ecs/service:Service"] == 4


def long(kind: str, number: int = 0) -> str:
    """A name as long as a name may be."""
    return f"{kind}-{number:0{LONGEST_NAME - len(kind) - 1}}"


@pytest.fixture(scope="module")
def longest(run_sections: RunStack) -> Run:
    """All that a fleet and a job queue may name, under the longest names, each queue with a key of its own."""
    queues = [long("queue", number) for number in range(MOST_SEND_TO)]
    job_queues = [long("jobs", number) for number in range(max(submit_to(0), MOST_ARNS + 1))]
    keyed = {name: {"kmsKeyArn": KEY.format(number)} for number, name in enumerate(["results", long("own"), *queues])}
    fleets = {
        long("fleet", number): {
            "queue": long("own"),
            "sharesQueue": True,
            "sendTo": queues[:number],
            "submitTo": job_queues[: submit_to(number)],
        }
        for number in (0, 3, MOST_SEND_TO)
    }
    return run_sections(
        {
            "queues": keyed,
            "batch": {name: {"capacity": ["onDemand"], "sendTo": queues} for name in job_queues},
            "workers": fleets,
        },
        preview=False,
    )


def size(text: str) -> int:
    """Characters of a text, without white space, in the region whose name is the longest with its partition."""
    text = text.replace("arn:aws:", "arn:aws-iso-b:").replace("us-west-2", "us-isob-east-1")
    return len(re.sub(r"\s", "", text))


def test_a_role_has_room_for_all_that_a_part_may_name_and_not_for_much_more(longest: Run) -> None:
    sizes = [size(one.inputs["policy"]) for one in all_of(longest, "aws:iam/rolePolicy:RolePolicy").values()]
    assert MOST_INLINE_CHARACTERS * 0.9 < max(sizes) <= MOST_INLINE_CHARACTERS


@pytest.mark.parametrize("rule", ["alerts-job-failed", "alerts-job-queue-blocked", "alerts-job-events"])
def test_events_of_many_job_queues_are_in_several_rules_each_once(rule: str, longest: Run) -> None:
    rules = all_of(longest, "aws:cloudwatch/eventRule:EventRule")
    patterns = [rules[name].inputs["eventPattern"] for name in (rule, f"{rule}-2")]
    assert max(map(size, patterns)) <= LARGEST_PATTERN_CHARACTERS
    named = [arn for pattern in patterns for arn in json.loads(pattern)["detail"]["jobQueue"]]
    assert sorted(named) == sorted(longest.exports["batch_job_queue_arns"].values())


@pytest.mark.engine
@pytest.mark.skipif(shutil.which("pulumi") is None, reason="there is no Pulumi CLI on the PATH")
def test_the_same_stack_deploys_on_the_real_engine(tmp_path: Path) -> None:
    real = RealEngine(tmp_path / "project")
    write_large(real.project)
    try:
        made = real.pulumi("up", "-s", "large", "--yes", "--skip-preview")
    finally:
        real.stop()
    assert re.search(r"^    \+ \d+ created$", made, re.MULTILINE)
