"""Amazon ECS: clusters, task definitions and services."""

from typing import Any

from local.aws import Aws, Created, Resource, creates
from local.services._params import call, complete

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


@creates("aws:ecs/cluster:Cluster")
def cluster(aws: Aws, resource: Resource) -> Created:
    """A cluster."""
    inputs = complete(aws, resource)
    made = call(aws.client("ecs"), "create_cluster", inputs, rename=CLUSTER_NAMES)["cluster"]
    return Created(id=made["clusterArn"], outputs=inputs | {"arn": made["clusterArn"]})


@creates("aws:ecs/clusterCapacityProviders:ClusterCapacityProviders")
def cluster_capacity_providers(aws: Aws, resource: Resource) -> Created:
    """What capacity a cluster may use; the API wants both lists, also empty ones."""
    empty: dict[str, Any] = {"capacityProviders": [], "defaultCapacityProviderStrategies": []}
    inputs = empty | dict(resource.inputs)
    call(aws.client("ecs"), "put_cluster_capacity_providers", inputs, rename={"clusterName": "cluster"})
    return Created(id=resource.inputs["clusterName"])


@creates("aws:ecs/taskDefinition:TaskDefinition")
def task_definition(aws: Aws, resource: Resource) -> Created:
    """A revision of a task definition."""
    inputs = complete(aws, resource, name=None)
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


@creates("aws:ecs/service:Service")
def service(aws: Aws, resource: Resource) -> Created:
    """A service, with no task wanted unless the program says how many."""
    inputs = complete(aws, resource)
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
