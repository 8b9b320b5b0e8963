"""CloudWatch: metrics that come late, and alarms over them."""

import bisect
import operator
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.scaling import metric_math
from tests.scaling.metric_math import Point

MINUTE = 60

Key = tuple[str, str, tuple[tuple[str, str], ...]]
"""Namespace, name and dimensions of a metric."""

_STATISTICS: Mapping[str, Callable[[list[float]], float]] = {
    "Maximum": max,
    "Minimum": min,
    "Sum": sum,
    "Average": lambda values: sum(values) / len(values),
}
_COMPARED: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
}


@dataclass(frozen=True)
class Readings:
    """What AWS's pages say in more than one way, or not at all; what holds must hold for all of them."""

    nothing_is_zero: bool
    """Metric math: whether a missing value beside a plain number counts as 0."""
    fills_nothing: bool
    """Metric math: whether FILL fills a series without any point."""
    periods_more: int
    """How many periods an alarm looks back beyond those that it evaluates; the guide says only that it does."""
    counts_from: str
    """What a step adds to: the tasks that are `running` (ECS guide) or those that are `desired`."""
    cooldown_holds_all: bool
    """Whether a cooldown also holds up a larger size, which the guide excludes."""
    zeros_are_sent: bool
    """Whether SQS sends how many messages are in flight, and how many were received, when there are none. Its page said
    so for a queue in use; now it says that they are reported while there are any."""

    @classmethod
    def drawn(cls, seed: int) -> "Readings":
        """Some of them."""
        random = Random(seed)  # noqa: S311
        return cls(
            nothing_is_zero=random.random() < 0.5,
            fills_nothing=random.random() < 0.5,
            periods_more=random.randrange(3),
            counts_from=random.choice(("running", "desired")),
            cooldown_holds_all=random.random() < 0.5,
            zeros_are_sent=random.random() < 0.5,
        )


def key(namespace: str, name: str, dimensions: Mapping[str, str]) -> Key:
    """What names a metric."""
    return namespace, name, tuple(sorted(dimensions.items()))


class Metrics:
    """Points, each with its minute and the moment from which it can be read."""

    def __init__(self) -> None:
        self._points: defaultdict[Key, list[tuple[float, float, float]]] = defaultdict(list)

    def put(self, metric: Key, at: float, value: float, *, late: float = 0) -> None:
        """A point of the minute that ends at a time."""
        self._points[metric].append((at, at + late, value))

    def period(self, metric: Key, statistic: str, since: float, until: float, now: float) -> Point:
        """A statistic of what can be read of a period."""
        points = self._points[metric]
        first = bisect.bisect_right(points, (since, float("inf"), 0.0))
        last = bisect.bisect_right(points, (until, float("inf"), 0.0))
        values = [value for _, readable, value in points[first:last] if readable <= now]
        return _STATISTICS[statistic](values) if values else None


class Alarm:
    """An alarm as it was registered.

    Its windows slide: every minute it looks at the periods that end now (CloudWatch user guide, "Alarm evaluation
    window"). Where points are missing, it takes older ones that are there, and fills up the rest (ibid., "Configuring
    how CloudWatch alarms treat missing data").
    """

    def __init__(self, inputs: Mapping[str, Any], readings: Readings) -> None:
        self.inputs = inputs
        self._readings = readings
        self._periods = int(inputs["evaluationPeriods"])
        self._most = int(inputs.get("datapointsToAlarm") or self._periods)
        if inputs["treatMissingData"] != "notBreaching":
            raise NotImplementedError(f"not simulated: treatMissingData {inputs['treatMissingData']}")
        queries: list[Mapping[str, Any]] = inputs.get("metricQueries") or [
            {"id": "watched", "returnData": True, "metric": {**inputs, "stat": inputs["statistic"]}}
        ]
        self._metrics = {
            one["id"]: (
                key(one["metric"]["namespace"], one["metric"]["metricName"], one["metric"]["dimensions"]),
                one["metric"]["stat"],
            )
            for one in queries
            if "metric" in one
        }
        self._expressions = {
            one["id"]: metric_math.compiled(one["expression"], nothing_is_zero=readings.nothing_is_zero)
            for one in queries
            if "metric" not in one
        }
        (self._watched,) = (one["id"] for one in queries if one.get("returnData"))
        # every metric of an alarm has the same period (user guide, "Creating an alarm based on a math expression")
        (self._seconds,) = {int(one["metric"]["period"]) for one in queries if "metric" in one}
        self._known: dict[tuple[Point, ...], Point] = {}
        self.value = 0.0
        """The newest value that was evaluated."""

    def evaluate(self, metrics: Metrics, now: float) -> bool:
        """Whether it is in ALARM now."""
        end = now // MINUTE * MINUTE
        starts = [end - self._seconds * n for n in range(1, self._periods + self._readings.periods_more + 1)]
        periods = [
            tuple(
                metrics.period(metric, statistic, start, start + self._seconds, now)
                for metric, statistic in self._metrics.values()
            )
            for start in starts
        ]
        empty = [
            name
            for name, points in zip(self._metrics, zip(*periods, strict=True), strict=True)
            if not self._readings.fills_nothing and all(one is None for one in points)
        ]
        values = (self._of_period(points, empty) for points in periods)
        there = [one for one in values if one is not None][: self._periods]
        compared = _COMPARED[self.inputs["comparisonOperator"]]
        if there:
            self.value = there[0]
        return sum(compared(one, self.inputs["threshold"]) for one in there) >= self._most

    def _of_period(self, points: tuple[Point, ...], empty: list[str]) -> Point:
        known = (*points, *(None if name in empty else 0.0 for name in self._metrics))
        if known not in self._known:
            values = dict(zip(self._metrics, points, strict=True))
            for name, expression in self._expressions.items():
                values[name] = expression(values, empty)
            self._known[known] = values[self._watched]
        return self._known[known]
