"""Least privilege: nobody may do everything, nothing may be done to everything, not everybody may."""

from collections.abc import Iterator

from . import kinds
from .documents import IDENTITY_POLICIES, RESOURCE_POLICIES, allowed, several
from .rule import Resource, each

WITHOUT_RESOURCE = frozenset(
    {
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeAutoScalingInstances",
        "autoscaling:DescribeLaunchConfigurations",
        "autoscaling:DescribeScalingActivities",
        "autoscaling:DescribeTags",
        "batch:DescribeComputeEnvironments",
        "batch:DescribeJobDefinitions",
        "batch:DescribeJobQueues",
        "batch:DescribeJobs",
        "batch:DescribeSchedulingPolicies",
        "batch:ListJobs",
        "cloudwatch:GetMetricData",
        "cloudwatch:PutMetricData",
        "ec2:DescribeImages",
        "ec2:DescribeInstanceTypes",
        "ec2:DescribeInstances",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:DescribeNatGateways",
        "ec2:DescribeTags",
        "ec2:DescribeVolumes",
        "ec2:GetInstanceTypesFromInstanceRequirements",
        "ecr:GetAuthorizationToken",
        "ecs:DescribeTaskDefinition",
        "ecs:DiscoverPollEndpoint",
    }
)
"""Actions in use that AWS cannot limit to a resource (Service Authorization Reference: no resource type listed)."""

BROAD_ENDINGS = ("/AdministratorAccess", "/PowerUserAccess", "FullAccess")


@each(*IDENTITY_POLICIES, *RESOURCE_POLICIES)
def no_wildcard_actions(resource: Resource) -> Iterator[str]:
    """No policy allows an action by a wildcard."""
    for statement in allowed(resource):
        if statement.at("NotAction").value is not None:
            yield statement.at("NotAction").wrong("must not allow all actions but some")
        for action in several(statement, "Action"):
            if isinstance(action.value, str) and "*" in action.value:
                yield action.wrong("must name one action")


@each(*IDENTITY_POLICIES)
def no_wildcard_resources(resource: Resource) -> Iterator[str]:
    """No role may do anything to every resource, unless AWS cannot limit the action to one."""
    for statement in allowed(resource):
        if statement.at("NotResource").value is not None:
            yield statement.at("NotResource").wrong("must not allow all resources but some")
        if "*" in (one.value for one in several(statement, "Resource")):
            for action in several(statement, "Action"):
                if action.value not in WITHOUT_RESOURCE:
                    yield action.wrong("must name its resources, not *")


@each(*RESOURCE_POLICIES)
def no_public_principals(resource: Resource) -> Iterator[str]:
    """No policy lets everybody in without a condition."""
    for statement in allowed(resource):
        principals = [statement.at("Principal"), *several(statement.at("Principal"), "AWS")]
        if "*" in (one.value for one in principals) and statement.at("Condition").value is None:
            yield statement.at("Principal").wrong("must name who, or have a condition")


@each(kinds.ROLE_POLICY_ATTACHMENT, kinds.ROLE)
def no_broad_managed_policies(resource: Resource) -> Iterator[str]:
    """No role holds one of AWS's policies for administrators or with full access to a service."""
    attached = [resource.properties.at("policyArn"), *resource.properties.each("managedPolicyArns")]
    for one in attached:
        if isinstance(one.value, str) and one.value.endswith(BROAD_ENDINGS):
            yield one.wrong("must be a policy for one task only")
