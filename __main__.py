"""The stack: settings, components, exports."""

import pulumi

from components.access import Access
from components.artifacts import Artifacts
from components.batch import BatchJobQueue
from components.cluster import GpuCluster
from components.exports import exports
from components.fargate_workers import FargateWorkers
from components.network import Network
from components.observability import Observability
from components.parts import Parts
from components.protection import Protection
from components.task_queue import TaskQueue
from settings.loading import ask_aws, load

settings = load()
facts = ask_aws(settings)
account, deployed = facts.account, facts.deployed

network = Network(
    "network",
    settings.network,
    facts=facts.network,
    account=account,
    deployed=deployed,
    in_default_group=settings.in_default_group,
)
artifacts = Artifacts(
    "artifacts",
    settings.artifacts,
    account=account,
    network=network,
    deployed=deployed,
    images=settings.images,
    teams=settings.teams,
    protect=settings.protect,
)
queues = {
    name: TaskQueue(name, queue, deployed=deployed, reclaims=settings.reclaims(name), protect=settings.protect)
    for name, queue in settings.queues.items()
}
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
        teams=settings.teams,
        protect=settings.protect,
    )
    for name, job_queue in settings.batch.items()
}
workers = {
    name: FargateWorkers(
        name,
        fleet,
        facts=facts.instance_types,
        account=account,
        network=network,
        artifacts=artifacts,
        queues=queues,
        job_queues=job_queues,
    )
    for name, fleet in settings.workers.items()
}
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
        queues=queues,
        teams=settings.teams,
        protect=settings.protect,
    )

parts = Parts(
    network=network, artifacts=artifacts, queues=queues, job_queues=job_queues, workers=workers, cluster=cluster
)
observability = Observability("alerts", settings.alerts, parts=parts, account=account, teams=settings.teams)
outputs = exports(parts, observability)
access = Access("train", parts=parts, outputs=outputs, account=account, deployed=deployed, teams=settings.teams)
for output, value in {**outputs, **access.outputs}.items():
    pulumi.export(output, value)

Protection("protection", [*parts.on_aws, observability, access], protect=settings.protect)
