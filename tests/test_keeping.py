"""What a stack keeps on Pulumi's real engine: under protection, by a pipeline from outside, without its cluster."""

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from local.kept import FOLDER, Kept
from tests.conftest import ROOT
from tests.engine_support import RealEngine

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="there is no Pulumi CLI on the PATH"),
    # one deployment, at which all of them look, and which the last of them takes down
    pytest.mark.xdist_group("keeping"),
]

STACK = "prod"
PREFIX = "distributed-training:"
FAILED = 1
"""How the CLI ends that could not do what it was asked."""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealEngine]:
    real = RealEngine(tmp_path_factory.mktemp("keeping") / "project")
    yield real
    real.stop()


@pytest.fixture(scope="module")
def empty(real: RealEngine) -> dict[str, int]:
    """The account before the stack is deployed."""
    real.pulumi("stack", "-s", STACK)
    empty = real.account()
    real.pulumi("up", "-s", STACK, "--yes", "--skip-preview")
    return empty


def flags(workflow: str) -> list[str]:
    """What a workflow leaves out, in its own words."""
    text = (ROOT / ".github" / "workflows" / f"{workflow}.yml").read_text(encoding="utf-8")
    (found,) = re.findall(r"(--exclude .*?)(?:\)| 2>&1|$)", text, re.MULTILINE)
    return [word.replace("\\$", "$") for word in shlex.split(found)]


def without(real: RealEngine, *paths: str) -> None:
    """The stack file, but for these places."""
    content = yaml.safe_load((ROOT / f"Pulumi.{STACK}.yaml").read_text(encoding="utf-8"))
    for path in paths:
        *sections, last = path.split(".")
        inside = content["config"]
        for section in sections:
            inside = inside[section if inside is not content["config"] else PREFIX + section]
        del inside[last if sections else PREFIX + last]
    (real.project / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def changed(real: RealEngine, *options: str) -> dict[str, str]:
    """URN -> what a preview would do to it."""
    steps: list[dict[str, Any]] = json.loads(real.pulumi("preview", "-s", STACK, "--json", *options))["steps"]
    return {one["urn"]: one["op"] for one in steps if one["op"] not in ("same", "refresh")}


@pytest.mark.usefixtures("empty")
@pytest.mark.parametrize("options", [["--skip-preview"], ["--skip-preview", "--continue-on-error"], []], ids=" ".join)
def test_a_destroy_of_a_protected_stack_takes_nothing(options: list[str], real: RealEngine) -> None:
    before = real.resources(STACK), real.account()
    assert len(before[0]) > 200
    said = real.pulumi("destroy", "-s", STACK, "--yes", *options, status=FAILED)
    assert 'Protection::protection" cannot be deleted' in said
    assert " deleted\n" not in said
    assert (real.resources(STACK), real.account()) == before


@pytest.mark.usefixtures("empty")
@pytest.mark.parametrize("workflow", ["preview", "drift", "deploy-stack"])
def test_a_pipeline_shows_each_deletion_but_what_goes_through_the_kubernetes_api(
    workflow: str, real: RealEngine
) -> None:
    without(real, "workers", "batch.multi", "eks.gpuNodeGroups.efa")
    refresh = ["--refresh"] if workflow == "drift" else []
    seen = changed(real, *refresh, *flags(workflow))
    assert [one for one in seen if "$kubernetes:" in one] == []
    deleted = {
        urn
        for urn, op in changed(real).items()
        if op == "delete" and "$distributed-training:index:ClusterSoftware" not in urn
    }
    assert {urn for urn, op in seen.items() if op == "delete"} == deleted
    for component in ("FargateWorkers", "BatchJobQueue", "GpuNodeGroup"):
        assert [one for one in deleted if f"index:{component}$aws:" in one], component


@pytest.mark.usefixtures("empty")
def test_a_queue_leaves_a_protected_stack_by_its_name_alone(real: RealEngine) -> None:
    without(real, "queues.results")
    said = real.pulumi("preview", "-s", STACK, status=FAILED)
    assert "queues.results: is no longer in the stack file" in said
    assert '::results-dlq" cannot be deleted' in said
    queues = real.account()["sqs list_queues"]
    real.follow("operations.md", "Take out a queue", STACK)
    assert real.account()["sqs list_queues"] == queues - 2


def test_a_stack_goes_whose_cluster_is_gone(real: RealEngine, empty: dict[str, int]) -> None:
    end_cluster(real)
    without(real, "queues.results", "workers")
    on_kubernetes = [one for one in real.resources(STACK) if "$kubernetes:" in one["urn"]]
    # what is not asked for does not go to the Kubernetes API
    assert " deleted\n" in real.pulumi("up", "-s", STACK, "--yes", "--skip-preview", *flags("deploy-stack"))
    assert [one for one in real.resources(STACK) if "$kubernetes:" in one["urn"]] == on_kubernetes
    real.pulumi("state", "unprotect", "-s", STACK, "--yes", "--all")
    assert "cluster is unreachable" in real.pulumi("destroy", "-s", STACK, "--yes", "--skip-preview", status=FAILED)
    real.follow("eks.md", "Tear-down", STACK)
    assert real.account() == empty


def end_cluster(real: RealEngine) -> None:
    """Delete the cluster behind Pulumi's back."""
    eks = Kept(real.project / FOLDER).there().client("eks")
    (name,) = eks.list_clusters()["clusters"]
    for group in eks.list_nodegroups(clusterName=name)["nodegroups"]:
        eks.delete_nodegroup(clusterName=name, nodegroupName=group)
    eks.delete_cluster(name=name)
