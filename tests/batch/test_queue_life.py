"""A job queue whose stack file is edited while a job runs, on Pulumi's real engine."""

import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from local.aws import Aws
from local.kept import FOLDER, Kept
from tests.batch.support import SINGLE, start_task
from tests.engine_support import RealEngine

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="there is no Pulumi CLI on the PATH"),
]

STACK = "life"
REFUSED = 1
"""Exit status of a preview whose program fails."""


class InUse:
    """A stack of job queues, and the AWS that it is on."""

    def __init__(self, real: RealEngine) -> None:
        self.real = real

    @property
    def aws(self) -> Aws:
        """The AWS of this engine."""
        return Kept(self.real.project / FOLDER).there()

    def pulumi(self, command: str, *arguments: str, status: int = 0) -> str:
        """What the CLI says of the stack."""
        return self.real.pulumi(command, "-s", STACK, *arguments, status=status)

    def write(self, batch: Mapping[str, Any]) -> None:
        """Write the stack file."""
        config = {"aws:region": "us-west-2", "distributed-training:batch": batch}
        (self.real.project / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump({"config": config}))

    def up(self, batch: Mapping[str, Any]) -> str:
        """Write the stack file and deploy it."""
        self.write(batch)
        return self.pulumi("up", "--yes", "--skip-preview")

    def environments(self) -> dict[str, tuple[str, str]]:
        """Logical name of each compute environment -> its physical name and its state."""
        return {
            one["tags"]["distributed-training:name"]: (one["computeEnvironmentName"], one["state"])
            for one in self.aws.client("batch").describe_compute_environments()["computeEnvironments"]
        }

    def queue(self) -> dict[str, Any]:
        """The job queue."""
        (queue,) = self.aws.client("batch").describe_job_queues()["jobQueues"]
        return queue

    def in_queue(self) -> list[str]:
        """Logical names of what the job queue gives jobs to, in order."""
        logical = {physical: name for name, (physical, _) in self.environments().items()}
        return [
            logical[one["computeEnvironment"].rpartition("/")[2]] for one in self.queue()["computeEnvironmentOrder"]
        ]

    def states(self, *names: str) -> list[str]:
        """States of compute environments, by their logical names; `gone` for one that is not there."""
        there = self.environments()
        return [there[name][1] if name in there else "gone" for name in names]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InUse]:
    real = RealEngine(tmp_path_factory.mktemp("engine") / "project")
    yield InUse(real)
    real.stop()


def test_no_edit_stops_a_job_and_what_is_empty_goes(stack: InUse) -> None:
    first, second, third = (
        {"single": SINGLE | {"instanceTypes": types}}
        for types in (["g6.12xlarge", "g6e.12xlarge"], ["g6.12xlarge"], ["g6e.12xlarge"])
    )
    stack.up(first)
    was = stack.environments()
    one_spot, one_on_demand = stack.in_queue()
    cluster, task = start_task(stack.aws, one_spot)

    def runs() -> bool:
        return task in stack.aws.client("ecs").list_tasks(cluster=cluster, desiredStatus="RUNNING")["taskArns"]

    said = stack.up(second)
    assert f"{one_spot} takes no new job (tasks that go on in it: 1)" in said
    two_spot, two_on_demand = stack.in_queue()
    assert stack.states(one_spot, one_on_demand, two_spot, two_on_demand) == ["DISABLED"] * 2 + ["ENABLED"] * 2
    # the queue has the new ones before the old ones take no more
    assert said.index("JobQueue single updated") < said.index(f"ComputeEnvironment {one_spot} updating")
    assert runs()

    # a second edit while the first drains: what is empty goes
    said = stack.up(third)
    assert f"{one_on_demand} is empty, and is deleted" in said
    three_spot, three_on_demand = stack.in_queue()
    assert stack.states(one_spot, one_on_demand, two_spot, two_on_demand) == [
        "DISABLED",
        "gone",
        "DISABLED",
        "DISABLED",
    ]
    assert runs()

    # the edit back: the one that still drains takes jobs again, as it was
    stack.up(first)
    assert stack.in_queue() == [one_spot, one_on_demand]
    assert stack.environments()[one_spot] == was[one_spot]
    assert stack.states(two_spot, two_on_demand, three_spot, three_on_demand) == [
        "gone",
        "gone",
        "DISABLED",
        "DISABLED",
    ]
    assert runs()

    # the end of a drain, and then there is nothing left to do
    stack.up(first)
    assert set(stack.environments()) == {one_spot, one_on_demand}
    stack.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")
    assert runs()

    # a queue goes when it is closed and empty
    stack.write({})
    name = stack.queue()["jobQueueName"]
    batch = stack.aws.client("batch")
    batch.update_job_queue(jobQueue=name, state="DISABLED")
    assert "got {'state': 'DISABLED', 'tasks': 1}" in stack.pulumi("preview", status=REFUSED)
    stack.aws.client("ecs").stop_task(cluster=cluster, task=task)
    stack.up({})
    assert batch.describe_job_queues()["jobQueues"] == []
    assert stack.environments() == {}
