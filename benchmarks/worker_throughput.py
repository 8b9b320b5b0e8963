"""How many empty tasks a worker finishes in a second, compared with a bare boto3 loop on the same queue.

    .venv/bin/python benchmarks/worker_throughput.py [--tasks 200] [--runs 5]

Five loops over one moto server, each in a process of its own, taking turns, `runs` times; each figure is the median:

- bare: receive one message, delete it.
- bare, with child: receive, run the child as the worker does, delete. The ratio that counts is the worker's rate to
  this one: both include the cost of the child.
- bare, with child and result: receive, run the child, send the result, delete: all that the worker's contract asks for,
  in sequence.
- worker: `python -m worker` with one slot, measured from "ready" to its last delete in its log.
- worker, 4 slots: the same with four.

The worker makes one call more for each task than the bare loop. It saves that time by answering several tasks in one
call while it receives the next. Here moto, which is one Python process, limits all five; on AWS the network's latency
does.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from local import sealed  # noqa: E402
from local.aws import Aws  # noqa: E402
from tests.worker_support import Queues, WorkerProcess, client  # noqa: E402
from worker import child  # noqa: E402
from worker.task import Result  # noqa: E402

COMMAND = ["true"]
GROUPS = 50
TARGET = 0.8


def bare(queues: Queues, tasks: int, *, with_child: bool, with_result: bool) -> float:
    """Tasks per second of a loop that makes only the necessary calls."""
    sqs = client("sqs", queues.endpoint_url)
    started = time.perf_counter()
    for number in range(tasks):
        message = sqs.receive_message(QueueUrl=queues.tasks, WaitTimeSeconds=5)["Messages"][0]
        if with_child:
            child.run(COMMAND, os.environ, stop=lambda: None, grace_seconds=0, on_line=print)
        if with_result:
            body = Result(id="id", status="succeeded", exit_code=0, receive_count=1, message_id="id").body()
            sqs.send_message(
                QueueUrl=queues.results,
                MessageBody=body,
                MessageGroupId=str(number),
                MessageDeduplicationId=str(number),
            )
        sqs.delete_message(QueueUrl=queues.tasks, ReceiptHandle=message["ReceiptHandle"])
    return tasks / (time.perf_counter() - started)


def worker(queues: Queues, tasks: int, *, slots: int) -> float:
    """Tasks per second of one worker process, without its start."""
    with (
        TemporaryDirectory() as directory,
        WorkerProcess(queues, Path(directory) / "healthy", WORKER_SLOTS=str(slots)) as process,
    ):
        last = process.wait_for("settled", tasks, seconds=300)
        first = process.wait_for("ready")
        return tasks / (_moment(last) - _moment(first))


def _moment(line: dict[str, str]) -> float:
    return datetime.fromisoformat(line["time"]).timestamp()


def main() -> int:
    """Measure, print a table and a line of JSON; return 1 when the ratio is below the target."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    tasks: int = options.tasks
    sealed.seal()

    loops: dict[str, Callable[[Queues], float]] = {
        "bare": lambda queues: bare(queues, tasks, with_child=False, with_result=False),
        "bare, with child": lambda queues: bare(queues, tasks, with_child=True, with_result=False),
        "bare, with child and result": lambda queues: bare(queues, tasks, with_child=True, with_result=True),
        "worker": lambda queues: worker(queues, tasks, slots=1),
        "worker, 4 slots": lambda queues: worker(queues, tasks, slots=4),
    }
    rates: dict[str, list[float]] = {name: [] for name in loops}
    with Aws("us-east-1", managed_policies=False) as aws:
        for run in range(options.runs):
            for number, (name, loop) in enumerate(loops.items()):
                queues = Queues(aws.endpoint_url, f"run{run}-{number}", visibility_seconds=60)
                queues.send_many(
                    [(f"group-{i % GROUPS}", {"id": f"task-{i}", "command": COMMAND}) for i in range(tasks)]
                )
                rates[name].append(loop(queues))

    medians = {name: statistics.median(values) for name, values in rates.items()}
    base = medians["bare, with child"]
    print(f"{tasks} tasks in {GROUPS} groups, median of {options.runs} runs")
    print(f"{'':30}{'tasks/s':>9}{'slowest':>9}{'fastest':>9}{'to bare, with child':>21}")
    for name, values in rates.items():
        print(f"{name:30}{medians[name]:9.1f}{min(values):9.1f}{max(values):9.1f}{medians[name] / base:21.2f}")
    pairs = zip(rates["worker"], rates["bare, with child"], strict=True)
    ratio = statistics.median(mine / other for mine, other in pairs)
    print(f"worker to bare, with child, each run with its own: {ratio:.2f} (at least {TARGET})")
    print(
        json.dumps(
            {"tasksPerSecond": {name: round(rate, 1) for name, rate in medians.items()}, "ratio": round(ratio, 2)}
        )
    )
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
