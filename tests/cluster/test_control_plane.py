"""The control plane and its add-ons: who reaches it, who administers it, what it waits for."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from local.run import Run
from tests.cluster.support import (
    ACCESS_ENTRY,
    ACCESS_POLICY,
    ADDON,
    CLUSTER,
    NODE_GROUP,
    RELEASE,
    needs,
    outputs,
    types,
)
from tests.conftest import ROOT, RunStack
from tests.support import all_of, one_of


def test_the_control_plane_is_private_encrypted_logged_and_in_standard_support(deployed: Run) -> None:
    cluster = one_of(deployed, CLUSTER, "training")
    key = all_of(deployed, "aws:kms/key:Key")["training"]
    assert {
        name: value
        for name, value in cluster.inputs.items()
        if name not in {"kubeProxyAddonOptions", "name", "serviceRole", "vpcCniOptions", "vpcId"}
    } == {
        "version": "1.35",
        "privateSubnetIds": deployed.exports["private_subnet_ids"],
        "endpointPrivateAccess": True,
        "endpointPublicAccess": False,
        "authenticationMode": "API",
        "enabledClusterLogTypes": ["api", "audit", "authenticator", "controllerManager", "scheduler"],
        "encryptionConfigKeyArn": deployed.created[key.urn].outputs["arn"],
        "upgradePolicy": {"supportType": "STANDARD"},
        "deletionProtection": False,
        "bootstrapSelfManagedAddons": False,
        "skipDefaultNodeGroup": True,
        "skipDefaultSecurityGroups": True,
        "clusterTags": {"distributed-training:part": "test/eks"},
        "createInstanceRole": False,
    }
    assert key.inputs["enableKeyRotation"] is True


def test_the_api_is_public_only_to_the_ranges_that_are_named(plain: Run) -> None:
    inputs = one_of(plain, CLUSTER, "training").inputs
    assert (inputs["endpointPublicAccess"], inputs["publicAccessCidrs"]) == (True, ["52.94.76.0/24"])
    assert inputs["endpointPrivateAccess"] is True


def test_the_api_answers_the_whole_vpc(deployed: Run) -> None:
    rule = one_of(deployed, "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "training").inputs
    (control_plane,) = all_of(deployed, "aws:eks/cluster:Cluster").values()
    group = deployed.created[control_plane.urn].outputs["vpcConfig"]["clusterSecurityGroupId"]
    assert (rule["securityGroupId"], rule["cidrIpv4"]) == (group, "10.0.0.0/16")
    assert (rule["ipProtocol"], rule["fromPort"], rule["toPort"]) == ("tcp", 443, 443)


def test_named_principals_administer_the_cluster(deployed: Run) -> None:
    policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
    names = ("role/team/admin", "user/eve")
    assert {name: one.inputs["principalArn"] for name, one in all_of(deployed, ACCESS_ENTRY).items()} == {
        f"training-111122223333-{name}": f"arn:aws:iam::111122223333:{name}" for name in names
    }
    for name in names:
        granted = one_of(deployed, ACCESS_POLICY, f"training-111122223333-{name}-admin")
        assert granted.inputs == {
            "clusterName": deployed.exports["eks_cluster_name"],
            "principalArn": f"arn:aws:iam::111122223333:{name}",
            "policyArn": policy,
            "accessScope": {"type": "cluster"},
        }
        # an entry that does not exist takes no policy
        assert one_of(deployed, ACCESS_ENTRY, f"training-111122223333-{name}").urn in granted.dependencies


def test_control_plane_logs_go_to_a_group_that_forgets(deployed: Run) -> None:
    log_group = one_of(deployed, "aws:cloudwatch/logGroup:LogGroup", "training")
    assert log_group.inputs["name"] == f"/aws/eks/{deployed.exports['eks_cluster_name']}/cluster"
    assert log_group.inputs["retentionInDays"] == 90
    # EKS would make it first otherwise
    assert log_group.urn in one_of(deployed, CLUSTER, "training").dependencies


def test_two_stacks_in_an_account_have_clusters_of_different_names(run_sections: RunStack, deployed: Run) -> None:
    other = run_sections({"eks": {}}, preview=False)
    assert re.fullmatch(r"training-[0-9a-f]{8}", other.exports["eks_cluster_name"])
    assert other.exports["eks_cluster_name"] != deployed.exports["eks_cluster_name"]


def test_every_add_on_is_there_once_at_the_version_that_aws_names(deployed: Run) -> None:
    addons = [outputs(deployed, one) for one in deployed.registrations.values() if one.type == ADDON]
    assert sorted((one["addonName"], one["addonVersion"]) for one in addons) == [
        ("aws-ebs-csi-driver", "v1.0.0-eksbuild.1"),
        ("coredns", "v1.0.0-eksbuild.1"),
        ("eks-node-monitoring-agent", "v1.0.0-eksbuild.1"),
        ("eks-pod-identity-agent", "v1.0.0-eksbuild.1"),
        ("kube-proxy", "v1.35.0-eksbuild.1"),
        ("metrics-server", "v1.0.0-eksbuild.1"),
        ("vpc-cni", "v1.0.0-eksbuild.1"),
    ]


def test_the_volume_driver_has_a_role_of_its_own(deployed: Run) -> None:
    (association,) = one_of(deployed, ADDON, "training-aws-ebs-csi-driver").inputs["podIdentityAssociations"]
    role = one_of(deployed, "aws:iam/role:Role", "training-volumes")
    assert association == {
        "serviceAccount": "ebs-csi-controller-sa",
        "roleArn": deployed.created[role.urn].outputs["arn"],
    }


def test_the_control_plane_waits_for_its_subnets_and_no_more_of_the_network(deployed: Run) -> None:
    assert types(needs(deployed, one_of(deployed, CLUSTER, "training"))) == {
        "aws:ec2/vpc:Vpc",
        "aws:ec2/subnet:Subnet",
        "aws:kms/key:Key",
        "aws:cloudwatch/logGroup:LogGroup",
        "aws:iam/role:Role",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    }


def test_protect_guards_the_cluster_and_the_key_of_its_secrets(run_sections: RunStack) -> None:
    run = run_sections({"eks": {"publicAccessCidrs": ["52.94.76.0/24"]}, "protect": True})
    cluster = one_of(run, CLUSTER, "training")
    assert cluster.protect
    assert cluster.inputs["deletionProtection"] is True
    assert one_of(run, "aws:kms/key:Key", "training").protect
    assert not one_of(run, NODE_GROUP, "training-gpu").protect


def notices(run: Run) -> list[str]:
    return [message for message in run.messages if message.startswith("eks.")]


def test_a_preview_says_what_a_private_cluster_asks_of_the_deployer(run_sections: RunStack, plain: Run) -> None:
    (notice,) = notices(run_sections({"eks": {}}))
    assert notice.startswith("eks.publicAccessCidrs: empty, so the Kubernetes API will answer inside the VPC only; ")
    assert notice.endswith("leave that part out with --exclude, see docs/eks.md")
    assert (ROOT / "docs" / "eks.md").is_file()
    assert notices(plain) == []


@pytest.mark.parametrize(
    ("version", "notice"),
    [
        ("1.34", "leaves standard support on 2026-12-02, when EKS upgrades the cluster by itself; the default is 1.35"),
        ("1.36", "is newer than 1.35, for which what is installed was chosen"),
    ],
)
def test_a_preview_warns_of_versions_beside_the_default(version: str, notice: str, run_sections: RunStack) -> None:
    run = run_sections({"eks": {"version": version, "publicAccessCidrs": ["52.94.76.0/24"]}})
    assert notices(run) == [f"eks.version: {version} {notice}"]
    values = one_of(run, RELEASE, "training-cluster-autoscaler").inputs["values"]
    assert values["image"]["tag"].startswith(f"v{version}.")


def test_an_add_on_has_the_version_that_the_stack_file_names_for_the_clusters(run_sections: RunStack) -> None:
    pinned = {
        "1.35": {"coredns": "v1.13.2-eksbuild.1", "vpc-cni": "v1.21.1-eksbuild.3"},
        "1.36": {"coredns": "v2.0.0-eksbuild.1"},
    }
    run = run_sections({"eks": {"addonVersions": pinned}}, preview=False)
    addons = {
        one["addonName"]: one["addonVersion"]
        for one in (outputs(run, each) for each in run.registrations.values() if each.type == ADDON)
    }
    assert addons["coredns"] == "v1.13.2-eksbuild.1"
    assert addons["vpc-cni"] == "v1.21.1-eksbuild.3"
    # as AWS has it by default
    assert addons["kube-proxy"] == "v1.35.0-eksbuild.1"


@pytest.mark.parametrize(
    ("versions", "line"),
    [
        ({"1.2": {}}, 'must be by Kubernetes version, one of "1.34", "1.35", "1.36", got {\'1.2\': {}}'),
        (
            {"1.35": {"kube-proxy": "v1.34.0-eksbuild.1"}},
            (
                "must have for 1.35 a kube-proxy of that version, such as v1.35.0-eksbuild.1, got"
                " {'1.35': {'kube-proxy': 'v1.34.0-eksbuild.1'}}"
            ),
        ),
    ],
)
def test_versions_of_add_ons_that_cannot_be_are_refused(
    versions: dict[str, Any], line: str, mistakes_in: Callable[[dict[str, Any]], list[str]]
) -> None:
    assert mistakes_in({"eks": {"addonVersions": versions}}) == [f"eks.addonVersions: {line}"]


def test_a_version_that_eks_would_not_know_is_refused(mistakes_in: Callable[[dict[str, Any]], list[str]]) -> None:
    (line,) = mistakes_in({"eks": {"addonVersions": {"1.35": {"coredns": "1.13.2"}}}})
    assert line.startswith("eks.addonVersions.1.35.coredns: must be a version of an add-on, such as v1.13.2-eksbuild.1")
