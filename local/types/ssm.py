"""AWS Systems Manager: parameters of Parameter Store."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from local.aws import Aws
from local.parameters import call, complete
from local.properties import Property
from local.record import ResourceType, answers
from local.run import Created, Resource, State

OF_AWS = "/aws/service/"
IMAGE_HEX_DIGITS = 17
LARGEST_VALUE_BYTES = {"Standard": 4096, "Advanced": 8192}
"""Tier -> how much a parameter holds (SSM user guide, "Managing parameter tiers")."""


class Parameter(ResourceType, token="aws:ssm/parameter:Parameter"):
    """A parameter, under a name that it is told."""

    takes = ("ssm", "PutParameter")
    needs = (
        "ssm:AddTagsToResource ssm:DeleteParameter ssm:DescribeParameters ssm:GetParameter ssm:ListTagsForResource"
        " ssm:PutParameter ssm:RemoveTagsFromResource"
    )

    def refused(self, given: Property) -> Iterator[str]:
        """A value that its tier has no room for."""
        tier = given.value.get("tier", "Standard")
        for one in given.select("value"):
            size = len(str(one.value).encode())
            if size > (most := LARGEST_VALUE_BYTES.get(tier, size)):
                rule = f"{tier} tier parameters support a maximum parameter value of {most} characters"
                yield Property(one.path, size).wrong(rule)

    def create(self, aws: Aws, new: Resource) -> Created:
        """Put it, over another of this name only where that is wanted."""
        inputs = complete(aws, new)
        _put(aws, inputs, overwrite=bool(inputs.get("overwrite")))
        self.retag(aws, State(id=inputs["name"], inputs=inputs, outputs=inputs), inputs.get("tagsAll") or {}, [])
        found = _found(aws, inputs["name"])
        return Created(id=inputs["name"], outputs=inputs | {"arn": found["ARN"], "version": found["Version"]})

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any]:
        """What it is, and its value."""
        ssm, found = aws.client("ssm"), _found(aws, there.id)
        filters = [{"Key": "Name", "Values": [there.id]}]
        (told,) = ssm.describe_parameters(ParameterFilters=filters)["Parameters"]
        tags = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=there.id)["TagList"]
        return {**told, **found, "tags": tags}

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Put another value."""
        _put(aws, new.inputs, overwrite=True)
        return {"version": _found(aws, there.id)["Version"]}

    def retag(self, aws: Aws, there: State, tags: Mapping[str, str], gone: list[str]) -> None:
        """Tag it anew."""
        ssm, which = aws.client("ssm"), {"ResourceType": "Parameter", "ResourceId": there.id}
        if gone:
            ssm.remove_tags_from_resource(**which, TagKeys=gone)
        if tags:
            ssm.add_tags_to_resource(**which, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])

    def delete(self, aws: Aws, there: State) -> None:
        """Delete it."""
        aws.client("ssm").delete_parameter(Name=there.id)


@answers("aws:ssm/getParameter:getParameter", needs="ssm:GetParameter", lasting=True)
def get_parameter(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter of AWS with the id of an image; moto has none, so the id is made from the parameter's name."""
    name = inputs["name"]
    if not name.startswith(OF_AWS):
        raise ValueError(f"name: only parameters under {OF_AWS} are answered here, got {name}")
    value = f"ami-{hashlib.sha256(name.encode()).hexdigest()[:IMAGE_HEX_DIGITS]}"
    return {
        "arn": f"arn:aws:ssm:{aws.region}::parameter{name}",
        "id": name,
        "insecureValue": value,
        "name": name,
        "type": "String",
        "value": value,
        "version": 1,
    }


def _put(aws: Aws, inputs: Mapping[str, Any], *, overwrite: bool) -> None:
    call(aws.client("ssm"), "put_parameter", inputs, leave=("tags", "tagsAll"), overwrite=overwrite)


def _found(aws: Aws, name: str) -> dict[str, Any]:
    return aws.client("ssm").get_parameter(Name=name)["Parameter"]
