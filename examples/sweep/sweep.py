"""A sweep over a grid of two settings: `tasks` writes a task for each point, `table` makes a table of the results.

    python examples/sweep/sweep.py tasks > tasks.jsonl
    train task send tasks --file tasks.jsonl
    train task results --file tasks.jsonl --follow --take --json | python examples/sweep/sweep.py table

Each task carries its program with it, so that the image of the workers needs not hold it. A program of your own belongs
into an image of your own (`train image push`), and its command into `task`.
"""

import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

LEARNING_RATES = (0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0)
MOMENTA = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
TIMEOUT_SECONDS = 300


def tasks() -> Iterator[dict[str, Any]]:
    """A task for each point of the grid; its id says which it is."""
    program = Path(__file__).with_name("point.py").read_text(encoding="utf-8")
    for rate, momentum in itertools.product(LEARNING_RATES, MOMENTA):
        yield {
            "id": f"sweep-{rate}-{momentum}",
            "command": ["python3", "-c", program, "--learning-rate", str(rate), "--momentum", str(momentum)],
            "timeoutSeconds": TIMEOUT_SECONDS,
        }


def table(results: Iterable[dict[str, Any]]) -> str:
    """The losses, a row for each learning rate and a column for each momentum; what failed is a dash."""
    losses: dict[tuple[float, float], float] = {}
    for result in results:
        if result["status"] == "succeeded":
            said = json.loads(result["output"][-1])
            losses[said["learning_rate"], said["momentum"]] = said["loss"]
    rows = [["rate \\ momentum", *map(str, MOMENTA)]]
    for rate in LEARNING_RATES:
        cells = [losses.get((rate, momentum)) for momentum in MOMENTA]
        rows.append([str(rate), *("-" if one is None else f"{one:.4f}" for one in cells)])
    lines = ["  ".join(f"{cell:>8}" for cell in (f"{row[0]:>15}", *row[1:])) for row in rows]
    if losses:
        (rate, momentum), best = min(losses.items(), key=lambda one: one[1])
        lines.append(f"best of {len(losses)}: loss {best:.4f} at learning rate {rate} and momentum {momentum}")
    return "\n".join(lines)


def main() -> None:
    """Write tasks, or read results, a line of JSON each."""
    match sys.argv[1:]:
        case ["tasks"]:
            for task in tasks():
                print(json.dumps(task))
        case ["table"]:
            print(table(json.loads(line) for line in sys.stdin))
        case _:
            sys.exit("usage: sweep.py tasks | sweep.py table")


if __name__ == "__main__":
    main()
