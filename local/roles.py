"""The policies of the two roles that pipelines take on, from what each resource type needs of AWS.

They are the files of docs/bootstrap/. What is in a policy is what a stack with every part registers,
through `NEEDS`; on which resources, and whether an action only reads, is what AWS's service authorization reference
says (local/iam_reference.py). `ACCOUNT_ID` and `REGION` are left to be filled in, as docs/bootstrap.md does.
"""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from local import engine, iam_reference
from local.aws import Aws
from local.cloud import LocalCloud
from local.engine import Run
from local.stack_files import StackFile

PROJECT = Path(__file__).parents[1]
FOLDER = PROJECT / "docs" / "bootstrap"
LARGEST_POLICY = 6144
"""Characters of a managed policy, white space not counted (IAM user guide, "IAM and AWS STS quotas")."""
LONGEST_REGION = "ap-southeast-1"
REGION = "us-west-2"

ANY_NAME = "any"
"""Stands in the sections below for the names that stack files choose themselves."""
MULTI_NODE = {"instanceTypes": ["p5.48xlarge"], "efa": True}
SECTIONS: Mapping[str, Any] = {
    "network": {"flowLogs": True, "interfaceEndpoints": ["ecr.api"], "natGateways": "perZone"},
    "artifacts": {"lustre": {}},
    "queues": {ANY_NAME: {}, "results": {}},
    "batch": {
        ANY_NAME: {"fairShare": {"team": 1.0}},
        f"{ANY_NAME}-multi": {
            **MULTI_NODE,
            "nodes": 2,
            "capacity": ["onDemand"],
            "maxVcpus": 384,
            "vcpus": 180,
            "memoryMib": 1_900_000,
            "gpus": 8,
        },
    },
    "workers": {"queue": ANY_NAME},
    "eks": {
        "adminPrincipalArns": ["arn:aws:iam::123456789012:role/administrator"],
        "gpuNodeGroups": {"gpu": MULTI_NODE | {"capacity": "onDemand"}},
        "kueue": True,
        "trainer": True,
    },
    "alerts": {"emails": ["somebody@example.com"], "monthlyBudgetUsd": 1000},
    "protect": True,
}
"""Every part and every option that makes another resource."""

TAGS_OF_EC2 = "ec2:CreateTags ec2:DeleteTags"


def _tags(service: str) -> str:
    return " ".join(f"{service}:{action}" for action in ("ListTagsForResource", "TagResource", "UntagResource"))


GROUP_RULES = (
    "ec2:AuthorizeSecurityGroupEgress ec2:AuthorizeSecurityGroupIngress ec2:DescribeSecurityGroupRules"
    " ec2:DescribeSecurityGroups ec2:ModifySecurityGroupRules ec2:RevokeSecurityGroupEgress"
    f" ec2:RevokeSecurityGroupIngress {TAGS_OF_EC2}"
)
QUEUE_ATTRIBUTES = "sqs:GetQueueAttributes sqs:SetQueueAttributes"
UPDATES_OF_EKS = f"eks:DescribeCluster eks:DescribeUpdate {_tags('eks')}"

NEEDS: Mapping[str, str] = {
    "aws:appautoscaling/policy:Policy": (
        "application-autoscaling:DeleteScalingPolicy application-autoscaling:DescribeScalingPolicies"
        " application-autoscaling:PutScalingPolicy"
        # asked of whoever makes the policy (Application Auto Scaling user guide, "Additional IAM permissions")
        " cloudwatch:DeleteAlarms cloudwatch:DescribeAlarms cloudwatch:PutMetricAlarm"
    ),
    "aws:appautoscaling/target:Target": (
        "application-autoscaling:DeregisterScalableTarget application-autoscaling:DescribeScalableTargets"
        " application-autoscaling:RegisterScalableTarget ecs:DescribeServices ecs:UpdateService"
        f" iam:CreateServiceLinkedRole {_tags('application-autoscaling')}"
    ),
    "aws:autoscaling/tag:Tag": "autoscaling:CreateOrUpdateTags autoscaling:DeleteTags autoscaling:DescribeTags",
    "aws:batch/computeEnvironment:ComputeEnvironment": (
        "batch:CreateComputeEnvironment batch:DeleteComputeEnvironment batch:DescribeComputeEnvironments"
        " batch:UpdateComputeEnvironment ec2:DescribeLaunchTemplateVersions iam:CreateServiceLinkedRole iam:PassRole"
        f" {_tags('batch')}"
    ),
    "aws:batch/jobDefinition:JobDefinition": (
        "batch:DeregisterJobDefinition batch:DescribeJobDefinitions batch:RegisterJobDefinition iam:PassRole"
        f" {_tags('batch')}"
    ),
    "aws:batch/jobQueue:JobQueue": (
        f"batch:CreateJobQueue batch:DeleteJobQueue batch:DescribeJobQueues batch:UpdateJobQueue {_tags('batch')}"
    ),
    "aws:batch/schedulingPolicy:SchedulingPolicy": (
        "batch:CreateSchedulingPolicy batch:DeleteSchedulingPolicy batch:DescribeSchedulingPolicies"
        f" batch:UpdateSchedulingPolicy {_tags('batch')}"
    ),
    "aws:budgets/budget:Budget": f"budgets:ModifyBudget budgets:ViewBudget {_tags('budgets')}",
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": (
        f"cloudwatch:DeleteAlarms cloudwatch:DescribeAlarms cloudwatch:PutCompositeAlarm {_tags('cloudwatch')}"
    ),
    "aws:cloudwatch/dashboard:Dashboard": "cloudwatch:DeleteDashboards cloudwatch:GetDashboard cloudwatch:PutDashboard",
    "aws:cloudwatch/eventRule:EventRule": (
        f"events:DeleteRule events:DescribeRule events:DisableRule events:EnableRule events:PutRule {_tags('events')}"
    ),
    "aws:cloudwatch/eventTarget:EventTarget": "events:ListTargetsByRule events:PutTargets events:RemoveTargets",
    "aws:cloudwatch/logGroup:LogGroup": (
        "logs:CreateLogGroup logs:DeleteLogGroup logs:DeleteRetentionPolicy logs:DescribeLogGroups"
        f" logs:PutRetentionPolicy {_tags('logs')}"
    ),
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": (
        "logs:DeleteResourcePolicy logs:DescribeResourcePolicies logs:PutResourcePolicy"
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": (
        f"cloudwatch:DeleteAlarms cloudwatch:DescribeAlarms cloudwatch:PutMetricAlarm {_tags('cloudwatch')}"
    ),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": GROUP_RULES,
    "aws:ec2/eip:Eip": (
        "ec2:AllocateAddress ec2:DescribeAddresses ec2:DescribeAddressesAttribute ec2:DisassociateAddress"
        f" ec2:ReleaseAddress {TAGS_OF_EC2}"
    ),
    "aws:ec2/flowLog:FlowLog": (
        "ec2:CreateFlowLogs ec2:DeleteFlowLogs ec2:DescribeFlowLogs iam:PassRole logs:CreateLogDelivery"
        f" logs:DeleteLogDelivery {TAGS_OF_EC2}"
    ),
    "aws:ec2/internetGateway:InternetGateway": (
        "ec2:AttachInternetGateway ec2:CreateInternetGateway ec2:DeleteInternetGateway ec2:DescribeInternetGateways"
        f" ec2:DetachInternetGateway {TAGS_OF_EC2}"
    ),
    "aws:ec2/launchTemplate:LaunchTemplate": (
        "ec2:CreateLaunchTemplate ec2:CreateLaunchTemplateVersion ec2:DeleteLaunchTemplate ec2:DescribeLaunchTemplates"
        f" ec2:DescribeLaunchTemplateVersions ec2:ModifyLaunchTemplate iam:PassRole {TAGS_OF_EC2}"
    ),
    "aws:ec2/natGateway:NatGateway": (
        f"ec2:CreateNatGateway ec2:DeleteNatGateway ec2:DescribeNatGateways {TAGS_OF_EC2}"
    ),
    "aws:ec2/placementGroup:PlacementGroup": (
        f"ec2:CreatePlacementGroup ec2:DeletePlacementGroup ec2:DescribePlacementGroups {TAGS_OF_EC2}"
    ),
    "aws:ec2/route:Route": "ec2:CreateRoute ec2:DeleteRoute ec2:DescribeRouteTables ec2:ReplaceRoute",
    "aws:ec2/routeTable:RouteTable": (
        "ec2:CreateRoute ec2:CreateRouteTable ec2:DeleteRoute ec2:DeleteRouteTable ec2:DescribeRouteTables"
        f" ec2:DisassociateRouteTable ec2:ReplaceRoute {TAGS_OF_EC2}"
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": (
        "ec2:AssociateRouteTable ec2:DescribeRouteTables ec2:DisassociateRouteTable ec2:ReplaceRouteTableAssociation"
    ),
    "aws:ec2/securityGroup:SecurityGroup": (
        f"ec2:CreateSecurityGroup ec2:DeleteSecurityGroup ec2:DescribeNetworkInterfaces {GROUP_RULES}"
    ),
    "aws:ec2/securityGroupRule:SecurityGroupRule": GROUP_RULES,
    "aws:ec2/subnet:Subnet": (
        "ec2:CreateSubnet ec2:DeleteSubnet ec2:DescribeNetworkInterfaces ec2:DescribeSubnets"
        f" ec2:ModifySubnetAttribute {TAGS_OF_EC2}"
    ),
    "aws:ec2/vpc:Vpc": (
        "ec2:CreateVpc ec2:DeleteVpc ec2:DescribeNetworkAcls ec2:DescribeRouteTables ec2:DescribeSecurityGroups"
        f" ec2:DescribeVpcAttribute ec2:DescribeVpcs ec2:ModifyVpcAttribute {TAGS_OF_EC2}"
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": (
        "ec2:CreateVpcEndpoint ec2:DeleteVpcEndpoints ec2:DescribeManagedPrefixLists ec2:DescribePrefixLists"
        # for the private name of an interface endpoint
        f" ec2:DescribeVpcEndpoints ec2:ModifyVpcEndpoint route53:AssociateVPCWithHostedZone {TAGS_OF_EC2}"
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": (
        "ecr:DeleteLifecyclePolicy ecr:GetLifecyclePolicy ecr:PutLifecyclePolicy"
    ),
    "aws:ecr/repository:Repository": (
        "ecr:CreateRepository ecr:DeleteRepository ecr:DescribeRepositories ecr:PutImageScanningConfiguration"
        f" ecr:PutImageTagMutability {_tags('ecr')}"
    ),
    "aws:ecs/cluster:Cluster": (
        "ecs:CreateCluster ecs:DeleteCluster ecs:DescribeClusters ecs:UpdateCluster ecs:UpdateClusterSettings"
        f" iam:CreateServiceLinkedRole {_tags('ecs')}"
    ),
    "aws:ecs/clusterCapacityProviders:ClusterCapacityProviders": (
        "ecs:DescribeClusters ecs:PutClusterCapacityProviders"
    ),
    "aws:ecs/service:Service": (
        f"ecs:CreateService ecs:DeleteService ecs:DescribeServices ecs:UpdateService {_tags('ecs')}"
    ),
    "aws:ecs/taskDefinition:TaskDefinition": (
        "ecs:DeregisterTaskDefinition ecs:DescribeTaskDefinition ecs:RegisterTaskDefinition iam:PassRole"
        f" {_tags('ecs')}"
    ),
    "aws:eks/accessEntry:AccessEntry": (
        f"eks:CreateAccessEntry eks:DeleteAccessEntry eks:DescribeAccessEntry eks:UpdateAccessEntry {_tags('eks')}"
    ),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": (
        "eks:AssociateAccessPolicy eks:DisassociateAccessPolicy eks:ListAssociatedAccessPolicies"
    ),
    "aws:eks/addon:Addon": (
        "eks:CreateAddon eks:CreatePodIdentityAssociation eks:DeleteAddon eks:DeletePodIdentityAssociation"
        " eks:DescribeAddon eks:DescribePodIdentityAssociation eks:UpdateAddon eks:UpdatePodIdentityAssociation"
        f" iam:GetRole iam:PassRole {UPDATES_OF_EKS}"
    ),
    "aws:eks/cluster:Cluster": (
        "ec2:DescribeSubnets eks:AssociateEncryptionConfig eks:CreateCluster eks:DeleteCluster eks:UpdateClusterConfig"
        " eks:UpdateClusterVersion iam:CreateServiceLinkedRole iam:GetRole iam:PassRole"
        # asked of whoever names the key (EKS user guide, "Encrypt Kubernetes secrets with KMS")
        f" kms:CreateGrant kms:DescribeKey {UPDATES_OF_EKS}"
    ),
    "aws:eks/nodeGroup:NodeGroup": (
        "ec2:DescribeLaunchTemplateVersions ec2:DescribeSubnets eks:CreateNodegroup eks:DeleteNodegroup"
        " eks:DescribeNodegroup eks:UpdateNodegroupConfig eks:UpdateNodegroupVersion iam:CreateServiceLinkedRole"
        " iam:GetRole iam:ListAttachedRolePolicies iam:PassRole"
        # EKS tries the launch template in its caller's name (EC2 user guide, "IAM permissions for launch templates")
        f" ec2:RunInstances {UPDATES_OF_EKS}"
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": (
        "eks:CreatePodIdentityAssociation eks:DeletePodIdentityAssociation eks:DescribePodIdentityAssociation"
        f" eks:UpdatePodIdentityAssociation iam:GetRole iam:PassRole {UPDATES_OF_EKS}"
    ),
    "aws:fsx/dataRepositoryAssociation:DataRepositoryAssociation": (
        "fsx:CreateDataRepositoryAssociation fsx:DeleteDataRepositoryAssociation"
        " fsx:DescribeDataRepositoryAssociations fsx:UpdateDataRepositoryAssociation"
        # the link's own role, which FSx makes in its caller's name (FSx for Lustre user guide, "Adding permissions to
        # use data repositories in Amazon S3")
        f" iam:AttachRolePolicy iam:CreateServiceLinkedRole iam:PutRolePolicy s3:ListBucket {_tags('fsx')}"
    ),
    "aws:fsx/lustreFileSystem:LustreFileSystem": (
        "ec2:DescribeSubnets ec2:GetSecurityGroupsForVpc fsx:CreateFileSystem fsx:DeleteFileSystem"
        f" fsx:DescribeFileSystems fsx:UpdateFileSystem iam:CreateServiceLinkedRole {_tags('fsx')}"
    ),
    "aws:iam/instanceProfile:InstanceProfile": (
        "iam:AddRoleToInstanceProfile iam:CreateInstanceProfile iam:DeleteInstanceProfile iam:GetInstanceProfile"
        " iam:GetRole iam:PassRole iam:RemoveRoleFromInstanceProfile iam:TagInstanceProfile iam:UntagInstanceProfile"
    ),
    "aws:iam/role:Role": (
        "iam:CreateRole iam:DeleteRole iam:GetRole iam:ListAttachedRolePolicies iam:ListInstanceProfilesForRole"
        " iam:ListRolePolicies iam:ListRoleTags iam:TagRole iam:UntagRole iam:UpdateAssumeRolePolicy iam:UpdateRole"
        " iam:UpdateRoleDescription"
    ),
    "aws:iam/rolePolicy:RolePolicy": "iam:DeleteRolePolicy iam:GetRolePolicy iam:PutRolePolicy",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": (
        "iam:AttachRolePolicy iam:DetachRolePolicy iam:ListAttachedRolePolicies"
    ),
    "aws:kms/key:Key": (
        "kms:CreateKey kms:DescribeKey kms:DisableKey kms:DisableKeyRotation kms:EnableKey kms:EnableKeyRotation"
        " kms:GetKeyPolicy kms:GetKeyRotationStatus kms:ListResourceTags kms:PutKeyPolicy kms:ScheduleKeyDeletion"
        " kms:TagResource kms:UntagResource kms:UpdateKeyDescription"
    ),
    "aws:s3/bucket:Bucket": (
        # the last line empties it (artifacts.forceDestroy)
        "s3:CreateBucket s3:DeleteBucket s3:GetAccelerateConfiguration s3:GetBucketAcl s3:GetBucketCORS"
        " s3:GetBucketLogging s3:GetBucketObjectLockConfiguration s3:GetBucketPolicy s3:GetBucketRequestPayment"
        " s3:GetBucketTagging s3:GetBucketVersioning s3:GetBucketWebsite s3:GetEncryptionConfiguration"
        " s3:GetLifecycleConfiguration s3:GetReplicationConfiguration s3:ListBucket s3:ListTagsForResource"
        " s3:PutBucketTagging s3:TagResource s3:UntagResource"
        " s3:DeleteObject s3:DeleteObjectVersion s3:ListBucketVersions"
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": (
        "s3:GetLifecycleConfiguration s3:PutLifecycleConfiguration"
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": (
        "s3:GetBucketOwnershipControls s3:PutBucketOwnershipControls"
    ),
    "aws:s3/bucketPolicy:BucketPolicy": "s3:DeleteBucketPolicy s3:GetBucketPolicy s3:PutBucketPolicy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": (
        "s3:GetBucketPublicAccessBlock s3:PutBucketPublicAccessBlock"
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        "s3:GetEncryptionConfiguration s3:PutEncryptionConfiguration"
    ),
    "aws:s3/bucketVersioning:BucketVersioning": "s3:GetBucketVersioning s3:PutBucketVersioning",
    "aws:sns/topic:Topic": (
        f"sns:CreateTopic sns:DeleteTopic sns:GetTopicAttributes sns:SetTopicAttributes {_tags('sns')}"
    ),
    "aws:sns/topicPolicy:TopicPolicy": "sns:GetTopicAttributes sns:SetTopicAttributes",
    "aws:sns/topicSubscription:TopicSubscription": (
        "sns:GetSubscriptionAttributes sns:ListSubscriptionsByTopic sns:SetSubscriptionAttributes sns:Subscribe"
        " sns:Unsubscribe"
    ),
    "aws:sqs/queue:Queue": (
        "sqs:CreateQueue sqs:DeleteQueue sqs:GetQueueUrl sqs:ListQueueTags sqs:TagQueue sqs:UntagQueue"
        f" {QUEUE_ATTRIBUTES}"
    ),
    "aws:sqs/queuePolicy:QueuePolicy": QUEUE_ATTRIBUTES,
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": QUEUE_ATTRIBUTES,
    "aws:sqs/redrivePolicy:RedrivePolicy": QUEUE_ATTRIBUTES,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": GROUP_RULES,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": GROUP_RULES,
}
"""Resource type -> what its provider calls to make, read, change and delete it, and what AWS asks of who does so."""

ASKED: Mapping[str, str] = {
    "aws:ec2/getInstanceType:getInstanceType": "ec2:DescribeInstanceTypes",
    "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings": "ec2:DescribeInstanceTypeOfferings",
    "aws:ec2/getSecurityGroup:getSecurityGroup": "ec2:DescribeSecurityGroups",
    "aws:ec2/getSubnet:getSubnet": "ec2:DescribeSubnets",
    "aws:ec2/getSubnets:getSubnets": "ec2:DescribeSubnets",
    "aws:ec2/getVpc:getVpc": "ec2:DescribeRouteTables ec2:DescribeVpcAttribute ec2:DescribeVpcs",
    "aws:eks/getAddonVersion:getAddonVersion": "eks:DescribeAddonVersions",
    "aws:index/getAvailabilityZones:getAvailabilityZones": "ec2:DescribeAvailabilityZones",
    "aws:vpc/getSecurityGroupRule:getSecurityGroupRule": "ec2:DescribeSecurityGroupRules",
    "aws:vpc/getSecurityGroupRules:getSecurityGroupRules": "ec2:DescribeSecurityGroupRules",
}
"""Provider function of the program -> what it calls; those that are not here need no permission."""

SMOKE = "ecr:DescribeImages eks:ListNodegroups"
"""What `train smoke` reads besides, after a deployment."""

LINKED_ROLES = (
    "autoscaling.amazonaws.com",
    "batch.amazonaws.com",
    "ecs.amazonaws.com",
    "ecs.application-autoscaling.amazonaws.com",
    "eks-nodegroup.amazonaws.com",
    "eks.amazonaws.com",
    "fsx.amazonaws.com",
    "s3.data-source.lustre.fsx.amazonaws.com",
    "spot.amazonaws.com",
)
"""Services whose own role AWS makes in the caller's name, the first time in an account."""
GLOBAL = ("budgets", "iam", "route53")
"""Services that are in no region: `aws:RequestedRegion` is us-east-1 for them."""
SERVICES_ROLES = "arn:aws:iam::ACCOUNT_ID:role/aws-service-role"
BESIDES: Mapping[str, tuple[str, ...]] = {
    # EKS looks in its caller's name whether its own role is there (EKS user guide, "Service-linked role permissions")
    f"{SERVICES_ROLES}/*": ("iam:GetRole",),
    f"{SERVICES_ROLES}/s3.data-source.lustre.fsx.amazonaws.com/*": ("iam:AttachRolePolicy", "iam:PutRolePolicy"),
}
"""Roles of AWS's own -> what is done to them in the caller's name."""


def whole(aws: Aws) -> Run:
    """A stack with every part, deployed there.

    Raises:
        RunError: when the sections are wrong.

    """
    stack = StackFile(
        project="distributed-training",
        stack="whole",
        config={
            "aws:region": aws.region,
            **{f"distributed-training:{key}": json.dumps(section) for key, section in SECTIONS.items()},
        },
        program=PROJECT,
    )
    run = engine.run(stack, LocalCloud(aws), preview=False)
    if run.error is not None:
        raise run.error
    return run


def documents(run: Run) -> dict[str, str]:
    """File name -> policy, of both roles, each small enough to be attached."""
    needed = {one.type for one in run.registrations.values() if one.type.startswith("aws:")}
    actions = {
        action for text in [*(NEEDS[type_] for type_ in needed), *ASKED.values(), SMOKE] for action in text.split()
    }
    reads = {action for action in actions if iam_reference.access_level(action) in ("List", "Read")}
    return {
        f"{role}-{number}.json": f"{json.dumps(policy, indent=2)}\n"
        for role, allowed in (("preview", reads), ("deploy", actions))
        for number, policy in enumerate(_policies(_statements(allowed, run)), start=1)
    }


def size(policy: Mapping[str, Any]) -> int:
    """How many characters of a policy IAM counts, once it is filled in."""
    text = json.dumps(policy).replace("ACCOUNT_ID", "123456789012").replace("REGION", LONGEST_REGION)
    return len(re.sub(r"\s", "", text))


def _statements(allowed: Collection[str], run: Run) -> Iterator[dict[str, Any]]:
    grouped = defaultdict[tuple[tuple[str, ...], str], list[str]](list)
    for action in sorted(allowed):
        condition = _condition(action, run)
        resources = _resources(action, run)
        if resources == ("*",) and action.split(":")[0] not in GLOBAL:
            condition = {"StringEquals": {"aws:RequestedRegion": "REGION"}}
        grouped[resources, json.dumps(condition)].append(action)
    for role, done in BESIDES.items():
        if among := [action for action in done if action in allowed]:
            grouped[(role,), "null"] = among
    for (resources, condition), actions in sorted(grouped.items()):
        statement = {"Effect": "Allow", "Action": actions, "Resource": list(resources)}
        yield statement if condition == "null" else statement | {"Condition": json.loads(condition)}


def _policies(statements: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The statements in as few policies as they fit into, in their order."""
    policies: list[dict[str, Any]] = []
    for statement in statements:
        if not policies or size(policies[-1]) + size(statement) + 1 > LARGEST_POLICY:
            policies.append({"Version": "2012-10-17", "Statement": []})
        policies[-1]["Statement"].append(statement)
    return policies


def _resources(action: str, run: Run) -> tuple[str, ...]:
    """On what an action is allowed: on this stack's names where names tell, else on what is in the account and region.

    An action applies to its own kinds of resource only, so the kind is left out after the account.
    """
    service, name = action.split(":")
    roles = tuple(f"arn:aws:iam::ACCOUNT_ID:role/{name}" for name in _names(run, "aws:iam/role:Role"))
    profiles = _names(run, "aws:iam/instanceProfile:InstanceProfile")
    buckets = tuple(f"arn:aws:s3:::{name}" for name in _names(run, "aws:s3/bucket:Bucket"))
    match service:
        case "iam" if name == "CreateServiceLinkedRole":
            return (f"{SERVICES_ROLES}/*",)
        case "iam" if "InstanceProfile" in name and name != "ListInstanceProfilesForRole":
            return tuple(f"arn:aws:iam::ACCOUNT_ID:instance-profile/{name}" for name in profiles)
        case "iam":
            return roles
        case "s3":
            return tuple(f"{one}/*" for one in buckets) if "Object" in name.split("Bucket")[0] else buckets
        case _:
            arns = {arn for arn in iam_reference.resource_arns(action) if arn.split(":")[2] == service}
            return tuple(sorted({_owner(arn) for arn in arns})) or ("*",)


def _owner(arn: str) -> str:
    """The ARN of anything of a service in the account and region, or in those alone that the ARN names."""
    filled = arn.replace("${Partition}", "aws").replace("${Region}", "REGION").replace("${Account}", "ACCOUNT_ID")
    *owner, _ = filled.split(":", 5)
    return ":".join([*owner, "*"])


def _names(run: Run, type_: str) -> tuple[str, ...]:
    """Patterns of the physical names of a type: the logical name, and the seven digits that Pulumi adds."""
    logical = {one.name for one in run.registrations.values() if one.type == type_}
    return tuple(sorted({re.sub(rf"^{ANY_NAME}(-multi)?(?=-|$)", "*", name) + "-???????" for name in logical}))


def _condition(action: str, run: Run) -> dict[str, Any] | None:
    match action:
        case "iam:PassRole":
            trusted = {
                service
                for role in _made(run, "aws:iam/role:Role")
                for statement in json.loads(role["assumeRolePolicy"])["Statement"]
                for service in _listed(statement["Principal"]["Service"])
            }
            # Batch hands on what it is given, as EKS does, which is among them
            return {"StringEquals": {"iam:PassedToService": sorted(trusted | {"batch.amazonaws.com"})}}
        case "iam:CreateServiceLinkedRole":
            return {"StringEquals": {"iam:AWSServiceName": list(LINKED_ROLES)}}
        case "iam:AttachRolePolicy" | "iam:DetachRolePolicy":
            kept = {one["policyArn"] for one in _made(run, "aws:iam/rolePolicyAttachment:RolePolicyAttachment")}
            return {"ArnEquals": {"iam:PolicyARN": sorted(kept)}}
        case "kms:CreateGrant":
            return {"Bool": {"kms:GrantIsForAWSResource": "true"}}
        case _:
            return None


def _made(run: Run, type_: str) -> Iterator[dict[str, Any]]:
    """The properties of all resources of a type."""
    for urn, one in run.registrations.items():
        if one.type == type_:
            yield {**one.inputs, **(run.created[urn].outputs if urn in run.created else {})}


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
