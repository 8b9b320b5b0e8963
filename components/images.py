"""Container images: what a name in the stack file stands for, and the cache in ECR for those of public registries.

Not here: the stack's own repository, which is one of its artifacts.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import pulumi
from pulumi_aws import ecr

from components import iam
from components.json_document import to_json

OWN = "repository"
"""Stands for the stack's own repository in the name of an image."""
DOCKER_HUB = "docker.io"
"""The registry of a name that begins with none."""
TRAINING_IMAGE = "public.ecr.aws/deep-learning-containers/pytorch:2.13-cu133-amzn2023"
"""AWS's image for PyTorch on GPUs and EFA, patched until 2027-07-20 (aws/deep-learning-containers, docs/src/data)."""
WITHOUT_EFA = (
    f"{DOCKER_HUB}/library/",
    f"{DOCKER_HUB}/nvidia/cuda",
    f"{DOCKER_HUB}/pytorch/pytorch",
    "nvcr.io/nvidia/cuda",
    "public.ecr.aws/docker/library/",
)
"""Beginnings of names of images that hold neither libfabric nor aws-ofi-nccl, so that NCCL finds no EFA."""
UNTAGGED_DAYS = 14
CACHED_PARTITIONS = ("aws",)
"""Partitions in which caches are made; no source says that the others have them."""


@dataclass(frozen=True)
class Upstream:
    """A public registry that ECR caches (ECR API, `CreatePullThroughCacheRule`)."""

    prefix: str
    """How its images' repositories are called, below the name of the stack's own."""
    url: str
    """What ECR calls it."""
    needs_secret: bool = False
    """Whether ECR caches it only with a secret to sign in there."""


UPSTREAMS: Mapping[str, Upstream] = {
    "public.ecr.aws": Upstream("public", "public.ecr.aws"),
    "registry.k8s.io": Upstream("k8s", "registry.k8s.io"),
    "quay.io": Upstream("quay", "quay.io"),
    DOCKER_HUB: Upstream("docker", "registry-1.docker.io", needs_secret=True),
    "ghcr.io": Upstream("ghcr", "ghcr.io", needs_secret=True),
}
"""Registry, as it begins a name -> how ECR caches it."""

_ADDONS_ACCOUNTS = {
    "602401143452": (
        "ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-southeast-1 ap-southeast-2 ca-central-1"
        " eu-central-1 eu-north-1 eu-west-1 eu-west-2 eu-west-3 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2"
    ),
    "877085696533": "af-south-1",
    "800184023465": "ap-east-1",
    "900889452093": "ap-south-2",
    "296578399912": "ap-southeast-3",
    "491585149902": "ap-southeast-4",
    "151610086707": "ap-southeast-5",
    "333609536671": "ap-southeast-6",
    "121268973566": "ap-southeast-7",
    "761377655185": "ca-west-1",
    "918309763551": "cn-north-1",
    "961992271922": "cn-northwest-1",
    "900612956339": "eu-central-2",
    "590381155156": "eu-south-1",
    "455263428931": "eu-south-2",
    "066635153087": "il-central-1",
    "759879836304": "me-central-1",
    "558608220178": "me-south-1",
    "730335286997": "mx-central-1",
    "151742754352": "us-gov-east-1",
    "013241004608": "us-gov-west-1",
}
ADDONS_REGISTRIES = {
    region: f"{account}.dkr.ecr.{region}.amazonaws.com{'.cn' * region.startswith('cn-')}"
    for account, regions in _ADDONS_ACCOUNTS.items()
    for region in regions.split()
}
"""Region -> where EKS has its images there (EKS user guide, "Container image registries for add-ons")."""


def full(image: str) -> str:
    """The whole name of an image: its registry, the path there, its tag."""
    host, slash, _ = image.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        return image
    return f"{DOCKER_HUB}/{image}" if slash else f"{DOCKER_HUB}/library/{image}"


def registry(image: str) -> str | None:
    """The registry of an image; None for the stack's own repository."""
    return None if image.startswith(f"{OWN}:") else full(image).partition("/")[0]


def is_in_ecr(image: str) -> bool:
    """Whether an image is in a private repository of ECR."""
    return image.startswith(f"{OWN}:") or ".dkr.ecr." in image


def ecr_repository(image: str, account: iam.Account) -> str | None:
    """ARN of the repository that an image of ECR is in, of this account or another; None for one that is elsewhere."""
    named = re.match(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+)", image)
    return named and f"arn:{account.partition}:ecr:{named[2]}:{named[1]}:repository/{named[3]}"


def lacks_efa(image: str) -> bool:
    """Whether an image is known to hold nothing by which NCCL finds EFA."""
    return not image.startswith(f"{OWN}:") and full(image).startswith(WITHOUT_EFA)


def to_cache(images: Iterable[str], secrets: Mapping[str, str], account: iam.Account) -> list[str]:
    """Registries of these images that ECR can cache in this account."""
    if account.partition not in CACHED_PARTITIONS:
        return []
    used = {registry(image) for image in images}
    return [host for host, one in UPSTREAMS.items() if host in used and (host in secrets or not one.needs_secret)]


class ImageCache(pulumi.ComponentResource):
    """Pull-through caches: ECR fetches an image when it is first asked for, and has it from then on.

    The repositories that ECR makes for them are not the stack's: a destroy leaves them (docs/images.md).
    """

    prefixes: Mapping[str, pulumi.Output[str]]
    """Registry -> what takes its place in the name of an image."""

    def __init__(
        self,
        name: str,
        registries: Collection[str],
        *,
        below: pulumi.Output[str],
        secrets: Mapping[str, str],
        account: iam.Account,
        opts: pulumi.ResourceOptions,
    ) -> None:
        """`below`: the name of the stack's own repository; a prefix is unique in the account and region, as it is."""
        super().__init__("distributed-training:index:ImageCache", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        template = ecr.RepositoryCreationTemplate(
            name,
            prefix=below,
            applied_fors=["PULL_THROUGH_CACHE"],
            description="copies of images from public registries",
            # a tag follows its upstream, and what it was before is paid for until it goes; the template has no tags,
            # for which ECR would want a role
            lifecycle_policy=to_json(UNTAGGED_EXPIRE),
            opts=child,
        )
        rules = {
            host: ecr.PullThroughCacheRule(
                f"{name}-{UPSTREAMS[host].prefix}",
                ecr_repository_prefix=pulumi.Output.concat(below, "/", UPSTREAMS[host].prefix),
                upstream_registry_url=UPSTREAMS[host].url,
                credential_arn=secrets.get(host) if UPSTREAMS[host].needs_secret else None,
                # the first repository is already made as the template says
                opts=pulumi.ResourceOptions(parent=self, depends_on=[template]),
            )
            for host in registries
        }
        own = f"{account.id}.dkr.ecr.{account.region}.amazonaws.com/"
        self.prefixes = {host: pulumi.Output.concat(own, rule.ecr_repository_prefix) for host, rule in rules.items()}
        self.register_outputs({})


# only what lost its tag: a tagged image may be in use for as long as a job, a task definition or a pod names it, and no
# rule of ECR can tell. Parts of a multi-platform image have no tag of their own, and ECR keeps them as long as the
# image that lists them (ECR user guide, "Lifecycle policies")
UNTAGGED_EXPIRE = {
    "rules": [
        {
            "rulePriority": 1,
            "description": "images that lost their tag",
            "selection": {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": UNTAGGED_DAYS,
            },
            "action": {"type": "expire"},
        }
    ]
}
"""Lifecycle of every repository, the stack's own and those of the cache."""
