"""A queue in a simulated AWS, on whose clock everything runs, with CloudWatch beside it."""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tests.scaling.cloudwatch import MINUTE, Alarm, Key, Metrics, Readings, key

HOUR = 3600
ACTIVE_SECONDS = 6 * HOUR
"""How long after it was last used SQS sends metrics of a queue (SQS developer guide, "Monitoring Amazon SQS queues
using CloudWatch")."""
WAKE_SECONDS = 900
"""The longest until they come again (ibid.)."""


@dataclass(frozen=True)
class Delays:
    """Bounds of what is drawn, in seconds."""

    sqs: tuple[float, float] = (20, 100)
    insights: tuple[float, float] = (30, 150)
    start: tuple[float, float] = (30, 150)
    """From a task's being asked for until its worker polls."""
    protect: tuple[float, float] = (0, 1)
    """From a task's start to its protection."""


@dataclass(eq=False)
class Task:
    """A message."""

    seconds: float
    fails: bool = False
    kills: bool = False
    """Whether it takes its worker with it."""
    sent: float = 0
    failures: int = 0


class Consumer(Protocol):
    """What does the tasks of a queue."""

    def offer(self) -> None:
        """Take what waits."""
        ...

    def minute(self) -> None:
        """Say to CloudWatch how it is."""
        ...

    @property
    def running(self) -> int:
        """Workers that poll."""
        ...


class Queue:
    """Its messages, the clock, and CloudWatch."""

    def __init__(self, dimensions: Mapping[str, str], readings: Readings, seed: int, delays: Delays) -> None:
        self.now = 0.0
        self.dimensions, self.readings, self.delays = dimensions, readings, delays
        self.random = random.Random(seed)  # noqa: S311
        self.metrics = Metrics()
        self.waiting: deque[Task] = deque()
        self.in_flight: set[Task] = set()
        self.received = 0
        self.dead = 0
        self.done: list[float] = []
        """When tasks were done."""
        self.paused = False
        """Whether SQS's metrics fail to come."""
        self.first_metric: float | None = None
        """When SQS first had metrics with a task in them."""
        self.watched: dict[str, Alarm] = {}
        """Alarms that scale nothing, by name."""
        self.raised: dict[str, float] = {}
        """When each of them was first in ALARM."""
        self.consumers: list[Consumer] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()
        self._active_until = float("-inf")
        self._wakes_at = 0.0
        self.after(MINUTE, self._minute)

    def run(self, until: float) -> None:
        """Let time go by."""
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = until

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Have something happen later."""
        heapq.heappush(self._events, (self.now + seconds, next(self._number), event))

    def draw(self, bounds: tuple[float, float]) -> float:
        """One of the values between two."""
        return self.random.uniform(*bounds)

    def send(self, count: int, seconds: float, *, fails: bool = False, kills: bool = False) -> None:
        """Send tasks that take so long each."""
        self.touch()
        for _ in range(count):
            self.waiting.append(Task(seconds, fails=fails, kills=kills, sent=self.now))
        self._offer()

    def touch(self) -> None:
        """Have it be in use."""
        if self.now > self._active_until:
            self._wakes_at = self.now + self.draw((0, WAKE_SECONDS))
        self._active_until = self.now + ACTIVE_SECONDS

    def take(self) -> Task:
        """Receive a message."""
        task = self.waiting.popleft()
        self.in_flight.add(task)
        self.received += 1
        return task

    def end(self, task: Task, *, dead: bool = False) -> None:
        """Delete a message, or have it go to the dead-letter queue."""
        self.in_flight.remove(task)
        if dead:
            self.dead += 1
        else:
            self.done.append(self.now)

    def give_back(self, task: Task) -> None:
        """Have a message be visible again."""
        self.in_flight.remove(task)
        self.waiting.appendleft(task)
        self._offer()

    def metric(self, name: str) -> Key:
        """What names a metric of the queue."""
        return key("AWS/SQS", name, self.dimensions)

    def _offer(self) -> None:
        for one in self.consumers:
            one.offer()

    def _minute(self) -> None:
        self.after(MINUTE, self._minute)
        if any(one.running for one in self.consumers):
            self.touch()
        if self._wakes_at <= self.now <= self._active_until and not self.paused:
            if self.first_metric is None and (self.waiting or self.in_flight):
                self.first_metric = self.now
            late = self.draw(self.delays.sqs)
            oldest = min((one.sent for one in (*itertools.islice(self.waiting, 1), *self.in_flight)), default=self.now)
            for name, value, is_sent in (
                ("ApproximateNumberOfMessagesVisible", len(self.waiting), True),
                ("ApproximateNumberOfMessagesNotVisible", len(self.in_flight), self.readings.zeros_are_sent),
                ("NumberOfMessagesReceived", self.received, self.readings.zeros_are_sent),
                ("ApproximateAgeOfOldestMessage", self.now - oldest, self.readings.zeros_are_sent),
            ):
                if value or is_sent:
                    self.metrics.put(self.metric(name), self.now, value, late=late)
        self.received = 0
        for one in self.consumers:
            one.minute()
        for name, alarm in self.watched.items():
            if alarm.evaluate(self.metrics, self.now):
                self.raised.setdefault(name, self.now)
