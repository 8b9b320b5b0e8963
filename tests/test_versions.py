"""What is pinned against what registries have: their answers are recorded ones."""

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, get_args

import pytest
from botocore.exceptions import NoCredentialsError

from components.cluster.charts import AUTOSCALER_IMAGES, CHARTS
from components.cluster.control_plane import Addon
from components.images import TRAINING_IMAGE
from tests.conftest import ROOT
from tools import versions

INDEX = """
entries:
  cluster-autoscaler: [{version: 9.59.0}, {version: 9.60.1}, {version: 10.0.0-beta.1}]
  nvidia-device-plugin: [{version: 0.19.2}, {version: 0.20.0-rc.1}]
  aws-efa-k8s-device-plugin: [{version: v0.5.29}, {version: v0.5.4}]
"""
TAGS = {
    "neuron/neuron-helm-chart": ["1.9.1", "1.10.0"],
    "kubeflow/charts/kubeflow-trainer": ["2.3.0", "2.4.0", "0.0.0-sha-12ab34c"],
    "kueue/charts/kueue": ["0.20.0", "0.20.1"],
    "autoscaling/cluster-autoscaler": ["v1.34.4", "v1.35.2", "v1.35.9", "v1.36.1", "v1.36.2-rc.0"],
    "deep-learning-containers/pytorch": ["2.13-cu133-amzn2023", "2.14-cu134-amzn2023", "2.14-cpu-amzn2023"],
}
PACKAGES = {"pulumi": "3.272.0", "pulumi-aws": "7.60.0", "pulumi-eks": "4.4.0", "pulumi-kubernetes": "4.34.2"}


def recorded(address: str) -> str:
    """What a registry answered, all tags at once whatever it is asked for."""
    if address.endswith("/index.yaml"):
        return INDEX
    if address.startswith("https://pypi.org/pypi/"):
        package = address.split("/")[4]
        return json.dumps({"releases": {PACKAGES.get(package, "2.14.3"): [], "99.0.0b1": []}})
    if address.startswith("https://raw.githubusercontent.com/pulumi/pulumi-eks/v4.4.0/"):
        return json.dumps({"dependencies": {"@pulumi/aws": "^7.25.0", "@pulumi/kubernetes": "4.20.0"}})
    return json.dumps({"tags": TAGS[address.split("/v2/")[1].partition("/tags/list")[0]]})


def test_what_is_newer_is_said_and_what_is_a_preview_is_not() -> None:
    said = {line.partition(":")[0]: line.partition(": ")[2] for line in map(str, versions.pins(recorded))}
    assert said["chart cluster-autoscaler"] == "9.59.0 -> 9.60.1"
    assert said["chart device-plugin"] == "0.19.2"
    assert said["chart efa-device-plugin"] == "v0.5.29"
    assert said["chart neuron-device-plugin"] == "1.10.0"
    assert said["chart trainer"] == "2.3.0 -> 2.4.0"
    assert said["chart kueue"] == "0.20.0 -> 0.20.1"
    assert said["image of cluster-autoscaler for 1.35"] == f"{AUTOSCALER_IMAGES['1.35']} -> v1.35.9"
    assert said["image of cluster-autoscaler for 1.36"] == AUTOSCALER_IMAGES["1.36"]
    name, _, tag = TRAINING_IMAGE.rpartition(":")
    assert said[f"image {name}"] == f"{tag} -> 2.14-cu134-amzn2023"
    assert said["package pulumi-aws"].endswith(" -> 7.60.0")
    assert said["plugin aws of pulumi-eks 4.4.0 (Makefile)"] == "7.25.0"
    assert said["plugin kubernetes of pulumi-eks 4.4.0 (Makefile)"] == "4.19.0 -> 4.20.0"
    assert {f"chart {name}" for name in CHARTS} <= set(said)


def test_every_package_that_a_deployment_needs_is_compared() -> None:
    pinned = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line]
    compared = [pin for pin in versions.pins(recorded) if pin.what.startswith("package ")]
    assert [f"{pin.what.removeprefix('package ')}=={pin.pinned}" for pin in compared] == pinned


@pytest.mark.parametrize(
    ("one", "other"), [("1.9.0", "1.10.0"), ("v0.5.4", "v0.5.29"), ("v1.13.2-eksbuild.1", "v1.13.2-eksbuild.10")]
)
def test_versions_are_compared_number_by_number(one: str, other: str) -> None:
    assert versions.newest([other, one]) == other
    assert versions.newest([one, other]) == other


def test_without_a_network_one_line_says_who_could_not_be_asked(capsys: pytest.CaptureFixture[str]) -> None:
    def nowhere(_: str) -> str:
        raise OSError("Name or service not known")

    line = versions.main([], nowhere)
    assert line == "error: kubernetes.github.io could not be asked: Name or service not known"
    assert capsys.readouterr().out == ""


def eks(addon: str, version: str) -> Iterable[Mapping[str, Any]]:
    """What DescribeAddonVersions answers."""
    for number, default in ((3, False), (1, True), (2, False)):
        fits = [
            {"clusterVersion": "1.34", "defaultVersion": True},
            {"clusterVersion": version, "defaultVersion": default},
        ]
        yield {"addonVersion": f"v1.13.{number}-eksbuild.1", "compatibilities": fits}
    del addon


def test_a_stacks_add_ons_are_printed_as_the_stack_file_takes_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        versions.main(["dev"], recorded, lambda region: eks if region == "us-west-2" else pytest.fail(region)) is None
    )
    lines = capsys.readouterr().out.splitlines()
    assert "add-on coredns for 1.35: v1.13.1-eksbuild.1 (AWS's default) -> v1.13.3-eksbuild.1" in lines
    block = lines[lines.index("  addonVersions:") :]
    assert block[:2] == ["  addonVersions:", '    "1.35":']
    assert {line.split(":")[0].strip() for line in block[2:]} == set(get_args(Addon))


def test_a_pinned_add_on_is_compared_with_the_newest() -> None:
    found = versions.addons("1.35", eks)
    lines = list(versions.said_of_addons("1.35", {"coredns": "v1.13.3-eksbuild.1"}, found))
    assert "add-on coredns for 1.35: v1.13.3-eksbuild.1 (pinned)" in lines


def test_without_credentials_one_line_says_so() -> None:
    def nobody(_: str, __: str) -> Iterable[Mapping[str, Any]]:
        raise NoCredentialsError

    line = versions.main(["dev"], recorded, lambda _: nobody)
    assert line == "error: EKS in us-west-2 could not be asked: Unable to locate credentials"


@pytest.fixture
def registry() -> Iterator[str]:
    """A registry that gives a token to anybody, and two tags at once, to whoever has it."""
    every = ["1.0.0", "1.1.0", "1.2.0"]

    class Registry(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            if path == "/token":
                assert "scope=repository:a/chart:pull" in query
                self._answer(200, {"token": "t"})
            elif self.headers.get("Authorization") != "Bearer t":
                self._answer(401, {})
            else:
                last = query.partition("last=")[2]
                self._answer(200, {"tags": [tag for tag in every if tag > last][:2]})

        def _answer(self, status: int, body: Any) -> None:
            self.send_response(status)
            if status == 401:
                host = self.headers["Host"]
                self.send_header("WWW-Authenticate", f'Bearer realm="http://{host}/token",service="here"')
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_registry_that_wants_a_token_gets_one_and_all_its_tags_are_read(registry: str) -> None:
    def there(address: str) -> str:
        return versions.from_the_web(address.replace("https://anywhere", registry))

    assert versions.tags("anywhere/a/chart", there) == ["1.0.0", "1.1.0", "1.2.0"]
