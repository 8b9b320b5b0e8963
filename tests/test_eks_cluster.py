"""The family that pulumi-eks makes of one component, and what of the component is not taken here."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from local.eks_cluster import Child, Component, expand
from local.run import RefusedError
from local.wire import UNKNOWN

ADMIN = "arn:aws:iam::123456789012:role/admin"
INPUTS: dict[str, Any] = {
    "name": "training-1",
    "version": "1.35",
    "vpcId": "vpc-1",
    "privateSubnetIds": ["subnet-1", "subnet-2"],
    "authenticationMode": "API",
    "createInstanceRole": False,
    "skipDefaultNodeGroup": True,
    "skipDefaultSecurityGroups": True,
    "accessEntries": {
        "admin": {
            "principalArn": ADMIN,
            "kubernetesGroups": ["admins"],
            "accessPolicies": {"all": {"policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSAdminPolicy"}},
        }
    },
    "kubeProxyAddonOptions": {"version": "v1.35.0-eksbuild.1"},
    "vpcCniOptions": {"addonVersion": "v1.0.0-eksbuild.1", "resolveConflictsOnUpdate": "PRESERVE"},
}
CLUSTER_OUTPUTS = {
    "name": "training-1",
    "endpoint": "https://it",
    "certificateAuthority": {"data": "QUFB"},
    "identities": [{"oidcs": [{"issuer": "https://oidc/it"}]}],
    "vpcConfig": {"clusterSecurityGroupId": "sg-1"},
}


class Family:
    """What was registered: type and name -> inputs."""

    def __init__(self, *, preview: bool = False) -> None:
        self.preview = preview
        self.inputs: dict[tuple[str, str], Mapping[str, Any]] = {}
        self.made_of: dict[tuple[str, str], Mapping[str, Iterable[str]]] = {}
        self.parents: dict[str, str | None] = {}

    def __call__(
        self,
        type_: str,
        name: str,
        inputs: Mapping[str, Any],
        made_of: Mapping[str, Iterable[str]],
        parent: str | None = None,
    ) -> Child:
        one = (type_.rpartition(":")[2], name)
        self.inputs[one], self.made_of[one], self.parents[name] = inputs, made_of, parent
        computed: Mapping[str, Any] = {"Role": {"arn": "arn:it"}, "Cluster": CLUSTER_OUTPUTS}.get(one[0], {})
        outputs = inputs if self.preview else {**inputs, **computed}
        return Child(urn=f"urn:{name}", id="" if self.preview else name, outputs=outputs)

    def made(self, **changes: Any) -> dict[str, Any]:
        """The outputs of a component with other inputs."""
        made_of = {"privateSubnetIds": ["urn:subnet"], "name": ["urn:key"]}
        made_of |= {"serviceRole": ["urn:own-role"]} if "serviceRole" in changes else {}
        component = Component(urn="urn:it", name="training", inputs={**INPUTS, **changes}, made_of=made_of)
        return expand(component, self, self.look, region="us-west-2", partition="aws")

    @staticmethod
    def look(urn: str) -> Child:
        return Child(urn=urn, id=urn, outputs={"arn": f"arn:{urn}"})


def test_the_family_is_a_role_a_control_plane_two_add_ons_a_provider_and_the_entries() -> None:
    family = Family()
    family.made()
    assert list(family.inputs) == [
        ("ServiceRole", "training-eksRole"),
        ("Role", "training-eksRole-role"),
        ("RolePolicyAttachment", "training-eksRole-4b490823"),
        ("Cluster", "training-eksCluster"),
        ("Addon", "training-kube-proxy"),
        ("Addon", "training-vpc-cni"),
        ("kubernetes", "training-eks-k8s"),
        ("AccessEntry", "training-admin"),
        ("AccessPolicyAssociation", "training-admin-all"),
    ]
    assert {name: urn for name, urn in family.parents.items() if urn} == {
        "training-eksRole-role": "urn:training-eksRole",
        "training-eksRole-4b490823": "urn:training-eksRole",
        "training-admin-all": "urn:training-admin",
    }


def test_what_the_component_is_given_reaches_its_parts() -> None:
    family = Family()
    family.made()
    cluster = family.inputs["Cluster", "training-eksCluster"]
    assert (cluster["version"], cluster["vpcConfig"]) == ("1.35", {"subnetIds": ["subnet-1", "subnet-2"]})
    assert cluster["accessConfig"]["authenticationMode"] == "API"
    assert family.made_of["Cluster", "training-eksCluster"] == {
        "name": {"urn:key"},
        "roleArn": {"urn:training-eksRole-role"},
        "vpcConfig": {"urn:subnet"},
    }
    assert family.inputs["AccessEntry", "training-admin"] == {
        "clusterName": "training-1",
        "principalArn": ADMIN,
        "kubernetesGroups": ["admins"],
    }
    assert family.inputs["Addon", "training-vpc-cni"] == {
        "addonName": "vpc-cni",
        "addonVersion": "v1.0.0-eksbuild.1",
        "clusterName": "training-1",
        "configurationValues": json.dumps({"env": {"WARM_ENI_TARGET": "1"}}),
        "preserve": True,
        "resolveConflictsOnCreate": "OVERWRITE",
        "resolveConflictsOnUpdate": "PRESERVE",
    }
    assert family.inputs["Addon", "training-kube-proxy"]["addonVersion"] == "v1.35.0-eksbuild.1"


def test_a_role_that_the_program_gives_is_taken_and_no_other_is_made() -> None:
    family = Family()
    family.made(serviceRole="own-role")
    assert family.inputs["Cluster", "training-eksCluster"]["roleArn"] == "arn:urn:own-role"
    assert family.made_of["Cluster", "training-eksCluster"]["roleArn"] == {"urn:own-role"}
    assert not {type_ for type_, _ in family.inputs} & {"ServiceRole", "Role", "RolePolicyAttachment"}


def test_the_component_hands_out_the_group_that_eks_made_and_a_kubeconfig() -> None:
    outputs = Family().made()
    assert outputs["nodeSecurityGroupId"] == outputs["clusterSecurityGroupId"] == "sg-1"
    assert outputs["oidcIssuer"] == "oidc/it"
    assert json.loads(outputs["kubeconfigJson"])["clusters"][0]["cluster"]["server"] == "https://it"


def test_what_a_preview_does_not_know_is_unknown_in_the_outputs() -> None:
    outputs = Family(preview=True).made(name=UNKNOWN)
    for key in ("clusterSecurityGroupId", "kubeconfigJson", "nodeSecurityGroupId", "oidcIssuer", "oidcProviderUrl"):
        assert outputs[key] == UNKNOWN, key


def test_inputs_that_are_not_taken_are_refused_a_line_each() -> None:
    with pytest.raises(RefusedError) as refused:
        Family().made(fargate=True, skipDefaultNodeGroup=False)
    assert str(refused.value).splitlines() == [
        "urn:it: fargate: the local AWS does not take this input",
        "urn:it: skipDefaultNodeGroup: must be true here, got false",
    ]
