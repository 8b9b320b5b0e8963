"""Amazon EKS: clusters and node groups, and, simulated, what moto lacks around them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from local.aws import Aws, hex_digits
from local.parameters import call, complete
from local.record import ResourceType, answers, tag_actions
from local.run import Created, Resource

UPDATES_OF_EKS = f"eks:DescribeCluster eks:DescribeUpdate {tag_actions('eks')}"


class Cluster(ResourceType, token="aws:eks/cluster:Cluster"):
    """A control plane with the security group that EKS makes for it."""

    name = "name"
    needs = (
        "ec2:DescribeSubnets eks:AssociateEncryptionConfig eks:CreateCluster eks:DeleteCluster eks:UpdateClusterConfig"
        " eks:UpdateClusterVersion iam:CreateServiceLinkedRole iam:GetRole iam:PassRole"
        # asked of whoever names the key (EKS user guide, "Encrypt Kubernetes secrets with KMS")
        f" kms:CreateGrant kms:DescribeKey {UPDATES_OF_EKS}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        name = inputs["name"]
        types = inputs.get("enabledClusterLogTypes")
        made = call(
            aws.client("eks"),
            "create_cluster",
            inputs,
            rename={"vpcConfig": "resourcesVpcConfig"},
            leave=("enabledClusterLogTypes", "forceUpdateVersion"),
            logging={"clusterLogging": [{"types": types, "enabled": True}]} if types else None,
        )["cluster"]
        network = {"endpointPrivateAccess": False, "endpointPublicAccess": True, "publicAccessCidrs": ["0.0.0.0/0"]}
        return Created(
            id=name,
            outputs=inputs
            | {
                "arn": made["arn"],
                "certificateAuthority": {"data": made["certificateAuthority"]["data"]},
                "createdAt": made["createdAt"].isoformat(),
                "endpoint": made["endpoint"],
                "identities": [{"oidcs": [{"issuer": made["identity"]["oidc"]["issuer"]}]}],
                "platformVersion": made["platformVersion"],
                "status": made["status"],
                "version": made["version"],
                # moto leaves out what EKS adds here, the security group among it
                "vpcConfig": network | inputs["vpcConfig"] | _cluster_security_group(aws, name, inputs["vpcConfig"]),
            },
        )


class NodeGroup(ResourceType, token="aws:eks/nodeGroup:NodeGroup"):
    """A managed node group."""

    name = "nodeGroupName"
    needs = (
        "ec2:DescribeLaunchTemplateVersions ec2:DescribeSubnets eks:CreateNodegroup eks:DeleteNodegroup"
        " eks:DescribeNodegroup eks:UpdateNodegroupConfig eks:UpdateNodegroupVersion iam:CreateServiceLinkedRole"
        " iam:GetRole iam:ListAttachedRolePolicies iam:PassRole"
        # EKS tries the launch template in its caller's name (EC2 user guide, "IAM permissions for launch templates")
        f" ec2:RunInstances {UPDATES_OF_EKS}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        eks = aws.client("eks")
        inputs = complete(aws, new, name="nodeGroupName")
        # EKS takes the version of the cluster where none is given; moto takes a very old one
        version = {"version": eks.describe_cluster(name=inputs["clusterName"])["cluster"]["version"]}
        made = call(
            eks,
            "create_nodegroup",
            version | inputs,
            rename={
                "nodeRoleArn": "nodeRole",
                "subnetIds": "subnets",
                "remoteAccess.sourceSecurityGroupIds": "sourceSecurityGroups",
            },
            leave=("forceUpdateVersion",),
        )["nodegroup"]
        groups = [{"name": group["name"]} for group in made["resources"]["autoScalingGroups"]]
        return Created(
            id=f"{inputs['clusterName']}:{inputs['nodeGroupName']}",
            outputs=inputs
            | {
                "arn": made["nodegroupArn"],
                "resources": [{"autoscalingGroups": groups, "remoteAccessSecurityGroupId": ""}],
                "status": made["status"],
                "version": made["version"],
            },
        )


class Addon(ResourceType, token="aws:eks/addon:Addon"):
    """An add-on, which moto does not have."""

    simulated = True
    needs = (
        "eks:CreateAddon eks:CreatePodIdentityAssociation eks:DeleteAddon eks:DeletePodIdentityAssociation"
        " eks:DescribeAddon eks:DescribePodIdentityAssociation eks:UpdateAddon eks:UpdatePodIdentityAssociation"
        f" iam:GetRole iam:PassRole {UPDATES_OF_EKS}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, name=None)
        name, version = inputs["addonName"], _version(aws, inputs["clusterName"])
        return Created(
            id=f"{inputs['clusterName']}:{name}",
            outputs={"addonVersion": _addon_version(name, version)}
            | inputs
            | _times()
            | {"arn": aws.arn("eks", f"addon/{inputs['clusterName']}/{name}/{uuid4()}")},
        )


class AccessEntry(ResourceType, token="aws:eks/accessEntry:AccessEntry"):
    """A principal that may talk to the Kubernetes API, which moto does not have."""

    simulated = True
    needs = (
        "eks:CreateAccessEntry eks:DeleteAccessEntry eks:DescribeAccessEntry eks:UpdateAccessEntry"
        f" {tag_actions('eks')}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, name=None)
        defaults: dict[str, Any] = {"kubernetesGroups": [], "type": "STANDARD", "userName": inputs["principalArn"]}
        _version(aws, inputs["clusterName"])
        kind, _, principal = inputs["principalArn"].rpartition(":")[2].partition("/")
        path = f"access-entry/{inputs['clusterName']}/{kind}/{aws.account_id}/{principal}/{uuid4()}"
        return Created(
            id=f"{inputs['clusterName']}:{inputs['principalArn']}",
            outputs=defaults | inputs | _times() | {"accessEntryArn": aws.arn("eks", path)},
        )


class AccessPolicyAssociation(ResourceType, token="aws:eks/accessPolicyAssociation:AccessPolicyAssociation"):
    """What a principal may do in Kubernetes, which moto does not have."""

    simulated = True
    needs = "eks:AssociateAccessPolicy eks:DisassociateAccessPolicy eks:ListAssociatedAccessPolicies"

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = new.inputs
        _version(aws, inputs["clusterName"])
        now = _now()
        return Created(
            id=f"{inputs['clusterName']}#{inputs['principalArn']}#{inputs['policyArn']}",
            outputs={"associatedAt": now, "modifiedAt": now},
        )


class PodIdentityAssociation(ResourceType, token="aws:eks/podIdentityAssociation:PodIdentityAssociation"):
    """The role of a Kubernetes service account, which moto does not have."""

    simulated = True
    needs = (
        "eks:CreatePodIdentityAssociation eks:DeletePodIdentityAssociation eks:DescribePodIdentityAssociation"
        f" eks:UpdatePodIdentityAssociation iam:GetRole iam:PassRole {UPDATES_OF_EKS}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, name=None)
        _version(aws, inputs["clusterName"])
        association_id = f"a-{hex_digits(17)}"
        arn = aws.arn("eks", f"podidentityassociation/{inputs['clusterName']}/{association_id}")
        return Created(
            id=association_id,
            outputs=inputs | {"associationArn": arn, "associationId": association_id},
        )


@answers("aws:eks/getAddonVersion:getAddonVersion", needs="eks:DescribeAddonVersions")
def get_addon_version(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """A version of an add-on, made up: moto knows none."""
    del aws
    name = inputs["addonName"]
    return {"id": name, "version": _addon_version(name, inputs["kubernetesVersion"])}


def _addon_version(name: str, kubernetes_version: str) -> str:
    # kube-proxy has the version of the cluster, all others count for themselves
    return f"v{kubernetes_version}.0-eksbuild.1" if name == "kube-proxy" else "v1.0.0-eksbuild.1"


def _version(aws: Aws, name: str) -> str:
    """The Kubernetes version of a cluster, which has to exist."""
    return aws.client("eks").describe_cluster(name=name)["cluster"]["version"]


def _cluster_security_group(aws: Aws, name: str, network: Mapping[str, Any]) -> dict[str, Any]:
    ec2 = aws.client("ec2")
    vpc_id = ec2.describe_subnets(SubnetIds=network["subnetIds"])["Subnets"][0]["VpcId"]
    group_name = f"eks-cluster-sg-{name}-{int(hex_digits(8), 16)}"
    tags = [{"Key": "Name", "Value": group_name}, {"Key": f"kubernetes.io/cluster/{name}", "Value": "owned"}]
    group_id = ec2.create_security_group(
        GroupName=group_name,
        Description="EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, "
        "as well as any managed workloads.",
        VpcId=vpc_id,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
    )["GroupId"]
    within = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group_id}]}
    ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[within])
    return {"clusterSecurityGroupId": group_id, "vpcId": vpc_id}


def _times() -> dict[str, str]:
    now = _now()
    return {"createdAt": now, "modifiedAt": now}


def _now() -> str:
    return datetime.now(UTC).isoformat()
