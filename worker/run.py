"""The worker's process: its threads, its signals, its health file and its end."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable

from worker import log as lines
from worker.log import log
from worker.protection import Protection
from worker.records import Records
from worker.settings import Settings
from worker.settle import Keeper, Settler, log_trouble
from worker.slot import Slot, Stopping
from worker.sqs import Backoff, Connection, ResultQueue, TaskQueue, TroubleError

TICK_SECONDS = 1.0
EXIT_SECONDS = 116.0
"""The worker is gone this long after SIGTERM whatever happens: ECS sends SIGKILL after 120 (`stopTimeout`)."""


class Worker:
    """All of it, in one process: the main thread listens for signals and says that the worker is healthy."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

        def connect(service: str) -> Connection:
            return Connection(
                service, region=settings.region, poll_seconds=settings.poll_seconds, threads=settings.slots * 2 + 3
            )

        connection = connect("sqs")
        self._tasks = TaskQueue(connection, settings.queue_url, poll_seconds=settings.poll_seconds)
        self._stopping = Stopping(settings.drain_seconds)
        self._keeper = Keeper(self._tasks, settings)
        self._records = Records(settings.records_url, lambda: connect("s3")) if settings.records_url else None
        results = ResultQueue(connection, settings.results_queue_url)
        self._settler = Settler(self._tasks, results, self._records, settings)
        self._protection = Protection(settings.ecs_agent_uri, settings.protection_linger_seconds)
        self._signals, self._signalled = os.pipe()
        os.set_blocking(self._signalled, False)
        self._exit_code = 0

    def run(self) -> int:
        """Work until SIGTERM or SIGINT, or until a thread dies; the exit code."""
        lines.start()
        try:
            return self._run()
        finally:
            lines.flush()

    def _run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        threading.excepthook = self._on_thread_death
        log("starting", slots=self._settings.slots, queueUrl=self._settings.queue_url)
        if not self._describe():
            log("stopped", unfinished=[])
            return 0
        if not self._tasks.visibility_seconds:
            print(
                "the queue's VisibilityTimeout: at least 1 second, got 0; or WORKER_VISIBILITY_TIMEOUT_SECONDS",
                file=sys.stderr,
            )
            return 2
        log("ready", visibilitySeconds=self._tasks.visibility_seconds, maxReceiveCount=self._tasks.max_receive_count)
        if self._tasks.max_receive_count is None:
            log(
                "noRedrivePolicy",
                level="warning",
                reason="a task that never succeeds is tried until it expires, unanswered",
            )

        slots = [
            Slot(
                self._settings,
                self._tasks,
                self._records,
                self._keeper,
                self._settler,
                self._protection,
                self._stopping,
            )
            for _ in range(self._settings.slots)
        ]
        slot_threads = [_start(f"slot-{number}", slot.run) for number, slot in enumerate(slots)]
        keeper, settler = _start("keeper", self._keeper.run), _start("settler", self._settler.run)
        protection = _start("protection", self._protection.run)
        threads = [*slot_threads, keeper, settler, protection]

        while not self._stopping.is_asked():
            if self.touch_health_file(threads):
                self._listen(TICK_SECONDS)
            else:
                # what is left could neither finish its tasks nor take others; ECS starts another worker
                self._exit_code = 1
                self._stopping.ask()
                log("stopping", level="error", reason="a thread has died")
        self._wait_for(slot_threads)
        self._settler.close()
        self._wait_for([settler])
        self._keeper.close()
        self._protection.close()
        unfinished = [thread.name for thread in (*slot_threads, settler) if thread.is_alive()]
        log("stopped", unfinished=unfinished)
        return self._exit_code

    def _on_signal(self, number: int, _frame: object) -> None:
        # a handler may run in the middle of anything that the main thread does, so it only writes a byte
        with contextlib.suppress(BlockingIOError):
            os.write(self._signalled, bytes([number]))

    def _listen(self, seconds: float) -> None:
        if select.select([self._signals], [], [], seconds)[0]:
            for number in os.read(self._signals, 64):
                self._stopping.ask()
                log("stopping", signal=signal.Signals(number).name)

    def _describe(self) -> bool:
        backoff = Backoff(self._settings.trouble_max_seconds)
        while not self._stopping.is_asked():
            self.touch_health_file([])
            try:
                self._tasks.describe(self._settings.visibility_timeout_seconds)
            except TroubleError as error:
                wait_seconds = backoff.next_seconds()
                log_trouble(error, wait_seconds)
                self._listen(wait_seconds)
            else:
                return True
        return False

    def _wait_for(self, threads: Iterable[threading.Thread]) -> None:
        alive = list(threads)
        while alive and time.monotonic() < self._stopping.asked_at + EXIT_SECONDS:
            self.touch_health_file([])
            self._listen(0.05)
            alive = [thread for thread in alive if thread.is_alive()]

    def touch_health_file(self, threads: Iterable[threading.Thread]) -> bool:
        """Say that the worker is healthy, unless one of `threads` has died; whether all live."""
        if not all(thread.is_alive() for thread in threads):
            return False
        with contextlib.suppress(OSError):
            self._settings.health_file.touch()
        return True

    def _on_thread_death(self, death: threading.ExceptHookArgs) -> None:
        self._exit_code = 1
        log("threadDied", level="error", thread=death.thread and death.thread.name, error=repr(death.exc_value))


def _start(name: str, target: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread
