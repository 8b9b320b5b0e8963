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
from components.protection import Protection
from components.task_queue import TaskQueue, send_to
from components.teams import prefix
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
    prefixes=[prefix(team) for team in settings.teams],
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
        statements=[*artifacts.read_write(), *send_to(queues, settings.eks.send_to)],
        teams=settings.teams,
        team_statements={
            team: [*artifacts.read_write(prefix(team)), *send_to(queues, settings.eks.send_to)]
            for team in settings.teams
        },
        protect=settings.protect,
    )

observability = Observability(
    "alerts",
    settings.alerts,
    teams=settings.teams,
    account=account,
    artifacts=artifacts,
    queues=queues,
    job_queues=job_queues,
    workers=workers,
    cluster=cluster,
)

outputs = exports(
    network=network,
    artifacts=artifacts,
    queues=queues,
    job_queues=job_queues,
    workers=workers,
    cluster=cluster,
    observability=observability,
)
access = Access(
    "train",
    outputs=outputs,
    account=account,
    deployed=deployed,
    artifacts=artifacts,
    queues=queues,
    job_queues=job_queues,
    workers=workers,
    teams=settings.teams,
)
for output, value in {**outputs, **access.outputs}.items():
    pulumi.export(output, value)

parts = [network, artifacts, *queues.values(), *job_queues.values(), *workers.values(), observability, access]
Protection("protection", [*parts, *(cluster.on_aws if cluster else [])], protect=settings.protect)
