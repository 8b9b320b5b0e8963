"""Amazon EKS: clusters, node groups, and what moto lacks around them, which is simulated."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from local.aws import Aws, hex_digits
from local.costs import Line, Priced
from local.edits import Edit, Effect, at
from local.parameters import call, complete, only
from local.properties import Property
from local.record import ResourceType, answers, tag_actions
from local.run import Created, Resource, State
from local.tags import Tagged

CLUSTER = "aws:eks/cluster:Cluster"
ROLE = "aws:iam/role:Role"
SUBNET = "aws:ec2/subnet:Subnet"
CONTROL_PLANE_ZONES = 2
MOST_INSTANCE_TYPES = 20
"""Limit of a node group (EKS API, `CreateNodegroup`)."""
LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")
NEEDS_OF_UPDATES = f"eks:DescribeCluster eks:DescribeUpdate {tag_actions('eks')}"


class Cluster(Tagged, token=CLUSTER):
    """A control plane, with the security group that EKS creates for it."""

    service = "eks"
    name = "name"
    takes = ("eks", "CreateCluster")
    rename = {"vpcConfig": "resourcesVpcConfig"}
    refers = {"encryptionConfig.provider.keyArn": "aws:kms/key:Key", "roleArn": ROLE, "vpcConfig.subnetIds": SUBNET}
    needs = (
        "ec2:DescribeSubnets eks:AssociateEncryptionConfig eks:CreateCluster eks:DeleteCluster eks:UpdateClusterConfig"
        " eks:UpdateClusterVersion iam:CreateServiceLinkedRole iam:GetRole iam:PassRole"
        # AWS asks these of the caller who names the key (EKS user guide, "Encrypt Kubernetes secrets with KMS")
        f" kms:CreateGrant kms:DescribeKey {NEEDS_OF_UPDATES}"
    )

    ended = Effect(
        work="stopped",
        what="all of Kubernetes is deleted with it: nodes, jobs, volumes",
        first="deploy when no job runs on it, and what is needed is in the bucket",
    )

    def work(self, edit: Edit) -> Iterator[Effect]:
        """An upgrade goes one minor version up at a time; subnets stay in the zones of the creation (user guide)."""
        yield from super().work(edit)
        if edit.touches("version"):
            before, after = (int(inputs["version"].rpartition(".")[2]) for inputs in (edit.before, edit.after))
            if after == before + 1:
                yield Effect(
                    work="nothing",
                    what="the API answers during the upgrade, and pods run on; its nodes follow after it",
                )
            else:
                yield Effect(
                    work="refused",
                    what="EKS upgrades one minor version at a time, and never goes back",
                    first=f"set {edit.before['version'].rpartition('.')[0]}.{before + 1}, or leave it as it is",
                )
        if edit.touches("vpcConfig.subnetIds"):
            yield Effect(
                work="refused",
                what="EKS takes other subnets only in the zones in which the control plane was created",
                first="leave the zones as they are, or deploy a second stack and move the work there",
            )

    def create(self, aws: Aws, new: Resource) -> Created:
        """Create the control plane, and the parts of its network that moto does not create."""
        inputs = complete(aws, new)
        network = _network(aws, inputs["name"], inputs["vpcConfig"])
        made = call(
            aws.client("eks"),
            "create_cluster",
            inputs,
            rename=self.rename,
            leave=("enabledClusterLogTypes",),
            logging=_logging(inputs),
        )["cluster"]
        return Created(
            id=inputs["name"],
            outputs=inputs
            | {key: made[key] for key in ("arn", "certificateAuthority", "endpoint", "platformVersion", "status")}
            | {
                "createdAt": made["createdAt"].isoformat(),
                "identities": [{"oidcs": [{"issuer": made["identity"]["oidc"]["issuer"]}]}],
                "vpcConfig": network | inputs["vpcConfig"],
            },
        )

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any]:
        """What EKS returns for it, with the logs that it keeps."""
        found = aws.client("eks").describe_cluster(name=there.id)["cluster"]
        kept = [one["types"] for one in found["logging"]["clusterLogging"] if one["enabled"]]
        return found | {"enabledClusterLogTypes": [type_ for types in kept for type_ in types]}

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Set its network access, logs, other settings and version."""
        eks = aws.client("eks")
        has, wanted = (_zones(aws, one.inputs["vpcConfig"]["subnetIds"]) for one in (there, new))
        if has != wanted:
            raise ValueError(
                f"vpcConfig.subnetIds: must be in the AZs of the creation, {_named(has)}, got {_named(wanted)}"
            )
        given = only(new.inputs, "deletionProtection", "name", "upgradePolicy", "vpcConfig")
        call(eks, "update_cluster_config", given, rename=self.rename, logging=_logging(new.inputs))
        if (version := new.inputs.get("version")) != there.inputs.get("version"):
            eks.update_cluster_version(name=there.id, version=version)
        return {}

    def delete(self, aws: Aws, there: State) -> None:
        """Delete it with its security group; EKS refuses while it has node groups, or is protected."""
        if there.inputs.get("deletionProtection"):
            raise ValueError("deletionProtection: must be false before the cluster is deleted, got true")
        aws.client("eks").delete_cluster(name=there.id)
        aws.client("ec2").delete_security_group(GroupId=there.outputs["vpcConfig"]["clusterSecurityGroupId"])

    def paid(self, one: Priced) -> Iterator[Line]:
        """A control plane costs per hour, whatever runs on it."""
        yield one.line("EKS control plane")


ROLLING = ("forceUpdateVersion", "launchTemplate", "releaseVersion", "version")
"""Inputs of a node group whose change replaces its nodes (EKS API, `UpdateNodegroupVersion`)."""
NUMBER_OF_NODES = "scalingConfig.desiredSize"
FIRST = "deploy when no job runs on the group, or make sure that its jobs write checkpoints and may be tried again"
AGAIN = "a job that may be tried again starts from its last checkpoint on a new one"


class NodeGroup(Tagged, token="aws:eks/nodeGroup:NodeGroup"):
    """A managed node group."""

    service = "eks"
    name = "nodeGroupName"
    takes = ("eks", "CreateNodegroup")
    rename = {"nodeRoleArn": "nodeRole", "subnetIds": "subnets"}
    refers = {
        "clusterName": CLUSTER,
        "launchTemplate.id": "aws:ec2/launchTemplate:LaunchTemplate",
        "nodeRoleArn": ROLE,
        "subnetIds": SUBNET,
    }
    needs = (
        "ec2:DescribeLaunchTemplateVersions ec2:DescribeSubnets eks:CreateNodegroup eks:DeleteNodegroup"
        " eks:DescribeNodegroup eks:UpdateNodegroupConfig eks:UpdateNodegroupVersion iam:CreateServiceLinkedRole"
        " iam:GetRole iam:ListAttachedRolePolicies iam:PassRole"
        # EKS tests the launch template with the permissions of its caller (EC2 user guide, "IAM permissions for launch
        # templates")
        f" ec2:RunInstances {NEEDS_OF_UPDATES}"
    )

    def work(self, edit: Edit) -> Iterator[Effect]:
        """Pods end with their node; on nodes without a taint only controllers run."""
        trains = bool((edit.before or edit.after).get("taints"))
        if edit.ends and trains:
            yield Effect(
                work="refused",
                what="is refused while one of its nodes runs; if none runs, nothing happens",
                first=FIRST,
            )
        elif edit.ends or edit.touches(*ROLLING):
            yield Effect(
                work="goes on" if trains else "nothing",
                what=f"its nodes are exchanged a few at a time, and the pods on them; {AGAIN}"
                if trains
                else "controllers move to other nodes, a few at a time",
                first=FIRST if trains else "",
            )
        if edit.touches("scalingConfig"):
            yield from _resized(edit)

    def refused(self, given: Property) -> Iterator[str]:
        """More instance types than EKS takes."""
        yield from given.at_most("instanceTypes", MOST_INSTANCE_TYPES, "instance types")

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, name="nodeGroupName")
        made = call(aws.client("eks"), "create_nodegroup", inputs, rename=self.rename)["nodegroup"]
        groups = [{"name": group["name"]} for group in made["resources"]["autoScalingGroups"]]
        return Created(
            id=f"{inputs['clusterName']}:{inputs['nodeGroupName']}",
            outputs=inputs
            | {
                "arn": made["nodegroupArn"],
                "resources": [{"autoscalingGroups": groups, "remoteAccessSecurityGroupId": ""}],
                "status": made["status"],
            },
        )

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any]:
        return aws.client("eks").describe_nodegroup(**_names(there))["nodegroup"]

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Set its version, the version of its launch template, its size, labels, taints and how it is updated.

        As in the provider, what did not change is not sent; a block with any change is sent whole.
        """
        eks = aws.client("eks")
        changed = {key for key in new.inputs if new.inputs[key] != there.inputs.get(key)}
        if changed & {"launchTemplate", "version"}:
            call(eks, "update_nodegroup_version", _names(there) | only(new.inputs, "launchTemplate", "version"))
        blocks = changed & {"nodeRepairConfig", "scalingConfig", "updateConfig"}
        labels, taints = new.inputs.get("labels", {}), new.inputs.get("taints", [])
        had_labels, had_taints = there.inputs.get("labels", {}), there.inputs.get("taints", [])
        if blocks or labels != had_labels or taints != had_taints:
            if "scalingConfig" in blocks:
                _sizes_fit(new.inputs["scalingConfig"])
            call(
                eks,
                "update_nodegroup_config",
                _names(there) | only(new.inputs, *blocks),
                labels={"addOrUpdateLabels": labels, "removeLabels": sorted(had_labels.keys() - labels.keys())},
                taints={"addOrUpdateTaints": taints, "removeTaints": [one for one in had_taints if one not in taints]},
            )
        return {}

    def delete(self, aws: Aws, there: State) -> None:
        """Delete it with its nodes."""
        aws.client("eks").delete_nodegroup(**_names(there))

    def paid(self, one: Priced) -> Iterator[Line]:
        """Its nodes."""
        sizes = one.resource.inputs["scalingConfig"]
        # a capacity block's instance type is in the launch template, and it is paid when it is bought
        types = one.resource.inputs.get("instanceTypes") or ["capacity block"]
        yield from one.instances(dict.fromkeys(types, (sizes["minSize"], sizes["maxSize"])))


class Addon(ResourceType, token="aws:eks/addon:Addon"):
    """An add-on; moto does not have the type."""

    simulated = True
    refers = {"clusterName": CLUSTER, "podIdentityAssociations[].roleArn": ROLE}
    needs = (
        "eks:CreateAddon eks:CreatePodIdentityAssociation eks:DeleteAddon eks:DeletePodIdentityAssociation"
        " eks:DescribeAddon eks:DescribePodIdentityAssociation eks:UpdateAddon eks:UpdatePodIdentityAssociation"
        f" iam:GetRole iam:PassRole {NEEDS_OF_UPDATES}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, name=None)
        cluster, name = _cluster(aws, inputs), inputs["addonName"]
        return Created(
            id=f"{cluster['name']}:{name}",
            outputs={"addonVersion": _addon_version(name, cluster["version"])}
            | inputs
            | _times()
            | {"arn": aws.arn("eks", f"addon/{cluster['name']}/{name}/{uuid4()}")},
        )

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Set the time of the update."""
        del aws, there, new
        return {"modifiedAt": _now()}

    def paid(self, one: Priced) -> Iterator[Line]:
        """Container Insights is paid by its observations; the others cost nothing."""
        if one.resource.inputs["addonName"] == "amazon-cloudwatch-observability":
            yield one.line("Container Insights, by observation")


class AccessEntry(ResourceType, token="aws:eks/accessEntry:AccessEntry"):
    """A principal that may use the Kubernetes API; moto does not have the type."""

    simulated = True
    refers = {"clusterName": CLUSTER}
    needs = (
        "eks:CreateAccessEntry eks:DeleteAccessEntry eks:DescribeAccessEntry eks:UpdateAccessEntry"
        f" {tag_actions('eks')}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, name=None)
        cluster, principal = _cluster(aws, inputs)["name"], inputs["principalArn"]
        kind, _, name = principal.rpartition(":")[2].partition("/")
        arn = aws.arn("eks", f"access-entry/{cluster}/{kind}/{aws.account_id}/{name}/{uuid4()}")
        defaults: dict[str, Any] = {"kubernetesGroups": [], "type": "STANDARD", "userName": principal}
        return Created(id=f"{cluster}:{principal}", outputs=defaults | inputs | _times() | {"accessEntryArn": arn})


class AccessPolicyAssociation(ResourceType, token="aws:eks/accessPolicyAssociation:AccessPolicyAssociation"):
    """What a principal may do in Kubernetes; moto does not have the type."""

    simulated = True
    refers = {"clusterName": CLUSTER}
    needs = "eks:AssociateAccessPolicy eks:DisassociateAccessPolicy eks:ListAssociatedAccessPolicies"

    def create(self, aws: Aws, new: Resource) -> Created:
        cluster, now = _cluster(aws, new.inputs)["name"], _now()
        return Created(
            id=f"{cluster}#{new.inputs['principalArn']}#{new.inputs['policyArn']}",
            outputs={"associatedAt": now, "modifiedAt": now},
        )


class PodIdentityAssociation(ResourceType, token="aws:eks/podIdentityAssociation:PodIdentityAssociation"):
    """The role of a Kubernetes service account; moto does not have the type."""

    simulated = True
    refers = {"clusterName": CLUSTER, "roleArn": ROLE}
    needs = (
        "eks:CreatePodIdentityAssociation eks:DeletePodIdentityAssociation eks:DescribePodIdentityAssociation"
        f" eks:UpdatePodIdentityAssociation iam:GetRole iam:PassRole {NEEDS_OF_UPDATES}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new, name=None)
        association_id = f"a-{hex_digits(17)}"
        arn = aws.arn("eks", f"podidentityassociation/{_cluster(aws, inputs)['name']}/{association_id}")
        return Created(id=association_id, outputs=inputs | {"associationArn": arn, "associationId": association_id})


@answers("aws:eks/getAddonVersion:getAddonVersion", needs="eks:DescribeAddonVersions")
def get_addon_version(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """An invented version of an add-on: moto knows none."""
    del aws
    name = inputs["addonName"]
    return {"id": name, "version": _addon_version(name, inputs["kubernetesVersion"])}


@answers("aws:eks/getClusters:getClusters", needs="eks:ListClusters")
def get_clusters(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Names of all clusters."""
    del inputs
    return {"id": aws.region, "names": aws.client("eks").list_clusters()["clusters"]}


@answers("aws:eks/getCluster:getCluster", needs="eks:DescribeCluster")
def get_cluster(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """A cluster's network. The endpoint is moto's address, so that a check whether the API can be reached succeeds."""
    found = aws.client("eks").describe_cluster(name=inputs["name"])["cluster"]
    network = found["resourcesVpcConfig"]
    return {
        "arn": found["arn"],
        "endpoint": aws.endpoint_url,
        "id": inputs["name"],
        "name": inputs["name"],
        "version": found["version"],
        "vpcConfig": {key: network[key] for key in ("subnetIds", "vpcId") if key in network},
    }


@answers("aws:eks/getAddon:getAddon", needs="eks:DescribeAddon")
def get_addon(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """An add-on of a cluster, at the version that is made up for it: moto has no add-ons."""
    name, cluster = inputs["addonName"], _cluster(aws, inputs)
    version = _addon_version(name, cluster["version"])
    return {
        "addonName": name,
        "addonVersion": version,
        "clusterName": cluster["name"],
        "id": f"{cluster['name']}:{name}",
    }


@answers("aws:eks/getNodeGroups:getNodeGroups", needs="eks:ListNodegroups")
def get_node_groups(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Names of the node groups of a cluster."""
    names = aws.client("eks").list_nodegroups(clusterName=inputs["clusterName"])["nodegroups"]
    return {"clusterName": inputs["clusterName"], "id": inputs["clusterName"], "names": names}


@answers("aws:eks/getNodeGroup:getNodeGroup", needs="eks:DescribeNodegroup")
def get_node_group(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """A node group, with the properties that the program uses."""
    names = {"clusterName": inputs["clusterName"], "nodegroupName": inputs["nodeGroupName"]}
    found = aws.client("eks").describe_nodegroup(**names)["nodegroup"]
    return {
        "arn": found["nodegroupArn"],
        "capacityType": found["capacityType"],
        "clusterName": inputs["clusterName"],
        "id": ":".join(names.values()),
        "instanceTypes": found["instanceTypes"],
        "labels": found["labels"],
        "launchTemplates": [found["launchTemplate"]] if "launchTemplate" in found else [],
        "nodeGroupName": inputs["nodeGroupName"],
        "scalingConfigs": [found["scalingConfig"]],
        "subnetIds": found["subnets"],
        "tags": found["tags"],
        "version": found["version"],
    }


def _addon_version(name: str, kubernetes_version: str) -> str:
    # kube-proxy has the version of the cluster, all other add-ons have versions of their own
    return f"v{kubernetes_version}.0-eksbuild.1" if name == "kube-proxy" else "v1.0.0-eksbuild.1"


def _cluster(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The cluster that these inputs name; it must exist."""
    return aws.client("eks").describe_cluster(name=inputs["clusterName"])["cluster"]


def _names(there: State) -> dict[str, str]:
    return {"clusterName": there.outputs["clusterName"], "nodegroupName": there.outputs["nodeGroupName"]}


def _sizes_fit(sizes: Mapping[str, Any]) -> None:
    """Raise what EKS says when it refuses these sizes."""
    smallest, wanted, largest = sizes["minSize"], sizes["desiredSize"], sizes["maxSize"]
    if smallest > wanted:
        raise ValueError(f"scalingConfig: Minimum capacity {smallest} can't be greater than desired size {wanted}")
    if wanted > largest:
        raise ValueError(f"scalingConfig: desired capacity {wanted} can't be greater than max size {largest}")


def _resized(edit: Edit) -> Iterator[Effect]:
    """EKS gets all three sizes when one changes; an ignored desired size has its value of the last deployment."""
    least, desired, most = (at(edit.after, f"scalingConfig.{key}Size") for key in ("min", "desired", "max"))
    if not isinstance(desired, int):
        return
    if not least <= desired <= most:
        yield Effect(
            work="refused",
            what=f"EKS refuses a minimum of {least} and a maximum of {most} with {desired} desired nodes",
            first="set the desired size of the group first (aws eks update-nodegroup-config)",
        )
    elif edit.after.get("taints") and NUMBER_OF_NODES in edit.ignored:
        yield Effect(
            work="stopped",
            what=f"the group is set to {desired} nodes again, and those beyond end with the pods on them",
            first="deploy when no job runs on the group",
        )


def _logging(inputs: Mapping[str, Any]) -> dict[str, Any]:
    on = inputs.get("enabledClusterLogTypes", [])
    lists = {True: on, False: [type_ for type_ in LOG_TYPES if type_ not in on]}
    return {"clusterLogging": [{"types": types, "enabled": enabled} for enabled, types in lists.items() if types]}


def _zones(aws: Aws, subnet_ids: list[str]) -> set[str]:
    subnets = aws.client("ec2").describe_subnets(SubnetIds=subnet_ids)["Subnets"]
    return {subnet["AvailabilityZone"] for subnet in subnets}


def _named(zones: set[str]) -> str:
    return ", ".join(sorted(zones))


def _network(aws: Aws, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The network of a cluster with what EKS adds to it, such as the security group of its nodes."""
    ec2 = aws.client("ec2")
    zones = _zones(aws, given["subnetIds"])
    if len(zones) < CONTROL_PLANE_ZONES:
        raise ValueError(f"vpcConfig.subnetIds: must be in at least two different AZs, got {_named(zones)}")
    vpc_id = ec2.describe_subnets(SubnetIds=given["subnetIds"])["Subnets"][0]["VpcId"]
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
    return {
        "clusterSecurityGroupId": group_id,
        "endpointPrivateAccess": False,
        "endpointPublicAccess": True,
        "publicAccessCidrs": ["0.0.0.0/0"],
        "vpcId": vpc_id,
    }


def _times() -> dict[str, str]:
    now = _now()
    return {"createdAt": now, "modifiedAt": now}


def _now() -> str:
    return datetime.now(UTC).isoformat()
