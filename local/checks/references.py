"""What a stack has made or was given so far, and inputs that name anything else."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Any, cast

from local.aws import Created
from local.checks.plain import is_list, is_object
from local.engine import UNKNOWN, Registration
from local.moto_process import ACCOUNT_ID

IDS: Mapping[str, str] = {
    "cr": "capacity reservation",
    "eipalloc": "Elastic IP address",
    "fs": "file system",
    "igw": "internet gateway",
    "lt": "launch template",
    "nat": "NAT gateway",
    "rtb": "route table",
    "sg": "security group",
    "subnet": "subnet",
    "vpc": "VPC",
    "vpce": "VPC endpoint",
}
"""Beginning of an id -> the kind of thing that has it."""

ID = re.compile(rf"({'|'.join(IDS)})-[0-9a-f]+")
ARN = re.compile(r"arn:[a-z-]+:([a-z0-9-]+):([a-z0-9-]*):([0-9]{12}|aws|):(.+)")
FOUND = re.compile(rf"\b(?:{'|'.join(IDS)})-[0-9a-f]{{8,}}|arn:[a-z-]+:[a-z0-9-]+:[^\s\"'\\,\]}}]+")
"""Ids and ARNs in a text."""

KINDS: Mapping[str, str] = {
    "aws:batch/computeEnvironment:ComputeEnvironment": "compute environment",
    "aws:batch/jobQueue:JobQueue": "job queue",
    "aws:batch/schedulingPolicy:SchedulingPolicy": "scheduling policy",
    "aws:cloudwatch/eventRule:EventRule": "event rule",
    "aws:cloudwatch/logGroup:LogGroup": "log group",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": "security group",
    "aws:ec2/eip:Eip": "Elastic IP address",
    "aws:ec2/internetGateway:InternetGateway": "internet gateway",
    "aws:ec2/launchTemplate:LaunchTemplate": "launch template",
    "aws:ec2/natGateway:NatGateway": "NAT gateway",
    "aws:ec2/placementGroup:PlacementGroup": "placement group",
    "aws:ec2/routeTable:RouteTable": "route table",
    "aws:ec2/securityGroup:SecurityGroup": "security group",
    "aws:ec2/subnet:Subnet": "subnet",
    "aws:ec2/vpc:Vpc": "VPC",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "VPC endpoint",
    "aws:ecr/repository:Repository": "image repository",
    "aws:ecs/cluster:Cluster": "ECS cluster",
    "aws:ecs/taskDefinition:TaskDefinition": "task definition",
    "aws:eks/cluster:Cluster": "EKS cluster",
    "aws:fsx/lustreFileSystem:LustreFileSystem": "file system",
    "aws:iam/instanceProfile:InstanceProfile": "instance profile",
    "aws:iam/policy:Policy": "policy",
    "aws:iam/role:Role": "role",
    "aws:kms/key:Key": "key",
    "aws:s3/bucket:Bucket": "bucket",
    "aws:secretsmanager/secret:Secret": "secret",
    "aws:sns/topic:Topic": "topic",
    "aws:sqs/queue:Queue": "queue",
}
"""Resource type -> the kind of thing that others refer to it as."""

NAMES = ("arn", "bucket", "family", "keyId", "name", "url")
"""Properties by which others refer to a resource, beside its id."""

REFERS: Mapping[str, str] = {
    "allocationId": "Elastic IP address",
    "awslogs-group": "log group",
    "capacityReservationId": "capacity reservation",
    "computeEnvironment": "compute environment",
    "encryptionConfigKeyArn": "key",
    "executionRoleArn": "role",
    "fileSystemId": "file system",
    "iamRoleArn": "role",
    "instanceRole": "instance profile",
    "jobRoleArn": "role",
    "keyArn": "key",
    "kmsKey": "key",
    "kmsKeyArn": "key",
    "kmsKeyId": "key",
    "kmsMasterKeyId": "key",
    "launchTemplateId": "launch template",
    "natGatewayId": "NAT gateway",
    "nodeRoleArn": "role",
    "placementGroup": "placement group",
    "privateSubnetIds": "subnet",
    "publicSubnetIds": "subnet",
    "queueUrl": "queue",
    "referencedSecurityGroupId": "security group",
    "repository": "image repository",
    "roleArn": "role",
    "routeTableId": "route table",
    "routeTableIds": "route table",
    "schedulingPolicyArn": "scheduling policy",
    "securityGroupId": "security group",
    "securityGroupIds": "security group",
    "securityGroups": "security group",
    "serviceRole": "role",
    "sourceSecurityGroupId": "security group",
    "sourceSecurityGroupIds": "security group",
    "subnetId": "subnet",
    "subnetIds": "subnet",
    "subnets": "subnet",
    "targetKeyId": "key",
    "taskDefinition": "task definition",
    "taskRoleArn": "role",
    "topic": "topic",
    "vpcId": "VPC",
    "vpcSecurityGroupIds": "security group",
}
"""Name of a property, at any depth, also in JSON -> the kind of thing that it refers to."""

REFERS_IN: Mapping[str, Mapping[str, str]] = {
    "aws:cloudwatch/eventTarget:EventTarget": {"rule": "event rule"},
    "aws:ec2/launchTemplate:LaunchTemplate": {"placement.groupName": "placement group"},
    "aws:ecs/clusterCapacityProviders:ClusterCapacityProviders": {"clusterName": "ECS cluster"},
    "aws:ecs/service:Service": {"cluster": "ECS cluster"},
    "aws:eks/accessEntry:AccessEntry": {"clusterName": "EKS cluster"},
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": {"clusterName": "EKS cluster"},
    "aws:eks/addon:Addon": {"clusterName": "EKS cluster"},
    "aws:eks/nodeGroup:NodeGroup": {"clusterName": "EKS cluster", "launchTemplate.id": "launch template"},
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": {"clusterName": "EKS cluster"},
    "aws:iam/instanceProfile:InstanceProfile": {"role": "role"},
    "aws:iam/rolePolicy:RolePolicy": {"role": "role"},
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": {"role": "role"},
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": {"bucket": "bucket"},
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": {"bucket": "bucket"},
    "aws:s3/bucketPolicy:BucketPolicy": {"bucket": "bucket"},
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": {"bucket": "bucket"},
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": {"bucket": "bucket"},
    "aws:s3/bucketVersioning:BucketVersioning": {"bucket": "bucket"},
    "aws:sns/topicPolicy:TopicPolicy": {"arn": "topic"},
}
"""Resource type -> dotted path of an input -> the kind of thing that it refers to, for words with several meanings."""

FORMS: Mapping[str, str] = {
    **{kind: rf"{prefix}-[0-9a-f]+" for prefix, kind in IDS.items()},
    "compute environment": r"arn:.*:compute-environment/.*",
    "ECS cluster": r"arn:[^:]+:ecs:[^:]*:\d+:cluster/.+|[\w-]+",
    "EKS cluster": r"arn:[^:]+:eks:[^:]*:\d+:cluster/.+|[\w-]+",
    "instance profile": r"(arn:.*:instance-profile/)?[\w+=,.@-]+",
    "key": r"alias/.*|arn:[^:]+:kms:.*|[0-9a-f-]+",
    "policy": r"arn:[^:]+:iam::.*:policy/.*",
    "role": r"(arn:[^:]+:iam::\d{12}:role/.*)?[\w+=,.@-]+",
    "scheduling policy": r"arn:.*:scheduling-policy/.*",
    "secret": r"arn:[^:]+:secretsmanager:.*",
    "task definition": r"arn:[^:]+:ecs:[^:]*:\d+:task-definition/.+|[\w-]+(:\d+)?",
    "topic": r"arn:[^:]+:sns:.*",
}
"""Kind -> what refers to such a thing looks like."""

OF_AWS = re.compile(
    r"alias/aws/.*"
    r"|arn:[^:]+:kms:[^:]*:\d+:alias/aws/.*"
    r"|arn:[^:]+:iam::\d+:(root|role/aws-service-role/.*)"
    # layers of ECR's images
    r"|arn:[^:]+:s3:::prod-[a-z0-9-]+-starport-layer-bucket/\*"
)
"""What AWS itself keeps in every account."""

COMES_LATER = re.compile(
    # jobs, log streams and scaling by the platform's own services are made by what the stack starts
    r"arn:[^:]+:batch:[^:]*:\d+:job/.*"
    r"|arn:[^:]+:logs:[^:]*:\d+:log-group:/aws/.*"
    r"|arn:[^:]+:autoscaling:.*"
    r"|arn:[^:]+:cloudwatch:[^:]*:\d+:alarm:.*"
    r"|arn:[^:]+:eks:[^:]*:\d+:(addon|access-entry|podidentityassociation|nodegroup)/.*"
)
"""ARNs of this account whose resources are not the stack's own, but of what runs in it."""

IN_CLUSTER = re.compile(r"arn:[^:]+:ecs:[^:]*:\d+:(?:task|service|container-instance)/([^/*]+)/.*")
"""ARNs of what runs in an ECS cluster, which they name."""


class Known:
    """What the stack has made or was given so far: ids, ARNs, names and URLs, by kind."""

    def __init__(self, account_id: str = ACCOUNT_ID) -> None:
        self.account_id = account_id
        self.earlier: list[tuple[Registration, Created | None]] = []
        """What was registered, and what became of it, in order; in a preview nothing became of anything."""
        self._named: dict[str, set[str]] = {}
        self._given: set[str] = set()

    def give(self, value: Any) -> None:
        """Take every id and ARN in a value, however deep, for one that exists.

        Such are those in a stack file, those that a provider function answered, and those that AWS gave back.
        """
        if isinstance(value, str):
            self._given.update(FOUND.findall(value))
        for one in value.values() if is_object(value) else value if is_list(value) else ():
            self.give(one)

    def add(self, registration: Registration, created: Created | None = None) -> None:
        """Note a resource: in a preview by the names that the program gave it, else by what AWS gave back as well."""
        self.earlier.append((registration, created))
        self._name(registration.type, registration.inputs)
        if created is not None:
            self._created(registration.type, created)

    def of(self, type_: str) -> Iterator[tuple[Registration, Created | None]]:
        """What was registered of a type, and what became of it."""
        return ((registration, created) for registration, created in self.earlier if registration.type == type_)

    def knows(self, kind: str, value: str) -> bool:
        """Whether there is a thing of this kind that goes by this value."""
        return value in self._named.get(kind, ()) or value in self._given or bool(OF_AWS.fullmatch(value))

    def knows_arn(self, arn: str) -> bool:
        """Whether an ARN, perhaps with wildcards or a part of the resource behind it, is of something that exists."""
        if OF_AWS.fullmatch(arn) or COMES_LATER.fullmatch(arn) or arn in self._given:
            return True
        if cluster := IN_CLUSTER.fullmatch(arn):
            return self.knows("ECS cluster", cluster[1])
        named = {name for names in self._named.values() for name in names}
        match = ARN.fullmatch(arn)
        if match and match[1] == "s3":
            bucket = match[4].split("/")[0]
            return any(fnmatchcase(one, bucket) for one in self._named.get("bucket", ())) or any(
                one.split("/")[0] == arn.split("/")[0] for one in self._given
            )
        if re.split("[:/]", arn)[-1] in named:
            return True
        known = {one for one in self._given | named if one.startswith("arn:")}
        return any(
            fnmatchcase(one, arn)
            or (arn.startswith(one) and arn[len(one)] in ":/*")
            # one value of a secret goes on after the secret's own ARN
            or one.startswith(f"{arn}:")
            for one in known
        )

    def _created(self, type_: str, created: Created) -> None:
        self.give(created.outputs)
        self._name(type_, {**created.outputs, "id": created.id})
        for child in created.children:
            self._created(child.type, child.created)

    def _name(self, type_: str, properties: Mapping[str, Any]) -> None:
        names = {properties.get(name) for name in (*NAMES, "id")} - {None, UNKNOWN, ""}
        if names:
            self._named.setdefault(KINDS.get(type_, ""), set()).update(cast("set[str]", names))


def may_refer(type_: str, name: str) -> bool:
    """Whether an input of this name can refer to something: by its name, as an id or ARN, or within JSON."""
    by_name = name in REFERS or name in REFERS_IN.get(type_, {})
    return by_name or name.endswith(("Arn", "Arns", "Actions", "Definitions", "Properties", "olicy"))


def mistakes(type_: str, inputs: Mapping[str, Any], known: Known) -> Iterator[str]:
    """Inputs that refer to something that the stack neither made nor was given."""
    yield from _walk(inputs, "", None, REFERS_IN.get(type_, {}), known)


def _walk(value: Any, path: str, kind: str | None, here: Mapping[str, str], known: Known) -> Iterator[str]:
    if isinstance(value, str):
        yield from _text(value, path, kind, here, known)
    elif is_object(value):
        for key, one in value.items():
            inner = f"{path}.{key}" if path else key
            yield from _walk(one, inner, here.get(inner) or REFERS.get(key), here, known)
    elif is_list(value):
        for index, one in enumerate(value):
            yield from _walk(one, f"{path}[{index}]", kind, here, known)


def _text(value: str, path: str, kind: str | None, here: Mapping[str, str], known: Known) -> Iterator[str]:
    if value in (UNKNOWN, ""):
        return
    if value[0] in "[{":
        # what is no JSON is told by the check of documents
        with suppress(json.JSONDecodeError):
            yield from _walk(json.loads(value), path, None, here, known)
        return
    if kind is None and (found := ID.fullmatch(value)):
        kind = IDS[found[1]]
    if kind is not None:
        form = FORMS.get(kind)
        if not known.knows(kind, value) or (form is not None and not re.fullmatch(form, value)):
            article = "an" if kind[0] in "Eei" else "a"
            yield f"{path}: must be {article} {kind} that this stack made or was given, got '{value}'"
    elif (
        (arn := ARN.fullmatch(value)) and (arn[3] == known.account_id or arn[1] == "s3") and not known.knows_arn(value)
    ):
        yield f"{path}: must be an ARN that this stack made or was given, got '{value}'"
