"""A fleet of workers on ECS Fargate that do the tasks of a queue; their number follows the work, down to zero.

Fargate has no GPU: workers prepare data, evaluate, and submit Batch jobs.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Self, cast

import pulumi
from pulumi_aws import appautoscaling, cloudwatch, ec2, ecs, vpc
from pydantic import Field, model_validator

from components import iam, quotas
from components.artifacts import RECORDS_PREFIX, Artifacts
from components.batch import BatchJobQueue
from components.images import OWN
from components.network import Needs, Network, for_secrets
from components.schema import Image, KeyArn, Like, Name, SecretArn, Settings, mistake, refuse
from components.task_queue import SendTo, TaskQueue, TaskQueueSettings, send_to, urls
from stack_file.mistakes import Mistake, near

LOG_RETENTION_DAYS = 30
STOP_TIMEOUT_SECONDS = 120
"""The longest that Fargate waits between SIGTERM and SIGKILL."""
WORKER_METRICS = "DistributedTraining/Worker"
"""Namespace of the metrics in the reference worker's log; their one dimension is `QueueName`."""
WORKER_MEMORY_MIB = 256
"""What the reference worker needs besides its tasks."""
USER = "10001:10001"
"""Numeric user and group of the reference worker's image."""
LARGEST_TASK_SECONDS = 43_200 - 900
"""SQS hides a message for 12 hours at most; use Batch for longer work."""

ROLE_ROOM = 45
"""Queues to send to for which the policies inside a role have room, besides a fleet's other rights."""
ROOM_OF_JOB_QUEUE = 3
"""How many of them the right to submit to a job queue takes the place of."""

SHORTEST_VISIBILITY_SECONDS = 60
"""The worker sends a heartbeat at a third of it, and a failing call to SQS may take 20 seconds."""

LEGAL_MEMORY_MIB: Mapping[int, Sequence[int]] = {
    256: (512, 1024, 2048),
    512: range(1024, 4096 + 1, 1024),
    1024: range(2048, 8192 + 1, 1024),
    2048: range(4096, 16_384 + 1, 1024),
    4096: range(8192, 30_720 + 1, 1024),
    8192: range(16_384, 61_440 + 1, 4096),
    16_384: range(32_768, 122_880 + 1, 8192),
}
"""CPU units (1024 are one vCPU) -> memory sizes that Fargate offers with them (ECS developer guide, "Task size")."""


ImageTag = Annotated[
    str,
    Like(r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", "must be a tag of an image, such as worker-1"),
]


class WorkerSettings(Settings):
    """One fleet of the `workers` section."""

    queue: Name = "tasks"
    """The queue under `queues` whose tasks the workers do."""
    shares_queue: bool = False
    """Whether other fleets may do tasks of the same queue; each of them must say so."""
    send_to: SendTo = ()
    """Queues that the workers may send to besides `results`, each under its URL in `QUEUE_URL_NAME`."""
    submit_to: Annotated[tuple[Name, ...], Field(max_length=ROLE_ROOM // ROOM_OF_JOB_QUEUE)] = ()
    """Job queues that the workers may submit to, each in `BATCH_JOB_QUEUE_NAME` and `BATCH_JOB_DEFINITION_NAME`."""
    image_tag: ImageTag = "worker-1"
    """Tag of the reference worker (`worker/`) in the stack's own image repository."""
    image: Image | None = None
    """Another container image, without the health check and the rules of the reference worker.

    `repository:TAG` is one in the stack's own repository.
    """
    command: tuple[str, ...] | None = None
    """Command of the container. Default: the command of its image."""
    cpu: Literal[256, 512, 1024, 2048, 4096, 8192, 16384] = 1024
    """CPU units of one worker; 1024 are one vCPU."""
    memory: Annotated[int, Field(ge=512)] = 4096
    """Memory of one worker in MiB."""
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    """Processor architecture of the image."""
    min_tasks: Annotated[int, Field(ge=0)] = 0
    """Workers that run even without work; 0 costs nothing while idle."""
    max_tasks: Annotated[int, Field(ge=1, le=5000)] = 20
    """Workers that run at most."""
    tasks_per_worker: Annotated[int, Field(ge=1)] = 5
    """How many tasks, waiting or in flight, there are for each worker; a lower number starts more workers."""
    spot_share: Annotated[float, Field(ge=0, le=1)] = 0.75
    """Share of the workers that run on Fargate Spot. AWS may stop these with two minutes' notice."""
    max_task_seconds: Annotated[int, Field(ge=1, le=LARGEST_TASK_SECONDS)] = 3600
    """How long one task may take, in seconds; use Batch for longer work."""
    environment: dict[str, str] = Field(default_factory=dict[str, str])
    """Environment variables of the container."""
    secrets: dict[str, SecretArn] = Field(default_factory=dict[str, SecretArn])
    """Environment variable -> ARN of the Secrets Manager secret or SSM parameter that holds its value."""
    secret_key_arns: tuple[KeyArn, ...] = ()
    """KMS keys of your own under which what is named under `secrets` is encrypted. AWS's own keys need not be named."""

    @model_validator(mode="after")
    def _is_a_legal_task(self) -> Self:
        legal = LEGAL_MEMORY_MIB[self.cpu]
        most_job_queues = (ROLE_ROOM - len(self.send_to)) // ROOM_OF_JOB_QUEUE
        refuse(
            [
                (key, rule, value)
                for wrong, key, rule, value in (
                    (
                        self.image is not None and "image_tag" in self.model_fields_set,
                        "imageTag",
                        "must be left out with image, which is no reference worker",
                        self.image_tag,
                    ),
                    (
                        len(self.submit_to) > most_job_queues,
                        "submitTo",
                        (
                            f"must be at most {most_job_queues} beside {len(self.send_to)} under sendTo, because a role"
                            " has no room for more"
                        ),
                        len(self.submit_to),
                    ),
                    (
                        self.memory not in legal,
                        "memory",
                        f"must be a size that Fargate offers with cpu {self.cpu}: {legal[0]} to {legal[-1]}",
                        self.memory,
                    ),
                    (
                        self.min_tasks > self.max_tasks,
                        "minTasks",
                        f"must be at most maxTasks ({self.max_tasks})",
                        self.min_tasks,
                    ),
                    *iam.wrong_keys(self.secrets.values(), self.secret_key_arns),
                )
                if wrong
            ]
        )
        return self

    def demands(self, path: str) -> Iterator[quotas.Demand]:
        """The vCPUs that it asks for at most, on demand and on spot."""
        vcpus = self.max_tasks * self.cpu / 1024
        yield from quotas.of_fargate(f"{path}.maxTasks", vcpus * (1 - self.spot_share), vcpus * self.spot_share)

    def endpoints(self, path: str) -> Needs:
        """What its tasks need where there is no NAT; Fargate reaches ECS itself without.

        ECS developer guide, "Amazon ECS interface VPC endpoints".
        """
        yield path, ("ecr.api", "ecr.dkr", "logs", "sqs")
        yield from for_secrets(f"{path}.secrets", self.secrets.values())
        if self.submit_to:
            yield f"{path}.submitTo", ("batch",)

    def missing_queues(self, path: str, queues: Mapping[str, TaskQueueSettings | None]) -> Iterator[Mistake]:
        """Mistakes where the stack file lacks a queue that the workers need; None is a queue with mistakes."""
        if self.queue not in queues:
            yield Mistake(
                path=f"{path}.queue",
                rule="must name a queue under queues",
                got=self.queue,
                meant=near(self.queue, queues),
            )
        if self.image is None and "results" not in queues:
            yield Mistake(
                path="queues.results", rule="is required by the reference worker, which answers there, got nothing"
            )
        if self.image is None and self.queue == "results":
            yield mistake(f"{path}.queue", "must not be the queue that the reference worker answers on", self.queue)
        watched = queues.get(self.queue)
        if watched is not None and watched.visibility_timeout_seconds < SHORTEST_VISIBILITY_SECONDS:
            yield mistake(
                f"queues.{self.queue}.visibilityTimeoutSeconds",
                f"must be at least {SHORTEST_VISIBILITY_SECONDS} for workers, whose heartbeat comes at a third of it",
                watched.visibility_timeout_seconds,
            )


def one_fleet(path: str, section: Any) -> Mistake | None:
    """The mistake of a section that is one fleet, as it was in 0.1.0, with the line that mends it."""
    if not isinstance(section, dict):
        return None
    given = cast("dict[str, Any]", section)
    own = {field.alias for field in WorkerSettings.model_fields.values()}
    objects = {"environment", "secrets"}
    if given and not any(key in own and (key in objects or not isinstance(one, dict)) for key, one in given.items()):
        return None
    # not the values, of which one may be a secret that is not to be said
    keys = ", ".join(f"{key}: ..." for key in given)
    return Mistake(path=path, rule=f"must be fleets by name: write `workers: {{workers: {{{keys}}}}}`")


def shared_queues(path: str, fleets: Mapping[str, WorkerSettings]) -> Iterator[Mistake]:
    """Mistakes of fleets that do the tasks of the same queue without a word."""
    for name, fleet in fleets.items():
        others = [other for other, one in fleets.items() if other != name and one.queue == fleet.queue]
        if others and not fleet.shares_queue:
            rule = f"must be another queue than that of {', '.join(others)}, or sharesQueue true in all of them"
            yield mistake(f"{path}.{name}.queue", rule, fleet.queue)


class FargateWorkers(pulumi.ComponentResource):
    """An ECS service whose containers poll a queue, scaled by the number of tasks in it."""

    cluster_name: pulumi.Output[str]
    """Name of the ECS cluster."""
    cluster_arn: pulumi.Output[str]
    """ARN of the ECS cluster."""
    service_name: pulumi.Output[str]
    """Name of the service."""
    service_arn: pulumi.Output[str]
    """ARN of the service."""
    task_definition_arn: pulumi.Output[str]
    """ARN of the task definition's revision."""
    queue_name: pulumi.Output[str]
    """Name of the queue whose tasks they do, as in its metrics and theirs."""

    def __init__(
        self,
        name: str,
        settings: WorkerSettings,
        *,
        account: iam.Account,
        network: Network,
        artifacts: Artifacts,
        queues: Mapping[str, TaskQueue],
        job_queues: Mapping[str, BatchJobQueue],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("distributed-training:index:FargateWorkers", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        queue, results = queues[settings.queue], queues.get("results")
        log_group = cloudwatch.LogGroup(
            name,
            retention_in_days=account.logs.days(LOG_RETENTION_DAYS),
            kms_key_id=account.logs.kms_key_arn,
            opts=child,
        )
        cluster = ecs.Cluster(name, settings=[{"name": "containerInsights", "value": "enabled"}], opts=child)
        providers = ecs.ClusterCapacityProviders(
            name, cluster_name=cluster.name, capacity_providers=["FARGATE", "FARGATE_SPOT"], opts=child
        )
        group = ec2.SecurityGroup(
            name,
            vpc_id=network.vpc_id,
            description="Workers: to AWS over HTTPS, from nobody",
            tags={"Name": name},
            # another description is another group
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["description"]),
        )
        vpc.SecurityGroupEgressRule(
            name,
            security_group_id=group.id,
            description="HTTPS",
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            cidr_ipv4="0.0.0.0/0",
            opts=child,
        )
        task_role = iam.ServiceRole(
            f"{name}-task",
            account=account,
            service="ecs-tasks.amazonaws.com",
            source_account=account.id,
            statements=[
                *queue.consume(),
                *(results.send() if results else ()),
                *send_to(queues, settings.send_to),
                *(statement for one in settings.submit_to for statement in job_queues[one].submit(cluster.name)),
                *artifacts.read_write(),
                # a worker guards itself against scale-in while it works
                iam.allow(
                    ["ecs:GetTaskProtection", "ecs:UpdateTaskProtection"],
                    [pulumi.Output.concat(account.arn("ecs", "task/"), cluster.name, "/*")],
                ),
            ],
            opts=child,
        )
        execution_role = iam.ServiceRole(
            f"{name}-execution",
            account=account,
            service="ecs-tasks.amazonaws.com",
            source_account=account.id,
            statements=[
                *artifacts.pull(settings.image),
                *iam.start_containers(log_group.arn, settings.secrets.values(), settings.secret_key_arns),
            ],
            opts=child,
        )
        definition = ecs.TaskDefinition(
            name,
            family=name,
            requires_compatibilities=["FARGATE"],
            network_mode="awsvpc",
            cpu=str(settings.cpu),
            memory=str(settings.memory),
            runtime_platform={
                "operating_system_family": "LINUX",
                "cpu_architecture": settings.architecture.upper(),
            },
            task_role_arn=task_role.arn,
            execution_role_arn=execution_role.arn,
            volumes=[{"name": "tmp"}],
            container_definitions=pulumi.Output.json_dumps(
                [
                    container_definition(
                        settings,
                        image=artifacts.image(settings.image or f"{OWN}:{settings.image_tag}"),
                        log_group=log_group.name,
                        region=account.region,
                        environment={
                            "ARTIFACTS_BUCKET": artifacts.bucket,
                            "WORKER_QUEUE_URL": queue.url,
                            **({} if results is None else {"WORKER_RESULTS_QUEUE_URL": results.url}),
                            # SQS's own count has room for the tasks that stopped workers give back
                            "WORKER_MAX_FAILURES": str(queue.settings.max_receive_count),
                            "WORKER_RECORDS_URL": pulumi.Output.concat("s3://", artifacts.bucket, "/", RECORDS_PREFIX),
                            "WORKER_MAX_TASK_SECONDS": str(settings.max_task_seconds),
                            **urls(queues, settings.send_to),
                            **submission({name: job_queues[name] for name in settings.submit_to}, cluster.name),
                            "WORKER_TASK_MEMORY_MIB": str(settings.memory - WORKER_MEMORY_MIB),
                            **settings.environment,
                        },
                    )
                ],
                sort_keys=True,
            ),
            # what a failed deployment goes back to must still be there
            skip_destroy=True,
            opts=child,
        )
        service = ecs.Service(
            name,
            cluster=cluster.arn,
            task_definition=definition.arn,
            desired_count=settings.min_tasks,
            capacity_provider_strategies=capacity_provider_strategies(settings),
            network_configuration={
                "subnets": network.private_subnet_ids,
                "security_groups": [group.id],
                "assign_public_ip": False,
            },
            deployment_circuit_breaker={"enable": True, "rollback": True},
            deployment_minimum_healthy_percent=100,
            deployment_maximum_percent=200,
            availability_zone_rebalancing="ENABLED",
            platform_version="LATEST",
            propagate_tags="SERVICE",
            enable_ecs_managed_tags=True,
            # without it the provider refuses another spot share (hashicorp/terraform-provider-aws pull request 43533)
            force_new_deployment=True,
            # a worker that guards its task would hold up a deletion for as long as the task takes
            force_delete=True,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[providers, task_role, execution_role, *network.egress],
                # scaling owns it from the first deployment on
                ignore_changes=["desiredCount"],
            ),
        )
        WorkerScaling(name, settings, cluster_name=cluster.name, service_name=service.name, queue=queue, opts=child)
        self.cluster_name, self.cluster_arn = cluster.name, cluster.arn
        self.service_name, self.service_arn = service.name, service.arn
        self.task_definition_arn = definition.arn
        self.queue_name = queue.queue_name
        self.register_outputs({"clusterName": self.cluster_name, "serviceName": self.service_name})


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


def container_definition(
    settings: WorkerSettings,
    *,
    image: pulumi.Input[str],
    log_group: pulumi.Input[str],
    region: str,
    environment: Mapping[str, pulumi.Input[str]],
) -> dict[str, Any]:
    """The worker's container, under the API's own keys (ECS API, `ContainerDefinition`)."""
    definition: dict[str, Any] = {
        "name": "worker",
        "image": image,
        "essential": True,
        "user": USER,
        "readonlyRootFilesystem": True,
        "linuxParameters": {"initProcessEnabled": True},
        # Fargate has no tmpfs: an empty volume is the one place to write
        "mountPoints": [{"sourceVolume": "tmp", "containerPath": "/tmp", "readOnly": False}],  # noqa: S108
        "stopTimeout": STOP_TIMEOUT_SECONDS,
        "environment": [{"name": key, "value": value} for key, value in sorted(environment.items())],
        "secrets": [{"name": key, "valueFrom": arn} for key, arn in sorted(settings.secrets.items())],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": log_group,
                "awslogs-region": region,
                "awslogs-stream-prefix": "worker",
                # a slow log never stops a worker; what does not fit is dropped
                "mode": "non-blocking",
                "max-buffer-size": "25m",
            },
        },
    }
    if settings.image is None:
        definition["healthCheck"] = {"command": ["CMD", "python", "-m", "worker", "--healthy"], "startPeriod": 30}
    if settings.command is not None:
        definition["command"] = list(settings.command)
    return definition


def submission(job_queues: Mapping[str, BatchJobQueue], submitter: pulumi.Input[str]) -> dict[str, pulumi.Input[str]]:
    """Environment variables that say how jobs are submitted to these queues."""
    variables = {name: name.upper().replace("-", "_") for name in job_queues}
    return {
        **{f"BATCH_JOB_QUEUE_{variables[name]}": one.arn for name, one in job_queues.items()},
        **{f"BATCH_JOB_DEFINITION_{variables[name]}": one.job_definition_name for name, one in job_queues.items()},
        **({"BATCH_SUBMITTED_BY": submitter} if job_queues else {}),
    }


def capacity_provider_strategies(settings: WorkerSettings) -> list[ecs.ServiceCapacityProviderStrategyArgs]:
    """How workers are split between Fargate and Fargate Spot, in percent."""
    spot = round(settings.spot_share * 100)
    return [
        ecs.ServiceCapacityProviderStrategyArgs(capacity_provider=provider, weight=weight)
        for provider, weight in (("FARGATE", 100 - spot), ("FARGATE_SPOT", spot))
        if weight
    ]


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
