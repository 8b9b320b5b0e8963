"""What AWS's reference says of actions, and what its linter finds."""

from typing import Any

import pytest

from tools import iam_reference

QUEUE = "arn:aws:sqs:us-west-2:123456789012:tasks"


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ({"Action": "sqs:SendMesage", "Resource": QUEUE}, "UNKNOWN_ACTION"),
        ({"Action": "sqs:SendMessage", "Resource": "arn:aws:s3:::bucket"}, "RESOURCE_MISMATCH"),
        ({"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::bucket/key"}, "RESOURCE_MISMATCH"),
        ({"Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::bucket"]}, "RESOURCE_MISMATCH"),
        ({"Action": "kms:Decrypt", "Resource": "*"}, "RESOURCE_STAR"),
        (
            {"Action": "sqs:SendMessage", "Resource": QUEUE, "Condition": {"Bool": {"sqs:Nothing": "true"}}},
            "UNKNOWN_CONDITION_FOR_ACTION",
        ),
    ],
)
def test_the_linter_finds_what_is_wrong(statement: dict[str, Any], finding: str) -> None:
    found = iam_reference.lint({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})
    assert {one.split(" - ")[0] for one in found} == {finding}


def test_an_action_is_told_with_its_level_its_resources_and_what_it_asks_for_besides() -> None:
    assert iam_reference.access_level("sqs:GetQueueUrl") == "Read"
    assert iam_reference.resource_types("ecr:GetAuthorizationToken") == set()
    assert iam_reference.resource_types("batch:DescribeJobQueues") == set()
    assert iam_reference.resource_arns("sqs:SendMessage") == {"arn:${Partition}:sqs:${Region}:${Account}:${QueueName}"}
    assert iam_reference.dependent_actions("sqs:SendMessage") == set()
    assert iam_reference.dependent_actions("budgets:ModifyBudget") == {"iam:CreateServiceLinkedRole"}


def test_a_service_with_several_chapters_is_read_whole() -> None:
    for action in ("elasticloadbalancing:RegisterInstancesWithLoadBalancer", "elasticloadbalancing:RegisterTargets"):
        assert iam_reference.access_level(action) == "Write"
