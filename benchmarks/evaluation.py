"""How long an evaluation of the program takes, and how that grows with the stack.

    .venv/bin/python benchmarks/evaluation.py [--runs 5]

After a warm-up, one process previews the stack files in turns, each `runs` times; figures are medians of processor
seconds. The last column is the time of each additional resource, compared with the smallest stack: equal values mean
linear growth.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from local import engine, sealed, stack_files  # noqa: E402
from local.aws import Aws  # noqa: E402
from local.provider import Provider  # noqa: E402

STACKS: dict[str, dict[str, Any]] = {
    "nothing": {},
    **{f"{count} queues": {"queues": {f"q{n}": {} for n in range(count)}} for count in (10, 50, 100)},
    **{f"{count} job queues": {"batch": {f"q{n}": {} for n in range(count)}} for count in (5, 20)},
    "eks with 10 node groups": {"eks": {"gpuNodeGroups": {f"g{n}": {} for n in range(10)}}},
}


def evaluate(sections: dict[str, Any], aws: Aws) -> tuple[float, int]:
    """Processor seconds of one preview, and how many resources it registered."""
    stack = stack_files.resolve(
        ROOT,
        {"name": "distributed-training"},
        "benchmark",
        {"config": {"aws:region": aws.region, **sections}},
    )
    started = time.process_time()
    run = engine.run(stack, Provider(aws), preview=True)
    if run.error is not None:
        raise run.error
    return time.process_time() - started, len(run.registrations)


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    runs: int = parser.parse_args().runs
    sealed.seal()
    seconds: dict[str, list[float]] = {name: [] for name in STACKS}
    resources: dict[str, int] = {}
    with Aws("us-west-2", managed_policies=False) as aws:
        evaluate({}, aws)
        for _ in range(runs):
            for name, sections in STACKS.items():
                spent, resources[name] = evaluate(sections, aws)
                seconds[name].append(spent)
    medians = {name: statistics.median(spent) for name, spent in seconds.items()}
    least = medians["nothing"]
    print(f"{'stack':26}{'resources':>10}{'cpu s':>9}{'ms per resource':>17}{'ms per further one':>20}")
    for name, spent in medians.items():
        further = resources[name] - resources["nothing"]
        more = f"{1000 * (spent - least) / further:.2f}" if further else "-"
        print(f"{name:26}{resources[name]:10}{spent:9.2f}{1000 * spent / resources[name]:17.2f}{more:>20}")
    print(json.dumps({name: round(spent, 3) for name, spent in medians.items()}))


if __name__ == "__main__":
    main()
