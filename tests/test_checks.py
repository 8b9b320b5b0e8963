"""What is refused before AWS is asked: each wrong input with its line, and that nothing right is refused.

The inputs and the lines are in checks.yaml.
"""

import copy
import json
import re
from collections.abc import Mapping
from typing import Any, cast

import pytest
import yaml

from local.aws import CREATE, Created
from local.checks import Known, coverage, problems
from local.checks.services import TABLE
from local.engine import UNKNOWN, Registration
from local.moto_process import ACCOUNT_ID
from tests.conftest import ROOT, RunStack

ROLE = f"arn:aws:iam::{ACCOUNT_ID}:role/job"
PROFILE = f"arn:aws:iam::{ACCOUNT_ID}:instance-profile/node"
TOPIC = f"arn:aws:sns:us-west-2:{ACCOUNT_ID}:alerts"
KEY = f"arn:aws:kms:us-west-2:{ACCOUNT_ID}:key/11111111-2222-3333-4444-555555555555"
SQS = f"arn:aws:sqs:us-west-2:{ACCOUNT_ID}"
QUEUE_URL = f"http://127.0.0.1:5000/{ACCOUNT_ID}/tasks.fifo"
BATCH = f"arn:aws:batch:us-west-2:{ACCOUNT_ID}"
ENVIRONMENT = f"{BATCH}:compute-environment/one"

MADE: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("aws:ec2/vpc:Vpc", {}, "vpc-0123456789abcdef0", {}),
    ("aws:ec2/vpc:Vpc", {}, "vpc-0123456789abcdef1", {}),
    ("aws:ec2/subnet:Subnet", {"availabilityZone": "us-west-2a"}, "subnet-0123456789abcdef0", {}),
    ("aws:ec2/subnet:Subnet", {"availabilityZone": "us-west-2b"}, "subnet-0123456789abcdef1", {}),
    ("aws:ec2/subnet:Subnet", {"availabilityZone": "us-west-2a"}, "subnet-0123456789abcdef2", {}),
    ("aws:ec2/internetGateway:InternetGateway", {"vpcId": "vpc-0123456789abcdef0"}, "igw-0123456789abcdef0", {}),
    ("aws:ec2/routeTable:RouteTable", {}, "rtb-0123456789abcdef0", {}),
    (
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        {"subnetId": "subnet-0123456789abcdef0"},
        "rtbassoc-0123456789abcdef0",
        {},
    ),
    ("aws:ec2/eip:Eip", {}, "eipalloc-0123456789abcdef0", {}),
    ("aws:ec2/eip:Eip", {}, "eipalloc-0123456789abcdef1", {}),
    (
        "aws:ec2/natGateway:NatGateway",
        {"allocationId": "eipalloc-0123456789abcdef1"},
        "nat-0123456789abcdef0",
        {},
    ),
    ("aws:ec2/securityGroup:SecurityGroup", {}, "sg-0123456789abcdef0", {}),
    ("aws:ec2/securityGroup:SecurityGroup", {}, "sg-0123456789abcdef1", {}),
    *(
        (
            "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
            {
                "securityGroupId": group,
                "ipProtocol": "tcp",
                "fromPort": port,
                "toPort": port,
                "cidrIpv4": "10.0.0.0/16",
            },
            f"sgr-{port}",
            {},
        )
        for group, ports in (("sg-0123456789abcdef0", [80]), ("sg-0123456789abcdef1", range(1000, 1060)))
        for port in ports
    ),
    ("aws:ec2/launchTemplate:LaunchTemplate", {}, "lt-0123456789abcdef0", {}),
    ("aws:fsx/lustreFileSystem:LustreFileSystem", {}, "fs-0123456789abcdef0", {}),
    ("aws:iam/role:Role", {}, "job", {"arn": ROLE, "name": "job"}),
    ("aws:iam/role:Role", {}, "full", {"name": "full"}),
    *(
        ("aws:iam/rolePolicyAttachment:RolePolicyAttachment", {"role": "full"}, f"full/{number}", {})
        for number in range(10)
    ),
    ("aws:iam/instanceProfile:InstanceProfile", {}, "node", {"arn": PROFILE}),
    ("aws:kms/key:Key", {}, KEY.rpartition("/")[2], {"arn": KEY}),
    ("aws:s3/bucket:Bucket", {}, "artifacts-1", {"bucket": "artifacts-1"}),
    ("aws:ecr/repository:Repository", {}, "images", {"name": "images"}),
    ("aws:sns/topic:Topic", {}, TOPIC, {"arn": TOPIC}),
    (
        "aws:cloudwatch/logGroup:LogGroup",
        {},
        "logs",
        {"arn": f"arn:aws:logs:us-west-2:{ACCOUNT_ID}:log-group:logs", "name": "logs"},
    ),
    ("aws:cloudwatch/eventRule:EventRule", {}, "failed", {"name": "failed"}),
    ("aws:sqs/queue:Queue", {"fifoQueue": True}, f"{QUEUE_URL[:-5]}-dlq.fifo", {"arn": f"{SQS}:tasks-dlq.fifo"}),
    ("aws:sqs/queue:Queue", {}, QUEUE_URL.replace("tasks.fifo", "letters"), {"arn": f"{SQS}:letters"}),
    (
        "aws:sqs/queue:Queue",
        {"fifoQueue": True, "redrivePolicy": json.dumps({"deadLetterTargetArn": f"{SQS}:tasks-dlq.fifo"})},
        QUEUE_URL,
        {"arn": f"{SQS}:tasks.fifo"},
    ),
    ("aws:sqs/queue:Queue", {"fifoQueue": True}, QUEUE_URL.replace("tasks", "closed"), {"arn": f"{SQS}:closed.fifo"}),
    (
        "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy",
        {
            "queueUrl": QUEUE_URL.replace("tasks", "closed"),
            "redriveAllowPolicy": json.dumps({"redrivePermission": "denyAll"}),
        },
        "closed",
        {},
    ),
    *(
        ("aws:batch/computeEnvironment:ComputeEnvironment", {"computeResources": {"type": kind}}, name, {"arn": arn})
        for kind, name, arn in (
            ("SPOT", "one", ENVIRONMENT),
            ("FARGATE", "fargate", f"{BATCH}:compute-environment/fargate"),
        )
    ),
    (
        "aws:ecs/cluster:Cluster",
        {},
        f"arn:aws:ecs:us-west-2:{ACCOUNT_ID}:cluster/workers",
        {"name": "workers", "arn": f"arn:aws:ecs:us-west-2:{ACCOUNT_ID}:cluster/workers"},
    ),
    (
        "aws:ecs/taskDefinition:TaskDefinition",
        {},
        "workers",
        {"arn": f"arn:aws:ecs:us-west-2:{ACCOUNT_ID}:task-definition/workers:1"},
    ),
    (
        "aws:ecs/service:Service",
        {"name": "first", "cluster": f"arn:aws:ecs:us-west-2:{ACCOUNT_ID}:cluster/workers"},
        f"arn:aws:ecs:us-west-2:{ACCOUNT_ID}:service/workers/first",
        {},
    ),
    ("aws:appautoscaling/target:Target", {"resourceId": "service/workers/workers"}, "service/workers/workers", {}),
    ("aws:eks/cluster:Cluster", {}, "training", {"name": "training"}),
]
"""What the stack has made already: type, inputs, id and outputs."""


def expanded(value: Any) -> Any:
    """A value of the table, its long texts written out."""
    match value:
        case {"repeat": text, "times": times}:
            return text * times
        case dict():
            return {key: expanded(one) for key, one in cast("dict[str, Any]", value).items()}
        case list():
            return [expanded(one) for one in cast("list[Any]", value)]
        case _:
            return value


CASES: dict[str, Any] = expanded(yaml.safe_load((ROOT / "tests" / "checks.yaml").read_text(encoding="utf-8")))
ACCEPTED: dict[str, dict[str, Any]] = {type_: case["accepted"] for type_, case in CASES.items()}
"""Resource type -> inputs that AWS takes."""
REFUSED: list[tuple[str, dict[str, Any], list[str]]] = [
    (type_, one["change"], one["says"]) for type_, case in CASES.items() for one in case.get("refused", [])
]
"""Type, changes to what AWS takes, and what is said of them."""


def registration(type_: str, inputs: Mapping[str, Any], ignore_changes: tuple[str, ...] = ()) -> Registration:
    return Registration(
        urn=f"urn:pulumi:test::test::{type_}::it",
        type=type_,
        name="it",
        parent="",
        custom=True,
        provided=True,
        inputs=inputs,
        dependencies=frozenset(),
        protect=False,
        ignore_changes=ignore_changes,
    )


@pytest.fixture(scope="module")
def known() -> Known:
    known = Known()
    for type_, inputs, id_, outputs in MADE:
        known.add(registration(type_, inputs), Created(id=id_, outputs=outputs))
    return known


def written(type_: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs as the program registers them: documents are text."""
    checks = TABLE.get(type_)
    paths = checks.documents if checks else ()
    return {
        key: json.dumps(value) if key in paths and not isinstance(value, str) else value
        for key, value in inputs.items()
    }


def changed(inputs: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with other values at these paths; None takes one away, and a list grows at its end."""
    copied = copy.deepcopy(dict(inputs))
    for path, value in changes.items():
        *parents, last = re.findall(r"[^.\[\]]+", path)
        there: Any = copied
        for step in parents:
            there = there[int(step)] if step.isdigit() else there.setdefault(step, {})
        if not last.isdigit():
            there[last] = value
        else:
            there[int(last) :] = [value, *there[int(last) + 1 :]]
    return without_none(copied)


def without_none(value: Any) -> Any:
    match value:
        case dict():
            given = cast("dict[str, Any]", value)
            return {key: without_none(one) for key, one in given.items() if one is not None}
        case list():
            return [without_none(one) for one in cast("list[Any]", value)]
        case _:
            return value


@pytest.mark.parametrize("type_", ACCEPTED)
def test_what_aws_takes_is_not_refused(type_: str, known: Known) -> None:
    assert problems(registration(type_, written(type_, ACCEPTED[type_])), known) == []


@pytest.mark.parametrize(("type_", "changes", "lines"), REFUSED)
def test_what_aws_refuses_is_refused(type_: str, changes: dict[str, Any], lines: list[str], known: Known) -> None:
    assert problems(registration(type_, written(type_, changed(ACCEPTED[type_], changes))), known) == lines


def test_every_mistake_of_a_resource_is_a_line(known: Known) -> None:
    inputs = {"visibilityTimeoutSeconds": -1, "delaySeconds": 901, "tags": {"aws:a": "b"}}
    assert [line.partition(": ")[0] for line in problems(registration("aws:sqs/queue:Queue", inputs), known)] == [
        "visibilityTimeoutSeconds",
        "delaySeconds",
        "tags.aws:a",
    ]


def test_fifty_tags_are_enough() -> None:
    tags = {str(number): "x" for number in range(51)}
    assert problems(registration("aws:sns/topic:Topic", {"tags": tags}), Known()) == [
        "tags: must have at most 50 tags, got 51"
    ]


@pytest.mark.parametrize("type_", ACCEPTED)
def test_what_is_not_known_yet_is_not_refused(type_: str) -> None:
    # nothing made yet, as in a preview: whatever another resource would give is unknown
    documents = TABLE[type_].documents if type_ in TABLE else ()
    inputs = {key: UNKNOWN if key in documents else unknown(value) for key, value in ACCEPTED[type_].items()}
    assert problems(registration(type_, inputs), Known()) == []


def unknown(value: Any) -> Any:
    """A value with what refers to other resources unknown."""
    match value:
        case dict():
            return {key: unknown(one) for key, one in cast("dict[str, Any]", value).items()}
        case list():
            return [unknown(one) for one in cast("list[Any]", value)]
        case str():
            return UNKNOWN
        case _:
            return value


@pytest.mark.parametrize(
    ("type_", "path", "leads"),
    [
        ("aws:batch/computeEnvironment:ComputeEnvironment", "computeResources.desiredVcpus", True),
        ("aws:batch/computeEnvironment:ComputeEnvironment", "computeResources.desired_vcpus", False),
        ("aws:batch/computeEnvironment:ComputeEnvironment", "computeResources.ec2Configurations[0].imageType", True),
        ("aws:batch/computeEnvironment:ComputeEnvironment", "desiredVcpus", False),
        ("aws:ecs/service:Service", "desiredCount", True),
        ("aws:ecs/service:Service", "desiredCounts", False),
        ("aws:ecs/service:Service", "desiredCount.now", False),
        ("aws:sqs/queue:Queue", "tags.anything", True),
        ("eks:index:Cluster", "version", True),
        ("eks:index:Cluster", "versions", False),
        ("kubernetes:helm.sh/v3:Release", "values.anything", True),
    ],
)
def test_a_path_in_ignore_changes_names_a_property(type_: str, path: str, leads: bool, known: Known) -> None:
    lines = problems(registration(type_, written(type_, ACCEPTED[type_]), (path,)), known)
    name = type_.rpartition(":")[2]
    expected = f"ignore_changes: must name a property of {name}, nested ones in camelCase, got '{path}'"
    assert lines == ([] if leads else [expected])


def test_two_wrong_paths_in_ignore_changes_are_two_lines() -> None:
    assert len(problems(registration("aws:sns/topic:Topic", {}, ("a", "b")), Known())) == 2


def test_inline_policies_of_a_role_count_together() -> None:
    known = Known()
    role = registration(
        "aws:iam/role:Role", {"assumeRolePolicy": json.dumps(ACCEPTED["aws:iam/role:Role"]["assumeRolePolicy"])}
    )
    known.add(role, Created(id="job", outputs={"name": "job"}))
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": ["s3:GetObject"] * 400, "Resource": "*"}],
    }
    inputs = {"role": "job", "policy": json.dumps(policy)}
    for expected in (
        [],
        [f"policy: Maximum policy size of 10240 bytes exceeded for role job, got {2 * len(compact(policy))}"],
    ):
        one = registration("aws:iam/rolePolicy:RolePolicy", inputs)
        assert problems(one, known) == expected
        known.add(one, Created(id="job:one"))


def compact(document: Mapping[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))


def test_what_the_stack_file_names_exists() -> None:
    known = Known()
    queue = registration("aws:sqs/queue:Queue", {"kmsMasterKeyId": KEY})
    assert len(problems(queue, known)) == 1
    known.give({"distributed-training:queues": json.dumps({"tasks": {"kmsKeyArn": KEY}})})
    assert problems(queue, known) == []


def test_a_name_that_the_program_gave_is_known_in_a_preview() -> None:
    known = Known()
    alarm = registration(
        "aws:s3/bucketVersioning:BucketVersioning", ACCEPTED["aws:s3/bucketVersioning:BucketVersioning"]
    )
    assert len(problems(alarm, known)) == 1
    known.add(registration("aws:s3/bucket:Bucket", {"bucket": "artifacts-1"}))
    assert problems(alarm, known) == []


def test_a_kind_of_aws_has_to_be_named_by_its_own_arn_or_id(known: Known) -> None:
    vpc_as_role = {"role": "vpc-0123456789abcdef0"}
    assert len(problems(registration("aws:iam/instanceProfile:InstanceProfile", vpc_as_role), known)) == 1


def test_every_type_that_can_be_created_is_checked() -> None:
    assert set(CREATE) - set(TABLE) == set()


def test_every_type_that_can_be_created_is_tried_here() -> None:
    untried = set(TABLE) - set(ACCEPTED)
    assert untried == {
        # egress as ingress, and the older form of both
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        "aws:ec2/securityGroupRule:SecurityGroupRule",
        # made inside pulumi-eks only
        "aws:eks/podIdentityAssociation:PodIdentityAssociation",
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
        # nothing but tags, switches and what the walk over all types looks at
        "aws:autoscaling/tag:Tag",
        "aws:cloudwatch/logMetricFilter:LogMetricFilter",
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        "aws:ec2/eip:Eip",
        "aws:ec2/routeTable:RouteTable",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    }


@pytest.mark.parametrize(
    ("type_", "checks"),
    [
        ("aws:sqs/queue:Queue", ["shape", "documents", "values", "references", "limits"]),
        ("aws:ec2/route:Route", ["shape", "values", "references"]),
        ("kubernetes:helm.sh/v3:Release", ["shape"]),
        ("kubernetes:kueue.x-k8s.io/v1beta1:ClusterQueue", []),
        ("distributed-training:index:Network", []),
    ],
)
def test_coverage_says_what_is_checked(type_: str, checks: list[str]) -> None:
    assert coverage(type_) == checks


EVERYTHING: dict[str, Any] = {
    "network": {
        "availabilityZones": 3,
        "natGateways": "perZone",
        "interfaceEndpoints": ["ecr.api", "ecr.dkr", "logs", "sqs", "sts", "batch", "ecs", "ecs-agent", "eks-auth"],
        "flowLogs": True,
    },
    "artifacts": {"checkpointDays": None, "lustre": {"storageGib": 2400, "throughputPerTib": 250}},
    "queues": {
        "tasks": {"kmsKeyArn": KEY},
        "results": {},
        "plain": {"fifo": False},
        "slow": {"visibilityTimeoutSeconds": 43_200, "highThroughput": False},
    },
    "batch": {
        "shared": {"fairShare": {"a": 1.0, "b": 0.5}, "capacity": ["onDemand", "spot"]},
        "multi": {
            "nodes": 2,
            "instanceTypes": ["p5.48xlarge"],
            "capacity": ["onDemand"],
            "efa": True,
            "vcpus": 190,
            "gpus": 8,
            "memoryMib": 1_900_000,
        },
        "reserved": {"capacity": ["onDemand"], "capacityReservationId": "cr-0123456789abcdef0"},
    },
    "workers": {
        "queue": "plain",
        "secrets": {"TOKEN": f"arn:aws:secretsmanager:us-west-2:{ACCOUNT_ID}:secret:token-AbCdEf:key::"},
        "architecture": "arm64",
    },
    "eks": {
        "publicAccessCidrs": ["9.9.9.0/24"],
        "adminPrincipalArns": [f"arn:aws:iam::{ACCOUNT_ID}:role/admin"],
        "gpuNodeGroups": {
            "efa": {"instanceTypes": ["p5.48xlarge"], "efa": True},
            "block": {
                "instanceTypes": ["p5.48xlarge"],
                "capacity": "capacityBlock",
                "capacityReservationId": "cr-0123456789abcdef1",
            },
        },
        "kueue": True,
        "trainer": True,
    },
    "alerts": {"emails": ["somebody@example.com"], "monthlyBudgetUsd": 100.5},
    "protect": True,
}


@pytest.mark.parametrize("preview", [True, False], ids=["preview", "up"])
def test_a_stack_with_every_part_is_not_refused(preview: bool, run_sections: RunStack) -> None:
    assert run_sections(EVERYTHING, preview=preview).error is None
