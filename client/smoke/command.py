"""`train smoke`: read the outputs, make the checks, show them."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from client import stack
from client.account import Account
from client.outputs import Outputs
from client.smoke import alerts, artifacts, batch, cluster, jobs, network, people, queues, tasks, workers
from client.smoke.check import Check, Patience, Result, make, not_checked
from client.smoke.fabric import batch as fabric_batch
from client.smoke.fabric import cluster as fabric_cluster
from client.smoke.fabric import trial
from client.smoke.report import Report


def run(name: str | None, path: Path | None, *, round_trip: bool, fabric: bool, yes: bool, timeout_seconds: int) -> int:
    """Check the stack of this name, or whose outputs are in a file or on standard input; 0 when nothing failed.

    Raises:
        TrainError: when nothing can be checked, or nothing further, or when what it costs is not wanted.

    """
    with stack.opened(name, path, piped=True) as opened:
        exported, account = opened.outputs, opened.account
        trials = [*fabric_batch.trials(exported, account), *fabric_cluster.trials(exported, account)] if fabric else []
        if possible := [one for one in trials if not one.obstacle]:
            trial.ask(possible, timeout_seconds, yes=yes)
        started = time.monotonic()
        report = Report()
        with report.running():
            patience = Patience(timeout_seconds, report.wait_for)
            _show([*_reads(exported, account, patience)], patience, report)
            if round_trip and report.failed:
                _untried("round trip", "a task and a job go all the way", report)
            elif round_trip:
                patience = Patience(timeout_seconds, report.wait_for)
                trips = [*tasks.checks(exported, account, patience), *jobs.checks(exported, account, patience)]
                _show(trips, patience, report)
            if fabric and report.failed:
                _untried("fabric", "nodes communicate over their network", report)
            elif fabric:
                patience = Patience(timeout_seconds, report.wait_for)
                _show([*trial.checks(trials, patience)], patience, report)
    report.summarize(time.monotonic() - started)
    return int(report.failed)


def _show(checks: list[Check], patience: Patience, report: Report) -> None:
    # closed at once, whatever ends it: those under way are told then
    with closing(make(checks, patience)) as results:
        for result in results:
            report.add(result)


def _untried(name: str, what: str, report: Report) -> None:
    report.add(Result(Check(name, what, list), [not_checked("not tried, because something failed")]))


def _reads(exported: Outputs, account: Account, patience: Patience) -> Iterator[Check]:
    yield from network.checks(exported, account)
    yield from artifacts.checks(exported, account)
    yield from queues.checks(exported, account)
    yield from batch.checks(exported, account)
    yield from workers.checks(exported, account, patience)
    yield from cluster.checks(exported, account)
    yield from alerts.checks(exported, account)
    yield from people.checks(exported, account)
    for name in exported.unknown:
        yield Check(f"outputs {name}", "is known here", lambda: [not_checked("has no check")])
