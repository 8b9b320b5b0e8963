"""The control plane of the EKS cluster and the add-ons that EKS keeps on it.

It comes from `pulumi_eks.Cluster`, with its role, its access entries and the two add-ons that a node needs to join
(vpc-cni, kube-proxy); what that component cannot say stands beside it.
"""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import pulumi
import pulumi_eks
from pulumi_aws import eks, kms, vpc
from pydantic import Field, field_validator

from components import iam
from components.cluster.insights import ContainerInsights
from components.cluster.running import CLUSTER, INSIGHTS, Addon, RunningCluster
from components.deployed import Deployed
from components.network import Network
from components.schema import Like, Principal, Range, Settings

CONTROL_PLANE_LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")
LOG_RETENTION_DAYS = 90
KMS_DELETION_DAYS = 30
VOLUMES_SERVICE_ACCOUNT = "ebs-csi-controller-sa"
"""The service account of aws-ebs-csi-driver's controller."""
MOST_PUBLIC_RANGES = 40
"""Most address ranges of the public endpoint (EKS user guide, "Service quotas")."""

VERSION = "1.35"
STANDARD_SUPPORT_ENDS = {"1.34": "2026-12-02", VERSION: "2027-03-27", "1.36": "2027-08-02"}
"""Kubernetes version -> last day of its standard support on EKS (EKS user guide, "Kubernetes release calendar")."""

REACH_IT = (
    "name your own range under eks.publicAccessCidrs, deploy from inside the VPC, or leave that part out with"
    " --exclude, see docs/eks.md"
)
"""What whoever cannot reach the Kubernetes API can do."""

AddonVersion = Annotated[
    str,
    Like(
        r"^v[0-9]+\.[0-9]+\.[0-9]+-eksbuild\.[0-9]+$",
        "must be a version of an add-on, such as v1.13.2-eksbuild.1; `python -m tools.versions` says which there are",
    ),
]
"""A version as EKS calls it."""
ADDONS: tuple[Addon, ...] = ("coredns", "metrics-server", "aws-ebs-csi-driver", "eks-node-monitoring-agent")
"""Add-ons that need nodes; the others are those that nodes need, the control plane's, and Lustre's."""


class ControlPlaneSettings(Settings):
    """Settings of the control plane."""

    version: str = VERSION
    """Kubernetes version. EKS upgrades the cluster by itself when standard support of the version ends."""
    addon_versions: dict[str, dict[Addon, AddonVersion]] = Field(default_factory=dict[str, dict[Addon, str]])
    """Kubernetes version -> add-on -> its version, for clusters of that version.

    An add-on that is left out begins with AWS's default for the cluster's version, and keeps it until that version
    changes.
    """
    container_insights: bool = False
    """Whether Container Insights sends metrics of nodes and their GPUs to CloudWatch, and the logs of training's pods.

    AWS charges for each observation and for the logs, also of nodes without GPUs.
    """
    public_access_cidrs: Annotated[tuple[Range, ...], Field(max_length=MOST_PUBLIC_RANGES)] = ()
    """Public address ranges that may reach the Kubernetes API. Empty: only from inside the VPC."""
    admin_principal_arns: tuple[Principal, ...] = ()
    """IAM roles and users that administer the cluster. Whoever creates it is always one and must not be listed."""

    @field_validator("version")
    @classmethod
    def _is_supported(cls, version: str) -> str:
        if version not in STANDARD_SUPPORT_ENDS:
            known = ", ".join(f"{one} (to {day})" for one, day in STANDARD_SUPPORT_ENDS.items())
            raise ValueError(f"must be one in EKS's standard support: {known}")
        return version

    @field_validator("addon_versions")
    @classmethod
    def _are_of_supported_versions(
        cls, versions: dict[str, dict[Addon, AddonVersion]]
    ) -> dict[str, dict[Addon, AddonVersion]]:
        for version, addons in versions.items():
            if version not in STANDARD_SUPPORT_ENDS:
                known = ", ".join(f'"{one}"' for one in STANDARD_SUPPORT_ENDS)
                raise ValueError(f"must be by Kubernetes version, one of {known}")
            proxy = addons.get("kube-proxy")
            if proxy is not None and not proxy.startswith(f"v{version}."):
                raise ValueError(
                    f"must have for {version} a kube-proxy of that version, such as v{version}.0-eksbuild.1"
                )
        return versions

    @field_validator("public_access_cidrs")
    @classmethod
    def _are_public(cls, ranges: tuple[ipaddress.IPv4Network, ...]) -> tuple[ipaddress.IPv4Network, ...]:
        if any(one.prefixlen and one.is_private for one in ranges):
            raise ValueError("must be public ranges: private ones reach the private endpoint")
        return ranges

    @field_validator("admin_principal_arns")
    @classmethod
    def _are_different(cls, arns: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(arns)) < len(arns):
            raise ValueError("must name each principal once")
        return arns

    def notices(self, running: RunningCluster) -> Iterator[str]:
        """Warnings before a deployment of settings that are right."""
        if not running.name and not self.public_access_cidrs:
            yield (
                "eks.publicAccessCidrs: empty, so the Kubernetes API will answer inside the VPC only; from elsewhere"
                f" Helm releases fail when all the rest is made: {REACH_IT}"
            )
        if running.name and not running.answers():
            yield (
                f"eks: the Kubernetes API of {running.name} does not answer from this machine, so Helm releases and all"
                f" else that goes through it cannot be deployed from here: {REACH_IT}"
            )
        if self.version < VERSION:
            yield (
                f"eks.version: {self.version} leaves standard support on {STANDARD_SUPPORT_ENDS[self.version]}, when"
                f" EKS upgrades the cluster by itself; the default is {VERSION}"
            )
        if self.version > VERSION:
            yield f"eks.version: {self.version} is newer than {VERSION}, for which what is installed was chosen"


class ControlPlane(pulumi.ComponentResource):
    """The Kubernetes API and what a node needs to join it: network, identity, a way in."""

    cluster_name: pulumi.Output[str]
    """Name of the cluster."""
    arn: pulumi.Output[str]
    """ARN of the cluster."""
    kubeconfig: pulumi.Output[str]
    """A kubeconfig as JSON that authenticates by `aws eks get-token`."""
    security_group_id: pulumi.Output[str]
    """Id of the security group that EKS makes for the control plane and the nodes."""
    subnet_ids: Sequence[pulumi.Output[str]]
    """Private subnets of the zones in which it was made, which EKS never changes."""

    def __init__(
        self,
        name: str,
        settings: ControlPlaneSettings,
        *,
        account: iam.Account,
        deployed: Deployed,
        running: RunningCluster,
        network: Network,
        people: Mapping[str, Sequence[str]],
        protect: bool,
        opts: pulumi.ResourceOptions,
    ) -> None:
        """`people`: principals that do not administer the cluster -> their Kubernetes groups."""
        super().__init__("distributed-training:index:ControlPlane", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        key = kms.Key(
            name,
            description="Kubernetes secrets of the training cluster",
            enable_key_rotation=True,
            deletion_window_in_days=KMS_DELETION_DAYS,
            opts=pulumi.ResourceOptions(parent=self, protect=protect),
        )
        # EKS writes to the log group of the cluster's name, and makes one that keeps logs for ever where there is none:
        # so the name is chosen here, unique by the key's id, and the group is there first. Another name is another
        # cluster, so it stays when the key does not
        own_name = running.name or key.key_id.apply(lambda key_id: f"{name}-{key_id[:8]}")
        self.subnet_ids = network.private_subnets(running.zones or network.zones.names)
        log_group = account.logs.group(
            name,
            name=pulumi.Output.format("/aws/eks/{0}/cluster", own_name),
            days=LOG_RETENTION_DAYS,
            opts=child,
        )
        component = pulumi.create_urn(name, "eks:index:Cluster", parent=self)
        role = iam.ServiceRole(
            f"{name}-eksRole-role",
            account=account,
            service="eks.amazonaws.com",
            managed_policies=[account.managed_policy("AmazonEKSClusterPolicy")],
            formerly=(
                before := f"{name}-eksRole",
                pulumi.create_urn(before, "eks:index:ServiceRole", parent=component),
            ),
            opts=pulumi.ResourceOptions(
                parent=self, aliases=[pulumi.Alias(name=before, type_="eks:index:ServiceRole", parent=component)]
            ),
        )
        cluster = pulumi_eks.Cluster(
            name,
            service_role=role.role,
            name=own_name,
            version=settings.version,
            cluster_tags=deployed.tag(CLUSTER),
            vpc_id=network.vpc_id,
            private_subnet_ids=self.subnet_ids,
            endpoint_private_access=True,
            endpoint_public_access=bool(settings.public_access_cidrs),
            public_access_cidrs=[str(one) for one in settings.public_access_cidrs] or None,
            # the component also makes whoever creates the cluster its administrator, and cannot be told otherwise: an
            # entry for that principal would be its second one, which EKS refuses
            authentication_mode=pulumi_eks.AuthenticationMode.API,
            enabled_cluster_log_types=CONTROL_PLANE_LOGS,
            encryption_config_key_arn=key.arn,
            upgrade_policy={"support_type": "STANDARD"},
            deletion_protection=protect,
            # each is an add-on, and would be there twice
            bootstrap_self_managed_addons=False,
            # the component would take the newest version there is, which is another one every few weeks
            vpc_cni_options=pulumi_eks.VpcCniOptionsArgs(
                addon_version=_addon_version("vpc-cni", settings, running, self)
            ),
            kube_proxy_addon_options=pulumi_eks.KubeProxyAddonOptionsArgs(
                version=_addon_version("kube-proxy", settings, running, self)
            ),
            skip_default_node_group=True,
            skip_default_security_groups=True,
            create_instance_role=False,
            opts=pulumi.ResourceOptions(parent=self, protect=protect, depends_on=[log_group, role]),
        )
        _principals(self, name, cluster, settings, people, account)
        inner = cluster.eks_cluster
        self.cluster_name, self.arn, self.kubeconfig = inner.name, inner.arn, cluster.kubeconfig_json
        self.security_group_id = inner.vpc_config.cluster_security_group_id.apply(str)
        vpc.SecurityGroupIngressRule(
            name,
            security_group_id=self.security_group_id,
            # EKS lets in its nodes only, and the API's name is that of the private endpoint everywhere in the VPC
            description="Kubernetes API from the VPC",
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            cidr_ipv4=network.cidr,
            opts=child,
        )
        eks.Addon(
            f"{name}-eks-pod-identity-agent",
            cluster_name=self.cluster_name,
            addon_name="eks-pod-identity-agent",
            addon_version=_addon_version("eks-pod-identity-agent", settings, running, self),
            resolve_conflicts_on_update="PRESERVE",
            opts=child,
        )
        self.register_outputs({"clusterName": self.cluster_name})


class Addons(pulumi.ComponentResource):
    """EKS's add-ons that run on the system nodes."""

    dns: pulumi.Resource
    """CoreDNS, by which pods find AWS."""

    def __init__(
        self,
        name: str,
        settings: ControlPlaneSettings,
        *,
        running: RunningCluster,
        cluster_name: pulumi.Output[str],
        account: iam.Account,
        system: pulumi.Resource,
        lustre: bool,
        opts: pulumi.ResourceOptions,
    ) -> None:
        """`lustre`: whether pods are to mount a file system that is there, for which its driver needs no right."""
        super().__init__("distributed-training:index:Addons", name, {}, opts)
        volumes = iam.ServiceRole(
            f"{name}-volumes",
            account=account,
            service="pods.eks.amazonaws.com",
            service_account=("kube-system", VOLUMES_SERVICE_ACCOUNT),
            managed_policies=[account.managed_policy("AmazonEBSCSIDriverPolicyV2")],
            opts=pulumi.ResourceOptions(parent=self),
        )
        identity = eks.AddonPodIdentityAssociationArgs(role_arn=volumes.arn, service_account=VOLUMES_SERVICE_ACCOUNT)
        with_lustre: list[Addon] = ["aws-fsx-csi-driver"] if lustre else []
        addons = {
            addon: eks.Addon(
                f"{name}-{addon}",
                cluster_name=cluster_name,
                addon_name=addon,
                addon_version=_addon_version(addon, settings, running, self),
                pod_identity_associations=[identity] if addon == "aws-ebs-csi-driver" else None,
                resolve_conflicts_on_update="PRESERVE",
                # an add-on is healthy only once its pods have a node
                opts=pulumi.ResourceOptions(parent=self, depends_on=[system, volumes]),
            )
            for addon in (*ADDONS, *with_lustre)
        }
        self.dns = addons["coredns"]
        if settings.container_insights:
            ContainerInsights(
                f"{name}-insights",
                version=_addon_version(INSIGHTS, settings, running, self),
                cluster_name=cluster_name,
                account=account,
                after=system,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})


def _addon_version(
    addon: Addon, settings: ControlPlaneSettings, running: RunningCluster, parent: pulumi.Resource
) -> pulumi.Input[str]:
    """The version that the stack file names, or that the add-on has, or AWS's default for the Kubernetes version.

    AWS's default is another one every few months: a deployment that changes nothing must not bring it.
    """
    named = settings.addon_versions.get(settings.version, {}).get(addon)
    kept = running.addons.get(addon) if running.version == settings.version else None
    if (version := named or kept) is not None:
        return version
    return eks.get_addon_version_output(
        addon_name=addon, kubernetes_version=settings.version, opts=pulumi.InvokeOutputOptions(parent=parent)
    ).version


def _principals(
    parent: pulumi.Resource,
    name: str,
    cluster: pulumi_eks.Cluster,
    settings: ControlPlaneSettings,
    people: Mapping[str, Sequence[str]],
    account: iam.Account,
) -> None:
    """Let principals use the cluster, and some of them administer it.

    The component would protect their entries as it is itself, so that nobody could be taken out again. In release
    0.1.0 they are its own. A principal has one entry, which stays when it becomes an administrator or is one no more.
    """
    for principal_arn in dict.fromkeys((*settings.admin_principal_arns, *people)):
        # account and path: two accounts may have a role of one name
        entry_name = f"{name}-{'-'.join(principal_arn.split(':')[4:])}"
        entry = eks.AccessEntry(
            entry_name,
            cluster_name=cluster.eks_cluster.name,
            principal_arn=principal_arn,
            kubernetes_groups=people.get(principal_arn),
            opts=pulumi.ResourceOptions(parent=parent, aliases=[pulumi.Alias(parent=cluster)]),
        )
        if principal_arn in settings.admin_principal_arns:
            eks.AccessPolicyAssociation(
                f"{entry_name}-admin",
                cluster_name=cluster.eks_cluster.name,
                principal_arn=principal_arn,
                policy_arn=f"arn:{account.partition}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
                access_scope={"type": "cluster"},
                opts=pulumi.ResourceOptions(parent=entry, depends_on=[entry]),
            )
