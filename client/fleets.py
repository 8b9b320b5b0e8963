"""What the workers of a stack were told: which queue they work on, where they answer, how long a task may run."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from client.outputs import Outputs


@dataclass(frozen=True)
class Fleet:
    """A fleet of workers, as its task definition tells it."""

    name: str
    tasks_url: str
    results_url: str
    longest_seconds: int | None
    """How long a task may run; None where the task definition does not say."""


def fleets(ecs: Any, outputs: Outputs) -> Iterator[Fleet]:
    """All fleets that take tasks from a queue."""
    for name in outputs.ecs_task_definition_arns:
        told = {one["name"]: one["value"] for one in container(ecs, outputs, name).get("environment", [])}
        if "WORKER_QUEUE_URL" in told:
            longest = told.get("WORKER_MAX_TASK_SECONDS", "")
            yield Fleet(
                name,
                told["WORKER_QUEUE_URL"],
                told.get("WORKER_RESULTS_QUEUE_URL", ""),
                int(longest) if longest.isdecimal() else None,
            )


def container(ecs: Any, outputs: Outputs, fleet: str) -> dict[str, Any]:
    """The worker's container in a fleet's exported task definition."""
    return task_definition(ecs, outputs, fleet)["containerDefinitions"][0]


def task_definition(ecs: Any, outputs: Outputs, fleet: str) -> dict[str, Any]:
    """The exported task definition of a fleet."""
    arn = outputs.ecs_task_definition_arns[fleet]
    return ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
