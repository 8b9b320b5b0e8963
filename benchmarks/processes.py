"""What commands cost as processes, over the least that a program with the same libraries needs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figure import Figure, in_turns
from benchmarks.program import ROOT, Program, recorded
from local import stack_files
from local.aws import Aws

ASK_ONCE = "import boto3; boto3.client('batch').describe_job_queues()"


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a process took."""

    seconds: float
    """From its start to its end."""
    mib: float
    """Most memory that it, or one that it started, had at a time."""


def spent(command: list[str], environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Spent:
    """Run a command, in a folder, whose output nobody sees.

    Raises:
        RuntimeError: when it fails.

    """
    spend = [sys.executable, "-S", str(Path(__file__).with_name("spend.py"))]
    done = subprocess.run(
        [*spend, *command],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, mib, status = done.stdout.split()
    if status != "0":
        raise RuntimeError(f"{' '.join(command)} ended with {status}")
    return Spent(seconds=float(seconds), mib=float(mib))


def figures(program: Program, folder: Path, runs: int) -> Iterator[Figure]:
    """The figures about previews and about `train`."""
    stack = stack_files.read(ROOT, "dev")
    resources = folder / "resources.json"
    resources.write_text(json.dumps(recorded(program.preview(stack))), encoding="utf-8")
    preview = [sys.executable, "-m", "local", "preview", "--stack", "dev"]
    flat = [sys.executable, "-m", "benchmarks.flat", str(resources)]
    taken: list[tuple[Spent, Spent]] = []

    def mine() -> float:
        taken.append((spent(preview), spent(flat)))
        return taken[-1][0].seconds

    pairs = in_turns(runs, mine, lambda: taken[-1][1].seconds)
    yield Figure(
        name="a preview of the dev stack, as a process",
        floor="its resources registered flat, as a process",
        unit="s",
        most=1.5,
        pairs=pairs,
    )
    yield Figure(
        name="most memory of that preview",
        floor="most memory of that registration",
        unit="MiB",
        most=1.3,
        pairs=[(one.mib, other.mib) for one, other in taken[1:]],
    )
    outputs = folder / "outputs.json"
    outputs.write_text(json.dumps(program.exports(stack)), encoding="utf-8")
    yield from _train(program.aws, outputs, runs)


def _train(aws: Aws, outputs: Path, runs: int) -> Iterator[Figure]:
    for arguments in (["--help"], ["job", "list"]):
        command = [sys.executable, "-m", "client", *arguments]
        environment = {**aws.environment, "TRAIN_OUTPUTS": str(outputs)}

        def mine(command: list[str] = command, environment: Mapping[str, str] = environment) -> float:
            return spent(command, environment).seconds

        def floor(environment: Mapping[str, str] = environment) -> float:
            return spent([sys.executable, "-c", ASK_ONCE], environment).seconds

        yield Figure(
            name=f"train {' '.join(arguments)}",
            floor="import boto3 and one call",
            unit="s",
            most=2.0,
            pairs=in_turns(runs, mine, floor),
        )
