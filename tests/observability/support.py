"""What the tests of alarms, events and the dashboard share."""

import json
from collections.abc import Callable
from typing import Any

from local.run import Run
from tests.support import one_of

MistakesIn = Callable[[dict[str, Any]], list[str]]

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
RULE = "aws:cloudwatch/eventRule:EventRule"


def widgets(run: Run) -> list[dict[str, Any]]:
    return json.loads(one_of(run, "aws:cloudwatch/dashboard:Dashboard", "alerts").inputs["dashboardBody"])["widgets"]
