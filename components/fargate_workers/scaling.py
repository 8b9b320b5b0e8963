"""How many workers a fleet has.

One alarm follows how many workers the work needs, and one policy gives the fleet that size. Both read levels, not
changes, so that whatever was missed is made good a minute later. It holds for late and missing metrics in
tests/test_scaling.py, which simulates AWS's side.
"""

import itertools

import pulumi
from pulumi_aws import appautoscaling, cloudwatch

from components.fargate_workers.settings import WorkerSettings
from components.task_queue import TaskQueue

MOST_STEPS = 20
"""Step adjustments of one policy (Application Auto Scaling user guide, "Quotas")."""
LOOK_BACK_SECONDS = 900
"""How long work is remembered: as long as SQS's metrics may pause, and until the last worker goes."""
COOLDOWN_SECONDS = 60
ANY_NUMBER = 1_000_000
"""More than the workers that any queue needs."""


class WorkerScaling(pulumi.ComponentResource):
    """Scaling by the queue's tasks, down to `minTasks`."""

    def __init__(
        self,
        name: str,
        settings: WorkerSettings,
        *,
        cluster_name: pulumi.Output[str],
        service_name: pulumi.Output[str],
        queue: TaskQueue,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("distributed-training:index:WorkerScaling", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        target = appautoscaling.Target(
            name,
            service_namespace="ecs",
            scalable_dimension="ecs:service:DesiredCount",
            resource_id=pulumi.Output.concat("service/", cluster_name, "/", service_name),
            min_capacity=settings.min_tasks,
            max_capacity=settings.max_tasks,
            opts=child,
        )
        policy = appautoscaling.Policy(
            f"{name}-size",
            policy_type="StepScaling",
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            step_scaling_policy_configuration=appautoscaling.PolicyStepScalingPolicyConfigurationArgs(
                # a change of capacity would need a base, of which AWS's pages name two
                adjustment_type="ExactCapacity",
                cooldown=COOLDOWN_SECONDS,
                metric_aggregation_type="Maximum",
                step_adjustments=steps(sizes(settings.min_tasks, settings.max_tasks)),
            ),
            opts=child,
        )
        work = {"QueueName": queue.queue_name}
        service = {"ClusterName": cluster_name, "ServiceName": service_name}
        cloudwatch.MetricAlarm(
            f"{name}-size",
            alarm_description=(
                f"How many workers {name} needs. In alarm while its queue is in use, so that it scales. Not a fault."
            ),
            comparison_operator="GreaterThanOrEqualToThreshold",
            evaluation_periods=1,
            threshold=0,
            # no metrics, no change
            treat_missing_data="notBreaching",
            alarm_actions=[policy.arn],
            metric_queries=[
                *(
                    {
                        "id": metric_id,
                        "metric": {
                            "namespace": namespace,
                            "metric_name": metric,
                            "dimensions": dimensions,
                            "period": LOOK_BACK_SECONDS,
                            "stat": "Maximum",
                        },
                    }
                    for metric_id, namespace, metric, dimensions in (
                        ("waiting", "AWS/SQS", "ApproximateNumberOfMessagesVisible", work),
                        ("in_hand", "AWS/SQS", "ApproximateNumberOfMessagesNotVisible", work),
                        ("running", "ECS/ContainerInsights", "RunningTaskCount", service),
                    )
                ),
                *(
                    {
                        "id": metric_id,
                        "expression": expression,
                        "label": label,
                        "return_data": metric_id == "size",
                    }
                    for metric_id, expression, label in expressions(settings)
                ),
            ],
            opts=child,
        )
        self.register_outputs({})


def expressions(settings: WorkerSettings) -> list[tuple[str, str, str]]:
    """Id, metric math and label of what the alarm computes; the last is the size.

    A series without a point counts as 0 in a sum and in a comparison, and as the condition of IF it drops the point
    (CloudWatch user guide, "Using math expressions with CloudWatch metrics"). So a missing metric counts as none,
    except the number of tasks that wait: without it there is no size.
    """
    # other fleets' tasks in hand do not tell that this one's image starts
    at_work = "running" if settings.shares_queue else "in_hand + running"
    return [
        # tasks that wait for their next attempt are in flight, too, and need no worker
        ("busy", "IF(in_hand > running, running, in_hand)", "workers that are busy"),
        ("backlog", f"CEIL(waiting / {settings.tasks_per_worker})", "workers for the tasks that wait"),
        ("needed", "IF(busy > backlog, busy, backlog)", "workers that are needed"),
        # an image that does not start is asked for once, however many tasks wait
        ("allowed", f"1 + {ANY_NUMBER} * ({at_work})", "one, until one is at work"),
        ("enough", "IF(needed > allowed, 1, needed)", "workers that are asked for"),
        ("size", "IF(waiting, enough, enough)", "the same, while SQS has metrics of the queue"),
    ]


def sizes(least: int, most: int) -> list[int]:
    """The sizes that a fleet may have, rising, as many as a policy has steps.

    Beyond the smallest, each is at most a certain share above the one before: 4 % for 20, 33 % for 200.
    """
    growth = 1.0
    while True:
        found = [least]
        while found[-1] < most:
            found.append(min(most, max(found[-1] + 1, int(found[-1] * growth))))
        if len(found) <= MOST_STEPS:
            return found
        growth += 0.01


def steps(fleet_sizes: list[int]) -> list[appautoscaling.PolicyStepScalingPolicyConfigurationStepAdjustmentArgs]:
    """Adjustments to the smallest size that is enough, by the alarm's value above its threshold, which is 0."""
    bounds = ["0", *(str(size + 1) for size in fleet_sizes[:-1])]
    return [
        appautoscaling.PolicyStepScalingPolicyConfigurationStepAdjustmentArgs(
            scaling_adjustment=size, metric_interval_lower_bound=lower, metric_interval_upper_bound=upper
        )
        for size, (lower, upper) in zip(fleet_sizes, itertools.zip_longest(bounds, bounds[1:]), strict=True)
    ]
