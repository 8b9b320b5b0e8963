"""What the tests of Batch job queues share: queues to deploy, and an AWS that names things the same every time."""

import json
import zlib
from collections.abc import Mapping
from typing import Any

from local.aws import Aws
from local.run import Registration, Resource, Run, State
from tests.conftest import NewStackProvider

ENVIRONMENT_ARN = "arn:aws:computeenvironment:us-west-2:123456789012"
COMPUTE_ENVIRONMENT = "aws:batch/computeEnvironment:ComputeEnvironment"
JOB_DEFINITION = "aws:batch/jobDefinition:JobDefinition"
JOB_QUEUE = "aws:batch/jobQueue:JobQueue"
LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
PLACEMENT_GROUP = "aws:ec2/placementGroup:PlacementGroup"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
SCHEDULING_POLICY = "aws:batch/schedulingPolicy:SchedulingPolicy"
SECRET = "arn:aws:secretsmanager:us-west-2:123456789012:secret:wandb-AbCdEf"

SINGLE: dict[str, Any] = {
    "instanceTypes": ["g6.12xlarge", "g6e.12xlarge", "g5.12xlarge"],
    "capacity": ["spot", "onDemand"],
    "maxVcpus": 192,
    "vcpus": 40,
    "memoryMib": 160_000,
    "gpus": 4,
}
"""The dev stack's queue."""

MULTI: dict[str, Any] = {
    "nodes": 2,
    "instanceTypes": ["p5.48xlarge"],
    "capacity": ["onDemand"],
    "efa": True,
    "maxVcpus": 384,
    "vcpus": 180,
    "memoryMib": 1_900_000,
    "gpus": 8,
    "timeoutHours": 2,
}
"""A production queue for jobs on two nodes."""

BLOCK = MULTI | {"capacity": ["capacityBlock"], "capacityReservationId": "cr-0123456789abcdef0"}


def environments(run: Run) -> dict[str, Registration]:
    """Logical name without the digest -> compute environment that takes jobs."""
    return {
        one.name.rpartition("-")[0]: one
        for one in run.registrations.values()
        if one.type == COMPUTE_ENVIRONMENT and one.inputs["state"] == "ENABLED"
    }


def start_task(aws: Aws, environment: str) -> tuple[str, str]:
    """Start a task in a compute environment, by its logical name, as Batch does for a job: its cluster and its ARN."""
    ecs = aws.client("ecs")
    (found,) = [
        one
        for one in aws.client("batch").describe_compute_environments()["computeEnvironments"]
        if one["tags"].get("distributed-training:name") == environment
    ]
    ecs.register_task_definition(
        family="job",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "job", "image": "job", "memory": 64}],
    )
    where = found["computeResources"]
    network = {"subnets": where["subnets"][:1], "securityGroups": where["securityGroupIds"]}
    (task,) = ecs.run_task(
        cluster=found["ecsClusterArn"],
        taskDefinition="job",
        # for one of EC2 there would have to be an instance
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": network},
    )["tasks"]
    return found["ecsClusterArn"], task["taskArn"]


class StableProvider(NewStackProvider):
    """An AWS whose ids and ARNs follow from the resource, so that two runs can be compared."""

    def check(self, type_: str, inputs: Mapping[str, Any]) -> list[str]:
        """Nothing: these ids and ARNs are not like AWS's."""
        del type_, inputs
        return []

    def create(self, resource: Resource) -> State:
        kind = resource.type.rsplit(":", 1)[-1]
        name = f"{resource.name}-{kind}"
        # every change makes a version
        version = zlib.crc32(json.dumps(dict(resource.inputs), sort_keys=True).encode())
        made = {
            "name": name,
            "arn": self.aws.arn(kind.lower(), name),
            "url": name,
            "bucket": name,
            "repositoryUrl": name,
            "latestVersion": version,
            "dashboardName": name,
            "dnsName": f"{name}.example",
            "mountName": "mount",
        }
        return State(id=name, inputs=resource.inputs, outputs={**resource.inputs, **made})
