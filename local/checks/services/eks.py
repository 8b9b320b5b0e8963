"""Amazon EKS (API; user guide, "Amazon EKS networking requirements" and "Managed node groups")."""

import re
from collections.abc import Iterator, Mapping

from local.checks import documents
from local.checks.plain import is_list, is_object, mapping, wrong
from local.checks.references import Known
from local.checks.rules import (
    Checks,
    Inputs,
    Rule,
    at_most,
    conflicting,
    given,
    matching,
    one_of,
    ordered,
    value_at,
    within,
)
from local.engine import UNKNOWN

SUBNET = "aws:ec2/subnet:Subnet"
VERSIONS = ("1.30", "1.31", "1.32", "1.33", "1.34", "1.35", "1.36")
"""Kubernetes versions that EKS runs, in standard or extended support (EKS user guide, as of November 2026)."""
LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")
NAME = r"[0-9A-Za-z][A-Za-z0-9_-]{0,99}"
NAME_WORDS = "must be 1 to 100 letters, digits, hyphens and underscores, beginning with a letter or digit"


def _two_zones(*paths: str) -> Rule:
    """The subnets of a control plane lie in two zones at least, as far as they are this stack's own."""

    def rule(inputs: Inputs, known: Known) -> Iterator[str]:
        for path in paths:
            named = value_at(inputs, path)
            if not is_list(named) or UNKNOWN in named or not named:
                continue
            zones = {
                created.id: registration.inputs.get("availabilityZone") or created.outputs.get("availabilityZone")
                for registration, created in known.of(SUBNET)
                if created is not None
            }
            of_these = [zones.get(one, one) for one in named]
            if len(set(of_these)) < 2 and len(paths) == sum(1 for one in paths if not given(inputs, one)) + 1:
                yield wrong(path, "Subnets specified must be in at least two different AZs", named)

    return rule


def _cluster(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    settings = mapping(inputs.get("vpcConfig"))
    if settings.get("endpointPublicAccess") is False and not settings.get("endpointPrivateAccess"):
        yield wrong(
            "vpcConfig.endpointPrivateAccess",
            "Private and public endpoint access cannot be false",
            settings.get("endpointPrivateAccess"),
        )


def _node_group(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    if given(inputs, "launchTemplate"):
        for key in ("diskSize", "remoteAccess"):
            if given(inputs, key):
                yield wrong(key, f"{key[0].upper()}{key[1:]} cannot be specified with a launch template", inputs[key])
        template = inputs["launchTemplate"]
        if given(template, "id") and given(template, "name"):
            yield wrong("launchTemplate.name", "conflicts with launchTemplate.id", template["name"])
    if inputs.get("capacityType") == "CAPACITY_BLOCK" and given(inputs, "instanceTypes"):
        yield wrong("instanceTypes", "must stand in the launch template for CAPACITY_BLOCK", inputs["instanceTypes"])
    update = inputs.get("updateConfig")
    if is_object(update):
        both = [key for key in ("maxUnavailable", "maxUnavailablePercentage") if given(update, key)]
        if len(both) != 1:
            yield wrong("updateConfig", "must have exactly one of maxUnavailable and maxUnavailablePercentage", both)
    for index, taint in enumerate(inputs.get("taints") or []):
        if isinstance(key := taint.get("key"), str) and not re.fullmatch(
            r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", key
        ):
            yield wrong(f"taints[{index}].key", "must be a qualified name of Kubernetes", key)


def _component(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    mode = inputs.get("authenticationMode", "CONFIG_MAP")
    if given(inputs, "accessEntries") and mode == "CONFIG_MAP":
        yield wrong("accessEntries", "want authenticationMode API or API_AND_CONFIG_MAP", mode)
    if inputs.get("endpointPublicAccess") is False and not inputs.get("endpointPrivateAccess"):
        yield wrong(
            "endpointPrivateAccess",
            "Private and public endpoint access cannot be false",
            inputs.get("endpointPrivateAccess"),
        )
    if given(inputs, "publicAccessCidrs") and inputs.get("endpointPublicAccess") is False:
        yield wrong("publicAccessCidrs", "want endpointPublicAccess true", inputs["publicAccessCidrs"])
    if given(inputs, "subnetIds") and (given(inputs, "privateSubnetIds") or given(inputs, "publicSubnetIds")):
        yield wrong("subnetIds", "conflicts with privateSubnetIds and publicSubnetIds", inputs["subnetIds"])


LABEL = r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?"


def _labels(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    for key, value in mapping(inputs.get("labels")).items():
        if not re.fullmatch(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", key):
            yield wrong(f"labels.{key}", "must be a qualified name of Kubernetes", key)
        if isinstance(value, str) and value != UNKNOWN and not re.fullmatch(LABEL, value):
            yield wrong(f"labels.{key}", "must be a label's value of Kubernetes", value)


VERSION = one_of("version", *VERSIONS, words=f"unsupported Kubernetes version, must be one of {', '.join(VERSIONS)}")

CHECKS: Mapping[str, Checks] = {
    "aws:eks/cluster:Cluster": Checks(
        api=("eks", "CreateCluster"),
        rename={"vpcConfig": "resourcesVpcConfig"},
        values=(VERSION, one_of("enabledClusterLogTypes[]", *LOGS), _two_zones("vpcConfig.subnetIds"), _cluster),
        limits=(
            at_most("vpcConfig.securityGroupIds", 5, "security groups"),
            at_most("vpcConfig.publicAccessCidrs", 40, "address ranges"),
        ),
    ),
    "eks:index:Cluster": Checks(
        values=(
            VERSION,
            one_of("enabledClusterLogTypes[]", *LOGS),
            one_of("upgradePolicy.supportType", "STANDARD", "EXTENDED"),
            _two_zones("subnetIds", "privateSubnetIds", "publicSubnetIds"),
            _component,
        ),
        limits=(matching("name", NAME, NAME_WORDS), at_most("publicAccessCidrs", 40, "address ranges")),
    ),
    "aws:eks/nodeGroup:NodeGroup": Checks(
        api=("eks", "CreateNodegroup"),
        rename={"nodeRoleArn": "nodeRole", "subnetIds": "subnets"},
        values=(
            VERSION,
            conflicting("nodeGroupName", ("nodeGroupNamePrefix",)),
            within("diskSize", 1, 16_384),
            ordered(
                "scalingConfig.minSize",
                "scalingConfig.maxSize",
                "Minimum capacity must be less than or equal to maximum capacity ({limit})",
            ),
            ordered(
                "scalingConfig.minSize",
                "scalingConfig.desiredSize",
                "Minimum capacity must be less than or equal to desired capacity ({limit})",
            ),
            ordered(
                "scalingConfig.desiredSize",
                "scalingConfig.maxSize",
                "Desired capacity must be less than or equal to maximum capacity ({limit})",
            ),
            _node_group,
            _labels,
        ),
        limits=(
            matching(
                "nodeGroupName",
                r"[0-9A-Za-z][A-Za-z0-9_-]{0,62}",
                "must be 1 to 63 letters, digits, hyphens and underscores, beginning with a letter or digit",
            ),
            at_most("instanceTypes", 20, "instance types"),
            at_most("taints", 50, "taints"),
        ),
    ),
    "aws:eks/addon:Addon": Checks(
        api=("eks", "CreateAddon"),
        values=(
            one_of("resolveConflictsOnCreate", "NONE", "OVERWRITE"),
            one_of("resolveConflictsOnUpdate", "NONE", "OVERWRITE", "PRESERVE"),
        ),
    ),
    "aws:eks/accessEntry:AccessEntry": Checks(
        api=("eks", "CreateAccessEntry"),
        values=(
            one_of(
                "type", "STANDARD", "EC2", "EC2_LINUX", "EC2_WINDOWS", "FARGATE_LINUX", "HYBRID_LINUX", "HYPERPOD_LINUX"
            ),
        ),
    ),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": Checks(
        api=("eks", "AssociateAccessPolicy"),
        values=(
            matching(
                "policyArn",
                r"arn:[a-z-]+:eks::aws:cluster-access-policy/\w+",
                "must be the ARN of one of EKS's access policies",
            ),
        ),
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": Checks(api=("eks", "CreatePodIdentityAssociation")),
    "aws:autoscaling/tag:Tag": Checks(
        limits=(at_most("tag.key", 128, "characters"), at_most("tag.value", 256, "characters")),
    ),
    "pulumi:providers:kubernetes": Checks(documents={"kubeconfig": documents.kubeconfig}),
}
