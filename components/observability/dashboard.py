"""The page that shows whether the platform works: a row of widgets for every part."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import pulumi

from components.batch import GPU_METRICS, BatchJobQueue, metric
from components.cluster import GpuCluster
from components.fargate_workers import WORKER_METRICS, FargateWorkers
from components.task_queue import TaskQueue

WIDGET_COLUMNS = 24
"""Width of a CloudWatch dashboard."""
WIDGET_HEIGHT = 6
MOST_ALARMS = 100
"""Alarms of one widget (CloudWatch API, "Dashboard body structure and syntax")."""

VCPU_CLASSES = ("Standard", "G", "P", "Trn")
"""Families of instance types that share a quota of vCPUs (EC2 user guide, "Amazon EC2 service quotas")."""

Metric = Sequence[pulumi.Input[str]]
"""A metric of a dashboard: namespace, name, then names and values of dimensions."""
Widget = dict[str, Any]
"""A dashboard's widget without its place."""


def widgets(
    *,
    region: str,
    alarm_arns: Sequence[pulumi.Output[str]],
    queues: Mapping[str, TaskQueue],
    workers: Mapping[str, FargateWorkers],
    job_queues: Mapping[str, BatchJobQueue],
    job_log_group_name: pulumi.Output[str] | None,
    cluster: GpuCluster | None,
) -> list[dict[str, Any]]:
    """The widgets of the dashboard, each in its place."""
    rows = [
        *([_alarm_widget(alarm_arns[first : first + MOST_ALARMS])] for first in range(0, len(alarm_arns), MOST_ALARMS)),
        *_queue_rows(queues),
        *_worker_rows(workers),
        *([] if job_log_group_name is None else _job_rows(job_log_group_name)),
        *_gpu_rows({name: one.gpu_dimensions for name, one in job_queues.items() if one.gpu_dimensions}),
        *(_cluster_rows(cluster) if cluster else []),
        *([] if job_log_group_name is None and cluster is None else [[_vcpu_graph()]]),
    ]
    return _grid(rows, region)


def _queue_rows(queues: Mapping[str, TaskQueue]) -> list[list[Widget]]:
    return [
        [
            _graph(
                f"Queue {name}: tasks waiting, in flight, failed for good",
                [
                    ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue.queue_name],
                    ["AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "QueueName", queue.queue_name],
                    ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue.dead_letter_name],
                ],
            ),
            _graph(
                f"Queue {name}: age of the oldest task in seconds",
                [["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", queue.queue_name]],
            ),
            *([] if queue.settings.fifo else [_fairness_graph(name, queue)]),
        ]
        for name, queue in queues.items()
    ]


def _fairness_graph(name: str, queue: TaskQueue) -> Widget:
    metrics = ("ApproximateNumberOfNoisyGroups", "ApproximateNumberOfMessagesVisibleInQuietGroups")
    return _graph(
        f"Queue {name}: groups with many tasks, tasks of the others that wait",
        [["AWS/SQS", one, "QueueName", queue.queue_name] for one in metrics],
    )


def _worker_rows(workers: Mapping[str, FargateWorkers]) -> list[list[Widget]]:
    return [row for name, fleet in workers.items() for row in _rows_of_fleet(name, fleet)]


def _rows_of_fleet(name: str, fleet: FargateWorkers) -> list[list[Widget]]:
    service = ("ClusterName", fleet.cluster_name, "ServiceName", fleet.service_name)
    work = ("QueueName", fleet.queue_name)
    return [
        [
            _graph(
                f"Workers of {name}: asked for and running",
                [["ECS/ContainerInsights", one, *service] for one in ("DesiredTaskCount", "RunningTaskCount")],
            ),
            _graph(
                f"Workers of {name}: CPU and memory of the busiest, in percent",
                [["AWS/ECS", one, *service] for one in ("CPUUtilization", "MemoryUtilization")],
            ),
        ],
        [
            _graph(
                f"Workers of {name}: attempts at tasks that were done, failed, were given back, were lost",
                [[WORKER_METRICS, one, *work] for one in ("TasksDone", "TasksFailed", "TasksGivenBack", "LeasesLost")],
                stat="Sum",
            ),
            _graph(
                f"Workers of {name}: seconds that the longest task waited and took",
                [[WORKER_METRICS, one, *work] for one in ("SecondsWaited", "SecondsWorked")],
            ),
        ],
    ]


def _job_rows(log_group_name: pulumi.Output[str]) -> list[list[Widget]]:
    return [
        [
            {
                "type": "log",
                "properties": {
                    "title": "Batch jobs by state, of those that changed it in the time shown",
                    "view": "table",
                    "query": pulumi.Output.concat(
                        "SOURCE '",
                        log_group_name,
                        "' | stats latest(detail.status) as state, latest(detail.jobQueue) as queue by detail.jobId",
                        " | stats count(*) as jobs by queue, state",
                    ),
                },
            }
        ]
    ]


def _gpu_rows(queues: Mapping[str, Mapping[str, str]]) -> list[list[Widget]]:
    """The row of the GPUs of Batch instances, where any are measured, with a line for each queue."""
    titles = {
        "utilization_gpu": "use in percent",
        "memory_used": "memory in use in MiB",
        "temperature_gpu": "degrees Celsius",
    }
    graphs = [
        _graph(
            f"GPUs of Batch jobs: {title}",
            [[GPU_METRICS, metric(measure), *chain(*named.items())] for named in queues.values()],
            period_seconds=300,
            stat="Maximum" if measure == "temperature_gpu" else "Average",
        )
        for measure, title in titles.items()
    ]
    return [graphs] if queues else []


def _cluster_rows(cluster: GpuCluster) -> list[list[Widget]]:
    waiting: Metric = ["AWS/EKS", "scheduler_pending_pods_UNSCHEDULABLE", "ClusterName", cluster.cluster_name]
    nodes: list[Metric] = [
        ["AWS/AutoScaling", "GroupInServiceInstances", "AutoScalingGroupName", name]
        for name in cluster.autoscaling_group_names
    ]
    return [
        [
            *([_graph("EKS: GPU nodes in service, by node group", nodes)] if nodes else []),
            _graph("EKS: pods that no node has room for", [waiting]),
        ],
        *([_insights_row(cluster)] if cluster.has_insights else []),
    ]


def _insights_row(cluster: GpuCluster) -> list[Widget]:
    titles = {
        "utilization": "use in percent",
        "memory_used": "memory in use in bytes",
        "temperature": "degrees Celsius",
    }
    return [
        _graph(
            f"GPUs of EKS: {title}",
            [["ContainerInsights", f"node_gpu_{measure}", "ClusterName", cluster.cluster_name]],
            period_seconds=300,
            stat="Maximum" if measure == "temperature" else "Average",
        )
        for measure, title in titles.items()
    ]


def _vcpu_graph() -> Widget:
    return _graph(
        "vCPUs that run in this account and region, by quota",
        [
            [
                "AWS/Usage",
                "ResourceCount",
                "Service",
                "EC2",
                "Type",
                "Resource",
                "Resource",
                "vCPU",
                "Class",
                vcpu_class,
            ]
            for capacity in ("OnDemand", "Spot")
            for vcpu_class in (f"{family}/{capacity}" for family in VCPU_CLASSES)
        ],
        period_seconds=300,
    )


def _graph(title: str, metrics: Sequence[Metric], *, period_seconds: int = 60, stat: str = "Maximum") -> Widget:
    properties = {"title": title, "metrics": metrics, "stat": stat, "period": period_seconds}
    return {"type": "metric", "properties": properties}


def _alarm_widget(alarm_arns: Sequence[pulumi.Output[str]]) -> Widget:
    return {"type": "alarm", "properties": {"title": "Alarms", "alarms": alarm_arns}}


def _grid(rows: Sequence[Sequence[Widget]], region: str) -> list[dict[str, Any]]:
    """The widgets in their places, as wide as their row has room."""
    return [
        {
            "type": widget["type"],
            "x": WIDGET_COLUMNS // len(row) * column,
            "y": WIDGET_HEIGHT * line,
            "width": WIDGET_COLUMNS // len(row),
            "height": WIDGET_HEIGHT,
            "properties": widget["properties"] | ({} if widget["type"] == "alarm" else {"region": region}),
        }
        for line, row in enumerate(rows)
        for column, widget in enumerate(row)
    ]
