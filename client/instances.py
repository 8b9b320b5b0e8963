"""The EC2 instances that a stack runs, whoever started them: Batch, ECS for workers with GPUs, or EKS."""

from collections.abc import Iterator
from typing import Any

from client.stack import Stack

CLUSTER_TAG, GROUP_TAG = "eks:cluster-name", "eks:nodegroup-name"
"""Tags that EKS gives the instances of a managed node group (EKS user guide, "Tag your Amazon EKS resources")."""
WORKERS_TAG = "EcsCluster"
"""Tag that the stack gives the instances of a fleet; its value is the name of the fleet's cluster."""
Instance = dict[str, Any]
"""An instance, as `DescribeInstances` answers (EC2 API, `Instance`)."""


def of_cluster(opened: Stack) -> Iterator[tuple[str, Instance]]:
    """Node group and instance of each node; the group by its name in the stack file, where it has one."""
    # as EKS calls it -> as the stack file does
    names: dict[str, str] = {arn.split("/")[2]: name for name, arn in opened.outputs.eks_node_group_arns.items()}
    for one in _in_network(opened):
        tags: dict[str, str] = {tag["Key"]: tag["Value"] for tag in one.get("Tags", [])}
        if opened.outputs.eks_cluster_name and tags.get(CLUSTER_TAG) == opened.outputs.eks_cluster_name:
            group = tags.get(GROUP_TAG, "")
            yield names.get(group, group), one


def of_batch(opened: Stack) -> Iterator[Instance]:
    """The instances of the job queues: those with the instance profile of one of their compute environments."""
    arns = [arn for environments in opened.outputs.batch_compute_environment_arns.values() for arn in environments]
    if not arns:
        return
    pages = opened.client("batch").get_paginator("describe_compute_environments").paginate(computeEnvironments=arns)
    profiles = {one["computeResources"]["instanceRole"] for page in pages for one in page["computeEnvironments"]}
    yield from (one for one in _in_network(opened) if one.get("IamInstanceProfile", {}).get("Arn") in profiles)


def of_workers(opened: Stack) -> Iterator[Instance]:
    """The instances of the fleets whose workers have GPUs."""
    clusters = set(opened.outputs.ecs_cluster_names.values())
    for one in _in_network(opened):
        if any(tag["Key"] == WORKERS_TAG and tag["Value"] in clusters for tag in one.get("Tags", [])):
            yield one


def _in_network(opened: Stack) -> Iterator[Instance]:
    """All instances of the stack's VPC that are paid for."""
    wanted = [
        {"Name": "vpc-id", "Values": [opened.outputs.vpc_id]},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
    ]
    for page in opened.client("ec2").get_paginator("describe_instances").paginate(Filters=wanted):
        for reservation in page["Reservations"]:
            yield from reservation["Instances"]
