"""The images that the cluster's software has pulled, and the commands that copy them to a registry of one's own.

`python -m tools.images` lists them; with `--to`, the value of `eks.imageRegistry`, it prints a script for a shell.
"""

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence

from components.cluster.charts import PUBLIC_EFA_HOST, images_of
from components.cluster.control_plane import STANDARD_SUPPORT_ENDS, VERSION
from components.images import ADDONS_REGISTRIES, TRAINING_IMAGE

NEEDED_BY = {
    "cluster-autoscaler": "eks",
    "device-plugin": "eks.devicePlugin, with GPUs of NVIDIA",
    "neuron-device-plugin": "eks.devicePlugin, with Neuron",
    "efa-device-plugin": "eks.devicePlugin, with efa",
    "trainer": "eks.trainer",
    "kueue": "eks.kueue",
}
"""Chart -> what of the stack file has it installed."""
COPY = {
    "crane": "crane copy {source} {target}",
    "docker": "docker buildx imagetools create --tag {target} {source}",
    "skopeo": "skopeo copy --all docker://{source} docker://{target}",
}
"""Tool -> how it copies an image with all its platforms."""


def needed(version: str, region: str) -> list[tuple[str, str]]:
    """What of the stack file needs an image, and the image, as it is pulled in this region."""
    found = [(by, image) for chart, by in NEEDED_BY.items() for image in images_of(chart, version)]
    found.append(("eks.trainer, for TrainJobs that name no image", TRAINING_IMAGE))
    there = ADDONS_REGISTRIES.get(region, PUBLIC_EFA_HOST)
    return [(by, image.replace(PUBLIC_EFA_HOST, there)) for by, image in found]


def script(images: Sequence[tuple[str, str]], to: str, tool: str) -> Iterator[str]:
    """Lines for a shell that copy the images, each under its own path."""
    yield "set -e"
    hosts = dict.fromkeys([to.partition("/")[0], *(image.partition("/")[0] for _, image in images)])
    for host in hosts:
        if ".dkr.ecr." in host:
            region = shlex.quote(host.split(".")[3])
            yield (
                f"aws ecr get-login-password --region {region}"
                f" | docker login --username AWS --password-stdin {shlex.quote(host)}"
            )
    for by, image in images:
        target = f"{to}/{image.partition('/')[2]}"
        yield f"# {by}"
        host, _, path = target.rpartition(":")[0].partition("/")
        if ".dkr.ecr." in host:
            named = f"--region {shlex.quote(host.split('.')[3])} --repository-name {shlex.quote(path)}"
            yield (
                f"aws ecr describe-repositories {named.replace('--repository-name', '--repository-names')} > /dev/null"
                f" 2>&1 || aws ecr create-repository {named} > /dev/null"
            )
        yield COPY[tool].format(source=shlex.quote(image), target=shlex.quote(target))


def main(arguments: Sequence[str]) -> Iterator[str]:
    """What to print for these arguments."""
    parser = argparse.ArgumentParser(prog="python -m tools.images", description=__doc__)
    versions = sorted(STANDARD_SUPPORT_ENDS)
    parser.add_argument("--version", choices=versions, default=VERSION, help="Kubernetes version of the cluster")
    parser.add_argument("--region", default="us-west-2", help="region of the cluster")
    parser.add_argument("--to", metavar="REGISTRY", help="print the commands that copy them to this eks.imageRegistry")
    parser.add_argument("--with", dest="tool", choices=sorted(COPY), default="crane", help="what copies them")
    given = parser.parse_args(arguments)
    images = needed(given.version, given.region)
    if given.to:
        yield from script(images, given.to.rstrip("/"), given.tool)
    else:
        yield from (f"{image}  # {by}" for by, image in images)


if __name__ == "__main__":
    print("\n".join(main(sys.argv[1:])))
