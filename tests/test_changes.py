"""What the AWS provider would plan for an edit, out of the plans that were recorded of it."""

from typing import Any

import pytest

from local.changes import Change, between, planned
from local.run import State
from local.wire import UNKNOWN

QUEUE = "aws:sqs/queue:Queue"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
ENVIRONMENT = "aws:batch/computeEnvironment:ComputeEnvironment"
FILE_SYSTEM = "aws:fsx/lustreFileSystem:LustreFileSystem"


def there(inputs: dict[str, Any], **computed: Any) -> State:
    return State(id="it", inputs=inputs, outputs={**inputs, **computed})


def changed(type_: str, old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """Path -> kind of change, and whether it replaces the resource."""
    return {one.path: (one.kind, one.replaces) for one in between(type_, there(old), new, None)}


def test_nothing_changes_without_an_edit() -> None:
    inputs = {"name": "a", "tags": {"Name": "a"}, "subnets": ["s1", "s2"]}
    assert changed(QUEUE, inputs, dict(inputs)) == {}


@pytest.mark.parametrize(
    ("type_", "old", "new", "expected"),
    [
        (
            QUEUE,
            {"visibilityTimeoutSeconds": 30},
            {"visibilityTimeoutSeconds": 60},
            {"visibilityTimeoutSeconds": ("raised", False)},
        ),
        (QUEUE, {"fifoQueue": True}, {"fifoQueue": False}, {"fifoQueue": ("changed", True)}),
        (QUEUE, {"fifoQueue": True}, {}, {"fifoQueue": ("removed", True)}),
        (
            NODE_GROUP,
            {"instanceTypes": ["g6.12xlarge"]},
            {"instanceTypes": ["g6.12xlarge", "g5.12xlarge"]},
            {"instanceTypes[1]": ("added", True)},
        ),
        (
            NODE_GROUP,
            {"scalingConfig": {"maxSize": 4}},
            {"scalingConfig": {"maxSize": 2}},
            {"scalingConfig.maxSize": ("lowered", False)},
        ),
        # a block that comes replaces, one that goes does not
        (
            NODE_GROUP,
            {},
            {"launchTemplate": {"id": "lt-1"}},
            {"launchTemplate": ("added", True), "launchTemplate.id": ("added", True)},
        ),
        (
            ENVIRONMENT,
            {"computeResources": {"placementGroup": "a"}},
            {"computeResources": {}},
            {"computeResources.placementGroup": ("removed", True)},
        ),
        (
            ENVIRONMENT,
            {"computeResources": {"launchTemplate": {"version": "1"}}},
            {"computeResources": {"launchTemplate": {"version": UNKNOWN}}},
            {"computeResources.launchTemplate.version": ("unknown", False)},
        ),
        (FILE_SYSTEM, {"storageCapacity": 1200}, {"storageCapacity": 2400}, {"storageCapacity": ("raised", False)}),
        (FILE_SYSTEM, {"storageCapacity": 2400}, {"storageCapacity": 1200}, {"storageCapacity": ("lowered", True)}),
    ],
)
def test_an_edit_is_made_in_place_or_replaces(
    type_: str, old: dict[str, Any], new: dict[str, Any], expected: dict[str, tuple[str, bool]]
) -> None:
    assert changed(type_, old, new) == expected


def test_tags_of_the_provider_change_what_has_tags() -> None:
    queue = there({"name": "a"}, tagsAll={"Project": "old"})
    assert between(QUEUE, queue, {"name": "a"}, {"Project": "new"}) == [
        Change(path="tagsAll", kind="changed", replaces=False)
    ]


def test_a_preview_does_not_know_what_an_update_recomputes() -> None:
    template = there({"userData": "old", "description": "a"}, latestVersion=3, defaultVersion=3, arn="arn:it")
    new = {"userData": "new", "description": "a"}
    shown = planned(TEMPLATE, template, new, between(TEMPLATE, template, new, None))
    assert shown == {**new, "latestVersion": UNKNOWN, "defaultVersion": UNKNOWN, "arn": "arn:it"}


def test_a_preview_forgets_an_input_that_is_taken_away() -> None:
    queue = there({"name": "a", "delaySeconds": 5}, arn="arn:it")
    new = {"name": "a"}
    assert planned(QUEUE, queue, new, between(QUEUE, queue, new, None)) == {"name": "a", "arn": "arn:it"}
