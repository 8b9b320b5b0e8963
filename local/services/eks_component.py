"""`pulumi_eks.Cluster`, whose plugin makes a whole family of resources that the program does not name.

The default node group, auto mode, Fargate, storage classes and the mappings of the aws-auth config map are not taken.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from local.aws import CREATE, Aws, Child, Created, Resource, creates
from local.services._params import only, refuse_unknown
from local.services.kubernetes import provider_instance, simulate_any

ISSUER_THUMBPRINT = "9e99a48a9960b14926bb7f3b02e22da2b0ab7280"
"""Of the root certificate behind the issuers of EKS, which the real component fetches over the network."""

TAKEN = (
    "accessEntries",
    "authenticationMode",
    "bootstrapSelfManagedAddons",
    "clusterSecurityGroupTags",
    "clusterTags",
    "corednsAddonOptions",
    "createInstanceRole",
    "createOidcProvider",
    "deletionProtection",
    "enableConfigMapMutable",
    "enabledClusterLogTypes",
    "encryptionConfigKeyArn",
    "endpointPrivateAccess",
    "endpointPublicAccess",
    "ipFamily",
    "kubeProxyAddonOptions",
    "kubernetesServiceIpAddressRange",
    "name",
    "nodeSecurityGroupTags",
    "privateSubnetIds",
    "providerCredentialOpts",
    "proxy",
    "publicAccessCidrs",
    "publicSubnetIds",
    "serviceRole",
    "skipDefaultNodeGroup",
    "skipDefaultSecurityGroups",
    "subnetIds",
    "tags",
    "upgradePolicy",
    "useDefaultVpcCni",
    "version",
    "vpcCniOptions",
    "vpcId",
)
"""Inputs of the component that are taken here."""

VPC_CNI_OPTIONS = (
    "addonVersion",
    "configurationValues",
    "enableNetworkPolicy",
    "resolveConflictsOnCreate",
    "resolveConflictsOnUpdate",
    "serviceAccountRoleArn",
)
"""Options of the VPC CNI that are taken here, beside those in its environment."""

VPC_CNI_ENVIRONMENT = {
    "enablePodEni": "ENABLE_POD_ENI",
    "enablePrefixDelegation": "ENABLE_PREFIX_DELEGATION",
    "warmEniTarget": "WARM_ENI_TARGET",
    "warmIpTarget": "WARM_IP_TARGET",
    "warmPrefixTarget": "WARM_PREFIX_TARGET",
}
"""Options of the VPC CNI -> the environment variable of each."""


HTTPS: dict[str, Any] = {"fromPort": 443, "protocol": "tcp", "toPort": 443, "type": "ingress"}

INTERNET: dict[str, Any] = {
    "cidrBlocks": ["0.0.0.0/0"],
    "description": "Allow internet access.",
    "fromPort": 0,
    "protocol": "-1",
    "toPort": 0,
    "type": "egress",
}

NODE_RULES: dict[str, dict[str, Any]] = {
    "eksNodeIngressRule": {
        "description": "Allow nodes to communicate with each other",
        "fromPort": 0,
        "protocol": "-1",
        "self": True,
        "toPort": 0,
        "type": "ingress",
    },
    "eksNodeClusterIngressRule": {
        "description": "Allow worker Kubelets and pods to receive communication from the cluster control plane",
        "fromPort": 1025,
        "protocol": "tcp",
        "toPort": 65535,
        "type": "ingress",
    },
    "eksExtApiServerClusterIngressRule": HTTPS
    | {
        "description": "Allow pods running extension API servers on port 443 to receive communication from cluster "
        "control plane",
    },
}
"""What may reach the nodes: each other, and the control plane."""


class _Family:
    """The resources that the plugin makes, each through the handler of its own type."""

    def __init__(self, aws: Aws, component: Resource) -> None:
        self.aws = aws
        self.component = component
        self.children: list[Child] = []

    def add(self, kind: str, suffix: str, inputs: Mapping[str, Any], *, output: str | None = None) -> Created:
        name = f"{self.component.name}-{suffix}"
        given = {key: value for key, value in inputs.items() if value is not None}
        urn = f"{self.component.urn.rpartition('::')[0]}${kind}::{name}"
        resource = Resource(urn=urn, type=kind, name=name, inputs=given)
        create = CREATE.get(kind, provider_instance if kind.startswith("pulumi:providers:") else simulate_any)
        made = create(self.aws, resource)
        made = replace(made, outputs={**given, **made.outputs})
        self.children.append(Child(type=kind, name=name, created=made, output=output))
        return made


@creates("eks:index:Cluster")
def cluster(aws: Aws, resource: Resource) -> Created:
    """The component: service role, control plane, add-ons, access entries and a kubeconfig."""
    inputs = resource.inputs
    _check(inputs)
    family = _Family(aws, resource)
    security_group = None if inputs.get("skipDefaultSecurityGroups") else _security_group(family)
    control_plane = family.add(
        "aws:eks/cluster:Cluster",
        "eksCluster",
        _control_plane(resource, _service_role_arn(family), security_group),
        output="eksCluster",
    )
    _addons(family, control_plane.id)
    nodes = _node_security_group(family, security_group) if security_group else None
    outputs = control_plane.outputs
    kubeconfig = _kubeconfig(aws, outputs, inputs.get("providerCredentialOpts", {}))
    issuer = outputs["identities"][0]["oidcs"][0]["issuer"]
    own_group = outputs["vpcConfig"]["clusterSecurityGroupId"]
    oidc_provider = _oidc_provider(family, issuer) if inputs.get("createOidcProvider") else None
    return Created(
        id="",
        outputs={
            "autoModeNodeRoleName": "",
            "clusterIngressRuleId": nodes.outputs["clusterIngressRuleId"] if nodes else "",
            # without groups of its own the component hands out the one that EKS made
            "clusterSecurityGroupId": security_group or own_group,
            "defaultNodeGroupAsgName": "",
            "fargateProfileId": "",
            "fargateProfileStatus": "",
            "kubeconfig": kubeconfig,
            "kubeconfigJson": json.dumps(kubeconfig),
            "nodeSecurityGroupId": nodes.id if nodes else own_group,
            "oidcIssuer": issuer.removeprefix("https://"),
            "oidcProviderArn": oidc_provider.outputs["arn"] if oidc_provider else "",
            "oidcProviderUrl": issuer,
        },
        children=tuple(family.children),
    )


def _check(inputs: Mapping[str, Any]) -> None:
    """Refuse what is not taken here and what the plugin refuses."""
    refuse_unknown(inputs, TAKEN)
    if not inputs.get("skipDefaultNodeGroup") or inputs.get("createInstanceRole"):
        raise ValueError("skipDefaultNodeGroup: must be true, as the local AWS makes no default node group or its role")
    if "subnetIds" in inputs and only(inputs, "publicSubnetIds", "privateSubnetIds"):
        raise ValueError("subnetIds: excludes publicSubnetIds and privateSubnetIds")
    if "accessEntries" in inputs and inputs.get("authenticationMode", "CONFIG_MAP") == "CONFIG_MAP":
        raise ValueError("accessEntries: want the authenticationMode API or API_AND_CONFIG_MAP")
    if "publicAccessCidrs" in inputs and inputs.get("endpointPublicAccess") is False:
        raise ValueError("publicAccessCidrs: want endpointPublicAccess to be true")


def _control_plane(component: Resource, role_arn: str, security_group: str | None) -> dict[str, Any]:
    inputs = component.inputs
    mode, key = inputs.get("authenticationMode"), inputs.get("encryptionConfigKeyArn")
    family, cidr = inputs.get("ipFamily", "ipv4"), inputs.get("kubernetesServiceIpAddressRange")
    given = only(inputs, "deletionProtection", "enabledClusterLogTypes", "name", "upgradePolicy", "version")
    network = only(inputs, "endpointPrivateAccess", "endpointPublicAccess", "publicAccessCidrs")
    network["subnetIds"] = inputs.get(
        "subnetIds", [*inputs.get("publicSubnetIds", []), *inputs.get("privateSubnetIds", [])]
    )
    if security_group:
        network["securityGroupIds"] = [security_group]
    if "ipFamily" in inputs or cidr:
        given["kubernetesNetworkConfig"] = {"ipFamily": family} | (
            {"serviceIpv4Cidr": cidr} if family == "ipv4" and cidr else {}
        )
    return given | {
        "accessConfig": {"authenticationMode": mode, "bootstrapClusterCreatorAdminPermissions": True} if mode else None,
        "bootstrapSelfManagedAddons": inputs.get("bootstrapSelfManagedAddons", True),
        "encryptionConfig": {"provider": {"keyArn": key}, "resources": ["secrets"]} if key else None,
        "roleArn": role_arn,
        "tags": {"Name": f"{component.name}-eksCluster"} | inputs.get("clusterTags", {}) | inputs.get("tags", {}),
        "vpcConfig": network,
    }


def _service_role_arn(family: _Family) -> str:
    inputs = family.component.inputs
    if given := inputs.get("serviceRole"):
        # a resource arrives as its id, which is a role's name
        return family.aws.client("iam").get_role(RoleName=given)["Role"]["Arn"]
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Action": ["sts:AssumeRole", "sts:TagSession"],
                "Effect": "Allow",
                "Principal": {"Service": ["eks.amazonaws.com"]},
            }
        ],
    }
    role = family.add(
        "aws:iam/role:Role",
        "eksRole-role",
        {
            "assumeRolePolicy": json.dumps(trust),
            "description": "Allows EKS to manage clusters on your behalf.",
            "tags": inputs.get("tags"),
        },
    )
    policy = f"arn:{family.aws.partition}:iam::aws:policy/AmazonEKSClusterPolicy"
    digest = hashlib.sha1(policy.encode(), usedforsecurity=False).hexdigest()[:8]
    attachment = {"policyArn": policy, "role": role.id}
    family.add("aws:iam/rolePolicyAttachment:RolePolicyAttachment", f"eksRole-{digest}", attachment)
    return role.outputs["arn"]


def _addons(family: _Family, name: str) -> None:
    """The add-ons, the way into the cluster, and the provider with which the component would use it."""
    inputs = family.component.inputs
    mode = inputs.get("authenticationMode", "CONFIG_MAP")
    proxy, dns = inputs.get("kubeProxyAddonOptions", {}), inputs.get("corednsAddonOptions", {})
    if proxy.get("enabled", True):
        _addon(family, name, "kube-proxy", proxy)
    family.add("pulumi:providers:kubernetes", "eks-k8s", only(inputs, "enableConfigMapMutable"))
    if mode != "API":
        metadata = {"name": "aws-auth", "namespace": "kube-system"}
        family.add("kubernetes:core/v1:ConfigMap", "nodeAccess", {"metadata": metadata})
    if mode != "CONFIG_MAP":
        _access_entries(family, name)
    if not inputs.get("useDefaultVpcCni"):
        _addon(family, name, "vpc-cni", _vpc_cni(inputs.get("vpcCniOptions", {})))
    # without a default node group the component manages CoreDNS only when it is told to
    if dns.get("enabled") or dns.get("configurationValues"):
        _addon(family, name, "coredns", dns)


def _vpc_cni(given: Mapping[str, Any]) -> dict[str, Any]:
    refuse_unknown(given, (*VPC_CNI_OPTIONS, *VPC_CNI_ENVIRONMENT))
    environment = {"WARM_ENI_TARGET": "1"} | {
        VPC_CNI_ENVIRONMENT[key]: json.dumps(value) for key, value in only(given, *VPC_CNI_ENVIRONMENT).items()
    }
    policy = {"enableNetworkPolicy": "true"} if given.get("enableNetworkPolicy") else {}
    values = {"env": environment} | policy | given.get("configurationValues", {})
    return {**given, "configurationValues": values, "version": given.get("addonVersion")}


def _addon(family: _Family, cluster_name: str, name: str, options: Mapping[str, Any]) -> None:
    values = options.get("configurationValues")
    family.add(
        "aws:eks/addon:Addon",
        name,
        {
            "addonName": name,
            "addonVersion": options.get("version"),
            "clusterName": cluster_name,
            "configurationValues": json.dumps(values) if values else None,
            "preserve": True,
            "resolveConflictsOnCreate": options.get("resolveConflictsOnCreate", "OVERWRITE"),
            "resolveConflictsOnUpdate": options.get("resolveConflictsOnUpdate", "OVERWRITE"),
            "serviceAccountRoleArn": options.get("serviceAccountRoleArn"),
            "tags": family.component.inputs.get("tags"),
        },
    )


def _access_entries(family: _Family, cluster_name: str) -> None:
    for name, entry in family.component.inputs.get("accessEntries", {}).items():
        principal = {"clusterName": cluster_name, "principalArn": entry["principalArn"]}
        family.add(
            "aws:eks/accessEntry:AccessEntry",
            name,
            only(entry, "kubernetesGroups", "tags", "type") | principal | {"userName": entry.get("username")},
        )
        for policy, association in entry.get("accessPolicies", {}).items():
            kind = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
            family.add(kind, f"{name}-{policy}", association | principal)


def _security_group(family: _Family) -> str:
    inputs = family.component.inputs
    name = {"Name": f"{family.component.name}-eksClusterSecurityGroup"}
    group = family.add(
        "aws:ec2/securityGroup:SecurityGroup",
        "eksClusterSecurityGroup",
        {
            "revokeRulesOnDelete": True,
            "tags": name | inputs.get("clusterSecurityGroupTags", {}) | inputs.get("tags", {}),
            "vpcId": inputs["vpcId"],
        },
        output="clusterSecurityGroup",
    )
    _rule(family, "eksClusterInternetEgressRule", group.id, INTERNET)
    return group.id


def _node_security_group(family: _Family, cluster_group: str) -> Created:
    """The group for nodes of the program's own, with the rules between it and the control plane."""
    inputs = family.component.inputs
    name = {"Name": f"{family.component.name}-nodeSecurityGroup"}
    group = family.add(
        "aws:ec2/securityGroup:SecurityGroup",
        "nodeSecurityGroup",
        {
            "revokeRulesOnDelete": True,
            "tags": name | inputs.get("nodeSecurityGroupTags", {}) | inputs.get("tags", {}),
            "vpcId": inputs["vpcId"],
        },
        output="nodeSecurityGroup",
    )
    for suffix, rule in NODE_RULES.items():
        source = {} if rule.get("self") else {"sourceSecurityGroupId": cluster_group}
        _rule(family, suffix, group.id, rule | source)
    _rule(family, "eksNodeInternetEgressRule", group.id, INTERNET)
    rule = HTTPS | {
        "description": "Allow pods to communicate with the cluster API Server",
        "sourceSecurityGroupId": group.id,
    }
    inward = _rule(family, "eksClusterIngressRule", cluster_group, rule, output="eksClusterIngressRule")
    return replace(group, outputs={**group.outputs, "clusterIngressRuleId": inward.outputs["securityGroupRuleId"]})


def _rule(
    family: _Family, suffix: str, group_id: str, rule: Mapping[str, Any], *, output: str | None = None
) -> Created:
    given = {"securityGroupId": group_id, **rule}
    return family.add("aws:ec2/securityGroupRule:SecurityGroupRule", suffix, given, output=output)


def _oidc_provider(family: _Family, issuer: str) -> Created:
    return family.add(
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
        "oidcProvider",
        {"clientIdLists": ["sts.amazonaws.com"], "thumbprintLists": [ISSUER_THUMBPRINT], "url": issuer},
    )


def _kubeconfig(aws: Aws, cluster: Mapping[str, Any], credentials: Mapping[str, Any]) -> dict[str, Any]:
    """A kubeconfig that asks the AWS CLI for a token, with the role but not the profile of the program."""
    arguments = ["--region", aws.region, "eks", "get-token", "--cluster-name", cluster["name"], "--output", "json"]
    if role_arn := credentials.get("roleArn"):
        arguments += ["--role", role_arn]
    version = "client.authentication.k8s.io/v1beta1"
    return {
        "apiVersion": "v1",
        "clusters": [
            {
                "cluster": {
                    "server": cluster["endpoint"],
                    "certificate-authority-data": cluster["certificateAuthority"]["data"],
                },
                "name": "kubernetes",
            }
        ],
        "contexts": [{"context": {"cluster": "kubernetes", "user": "aws"}, "name": "aws"}],
        "current-context": "aws",
        "kind": "Config",
        "users": [
            {
                "name": "aws",
                "user": {
                    "exec": {
                        "apiVersion": version,
                        "args": arguments,
                        "command": "aws",
                        "env": [{"name": "KUBERNETES_EXEC_INFO", "value": json.dumps({"apiVersion": version})}],
                    }
                },
            }
        ],
    }
