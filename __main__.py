"""The stack: settings, components, exports."""

import pulumi

from components.artifacts import Artifacts
from components.batch import BatchJobQueue
from components.cluster import GpuCluster
from components.fargate_workers import FargateWorkers
from components.network import Network
from components.observability import Observability
from components.protection import Protection
from components.task_queue import TaskQueue, send_to
from settings import StackSettings

settings = StackSettings.load()
facts = settings.ask_aws()
account, deployed, in_use = facts.account, facts.deployed, bool(settings.in_default_group)

network = Network(
    "network", settings.network, facts=facts.network, account=account, deployed=deployed, default_group_in_use=in_use
)
artifacts = Artifacts(
    "artifacts",
    settings.artifacts,
    account=account,
    network=network,
    deployed=deployed,
    images=settings.images,
    protect=settings.protect,
)
queues = {
    name: TaskQueue(name, queue, deployed=deployed, reclaims=settings.reclaims(name), protect=settings.protect)
    for name, queue in settings.queues.items()
}

pulumi.export("vpc_id", network.vpc_id)
pulumi.export("private_subnet_ids", network.private_subnet_ids)
pulumi.export("training_subnet_id", network.training_subnet_id)
pulumi.export("artifacts_bucket", artifacts.bucket)
pulumi.export("image_repository_url", artifacts.repository_url)
if artifacts.cached:
    pulumi.export("image_cache_urls", artifacts.cached)

if queues:
    pulumi.export("queue_urls", {name: queue.url for name, queue in queues.items()})
    pulumi.export("queue_arns", {name: queue.arn for name, queue in queues.items()})
    pulumi.export("dead_letter_queue_urls", {name: queue.dead_letter_url for name, queue in queues.items()})
    pulumi.export("dead_letter_queue_arns", {name: queue.dead_letter_arn for name, queue in queues.items()})

job_queues = {
    name: BatchJobQueue(
        name,
        job_queue,
        facts=facts.instance_types,
        account=account,
        deployed=deployed,
        others=facts.other_environments[name],
        network=network,
        artifacts=artifacts,
        queues=queues,
        protect=settings.protect,
    )
    for name, job_queue in settings.batch.items()
}
if job_queues:
    pulumi.export(
        "batch_compute_environment_arns", {name: queue.compute_environment_arns for name, queue in job_queues.items()}
    )
    pulumi.export("batch_job_queue_arns", {name: queue.arn for name, queue in job_queues.items()})
    pulumi.export("batch_job_definition_arns", {name: queue.job_definition_arn for name, queue in job_queues.items()})

workers = {
    name: FargateWorkers(
        name, fleet, account=account, network=network, artifacts=artifacts, queues=queues, job_queues=job_queues
    )
    for name, fleet in settings.workers.items()
}
if workers:
    pulumi.export("ecs_cluster_names", {name: fleet.cluster_name for name, fleet in workers.items()})
    pulumi.export("ecs_cluster_arns", {name: fleet.cluster_arn for name, fleet in workers.items()})
    pulumi.export("ecs_service_names", {name: fleet.service_name for name, fleet in workers.items()})
    pulumi.export("ecs_service_arns", {name: fleet.service_arn for name, fleet in workers.items()})
    pulumi.export("ecs_task_definition_arns", {name: fleet.task_definition_arn for name, fleet in workers.items()})

cluster = None
if settings.eks:
    cluster = GpuCluster(
        "training",
        settings.eks,
        facts=facts.instance_types,
        account=account,
        deployed=deployed,
        running=facts.cluster,
        network=network,
        artifacts=artifacts,
        statements=[*artifacts.read_write(), *send_to(queues, settings.eks.send_to)],
        protect=settings.protect,
    )
    pulumi.export("eks_cluster_name", cluster.cluster_name)
    pulumi.export("eks_cluster_arn", cluster.cluster_arn)
    pulumi.export("eks_node_group_arns", cluster.node_group_arns)
    pulumi.export("kubeconfig", cluster.kubeconfig)

observability = Observability(
    "alerts",
    settings.alerts,
    account=account,
    artifacts=artifacts,
    queues=queues,
    job_queues=job_queues,
    workers=workers,
    cluster=cluster,
)
pulumi.export("alerts_topic_arn", observability.topic_arn)
pulumi.export("dashboard_url", observability.dashboard_url)

parts = [network, artifacts, *queues.values(), *job_queues.values(), *workers.values(), observability]
Protection("protection", [*parts, *(cluster.on_aws if cluster else [])], protect=settings.protect)
