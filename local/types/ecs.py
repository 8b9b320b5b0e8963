"""Amazon ECS: clusters, task definitions and services."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from local import api
from local.aws import Aws
from local.changes import Change
from local.costs import Line, Priced
from local.edits import Edit, Effect
from local.parameters import call, complete
from local.properties import Property
from local.record import ResourceType, answers, tag_actions
from local.run import Created, Resource, State
from local.tags import Tagged

CLUSTER = "aws:ecs/cluster:Cluster"
TASK_DEFINITION = "aws:ecs/taskDefinition:TaskDefinition"
SERVICE = "aws:ecs/service:Service"
CAPACITY_PROVIDER = "aws:ecs/capacityProvider:CapacityProvider"
GROUP = "aws:autoscaling/group:Group"
ROLE = "aws:iam/role:Role"
LARGEST_DEFINITION_BYTES = 64 * 1024
"""ECS developer guide, "Amazon ECS service quotas"."""
DEPLOYING = (
    "capacityProviderStrategies",
    "forceNewDeployment",
    "launchType",
    "loadBalancers",
    "networkConfiguration",
    "platformVersion",
    "taskDefinition",
    "triggers",
)
"""Inputs of a service whose change starts new tasks in place of those that run."""
MOST_SUBNETS = 16
"""ECS API, `AwsVpcConfiguration`."""


class _Ecs(Tagged):
    """A type that ECS tags."""

    service = "ecs"
    name = "name"


class Cluster(_Ecs, token=CLUSTER):
    """A cluster."""

    rename = {"name": "clusterName"}
    needs = (
        "ecs:CreateCluster ecs:DeleteCluster ecs:DescribeClusters ecs:UpdateCluster ecs:UpdateClusterSettings"
        f" iam:CreateServiceLinkedRole {tag_actions('ecs')}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        arn = call(aws.client("ecs"), "create_cluster", inputs, rename=self.rename)["cluster"]["clusterArn"]
        return Created(id=arn, outputs=inputs | {"arn": arn})

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """All of it; None when it is not active."""
        return _cluster(aws, there.id)

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Change its settings."""
        call(aws.client("ecs"), "update_cluster", new.inputs, leave=["name", "tags"], cluster=there.id)
        return {}

    def delete(self, aws: Aws, there: State) -> None:
        aws.client("ecs").delete_cluster(cluster=there.id)


class CapacityProvider(_Ecs, token=CAPACITY_PROVIDER):
    """A capacity provider that sizes an Auto Scaling group."""

    takes = ("ecs", "CreateCapacityProvider")
    refers = {"autoScalingGroupProvider.autoScalingGroupArn": GROUP}
    needs = (
        "autoscaling:CreateOrUpdateTags ecs:CreateCapacityProvider ecs:DeleteCapacityProvider"
        f" ecs:DescribeCapacityProviders ecs:UpdateCapacityProvider {tag_actions('ecs')}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        arn = call(aws.client("ecs"), "create_capacity_provider", inputs)["capacityProvider"]["capacityProviderArn"]
        return Created(id=arn, outputs=inputs | {"arn": arn})

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """All of it; None when there is none."""
        found = aws.client("ecs").describe_capacity_providers(capacityProviders=[there.id], include=["TAGS"])
        return next(iter(found["capacityProviders"]), None)

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Change how it sizes its group."""
        scaling = dict(new.inputs["autoScalingGroupProvider"])
        scaling.pop("autoScalingGroupArn")
        call(
            aws.client("ecs"),
            "update_capacity_provider",
            {"name": there.outputs["name"], "autoScalingGroupProvider": scaling},
        )
        return {}

    def delete(self, aws: Aws, there: State) -> None:
        aws.client("ecs").delete_capacity_provider(capacityProvider=there.id)


class ClusterCapacityProviders(ResourceType, token="aws:ecs/clusterCapacityProviders:ClusterCapacityProviders"):
    """The capacity that a cluster may use; the API requires both lists, even when they are empty."""

    rename = {"clusterName": "cluster"}
    refers = {"clusterName": CLUSTER}
    needs = "ecs:DescribeClusters ecs:PutClusterCapacityProviders"

    def create(self, aws: Aws, new: Resource) -> Created:
        """Put both lists."""
        both: dict[str, Any] = {"capacityProviders": [], "defaultCapacityProviderStrategies": [], **new.inputs}
        call(aws.client("ecs"), "put_cluster_capacity_providers", both, rename=self.rename)
        return Created(id=new.inputs["clusterName"])

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """The cluster's capacity; None when it has none."""
        found = _cluster(aws, there.id) or {}
        return found if found.get("capacityProviders") else None

    def delete(self, aws: Aws, there: State) -> None:
        """Put two empty lists."""
        aws.client("ecs").put_cluster_capacity_providers(
            cluster=there.id, capacityProviders=[], defaultCapacityProviderStrategy=[]
        )


class TaskDefinition(_Ecs, token=TASK_DEFINITION):
    """A revision of a task definition, of which only the tags can change."""

    name = None
    takes = ("ecs", "RegisterTaskDefinition")
    documents = {"containerDefinitions": api.list_of("ecs", "ContainerDefinition")}
    refers = {
        "containerDefinitions[].logConfiguration.options.awslogs-group": "aws:cloudwatch/logGroup:LogGroup",
        "executionRoleArn": ROLE,
        "taskRoleArn": ROLE,
    }
    needs = (
        "ecs:DeregisterTaskDefinition ecs:DescribeTaskDefinition ecs:RegisterTaskDefinition iam:PassRole"
        f" {tag_actions('ecs')}"
    )

    def refused(self, given: Property) -> Iterator[str]:
        """A definition that is too large."""
        yield from given.at_most("containerDefinitions", LARGEST_DEFINITION_BYTES, "bytes")

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, name=None)
        made = call(aws.client("ecs"), "register_task_definition", inputs, leave=["skipDestroy"])["taskDefinition"]
        arn = made["taskDefinitionArn"]
        return Created(
            id=made["family"],
            outputs=inputs | {"arn": arn, "arnWithoutRevision": arn.rpartition(":")[0], "revision": made["revision"]},
        )

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """The revision; None when it is not active."""
        ecs, arn = aws.client("ecs"), there.outputs["arn"]
        if arn not in ecs.list_task_definitions(familyPrefix=there.id)["taskDefinitionArns"]:
            return None
        found = ecs.describe_task_definition(taskDefinition=arn, include=["TAGS"])
        return {**found["taskDefinition"], "tags": found.get("tags", [])}

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Nothing: every other change makes another revision."""
        del aws, there, new
        return {}

    def delete(self, aws: Aws, there: State) -> None:
        """Deregister it, unless it is to be kept."""
        if not there.inputs.get("skipDestroy"):
            aws.client("ecs").deregister_task_definition(taskDefinition=there.outputs["arn"])


class Service(_Ecs, token=SERVICE):
    """A service; it starts with 0 tasks unless the program says how many."""

    takes = ("ecs", "CreateService")
    rename = {
        "name": "serviceName",
        "deploymentCircuitBreaker": "deploymentConfiguration.deploymentCircuitBreaker",
        "deploymentMaximumPercent": "deploymentConfiguration.maximumPercent",
        "deploymentMinimumHealthyPercent": "deploymentConfiguration.minimumHealthyPercent",
        "networkConfiguration": "networkConfiguration.awsvpcConfiguration",
        "orderedPlacementStrategies": "placementStrategy",
    }
    refers = {
        "cluster": CLUSTER,
        "networkConfiguration.securityGroups[]": "aws:ec2/securityGroup:SecurityGroup",
        "networkConfiguration.subnets[]": "aws:ec2/subnet:Subnet",
        "taskDefinition": TASK_DEFINITION,
    }
    ended = Effect(
        work="stopped",
        what="its workers are stopped; their tasks return to the queue and begin anew with the next worker",
        first="send no more tasks and deploy when none is in flight",
    )
    needs = f"ecs:CreateService ecs:DeleteService ecs:DescribeServices ecs:UpdateService {tag_actions('ecs')}"

    def work(self, edit: Edit) -> Iterator[Effect]:
        """A new deployment waits until protected tasks have ended."""
        yield from super().work(edit)
        if edit.touches(*DEPLOYING):
            yield Effect(
                work="nothing",
                what="workers are exchanged; a reference worker that is busy is protected, and finishes its task first",
            )

    def refused(self, given: Property) -> Iterator[str]:
        """Too many subnets."""
        yield from given.at_most("networkConfiguration.subnets", MOST_SUBNETS, "subnets")

    def not_planned(self, changes: Sequence[Change], inputs: Mapping[str, Any]) -> Iterator[str]:
        """Other capacity providers without a new deployment (hashicorp/terraform-provider-aws pull request 43533)."""
        changed = any(one.place.startswith("capacityProviderStrategies") for one in changes)
        if changed and not inputs.get("forceNewDeployment"):
            yield "force_new_deployment should be true when capacity_provider_strategy is being updated"

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = {"desiredCount": 0} | complete(aws, new)
        network = _network(inputs)
        made = call(
            aws.client("ecs"),
            "create_service",
            inputs,
            rename=self.rename,
            leave=["forceDelete", "forceNewDeployment"],
            networkConfiguration=network,
        )
        arn = made["service"]["serviceArn"]
        return Created(id=arn, outputs=inputs | {"arn": arn})

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """All that moto keeps; None when it is not active."""
        found = aws.client("ecs").describe_services(
            cluster=there.inputs["cluster"], services=[there.id], include=["TAGS"]
        )["services"]
        for one in found:
            network = one["networkConfiguration"]["awsvpcConfiguration"]
            network["assignPublicIp"] = network["assignPublicIp"] == "ENABLED"
        return next((one for one in found if one["status"] == "ACTIVE"), None)

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Deploy it again; the number of tasks is left to what scales the service, unless the program changes it."""
        leave = ["forceDelete", "name", "tags"]
        if new.inputs.get("desiredCount") == there.inputs.get("desiredCount"):
            leave.append("desiredCount")
        call(
            aws.client("ecs"),
            "update_service",
            new.inputs,
            rename=self.rename,
            leave=leave,
            networkConfiguration=_network(new.inputs),
            service=there.id,
        )
        return {}

    def delete(self, aws: Aws, there: State) -> None:
        """End its tasks and delete it; without `forceDelete` the provider first scales it to 0 tasks, and waits."""
        aws.client("ecs").delete_service(cluster=there.inputs["cluster"], service=there.id, force=True)

    def paid(self, one: Priced) -> Iterator[Line]:
        """From the number of tasks that the service starts with to the maximum of its scaling.

        On instances each may need one of its own.
        """
        at_rest = one.resource.inputs["desiredCount"]
        targets = one.needing("aws:appautoscaling/target:Target")
        at_most = max((target.inputs["maxCapacity"] for target in targets), default=at_rest)
        providers = [replace(one, resource=provider) for provider in one.needed(CAPACITY_PROVIDER)]
        groups = [replace(one, resource=group) for provider in providers for group in provider.needed(GROUP)]
        for group in groups:
            overrides = group.resource.inputs["mixedInstancesPolicy"]["launchTemplate"]["overrides"]
            yield from group.instances({each["instanceType"]: (at_rest, at_most) for each in overrides})
        for task in () if groups else one.needed(TASK_DEFINITION):
            arm = " on ARM64" if task.inputs.get("runtimePlatform", {}).get("cpuArchitecture") == "ARM64" else ""
            for what, size in (("vCPU", "cpu"), ("memory", "memory")):
                amount = int(task.inputs[size]) / 1024
                yield one.line(f"Fargate {what}{arm}", at_rest * amount, at_most * amount)


@answers("aws:ecs/getCluster:getCluster", needs="ecs:DescribeClusters")
def get_cluster(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """A cluster by its name or ARN; moto counts only tasks on EC2."""
    if (found := _cluster(aws, inputs["clusterName"])) is None:
        raise ValueError(f"reading ECS Cluster ({inputs['clusterName']}): couldn't find resource")
    running = aws.client("ecs").list_tasks(cluster=found["clusterArn"], desiredStatus="RUNNING")["taskArns"]
    return {
        "id": found["clusterArn"],
        "arn": found["clusterArn"],
        "clusterName": found["clusterName"],
        "pendingTasksCount": 0,
        "registeredContainerInstancesCount": found["registeredContainerInstancesCount"],
        "runningTasksCount": len(running),
        "status": found["status"],
        "tags": {},
    }


def _cluster(aws: Aws, name: str) -> dict[str, Any] | None:
    include = ["CONFIGURATIONS", "SETTINGS", "TAGS"]
    found = aws.client("ecs").describe_clusters(clusters=[name], include=include)["clusters"]
    return next((one for one in found if one["status"] == "ACTIVE"), None)


def _network(inputs: Mapping[str, Any]) -> dict[str, Any]:
    network = inputs["networkConfiguration"]
    return {**network, "assignPublicIp": "ENABLED" if network.get("assignPublicIp") else "DISABLED"}
