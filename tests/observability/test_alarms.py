"""Alarms: when they ring, and that they do not at rest."""

import pytest

from components.observability.alarms import oldest_task_seconds
from components.task_queue import TaskQueueSettings
from local.run import Run
from tests.observability.support import ALARM
from tests.support import WHOLE, all_of, one_of


def test_no_alarm_is_raised_by_a_platform_at_rest(deployed: Run) -> None:
    alarms = {name: one for name, one in all_of(deployed, ALARM).items() if name.startswith("alerts-")}
    assert set(alarms) == {
        *(f"alerts-{queue}-{what}" for queue in WHOLE["queues"] for what in ("dead-letters", "too-old", "unconsumed")),
        "alerts-workers-below-desired",
        "alerts-workers-memory",
        "alerts-workers-lost-leases",
        "alerts-workers-failing",
    }
    topic = deployed.exports["alerts_topic_arn"]
    for alarm in alarms.values():
        assert alarm.inputs["treatMissingData"] == "notBreaching"
        assert alarm.inputs["alarmActions"] == alarm.inputs["okActions"] == [topic]


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        (TaskQueueSettings(visibility_timeout_seconds=900, max_receive_count=5), 4500),
        (TaskQueueSettings(visibility_timeout_seconds=60, max_receive_count=1), 60),
        (TaskQueueSettings(visibility_timeout_seconds=43_200, max_receive_count=1000, retention_days=2), 86_400),
    ],
)
def test_a_task_is_too_old_when_its_receives_are_over_or_it_is_soon_dropped(
    settings: TaskQueueSettings, seconds: int
) -> None:
    assert oldest_task_seconds(settings) == seconds


def test_a_queue_is_unconsumed_only_while_tasks_wait_and_none_is_in_hand(deployed: Run) -> None:
    queries = one_of(deployed, ALARM, "alerts-tasks-unconsumed").inputs["metricQueries"]
    assert {one["id"]: one["metric"]["stat"] for one in queries if "metric" in one} == {
        "waiting": "Minimum",
        "in_hand": "Maximum",
        "received": "Sum",
    }
    (result,) = [one for one in queries if one.get("returnData")]
    assert result["expression"] == "IF(waiting > 0 AND FILL(in_hand, 0) == 0 AND FILL(received, 0) == 0, 1, 0)"
