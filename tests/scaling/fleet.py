"""A fleet in a simulated AWS: its ECS service, its workers, and the alarm and the policy that scale it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.scaling.cloudwatch import MINUTE, Alarm, key
from tests.scaling.queue import Queue, Task

RESTART_SECONDS = 60
"""When ECS tries again to start a task that could not start; it would wait longer and longer."""
LINGER_SECONDS = 10
"""`worker/settings.py`, protection_linger_seconds."""
RETRY_SECONDS, RETRY_MAX_SECONDS = 10, 900
"""Ibid.: how long a task that failed waits, in flight, for its next attempt."""
MAX_FAILURES = 5
VISIBILITY_SECONDS = 900

History = list[tuple[float, int]]
"""Times, and how many there were from then on."""


@dataclass
class Scaled:
    """What a stack registered for the scaling of a fleet."""

    alarm: Mapping[str, Any]
    policy: Mapping[str, Any]
    least: int
    most: int
    queue: Mapping[str, str]
    service: Mapping[str, str]


@dataclass(eq=False)
class Worker:
    """An ECS task."""

    runs: bool = False
    task: Task | None = None
    protected: bool = False
    ended: bool = False


@dataclass
class Seen:
    """What happened to a fleet."""

    desired: History = field(default_factory=list[tuple[float, int]])
    running: History = field(default_factory=list[tuple[float, int]])
    stopped_at_work: int = 0
    """Workers that scaling in stopped while they had a task."""


def between(history: History, since: float, until: float = float("inf")) -> list[int]:
    """All numbers that there were in a time."""
    return [n for at, n in history if at <= since][-1:] + [n for at, n in history if since < at <= until]


class Fleet:
    """An ECS service, scaled."""

    def __init__(self, scaled: Scaled, queue: Queue) -> None:
        self.seen = Seen(running=[(0, 0)])
        self.room = scaled.most
        """How many workers can run: none where their image is missing, few where there is no capacity."""
        self.memory_percent = 40.0
        self._of, self._queue = scaled, queue
        self._workers: list[Worker] = []
        self._alarm = Alarm(scaled.alarm, queue.readings)
        self._steps = scaled.policy["stepScalingPolicyConfiguration"]
        self._cool_until = 0.0
        self._counts = {"TasksDone": 0, "TasksFailed": 0}
        queue.consumers.append(self)
        self._set(scaled.least)
        queue.after(queue.draw((0, MINUTE)), self._evaluate)

    @property
    def running(self) -> int:
        """Workers that run."""
        return sum(one.runs for one in self._workers)

    @property
    def busy(self) -> int:
        """Workers that have a task."""
        return sum(one.task is not None for one in self._workers)

    @property
    def desired(self) -> int:
        """Workers that are asked for."""
        return self.seen.desired[-1][1]

    def minute(self) -> None:
        """Say to CloudWatch how it is."""
        queue = self._queue
        # nothing is said of a service that has no task (ECS developer guide, "Amazon ECS CloudWatch metrics")
        if self.running:
            late = queue.draw(queue.delays.insights)
            for namespace, name, value in (
                ("ECS/ContainerInsights", "RunningTaskCount", self.running),
                ("ECS/ContainerInsights", "DesiredTaskCount", self.desired),
                ("AWS/ECS", "MemoryUtilization", self.memory_percent),
            ):
                queue.metrics.put(key(namespace, name, self._of.service), queue.now, value, late=late)
        for name, value in self._counts.items():
            if value:
                metric = key("DistributedTraining/Worker", name, queue.dimensions)
                queue.metrics.put(metric, queue.now, value, late=MINUTE)
        self._counts = dict.fromkeys(self._counts, 0)

    def kill(self, count: int) -> None:
        """End workers at once, as a reclaim of spot capacity does; what they had in hand comes back."""
        for worker in [one for one in self._workers if one.runs][:count]:
            self._end(worker)
        self._reconcile()

    def offer(self) -> None:
        """Take what waits."""
        for worker in self._workers:
            if not self._queue.waiting:
                return
            if worker.runs and worker.task is None:
                self._take(worker)

    # Application Auto Scaling

    def _evaluate(self) -> None:
        """An alarm in ALARM calls its scaling policy every minute (CloudWatch user guide, "Alarm actions")."""
        queue = self._queue
        queue.after(MINUTE, self._evaluate)
        if self._alarm.evaluate(queue.metrics, queue.now):
            queue.after(queue.draw((1, 5)), lambda value=self._alarm.value: self._apply(value))

    def _apply(self, value: float) -> None:
        """Have the size that a value asks for (Application Auto Scaling user guide, "How step scaling works")."""
        above = value - self._of.alarm["threshold"]
        (step,) = (
            one
            for one in self._steps["stepAdjustments"]
            if float(one.get("metricIntervalLowerBound") or 0)
            <= above
            < float(one.get("metricIntervalUpperBound") or "inf")
        )
        size = int(step["scalingAdjustment"])
        if self._steps["adjustmentType"] == "ChangeInCapacity":
            size += self.desired if self._queue.readings.counts_from == "desired" else self.running
        size = min(self._of.most, max(self._of.least, size))
        cools = self._queue.now < self._cool_until
        if size != self.desired and not (cools and (size < self.desired or self._queue.readings.cooldown_holds_all)):
            self._cool_until = self._queue.now + self._steps["cooldown"]
            self._set(size)

    # ECS

    def _set(self, desired: int) -> None:
        self.seen.desired.append((self._queue.now, desired))
        self._reconcile()

    def _reconcile(self) -> None:
        for _ in range(self.desired - len(self._workers)):
            worker = Worker()
            self._workers.append(worker)
            self._queue.after(self._queue.draw(self._queue.delays.start), lambda worker=worker: self._started(worker))
        # a protected task is not stopped by scaling in (ECS developer guide, "Protect your Amazon ECS tasks from being
        # terminated by scale-in events")
        able = [one for one in self._workers if not one.protected]
        self._queue.random.shuffle(able)
        able.sort(key=lambda one: one.runs)
        for worker in able[: max(0, len(self._workers) - self.desired)]:
            self.seen.stopped_at_work += worker.task is not None
            self._end(worker)

    def _started(self, worker: Worker) -> None:
        if worker.ended:
            return
        if self.running >= self.room:
            self._queue.after(RESTART_SECONDS, lambda: self._started(worker))
            return
        worker.runs = True
        self._note()
        self.offer()

    def _end(self, worker: Worker) -> None:
        worker.ended, worker.runs = True, False
        self._workers.remove(worker)
        self._note()
        if worker.task:
            self._queue.give_back(worker.task)

    def _note(self) -> None:
        self.seen.running.append((self._queue.now, self.running))

    # the worker

    def _take(self, worker: Worker) -> None:
        queue = self._queue
        task = worker.task = queue.take()
        queue.after(queue.draw(queue.delays.protect), lambda: self._protect(worker))
        queue.after(task.seconds, lambda: self._finished(worker, task))

    def _protect(self, worker: Worker) -> None:
        worker.protected = worker.protected or worker.task is not None

    def _finished(self, worker: Worker, task: Task) -> None:
        if worker.ended or worker.task is not task:
            return
        worker.task = None
        queue = self._queue
        if task.kills:
            # nobody gives its message back
            queue.after(VISIBILITY_SECONDS, lambda: self._failed(task))
            self._end(worker)
            self._reconcile()
            return
        if task.fails:
            wait = min(RETRY_MAX_SECONDS, RETRY_SECONDS * 2**task.failures)
            queue.after(wait, lambda: self._failed(task))
            self._counts["TasksFailed"] += 1
        else:
            queue.end(task)
            self._counts["TasksDone"] += 1
        self.offer()
        if worker.task is None:
            queue.after(LINGER_SECONDS, lambda: self._unprotect(worker))

    def _failed(self, task: Task) -> None:
        task.failures += 1
        if task.failures == MAX_FAILURES:
            self._queue.end(task, dead=True)
        else:
            self._queue.give_back(task)

    def _unprotect(self, worker: Worker) -> None:
        if worker.task is None and not worker.ended:
            worker.protected = False
            self._reconcile()
