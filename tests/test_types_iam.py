"""AWS IAM in moto: what is made, seen, changed and ended."""

import json
from collections.abc import Iterator

import pytest

from local.aws import Aws
from local.run import RefusedError
from tests.support import Life

POLICY_ARN = "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def allow(action: str) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]})


@pytest.fixture
def role(aws: Aws) -> Iterator[Life]:
    """A role of EC2."""
    one = Life(aws, "aws:iam/role:Role", {"assumeRolePolicy": trust("ec2.amazonaws.com"), "tags": {"Name": "it"}})
    yield one
    one.delete()


def test_a_role_takes_other_trust_and_tags_in_place(aws: Aws, role: Life) -> None:
    role.update(assumeRolePolicy=trust("ecs-tasks.amazonaws.com"), description="tasks", tags={"Kind": "worker"})
    there = aws.client("iam").get_role(RoleName=role.state.id)["Role"]
    assert there["AssumeRolePolicyDocument"] == json.loads(trust("ecs-tasks.amazonaws.com"))
    assert there["Description"] == "tasks"
    assert {tag["Key"]: tag["Value"] for tag in there["Tags"]} == {**aws.default_tags, "Kind": "worker"}


def test_a_role_gets_a_boundary_and_loses_it_in_place(aws: Aws, role: Life) -> None:
    def boundary() -> str | None:
        found = aws.client("iam").get_role(RoleName=role.state.id)["Role"]
        return found.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")

    role.update(permissionsBoundary=POLICY_ARN)
    assert boundary() == POLICY_ARN
    role.update(permissionsBoundary=None)
    assert boundary() is None


def test_a_policy_that_somebody_changed_is_seen_and_put_back(aws: Aws, role: Life) -> None:
    one = Life(aws, "aws:iam/rolePolicy:RolePolicy", {"role": role.state.id, "policy": allow("s3:GetObject")})
    names = {"RoleName": role.state.id, "PolicyName": one.outputs["name"]}
    aws.client("iam").put_role_policy(**names, PolicyDocument=allow("s3:PutObject"))
    assert one.seen()["policy"] == allow("s3:PutObject")
    one.update(policy=allow("s3:ListBucket"))
    assert aws.client("iam").list_role_policies(RoleName=role.state.id)["PolicyNames"] == [one.outputs["name"]]
    one.delete()


def test_a_policy_that_somebody_detached_is_gone(aws: Aws, role: Life) -> None:
    attached = {"role": role.state.id, "policyArn": POLICY_ARN}
    one = Life(aws, "aws:iam/rolePolicyAttachment:RolePolicyAttachment", attached)
    assert one.read() == one.state
    aws.client("iam").detach_role_policy(RoleName=role.state.id, PolicyArn=POLICY_ARN)
    assert one.read() is None


def test_a_role_with_a_policy_is_not_deleted(aws: Aws, role: Life) -> None:
    attached = {"role": role.state.id, "policyArn": POLICY_ARN}
    one = Life(aws, "aws:iam/rolePolicyAttachment:RolePolicyAttachment", attached)
    with pytest.raises(RefusedError, match="Cannot delete entity, must detach all policies first"):
        role.delete()
    one.delete()


def test_a_policy_of_its_own_takes_another_document_in_place_however_often(aws: Aws) -> None:
    iam = aws.client("iam")
    one = Life(aws, "aws:iam/policy:Policy", {"policy": allow("s3:GetObject"), "tags": {"Name": "it"}})
    # IAM keeps five versions
    for number in range(6):
        one.update(policy=allow(f"s3:GetObject{number}"), tags={"Kind": "people"})
    assert one.seen()["policy"] == allow("s3:GetObject5")
    tags = iam.list_policy_tags(PolicyArn=one.state.id)["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {**aws.default_tags, "Kind": "people"}
    one.delete()
    assert one.read() is None


def test_a_policy_that_somebody_has_is_not_deleted(aws: Aws, role: Life) -> None:
    one = Life(aws, "aws:iam/policy:Policy", {"policy": allow("s3:GetObject")})
    aws.client("iam").attach_role_policy(RoleName=role.state.id, PolicyArn=one.state.id)
    with pytest.raises(RefusedError, match="DeleteConflict"):
        one.delete()
    aws.client("iam").detach_role_policy(RoleName=role.state.id, PolicyArn=one.state.id)
    one.delete()


def test_an_instance_profile_takes_another_role_and_ends_without_it(aws: Aws, role: Life) -> None:
    other = Life(aws, "aws:iam/role:Role", {"assumeRolePolicy": trust("ec2.amazonaws.com")})
    one = Life(aws, "aws:iam/instanceProfile:InstanceProfile", {"role": other.state.id})
    one.update(role=role.state.id, tags={"Kind": "node"})
    other.delete()
    one.delete()
    assert role.read() == role.state
