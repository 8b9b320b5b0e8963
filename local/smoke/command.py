"""`python -m local smoke`: read the outputs, make the checks, show them."""

import argparse
import time
from collections.abc import Generator, Iterator
from contextlib import closing

from botocore.exceptions import BotoCoreError, ClientError

from local.command_line import FAILED, failed
from local.smoke import alerts, artifacts, batch, cluster, jobs, network, outputs, queues, tasks, workers
from local.smoke.account import Account
from local.smoke.check import Check, Finding, Patience, Result, SmokeError, State, make, not_checked, unusable
from local.smoke.outputs import Outputs, OutputsError
from local.smoke.report import Report


def run(options: argparse.Namespace) -> int:
    """Check a stack; 0 when nothing failed."""
    report, started = Report(), time.monotonic()
    try:
        exported = outputs.read(options.outputs)
        account = Account(exported.region)
        account.require(exported.account_id)
        with report.running(), closing(_results(exported, account, options, report)) as results:
            for result in results:
                report.add(result)
    except (OutputsError, SmokeError) as error:
        return failed(error, str(error).splitlines(), debug=False)
    except (BotoCoreError, ClientError) as error:
        return failed(error, [str(unusable(error))], debug=False)
    report.summarize(time.monotonic() - started)
    return FAILED if any(result.state is State.FAILED for result in report.results) else 0


def _results(exported: Outputs, account: Account, options: argparse.Namespace, report: Report) -> Generator[Result]:
    patience = Patience(options.timeout_seconds, report.wait_for)
    reads = [
        *network.checks(exported, account),
        *artifacts.checks(exported, account),
        *queues.checks(exported, account),
        *batch.checks(exported, account),
        *workers.checks(exported, account, patience),
        *cluster.checks(exported, account),
        *alerts.checks(exported, account),
        *(Check(f"outputs {name}", "is known here", _unknown) for name in exported.unknown),
    ]
    yield from make(reads, patience)
    if not options.round_trip:
        return
    if any(result.state is State.FAILED for result in report.results):
        yield Result(
            Check("round trip", "a task and a job go all the way", list),
            [not_checked("not tried, because something failed")],
        )
        return
    patience = Patience(options.timeout_seconds, report.wait_for)
    yield from make([*tasks.checks(exported, account, patience), *jobs.checks(exported, account, patience)], patience)


def _unknown() -> Iterator[Finding]:
    yield not_checked("has no check")
