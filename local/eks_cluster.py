"""`pulumi_eks.Cluster`, a component whose plugin creates a family of resources that the program does not name.

It is expanded here for both drivers, each of which has its own way to register a resource. Only the inputs that this
project gives are accepted: no default node group, no security groups of the component's own, access by access entries
only.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from local.run import RefusedError
from local.wire import UNKNOWN, holds_unknown, reference

TOKEN = "eks:index:Cluster"  # noqa: S105
SERVICE_ROLE = "eks:index:ServiceRole"
"""The component in it that a role of its own is in."""
TAKEN = {
    "accessEntries",
    "authenticationMode",
    "bootstrapSelfManagedAddons",
    "clusterTags",
    "createInstanceRole",
    "deletionProtection",
    "enabledClusterLogTypes",
    "encryptionConfigKeyArn",
    "endpointPrivateAccess",
    "endpointPublicAccess",
    "kubeProxyAddonOptions",
    "name",
    "privateSubnetIds",
    "publicAccessCidrs",
    "serviceRole",
    "skipDefaultNodeGroup",
    "skipDefaultSecurityGroups",
    "upgradePolicy",
    "version",
    "vpcCniOptions",
    "vpcId",
}
"""Inputs of the component that are accepted here."""
ALWAYS = {
    "authenticationMode": "API",
    "createInstanceRole": False,
    "skipDefaultNodeGroup": True,
    "skipDefaultSecurityGroups": True,
}
"""Inputs that must have this value: what the component creates for another one is not known here."""
CNI_VALUES = json.dumps({"env": {"WARM_ENI_TARGET": "1"}})
"""Configuration that the component gives the VPC CNI."""
TOKEN_VERSION = "client.authentication.k8s.io/v1beta1"  # noqa: S105


@dataclass(frozen=True, kw_only=True)
class Component:
    """The component as the program describes it."""

    urn: str
    name: str
    inputs: Mapping[str, Any]
    made_of: Mapping[str, Iterable[str]] = field(default_factory=dict[str, Iterable[str]])
    """Input -> URNs of the resources that its value comes from."""

    def of(self, *inputs: str) -> set[str]:
        """URNs of the resources that the values of these inputs come from."""
        return {urn for one in inputs for urn in self.made_of.get(one, ())}


@dataclass(frozen=True, kw_only=True)
class Child:
    """A resource of the family as its driver registered it."""

    urn: str
    id: str
    outputs: Mapping[str, Any]

    def get(self, *path: str | int) -> Any:
        """A property; unknown when a preview does not have it."""
        value: Any = self.outputs
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return UNKNOWN
        return value


class Register(Protocol):
    """Registers a resource of the family."""

    def __call__(
        self,
        type_: str,
        name: str,
        inputs: Mapping[str, Any],
        made_of: Mapping[str, Iterable[str]],
        parent: str | None = None,
    ) -> Child:
        """Register it; `made_of` has, for each input, the URNs of the resources that its value comes from.

        Its parent is the component unless another is given.
        """
        ...


class Look(Protocol):
    """Finds a resource that the program registered."""

    def __call__(self, urn: str) -> Child:
        """The resource with this URN."""
        ...


def expand(component: Component, register: Register, look: Look, *, region: str, partition: str) -> dict[str, Any]:
    """Register the family; return the component's outputs.

    Inputs that the component passes on unchanged are checked with the resource that gets them.

    Raises:
        RefusedError: naming the inputs that are not accepted, a line each.

    """
    inputs = component.inputs
    mistakes = [f"{key}: the local AWS does not take this input" for key in sorted(inputs.keys() - TAKEN)]
    mistakes += [
        f"{key}: must be {json.dumps(value)} here, got {json.dumps(inputs.get(key))}"
        for key, value in ALWAYS.items()
        if inputs.get(key) != value
    ]
    if mistakes:
        raise RefusedError("\n".join(f"{component.urn}: {line}" for line in mistakes))

    def add(
        type_: str,
        name: str,
        inputs: Mapping[str, Any],
        made_of: Mapping[str, Iterable[str]],
        parent: str | None = None,
    ) -> Child:
        given = {key: value for key, value in inputs.items() if value is not None}
        made_of = {key: urns for key, urns in made_of.items() if key in given}
        return register(type_, f"{component.name}-{name}", given, made_of, parent)

    given_roles = component.of("serviceRole")
    role = look(given_roles.pop()) if given_roles else _service_role(add, partition)
    cluster = add(
        "aws:eks/cluster:Cluster",
        "eksCluster",
        _control_plane(component, role),
        {
            "encryptionConfig": component.of("encryptionConfigKeyArn"),
            "name": component.of("name"),
            "roleArn": {role.urn},
            "vpcConfig": component.of("privateSubnetIds"),
        },
    )
    in_cluster = {"clusterName": {cluster.urn}}
    name = cluster.get("name")
    addons = {
        "kube-proxy": inputs.get("kubeProxyAddonOptions", {}),
        "vpc-cni": {"configurationValues": CNI_VALUES, **inputs.get("vpcCniOptions", {})},
    }
    for addon, options in addons.items():
        add("aws:eks/addon:Addon", addon, _addon(addon, name, options), in_cluster)
    # the provider by which the component would create objects in the cluster
    add("pulumi:providers:kubernetes", "eks-k8s", {}, {})
    for entry_name, entry in inputs.get("accessEntries", {}).items():
        own = {"clusterName": name, **{key: value for key, value in entry.items() if key != "accessPolicies"}}
        made = add("aws:eks/accessEntry:AccessEntry", entry_name, own, in_cluster)
        for policy, association in entry.get("accessPolicies", {}).items():
            type_ = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
            given = {"clusterName": name, "principalArn": entry["principalArn"], **association}
            add(type_, f"{entry_name}-{policy}", given, in_cluster, made.urn)
    kubeconfig = _kubeconfig(region, cluster)
    issuer = cluster.get("identities", 0, "oidcs", 0, "issuer")
    # without groups of its own the component returns the one that EKS created
    group = cluster.get("vpcConfig", "clusterSecurityGroupId")
    return {
        "clusterSecurityGroupId": group,
        "eksCluster": reference(cluster.urn, cluster.id),
        "kubeconfig": kubeconfig,
        "kubeconfigJson": UNKNOWN if holds_unknown(kubeconfig) else json.dumps(kubeconfig),
        "nodeSecurityGroupId": group,
        "oidcIssuer": issuer.removeprefix("https://"),
        "oidcProviderUrl": issuer,
    }


def made_of(outputs: Mapping[str, Any]) -> dict[str, list[str]]:
    """Output of the component -> URNs of the resources that its value comes from."""
    return {key: [outputs["eksCluster"]["urn"]] for key in outputs}


def _service_role(add: Register, partition: str) -> Child:
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
    description = "Allows EKS to manage clusters on your behalf."
    family = add(SERVICE_ROLE, "eksRole", {}, {})
    role = add(
        "aws:iam/role:Role",
        "eksRole-role",
        {"assumeRolePolicy": json.dumps(trust), "description": description},
        {},
        family.urn,
    )
    policy = f"arn:{partition}:iam::aws:policy/AmazonEKSClusterPolicy"
    digest = hashlib.sha1(policy.encode(), usedforsecurity=False).hexdigest()[:8]
    add(
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        f"eksRole-{digest}",
        {"policyArn": policy, "role": role.id or UNKNOWN},
        {"role": {role.urn}},
        family.urn,
    )
    return role


def _control_plane(component: Component, role: Child) -> dict[str, Any]:
    inputs = component.inputs
    key = inputs.get("encryptionConfigKeyArn")
    as_given = ("deletionProtection", "enabledClusterLogTypes", "name", "upgradePolicy", "version")
    network = ("endpointPrivateAccess", "endpointPublicAccess", "publicAccessCidrs")
    return {
        **{one: inputs.get(one) for one in as_given},
        "accessConfig": {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": True},
        "bootstrapSelfManagedAddons": inputs.get("bootstrapSelfManagedAddons", True),
        "encryptionConfig": {"provider": {"keyArn": key}, "resources": ["secrets"]} if key else None,
        "roleArn": role.get("arn"),
        "tags": {"Name": f"{component.name}-eksCluster", **inputs.get("clusterTags", {})},
        "vpcConfig": {
            **{one: inputs[one] for one in network if one in inputs},
            "subnetIds": inputs["privateSubnetIds"],
        },
    }


def _addon(name: str, cluster_name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    given = {key: value for key, value in options.items() if key != "version"}
    return {
        "addonName": name,
        "addonVersion": options.get("version"),
        "clusterName": cluster_name,
        "preserve": True,
        "resolveConflictsOnCreate": "OVERWRITE",
        "resolveConflictsOnUpdate": "OVERWRITE",
        **given,
    }


def asked(kubeconfig: str) -> tuple[str, str]:
    """Region and name of the cluster that a kubeconfig connects to."""
    given = json.loads(kubeconfig)["users"][0]["user"]["exec"]["args"]
    return tuple(given[given.index(option) + 1] for option in ("--region", "--cluster-name"))


def _kubeconfig(region: str, cluster: Child) -> dict[str, Any]:
    """A kubeconfig that gets its token from the AWS CLI."""
    arguments = ["--region", region, "eks", "get-token", "--cluster-name", cluster.get("name"), "--output", "json"]
    environment = [{"name": "KUBERNETES_EXEC_INFO", "value": json.dumps({"apiVersion": TOKEN_VERSION})}]
    run = {"apiVersion": TOKEN_VERSION, "args": arguments, "command": "aws", "env": environment}
    server = {
        "server": cluster.get("endpoint"),
        "certificate-authority-data": cluster.get("certificateAuthority", "data"),
    }
    return {
        "apiVersion": "v1",
        "clusters": [{"cluster": server, "name": "kubernetes"}],
        "contexts": [{"context": {"cluster": "kubernetes", "user": "aws"}, "name": "aws"}],
        "current-context": "aws",
        "kind": "Config",
        "users": [{"name": "aws", "user": {"exec": run}}],
    }
