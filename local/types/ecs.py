"""Amazon ECS: clusters, task definitions and services."""

from typing import Any

from local.aws import Aws
from local.parameters import call, complete
from local.record import ResourceType, tag_actions
from local.run import Created, Resource

CLUSTER_NAMES = {
    "name": "clusterName",
    "configuration.executeCommandConfiguration.logConfiguration.s3BucketEncryptionEnabled": "s3EncryptionEnabled",
}

SERVICE_NAMES = {
    "name": "serviceName",
    "iamRole": "role",
    "alarms": "deploymentConfiguration.alarms",
    "deploymentCircuitBreaker": "deploymentConfiguration.deploymentCircuitBreaker",
    "deploymentMaximumPercent": "deploymentConfiguration.maximumPercent",
    "deploymentMinimumHealthyPercent": "deploymentConfiguration.minimumHealthyPercent",
    "loadBalancers.elbName": "loadBalancerName",
    "networkConfiguration": "networkConfiguration.awsvpcConfiguration",
    "orderedPlacementStrategies": "placementStrategy",
}


class Cluster(ResourceType, token="aws:ecs/cluster:Cluster"):
    """A cluster."""

    name = "name"
    needs = (
        "ecs:CreateCluster ecs:DeleteCluster ecs:DescribeClusters ecs:UpdateCluster ecs:UpdateClusterSettings"
        f" iam:CreateServiceLinkedRole {tag_actions('ecs')}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        made = call(aws.client("ecs"), "create_cluster", inputs, rename=CLUSTER_NAMES)["cluster"]
        return Created(id=made["clusterArn"], outputs=inputs | {"arn": made["clusterArn"]})


class ClusterCapacityProviders(ResourceType, token="aws:ecs/clusterCapacityProviders:ClusterCapacityProviders"):
    """What capacity a cluster may use; the API wants both lists, also empty ones."""

    needs = "ecs:DescribeClusters ecs:PutClusterCapacityProviders"

    def create(self, aws: Aws, new: Resource) -> Created:
        empty: dict[str, Any] = {"capacityProviders": [], "defaultCapacityProviderStrategies": []}
        inputs = empty | dict(new.inputs)
        call(aws.client("ecs"), "put_cluster_capacity_providers", inputs, rename={"clusterName": "cluster"})
        return Created(id=new.inputs["clusterName"])


class TaskDefinition(ResourceType, token="aws:ecs/taskDefinition:TaskDefinition"):
    """A revision of a task definition."""

    needs = (
        "ecs:DeregisterTaskDefinition ecs:DescribeTaskDefinition ecs:RegisterTaskDefinition iam:PassRole"
        f" {tag_actions('ecs')}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, name=None)
        made = call(
            aws.client("ecs"),
            "register_task_definition",
            inputs,
            rename={"volumes.hostPath": "host.sourcePath", "volumes.configureAtLaunch": "configuredAtLaunch"},
            leave=("skipDestroy", "trackLatest"),
        )["taskDefinition"]
        arn = made["taskDefinitionArn"]
        return Created(
            id=made["family"],
            outputs=inputs | {"arn": arn, "arnWithoutRevision": arn.rpartition(":")[0], "revision": made["revision"]},
        )


class Service(ResourceType, token="aws:ecs/service:Service"):
    """A service, with no task wanted unless the program says how many."""

    name = "name"
    needs = f"ecs:CreateService ecs:DeleteService ecs:DescribeServices ecs:UpdateService {tag_actions('ecs')}"

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        inputs.setdefault("desiredCount", 0)
        network: dict[str, Any] | None = inputs.get("networkConfiguration")
        if network is not None:
            network = network | {"assignPublicIp": "ENABLED" if network.get("assignPublicIp") else "DISABLED"}
        made = call(
            aws.client("ecs"),
            "create_service",
            inputs,
            rename=SERVICE_NAMES,
            leave=("forceDelete", "forceNewDeployment", "sigintRollback", "triggers", "waitForSteadyState"),
            networkConfiguration=network,
        )["service"]
        return Created(
            id=made["serviceArn"],
            outputs=inputs | {"arn": made["serviceArn"]},
        )
