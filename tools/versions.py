"""What is pinned, and which newer versions there are: charts, images, Pulumi and its providers, EKS's add-ons.

`python -m tools.versions` asks their registries; with the name of a stack it asks AWS, too, for the add-ons of that
stack's cluster, and prints them as `eks.addonVersions` takes them.
"""

import argparse
import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args
from urllib.parse import urlsplit

import boto3
import yaml
from botocore.exceptions import BotoCoreError, ClientError

from components.cluster.charts import AUTOSCALER_IMAGES, CHARTS, Chart
from components.cluster.control_plane import VERSION, Addon
from components.images import TRAINING_IMAGE
from local import stack_files

PROJECT = Path(__file__).parents[1]
SECONDS = 30
RELEASE = re.compile(r"v?(\d+(?:\.\d+)+)(-eksbuild\.\d+)?")
"""A version that is none of a preview."""
PULUMI_EKS = "https://raw.githubusercontent.com/pulumi/pulumi-eks/v{version}/nodejs/eks/package.json"
"""Where the plugin of pulumi_eks says which versions of other plugins it takes."""
TAGS_AT_ONCE = 1000

Fetch = Callable[[str], str]
"""Gives what is at an address; raises OSError where nothing is to be had."""
Ask = Callable[[str, str], Iterable[Mapping[str, Any]]]
"""Gives an add-on's versions for a Kubernetes version, as EKS's API has them; raises where AWS does not answer."""


@dataclass(frozen=True, kw_only=True)
class Pin:
    """Something at a version, and the newest one that there is."""

    what: str
    """What it is, and where it is pinned."""
    pinned: str
    """Its version."""
    newest: str
    """The newest version; the same where there is no newer one."""

    def __str__(self) -> str:
        newer = "" if order(self.newest) <= order(self.pinned) else f" -> {self.newest}"
        return f"{self.what}: {self.pinned}{newer}"


def order(version: str) -> tuple[int, ...]:
    """By what versions are compared."""
    return tuple(map(int, re.findall(r"\d+", version)))


def newest(versions: Iterable[str], like: re.Pattern[str] = RELEASE) -> str:
    """The newest of those that look like this; nothing where none does."""
    return max((one for one in versions if like.fullmatch(one)), key=order, default="")


def pins(fetch: Fetch) -> Iterator[Pin]:
    """Everything that is pinned and can be asked for without an account."""
    for name, chart in CHARTS.items():
        yield Pin(what=f"chart {name}", pinned=chart.version, newest=newest(_chart_versions(chart, fetch)))
    (image,) = CHARTS["cluster-autoscaler"].images
    there = tags(image.name, fetch)
    for version, tag in AUTOSCALER_IMAGES.items():
        of_version = re.compile(rf"v{re.escape(version)}\.\d+")
        yield Pin(what=f"image of cluster-autoscaler for {version}", pinned=tag, newest=newest(there, of_version))
    name, _, tag = TRAINING_IMAGE.rpartition(":")
    kind = re.compile(r"\d+\.\d+-cu\d+-amzn2023")
    yield Pin(what=f"image {name}", pinned=tag, newest=newest(tags(name, fetch), kind))
    for line in (PROJECT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            package, _, pinned = line.partition("==")
            released = json.loads(fetch(f"https://pypi.org/pypi/{package}/json"))["releases"]
            yield Pin(what=f"package {package}", pinned=pinned, newest=newest(released))
            if package == "pulumi-eks":
                yield from _plugins_of_eks(pinned, fetch)


def _plugins_of_eks(version: str, fetch: Fetch) -> Iterator[Pin]:
    """The plugins that a deployment fetches besides; the newest is what this version of pulumi_eks takes."""
    takes = json.loads(fetch(PULUMI_EKS.format(version=version)))["dependencies"]
    for name, pinned in bundled().items():
        newer = ".".join(map(str, order(takes[f"@pulumi/{name}"])))
        yield Pin(what=f"plugin {name} of pulumi-eks {version} (Makefile)", pinned=pinned, newest=newer)


def bundled() -> dict[str, str]:
    """Plugin -> version, of those that pulumi_eks takes besides the program's own, as the Makefile names them."""
    line = re.search(r"^PLUGINS_OF_EKS := (.+)$", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    return dict(one.split("@") for one in line[1].split()) if line else {}


def addons(version: str, ask: Ask) -> dict[str, dict[str, str]]:
    """Add-on -> `default` and `newest` version for this Kubernetes version."""
    found: dict[str, dict[str, str]] = {}
    for addon in get_args(Addon):
        default, every = "", list[str]()
        for one in ask(addon, version):
            every.append(one["addonVersion"])
            if any(fits["clusterVersion"] == version and fits["defaultVersion"] for fits in one["compatibilities"]):
                default = one["addonVersion"]
        found[addon] = {"default": default, "newest": newest(every)}
    return found


def said_of_addons(version: str, pinned: Mapping[str, str], found: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Lines about the add-ons of a stack."""
    for addon, there in found.items():
        now = pinned.get(addon, there["default"])
        how = "pinned" if addon in pinned else "AWS's default"
        newer = f" -> {there['newest']}" if order(there["newest"]) > order(now) else ""
        yield f"add-on {addon} for {version}: {now} ({how}){newer}"
    yield "to pin the newest, under distributed-training:eks:"
    yield f'  addonVersions:\n    "{version}":'
    yield from (f"      {addon}: {there['newest']}" for addon, there in found.items())


def _chart_versions(chart: Chart, fetch: Fetch) -> list[str]:
    if chart.repository is None:
        return tags(chart.chart.removeprefix("oci://"), fetch)
    index = yaml.safe_load(fetch(f"{chart.repository}/index.yaml"))
    return [str(one["version"]) for one in index["entries"][chart.chart]]


def tags(name: str, fetch: Fetch) -> list[str]:
    """Tags of a repository in a registry (OCI distribution specification, "Listing Tags")."""
    host, _, path = name.partition("/")
    address = f"https://{host}/v2/{path}/tags/list?n={TAGS_AT_ONCE}"
    found: dict[str, None] = {}
    # a registry may give fewer than it is asked for, or all at once whatever it is asked for
    while fresh := [tag for tag in json.loads(fetch(address))["tags"] or () if tag not in found]:
        found |= dict.fromkeys(fresh)
        address = f"https://{host}/v2/{path}/tags/list?n={TAGS_AT_ONCE}&last={fresh[-1]}"
    return list(found)


def from_the_web(address: str) -> str:
    """What is at an address; a registry that asks for a token first gets the one that it gives to anybody."""
    try:
        return _read(address, {})
    except urllib.error.HTTPError as error:
        challenge = dict(re.findall(r'(\w+)="([^"]*)"', error.headers.get("WWW-Authenticate", "")))
        if error.code != 401 or "realm" not in challenge:
            raise
    scope = f"repository:{urlsplit(address).path.removeprefix('/v2/').removesuffix('/tags/list')}:pull"
    token = json.loads(_read(f"{challenge['realm']}?service={challenge.get('service', '')}&scope={scope}", {}))["token"]
    return _read(address, {"Authorization": f"Bearer {token}"})


def _read(address: str, headers: Mapping[str, str]) -> str:
    request = urllib.request.Request(address, headers={"User-Agent": "distributed-training", **headers})  # noqa: S310
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
        return answer.read().decode()


def from_aws(region: str) -> Ask:
    """Asks EKS in a region."""
    # boto3 carries no types
    pages = cast("Any", boto3).client("eks", region_name=region).get_paginator("describe_addon_versions")

    def ask(addon: str, version: str) -> Iterator[Mapping[str, Any]]:
        for page in pages.paginate(addonName=addon, kubernetesVersion=version):
            for one in page["addons"]:
                yield from one["addonVersions"]

    return ask


def main(arguments: Sequence[str], fetch: Fetch = from_the_web, asks: Callable[[str], Ask] = from_aws) -> str | None:
    """Print what there is; what went wrong, in one line."""
    parser = argparse.ArgumentParser(prog="python -m tools.versions", description=__doc__)
    parser.add_argument("stack", nargs="?", help="name of a stack file, for the add-ons of its cluster")
    stack = parser.parse_args(arguments).stack
    asked: list[str] = []

    def noted(address: str) -> str:
        asked.append(urlsplit(address).netloc)
        return fetch(address)

    try:
        for pin in pins(noted):
            print(pin)
    except OSError as error:
        return f"error: {asked[-1]} could not be asked: {getattr(error, 'reason', error)}"
    if stack is None:
        return None
    file = stack_files.read(PROJECT, stack)
    section: dict[str, Any] = json.loads(file.config.get("distributed-training:eks", "{}"))
    version = section.get("version", VERSION)
    try:
        found = addons(version, asks(file.region))
    except (BotoCoreError, ClientError) as error:
        return f"error: EKS in {file.region} could not be asked: {error}"
    print("\n".join(said_of_addons(version, section.get("addonVersions", {}).get(version, {}), found)))
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
