"""The simulation against the examples of AWS's own pages."""

import pytest

from tests.scaling.cloudwatch import MINUTE, Alarm, Metrics, Readings, key
from tests.scaling.metric_math import Point, compiled

READINGS = Readings(
    nothing_is_zero=True,
    fills_nothing=True,
    periods_more=2,
    counts_from="running",
    cooldown_holds_all=False,
    zeros_are_sent=True,
)


@pytest.mark.parametrize(
    ("expression", "series", "expected"),
    [
        ("one < two", {"one": [30, 20, 0, 0], "two": [20, None, 20, None]}, [0, 0, 1, 0]),
        ("one >= 30", {"one": [30, 20, 0, 0]}, [1, 0, 0, 0]),
        ("one > 15 AND two > 15", {"one": [30, 20, 0, 0], "two": [20, None, 20, None]}, [1, 0, 0, 0]),
        (
            "IF(one, two, three)",
            {"one": [1, 1, 0, 0, None], "two": [30, None, 0, 0, 30], "three": [0, 0, 20, None, 20]},
            [30, 0, 20, None, None],
        ),
        ("IF(one, 5, three)", {"one": [1, 1, 0, 0, None], "three": [0, 0, 20, None, 20]}, [5, 5, 20, None, None]),
        ("IF(one, two, 5)", {"one": [1, 1, 0, 0, None], "two": [30, None, 0, 0, 30]}, [30, 0, 5, 5, None]),
        ("one + two", {"one": [1, None, None], "two": [2, 2, None]}, [3, 2, None]),
        ("one / two", {"one": [6, 6, 6], "two": [2, 0, None]}, [3, None, None]),
        ("CEIL(one / 5)", {"one": [0, 1, 5, 6]}, [0, 1, 1, 2]),
    ],
)
def test_metric_math_gives_what_the_guide_says(
    expression: str, series: dict[str, list[Point]], expected: list[Point]
) -> None:
    term = compiled(expression, nothing_is_zero=True)
    points = [dict(zip(series, values, strict=True)) for values in zip(*series.values(), strict=True)]
    assert [term(one, ()) for one in points] == expected


@pytest.mark.parametrize(
    ("most", "points", "is_raised"),
    [
        (3, "0-X-X", False),
        (3, "0----", False),
        (3, "-----", False),
        (3, "0XX-X", True),
        (3, "----X", False),
        (3, "X----", False),
        (2, "0-X-X", True),
        (2, "00X0X", True),
        (2, "0-X--", False),
        (2, "----0", False),
        (2, "----X", False),
    ],
)
def test_an_alarm_takes_missing_points_as_in_the_tables_of_the_guide(most: int, points: str, is_raised: bool) -> None:
    """The newest point is the last; three are evaluated of the five that are looked at (column "not breaching")."""
    alarm = Alarm(
        {
            "namespace": "AWS/SQS",
            "metricName": "One",
            "dimensions": {"QueueName": "tasks"},
            "statistic": "Maximum",
            "period": 5 * MINUTE,
            "evaluationPeriods": 3,
            "datapointsToAlarm": most,
            "comparisonOperator": "GreaterThanThreshold",
            "threshold": 0,
            "treatMissingData": "notBreaching",
        },
        READINGS,
    )
    metrics, named = Metrics(), key("AWS/SQS", "One", {"QueueName": "tasks"})
    for number, point in enumerate(points, 1):
        if point != "-":
            metrics.put(named, number * 5 * MINUTE, point == "X")
    assert alarm.evaluate(metrics, 25 * MINUTE) is is_raised


def test_a_point_that_is_late_is_not_seen_before_it_comes() -> None:
    metrics, named = Metrics(), key("AWS/SQS", "One", {"QueueName": "tasks"})
    metrics.put(named, MINUTE, 7, late=90)
    assert metrics.period(named, "Maximum", 0, 15 * MINUTE, now=2 * MINUTE) is None
    assert metrics.period(named, "Maximum", 0, 15 * MINUTE, now=3 * MINUTE) == 7
