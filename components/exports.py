"""What the stack exports: each name is a promise to those who use it, `train` among them.

A part that is not deployed has no output. The keys of a mapping are the names in the stack file.
"""

from typing import Any

from components.observability import Observability
from components.parts import Parts


def exports(parts: Parts, observability: Observability) -> dict[str, Any]:
    """Name -> value of every output but those of the people's access."""
    network, artifacts, queues = parts.network, parts.artifacts, parts.queues
    job_queues, workers, cluster = parts.job_queues, parts.workers, parts.cluster
    outputs: dict[str, Any] = {
        "vpc_id": network.vpc_id,
        "private_subnet_ids": network.private_subnet_ids,
        "training_subnet_id": network.training_subnet_id,
        "artifacts_bucket": artifacts.bucket,
        "image_repository_url": artifacts.repository_url,
        "alerts_topic_arn": observability.topic_arn,
        "dashboard_url": observability.dashboard_url,
    }
    if artifacts.cached:
        outputs["image_cache_urls"] = artifacts.cached
    if artifacts.lustre is not None:
        outputs |= {
            "lustre_file_system_id": artifacts.lustre.file_system_id,
            "lustre_dns_name": artifacts.lustre.dns_name,
            "lustre_mount_name": artifacts.lustre.mount_name,
        }
    if queues:
        outputs |= {
            "queue_urls": {name: queue.url for name, queue in queues.items()},
            "queue_arns": {name: queue.arn for name, queue in queues.items()},
            "dead_letter_queue_urls": {name: queue.dead_letter_url for name, queue in queues.items()},
            "dead_letter_queue_arns": {name: queue.dead_letter_arn for name, queue in queues.items()},
        }
    if job_queues:
        outputs |= {
            "batch_compute_environment_arns": {
                name: queue.compute_environment_arns for name, queue in job_queues.items()
            },
            "batch_job_queue_arns": {name: queue.arn for name, queue in job_queues.items()},
            "batch_job_definition_arns": {name: queue.job_definition_arn for name, queue in job_queues.items()},
            "batch_job_role_arns": {name: queue.job_role_arn for name, queue in job_queues.items()},
            "batch_execution_role_arns": {name: queue.execution_role_arn for name, queue in job_queues.items()},
            "batch_log_groups": {name: queue.log_group_name for name, queue in job_queues.items()},
            "batch_security_group_ids": {name: queue.security_group_id for name, queue in job_queues.items()},
        }
    if workers:
        outputs |= {
            "ecs_cluster_names": {name: fleet.cluster_name for name, fleet in workers.items()},
            "ecs_cluster_arns": {name: fleet.cluster_arn for name, fleet in workers.items()},
            "ecs_service_names": {name: fleet.service_name for name, fleet in workers.items()},
            "ecs_service_arns": {name: fleet.service_arn for name, fleet in workers.items()},
            "ecs_task_definition_arns": {name: fleet.task_definition_arn for name, fleet in workers.items()},
        }
    if cluster is not None:
        outputs |= {
            "eks_cluster_name": cluster.cluster_name,
            "eks_cluster_arn": cluster.cluster_arn,
            "eks_node_group_arns": cluster.node_group_arns,
            "eks_pod_resources": {name: shape.pods_have(1) for name, shape in cluster.shapes.items()},
            "eks_pod_shared_memory": {name: shape.pod_shared_memory for name, shape in cluster.shapes.items()},
            "eks_pod_environment": {name: {**shape.environment} for name, shape in cluster.shapes.items()},
            "kubeconfig": cluster.kubeconfig,
        }
        if cluster.team_namespaces:
            outputs["team_namespaces"] = cluster.team_namespaces
    return outputs
