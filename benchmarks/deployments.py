"""What a deployment on this machine takes, by `python -m local up` and by Pulumi's real engine."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import answers, calls
from benchmarks.figure import Figure, in_turns
from benchmarks.processes import spent
from benchmarks.program import ROOT, Program, recorded
from local import stack_files
from local.aws import Aws
from local.clis import Engine

UP = ("up", "--stack", "dev", "--yes", "--skip-preview", "--non-interactive")


def figures(program: Program, folder: Path, runs: int) -> Iterator[Figure]:
    """Both figures; without a Pulumi CLI the first alone, and a line that says so."""
    stack = stack_files.read(ROOT, "dev")
    classes = sorted({(module, made_by) for module, made_by, *_ in recorded(program.preview(stack)) if module})
    made = folder / "calls.json"
    made.write_text(json.dumps(calls.record(stack, program.facts, classes)), encoding="utf-8")
    yield Figure(
        name="local up, as a process",
        floor="its calls of boto3, and the import of Pulumi's SDKs",
        unit="s",
        most=1.5,
        pairs=in_turns(
            runs,
            lambda: spent([sys.executable, "-m", "local", "up", "--stack", "dev"]).seconds,
            lambda: spent([sys.executable, "-m", "benchmarks.calls", str(made)]).seconds,
        ),
    )
    if shutil.which("pulumi") is None:
        print("pulumi up is left out: no Pulumi CLI is on the PATH", file=sys.stderr)
        return
    known = folder / "answers.json"
    answers.record(stack, program.facts, known)
    yield Figure(
        name="pulumi up, as a process",
        floor="the same with plugins that answer at once",
        unit="s",
        most=1.5,
        pairs=in_turns(runs, lambda: _up(program), lambda: _up(program, known)),
    )


def _up(program: Program, known: Path | None = None) -> float:
    """Seconds of a first deployment, with a state and an AWS of its own; `known` has what plugins answer at once."""
    with TemporaryDirectory() as folder, Aws(program.aws.region) as aws:
        engine = Engine(Path(folder))
        engine.prepare(ROOT, aws, "dev")
        for start in engine.folder.glob("home/plugins/*/*") if known else ():
            start.write_text(start.read_text().replace("local.plugin", f"benchmarks.answers {known}"))
        return spent([engine.cli, *UP], engine.environment, engine.shadow).seconds
