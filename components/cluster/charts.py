"""The charts that are installed on the cluster, at pinned versions, and the images that they use."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

PUBLIC_EFA_HOST = "602401143452.dkr.ecr.us-west-2.amazonaws.com"
"""Where the chart of EFA's device plugin has its image; every region has a copy of its own."""


@dataclass(frozen=True, kw_only=True)
class ChartImage:
    """An image that a chart uses, and where the values of the chart name it."""

    name: str
    """Registry, path and tag."""
    values: str
    """Dotted path of the values that name it."""
    apart: bool = False
    """Whether the values have the registry apart from the path."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A Helm chart at one version."""

    chart: str
    """Its name in the repository, or its address in an OCI registry."""
    version: str
    """Its version."""
    repository: str | None = None
    """The repository's address; None for an OCI registry."""
    namespace: str = "kube-system"
    """Where it is installed."""
    after: tuple[str, ...] = ()
    """Charts that must be installed before it."""
    images: tuple[ChartImage, ...] = ()
    """The images that it uses with the stack's values; with `eks.imageRegistry` they come from there."""


CHARTS: Mapping[str, Chart] = {
    # kubernetes.github.io/autoscaler; the image is the cluster version's own, below
    "cluster-autoscaler": Chart(
        chart="cluster-autoscaler",
        version="9.59.0",
        repository="https://kubernetes.github.io/autoscaler",
        images=(ChartImage(name="registry.k8s.io/autoscaling/cluster-autoscaler", values="image"),),
    ),
    # github.com/NVIDIA/k8s-device-plugin
    "device-plugin": Chart(
        chart="nvidia-device-plugin",
        version="0.19.2",
        repository="https://nvidia.github.io/k8s-device-plugin",
        images=(ChartImage(name="nvcr.io/nvidia/k8s-device-plugin:v0.19.2", values="image"),),
    ),
    # AWS Neuron documentation, "Neuron Helm Chart"
    "neuron-device-plugin": Chart(
        chart="oci://public.ecr.aws/neuron/neuron-helm-chart",
        version="1.10.0",
        images=(ChartImage(name="public.ecr.aws/neuron/neuron-device-plugin:2.32.0.0", values="devicePlugin.image"),),
    ),
    # github.com/aws/eks-charts
    "efa-device-plugin": Chart(
        chart="aws-efa-k8s-device-plugin",
        version="v0.5.29",
        repository="https://aws.github.io/eks-charts",
        images=(ChartImage(name=f"{PUBLIC_EFA_HOST}/eks/aws-efa-k8s-device-plugin:v0.5.29", values="image"),),
    ),
    # github.com/kubeflow/trainer; a TrainJob is v1alpha1, and changes between minor versions
    "trainer": Chart(
        chart="oci://ghcr.io/kubeflow/charts/kubeflow-trainer",
        version="2.3.0",
        namespace="kubeflow-system",
        images=(
            ChartImage(name="ghcr.io/kubeflow/trainer/trainer-controller-manager:v2.3.0", values="image", apart=True),
            # a chart within the chart, at the version that its Chart.yaml names
            ChartImage(name="registry.k8s.io/jobset/jobset:v0.12.0", values="jobset.image", apart=True),
        ),
    ),
    # github.com/kubernetes-sigs/kueue; the first that queues TrainJobs of Trainer 2.3 (changelog of 0.20). It looks at
    # its start for the kinds of job that there are
    "kueue": Chart(
        chart="oci://registry.k8s.io/kueue/charts/kueue",
        version="0.20.0",
        namespace="kueue-system",
        after=("trainer",),
        images=(ChartImage(name="registry.k8s.io/kueue/kueue:v0.20.0", values="controllerManager.manager.image"),),
    ),
}
"""Everything that Helm installs: name of the release -> chart, in the order of installation."""

AUTOSCALER_IMAGES = {"1.34": "v1.34.4", "1.35": "v1.35.2", "1.36": "v1.36.1"}
"""Kubernetes version -> tag of Cluster Autoscaler's image, which must be of the same minor version (its README)."""


def images_of(chart: str, version: str) -> Iterator[str]:
    """Names, with their tags, of the images of a chart on a cluster of this Kubernetes version."""
    tag = f":{AUTOSCALER_IMAGES[version]}" if chart == "cluster-autoscaler" else ""
    yield from (f"{one.name}{tag}" for one in CHARTS[chart].images)
