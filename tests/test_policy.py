"""The policy pack: what keeps and what breaks each rule, and that the stacks keep them all."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

import grpc
import pytest
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import analyzer_pb2
from pulumi.runtime.proto.analyzer_pb2_grpc import AnalyzerStub
from pulumi_policy import EnforcementLevel, PolicyResource

from local import command_line, policy, stack_files
from local.wire import UNKNOWN
from policy.rules import RULES, kinds
from policy.rules.least_privilege import WITHOUT_RESOURCE
from policy.rules.rule import properties
from tests.conftest import DEFAULT_TAGS, ROOT, RunStack, stack_of
from tests.support import STACKS, WHOLE
from tools import iam_reference

NAMES = [rule.name for rule in RULES]
RULE = dict(zip(NAMES, RULES, strict=True))

ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
TAGS = {**DEFAULT_TAGS, "Name": "single"}
TLS_ONLY = {
    "Effect": "Deny",
    "Principal": {"AWS": "*"},
    "Action": "s3:*",
    "Resource": "*",
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}
READ = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::bucket/*"]}
MULTI_NODE = {
    "nodes": 2,
    "instanceTypes": ["p5.48xlarge"],
    "capacity": ["onDemand"],
    "efa": True,
}
BLOCKED = dict.fromkeys(("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True)
EKS_SECRETS = {"provider": {"keyArn": "arn:aws:kms:us-west-2:123456789012:key/1"}, "resources": ["secrets"]}


def of(type_: str, name: str = "one", /, **properties: Any) -> PolicyResource:
    return policy.resource(type_, properties, urn=f"urn:pulumi:test::test::{type_}::{name}")


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def scaled(type_: str, *ignore_changes: str) -> PolicyResource:
    return policy.resource(type_, {}, urn=f"urn:pulumi:test::test::{type_}::one", ignore_changes=ignore_changes)


def protected(type_: str, **properties: Any) -> PolicyResource:
    return policy.resource(type_, properties, urn=f"urn:pulumi:test::test::{type_}::one", protect=True)


def beside(store: PolicyResource, companion: str, key: str, **properties: Any) -> list[PolicyResource]:
    """A store and a companion that refers to it by an output, whose value is not known before the first deployment."""
    other = of(companion, **{key: UNKNOWN, **properties})
    other.property_dependencies = {key: [store]}
    return [store, other]


@dataclass(frozen=True)
class Case:
    """What keeps a rule, and what breaks it with which messages."""

    kept: list[list[PolicyResource]]
    broken: list[tuple[list[PolicyResource], list[str]]]


CASES = {
    "idle-at-zero": Case(
        kept=[
            [of(kinds.EKS_NODE_GROUP, amiType="AL2023_x86_64_NVIDIA", scalingConfig={"minSize": 0.0, "maxSize": 8.0})],
            [of(kinds.EKS_NODE_GROUP, amiType="AL2023_x86_64_STANDARD", scalingConfig={"minSize": 2, "maxSize": 4})],
            [of(kinds.BATCH_COMPUTE_ENVIRONMENT, computeResources={"minVcpus": 0, "maxVcpus": 192})],
            [of(kinds.BATCH_COMPUTE_ENVIRONMENT, computeResources={"maxVcpus": 192})],
            [of(kinds.SCALING_TARGET, minCapacity=0, maxCapacity=4)],
            [of(kinds.AUTO_SCALING_GROUP, minSize=0, maxSize=4)],
        ],
        broken=[
            (
                [of(kinds.EKS_NODE_GROUP, amiType="AL2023_x86_64_NVIDIA", scalingConfig={"minSize": 1.0})],
                ["scalingConfig.minSize: must be 0, got 1"],
            ),
            (
                [of(kinds.EKS_NODE_GROUP, amiType="AL2023_x86_64_NEURON", scalingConfig={"minSize": 1})],
                ["scalingConfig.minSize: must be 0, got 1"],
            ),
            (
                [of(kinds.BATCH_COMPUTE_ENVIRONMENT, computeResources={"minVcpus": 48})],
                ["computeResources.minVcpus: must be 0 or nothing, got 48"],
            ),
            ([of(kinds.SCALING_TARGET, minCapacity=1)], ["minCapacity: must be 0, got 1"]),
            ([of(kinds.AUTO_SCALING_GROUP, minSize=1)], ["minSize: must be 0, got 1"]),
        ],
    ),
    "scaling-is-left-alone": Case(
        kept=[
            [scaled(kinds.EKS_NODE_GROUP, "scalingConfig.desiredSize")],
            [scaled(kinds.EKS_NODE_GROUP, "tags", "scalingConfig")],
            [scaled(kinds.BATCH_COMPUTE_ENVIRONMENT, "computeResources.desiredVcpus")],
            [scaled(kinds.ECS_SERVICE, "desiredCount")],
        ],
        broken=[
            (
                [scaled(kinds.EKS_NODE_GROUP, "scalingConfig.desired")],
                ['ignoreChanges: must hold scalingConfig.desiredSize, got ["scalingConfig.desired"]'],
            ),
            (
                [scaled(kinds.BATCH_COMPUTE_ENVIRONMENT)],
                ["ignoreChanges: must hold computeResources.desiredVcpus, got []"],
            ),
            ([scaled(kinds.ECS_SERVICE)], ["ignoreChanges: must hold desiredCount, got []"]),
            ([scaled(kinds.AUTO_SCALING_GROUP)], ["ignoreChanges: must hold desiredCapacity, got []"]),
        ],
    ),
    "no-public-address": Case(
        kept=[
            [of(kinds.SUBNET, mapPublicIpOnLaunch=False)],
            [of(kinds.SUBNET)],
            [of(kinds.ECS_SERVICE, networkConfiguration={"assignPublicIp": False, "subnets": ["subnet-1"]})],
            [of(kinds.LAUNCH_TEMPLATE, networkInterfaces=[{"deviceIndex": 0, "associatePublicIpAddress": "false"}])],
            [of(kinds.INSTANCE)],
        ],
        broken=[
            ([of(kinds.SUBNET, mapPublicIpOnLaunch=True)], ["mapPublicIpOnLaunch: must be false or nothing, got true"]),
            (
                [of(kinds.ECS_SERVICE, networkConfiguration={"assignPublicIp": True})],
                ["networkConfiguration.assignPublicIp: must be false or nothing, got true"],
            ),
            (
                [of(kinds.LAUNCH_TEMPLATE, networkInterfaces=[{}, {"associatePublicIpAddress": "true"}])],
                ["networkInterfaces[1].associatePublicIpAddress: must be false or nothing, got true"],
            ),
            (
                [of(kinds.INSTANCE, associatePublicIpAddress=True)],
                ["associatePublicIpAddress: must be false or nothing, got true"],
            ),
        ],
    ),
    "no-ingress-from-everywhere": Case(
        kept=[
            [of(kinds.INGRESS_RULE, cidrIpv4="10.0.0.0/16")],
            [of(kinds.INGRESS_RULE, referencedSecurityGroupId="sg-1")],
            [of(kinds.SECURITY_GROUP_RULE, type="egress", cidrBlocks=["0.0.0.0/0"])],
            [of(kinds.SECURITY_GROUP, ingress=[{"self": True}], egress=[{"cidrBlocks": ["0.0.0.0/0"]}])],
            [of(kinds.DEFAULT_SECURITY_GROUP, vpcId="vpc-1")],
        ],
        broken=[
            ([of(kinds.INGRESS_RULE, cidrIpv4="0.0.0.0/0")], ["cidrIpv4: must not allow every address, got 0.0.0.0/0"]),
            ([of(kinds.INGRESS_RULE, cidrIpv6="::/0")], ["cidrIpv6: must not allow every address, got ::/0"]),
            (
                [of(kinds.SECURITY_GROUP_RULE, type="ingress", cidrBlocks=["10.0.0.0/8", "0.0.0.0/0"])],
                ["cidrBlocks[1]: must not allow every address, got 0.0.0.0/0"],
            ),
            (
                [of(kinds.SECURITY_GROUP, ingress=[{"ipv6CidrBlocks": ["::/0"]}])],
                ["ingress[0].ipv6CidrBlocks[0]: must not allow every address, got ::/0"],
            ),
            (
                [of(kinds.DEFAULT_SECURITY_GROUP, ingress=[{"cidrBlocks": ["0.0.0.0/0"]}])],
                ["ingress[0].cidrBlocks[0]: must not allow every address, got 0.0.0.0/0"],
            ),
        ],
    ),
    "kubernetes-api-is-not-for-everybody": Case(
        kept=[
            [of(kinds.EKS_CLUSTER, vpcConfig={"endpointPublicAccess": False})],
            [of(kinds.EKS_CLUSTER, vpcConfig={"endpointPublicAccess": True, "publicAccessCidrs": ["198.51.100.0/24"]})],
            [of(kinds.EKS_COMPONENT, endpointPublicAccess=False)],
            [of(kinds.EKS_COMPONENT)],
        ],
        broken=[
            (
                [of(kinds.EKS_CLUSTER, vpcConfig={})],
                ["vpcConfig.publicAccessCidrs: must name the ranges with endpointPublicAccess true, got nothing"],
            ),
            (
                [of(kinds.EKS_CLUSTER, vpcConfig={"publicAccessCidrs": ["198.51.100.0/24", "0.0.0.0/0"]})],
                ["vpcConfig.publicAccessCidrs[1]: must not allow every address, got 0.0.0.0/0"],
            ),
            (
                [of(kinds.EKS_COMPONENT, endpointPublicAccess=True, publicAccessCidrs=["0.0.0.0/0"])],
                ["publicAccessCidrs[0]: must not allow every address, got 0.0.0.0/0"],
            ),
        ],
    ),
    "buckets-block-public-access": Case(
        kept=[beside(of(kinds.BUCKET), kinds.BUCKET_PUBLIC_ACCESS_BLOCK, "bucket", **BLOCKED)],
        broken=[
            (
                [
                    of(kinds.BUCKET),
                    *beside(of(kinds.BUCKET, "two"), kinds.BUCKET_PUBLIC_ACCESS_BLOCK, "bucket", **BLOCKED),
                ],
                [f"{kinds.BUCKET_PUBLIC_ACCESS_BLOCK}: must be there with this resource as its bucket, got nothing"],
            ),
            (
                beside(
                    of(kinds.BUCKET),
                    kinds.BUCKET_PUBLIC_ACCESS_BLOCK,
                    "bucket",
                    blockPublicAcls=True,
                    blockPublicPolicy=False,
                    ignorePublicAcls=True,
                ),
                [
                    "blockPublicPolicy: must be true, got false",
                    "restrictPublicBuckets: must be true, got nothing",
                ],
            ),
        ],
    ),
    "instances-demand-imdsv2": Case(
        kept=[
            [of(kinds.LAUNCH_TEMPLATE, metadataOptions={"httpTokens": "required", "httpPutResponseHopLimit": 1.0})],
            [of(kinds.INSTANCE, metadataOptions={"httpTokens": "required", "httpPutResponseHopLimit": 1})],
        ],
        broken=[
            (
                [of(kinds.LAUNCH_TEMPLATE, metadataOptions={"httpTokens": "optional", "httpPutResponseHopLimit": 2})],
                [
                    "metadataOptions.httpTokens: must be required, got optional",
                    "metadataOptions.httpPutResponseHopLimit: must be 1, got 2",
                ],
            ),
            (
                [of(kinds.INSTANCE)],
                [
                    "metadataOptions.httpTokens: must be required, got nothing",
                    "metadataOptions.httpPutResponseHopLimit: must be 1, got nothing",
                ],
            ),
        ],
    ),
    "stores-are-encrypted": Case(
        kept=[
            [of(kinds.QUEUE, sqsManagedSseEnabled=True)],
            [of(kinds.QUEUE, kmsMasterKeyId="alias/queue")],
            [of(kinds.TOPIC, kmsMasterKeyId="alias/topic")],
            [
                of(
                    kinds.LAUNCH_TEMPLATE,
                    blockDeviceMappings=[{"deviceName": "/dev/xvda", "ebs": {"encrypted": "true"}}],
                )
            ],
            [of(kinds.LAUNCH_TEMPLATE, blockDeviceMappings=[{"deviceName": "/dev/xvdb", "virtualName": "ephemeral0"}])],
            [of(kinds.VOLUME, encrypted=True)],
            [of(kinds.EFS_FILE_SYSTEM, encrypted=True)],
            [of(kinds.EKS_CLUSTER, encryptionConfig=EKS_SECRETS)],
            [of(kinds.EKS_COMPONENT, encryptionConfigKeyArn=EKS_SECRETS["provider"])],
            [of(kinds.EKS_COMPONENT)],
        ],
        broken=[
            ([of(kinds.QUEUE)], ["sqsManagedSseEnabled: must be true, got nothing"]),
            ([of(kinds.QUEUE, sqsManagedSseEnabled=False)], ["sqsManagedSseEnabled: must be true, got false"]),
            ([of(kinds.TOPIC)], ["kmsMasterKeyId: must name a key, got nothing"]),
            (
                [of(kinds.LAUNCH_TEMPLATE)],
                ["blockDeviceMappings: must hold the root volume, encrypted, got nothing"],
            ),
            (
                [
                    of(
                        kinds.LAUNCH_TEMPLATE,
                        blockDeviceMappings=[{"ebs": {"encrypted": "true"}}, {"ebs": {"volumeSize": 9}}],
                    )
                ],
                ["blockDeviceMappings[1].ebs.encrypted: must be true, got nothing"],
            ),
            ([of(kinds.VOLUME, encrypted=False)], ["encrypted: must be true, got false"]),
            ([of(kinds.EFS_FILE_SYSTEM)], ["encrypted: must be true, got nothing"]),
            (
                [of(kinds.EKS_CLUSTER, vpcConfig={})],
                ["encryptionConfig.provider.keyArn: must name a key, got nothing"],
            ),
            ([of(kinds.EKS_COMPONENT, version="1.35")], ["encryptionConfigKeyArn: must name a key, got nothing"]),
        ],
    ),
    "buckets-are-encrypted": Case(
        kept=[beside(of(kinds.BUCKET), kinds.BUCKET_ENCRYPTION, "bucket")],
        broken=[
            (
                [of(kinds.BUCKET), of(kinds.BUCKET_ENCRYPTION, bucket="another")],
                [f"{kinds.BUCKET_ENCRYPTION}: must be there with this resource as its bucket, got nothing"],
            )
        ],
    ),
    "resource-policies-demand-tls": Case(
        kept=[
            [of(kinds.BUCKET_POLICY, policy=document(READ, TLS_ONLY))],
            [of(kinds.QUEUE_POLICY, policy=document({**TLS_ONLY, "Principal": "*", "Action": "sqs:*"}))],
            [of(kinds.TOPIC_POLICY, policy=document({**TLS_ONLY, "Action": "sns:Publish"}))],
        ],
        broken=[
            (
                [of(type_, policy=document(READ, {**TLS_ONLY, **change}))],
                ["policy: must deny everybody where aws:SecureTransport is false, got no such statement"],
            )
            for type_, change in (
                (kinds.BUCKET_POLICY, {"Effect": "Allow"}),
                (kinds.QUEUE_POLICY, {"Condition": {"Bool": {"aws:SecureTransport": "true"}}}),
                (kinds.TOPIC_POLICY, {"Principal": {"AWS": "arn:aws:iam::123456789012:root"}}),
            )
        ],
    ),
    "stores-have-a-resource-policy": Case(
        kept=[
            beside(of(kinds.BUCKET), kinds.BUCKET_POLICY, "bucket"),
            beside(of(kinds.QUEUE), kinds.QUEUE_POLICY, "queueUrl"),
            beside(of(kinds.TOPIC), kinds.TOPIC_POLICY, "arn"),
        ],
        broken=[
            (
                # a policy that only mentions the store is not the store's
                beside(of(store), companion, "policy"),
                [f"{companion}: must be there with this resource as its {key}, got nothing"],
            )
            for store, companion, key in (
                (kinds.BUCKET, kinds.BUCKET_POLICY, "bucket"),
                (kinds.QUEUE, kinds.QUEUE_POLICY, "queueUrl"),
                (kinds.TOPIC, kinds.TOPIC_POLICY, "arn"),
            )
        ],
    ),
    "no-wildcard-actions": Case(
        kept=[
            [of(ROLE_POLICY, policy=document(READ))],
            [of(kinds.BUCKET_POLICY, policy=document(TLS_ONLY))],
            [of(ROLE_POLICY, policy="no JSON")],
        ],
        broken=[
            (
                [of(ROLE_POLICY, policy=document(READ, {**READ, "Action": ["s3:GetObject", "s3:*"]}))],
                ["policy.Statement[1].Action[1]: must name one action, got s3:*"],
            ),
            (
                [of("aws:iam/policy:Policy", policy=json.dumps({"Statement": {**READ, "Action": "*"}}))],
                ["policy.Statement.Action: must name one action, got *"],
            ),
            (
                [of("aws:kms/key:Key", policy=document({"Effect": "Allow", "Action": "kms:*", "Principal": "*"}))],
                ["policy.Statement[0].Action: must name one action, got kms:*"],
            ),
            (
                [of(ROLE_POLICY, policy=document({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}))],
                ["policy.Statement[0].NotAction: must not allow all actions but some, got iam:*"],
            ),
        ],
    ),
    "no-wildcard-resources": Case(
        kept=[
            [of(ROLE_POLICY, policy=document(READ))],
            [of(ROLE_POLICY, policy=document({**READ, "Action": "ecr:GetAuthorizationToken", "Resource": ["*"]}))],
            [of("aws:kms/key:Key", policy=document({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}))],
        ],
        broken=[
            (
                [
                    of(
                        ROLE_POLICY,
                        policy=document({**READ, "Action": ["batch:ListJobs", "s3:GetObject"], "Resource": "*"}),
                    )
                ],
                ["policy.Statement[0].Action[1]: must name its resources, not *, got s3:GetObject"],
            ),
            (
                [of(ROLE_POLICY, policy=document({"Effect": "Allow", "Action": "s3:GetObject", "NotResource": "a"}))],
                ["policy.Statement[0].NotResource: must not allow all resources but some, got a"],
            ),
        ],
    ),
    "no-public-principals": Case(
        kept=[
            [of(kinds.BUCKET_POLICY, policy=document(TLS_ONLY))],
            [
                of(
                    kinds.ROLE,
                    assumeRolePolicy=document({"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}}),
                )
            ],
            [
                of(
                    kinds.TOPIC_POLICY,
                    policy=document(
                        {
                            "Effect": "Allow",
                            "Principal": {"AWS": "*"},
                            "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}},
                        }
                    ),
                )
            ],
        ],
        broken=[
            (
                [of(kinds.BUCKET_POLICY, policy=document({**READ, "Principal": "*"}))],
                ["policy.Statement[0].Principal: must name who, or have a condition, got *"],
            ),
            (
                [of(kinds.ROLE, assumeRolePolicy=document({"Effect": "Allow", "Principal": {"AWS": ["*"]}}))],
                ['assumeRolePolicy.Statement[0].Principal: must name who, or have a condition, got {"AWS": ["*"]}'],
            ),
        ],
    ),
    "no-broad-managed-policies": Case(
        kept=[
            [of(kinds.ROLE_POLICY_ATTACHMENT, policyArn="arn:aws:iam::aws:policy/AmazonEKSClusterPolicy")],
            [of(kinds.ROLE)],
        ],
        broken=[
            (
                [of(kinds.ROLE_POLICY_ATTACHMENT, policyArn="arn:aws:iam::aws:policy/AdministratorAccess")],
                ["policyArn: must be a policy for one task only, got arn:aws:iam::aws:policy/AdministratorAccess"],
            ),
            (
                [of(kinds.ROLE, managedPolicyArns=["arn:aws:iam::aws:policy/IAMFullAccess"])],
                ["managedPolicyArns[0]: must be a policy for one task only, got arn:aws:iam::aws:policy/IAMFullAccess"],
            ),
        ],
    ),
    "kept-is-protected": Case(
        kept=[
            [of(kinds.BUCKET), of(kinds.IMAGE_REPOSITORY), of(kinds.EKS_CLUSTER)],
            [protected(kinds.BUCKET), protected(kinds.EKS_COMPONENT), of(kinds.EKS_CLUSTER, deletionProtection=True)],
            [protected(kinds.BUCKET), of(kinds.ROLE)],
        ],
        broken=[
            (
                [protected(kinds.BUCKET), of(kind)],
                ["protect: must be true, because others of this stack are protected, got false"],
            )
            for kind in (
                kinds.IMAGE_REPOSITORY,
                kinds.LUSTRE_FILE_SYSTEM,
                kinds.QUEUE,
                kinds.EKS_CLUSTER,
                kinds.EKS_COMPONENT,
            )
        ],
    ),
    "logs-expire": Case(
        kept=[[of(kinds.LOG_GROUP, retentionInDays=30)]],
        broken=[
            ([of(kinds.LOG_GROUP)], ["retentionInDays: must be a number of days, got nothing"]),
            ([of(kinds.LOG_GROUP, retentionInDays=0)], ["retentionInDays: must be a number of days, got 0"]),
        ],
    ),
    "images-are-immutable-and-scanned": Case(
        kept=[
            [
                of(
                    kinds.IMAGE_REPOSITORY,
                    imageTagMutability="IMMUTABLE",
                    imageScanningConfiguration={"scanOnPush": True},
                )
            ]
        ],
        broken=[
            (
                [of(kinds.IMAGE_REPOSITORY, imageTagMutability="MUTABLE")],
                [
                    "imageTagMutability: must be IMMUTABLE, got MUTABLE",
                    "imageScanningConfiguration.scanOnPush: must be true, got nothing",
                ],
            )
        ],
    ),
    "everything-is-tagged": Case(
        kept=[
            [of(kinds.PROVIDER, region="us-west-2", defaultTags=json.dumps({"tags": TAGS}))],
            [of(kinds.PROVIDER, defaultTags={"tags": TAGS})],
            [of("pulumi:providers:kubernetes")],
        ],
        broken=[
            (
                [of(kinds.PROVIDER, region="us-west-2")],
                [f"defaultTags.tags.{name}: is required, got nothing" for name in DEFAULT_TAGS],
            ),
            (
                [of(kinds.PROVIDER, defaultTags=json.dumps({"tags": {**TAGS, "Environment": ""}}))],
                ["defaultTags.tags.Environment: is required, got "],
            ),
        ],
    ),
    "tags-reach-what-aws-starts": Case(
        kept=[
            [
                of(
                    kinds.LAUNCH_TEMPLATE,
                    tagSpecifications=[{"resourceType": kind, "tags": TAGS} for kind in ("instance", "volume")],
                )
            ],
            [of(kinds.ECS_SERVICE, propagateTags="SERVICE")],
            [of(kinds.BATCH_JOB_DEFINITION, propagateTags=True)],
        ],
        broken=[
            (
                [of(kinds.LAUNCH_TEMPLATE)],
                [f"tagSpecifications: must hold one for {kind}, got nothing" for kind in ("instance", "volume")],
            ),
            (
                [of(kinds.LAUNCH_TEMPLATE, tagSpecifications=[{"resourceType": "instance", "tags": {"Name": "a"}}])],
                [
                    *(f"tagSpecifications[0].tags.{name}: is required, got nothing" for name in DEFAULT_TAGS),
                    "tagSpecifications: must hold one for volume, got instance",
                ],
            ),
            ([of(kinds.ECS_SERVICE)], ["propagateTags: must be SERVICE or TASK_DEFINITION, got nothing"]),
            ([of(kinds.BATCH_JOB_DEFINITION)], ["propagateTags: must be true, got nothing"]),
        ],
    ),
}
"""Rule -> resources that keep it, and resources that break it with the messages that they are refused with."""


def messages(name: str, resources: list[PolicyResource]) -> list[str]:
    return [one.message for one in policy.broken(RULE[name], resources)]


def test_every_rule_is_proved_by_what_keeps_it_and_what_breaks_it() -> None:
    assert list(CASES) == NAMES
    assert all(case.kept and case.broken for case in CASES.values())


@pytest.mark.parametrize("name", CASES)
def test_a_rule_is_kept(name: str) -> None:
    assert [messages(name, resources) for resources in CASES[name].kept] == [[] for _ in CASES[name].kept]


@pytest.mark.parametrize("name", CASES)
def test_a_rule_is_broken(name: str) -> None:
    assert [messages(name, found) for found, _ in CASES[name].broken] == [lines for _, lines in CASES[name].broken]


def unknown_from(depth: int, value: Any) -> Any:
    """The value with all that stands this deep or deeper unknown, and so is every text and number above it."""
    match value:
        case dict() if depth:
            return {key: unknown_from(depth - 1, one) for key, one in cast("dict[str, Any]", value).items()}
        case list() if depth:
            return [unknown_from(depth - 1, one) for one in cast("list[Any]", value)]
        case _:
            return UNKNOWN


@pytest.mark.parametrize("depth", [1, 2, 3, 9])
@pytest.mark.parametrize("name", CASES)
def test_what_a_preview_cannot_know_breaks_no_rule(name: str, depth: int) -> None:
    for resources in CASES[name].kept:
        blind = [
            policy.resource(
                one.resource_type,
                unknown_from(depth, properties(one.props).value),
                urn=one.urn,
                protect=one.opts.protect,
                ignore_changes=tuple(one.opts.ignore_changes),
            )
            for one in resources
        ]
        for one, seen in zip(blind, resources, strict=True):
            one.property_dependencies = seen.property_dependencies
        assert messages(name, blind) == []


@pytest.mark.parametrize("action", sorted(WITHOUT_RESOURCE))
def test_an_action_is_allowed_on_everything_only_if_aws_cannot_limit_it(action: str) -> None:
    assert iam_reference.resource_types(action) == set()


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_file_keeps_every_mandatory_rule(stack: str, run_stack: RunStack) -> None:
    found = policy.violations(RULES, stack_files.read(ROOT, stack), run_stack(stack, preview=True))
    # an advisory one is for a stack file to break knowingly, and dev has no reason to
    assert [one.line for one in found if one.mandatory or stack == "dev"] == []


def test_a_stack_of_every_part_keeps_every_rule_when_all_values_are_known(run_sections: RunStack) -> None:
    sections: dict[str, Any] = {
        **WHOLE,
        "network": {"flowLogs": True, "interfaceEndpoints": ["sqs"]},
        "artifacts": {"lustre": {}},
        "batch": {"single": {"fairShare": {"a": 1.0}}, "multi": MULTI_NODE},
        "eks": {
            "publicAccessCidrs": ["203.0.114.0/24"],
            "gpuNodeGroups": {"gpu": {}, "efa": {"instanceTypes": ["p5.48xlarge"], "efa": True}},
            "kueue": True,
            "trainer": True,
            "containerInsights": True,
        },
        "alerts": {"emails": ["ops@example.com"], "monthlyBudgetUsd": 100, "anomalyUsd": 100},
        "protect": True,
    }
    run = run_sections(sections, preview=False)
    for urn, one in run.registrations.items():
        # what the plugin of pulumi_eks makes is seen as the engine sees it; what the program makes is seen already
        if "$eks:index:Cluster$" in urn:
            run.registrations[urn] = replace(one, inputs=run.created[urn].outputs)
    assert kinds.EKS_CLUSTER in {one.type for one in run.registrations.values()}
    assert policy.violations(RULES, stack_of({"aws:defaultTags": {"tags": DEFAULT_TAGS}}), run) == []


def test_a_program_without_default_tags_is_told_of_its_provider(run_sections: RunStack) -> None:
    found = policy.violations(RULES, stack_of({}), run_sections({}))
    assert [one.line for one in found if one.policy == "everything-is-tagged"] == [
        "policy everything-is-tagged: urn:pulumi:test::distributed-training::pulumi:providers:aws::default: "
        f"defaultTags.tags.{name}: is required, got nothing"
        for name in DEFAULT_TAGS
    ]


def test_preview_shows_that_every_rule_was_asked(capfd: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["preview", "--policy"]) == 0
    shown = capfd.readouterr()
    assert shown.out.endswith(f"policy: {len(RULES)} rules, 0 broken\n")
    assert shown.err == ""


@pytest.fixture
def shown_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], tuple[int, list[str], list[str]]]:
    """Status, output and errors of a preview with the policy pack, of a stack file with this configuration."""

    def preview(config: str) -> tuple[int, list[str], list[str]]:
        for name in ("Pulumi.yaml", "__main__.py"):
            shutil.copy(ROOT / name, tmp_path)
        shutil.copytree(ROOT / "policy", tmp_path / "policy", ignore=shutil.ignore_patterns(".venv", "__pycache__"))
        (tmp_path / "Pulumi.s.yaml").write_text(f"config: {{'aws:region': us-west-2, {config}}}\n")
        monkeypatch.setattr(command_line, "PROJECT", tmp_path)
        status = command_line.main(["preview", "--policy", "--stack", "s"])
        shown = capsys.readouterr()
        return status, shown.out.splitlines(), shown.err.splitlines()

    return preview


def test_preview_warns_of_advisory_rules(shown_of: Callable[[str], tuple[int, list[str], list[str]]]) -> None:
    status, out, err = shown_of(
        "'aws:defaultTags': {tags: {Project: p, Environment: e, ManagedBy: m}},"
        " 'distributed-training:workers': {workers: {minTasks: 1}},"
        " 'distributed-training:queues': {tasks: {}, results: {}}"
    )
    assert (status, err) == (0, [])
    parents = "distributed-training:index:FargateWorkers$distributed-training:index:WorkerScaling"
    assert (
        f"warning: policy idle-at-zero: urn:pulumi:s::distributed-training::{parents}${kinds.SCALING_TARGET}::workers: "
        "minCapacity: must be 0, got 1"
    ) in out


def test_preview_fails_on_mandatory_rules(shown_of: Callable[[str], tuple[int, list[str], list[str]]]) -> None:
    status, out, err = shown_of("'aws:defaultTags': {tags: {Project: p, ManagedBy: m}}")
    assert out[-1] == f"policy: {len(RULES)} rules, 1 broken"
    provider = f"urn:pulumi:s::distributed-training::{kinds.PROVIDER}::default"
    assert err == [
        f"error: policy everything-is-tagged: {provider}: defaultTags.tags.Environment: is required, got nothing"
    ]
    assert status == 1


def test_a_preview_without_rules_does_not_wait_for_them() -> None:
    code = "import sys, local.stack_commands; print(sorted({'pulumi_policy', 'local.policy'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert shown.stdout == "[]\n"


def test_the_pack_is_run_by_its_folder_and_leaves_nothing_behind() -> None:
    path, modules = list(sys.path), set(sys.modules)
    found = policy.rules(ROOT / "policy")
    assert [(one.name, one.description) for one in found] == [(one.name, one.description) for one in RULES]
    assert (sys.path, set(sys.modules)) == (path, modules)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The pack as the CLI starts it: in its folder, with nothing of the project around it."""
    folder = tmp_path_factory.mktemp("pack") / "policy"
    shutil.copytree(ROOT / "policy", folder, ignore=shutil.ignore_patterns(".venv", "__pycache__"))
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:1", "."], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    try:
        port = int(cast("IO[str]", process.stdout).readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield AnalyzerStub(channel)
    finally:
        process.kill()
        process.communicate()


def test_the_pack_tells_the_engine_its_rules(pack: Any) -> None:
    info = pack.GetAnalyzerInfo(empty_pb2.Empty())
    assert [(one.name, one.description) for one in info.policies] == [(one.name, one.description) for one in RULES]
    levels = {EnforcementLevel.ADVISORY: analyzer_pb2.ADVISORY, EnforcementLevel.MANDATORY: analyzer_pb2.MANDATORY}
    assert [one.enforcementLevel for one in info.policies] == [
        levels[cast("Any", one).enforcement_level] for one in RULES
    ]


def test_the_engine_hears_what_the_local_preview_says_and_nothing_of_unknown_values(pack: Any) -> None:
    def said(**properties: Any) -> list[tuple[str, str]]:
        request = analyzer_pb2.AnalyzeRequest(
            type=kinds.QUEUE,
            urn=f"urn:pulumi:test::test::{kinds.QUEUE}::one",
            name="one",
            properties=json_format.ParseDict(properties, struct_pb2.Struct()),
        )
        response = pack.Analyze(request)
        return [(one.policyName, one.message.splitlines()[-1]) for one in response.diagnostics]

    assert said(sqsManagedSseEnabled=False) == [
        ("stores-are-encrypted", "sqsManagedSseEnabled: must be true, got false")
    ]
    assert said(sqsManagedSseEnabled=UNKNOWN) == []


def test_the_engine_hears_of_a_whole_stack(pack: Any) -> None:
    bucket, urn = kinds.BUCKET, f"urn:pulumi:test::test::{kinds.BUCKET}::one"
    request = analyzer_pb2.AnalyzeStackRequest(
        resources=[
            analyzer_pb2.AnalyzerResource(type=bucket, urn=urn, name="one"),
            analyzer_pb2.AnalyzerResource(
                type=kinds.BUCKET_ENCRYPTION,
                urn=f"urn:pulumi:test::test::{kinds.BUCKET_ENCRYPTION}::one",
                name="one",
                properties=json_format.ParseDict({"bucket": UNKNOWN}, struct_pb2.Struct()),
                propertyDependencies={"bucket": analyzer_pb2.AnalyzerPropertyDependencies(urns=[urn])},
            ),
        ]
    )
    response = pack.AnalyzeStack(request)
    assert {(one.policyName, one.urn) for one in response.diagnostics} == {
        ("buckets-block-public-access", urn),
        ("stores-have-a-resource-policy", urn),
    }


def test_the_pack_needs_what_the_tests_ran_with() -> None:
    def pins(path: Path) -> set[str]:
        return {line for line in path.read_text().splitlines() if "==" in line}

    here = pins(ROOT / "requirements.txt") | pins(ROOT / "requirements-dev.txt")
    assert pins(ROOT / "policy" / "requirements.txt") <= here
