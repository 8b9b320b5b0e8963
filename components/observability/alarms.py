"""Alarms on the queues and the workers; silent while the platform is idle."""

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_aws import cloudwatch

from components.fargate_workers import WORKER_METRICS, FargateWorkers
from components.task_queue import TaskQueue, TaskQueueSettings

UNCONSUMED_MINUTES = 15
"""How long tasks wait without a consumer before somebody is notified; the first worker is up long before."""
WORKERS_BELOW_DESIRED_MINUTES = 15
"""How long ECS may take to bring up workers: capacity, a large image, one restart."""
WORKER_MEMORY_PERCENT = 90
FAILING_MINUTES = 15
LEAST_ATTEMPTS = 5
"""Attempts in five minutes below which their failures say nothing of the rest."""


def alarms(queues: Mapping[str, TaskQueue], workers: Mapping[str, FargateWorkers]) -> dict[str, Any]:
    """Name -> what the alarm watches. A deployment that fails has no metric: it is an event."""
    found: dict[str, Any] = {}
    for name, queue in queues.items():
        found[f"{name}-dead-letters"] = {
            "alarm_description": f"Tasks of queue {name} failed for good and wait in its dead-letter queue.",
            "namespace": "AWS/SQS",
            "metric_name": "ApproximateNumberOfMessagesVisible",
            "dimensions": {"QueueName": queue.dead_letter_name},
            "statistic": "Maximum",
            "period": 60,
            "evaluation_periods": 1,
            "threshold": 1,
            "comparison_operator": "GreaterThanOrEqualToThreshold",
        }
        found[f"{name}-too-old"] = {
            "alarm_description": f"The oldest task of queue {name} is older than all its receives together may last.",
            "namespace": "AWS/SQS",
            "metric_name": "ApproximateAgeOfOldestMessage",
            "dimensions": {"QueueName": queue.queue_name},
            "statistic": "Maximum",
            "period": 60,
            "evaluation_periods": 5,
            "threshold": oldest_task_seconds(queue.settings),
            "comparison_operator": "GreaterThanThreshold",
        }
        found[f"{name}-unconsumed"] = {
            "alarm_description": f"Tasks wait in queue {name}, none is in flight, and no consumer receives any.",
            "evaluation_periods": UNCONSUMED_MINUTES // 5,
            "threshold": 1,
            "comparison_operator": "GreaterThanOrEqualToThreshold",
            "metric_queries": [
                *(
                    _query(metric_id, "AWS/SQS", metric, {"QueueName": queue.queue_name}, statistic, 300)
                    for metric_id, metric, statistic in (
                        ("waiting", "ApproximateNumberOfMessagesVisible", "Minimum"),
                        ("in_hand", "ApproximateNumberOfMessagesNotVisible", "Maximum"),
                        ("received", "NumberOfMessagesReceived", "Sum"),
                    )
                ),
                {
                    "id": "unconsumed",
                    "expression": "IF(waiting > 0 AND FILL(in_hand, 0) == 0 AND FILL(received, 0) == 0, 1, 0)",
                    "label": "tasks wait and nobody receives them",
                    "return_data": True,
                },
            ],
        }
    for name, fleet in workers.items():
        service = {"ClusterName": fleet.cluster_name, "ServiceName": fleet.service_name}
        found[f"{name}-below-desired"] = {
            "alarm_description": (
                f"Fewer workers of {name} run than ECS is asked for: no capacity, or they end as they start."
            ),
            "evaluation_periods": WORKERS_BELOW_DESIRED_MINUTES,
            "threshold": 0,
            "comparison_operator": "GreaterThanThreshold",
            "metric_queries": [
                _query("desired", "ECS/ContainerInsights", "DesiredTaskCount", service, "Average", 60),
                _query("running", "ECS/ContainerInsights", "RunningTaskCount", service, "Average", 60),
                {
                    "id": "missing",
                    "expression": "desired - FILL(running, 0)",
                    "label": "workers that are missing",
                    "return_data": True,
                },
            ],
        }
        found[f"{name}-memory"] = {
            "alarm_description": (
                f"A worker of {name} is about to run out of memory: `workers.{name}.memory` is too small for its tasks."
            ),
            "namespace": "AWS/ECS",
            "metric_name": "MemoryUtilization",
            "dimensions": service,
            "statistic": "Maximum",
            "period": 60,
            "evaluation_periods": 5,
            "threshold": WORKER_MEMORY_PERCENT,
            "comparison_operator": "GreaterThanThreshold",
        }
        work = {"QueueName": fleet.queue_name}
        found[f"{name}-lost-leases"] = {
            "alarm_description": "A worker lost the message of a task: another worker does the task again.",
            "namespace": WORKER_METRICS,
            "metric_name": "LeasesLost",
            "dimensions": work,
            "statistic": "Sum",
            "period": 300,
            "evaluation_periods": 1,
            "threshold": 1,
            "comparison_operator": "GreaterThanOrEqualToThreshold",
        }
        found[f"{name}-failing"] = {
            "alarm_description": "More than half of all attempts at tasks fail.",
            "evaluation_periods": FAILING_MINUTES // 5,
            "threshold": 0.5,
            "comparison_operator": "GreaterThanThreshold",
            "metric_queries": [
                _query("done", WORKER_METRICS, "TasksDone", work, "Sum", 300),
                _query("failed", WORKER_METRICS, "TasksFailed", work, "Sum", 300),
                {
                    "id": "share",
                    "expression": f"IF(done + failed >= {LEAST_ATTEMPTS}, failed / (done + failed), 0)",
                    "label": "share of attempts that fail",
                    "return_data": True,
                },
            ],
        }
    return found


def oldest_task_seconds(settings: TaskQueueSettings) -> int:
    """Age beyond which a task was neither done nor given up: all its receives one after the other.

    Never more than half of the retention, so that somebody is notified before SQS drops the message.
    """
    return min(
        settings.visibility_timeout_seconds * settings.max_receive_count, settings.retention_days * 24 * 3600 // 2
    )


def _query(
    metric_id: str,
    namespace: str,
    metric_name: str,
    dimensions: Mapping[str, pulumi.Input[str]],
    statistic: str,
    period_seconds: int,
) -> cloudwatch.MetricAlarmMetricQueryArgsDict:
    return {
        "id": metric_id,
        "metric": {
            "namespace": namespace,
            "metric_name": metric_name,
            "dimensions": dimensions,
            "stat": statistic,
            "period": period_seconds,
        },
    }
