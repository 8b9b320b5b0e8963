"""What people need: the outputs in Parameter Store, and policies that AWS takes however large the stack is."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from client.stack import FOLDER
from local.aws import Aws
from local.run import Run
from tests.conftest import RunStack
from tests.support import STACKS, Allowed, all_of

LONG = "a-name-of-thirty-two-characters"
LARGEST_PARAMETER_BYTES, LARGEST_POLICY_CHARACTERS = 4096, 6144


def together(run: Run) -> dict[str, Any]:
    """What the parameters of a run say, put together as `train` does."""
    found: dict[str, Any] = {}
    for one in all_of(run, "aws:ssm/parameter:Parameter").values():
        for key, value in json.loads(one.inputs["value"]).items():
            if isinstance(value, dict):
                found.setdefault(key, {}).update(value)
            else:
                found[key] = value
    return found


@pytest.mark.parametrize("stack", STACKS)
def test_the_parameters_say_what_the_stack_exports(stack: str, run_stack: RunStack) -> None:
    run = run_stack(stack, preview=False)
    assert together(run) == run.exports
    names = {one.inputs["name"] for one in all_of(run, "aws:ssm/parameter:Parameter").values()}
    assert names == {f"{FOLDER.format(stack=stack)}/{number}" for number in range(1, len(names) + 1)}


@pytest.mark.parametrize("stack", STACKS)
def test_one_policy_is_enough_for_the_stacks_that_there_are(stack: str, run_stack: RunStack) -> None:
    run = run_stack(stack, preview=False)
    (policy,) = all_of(run, "aws:iam/policy:Policy").values()
    assert run.exports["train_policy_arns"] == [run.created[policy.urn].outputs["arn"]]
    assert characters(policy.inputs["policy"]) <= LARGEST_POLICY_CHARACTERS


def test_the_largest_stack_with_the_longest_names_fits(run_sections: RunStack) -> None:
    run = run_sections(large(), preview=False)
    policies = [one.inputs["policy"] for one in all_of(run, "aws:iam/policy:Policy").values()]
    assert len(policies) == 4  # of 20 job queues and fleets
    assert max(map(longest, policies)) <= LARGEST_POLICY_CHARACTERS
    values = [one.inputs["value"] for one in all_of(run, "aws:ssm/parameter:Parameter").values()]
    assert max(map(longest, values)) <= LARGEST_PARAMETER_BYTES
    assert together(run) == run.exports
    assert len(run.exports["train_policy_arns"]) == len(policies)


def test_people_use_the_keys_of_queues_through_sqs_alone(run_sections: RunStack) -> None:
    key = "arn:aws:kms:us-west-2:123456789012:key/1"
    run = run_sections({"queues": {"tasks": {"kmsKeyArn": key}}}, preview=False)
    may = Allowed(one.inputs["policy"] for one in all_of(run, "aws:iam/policy:Policy").values())
    for action in ("kms:Decrypt", "kms:GenerateDataKey"):
        assert may(action, key, **{"kms:ViaService": "sqs.us-west-2.amazonaws.com"})
        assert not may(action, key, **{"kms:ViaService": "s3.us-west-2.amazonaws.com"})
        assert not may(action, key)


def test_what_is_not_deployed_is_not_allowed(run_sections: RunStack) -> None:
    run = run_sections({}, preview=False)
    (policy,) = all_of(run, "aws:iam/policy:Policy").values()
    allowed = {action for one in json.loads(policy.inputs["policy"])["Statement"] for action in one["Action"]}
    assert {action.split(":")[0] for action in allowed} == {"cloudwatch", "ec2", "ecr", "ecs", "ssm"}


def test_a_stack_that_is_deployed_again_keeps_its_outputs_readable(run_sections: RunStack, aws: Aws) -> None:
    for name in ("one", "another"):
        run = run_sections({"queues": {name: {}}}, preview=False)
        ssm = aws.client("ssm")
        first = ssm.get_parameter(Name=f"{FOLDER.format(stack='test')}/1")["Parameter"]["Value"]
        assert json.loads(first)["queue_urls"] == run.exports["queue_urls"]
        assert run.exports["queue_urls"].keys() == {name}


def large() -> Mapping[str, Any]:
    """A stack file of many parts, each under the longest name that there can be."""
    numbered = [f"{LONG[:28]}-{number:02}x" for number in range(20)]
    assert {len(one) for one in numbered} == {32}
    return {
        "queues": {one: {} for one in (*numbered, "results")},
        "batch": {
            one: {"instanceTypes": ["g6.12xlarge"], "capacity": ["onDemand"], "maxVcpus": 48} for one in numbered[:12]
        },
        "workers": {one: {"queue": one, "submitTo": [numbered[0]]} for one in numbered[:8]},
        "eks": {"gpuNodeGroups": {f"gpu-{number}": {} for number in range(4)}},
    }


def longest(text: str) -> int:
    """How long a text is in the region and partition with the longest names."""
    return characters(text.replace("us-west-2", "ap-southeast-1").replace("arn:aws:", "arn:aws-us-gov:"))


def characters(text: str) -> int:
    """What IAM counts of a policy: no white space."""
    return len(re.sub(r"\s", "", text))
