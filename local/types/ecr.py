"""Amazon ECR: image repositories, their lifecycle policies, and caches of other registries."""

from collections.abc import Iterator, Mapping
from typing import Any

from local.aws import Aws
from local.edits import Edit, Effect
from local.parameters import call, complete, only
from local.record import ResourceType, tag_actions
from local.run import Created, Resource, State
from local.tags import Tagged

REPOSITORY = "aws:ecr/repository:Repository"


class Repository(Tagged, token=REPOSITORY):
    """A repository; pulumi-aws invents names in lower case, because ECR allows no other."""

    service = "ecr"
    name = "name"
    rename = {"name": "repositoryName"}
    needs = (
        "ecr:CreateRepository ecr:DeleteRepository ecr:DescribeRepositories ecr:PutImageScanningConfiguration"
        f" ecr:PutImageTagMutability {tag_actions('ecr')}"
    )

    def work(self, edit: Edit) -> Iterator[Effect]:
        """It is deleted with its images only if `forceDelete` says so; otherwise ECR refuses while it holds images."""
        if edit.ends and edit.before.get("forceDelete"):
            yield Effect(
                work="stopped",
                what="its images are deleted; what runs from them goes on, but cannot start again",
                first="copy the images to another repository",
            )
        elif edit.ends:
            yield Effect(
                work="refused",
                what="ECR does not delete a repository that holds images",
                first="copy the images to another repository and delete them in this one",
            )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        if "name" not in new.inputs:
            inputs["name"] = inputs["name"].lower()
        ecr = aws.client("ecr")
        made = call(ecr, "create_repository", inputs, rename=self.rename, leave=("forceDelete",))["repository"]
        computed = {
            "arn": made["repositoryArn"],
            "registryId": made["registryId"],
            "repositoryUrl": f"{aws.account_id}.dkr.ecr.{aws.region}.{aws.dns_suffix}/{inputs['name']}",
        }
        return Created(id=inputs["name"], outputs=inputs | computed)

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any]:
        """Its settings and tags."""
        (found,) = aws.client("ecr").describe_repositories(repositoryNames=[there.id])["repositories"]
        return found | {"tags": self.tags_of(aws, there)}

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Set whether a tag can be moved to another image, and whether images are scanned."""
        ecr = aws.client("ecr")
        named = {"repositoryName": there.id}
        call(ecr, "put_image_tag_mutability", named | only(new.inputs, "imageTagMutability"))
        call(ecr, "put_image_scanning_configuration", named | only(new.inputs, "imageScanningConfiguration"))
        return {}

    def delete(self, aws: Aws, there: State) -> None:
        """Delete it, with its images only if `forceDelete` says so; otherwise ECR refuses while there are any."""
        force = there.inputs.get("forceDelete", False)
        aws.client("ecr").delete_repository(repositoryName=there.id, force=force)


class LifecyclePolicy(ResourceType, token="aws:ecr/lifecyclePolicy:LifecyclePolicy"):
    """Which images a repository deletes."""

    rename = {"policy": "lifecyclePolicyText", "repository": "repositoryName"}
    refers = {"repository": REPOSITORY}
    needs = "ecr:DeleteLifecyclePolicy ecr:GetLifecyclePolicy ecr:PutLifecyclePolicy"

    def create(self, aws: Aws, new: Resource) -> Created:
        made = call(aws.client("ecr"), "put_lifecycle_policy", new.inputs, rename=self.rename)
        return Created(id=made["repositoryName"], outputs={"registryId": made["registryId"]})

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any]:
        return aws.client("ecr").get_lifecycle_policy(repositoryName=there.id)

    def delete(self, aws: Aws, there: State) -> None:
        aws.client("ecr").delete_lifecycle_policy(repositoryName=there.id)


class PullThroughCacheRule(ResourceType, token="aws:ecr/pullThroughCacheRule:PullThroughCacheRule"):
    """A cache of another registry, which moto does not have."""

    simulated = True
    takes = ("ecr", "CreatePullThroughCacheRule")
    needs = (
        "ecr:CreatePullThroughCacheRule ecr:DeletePullThroughCacheRule ecr:DescribePullThroughCacheRules"
        " ecr:UpdatePullThroughCacheRule iam:CreateServiceLinkedRole"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        """Name it."""
        return Created(id=new.inputs["ecrRepositoryPrefix"], outputs={"registryId": aws.account_id})


class RepositoryCreationTemplate(ResourceType, token="aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate"):
    """What ECR makes repositories of a cache like, which moto does not have."""

    simulated = True
    takes = ("ecr", "CreateRepositoryCreationTemplate")
    rename = {"appliedFors": "appliedFor"}
    needs = (
        "ecr:CreateRepository ecr:CreateRepositoryCreationTemplate ecr:DeleteRepositoryCreationTemplate"
        " ecr:DescribeRepositoryCreationTemplates ecr:PutLifecyclePolicy ecr:UpdateRepositoryCreationTemplate"
        " iam:CreateServiceLinkedRole"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        """Name it."""
        inputs = {"imageTagMutability": "MUTABLE"} | dict(new.inputs)
        return Created(id=inputs["prefix"], outputs={"registryId": aws.account_id, **inputs})
