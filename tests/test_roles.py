"""The roles of the pipelines: enough for what every stack file makes, and no more than that asks for."""

import json
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest

from local.aws import Aws
from local.provider import Provider
from local.record import FUNCTIONS, TYPES
from local.run import Run
from tests.conftest import REGION, RunStack
from tests.support import STACKS, Allowed
from tools import iam_reference, roles, whole

FILLED = {
    "ACCOUNT_ID": "123456789012",
    "REPOSITORY": "owner@1/name@2",
    "STATE_BUCKET": "distributed-training-state-123456789012",
    "STATE_KEY_ARN": "arn:aws:kms:us-west-2:123456789012:key/12345678-1234-1234-1234-123456789012",
    "REGION": REGION,
    "ROLE_PATH": "",
    "BOUNDARY_ARN": "arn:aws:iam::123456789012:policy/boundary",
}
STATE_KEY_ARN = FILLED["STATE_KEY_ARN"]
NO_PERMISSION = {
    "aws:index/getCallerIdentity:getCallerIdentity",
    "aws:index/getDefaultTags:getDefaultTags",
    "aws:index/getPartition:getPartition",
    "aws:index/getRegion:getRegion",
}
KNOWN_FINDINGS = {
    # who writes the policy of the artifacts bucket could let itself in
    "deploy": {"RESOURCE_POLICY_PRIVILEGE_ESCALATION"},
}
CALLED_ONLY_HERE = {
    "eks:ListClusters",  # to find what has a tag, which moto's tagging API does not know of a cluster
    "iam:ListRoles",  # to find a service's own role, which Batch does itself
    "sts:GetCallerIdentity",  # needs no permission
}
PERMITTED_AS = {
    "budgets:CreateBudget": "budgets:ModifyBudget",
    "s3:DeleteBucketTagging": "s3:PutBucketTagging",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "resourcegroupstaggingapi:GetResources": "tag:GetResources",
    "service-quotas:GetServiceQuota": "servicequotas:GetServiceQuota",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
}
"""Operation -> the action that permits it, where that has another name (service authorization reference)."""
SERVICES = {"servicequotas": "service-quotas", "tag": "resourcegroupstaggingapi"}
"""Prefix of actions -> the service's name in its model, where that is another."""
NEEDED_FOR_WHAT_IS_NOT_DONE = {
    "autoscaling:DescribeAccountLimits",  # quotas of other services than are asked for
    "cloudformation:DescribeAccountLimits",
    "dynamodb:DescribeLimits",
    "elasticloadbalancing:DescribeAccountLimits",
    "iam:GetAccountSummary",
    "kinesis:DescribeLimits",
    "rds:DescribeAccountAttributes",
    "route53:GetAccountLimit",
    "billing:GetBillingViewData",  # a budget over a billing view
    "ecr:SetRepositoryPolicy",  # repositories of a cache with a policy of their own
    "ecs:ListClusters",  # flow logs with fields of ECS
    "ecs:ListContainerInstances",
    "ecs:ListServices",
    "ecs:ListTaskDefinitions",
    "ecs:ListTasks",
    "fsx:CreateBackup",  # a last backup on deletion
    "lambda:PassCapacityProvider",  # functions on instances of one's own
    "ssm:GetParameters",  # a launch template that names its image by a parameter
}


class RecordingAws(Aws):
    """An AWS on this machine that remembers what was called."""

    called: set[str]

    def _note_call(self, model: Any, **more: object) -> None:
        super()._note_call(model, **more)
        self.called.add(f"{model.service_model.service_name}:{model.name}")


@pytest.fixture(scope="module")
def recorded() -> Iterator[tuple[Run, set[str]]]:
    with RecordingAws(REGION) as aws:
        aws.called = set()
        yield whole.deployed(Provider(aws)), aws.called


@pytest.fixture(scope="module", name="whole")
def run_of_the_whole(recorded: tuple[Run, set[str]]) -> Run:
    return recorded[0]


def policies(role: str, **filled: str) -> dict[str, dict[str, Any]]:
    """File name -> policy of a role, filled in as docs/bootstrap.md does."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted([*roles.FOLDER.glob(f"{role}-*.json"), *roles.FOLDER.glob(f"{role}.json")]):
        text = path.read_text(encoding="utf-8")
        for placeholder, value in {**FILLED, **filled}.items():
            text = text.replace(placeholder, value)
        found[path.name] = json.loads(text)
    return found


def statements(role: str) -> list[dict[str, Any]]:
    return [statement for policy in policies(role).values() for statement in policy["Statement"]]


def actions(role: str) -> set[str]:
    return {action for one in statements(role) for action in listed(one.get("Action", []))}


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def allowed(role: str, **filled: str) -> Allowed:
    return Allowed(json.dumps(policy) for policy in policies(role, **filled).values())


@pytest.mark.parametrize("stack", STACKS)
def test_no_stack_file_makes_what_the_whole_stack_does_not(stack: str, whole: Run, run_stack: RunStack) -> None:
    run = run_stack(stack, preview=True)
    made = {one.type for one in run.registrations.values() if one.type.startswith("aws:")}
    assert made
    assert made <= {one.type for one in whole.registrations.values()}


def test_every_function_of_the_providers_is_permitted_or_needs_no_permission() -> None:
    assert {token for token, one in FUNCTIONS.items() if not one.needs} == NO_PERMISSION
    for one in FUNCTIONS.values():
        assert set(one.needs.split()) <= actions("deploy")


def test_every_type_of_aws_says_what_it_needs() -> None:
    assert [token for token, one in TYPES.items() if token.startswith("aws:") and not one.needs] == []


def test_the_deployment_may_call_what_was_called_to_make_a_whole_stack_here(recorded: tuple[Run, set[str]]) -> None:
    _, called = recorded
    assert len(called) > 60
    assert {PERMITTED_AS.get(one, one) for one in called} - CALLED_ONLY_HERE <= actions("deploy")


def test_what_aws_asks_for_besides_is_permitted_too() -> None:
    allowed = actions("deploy")
    besides = {one for action in allowed for one in iam_reference.dependent_actions(action)}
    assert "route53:AssociateVPCWithHostedZone" in besides
    assert besides - allowed == NEEDED_FOR_WHAT_IS_NOT_DONE


def test_what_is_permitted_is_an_operation_of_aws() -> None:
    # or has a name of its own, which the linter knows
    session: Any = botocore.session.get_session()
    operations = {
        service: set(session.get_service_model(SERVICES.get(service, service)).operation_names)
        for service in {action.split(":")[0] for action in actions("deploy")}
    }
    without = {action for action in actions("deploy") if action.split(":")[1] not in operations[action.split(":")[0]]}
    assert without == {
        "budgets:ModifyBudget",
        "budgets:ViewBudget",
        "iam:PassRole",
        "logs:CreateLogDelivery",
        "logs:DeleteLogDelivery",
        "s3:DeleteObjectVersion",
        "s3:GetAccelerateConfiguration",
        "s3:GetBucketCORS",
        "s3:GetBucketObjectLockConfiguration",
        "s3:GetBucketPublicAccessBlock",
        "s3:GetEncryptionConfiguration",
        "s3:GetLifecycleConfiguration",
        "s3:GetReplicationConfiguration",
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "s3:ListTagsForResource",
        "s3:PutBucketPublicAccessBlock",
        "s3:PutEncryptionConfiguration",
        "s3:PutLifecycleConfiguration",
        "s3:TagResource",
        "s3:UntagResource",
    }


@pytest.mark.parametrize("role", ["preview", "deploy"])
def test_a_role_takes_all_its_policies_and_each_is_small_enough(role: str) -> None:
    assert 1 < len(policies(role)) <= 10  # of a role (IAM user guide, "IAM and AWS STS quotas")
    for name, policy in policies(role).items():
        assert roles.size(policy) <= 6144, name


@pytest.mark.parametrize("role", ["preview", "deploy", "state", "runner", "boundary"])
def test_the_linter_finds_nothing_but_what_is_known(role: str) -> None:
    found = {finding.split(" - ")[0] for policy in policies(role).values() for finding in iam_reference.lint(policy)}
    assert found == KNOWN_FINDINGS.get(role, set())


@pytest.mark.parametrize("role", ["preview", "deploy", "runner"])
def test_everything_is_allowed_only_where_aws_knows_nothing_narrower(role: str) -> None:
    for statement in statements(role):
        assert not any("*" in action for action in listed(statement.get("Action", [])))
        if "*" in listed(statement["Resource"]):
            # a global service is in no region
            is_global = {action.split(":")[0] for action in statement["Action"]} <= set(roles.GLOBAL)
            assert statement.get("Condition") == (
                None if is_global else {"StringEquals": {"aws:RequestedRegion": REGION}}
            )
            for action in statement["Action"]:
                assert iam_reference.resource_types(action) == set(), action


def test_a_preview_changes_nothing() -> None:
    assert {iam_reference.access_level(action) for action in actions("preview")} == {"List", "Read", "Write"}
    # to decrypt counts as writing
    assert {one for one in actions("preview") if iam_reference.access_level(one) == "Write"} == {"kms:Decrypt"}
    may = allowed("preview")
    state = f"arn:aws:s3:::{FILLED['STATE_BUCKET']}"
    assert may("s3:GetObject", f"{state}/.pulumi/stacks/dev.json")
    assert may("kms:Decrypt", STATE_KEY_ARN)
    assert not may("s3:PutObject", f"{state}/.pulumi/stacks/dev.json")
    assert not may("s3:GetObject", "arn:aws:s3:::artifacts-0123456/checkpoints/1")
    assert not may("kms:Decrypt", STATE_KEY_ARN.replace("12345678-", "87654321-"))


def test_a_deployment_makes_every_role_and_bucket_of_a_whole_stack_and_passes_the_roles(whole: Run) -> None:
    may, made = allowed("deploy"), whole.created
    of_type = {
        type_: [made[urn] for urn, one in whole.registrations.items() if one.type == type_ and urn in made]
        for type_ in ("aws:iam/role:Role", "aws:iam/instanceProfile:InstanceProfile", "aws:s3/bucket:Bucket")
    }
    assert all(of_type.values())
    for role in of_type["aws:iam/role:Role"]:
        (statement,) = json.loads(role.outputs["assumeRolePolicy"])["Statement"]
        service = statement["Principal"]["Service"]
        service = service if isinstance(service, str) else service[0]
        for action in ("iam:CreateRole", "iam:PutRolePolicy", "iam:TagRole", "iam:DeleteRole"):
            assert may(action, role.outputs["arn"]), role.outputs["arn"]
        assert may("iam:PassRole", role.outputs["arn"], **{"iam:PassedToService": service})
        assert not may("iam:PassRole", role.outputs["arn"], **{"iam:PassedToService": "glue.amazonaws.com"})
    for profile in of_type["aws:iam/instanceProfile:InstanceProfile"]:
        assert may("iam:CreateInstanceProfile", profile.outputs["arn"])
    for bucket in of_type["aws:s3/bucket:Bucket"]:
        assert may("s3:CreateBucket", f"arn:aws:s3:::{bucket.id}")
        assert may("s3:DeleteObjectVersion", f"arn:aws:s3:::{bucket.id}/checkpoints/1")


def test_a_deployment_has_aws_make_the_roles_that_services_make_for_themselves() -> None:
    may, role = (
        allowed("deploy"),
        "arn:aws:iam::123456789012:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch",
    )
    assert may("iam:GetRole", role)
    assert may("iam:CreateServiceLinkedRole", role, **{"iam:AWSServiceName": "batch.amazonaws.com"})
    assert not may("iam:CreateServiceLinkedRole", role, **{"iam:AWSServiceName": "lex.amazonaws.com"})
    assert not may("iam:PutRolePolicy", role)


def test_a_deployment_attaches_the_policies_that_the_stack_attaches_and_no_other(whole: Run) -> None:
    attached = {
        one.inputs["policyArn"] if one.inputs else whole.created[urn].outputs["policyArn"]
        for urn, one in whole.registrations.items()
        if one.type == "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    }
    assert len(attached) > 4
    (condition,) = (
        one["Condition"]
        for one in statements("deploy")
        if "iam:AttachRolePolicy" in one.get("Action", []) and "/aws-service-role/" not in one["Resource"][0]
    )
    assert condition == {"ArnEquals": {"iam:PolicyARN": sorted(attached)}}


@pytest.mark.parametrize("role", ["distributed-training-deploy", "distributed-training-preview", "administrator"])
def test_a_deployment_changes_no_role_but_the_stacks(role: str) -> None:
    may = allowed("deploy")
    for action in ("iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy", "iam:DeleteRole", "iam:PassRole"):
        assert not may(action, f"arn:aws:iam::123456789012:role/{role}")


def test_a_deployment_is_limited_to_the_path_of_the_roles() -> None:
    may = allowed("deploy", ROLE_PATH="ml/training/")
    for action in ("iam:CreateRole", "iam:PutRolePolicy", "iam:PassRole"):
        assert not may(action, "arn:aws:iam::123456789012:role/training-node-0123456")
    assert may("iam:CreateRole", "arn:aws:iam::123456789012:role/ml/training/training-node-0123456")
    assert not may("iam:CreateRole", "arn:aws:iam::123456789012:role/ml/training-node-0123456")


def test_a_boundary_is_demanded_of_every_role_that_a_deployment_makes_or_changes() -> None:
    (policy,) = policies("boundary").values()
    demanded, kept = policy["Statement"]
    assert demanded["Effect"] == kept["Effect"] == "Deny"
    assert demanded["Condition"] == {"ArnNotEquals": {"iam:PermissionsBoundary": FILLED["BOUNDARY_ARN"]}}
    # all that the deployment may do to give a role more than the boundary, and that IAM knows the condition for
    gives = {one for one in actions("deploy") if iam_reference.access_level(one) == "Permissions management"}
    able = {one for one in gives if "iam:PermissionsBoundary" in iam_reference.condition_keys(one)}
    takes = {"iam:DeleteRolePolicy", "iam:DetachRolePolicy"}
    assert able - takes - {"iam:DeleteRolePermissionsBoundary"} <= set(demanded["Action"])
    assert {"iam:CreateRole", "iam:PutRolePermissionsBoundary"} <= set(demanded["Action"])
    # AWS's own roles have none
    assert demanded["NotResource"] == [f"{roles.SERVICES_ROLES.replace('ACCOUNT_ID', '123456789012')}/*"]
    assert kept["Action"] == ["iam:DeleteRolePermissionsBoundary"]


def test_a_deployment_keeps_the_state_and_cannot_lose_it() -> None:
    may, bucket = allowed("deploy"), f"arn:aws:s3:::{FILLED['STATE_BUCKET']}"
    for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"):
        assert may(action, f"{bucket}/.pulumi/stacks/dev.json")
    assert not may("s3:DeleteObjectVersion", f"{bucket}/.pulumi/stacks/dev.json")
    for action in ("s3:DeleteBucket", "s3:PutBucketPolicy", "s3:PutBucketVersioning"):
        assert not may(action, bucket)
    assert may("kms:Decrypt", STATE_KEY_ARN)
    for action in ("kms:ScheduleKeyDeletion", "kms:DisableKey", "kms:PutKeyPolicy"):
        assert may(action, STATE_KEY_ARN.replace("12345678-", "87654321-"))
        assert not may(action, STATE_KEY_ARN)


def test_a_role_is_taken_on_by_its_own_workflows_alone() -> None:
    trusted = {
        name: statement["Condition"]["StringEquals"]
        for name, policy in policies("trust").items()
        for statement in policy["Statement"]
    }
    subject, audience = "token.actions.githubusercontent.com:sub", "token.actions.githubusercontent.com:aud"
    assert {one[audience] for one in trusted.values()} == {"sts.amazonaws.com"}
    assert trusted["trust-preview.json"][subject] == [
        "repo:owner@1/name@2:pull_request",
        "repo:owner@1/name@2:ref:refs/heads/main",
    ]
    deploys = trusted["trust-deploy.json"][subject]
    assert [one.removeprefix("repo:owner@1/name@2:environment:") for one in deploys] == ["dev", "staging", "prod"]
    assert {f"repo:owner@1/name@2:environment:{stack}" for stack in STACKS} <= set(deploys)
