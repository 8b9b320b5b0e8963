"""How many workers a fleet has."""

from collections.abc import Mapping

import pulumi
from pulumi_aws import appautoscaling, cloudwatch

from components.fargate_workers.settings import WorkerSettings
from components.task_queue import TaskQueue


class WorkerScaling(pulumi.ComponentResource):
    """Scaling by the queue's tasks, waiting or in flight, down to zero workers.

    Target tracking follows tasks per worker but cannot start from nothing: with no worker its metric stands still on
    what AWS last saw. So an alarm on the first waiting task starts the first worker.
    """

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
        queue_dimensions = {"QueueName": queue.queue_name}
        service_dimensions = {"ClusterName": cluster_name, "ServiceName": service_name}
        appautoscaling.Policy(
            f"{name}-backlog",
            policy_type="TargetTrackingScaling",
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            target_tracking_scaling_policy_configuration={
                "target_value": settings.tasks_per_worker,
                "scale_out_cooldown": 60,
                "scale_in_cooldown": 300,
                "customized_metric_specification": {
                    "metrics": [
                        _tracked("waiting", "AWS/SQS", "ApproximateNumberOfMessagesVisible", queue_dimensions),
                        # a task in flight counts, so that the last worker stops only when none is left
                        _tracked("in_hand", "AWS/SQS", "ApproximateNumberOfMessagesNotVisible", queue_dimensions),
                        _tracked("workers", "ECS/ContainerInsights", "RunningTaskCount", service_dimensions),
                        {
                            "id": "tasks_per_worker",
                            "expression": "(waiting + in_hand) / IF(FILL(workers, 0) > 0, FILL(workers, 1), 1)",
                            "label": "tasks per worker",
                            "return_data": True,
                        },
                    ]
                },
            },
            opts=child,
        )
        first = appautoscaling.Policy(
            f"{name}-first",
            policy_type="StepScaling",
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            step_scaling_policy_configuration={
                "adjustment_type": "ChangeInCapacity",
                "cooldown": 60,
                "metric_aggregation_type": "Maximum",
                "step_adjustments": [{"metric_interval_lower_bound": "0", "scaling_adjustment": 1}],
            },
            opts=child,
        )
        cloudwatch.MetricAlarm(
            f"{name}-first",
            alarm_description="Tasks wait and no worker runs: starts the first one. Not a fault.",
            comparison_operator="GreaterThanOrEqualToThreshold",
            evaluation_periods=1,
            threshold=1,
            treat_missing_data="notBreaching",
            alarm_actions=[first.arn],
            metric_queries=[
                {
                    "id": "waiting",
                    "metric": {
                        "namespace": "AWS/SQS",
                        "metric_name": "ApproximateNumberOfMessagesVisible",
                        "dimensions": queue_dimensions,
                        "period": 60,
                        "stat": "Maximum",
                    },
                },
                {
                    "id": "workers",
                    "metric": {
                        "namespace": "ECS/ContainerInsights",
                        "metric_name": "RunningTaskCount",
                        "dimensions": service_dimensions,
                        "period": 60,
                        "stat": "Maximum",
                    },
                },
                {
                    "id": "unattended",
                    "expression": "IF(FILL(workers, 0) > 0, 0, waiting)",
                    "label": "tasks that wait while no worker runs",
                    "return_data": True,
                },
            ],
            opts=child,
        )
        self.register_outputs({})


def _tracked(
    metric_id: str, namespace: str, metric_name: str, dimensions: Mapping[str, pulumi.Input[str]]
) -> appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationCustomizedMetricSpecificationMetricArgsDict:
    return {
        "id": metric_id,
        "return_data": False,
        "metric_stat": {
            "stat": "Average",
            "metric": {
                "namespace": namespace,
                "metric_name": metric_name,
                "dimensions": [{"name": key, "value": value} for key, value in dimensions.items()],
            },
        },
    }
