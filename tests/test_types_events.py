"""Amazon EventBridge in moto: what is made, seen, changed and ended."""

import json
from collections.abc import Iterator

import pytest

from local.aws import Aws
from local.moto_process import ACCOUNT_ID
from local.run import RefusedError
from tests.support import Life

FAILED = json.dumps({"source": ["aws.batch"], "detail": {"status": ["FAILED"]}})
TOPIC = f"arn:aws:sns:us-west-2:{ACCOUNT_ID}:alerts"


@pytest.fixture
def rule(aws: Aws) -> Iterator[Life]:
    """A rule without targets."""
    one = Life(aws, "aws:cloudwatch/eventRule:EventRule", {"description": "it fails", "eventPattern": FAILED})
    yield one
    one.delete()


@pytest.fixture
def target(aws: Aws, rule: Life) -> Iterator[Life]:
    """A target of the rule."""
    one = Life(aws, "aws:cloudwatch/eventTarget:EventTarget", {"rule": rule.outputs["name"], "arn": TOPIC})
    yield one
    one.delete()


def test_a_pattern_changes_in_place_and_keeps_its_targets(aws: Aws, rule: Life, target: Life) -> None:
    rule.update(eventPattern=json.dumps({"source": ["aws.ecs"]}), tags={"Kind": "alerts"})
    events = aws.client("events")
    there = events.describe_rule(Name=rule.state.id)
    assert (json.loads(there["EventPattern"]), there["State"]) == ({"source": ["aws.ecs"]}, "ENABLED")
    tags = events.list_tags_for_resource(ResourceARN=there["Arn"])["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {**aws.default_tags, "Kind": "alerts"}
    assert target.read() == target.state


def test_a_pattern_that_somebody_changed_is_seen(aws: Aws, rule: Life) -> None:
    events = aws.client("events")
    events.put_rule(Name=rule.state.id, EventPattern=json.dumps({"source": ["aws.ec2"]}), Description="other")
    assert json.loads(rule.seen()["eventPattern"]) == {"source": ["aws.ec2"]}
    assert rule.seen()["description"] == "other"


def test_another_address_keeps_the_id_of_a_target(aws: Aws, target: Life) -> None:
    target.update(arn=f"{TOPIC}-2")
    found = aws.client("events").list_targets_by_rule(Rule=target.resource.inputs["rule"])["Targets"]
    assert found == [{"Id": target.outputs["targetId"], "Arn": f"{TOPIC}-2"}]


def test_a_target_whose_rule_is_gone_is_gone(aws: Aws) -> None:
    one = Life(aws, "aws:cloudwatch/eventRule:EventRule", {"eventPattern": FAILED})
    target = Life(aws, "aws:cloudwatch/eventTarget:EventTarget", {"rule": one.state.id, "arn": TOPIC})
    aws.client("events").remove_targets(Rule=one.state.id, Ids=[target.outputs["targetId"]])
    aws.client("events").delete_rule(Name=one.state.id)
    assert (one.read(), target.read()) == (None, None)


def test_a_rule_with_targets_is_not_deleted(rule: Life, target: Life) -> None:
    assert target.read() is not None
    with pytest.raises(RefusedError, match=r"Rule can't be deleted since it has targets\.$"):
        rule.delete()
