"""Alarms on the queues, the workers, the Batch jobs that wait and their GPUs; silent while the platform is idle.

A metric without points counts as 0 in sums and differences (CloudWatch user guide, "Using math expressions with
CloudWatch metrics"); expressions need no more than that, because AWS leaves out some that are 0.
"""

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_aws import cloudwatch

from components.batch import FAULTS, GPU_METRICS, BatchJobQueue, BatchJobQueueSettings, metric
from components.cluster import GpuCluster
from components.fargate_workers import WORKER_METRICS, FargateWorkers
from components.observability.job_queue_probe import PROBE_MINUTES, JobQueueProbe
from components.observability.job_queue_probe_handler import INVALID, METRICS, QUEUE, WAITED, WAITED_IN_IDLE
from components.task_queue import TaskQueue, TaskQueueSettings

PERIOD_SECONDS = 300
"""Metrics come up to minutes late: a shorter period would often be empty when it is looked at."""
UNCONSUMED_MINUTES = 15
"""How long tasks wait without a consumer before somebody is notified; the first worker is up long before."""
WORKERS_BELOW_DESIRED_MINUTES = 15
"""How long ECS may take to bring up workers: capacity, a large image, one restart."""
LEAST_MISSING_SHARE = 0.1
"""Share of the workers that may be missing without an alarm: in a large fleet on spot capacity some are always
starting."""
WORKER_MEMORY_PERCENT = 90
FAILING_MINUTES = 15
LEAST_ATTEMPTS = 5
"""Fewest attempts in five minutes of which the share of failures is judged."""
LONGEST_RETRY_SECONDS = 900
"""The longest that the reference worker lets a task wait for its next attempt."""
IDLE_GPU_PERCENT = 5
IDLE_GPU_MINUTES = 30
"""Longer than an instance takes to pull a large image, and to end when nothing is left to do."""
PROBE_PERIOD_SECONDS = 2 * PROBE_MINUTES * 60
"""There is an answer of Batch in each, also when one comes a little late."""
IDLE_QUEUE_MINUTES = 30
"""How long nothing of a queue runs while a job waits: the last ended, and an instance for the next one starts."""
INSTANCE_START_MINUTES = 15
"""Longer than a large instance takes until it runs a job; jobs that come one by one wait for as long each."""
PROBE_FAILING_MINUTES = 60
ANY_NUMBER = 1_000_000
"""More than all messages of a queue."""


def alarms(
    queues: Mapping[str, TaskQueue],
    workers: Mapping[str, FargateWorkers],
    job_queues: Mapping[str, BatchJobQueue],
    probe: JobQueueProbe | None,
    cluster: GpuCluster | None,
) -> dict[str, Any]:
    """Name -> what the alarm watches. A deployment that fails has no metric: it is an event."""
    found: dict[str, Any] = {}
    longest_seconds = {
        name: max(
            (one.settings.max_task_seconds for one in workers.values() if one.settings.queue == name), default=None
        )
        for name in queues
    }
    for name, queue in queues.items():
        work = {"QueueName": queue.queue_name}
        found[f"{name}-dead-letters"] = {
            "alarm_description": f"Tasks of queue {name} failed for good and wait in its dead-letter queue.",
            "namespace": "AWS/SQS",
            "metric_name": "ApproximateNumberOfMessagesVisible",
            "dimensions": {"QueueName": queue.dead_letter_name},
            "statistic": "Maximum",
            "period": PERIOD_SECONDS,
            "evaluation_periods": 1,
            "threshold": 1,
            "comparison_operator": "GreaterThanOrEqualToThreshold",
        }
        if is_left_to_its_readers(name, workers):
            continue
        found[f"{name}-too-old"] = {
            "alarm_description": f"The oldest task of queue {name} is older than all its attempts together may last.",
            "namespace": "AWS/SQS",
            "metric_name": "ApproximateAgeOfOldestMessage",
            "dimensions": work,
            "statistic": "Maximum",
            "period": PERIOD_SECONDS,
            "evaluation_periods": 2,
            "threshold": oldest_task_seconds(queue.settings, longest_seconds[name]),
            "comparison_operator": "GreaterThanThreshold",
        }
        found[f"{name}-unconsumed"] = {
            "alarm_description": f"Tasks wait in queue {name}, none is in flight, and no consumer receives any.",
            "evaluation_periods": UNCONSUMED_MINUTES * 60 // PERIOD_SECONDS,
            "threshold": 1,
            "comparison_operator": "GreaterThanOrEqualToThreshold",
            "metric_queries": [
                *(
                    _query(metric_id, "AWS/SQS", metric, work, statistic)
                    for metric_id, metric, statistic in (
                        ("waiting", "ApproximateNumberOfMessagesVisible", "Minimum"),
                        ("in_hand", "ApproximateNumberOfMessagesNotVisible", "Maximum"),
                        ("received", "NumberOfMessagesReceived", "Sum"),
                    )
                ),
                {
                    "id": "unconsumed",
                    "expression": f"waiting - {ANY_NUMBER} * (in_hand + received)",
                    "label": "tasks that wait and nobody receives",
                    "return_data": True,
                },
            ],
        }
        if not queue.settings.fifo:
            found[f"{name}-unfair"] = {
                "alarm_description": (
                    f"In queue {name} a task waits for long though its message group has few, while another has many."
                ),
                "evaluation_periods": 2,
                "threshold": (longest_seconds[name] or queue.settings.visibility_timeout_seconds) * 2,
                "comparison_operator": "GreaterThanThreshold",
                "metric_queries": [
                    _query("noisy", "AWS/SQS", "ApproximateNumberOfNoisyGroups", work, "Maximum"),
                    _query("age", "AWS/SQS", "ApproximateAgeOfOldestMessageInQuietGroups", work, "Maximum"),
                    {
                        "id": "unfair",
                        "expression": "IF(noisy, age, 0)",
                        "label": "age of the oldest task of a quiet group beside a noisy one",
                        "return_data": True,
                    },
                ],
            }
    for name, fleet in workers.items():
        service = {"ClusterName": fleet.cluster_name, "ServiceName": fleet.service_name}
        found[f"{name}-below-desired"] = {
            "alarm_description": (
                f"Fewer workers of {name} run than ECS is asked for: no capacity, or they end as they start."
                f" Where none runs, the alarm of their queue says so."
            ),
            "evaluation_periods": WORKERS_BELOW_DESIRED_MINUTES * 60 // PERIOD_SECONDS,
            "threshold": LEAST_MISSING_SHARE,
            "comparison_operator": "GreaterThanThreshold",
            "metric_queries": [
                _query("desired", "ECS/ContainerInsights", "DesiredTaskCount", service, "Average"),
                _query("running", "ECS/ContainerInsights", "RunningTaskCount", service, "Average"),
                {
                    "id": "missing",
                    "expression": "(desired - running) / desired",
                    "label": "share of the workers that is missing",
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
            "period": PERIOD_SECONDS,
            "evaluation_periods": 2,
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
            "period": PERIOD_SECONDS,
            "evaluation_periods": 1,
            "threshold": 1,
            "comparison_operator": "GreaterThanOrEqualToThreshold",
        }
        found[f"{name}-failing"] = {
            "alarm_description": "More than half of all attempts at tasks fail.",
            "evaluation_periods": FAILING_MINUTES * 60 // PERIOD_SECONDS,
            "threshold": 0.5,
            "comparison_operator": "GreaterThanThreshold",
            "metric_queries": [
                _query("done", WORKER_METRICS, "TasksDone", work, "Sum"),
                _query("failed", WORKER_METRICS, "TasksFailed", work, "Sum"),
                {
                    "id": "share",
                    "expression": f"IF(done + failed >= {LEAST_ATTEMPTS}, failed / (done + failed), 0)",
                    "label": "share of attempts that fail",
                    "return_data": True,
                },
            ],
        }
    for name, job_queue in job_queues.items():
        named = {QUEUE: job_queue.queue_name}
        found[f"{name}-invalid-environment"] = {
            "alarm_description": (
                f"A compute environment of job queue {name} is INVALID and starts no instance: its statusReason says"
                " why."
            ),
            "namespace": METRICS,
            "metric_name": INVALID,
            "dimensions": named,
            "statistic": "Maximum",
            "period": PROBE_PERIOD_SECONDS,
            "evaluation_periods": 1,
            "threshold": 1,
            "comparison_operator": "GreaterThanOrEqualToThreshold",
        }
        found[f"{name}-nothing-starts"] = {
            "alarm_description": (
                f"Jobs of job queue {name} wait, and for {IDLE_QUEUE_MINUTES} minutes none of its jobs has run."
            ),
            "namespace": METRICS,
            "metric_name": WAITED_IN_IDLE,
            "dimensions": named,
            # one answer that a job runs is enough
            "statistic": "Minimum",
            "period": PROBE_PERIOD_SECONDS,
            "evaluation_periods": IDLE_QUEUE_MINUTES * 60 // PROBE_PERIOD_SECONDS,
            "threshold": INSTANCE_START_MINUTES * 60,
            "comparison_operator": "GreaterThanOrEqualToThreshold",
        }
        found[f"{name}-waits-too-long"] = {
            "alarm_description": (
                f"The same job has been the first of job queue {name} for longer than its `timeoutHours` and"
                " `waitHours` together."
            ),
            "namespace": METRICS,
            "metric_name": WAITED,
            "dimensions": named,
            "statistic": "Maximum",
            "period": PROBE_PERIOD_SECONDS,
            "evaluation_periods": 1,
            "threshold": longest_wait_seconds(job_queue.settings),
            "comparison_operator": "GreaterThanThreshold",
        }
        if job_queue.gpu_dimensions is None:
            continue
        found[f"{name}-idle-gpus"] = {
            "alarm_description": (
                f"Instances of job queue {name} run, and for {IDLE_GPU_MINUTES} minutes their GPUs have done next to"
                f" nothing."
            ),
            "namespace": GPU_METRICS,
            "metric_name": metric("utilization_gpu"),
            "dimensions": job_queue.gpu_dimensions,
            # of all GPUs together: between two batches each of them is idle
            "statistic": "Average",
            "period": PERIOD_SECONDS,
            "evaluation_periods": IDLE_GPU_MINUTES * 60 // PERIOD_SECONDS,
            "threshold": IDLE_GPU_PERCENT,
            "comparison_operator": "LessThanThreshold",
        }
        found[f"{name}-gpu-faults"] = {
            "alarm_description": (
                f"The driver of an instance of job queue {name} reported an error (XID) after which its GPU should not"
                f" be used any more."
            ),
            "namespace": GPU_METRICS,
            "metric_name": FAULTS,
            "dimensions": job_queue.gpu_dimensions,
            "statistic": "Sum",
            "period": PERIOD_SECONDS,
            "evaluation_periods": 1,
            "threshold": 1,
            "comparison_operator": "GreaterThanOrEqualToThreshold",
        }
    if probe is not None:
        found["job-queues-unwatched"] = {
            "alarm_description": (
                f"For {PROBE_FAILING_MINUTES} minutes the function that asks AWS Batch about the job queues has failed:"
                " their alarms may be silent."
            ),
            "namespace": "AWS/Lambda",
            "metric_name": "Errors",
            "dimensions": {"FunctionName": probe.function_name},
            "statistic": "Sum",
            "period": PROBE_PERIOD_SECONDS,
            "evaluation_periods": PROBE_FAILING_MINUTES * 60 // PROBE_PERIOD_SECONDS,
            "threshold": 1,
            "comparison_operator": "GreaterThanOrEqualToThreshold",
        }
    if cluster is not None and cluster.has_insights:
        found["eks-nodes-idle"] = {
            "alarm_description": (
                f"GPU nodes of the EKS cluster run, and for {IDLE_GPU_MINUTES} minutes their GPUs have done next to"
                f" nothing."
            ),
            "namespace": "ContainerInsights",
            # without GPU nodes it has no points
            "metric_name": "node_gpu_utilization",
            "dimensions": {"ClusterName": cluster.cluster_name},
            "statistic": "Average",
            "period": PERIOD_SECONDS,
            "evaluation_periods": IDLE_GPU_MINUTES * 60 // PERIOD_SECONDS,
            "threshold": IDLE_GPU_PERCENT,
            "comparison_operator": "LessThanThreshold",
        }
    return found


def is_left_to_its_readers(name: str, workers: Mapping[str, FargateWorkers]) -> bool:
    """Whether it is the queue that reference workers answer on, which nobody has to read."""
    fleets = [one.settings for one in workers.values()]
    return name == "results" and any(one.image is None for one in fleets) and all(one.queue != name for one in fleets)


def oldest_task_seconds(settings: TaskQueueSettings, longest_seconds: int | None) -> int:
    """Age in seconds that a task cannot reach while its workers keep up: all its attempts one after the other.

    An attempt takes as long as a worker's task may, and the wait for the next one; without workers, it is a receive.
    Never more than half of the retention, so that somebody is notified before SQS drops the message.
    """
    visible_seconds = settings.visibility_timeout_seconds
    attempt_seconds = (
        visible_seconds if longest_seconds is None else longest_seconds + max(visible_seconds, LONGEST_RETRY_SECONDS)
    )
    return min(attempt_seconds * settings.max_receive_count, settings.retention_days * 24 * 3600 // 2)


def longest_wait_seconds(settings: BatchJobQueueSettings) -> int:
    """How long the first job of a queue may wait in a queue that is full, and then for an instance.

    Beyond it, every attempt that ran when the job became the first has ended or was stopped.
    """
    return round((settings.timeout_hours + settings.wait_hours) * 3600)


def _query(
    metric_id: str,
    namespace: str,
    metric_name: str,
    dimensions: Mapping[str, pulumi.Input[str]],
    statistic: str,
) -> cloudwatch.MetricAlarmMetricQueryArgsDict:
    return {
        "id": metric_id,
        "metric": {
            "namespace": namespace,
            "metric_name": metric_name,
            "dimensions": dimensions,
            "stat": statistic,
            "period": PERIOD_SECONDS,
        },
    }
