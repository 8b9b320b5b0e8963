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
from local.run import PROVIDER_PREFIX
from local.types.eks import CLUSTER
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


def urns(real: RealEngine) -> set[str]:
    """What the state of the stack holds, but for providers, which the engine forgets and makes again."""
    return {one["urn"] for one in real.resources(STACK) if not one["type"].startswith(PROVIDER_PREFIX)}


def changed(real: RealEngine, *options: str) -> dict[str, str]:
    """URN -> what a preview would do to it."""
    steps: list[dict[str, Any]] = json.loads(real.pulumi("preview", "-s", STACK, "--json", *options))["steps"]
    return {one["urn"]: one["op"] for one in steps if one["op"] not in ("same", "refresh")}


@pytest.mark.usefixtures("empty")
@pytest.mark.parametrize("options", [[], ["--skip-preview"]], ids=["with a preview", "without a preview"])
def test_a_destroy_of_a_protected_stack_takes_nothing(options: list[str], real: RealEngine) -> None:
    before = urns(real), real.account()
    assert len(before[0]) > 200
    said = real.pulumi("destroy", "-s", STACK, "--yes", *options, status=FAILED)
    assert 'Protection::protection" cannot be deleted' in said
    assert (urns(real), real.account()) == before


@pytest.mark.usefixtures("empty")
def test_pipelines_show_each_deletion_but_what_goes_through_the_kubernetes_api(real: RealEngine) -> None:
    without(real, "workers", "eks.gpuNodeGroups.efa")
    all_of_it = changed(real)
    deleted = {urn for urn, op in all_of_it.items() if op == "delete" and "index:ClusterSoftware$" not in urn}
    for component in ("FargateWorkers", "GpuNodeGroup"):
        assert [one for one in deleted if f"index:{component}$aws:" in one], component
    assert any("$kubernetes:" in urn for urn in all_of_it)
    assert flags("preview") == flags("deploy-stack")
    for options in (flags("preview"), ["--refresh", *flags("drift")]):
        seen = changed(real, *options)
        assert [urn for urn in seen if "$kubernetes:" in urn] == []
        assert {urn for urn, op in seen.items() if op == "delete"} == deleted


@pytest.mark.usefixtures("empty")
def test_a_queue_leaves_a_protected_stack_by_its_name_alone(real: RealEngine) -> None:
    # the workers answer there
    without(real, "queues.results", "workers")
    said = real.pulumi("preview", "-s", STACK, status=FAILED)
    assert "queues.results: is no longer in the stack file" in said
    assert re.search(r'Queue::results(-dlq)?" cannot be deleted', said)
    queues = real.account()["sqs list_queues"]
    real.follow("docs/operations.md", "Take out a queue", stack=STACK)
    assert real.account()["sqs list_queues"] == queues - 2


def test_a_stack_goes_whose_cluster_is_gone(real: RealEngine, empty: dict[str, int]) -> None:
    end_cluster(real)
    without(real, "queues.results", "workers", "alerts.monthlyBudgetUsd")
    before = urns(real)
    # with what the pipeline leaves out nothing asks the Kubernetes API, which answers no longer
    real.pulumi("up", "-s", STACK, "--yes", "--skip-preview", *flags("deploy-stack"))
    gone = before - urns(real)
    assert any("aws:budgets/budget:Budget" in one for one in gone)
    assert not any("$kubernetes:" in one for one in gone)
    real.pulumi("state", "unprotect", "-s", STACK, "--yes", "--all")
    assert "cluster is unreachable" in real.pulumi("destroy", "-s", STACK, "--yes", "--skip-preview", status=FAILED)
    real.follow("docs/eks.md", "Tear-down", stack=STACK)
    assert real.account() == empty


def end_cluster(real: RealEngine) -> None:
    """Delete the cluster behind Pulumi's back, with its security group, which EKS deletes with it."""
    aws = Kept(real.project / FOLDER).there()
    eks = aws.client("eks")
    (cluster,) = (one for one in real.resources(STACK) if one["type"] == CLUSTER)
    name, group_id = cluster["id"], cluster["outputs"]["vpcConfig"]["clusterSecurityGroupId"]
    for group in eks.list_nodegroups(clusterName=name)["nodegroups"]:
        eks.delete_nodegroup(clusterName=name, nodegroupName=group)
    eks.delete_cluster(name=name)
    aws.client("ec2").delete_security_group(GroupId=group_id)
