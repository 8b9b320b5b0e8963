"""Amazon ECR: image repositories and their lifecycle policies."""

from local.aws import Aws
from local.parameters import call, complete
from local.record import ResourceType, tag_actions
from local.run import Created, Resource


class Repository(ResourceType, token="aws:ecr/repository:Repository"):
    """A repository; pulumi-aws makes up names in lower case, as ECR allows no other."""

    name = "name"
    needs = (
        "ecr:CreateRepository ecr:DeleteRepository ecr:DescribeRepositories ecr:PutImageScanningConfiguration"
        f" ecr:PutImageTagMutability {tag_actions('ecr')}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        if "name" not in new.inputs:
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


class LifecyclePolicy(ResourceType, token="aws:ecr/lifecyclePolicy:LifecyclePolicy"):
    """Which images a repository lets go."""

    needs = "ecr:DeleteLifecyclePolicy ecr:GetLifecyclePolicy ecr:PutLifecyclePolicy"

    def create(self, aws: Aws, new: Resource) -> Created:
        names = {"policy": "lifecyclePolicyText", "repository": "repositoryName"}
        made = call(aws.client("ecr"), "put_lifecycle_policy", new.inputs, rename=names)
        return Created(id=made["repositoryName"], outputs={"registryId": made["registryId"]})
