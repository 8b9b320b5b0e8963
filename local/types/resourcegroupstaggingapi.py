"""AWS Resource Groups Tagging API: finds resources of all services by their tags."""

from collections.abc import Iterator, Mapping
from typing import Any

from local.aws import Aws
from local.parameters import call
from local.record import answers


@answers("aws:resourcegroupstaggingapi/getResources:getResources", needs="tag:GetResources")
def get_resources(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The resources that have the tags of the filters."""
    found = dict(_tagged(aws))
    wanted: list[dict[str, Any]] = inputs.get("tagFilters") or []
    return {
        "id": aws.region,
        "resourceTagMappingLists": [
            {"complianceDetails": [], "resourceArn": arn, "tags": tags}
            for arn, tags in sorted(found.items())
            if all(
                one["key"] in tags and (not one.get("values") or tags[one["key"]] in one["values"]) for one in wanted
            )
        ],
    }


def _tagged(aws: Aws) -> Iterator[tuple[str, dict[str, str]]]:
    for page in aws.client("resourcegroupstaggingapi").get_paginator("get_resources").paginate():
        for one in page["ResourceTagMappingList"]:
            yield one["ResourceARN"], {tag["Key"]: tag["Value"] for tag in one["Tags"]}
    # moto has no tags of these in this API
    batch = aws.client("batch")
    for one in call(batch, "describe_compute_environments", {})["computeEnvironments"]:
        yield one["computeEnvironmentArn"], one["tags"]
    for one in call(batch, "describe_job_queues", {})["jobQueues"]:
        yield one["jobQueueArn"], one["tags"]
    ecr = aws.client("ecr")
    for page in ecr.get_paginator("describe_repositories").paginate():
        for arn in (one["repositoryArn"] for one in page["repositories"]):
            yield arn, {tag["Key"]: tag["Value"] for tag in ecr.list_tags_for_resource(resourceArn=arn)["tags"]}
    eks = aws.client("eks")
    for name in eks.list_clusters()["clusters"]:
        cluster = eks.describe_cluster(name=name)["cluster"]
        yield cluster["arn"], cluster["tags"]
