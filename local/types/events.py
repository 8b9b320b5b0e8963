"""Amazon EventBridge: rules and their targets."""

from collections.abc import Iterator, Mapping
from typing import Any

from local.aws import Aws, hex_digits
from local.parameters import call, complete
from local.properties import Property
from local.record import ResourceType, tag_actions
from local.run import Created, Resource, State
from local.tags import Tagged

RULE = "aws:cloudwatch/eventRule:EventRule"
LARGEST_PATTERN_CHARACTERS = 2048
"""EventBridge user guide, "Amazon EventBridge quotas"; AWS raises it on request, up to the API's 4096."""
TARGET_ID_DIGITS = 26
"""Length of the id that the provider invents for a target."""


class EventRule(Tagged, token=RULE):
    """A rule on the default event bus."""

    service = "events"
    name = "name"
    needs = (
        "events:DeleteRule events:DescribeRule events:DisableRule events:EnableRule events:PutRule"
        f" {tag_actions('events')}"
    )

    def refused(self, given: Property) -> Iterator[str]:
        """A pattern that is too long."""
        yield from given.at_most("eventPattern", LARGEST_PATTERN_CHARACTERS, "characters")

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = {"state": "ENABLED"} | complete(aws, new)
        arn = call(aws.client("events"), "put_rule", inputs)["RuleArn"]
        return Created(id=inputs["name"], outputs=inputs | {"arn": arn, "eventBusName": "default"})

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any]:
        return {**aws.client("events").describe_rule(Name=there.id), "tags": self.tags_of(aws, there)}

    def delete(self, aws: Aws, there: State) -> None:
        """EventBridge refuses while it has targets."""
        aws.client("events").delete_rule(Name=there.id)


class EventTarget(ResourceType, token="aws:cloudwatch/eventTarget:EventTarget"):
    """Where a rule sends its events."""

    name = "targetId"
    rename = {"targetId": "Id"}
    refers = {"rule": RULE}
    needs = "events:ListTargetsByRule events:PutTargets events:RemoveTargets"

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = {"targetId": f"terraform-{hex_digits(TARGET_ID_DIGITS)}"} | dict(new.inputs)
        rule, target_id = inputs["rule"], inputs["targetId"]
        target = {"Id": target_id} | {key: one for key, one in inputs.items() if key not in ("rule", "targetId")}
        made = call(aws.client("events"), "put_targets", {"rule": rule, "targets": [target]})
        if failures := made.get("FailedEntries"):
            raise ValueError(f"targetId: {failures[0]['ErrorMessage']}")
        return Created(id=f"{rule}-{target_id}", outputs=inputs | {"eventBusName": "default"})

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        found = aws.client("events").list_targets_by_rule(Rule=there.inputs["rule"])["Targets"]
        return next((one for one in found if one["Id"] == there.outputs["targetId"]), None)

    def delete(self, aws: Aws, there: State) -> None:
        """Remove it from the rule."""
        aws.client("events").remove_targets(Rule=there.inputs["rule"], Ids=[there.outputs["targetId"]])
