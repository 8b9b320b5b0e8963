"""What an evaluation of the program costs: over the same resources flat, and as a stack grows."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks import flat
from benchmarks.figure import Figure, in_turns
from local import engine, stack_files
from local.aws import Aws
from local.facts import Facts
from local.provider import Provider
from local.run import Run
from local.wire import UNKNOWN, is_list, is_object
from tests import sdk_shape

ROOT = Path(__file__).parents[1]


def stack_of(queues: int, job_queues: int, fleets: int) -> Mapping[str, Any]:
    """Sections of a stack with so many queues, job queues and fleets of workers."""
    return {
        "queues": {name: {} for name in ("results", *(f"q{number}" for number in range(queues - 1)))},
        "batch": {f"j{number}": {"capacity": ["onDemand"]} for number in range(job_queues)},
        "workers": {f"w{number}": {"queue": f"q{number}"} for number in range(fleets)},
    }


SMALL, LARGE = (10, 4, 1), (100, 40, 4)
SIZES = (SMALL, (25, 10, 2), (50, 20, 2), (75, 30, 3), LARGE)


class Program:
    """The program on the in-process engine, with answers of AWS that are there already."""

    def __init__(self, aws: Aws, folder: Path) -> None:
        self.aws = aws
        self.facts = Facts(folder, aws.region)

    def preview(self, stack: stack_files.StackFile) -> Run:
        """Preview a stack."""
        run = engine.run(stack, Provider(self.aws, self.facts), preview=True)
        if run.error is not None:
            raise run.error
        return run

    def timed(self, stack: stack_files.StackFile) -> tuple[int, float]:
        """Number of resources of a preview, and the processor seconds that it took."""
        started = time.process_time()
        resources = len(self.preview(stack).registrations)
        return resources, time.process_time() - started

    def exports(self, stack: stack_files.StackFile) -> Mapping[str, Any]:
        """Deploy a stack, and say what it exports."""
        run = engine.run(stack, Provider(self.aws, self.facts), preview=False)
        if run.error is not None:
            raise run.error
        return run.exports

    def sized(self, size: tuple[int, int, int]) -> stack_files.StackFile:
        """A stack of that size."""
        sections = {f"distributed-training:{key}": value for key, value in stack_of(*size).items()}
        config = {"config": {"aws:region": self.aws.region, **sections}}
        return stack_files.resolve(ROOT, {"name": "distributed-training"}, "benchmark", config)


def recorded(run: Run) -> list[flat.Recorded]:
    """The resources of a run, under names that are unique, without what AWS alone knows."""
    found: list[flat.Recorded] = []
    for number, one in enumerate(run.registrations.values()):
        declared = sdk_shape.args_class(one.type)
        names: Mapping[str, sdk_shape.Declared] = sdk_shape.properties(declared) if declared else {}
        arguments = {names[key][0]: _known(value) for key, value in one.inputs.items() if key in names}
        module, made_by = sdk_shape.home(one.type) or ("", one.type)
        found.append((module, made_by, f"{one.name}-{number}", arguments))
    return found


def _known(value: Any) -> Any:
    if is_object(value):
        return {key: _known(one) for key, one in value.items()}
    if is_list(value):
        return [_known(one) for one in value]
    return "unknown" if value == UNKNOWN else value


def figures(program: Program, runs: int) -> Iterator[Figure]:
    """The figures about evaluations, in processor seconds of this process."""
    stack = stack_files.read(ROOT, "dev")
    resources: list[flat.Recorded] = json.loads(json.dumps(recorded(program.preview(stack))))
    yield Figure(
        name="evaluating the dev stack",
        floor="its resources registered flat",
        unit="s",
        most=1.25,
        pairs=in_turns(runs, lambda: program.timed(stack)[1], lambda: _spent(lambda: flat.register(resources))),
    )
    large, small = program.sized(LARGE), program.sized(SMALL)
    # as many resources on both sides, so that garbage is looked for as often
    times = program.timed(large)[0] // program.timed(small)[0]
    yield Figure(
        name="a resource of {} queues, {} job queues, {} fleets".format(*LARGE),
        floor="one of {}, {}, {}".format(*SMALL),
        unit="ms",
        most=1.15,
        pairs=in_turns(runs, lambda: _each(program, large), lambda: _each(program, small, times)),
    )


def _spent(what: Callable[[], object]) -> float:
    started = time.process_time()
    what()
    return time.process_time() - started


def _each(program: Program, stack: stack_files.StackFile, times: int = 1) -> float:
    """Milliseconds for a resource of a stack that is previewed so many times."""
    resources, seconds = zip(*(program.timed(stack) for _ in range(times)), strict=True)
    return 1000 * sum(seconds) / sum(resources)
