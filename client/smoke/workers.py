"""The ECS cluster, service and image of each fleet of workers."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from client.account import Account, code_of
from client.fleets import container
from client.outputs import Outputs
from client.smoke.check import Check, Finding, Patience, failed, missing, not_checked, warning

ROLLOUT_POLL_SECONDS = 10


def checks(outputs: Outputs, account: Account, patience: Patience) -> Iterator[Check]:
    """The cluster, the service once it is steady, and whether there is an image to run."""
    ecs, ecr = account.client("ecs"), account.client("ecr")
    for fleet in outputs.ecs_cluster_arns:
        yield Check(f"workers {fleet} cluster", "is active", partial(_cluster, ecs, outputs, fleet))
        yield Check(
            f"workers {fleet} service",
            "is steady on the exported task definition",
            partial(_service, ecs, outputs, fleet, account.is_local("ecs"), patience),
        )
        yield Check(
            f"workers {fleet} image",
            "has been pushed",
            partial(_image, ecs, ecr, outputs, fleet, account.is_local("ecr")),
        )


def _cluster(ecs: Any, outputs: Outputs, fleet: str) -> Iterator[Finding]:
    name, arn = outputs.ecs_cluster_names[fleet], outputs.ecs_cluster_arns[fleet]
    found = ecs.describe_clusters(clusters=[name])["clusters"]
    if not found:
        yield missing(name)
    for cluster in found:
        if cluster["clusterArn"] != arn:
            yield failed(f"its ARN is {cluster['clusterArn']}, and {arn} is exported")
        if cluster["status"] != "ACTIVE":
            yield failed(f"is {cluster['status']}")


def _service(ecs: Any, outputs: Outputs, fleet: str, local: bool, patience: Patience) -> Iterator[Finding]:
    names = {"cluster": outputs.ecs_cluster_arns[fleet], "services": [outputs.ecs_service_names[fleet]]}
    unsteady, events = None, list[str]()
    for _ in patience.tries(ROLLOUT_POLL_SECONDS):
        found: list[dict[str, Any]] = ecs.describe_services(**names)["services"]
        if not found:
            yield missing(outputs.ecs_service_names[fleet])
            return
        wrong, unsteady = list(_wrong(found[0], outputs, fleet)), _unsteady(found[0])
        if wrong or not unsteady:
            yield from wrong
            return
        if local:
            yield not_checked(f"{unsteady}, and the local AWS starts no tasks")
            return
        events = [event["message"] for event in found[0].get("events", [])[:1]]
        patience.say(f"workers {fleet} service", unsteady)
    yield failed("; ".join([f"after {patience.seconds} s {unsteady}", *events]))


def _wrong(service: dict[str, Any], outputs: Outputs, fleet: str) -> Iterator[Finding]:
    """What no waiting mends."""
    arn, definition = outputs.ecs_service_arns[fleet], outputs.ecs_task_definition_arns[fleet]
    if service["serviceArn"] != arn:
        yield failed(f"its ARN is {service['serviceArn']}, and {arn} is exported")
    if service["status"] != "ACTIVE":
        yield failed(f"is {service['status']}")
    for deployment in service["deployments"]:
        if deployment.get("rolloutState") == "FAILED":
            yield failed(f"a rollout failed: {deployment.get('rolloutStateReason', 'no reason given')}")
    if service["taskDefinition"] != definition:
        yield failed(
            f"runs {service['taskDefinition']}: the rollout of {definition} was rolled back, or"
            " somebody else made one; the service's events say which"
        )


def _unsteady(service: dict[str, Any]) -> str | None:
    """Why it is not steady yet."""
    deployments: list[dict[str, Any]] = service["deployments"]
    running, desired = service["runningCount"], service["desiredCount"]
    if len(deployments) != 1:
        return f"{len(deployments)} deployments are under way"
    if (state := deployments[0].get("rolloutState", "COMPLETED")) != "COMPLETED":
        return f"the rollout is {state}, {running} of {desired} tasks run"
    return None if running == desired else f"{running} of {desired} tasks run"


def _image(ecs: Any, ecr: Any, outputs: Outputs, fleet: str, local: bool) -> Iterator[Finding]:
    image: str = container(ecs, outputs, fleet)["image"]
    repository = outputs.image_repository_url
    if not image.startswith((f"{repository}:", f"{repository}@")):
        yield not_checked(f"{image} is not in the stack's own repository")
        return
    if local:
        yield not_checked("the local AWS takes no images")
        return
    rest = image.removeprefix(repository)
    by = {"imageDigest": rest[1:]} if rest.startswith("@") else {"imageTag": rest[1:]}
    try:
        ecr.describe_images(
            registryId=repository.partition(".")[0], repositoryName=repository.partition("/")[2], imageIds=[by]
        )
    except ClientError as error:
        if code_of(error) != "ImageNotFoundException":
            raise
        yield warning(f"{image} is not there yet: no task is done until it is pushed")
