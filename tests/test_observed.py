"""What somebody changed by hand, as AWS's API says it and as the provider would."""

from typing import Any

import pytest

from local.observed import observed


@pytest.mark.parametrize(
    ("found", "inputs", "now"),
    [
        ({"VisibilityTimeout": "60"}, {"visibilityTimeoutSeconds": 30}, {"visibilityTimeoutSeconds": 60}),
        ({"VisibilityTimeout": "30"}, {"visibilityTimeoutSeconds": 30}, {}),
        ({"SqsManagedSseEnabled": "false"}, {"sqsManagedSseEnabled": True}, {"sqsManagedSseEnabled": False}),
        ({"Policy": '{"b": 1, "a": 2}'}, {"policy": '{"a":2,"b":1}'}, {}),
        ({"Policy": '{"a": 3}'}, {"policy": '{"a":2}'}, {"policy": '{"a": 3}'}),
        ({"SubnetIds": ["b", "a"]}, {"subnetIds": ["a", "b"]}, {}),
        ({"SubnetIds": ["b"]}, {"subnetIds": ["a", "b"]}, {"subnetIds": ["b"]}),
        ({"Scaling": {"MinSize": 1, "MaxSize": 9}}, {"scaling": {"minSize": 1}}, {}),
        (
            {"Scaling": {"MinSize": 2}},
            {"scaling": {"minSize": 1, "maxSize": 4}},
            {"scaling": {"minSize": 2, "maxSize": 4}},
        ),
        # what is not there, or in another form, is taken for what it was
        ({}, {"delaySeconds": 5}, {}),
        ({"Rules": {"a": 1}}, {"rules": [{"a": 1}]}, {}),
    ],
)
def test_an_input_has_the_value_that_the_api_says(
    found: dict[str, Any], inputs: dict[str, Any], now: dict[str, Any]
) -> None:
    names = {"visibilityTimeoutSeconds": "VisibilityTimeout"}
    assert observed(found, inputs, names, {}) == now


@pytest.mark.parametrize(
    "tags", [{"Name": "new", "Project": "p"}, [{"Key": "Name", "Value": "new"}, {"Key": "Project", "Value": "p"}]]
)
def test_tags_are_seen_without_those_of_the_provider(tags: Any) -> None:
    assert observed({"Tags": tags}, {"tags": {"Name": "old"}}, {}, {"Project": "p"}) == {"tags": {"Name": "new"}}
