"""What an edit of a stack file does: the table of docs/changes.md.

Each row is planned against a stack that is deployed on this machine.

`python -m tools.changes` writes it; `make engine` compares it with the plans of Pulumi's own engine.
"""

import copy
import re
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from local import engine, sealed, stack_files
from local.against import DONE, TAGS_ALONE, Plan, beside, short
from local.aws import Aws
from local.provider import Provider
from local.run import Run
from local.stack_files import StackFile

PROJECT = Path(__file__).parents[1]
PAGE = PROJECT / "docs" / "changes.md"
BEGIN, END = "<!-- table, made by `python -m tools.changes` -->\n", "<!-- end of table -->\n"
STACK = "edited"
REGION = "us-west-2"
MOST_TYPES = 4
"""Most resource types that a row names."""
HEAD = "| edit | resources | running work |\n| --- | --- | --- |\n"
MADE_UP = {
    r"http://127\.0\.0\.1:\d+": f"https://sqs.{REGION}.amazonaws.com",
    r"\b(rtb|sg|subnet|vpc)-[0-9a-f]{8,17}\b": r"\1-0123456789abcdef0",
    r"-[0-9a-f]{7}(?![\w-])": "-0123456",
    r"\btraining-[0-9a-f]{8}\b": "training-01234567",
}
"""Pattern of a random address, id or name -> its replacement, which is the same in every run."""
MOST_MISTAKES = 2
"""Most lines of a refusal in a row."""
GONE = object()
"""Marks a key that the edit removes from the stack file."""
KEY = f"arn:aws:kms:{REGION}:123456789012:key/11111111-2222-3333-4444-555555555555"
SECRET = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:token-abcdef"
ADMIN, OTHER_ADMIN = (f"arn:aws:iam::123456789012:role/{name}" for name in ("admin", "other-admin"))
BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"

TAGS: dict[str, str] = {"Project": "distributed-training", "Environment": "dev"}
DEPLOYED: dict[str, Any] = {
    "network": {"availabilityZones": 3, "interfaceEndpoints": ["sqs"], "flowLogs": True},
    "artifacts": {"checkpointDays": 30, "lustre": {"storageGib": 2400}},
    "queues": {"tasks": {}, "results": {}, "other": {}, "spare": {}},
    "batch": {
        "single": {"instanceTypes": ["g6.12xlarge"]},
        "shared": {"instanceTypes": ["g6.12xlarge"], "capacity": ["onDemand"], "fairShare": {"teamA": 1, "teamB": 2}},
        "multi": {"nodes": 2, "instanceTypes": ["g6.12xlarge"], "capacity": ["onDemand"], "efa": True},
    },
    "workers": {"workers": {"queue": "tasks"}},
    "eks": {
        "version": "1.35",
        "publicAccessCidrs": ["8.8.4.0/24"],
        "adminPrincipalArns": [ADMIN],
        "gpuNodeGroups": {"gpu": {}, "efa": {"efa": True}},
        "kueue": True,
        "trainer": True,
    },
    "alerts": {"emails": ["team@example.com"], "monthlyBudgetUsd": 1000},
    "protect": False,
}
"""The stack file that is edited: every part, without `protect`."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """An edit."""

    edit: str
    """In words."""
    changes: Mapping[str, Any]
    """Dotted path in the stack file -> the new value, or `GONE`."""
    protect: bool = False
    """Whether the stack has `protect: true` before the edit."""
    alone: bool = False
    """Whether the edit is planned alone."""


ROWS: Mapping[str, Sequence[Row]] = {
    "network": [
        Row(edit="`network.cidr`: another range", changes={"network.cidr": "10.9.0.0/16"}, alone=True),
        Row(edit="`network.availabilityZones`: one more", changes={"network.availabilityZones": 4}),
        Row(edit="`network.availabilityZones`: one less", changes={"network.availabilityZones": 2}),
        Row(edit="`network.natGateways`: `single` to `perZone`", changes={"network.natGateways": "perZone"}),
        Row(edit="`network.natGateways`: `single` to `none`", changes={"network.natGateways": "none"}, alone=True),
        Row(edit="`network.interfaceEndpoints`: one more", changes={"network.interfaceEndpoints": ["sqs", "logs"]}),
        Row(edit="`network.interfaceEndpoints`: one leaves", changes={"network.interfaceEndpoints": []}),
        Row(edit="`network.flowLogs`: off", changes={"network.flowLogs": False}),
    ],
    "artifacts": [
        Row(edit="`artifacts.checkpointDays`: more", changes={"artifacts.checkpointDays": 60}),
        Row(edit="`artifacts.checkpointDays`: fewer", changes={"artifacts.checkpointDays": 7}),
        Row(edit="`artifacts.forceDestroy`: on", changes={"artifacts.forceDestroy": True}),
        Row(edit="`artifacts.lustre.storageGib`: more", changes={"artifacts.lustre.storageGib": 4800}),
        Row(edit="`artifacts.lustre.storageGib`: less", changes={"artifacts.lustre.storageGib": 1200}),
        Row(edit="`artifacts.lustre.throughputPerTib`", changes={"artifacts.lustre.throughputPerTib": 250}),
        Row(
            edit="`artifacts.lustre.deployment`: `persistent` to `scratch`",
            changes={"artifacts.lustre.deployment": "scratch"},
            alone=True,
        ),
        Row(edit="`artifacts.lustre` leaves", changes={"artifacts.lustre": GONE}),
    ],
    "queues": [
        Row(edit="`queues.NAME` comes", changes={"queues.more": {}}),
        Row(edit="`queues.NAME` leaves", changes={"queues.spare": GONE}),
        Row(edit="`queues.NAME.fifo`: off", changes={"queues.spare.fifo": False}),
        Row(
            edit="`queues.NAME.visibilityTimeoutSeconds`, `maxReceiveCount`",
            changes={"queues.tasks.visibilityTimeoutSeconds": 1200, "queues.tasks.maxReceiveCount": 3},
        ),
        Row(edit="`queues.NAME.retentionDays`: fewer", changes={"queues.tasks.retentionDays": 3}),
        Row(edit="`queues.NAME.highThroughput`: off", changes={"queues.tasks.highThroughput": False}),
        Row(edit="`queues.NAME.kmsKeyArn` comes", changes={"queues.tasks.kmsKeyArn": KEY}),
    ],
    "batch": [
        Row(edit="`batch.NAME` comes", changes={"batch.more": {}}),
        Row(edit="`batch.NAME` leaves", changes={"batch.shared": GONE}),
        Row(edit="`batch` leaves", changes={"batch": GONE}),
        Row(
            edit="`batch.NAME.image`, `command`, `environment`",
            changes={
                "batch.single.image": "pytorch/pytorch:2.9.0-cuda12.8-cudnn9-runtime",
                "batch.single.command": ["python", "train.py"],
                "batch.single.environment": {"SEED": "1"},
            },
        ),
        Row(edit="`batch.NAME.secrets`: one comes", changes={"batch.single.secrets": {"TOKEN": SECRET}}),
        Row(
            edit="`batch.NAME.vcpus`, `memoryMib`, `gpus`",
            changes={"batch.single.vcpus": 10, "batch.single.memoryMib": 40_000, "batch.single.gpus": 1},
        ),
        Row(edit="`batch.NAME.attempts`", changes={"batch.single.attempts": 5}),
        Row(edit="`batch.NAME.timeoutHours`", changes={"batch.single.timeoutHours": 12}),
        Row(edit="`batch.NAME.priority`", changes={"batch.single.priority": 20}),
        Row(
            edit="`batch.NAME.instanceTypes`: one more",
            changes={"batch.single.instanceTypes": ["g6.12xlarge", "g5.12xlarge"]},
        ),
        Row(edit="`batch.NAME.capacity`: spot comes", changes={"batch.shared.capacity": ["spot", "onDemand"]}),
        Row(edit="`batch.NAME.capacity`: spot leaves", changes={"batch.single.capacity": ["onDemand"]}),
        Row(
            edit="`batch.NAME.minVcpus`, `maxVcpus`: more",
            changes={"batch.single.minVcpus": 48, "batch.single.maxVcpus": 960},
        ),
        Row(edit="`batch.NAME.maxVcpus`: fewer", changes={"batch.single.maxVcpus": 96}),
        Row(edit="`batch.NAME.rootVolumeGib`", changes={"batch.single.rootVolumeGib": 400}),
        Row(edit="`batch.NAME.efa`: off", changes={"batch.multi.efa": False}),
        Row(edit="`batch.NAME.nodes`: from 1 to 2", changes={"batch.shared.nodes": 2}),
        Row(
            edit="`batch.NAME.capacityReservationId` comes",
            changes={"batch.shared.capacityReservationId": "cr-0123456789abcdef0"},
        ),
        Row(edit="`batch.NAME.fairShare`: other weights", changes={"batch.shared.fairShare": {"teamA": 1, "teamC": 3}}),
        Row(edit="`batch.NAME.fairShare` comes", changes={"batch.single.fairShare": {"teamA": 1}}),
    ],
    "workers": [
        Row(edit="`workers` leaves", changes={"workers": GONE}),
        Row(edit="`workers.NAME.queue`: another", changes={"workers.workers.queue": "other"}),
        Row(
            edit="`workers.NAME.image` comes",
            changes={"workers.workers.image": "public.ecr.aws/docker/library/python:3.13"},
        ),
        Row(edit="`workers.NAME.gpu` comes", changes={"workers.workers.gpu": 1}, alone=True),
        Row(edit="`workers.NAME.cpu`, `memory`", changes={"workers.workers.cpu": 2048, "workers.workers.memory": 8192}),
        Row(
            edit="`workers.NAME.minTasks`, `maxTasks`: more",
            changes={"workers.workers.minTasks": 1, "workers.workers.maxTasks": 40},
        ),
        Row(edit="`workers.NAME.maxTasks`: fewer", changes={"workers.workers.maxTasks": 4}),
        Row(edit="`workers.NAME.tasksPerWorker`", changes={"workers.workers.tasksPerWorker": 10}),
        Row(edit="`workers.NAME.spotShare`", changes={"workers.workers.spotShare": 0.25}),
        Row(
            edit="`workers.NAME.maxTaskSeconds`, `environment`",
            changes={"workers.workers.maxTaskSeconds": 1800, "workers.workers.environment": {"LEVEL": "debug"}},
        ),
    ],
    "eks": [
        Row(edit="`eks` leaves", changes={"eks": GONE}),
        Row(edit="`eks.version`: the next one", changes={"eks.version": "1.36"}),
        Row(edit="`eks.version`: the one before", changes={"eks.version": "1.34"}),
        Row(edit="`eks.publicAccessCidrs`", changes={"eks.publicAccessCidrs": ["8.8.8.0/24"]}),
        Row(edit="`eks.adminPrincipalArns`: one more", changes={"eks.adminPrincipalArns": [ADMIN, OTHER_ADMIN]}),
        Row(edit="`eks.adminPrincipalArns`: one leaves", changes={"eks.adminPrincipalArns": []}),
        Row(edit="`eks.systemNodes.instanceTypes`", changes={"eks.systemNodes.instanceTypes": ["m7i.xlarge"]}),
        Row(
            edit="`eks.systemNodes.minSize`, `maxSize`: more", changes={"eks.systemNodes": {"minSize": 3, "maxSize": 6}}
        ),
        Row(edit="`eks.gpuNodeGroups.NAME` comes", changes={"eks.gpuNodeGroups.more": {}}),
        Row(edit="`eks.gpuNodeGroups.NAME` leaves", changes={"eks.gpuNodeGroups.gpu": GONE}),
        Row(edit="`eks.gpuNodeGroups.NAME.maxSize`: more", changes={"eks.gpuNodeGroups.gpu.maxSize": 12}),
        Row(edit="`eks.gpuNodeGroups.NAME.maxSize`: fewer", changes={"eks.gpuNodeGroups.gpu.maxSize": 4}),
        Row(edit="`eks.gpuNodeGroups.NAME.minSize`: more", changes={"eks.gpuNodeGroups.gpu.minSize": 1}),
        Row(
            edit="`eks.gpuNodeGroups.NAME.instanceTypes`",
            changes={"eks.gpuNodeGroups.gpu.instanceTypes": ["g6.12xlarge", "g5.12xlarge"]},
        ),
        Row(edit="`eks.gpuNodeGroups.NAME.capacity`", changes={"eks.gpuNodeGroups.gpu.capacity": "spot"}),
        Row(edit="`eks.gpuNodeGroups.NAME.efa`: on", changes={"eks.gpuNodeGroups.gpu.efa": True}),
        Row(edit="`eks.gpuNodeGroups.NAME.diskGib`", changes={"eks.gpuNodeGroups.gpu.diskGib": 400}),
        Row(
            edit="`eks.gpuNodeGroups.NAME.capacityReservationId` comes",
            changes={"eks.gpuNodeGroups.gpu.capacityReservationId": "cr-0123456789abcdef0"},
        ),
        Row(edit="`eks.kueue`: off", changes={"eks.kueue": False}),
        Row(edit="`eks.trainer`: off", changes={"eks.trainer": False}),
        Row(edit="`eks.devicePlugin`: off", changes={"eks.devicePlugin": False}),
    ],
    "the rest": [
        Row(edit="`aws:defaultTags`: one more", changes={"tags": TAGS | {"Team": "research"}}),
        Row(edit="`teams` comes, with one team", changes={"teams": {"vision": {"principalArns": [OTHER_ADMIN]}}}),
        Row(edit="`alerts.emails`: another", changes={"alerts.emails": ["others@example.com"]}),
        Row(edit="`alerts.monthlyBudgetUsd`", changes={"alerts.monthlyBudgetUsd": 2000}),
        Row(edit="`alerts.anomalyUsd` comes", changes={"alerts.anomalyUsd": 100}),
        Row(edit="`logs.retentionDays`: more", changes={"logs": {"retentionDays": 365}}),
        Row(edit="`logs.retentionDays`: fewer", changes={"logs": {"retentionDays": 7}}),
        Row(edit="`iam.permissionsBoundaryArn` comes", changes={"iam": {"permissionsBoundaryArn": BOUNDARY}}),
        Row(edit="`iam.rolePath` comes", changes={"iam": {"rolePath": "/training/"}}),
        Row(edit="`protect`: on", changes={"protect": True}, alone=True),
    ],
    "with `protect: true`": [
        Row(edit="`protect`: off", changes={"protect": False}, protect=True),
        Row(edit="`eks` leaves", changes={"eks": GONE}, protect=True),
        Row(edit="`eks.adminPrincipalArns`: one leaves", changes={"eks.adminPrincipalArns": []}, protect=True),
        Row(edit="`queues.NAME` leaves", changes={"queues.spare": GONE}, protect=True),
        Row(edit="`queues.NAME.fifo`: off", changes={"queues.spare.fifo": False}, protect=True),
        Row(edit="`batch.NAME` leaves", changes={"batch.shared": GONE}, protect=True),
        Row(edit="`artifacts.lustre.storageGib`: less", changes={"artifacts.lustre.storageGib": 1200}, protect=True),
    ],
}
"""Section -> its edits."""


@contextmanager
def deployed() -> Generator[Callable[[Row], Plan]]:
    """A function that plans an edit of the stack, which is deployed during this block."""
    with ExitStack() as stack:

        @cache
        def there(protect: bool) -> tuple[Run, Aws]:
            # each in an AWS of its own, because two stacks of one name would find each other's resources
            aws = stack.enter_context(Aws(REGION, TAGS))
            run = engine.run(stack_of({"protect": protect}), Provider(aws), preview=False)
            if run.error is not None:
                raise run.error
            return run, aws

        def plan(row: Row) -> Plan:
            run, aws = there(row.protect)
            return beside(run, stack_of({"protect": row.protect, **row.changes}), aws)

        yield plan


def stack_of(changes: Mapping[str, Any]) -> StackFile:
    """The stack file after an edit."""
    project = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text(encoding="utf-8"))
    return stack_files.resolve(PROJECT, project, STACK, {"config": edited(changes)})


def cells(row: Row, plan: Plan) -> str:
    """A row of the table."""
    return f"| {row.edit} | {_resources(plan)} | {_work(plan)} |"


def table() -> str:
    """The whole table."""
    with deployed() as plan:
        return "".join(
            f"\n### {section}\n\n{HEAD}" + "".join(f"{cells(row, plan(row))}\n" for row in rows)
            for section, rows in ROWS.items()
        )


def _lasting(line: str) -> str:
    """A line with a fixed text in place of what AWS and Pulumi invent in each run."""
    for made_up, lasting in MADE_UP.items():
        line = re.sub(made_up, lasting, line)
    return line


def edited(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration after an edit."""
    sections: dict[str, Any] = copy.deepcopy(DEPLOYED) | {"tags": TAGS}
    for place, value in changes.items():
        *way, last = place.split(".")
        at: Any = sections
        for key in way:
            at = at.setdefault(key, {})
        if value is GONE:
            del at[last]
        else:
            at[last] = value
    tags = sections.pop("tags")
    return {
        "aws:region": REGION,
        "aws:defaultTags": {"tags": tags},
        **{f"distributed-training:{key}": value for key, value in sections.items()},
    }


def _resources(plan: Plan) -> str:
    """How many resources of which types; those with an effect on running work first."""
    if plan.mistakes or plan.protected:
        return "none"
    telling = Counter(edit.type for edits in plan.effects().values() for edit in edits)
    said: list[str] = []
    for operation, done in DONE.items():
        edits = [one for one in plan.edits if one.operation == operation]
        counted = Counter(one.type for one in edits if one.changed != TAGS_ALONE)
        order = sorted(counted, key=lambda type_: (type_ not in telling, type_))
        named = [f"{f'{counted[one]} ' if counted[one] > 1 else ''}{short(one)}" for one in order[:MOST_TYPES]]
        if len(order) > MOST_TYPES:
            named.append(f"{sum(counted[one] for one in order[MOST_TYPES:])} others")
        if counted:
            said.append(f"**{done}**: {', '.join(named)}")
        if tags := len(edits) - counted.total():
            said.append(f"{tags} {done} in their tags")
    return "; ".join(said) or "none"


def _work(plan: Plan) -> str:
    """What happens to running work, the worst first."""
    if plan.mistakes:
        more = len(plan.mistakes) - MOST_MISTAKES
        said = "; ".join(map(_lasting, plan.mistakes[:MOST_MISTAKES]))
        return f"**refused**: {said}" + (f"; and {more} more" if more > 0 else "")
    effects = list(plan.effects().items())[::-1]
    if not effects:
        return "nothing"
    return "<br>".join(
        f"**{effect.work}**: {'/'.join(sorted({short(one.type) for one in found}))}: {effect.what}"
        + (f". *First*: {effect.first}" if effect.first else "")
        for effect, found in effects
    )


if __name__ == "__main__":
    sealed.seal()
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.split(END)[1], encoding="utf-8")
