"""A fleet of workers on ECS that do the tasks of a queue; their number follows the work, down to zero.

They run on Fargate, to prepare data and submit Batch jobs, or with GPUs on EC2 instances, to evaluate and embed.
"""

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_aws import ec2, ecs, vpc

from components import iam
from components.accelerators import InstanceFacts
from components.artifacts import RECORDS_PREFIX, Artifacts
from components.batch import BatchJobQueue
from components.fargate_workers.container import WORKER_MEMORY_MIB, container_definition, submission
from components.fargate_workers.instances import GpuInstances
from components.fargate_workers.scaling import WorkerScaling
from components.fargate_workers.settings import WorkerSettings
from components.images import OWN
from components.json_document import to_json
from components.network import Network
from components.task_queue import TaskQueue, send_to, urls

ON_FARGATE: Mapping[str, Any] = {
    "deployment_minimum_healthy_percent": 100,
    "deployment_maximum_percent": 200,
    "availability_zone_rebalancing": "ENABLED",
    "platform_version": "LATEST",
}
"""How a service places workers on Fargate: in a deployment the new ones start first."""
ON_INSTANCES: Mapping[str, Any] = {
    # with as many again beside them a deployment would wait for GPUs that there are not
    "deployment_minimum_healthy_percent": 0,
    "deployment_maximum_percent": 100,
    # an even spread would start instances, and the placement that fills one first excludes it
    "availability_zone_rebalancing": "DISABLED",
    "ordered_placement_strategies": [{"type": "binpack", "field": "memory"}],
}
"""How a service places workers on instances: one that is idle makes room for the new one, one that is busy ends its
task first."""


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
    settings: WorkerSettings
    """Its settings."""

    def __init__(
        self,
        name: str,
        settings: WorkerSettings,
        *,
        facts: Mapping[str, InstanceFacts],
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
        cpu, memory_mib = settings.size(facts)
        log_group = account.logs.group(name, opts=child)
        cluster = ecs.Cluster(
            # another one with GPUs: a cluster gives up no capacity that its service still has. An underscore, which is
            # in the name of no fleet
            f"{name}_gpu" if settings.gpu else name,
            settings=[{"name": "containerInsights", "value": "enabled"}],
            opts=child,
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
        if settings.gpu:
            on = GpuInstances(
                name,
                settings,
                account=account,
                cluster_name=cluster.name,
                security_group_id=group.id,
                subnet_ids=network.private_subnets(settings.zones(facts, network.zones)),
                opts=child,
            ).capacity_provider
            names, strategies = [on], [ecs.ServiceCapacityProviderStrategyArgs(capacity_provider=on, weight=1)]
        else:
            names, strategies = ["FARGATE", "FARGATE_SPOT"], capacity_provider_strategies(settings)
        providers = ecs.ClusterCapacityProviders(name, cluster_name=cluster.name, capacity_providers=names, opts=child)
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
        execution_role = iam.execution_role(
            name,
            account=account,
            pull=artifacts.pull(settings.image),
            log_group_arn=log_group.arn,
            secret_arns=settings.secrets.values(),
            key_arns=settings.secret_key_arns,
            opts=child,
        )
        definition = ecs.TaskDefinition(
            name,
            family=name,
            requires_compatibilities=["EC2" if settings.gpu else "FARGATE"],
            network_mode="awsvpc",
            cpu=str(cpu),
            memory=str(memory_mib),
            runtime_platform={
                "operating_system_family": "LINUX",
                "cpu_architecture": settings.architecture.upper(),
            },
            task_role_arn=task_role.arn,
            execution_role_arn=execution_role.arn,
            volumes=[{"name": "tmp"}],
            container_definitions=to_json(
                [
                    container_definition(
                        settings,
                        memory_mib=memory_mib,
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
                            "WORKER_TASK_MEMORY_MIB": str(memory_mib - WORKER_MEMORY_MIB),
                            **settings.environment,
                        },
                    )
                ]
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
            capacity_provider_strategies=strategies,
            network_configuration={
                "subnets": network.private_subnet_ids,
                "security_groups": [group.id],
                "assign_public_ip": False,
            },
            deployment_circuit_breaker={"enable": True, "rollback": True},
            **(ON_INSTANCES if settings.gpu else ON_FARGATE),
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
        self.settings = settings
        self.cluster_name, self.cluster_arn = cluster.name, cluster.arn
        self.service_name, self.service_arn = service.name, service.arn
        self.task_definition_arn = definition.arn
        self.queue_name = queue.queue_name
        self.register_outputs({"clusterName": self.cluster_name, "serviceName": self.service_name})


def capacity_provider_strategies(settings: WorkerSettings) -> list[ecs.ServiceCapacityProviderStrategyArgs]:
    """How workers are split between Fargate and Fargate Spot, in percent."""
    spot = round(settings.spot_share * 100)
    return [
        ecs.ServiceCapacityProviderStrategyArgs(capacity_provider=provider, weight=weight)
        for provider, weight in (("FARGATE", 100 - spot), ("FARGATE_SPOT", spot))
        if weight
    ]
