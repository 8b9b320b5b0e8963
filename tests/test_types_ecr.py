"""Amazon ECR in moto: what is made, seen, changed and ended."""

import json

import pytest

from local.aws import Aws
from local.run import RefusedError
from tests.support import Life

MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []})


def rules(days: int) -> str:
    selection = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": days}
    return json.dumps({"rules": [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]})


def test_a_repository_is_changed_in_place_and_keeps_its_images_unless_they_may_go(aws: Aws) -> None:
    ecr = aws.client("ecr")
    inputs = {"imageTagMutability": "IMMUTABLE", "imageScanningConfiguration": {"scanOnPush": True}}
    one = Life(aws, "aws:ecr/repository:Repository", inputs | {"tags": {"Name": "it"}}, name="It")
    assert one.state.id.startswith("it-")
    one.update(imageTagMutability="MUTABLE", imageScanningConfiguration={"scanOnPush": False}, tags={"Kind": "images"})
    [there] = ecr.describe_repositories(repositoryNames=[one.state.id])["repositories"]
    assert (there["imageTagMutability"], there["imageScanningConfiguration"]["scanOnPush"]) == ("MUTABLE", False)
    tags = ecr.list_tags_for_resource(resourceArn=one.outputs["arn"])["tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {**aws.default_tags, "Kind": "images"}
    ecr.put_image_tag_mutability(repositoryName=one.state.id, imageTagMutability="IMMUTABLE")
    assert one.seen()["imageTagMutability"] == "IMMUTABLE"
    ecr.put_image(repositoryName=one.state.id, imageManifest=MANIFEST, imageTag="1")
    with pytest.raises(RefusedError, match="RepositoryNotEmptyException"):
        one.delete()
    one.change(forceDelete=True)
    one.delete()


def test_a_lifecycle_policy_that_somebody_changed_is_seen(aws: Aws) -> None:
    ecr = aws.client("ecr")
    repository = Life(aws, "aws:ecr/repository:Repository", {})
    policy = {"repository": repository.state.id, "policy": rules(14)}
    one = Life(aws, "aws:ecr/lifecyclePolicy:LifecyclePolicy", policy)
    assert one.read() == one.state
    ecr.put_lifecycle_policy(repositoryName=repository.state.id, lifecyclePolicyText=rules(7))
    assert one.seen()["policy"] == rules(7)
    one.delete()
    repository.delete()


def test_a_cache_is_answered_as_ecr_would_and_other_registries_take_its_place(aws: Aws) -> None:
    inputs = {"ecrRepositoryPrefix": "artifacts-1a2b3c4/k8s", "upstreamRegistryUrl": "registry.k8s.io"}
    rule = Life(aws, "aws:ecr/pullThroughCacheRule:PullThroughCacheRule", inputs)
    assert (rule.state.id, rule.outputs["registryId"]) == ("artifacts-1a2b3c4/k8s", aws.account_id)
    assert rule.read() == rule.state
    template = {"prefix": "artifacts-1a2b3c4", "appliedFors": ["PULL_THROUGH_CACHE"], "lifecyclePolicy": rules(14)}
    made = Life(aws, "aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate", template)
    assert (made.state.id, made.outputs["imageTagMutability"]) == ("artifacts-1a2b3c4", "MUTABLE")
    made.update(lifecyclePolicy=rules(7))
