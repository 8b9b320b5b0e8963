"""Measure what this project costs, each figure over a floor that does the same without its code.

    python -m benchmarks [--runs 5]

Prints a table, and writes the figures to `benchmarks/latest.json` and `docs/growth.svg`. Ends with status 1 where a
figure is over its bound. docs/performance.md says what each figure means. The machine should have nothing else to do:
figures of processes are time on the clock.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import deploy_time, deployments, flat, growth, processes, program, worker
from benchmarks.figure import Figure
from local import sealed, stack_files
from local.aws import Aws

LATEST = Path(__file__).parent / "latest.json"
LEAST_RUNS = 5


def main() -> int:
    """Measure, print and write; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--runs", type=int, default=LEAST_RUNS, help="turns of each figure")
    runs: int = parser.parse_args().runs
    sealed.seal()
    flat.search_less_for_garbage()
    figures: list[Figure] = []
    with Aws("us-west-2") as aws, TemporaryDirectory() as folder:
        measured = program.Program(aws, Path(folder))
        print(f"{'measured':58}{'':>7}{'floor':>9}  {'ratio':>6}{'spread':>14}{'at most':>9}")
        for one in _figures(measured, Path(folder), runs):
            figures.append(one)
            print(_row(one), flush=True)
        grown = growth.measure(measured, runs)
    growth.draw(grown)
    LATEST.write_text(json.dumps(_document(figures, grown, runs), indent=2) + "\n", encoding="utf-8")
    over = [one.name for one in figures if not one.holds]
    for name in over:
        print(f"over its bound: {name}", file=sys.stderr)
    return int(bool(over))


def _figures(measured: program.Program, folder: Path, runs: int) -> Iterator[Figure]:
    yield from program.figures(measured, runs)
    yield from processes.figures(measured, folder, runs)
    yield from deployments.figures(measured, folder, runs)
    yield deploy_time.figure(measured.preview(stack_files.read(program.ROOT, "dev")))
    yield from worker.figures(measured.aws, runs)


def _row(one: Figure) -> str:
    mine, floor = one.medians()
    spread = f"{one.ratios[0]:.2f} to {one.ratios[-1]:.2f}"
    return f"{one.name:56}{mine:9.2f}{floor:9.2f} {one.unit:3}{one.ratio:5.2f}{spread:>14}{one.most:9.2f}"


def _document(figures: list[Figure], grown: list[tuple[int, float]], runs: int) -> dict[str, object]:
    return {
        "measured": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, processors: {os.cpu_count()}",
        "runs": runs,
        "figures": [
            {
                "name": one.name,
                "floor": one.floor,
                "unit": one.unit,
                "medians": [round(value, 3) for value in one.medians()],
                "ratio": round(one.ratio, 3),
                "spread": [round(one.ratios[0], 3), round(one.ratios[-1], 3)],
                "atMost": one.most,
                "holds": one.holds,
            }
            for one in figures
        ],
        "growth": [{"resources": count, "seconds": round(seconds, 3)} for count, seconds in grown],
    }


if __name__ == "__main__":
    sys.exit(main())
