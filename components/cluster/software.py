"""The software on the EKS cluster, at pinned versions, and the identity of training jobs.

Device plugins offer accelerators and EFA to pods, Cluster Autoscaler turns a waiting pod into a node; Kueue and
Kubeflow Trainer are there when the stack file asks for them. All of it but the roles goes through the Kubernetes API.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import iam
from components.artifacts import LEAST_LUSTRE_GIB, Lustre
from components.cluster import kueue
from components.cluster.charts import AUTOSCALER_IMAGES, CHARTS, PUBLIC_EFA_HOST, ChartImage, images_of
from components.cluster.identities import NAMESPACE, SERVICE_ACCOUNT, PodIdentity
from components.cluster.kueue import KUEUE_API
from components.cluster.running import EFA_LABEL
from components.cluster.shape import NEURON, NODE_GROUP_LABEL, NVIDIA, NodeShape
from components.cluster.teams import Team
from components.images import ADDONS_REGISTRIES, TRAINING_IMAGE
from components.schema import Like, Settings
from components.teams import TeamSettings

LUSTRE_CLAIM = "lustre"
"""The claim by which training jobs mount the file system."""
AUTOSCALER_SERVICE_ACCOUNT = "cluster-autoscaler"
TRAINER_API = "trainer.kubeflow.org/v1alpha1"
TRAINING_RUNTIME = "torch-distributed"
"""What TrainJobs refer to, under the name that the chart and the SDK know it by."""
Registry = Annotated[
    str,
    Like(
        r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$",
        (
            "must be a registry and what its repositories begin with, without a slash at the end, such as"
            " 123456789012.dkr.ecr.us-west-2.amazonaws.com/mirror"
        ),
    ),
]
"""Where copies of images are."""


class SoftwareSettings(Settings):
    """Settings of the software on the cluster."""

    device_plugin: bool = True
    """Whether the device plugins are installed. Without them no pod can ask for a GPU or EFA."""
    kueue: bool = False
    """Whether Kueue is installed, with one queue for each GPU node group."""
    trainer: bool = False
    """Whether Kubeflow Trainer is installed."""
    image_registry: Registry | None = None
    """A registry of your own that has copies of all images of this software, each under its own path.

    `python -m tools.images` says which they are, and copies them. Left out, they come through the stack's cache. What
    ECR does not cache comes from where its chart says: NVIDIA's device plugin (nvcr.io), and Trainer (ghcr.io) without
    `artifacts.registrySecrets`.
    """

    def images(self, version: str) -> Iterator[str]:
        """Names of the images that may be pulled from where their charts say."""
        if self.image_registry is None:
            wanted = {
                "cluster-autoscaler": True,
                "device-plugin": self.device_plugin,
                "neuron-device-plugin": self.device_plugin,
                "efa-device-plugin": self.device_plugin,
                "trainer": self.trainer,
                "kueue": self.kueue,
            }
            yield from (image for chart, used in wanted.items() if used for image in images_of(chart, version))
            yield from (TRAINING_IMAGE,) if self.trainer else ()


class ClusterSoftware(pulumi.ComponentResource):
    """Helm releases, training's namespace and identity, with Kueue a queue per GPU node group, and the teams."""

    def __init__(
        self,
        name: str,
        settings: SoftwareSettings,
        *,
        version: str,
        shapes: Mapping[str, NodeShape],
        cached: Mapping[str, pulumi.Output[str]],
        cluster_name: pulumi.Output[str],
        statements: Sequence[iam.Statement],
        teams: Mapping[str, TeamSettings],
        team_statements: Mapping[str, Sequence[iam.Statement]],
        account: iam.Account,
        nodes: pulumi.Resource,
        dns: pulumi.Resource,
        addons: pulumi.Resource,
        lustre: Lustre | None,
        protect: bool,
        opts: pulumi.ResourceOptions,
    ) -> None:
        """`nodes` are what releases run on; `opts` names the provider of the cluster's Kubernetes API.

        `dns`: by what pods find AWS. `addons`: what EKS keeps on the nodes, such as the drivers of what jobs mount.
        `cached`: what takes the place of a public registry in the name of an image. `statements` are what jobs of no
        team may do on AWS, `team_statements` what those of each team may. `lustre`: the file system that training jobs
        may mount.
        """
        super().__init__("distributed-training:index:ClusterSoftware", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        autoscaler = PodIdentity(
            f"{name}-autoscaler",
            account=account,
            cluster_name=cluster_name,
            namespace=CHARTS["cluster-autoscaler"].namespace,
            service_account=AUTOSCALER_SERVICE_ACCOUNT,
            statements=_scale(cluster_name, account),
            opts=child,
        )
        trainer = PodIdentity(
            f"{name}-{SERVICE_ACCOUNT}",
            account=account,
            cluster_name=cluster_name,
            namespace=NAMESPACE,
            service_account=SERVICE_ACCOUNT,
            statements=statements,
            opts=child,
        )
        registries: dict[str, pulumi.Input[str]] = {**cached}
        if account.region in ADDONS_REGISTRIES:
            registries[PUBLIC_EFA_HOST] = ADDONS_REGISTRIES[account.region]

        def registry(host: str) -> pulumi.Input[str] | None:
            return registries.get(host) if settings.image_registry is None else settings.image_registry

        values = {
            "cluster-autoscaler": _autoscaler_values(version, cluster_name, account),
            **(_device_plugin_values(shapes.values()) if settings.device_plugin else {}),
            # without a runtime: the chart makes and removes its own by jobs that install kubectl from the internet
            **({"trainer": {}} if settings.trainer else {}),
            **({"kueue": kueue.values()} if settings.kueue else {}),
        }
        # a pod gets the identity that its service account has when it starts. The autoscaler asks AWS once, at its
        # start, which instance types there are: without an answer it goes on with those of its image (BuildAWS)
        asks_aws = {"cluster-autoscaler": [autoscaler, dns]}
        releases: dict[str, pulumi.Resource] = {}
        for chart_name, chart in CHARTS.items():
            if chart_name in values:
                releases[chart_name] = kubernetes.helm.v3.Release(
                    f"{name}-{chart_name}",
                    name=chart_name,
                    chart=chart.chart,
                    version=chart.version,
                    repository_opts=None if chart.repository is None else {"repo": chart.repository},
                    namespace=chart.namespace,
                    create_namespace=chart.namespace != "kube-system",
                    values=_with_images(values[chart_name], chart.images, registry),
                    opts=pulumi.ResourceOptions(
                        parent=self,
                        # pods need nodes to start on and to be taken off from
                        depends_on=[
                            nodes,
                            *asks_aws.get(chart_name, ()),
                            *(releases[one] for one in chart.after if one in releases),
                        ],
                    ),
                )
        queues = [
            ClusterQueue(f"{name}-{group}", group, shape, shared=bool(teams), release=releases["kueue"], opts=child)
            for group, shape in (shapes.items() if settings.kueue else ())
        ]
        runtimes = (
            [
                kubernetes.apiextensions.CustomResource(
                    f"{name}-{TRAINING_RUNTIME}",
                    api_version=TRAINER_API,
                    kind="ClusterTrainingRuntime",
                    metadata={"name": TRAINING_RUNTIME, "labels": {"trainer.kubeflow.org/framework": "torch"}},
                    spec=_runtime(_moved(TRAINING_IMAGE, registry)),
                    opts=pulumi.ResourceOptions(parent=self, depends_on=[releases["trainer"]]),
                )
            ]
            if settings.trainer
            else []
        )
        quotas = {group: shape.pods_have(shape.max_size) for group, shape in shapes.items()}
        own = [
            Team(
                f"{name}-{team}",
                team,
                one,
                account=account,
                cluster_name=cluster_name,
                statements=team_statements[team],
                quotas=quotas,
                default_group=_smallest(shapes),
                after=[nodes, addons, *releases.values(), *queues, *runtimes],
                opts=child,
            )
            for team, one in teams.items()
        ]
        volumes = (
            [
                kubernetes.core.v1.PersistentVolume(
                    f"{name}-lustre",
                    spec=_volume(lustre),
                    opts=pulumi.ResourceOptions(parent=self, depends_on=[nodes, addons, lustre]),
                )
            ]
            if lustre
            else []
        )
        namespace = kubernetes.core.v1.Namespace(
            name,
            metadata={"name": NAMESPACE},
            # jobs of Kueue and Trainer end only while these run, and a queue only when it has no job: so the namespace
            # goes before all of them, and before the volume that they have mounted
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[nodes, addons, *releases.values(), *queues, *runtimes, *volumes]
            ),
        )
        claims = [
            kubernetes.core.v1.PersistentVolumeClaim(
                f"{name}-lustre",
                metadata={"name": LUSTRE_CLAIM, "namespace": NAMESPACE},
                spec={
                    "access_modes": ["ReadWriteMany"],
                    # no class, so that nothing makes another volume for it
                    "storage_class_name": "",
                    "volume_name": volume.metadata.name,
                    # it gets all of the volume, and cannot change when that grows
                    "resources": {"requests": {"storage": f"{LEAST_LUSTRE_GIB}Gi"}},
                },
                # Kubernetes deletes no claim that a pod uses: with the namespace its pods go first
                opts=pulumi.ResourceOptions(parent=self, depends_on=[namespace], deleted_with=namespace),
            )
            for volume in volumes
        ]
        local_queues = [
            kubernetes.apiextensions.CustomResource(
                f"{name}-{group}-local",
                api_version=KUEUE_API,
                kind="LocalQueue",
                metadata={"name": group, "namespace": NAMESPACE},
                spec={"clusterQueue": group},
                opts=pulumi.ResourceOptions(parent=self, depends_on=[namespace]),
            )
            for group in (shapes if settings.kueue else ())
        ]
        kubernetes.core.v1.ServiceAccount(
            f"{name}-{SERVICE_ACCOUNT}",
            metadata={"name": SERVICE_ACCOUNT, "namespace": NAMESPACE},
            # all of this goes after it, so that a destroy of a protected stack ends before anything of it is gone
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[namespace, trainer, *claims, *local_queues, *own], protect=protect
            ),
        )
        self.register_outputs({})


class ClusterQueue(pulumi.ComponentResource):
    """Kueue's queue for the nodes of one GPU group: it starts a job when the whole of it fits into the group.

    Of a group that teams share, its jobs have what all of them leave unused.
    """

    def __init__(
        self,
        name: str,
        group: str,
        shape: NodeShape,
        *,
        shared: bool,
        release: pulumi.Resource,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("distributed-training:index:ClusterQueue", name, {}, opts)
        flavor = kubernetes.apiextensions.CustomResource(
            f"{name}-flavor",
            api_version=KUEUE_API,
            kind="ResourceFlavor",
            metadata={"name": group},
            spec={
                "nodeLabels": {NODE_GROUP_LABEL: group},
                "tolerations": [
                    {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}
                    for key, value in shape.taints.items()
                ],
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[release]),
        )
        quotas = shape.pods_have(shape.max_size)
        has: dict[str, Any] = {"resourceGroups": kueue.resource_groups(group, quotas)}
        before: list[pulumi.Resource] = [flavor]
        if shared:
            before.append(
                kubernetes.apiextensions.CustomResource(
                    f"{name}-cohort",
                    api_version=KUEUE_API,
                    kind="Cohort",
                    metadata={"name": group},
                    spec=has,
                    opts=pulumi.ResourceOptions(parent=self, depends_on=[flavor]),
                )
            )
            has = kueue.share(group, quotas, weight=0)
        kubernetes.apiextensions.CustomResource(
            f"{name}-queue",
            api_version=KUEUE_API,
            kind="ClusterQueue",
            metadata={"name": group},
            spec={"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}, **has},
            opts=pulumi.ResourceOptions(parent=self, depends_on=before),
        )
        self.register_outputs({})


def _moved(image: str, registry: Callable[[str], pulumi.Input[str] | None]) -> pulumi.Input[str]:
    """An image in the registry that takes the place of its own."""
    host, _, path = image.partition("/")
    there = registry(host)
    return image if there is None else pulumi.Output.concat(there, "/", path)


def _with_images(
    values: Mapping[str, Any], images: Iterable[ChartImage], registry: Callable[[str], pulumi.Input[str] | None]
) -> dict[str, Any]:
    """The values of a chart, and where its images are taken from if not from where it says."""
    found = dict(values)
    for one in images:
        host, _, path = one.name.partition("/")
        path = path.partition(":")[0]
        there = registry(host)
        if there is None:
            continue
        at = found
        for key in one.values.split("."):
            at[key] = dict(at.get(key, {}))
            at = at[key]
        at |= (
            {"registry": there, "repository": path}
            if one.apart
            else {"repository": pulumi.Output.concat(there, "/", path)}
        )
    return found


def _volume(lustre: Lustre) -> kubernetes.core.v1.PersistentVolumeSpecArgsDict:
    """The file system as a volume (aws-fsx-csi-driver, "Static provisioning")."""
    return {
        "capacity": {"storage": f"{lustre.storage_gib}Gi"},
        "access_modes": ["ReadWriteMany"],
        "mount_options": ["relatime", "flock"],
        # it goes with the stack, not with the claim
        "persistent_volume_reclaim_policy": "Retain",
        "storage_class_name": "",
        "claim_ref": {
            "api_version": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": NAMESPACE,
            "name": LUSTRE_CLAIM,
        },
        "csi": {
            "driver": "fsx.csi.aws.com",
            "volume_handle": lustre.file_system_id,
            "volume_attributes": {"dnsname": lustre.dns_name, "mountname": lustre.mount_name},
        },
    }


def _runtime(image: pulumi.Input[str]) -> dict[str, Any]:
    """What a TrainJob is made from, as Trainer's chart has it."""
    pod = {"containers": [{"name": "node", "image": image}]}
    node = {
        "name": "node",
        "template": {
            "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
            "spec": {"template": {"spec": pod}},
        },
    }
    return {"mlPolicy": {"numNodes": 1, "torch": {}}, "template": {"spec": {"replicatedJobs": [node]}}}


def _autoscaler_values(version: str, cluster_name: pulumi.Output[str], account: iam.Account) -> dict[str, Any]:
    return {
        "autoDiscovery": {"clusterName": cluster_name},
        # it would ask the instance's metadata, which pods cannot reach
        "awsRegion": account.region,
        "image": {"tag": AUTOSCALER_IMAGES[version]},
        "rbac": {"serviceAccount": {"name": AUTOSCALER_SERVICE_ACCOUNT}},
        # of the groups that fit a pod the one that leaves least unused; system nodes go again when they are not needed
        "extraArgs": {"expander": "least-waste", "skip-nodes-with-system-pods": "false"},
    }


def _device_plugin_values(shapes: Iterable[NodeShape]) -> dict[str, dict[str, Any]]:
    """Release -> values, of the device plugins that these nodes need."""
    shapes = list(shapes)
    accelerators = sorted({shape.accelerator for shape in shapes})
    every_group = _tolerates(NODE_GROUP_LABEL)
    values: dict[str, dict[str, Any]] = {}
    if NVIDIA in accelerators:
        values["device-plugin"] = {"tolerations": [_tolerates(NVIDIA), every_group]}
    if NEURON in accelerators:
        values["neuron-device-plugin"] = {
            "devicePlugin": {"tolerations": [_tolerates(NEURON), every_group]},
            # EKS's own monitoring agent looks after the nodes
            "npd": {"enabled": False},
        }
    if any(EFA_LABEL in shape.labels for shape in shapes):
        tolerations = [*map(_tolerates, accelerators), every_group]
        values["efa-device-plugin"] = {"nodeSelector": {EFA_LABEL: "true"}, "tolerations": tolerations}
    return values


def _tolerates(taint: str) -> dict[str, str]:
    """A toleration of a taint with this key, whatever its value."""
    return {"key": taint, "operator": "Exists", "effect": "NoSchedule"}


def _smallest(shapes: Mapping[str, NodeShape]) -> str | None:
    """The group whose nodes have the fewest accelerators, for jobs that name none."""
    return min(shapes, key=lambda group: (shapes[group].resources[shapes[group].accelerator], group), default=None)


def _scale(cluster_name: pulumi.Output[str], account: iam.Account) -> list[iam.Statement]:
    """Statements for Cluster Autoscaler, which scales this cluster's node groups (its AWS README, "IAM Policy")."""
    owned = cluster_name.apply(lambda name: {f"aws:ResourceTag/k8s.io/cluster-autoscaler/{name}": "owned"})
    return [
        iam.allow(
            ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"],
            [account.arn("autoscaling", "autoScalingGroup:*:autoScalingGroupName/eks-*")],
            # EKS puts the tag on the Auto Scaling groups of managed node groups
            {"StringEquals": owned},
        ),
        iam.allow(
            ["eks:DescribeNodegroup"],
            [pulumi.Output.concat(account.arn("eks", "nodegroup/"), cluster_name, "/*/*")],
        ),
        # AWS knows no narrower resource for these
        iam.allow(
            [
                "autoscaling:DescribeAutoScalingGroups",
                "autoscaling:DescribeAutoScalingInstances",
                "autoscaling:DescribeLaunchConfigurations",
                "autoscaling:DescribeScalingActivities",
                "autoscaling:DescribeTags",
                "ec2:DescribeImages",
                "ec2:DescribeInstanceTypes",
                "ec2:DescribeLaunchTemplateVersions",
                "ec2:GetInstanceTypesFromInstanceRequirements",
            ],
            ["*"],
        ),
    ]
