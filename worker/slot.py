"""A slot takes one task after the other, runs it, and decides what becomes of its message."""

from __future__ import annotations

import math
import os
import random
import threading
import time
from typing import Any, Literal

from worker import child
from worker.log import log
from worker.metrics import measured
from worker.protection import Protection
from worker.records import Records
from worker.settings import CEILING_MARGIN_SECONDS, Settings
from worker.settle import Keeper, Settlement, Settler, log_trouble
from worker.sqs import Backoff, Lease, TaskQueue, TroubleError, new_attempt_id
from worker.task import BadTaskError, Result, Task, parse

UNANSWERED_PER_SLOT = 3
"""How many tasks of a slot may have ended and wait for their answers: when results cannot be sent, it takes no more."""

_ROOM_SECONDS = 1.0


class Stopping:
    """Whether the worker is asked to stop, and until when children may go on."""

    def __init__(self, drain_seconds: float) -> None:
        self._drain_seconds = drain_seconds
        self._asked = threading.Event()
        self.asked_at = math.inf
        self.drain_until = math.inf

    def ask(self) -> None:
        """Stop; asked once more, without waiting for the children."""
        now = time.monotonic()
        if self._asked.is_set():
            self.drain_until = now
        else:
            self.asked_at = now
            self.drain_until = now + self._drain_seconds
            self._asked.set()

    def is_asked(self) -> bool:
        """Whether to take nothing more."""
        return self._asked.is_set()

    def wait(self, seconds: float) -> None:
        """Sleep, unless and until asked to stop."""
        self._asked.wait(seconds)


class Slot:
    """Takes one task after the other and runs it."""

    def __init__(
        self,
        settings: Settings,
        tasks: TaskQueue,
        records: Records | None,
        keeper: Keeper,
        settler: Settler,
        protection: Protection,
        stopping: Stopping,
    ) -> None:
        self._settings = settings
        self._tasks = tasks
        self._records = records
        self._keeper = keeper
        self._settler = settler
        self._protection = protection
        self._stopping = stopping
        self._room = threading.Semaphore(1 + UNANSWERED_PER_SLOT)

    def run(self) -> None:
        """Take tasks until asked to stop."""
        backoff = Backoff(self._settings.trouble_max_seconds)
        attempt_id = new_attempt_id()
        while not self._stopping.is_asked():
            if not self._room.acquire(timeout=_ROOM_SECONDS):
                continue
            try:
                lease = self._tasks.receive(attempt_id)
            except TroubleError as error:
                self._room.release()
                # an id repeats a receive whose answer was lost, but SQS refuses it after an error that it has answered
                # (awslabs/amazon-sqs-java-messaging-lib#213)
                if not error.unanswered:
                    attempt_id = new_attempt_id()
                wait_seconds = backoff.next_seconds()
                log_trouble(error, wait_seconds)
                self._stopping.wait(wait_seconds)
                continue
            attempt_id = new_attempt_id()
            backoff.reset()
            if lease:
                self.take(lease)
            else:
                self._room.release()

    def take(self, lease: Lease) -> None:
        """Run the task in a message, and have it settled."""

        def settled() -> None:
            self._protection.end()
            self._room.release()

        self._protection.begin()
        self._keeper.add(lease)
        try:
            settlement = self._decide(lease)
        except BaseException:
            # the end of this thread, and soon of the worker, is not to be waited for
            self._settler.add(Settlement(lease, None, self._retry_seconds(0)), settled)
            raise
        if settlement:
            self._settler.add(settlement, settled)
        else:
            settled()

    def _decide(self, lease: Lease) -> Settlement | None:
        is_last = self._tasks.is_last_receive(lease)
        try:
            task = parse(lease.body, max_task_seconds=self._settings.max_task_seconds)
        except BadTaskError as error:
            log(
                "refused",
                level="warning",
                messageId=lease.message_id,
                receiveCount=lease.receive_count,
                error=str(error),
            )
            result = _result(lease, error.task_id or lease.message_id, "failed", reason=f"refused: {error}")
            # where there is no dead-letter queue to end it, coming back at once would go on for days
            wait_seconds = 0 if self._tasks.max_receive_count else self._retry_seconds(lease.receive_count - 1)
            return Settlement(lease, result if is_last or lease.receive_count == 1 else None, wait_seconds)

        failures = self._earlier_failures(lease)
        if self._has_failed_for_good(failures):
            log("failedForGood", taskId=task.id, messageId=lease.message_id, receiveCount=lease.receive_count)
            return Settlement(lease, None, 0)
        ended = child.Ended(None, child.Stop.DRAIN, 0.0, []) if self._stopping.is_asked() else self._run(task, lease)
        if ended.stopped is child.Stop.LOST:
            return None
        if ended.exit_code == 0 and not ended.stopped:
            return Settlement(lease, _result(lease, task.id, "succeeded", ended), None)
        if ended.stopped is child.Stop.DRAIN:
            failed, wait_seconds = None, 0
        else:
            failed, wait_seconds = failures + 1, self._retry_seconds(failures)
        if is_last or (failed and self._has_failed_for_good(failed)):
            timed_out = ended.stopped in {child.Stop.TIMEOUT, child.Stop.CEILING}
            reason = self._why(task, ended)
            result = _result(lease, task.id, "timedOut" if timed_out else "failed", ended, reason=reason)
            return Settlement(lease, result, 0, failed)
        return Settlement(lease, None, wait_seconds, failed)

    def _earlier_failures(self, lease: Lease) -> int:
        if self._records is None:
            return lease.receive_count - 1
        return self._records.failures(lease.message_id) if lease.receive_count > 1 else 0

    def _has_failed_for_good(self, failures: int) -> bool:
        """Whether it failed as often as it may; SQS moves it to the dead-letter queue, where there is one."""
        most = self._settings.max_failures
        return most is not None and self._tasks.max_receive_count is not None and failures >= most

    def _run(self, task: Task, lease: Lease) -> child.Ended:
        started = time.monotonic()

        def stop() -> child.Stop | None:
            now = time.monotonic()
            if lease.is_lost():
                return child.Stop.LOST
            if now >= lease.ceiling_at - CEILING_MARGIN_SECONDS:
                return child.Stop.CEILING
            if now >= started + task.timeout_seconds:
                return child.Stop.TIMEOUT
            return child.Stop.DRAIN if now >= self._stopping.drain_until else None

        bytes_left = self._settings.log_bytes

        def on_line(line: str) -> None:
            nonlocal bytes_left
            if bytes_left <= 0:
                return
            bytes_left -= log("output", taskId=task.id, line=line)
            if bytes_left <= 0:
                reason = f"more than {self._settings.log_bytes} bytes; the rest is not logged"
                log("outputCut", level="warning", taskId=task.id, reason=reason)

        log("taskStarted", taskId=task.id, messageId=lease.message_id, receiveCount=lease.receive_count)
        try:
            ended = child.run(
                task.command,
                _child_env(task, lease),
                stop=stop,
                grace_seconds=self._settings.stop_grace_seconds,
                on_line=on_line,
                memory_mib=self._settings.task_memory_mib,
            )
        except Exception as error:  # whatever a task does to this process, it is that task's failure
            ended = child.Ended(None, None, time.monotonic() - started, [], f"could not be run: {error!r}")
        log(
            "taskEnded",
            taskId=task.id,
            messageId=lease.message_id,
            receiveCount=lease.receive_count,
            exitCode=ended.exit_code,
            stopped=ended.stopped and ended.stopped.value,
            seconds=round(ended.seconds, 3),
            reason=self._why(task, ended),
            **self._measured(lease, ended),
        )
        return ended

    def _measured(self, lease: Lease, ended: child.Ended) -> dict[str, Any]:
        is_done = ended.exit_code == 0 and not ended.stopped
        has_failed = not is_done and ended.stopped not in {child.Stop.DRAIN, child.Stop.LOST}
        return measured(
            self._settings.queue_url,
            TasksDone=is_done,
            TasksFailed=has_failed,
            TasksGivenBack=ended.stopped is child.Stop.DRAIN,
            LeasesLost=ended.stopped is child.Stop.LOST,
            SecondsWorked=round(ended.seconds, 3),
            # later receives have waited for earlier attempts, too
            **({"SecondsWaited": round(lease.waited_seconds, 3)} if lease.receive_count == 1 else {}),
        )

    def _why(self, task: Task, ended: child.Ended) -> str | None:
        match ended.stopped:
            case child.Stop.CEILING:
                return (
                    "stopped, because SQS holds a message for 12 hours at most; submit longer work to AWS Batch instead"
                )
            case child.Stop.TIMEOUT:
                limit = f"stopped after {task.timeout_seconds} seconds"
                if task.timeout_seconds < self._settings.max_task_seconds:
                    return f"{limit}, its timeoutSeconds"
                return f"{limit}, the most that this worker allows; submit longer work to AWS Batch instead"
            case child.Stop.DRAIN:
                return "stopped, because the worker was asked to stop"
            case child.Stop.LOST:
                return "killed, because the message may be received by another worker"
            case child.Stop.MEMORY:
                return f"killed, because it held more than {self._settings.task_memory_mib} MiB of memory"
            case None:
                pass
        if ended.exit_code is None:
            return ended.error
        if ended.exit_code < 0:
            return f"ended by signal {-ended.exit_code}"
        return f"exited with {ended.exit_code}" if ended.exit_code else None

    def _retry_seconds(self, failures: int) -> int:
        """How long it waits that failed once more than `failures` times."""
        doubled = self._settings.retry_seconds * 2.0 ** min(failures, 16)
        most_seconds = min(self._settings.retry_max_seconds, doubled)
        return math.ceil(most_seconds * random.uniform(0.5, 1))  # noqa: S311  jitter is no secret


def _result(
    lease: Lease,
    task_id: str,
    status: Literal["succeeded", "failed", "timedOut"],
    ended: child.Ended | None = None,
    *,
    reason: str | None = None,
) -> Result:
    return Result(
        id=task_id,
        status=status,
        exit_code=ended.exit_code if ended else None,
        reason=reason,
        duration_seconds=ended.seconds if ended else 0.0,
        output=ended.output if ended else [],
        receive_count=lease.receive_count,
        message_id=lease.message_id,
    )


def _child_env(task: Task, lease: Lease) -> dict[str, str]:
    own = {"ECS_AGENT_URI", "TMPDIR"}
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("WORKER_") and name not in own
    }
    return {**inherited, **task.env, "TASK_ID": task.id, "TASK_RECEIVE_COUNT": str(lease.receive_count)}
