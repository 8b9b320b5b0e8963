"""Messages in flight: leases are extended, then messages are answered, deleted or given back."""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import random
import threading
import time
from collections.abc import Callable

from worker.log import log
from worker.metrics import measured
from worker.records import Records
from worker.settings import Settings
from worker.sqs import MAX_BATCH, Backoff, Lease, ResultQueue, StaleError, TaskQueue, TroubleError
from worker.task import Result


class Keeper:
    """Extends the leases of messages in flight, each at a third of the visibility timeout."""

    def __init__(self, tasks: TaskQueue, settings: Settings) -> None:
        self._tasks = tasks
        self._trouble_max_seconds = settings.trouble_max_seconds
        self._leases: set[Lease] = set()
        self._changing = threading.Lock()
        self._closed = threading.Event()

    def add(self, lease: Lease) -> None:
        """Extend this lease from now on, until it is released or lost."""
        with self._changing:
            self._leases.add(lease)

    def close(self) -> None:
        """Let `run` return."""
        self._closed.set()

    def run(self) -> None:
        """Keep the leases until closed."""
        while not self._closed.wait(min(0.5, self._tasks.visibility_seconds / 20)):
            self.renew_due()

    def renew_due(self) -> None:
        """Extend those leases that are due, up to `MAX_BATCH` in one call."""
        with self._changing:
            self._leases = {lease for lease in self._leases if not (lease.released or lease.lost)}
            due = [lease for lease in self._leases if time.monotonic() >= lease.renew_at]
        for start in range(0, len(due), MAX_BATCH):
            self.renew(due[start : start + MAX_BATCH])

    def renew(self, leases: list[Lease]) -> None:
        """Extend leases in one call; one of which SQS says that it is over is marked as lost."""
        try:
            outcomes = self._tasks.extend(leases)
        except TroubleError as error:
            outcomes = [(lease, error) for lease in leases]
        for lease, outcome in outcomes:
            if isinstance(outcome, StaleError) and not lease.released:
                _lose(lease, outcome)
            elif isinstance(outcome, TroubleError):
                most_seconds = min(self._trouble_max_seconds, lease.visibility_seconds / 6)
                wait_seconds = most_seconds * random.uniform(0.5, 1)  # noqa: S311  jitter is no secret
                lease.renew_at = time.monotonic() + wait_seconds
                log_trouble(outcome, wait_seconds, messageId=lease.message_id)


@dataclasses.dataclass(frozen=True)
class Settlement:
    """What is to be done about a message: send `result` if there is one, then give it back, or delete it.

    A failure is counted in between: a worker that is killed before has the task tried, and answered, once more.
    """

    lease: Lease
    result: Result | None
    wait_seconds: int | None
    """Seconds after which the message may be received again; None deletes it."""
    failures: int | None = None
    """How often the task has failed now, if it has."""


class Settler:
    """Carries settlements out: each step is tried until it succeeds or the lease is lost.

    Results are sent from a thread of its own, so that the slots go on with their next task meanwhile; those that wait
    go together. A message that is only given back does not wait behind them.
    """

    def __init__(self, tasks: TaskQueue, results: ResultQueue, records: Records | None, settings: Settings) -> None:
        self._tasks = tasks
        self._results = results
        self._records = records
        self._queue_url = settings.queue_url
        self._trouble_max_seconds = settings.trouble_max_seconds
        self._waiting: queue.SimpleQueue[tuple[Settlement, Callable[[], None]] | None] = queue.SimpleQueue()

    def add(self, settlement: Settlement, settled: Callable[[], None]) -> None:
        """Carry out `settlement`, at once or in the thread, and then call `settled`, whatever became of it."""
        if settlement.result:
            self._waiting.put((settlement, settled))
        else:
            self._settle(settlement)
            settled()

    def close(self) -> None:
        """Let `run` return after what is waiting; nothing may be added any more."""
        self._waiting.put(None)

    def run(self) -> None:
        """Settle what is added until closed."""
        is_closed = False
        while not is_closed:
            taken = [self._waiting.get()]
            with contextlib.suppress(queue.Empty):
                while len(taken) < MAX_BATCH:
                    taken.append(self._waiting.get_nowait())
            is_closed = None in taken
            entries = [entry for entry in taken if entry]
            settled_together = self._delete_together([settlement for settlement, _ in entries])
            for settlement, settled in entries:
                if settlement not in settled_together:
                    self._settle(settlement)
                settled()

    def _delete_together(self, settlements: list[Settlement]) -> list[Settlement]:
        answers = [
            (settlement, settlement.result)
            for settlement in settlements
            if settlement.result and settlement.wait_seconds is None and not settlement.lease.is_lost()
        ]
        if len(answers) < 2:
            return []
        try:
            sent = self._results.send_together([result for _, result in answers])
            answered = [settlement for (settlement, _), outcome in zip(answers, sent, strict=True) if not outcome]
            deleted = self._tasks.delete_together([settlement.lease for settlement in answered])
        except TroubleError as error:
            log_trouble(error, 0)
            return []
        settled = [settlement for settlement, outcome in zip(answered, deleted, strict=True) if not outcome]
        for settlement in settled:
            _log_settled(settlement)
        return settled

    def _settle(self, settlement: Settlement) -> None:
        lease, result, wait_seconds = settlement.lease, settlement.result, settlement.wait_seconds
        try:
            if result:
                self._until_done(lease, lambda: self._send(result))
            if self._records and settlement.failures:
                self._records.write(lease.message_id, settlement.failures)
            if wait_seconds is None:
                self._until_done(lease, lambda: self._tasks.delete(lease))
            else:
                self._until_done(lease, lambda: self._tasks.give_back(lease, wait_seconds))
        except StaleError as error:
            # one that is lost while its child runs is counted when the child has ended
            _lose(lease, error, **measured(self._queue_url, LeasesLost=1))
        else:
            _log_settled(settlement)

    def _send(self, result: Result) -> None:
        try:
            self._results.send(result)
        except TroubleError as error:
            if not error.refuses_message:
                raise
            log("resultShortened", level="warning", taskId=result.id, messageId=result.message_id, error=str(error))
            self._results.send(result.shortened())

    def _until_done(self, lease: Lease, step: Callable[[], None]) -> None:
        backoff = Backoff(self._trouble_max_seconds)
        while True:
            if lease.is_lost():
                raise StaleError("not extended in time")
            try:
                return step()
            except TroubleError as error:
                wait_seconds = backoff.next_seconds()
                log_trouble(error, wait_seconds, messageId=lease.message_id)
                time.sleep(wait_seconds)


def log_trouble(error: TroubleError, wait_seconds: float, **fields: object) -> None:
    """Say what failed, and when it is tried again."""
    log("trouble", level="warning", **fields, error=str(error), retryInSeconds=round(wait_seconds, 3))


def _lose(lease: Lease, error: StaleError, **fields: object) -> None:
    lease.lost = True
    log("leaseLost", level="warning", messageId=lease.message_id, error=str(error), **fields)


def _log_settled(settlement: Settlement) -> None:
    result = settlement.result
    log(
        "settled",
        taskId=result and result.id,
        messageId=settlement.lease.message_id,
        answered=result and result.status,
        retryInSeconds=settlement.wait_seconds,
    )
