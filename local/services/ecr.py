"""Amazon ECR: image repositories and their lifecycle policies."""

from local.aws import Aws, Created, Resource, creates
from local.services._params import call, complete


@creates("aws:ecr/repository:Repository")
def repository(aws: Aws, resource: Resource) -> Created:
    """A repository; pulumi-aws makes up names in lower case, as ECR allows no other."""
    inputs = complete(aws, resource)
    if "name" not in resource.inputs:
        inputs["name"] = inputs["name"].lower()
    made = call(
        aws.client("ecr"), "create_repository", inputs, rename={"name": "repositoryName"}, leave=("forceDelete",)
    )["repository"]
    return Created(
        id=inputs["name"],
        outputs=inputs
        | {
            "arn": made["repositoryArn"],
            "registryId": made["registryId"],
            "repositoryUrl": made["repositoryUri"],
        },
    )


@creates("aws:ecr/lifecyclePolicy:LifecyclePolicy")
def lifecycle_policy(aws: Aws, resource: Resource) -> Created:
    """Which images a repository lets go."""
    names = {"policy": "lifecyclePolicyText", "repository": "repositoryName"}
    made = call(aws.client("ecr"), "put_lifecycle_policy", resource.inputs, rename=names)
    return Created(id=made["repositoryName"], outputs={"registryId": made["registryId"]})
