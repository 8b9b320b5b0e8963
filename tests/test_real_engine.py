"""The stack files on Pulumi's real engine: their life, and that both engines say the same of them."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from local import engine, stack_files
from local.aws import Aws
from local.planned import Planner
from local.provider import Provider
from local.run import Run
from stack_file import configuration
from tests.engine_support import RealEngine, differences
from tests.support import STACKS
from tests.test_properties import profile
from tests.test_properties import stack as any_stack

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="there is no Pulumi CLI on the PATH"),
]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealEngine]:
    real = RealEngine(tmp_path_factory.mktemp("engine") / "project")
    yield real
    real.stop()


def run(project: Path, stack: str, *, preview: bool) -> Run:
    """The same stack file on the engine of this project, on an AWS of its own; what is deployed is run once more.

    The program then knows what it has, as on the real engine, where the last of several deployments counts.
    """
    read = stack_files.read(project, stack)
    with Aws(read.region, read.default_tags) as aws:
        provider = Provider(aws)
        result = engine.run(read, provider, preview=preview)
        if result.error is None and not preview:
            again = engine.run(read, provider, preview=True, planner=Planner(provider, result))
            result = replace(again, created=result.created)
    if result.error is not None:
        raise result.error
    return result


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_is_made_in_two_goes_and_is_the_same_on_both_engines(stack: str, real: RealEngine) -> None:
    up = ("up", "-s", stack, "--yes", "--skip-preview")
    assert "to create" in real.pulumi("preview", "-s", stack)
    empty = real.account()
    assert "update canceled" in real.break_off(*up)
    finished = real.pulumi(*up)
    assert " created\n" in finished
    assert " unchanged\n" in finished
    real.pulumi("refresh", "-s", stack, "--yes", "--skip-preview", "--expect-no-changes")
    assert "distributed-training@v1.0.0" in real.pulumi(*up, "--expect-no-changes", "--policy-pack", "policy")
    exports = json.loads(real.pulumi("stack", "output", "-s", stack, "--json"))
    assert differences(run(real.project, stack, preview=False), real.resources(stack), exports) == []
    real.unprotect(stack)
    real.follow("docs/operations.md", "Destroying", stack=stack)
    assert real.account() == empty


@settings(profile, max_examples=4)
@given(sections=st.booleans().flatmap(lambda eks: any_stack(eks=eks)))
def test_both_engines_preview_the_same_of_a_stack_that_nobody_thought_of(
    sections: dict[str, Any], real: RealEngine
) -> None:
    config = {f"distributed-training:{key}": value for key, value in sections.items()}
    content = {"config": {"aws:region": "us-west-2", **config}}
    (real.project / "Pulumi.drawn.yaml").write_text(yaml.safe_dump(content))
    steps = json.loads(real.pulumi("preview", "-s", "drawn", "--json"))["steps"]
    states = [step["newState"] for step in steps]
    assert differences(run(real.project, "drawn", preview=True), states, None) == []


SURPRISES = """\
config:
  aws:region: us-west-2
  distributed-training:queues: {a: yes, b: 1:30, c: 4.0, d: 5e4, e: 0o17, f: 017, g: 1_000, h: ~, i: 1.35, j: 0x1F}
  distributed-training:batch: {a: 1e400, b: 0b11, c: -0, d: 1., e: .5, f: TRUE, g: 08, h: 12345678901234567890123}
  distributed-training:eks: {1: a, true: b, 1.5: c, 017: d, a: !!str 5, b: !!int "7", c: !!float 3}
  distributed-training:alerts: &x {b: 1, c: [2]}
  distributed-training:artifacts: {<<: *x, c: 3}
  distributed-training:network: [2026-01-02, 2026-1-2, 2026-01-02 3:04:05, 2026-01-02T03:04:05.60Z, 2026-13-02]
  distributed-training:more: [2026-01-02T03:04:05, 2026-01-02t03:04:05+02:00, 2026-01-02 03:04:05Z, 2026-02-30]
  distributed-training:workers: 1.0
  distributed-training:teams: yes
  protect: 0o17
"""
"""What YAML 1.1 and 1.2, and Python and Go, do not all take for the same."""


def test_a_value_is_to_both_what_it_is_to_the_cli(real: RealEngine) -> None:
    (real.project / "Pulumi.yaml12.yaml").write_text(SURPRISES)
    configured = json.loads(real.pulumi("config", "-s", "yaml12", "--json"))
    ours = {key: configuration.parsed(text) for key, text in stack_files.read(real.project, "yaml12").config.items()}
    assert {key: configuration.parsed(one["value"]) for key, one in configured.items()} == ours


WRONG = """\
config:
  aws:region: us-west-2
  aws:regoin: us-west-2
  distributed-training:network: {availabilityZones: 5}
  distributed-training:queues: {tasks: {maxReceiveCont: 3}}
  distributed-training:batch: {single: {instanceTypes: [g6.12xlrge], secrets: {TOKEN: hunter2}}}
  distributed-training:alerts: {since: 1}
  distributed-training:protect: yes
"""


def test_the_cli_says_of_a_wrong_stack_file_what_a_preview_here_says(real: RealEngine) -> None:
    (real.project / "Pulumi.wrong.yaml").write_text(WRONG)
    preview = real.local("preview", "--stack", "wrong")
    ours = preview.communicate()[0].removeprefix("error: ").replace("\nerror: ", "\n").splitlines()
    assert len(ours) == 3 * 7
    for command in (["preview"], ["up", "--yes", "--skip-preview"]):
        theirs = [line[4:] for line in real.pulumi(*command, "-s", "wrong", status=1).splitlines()]
        begin = next(index for index, line in enumerate(theirs) if line == f"error: {ours[0]}")
        assert theirs[begin + 1 : begin + len(ours)] == ours[1:]
    # a configuration from elsewhere has no place in the stack's own file
    elsewhere = real.project / "elsewhere.yaml"
    elsewhere.write_text(WRONG.replace("availabilityZones: 5", "availabilityZones: 6"))
    said = real.pulumi("preview", "-s", "wrong", "--config-file", str(elsewhere), status=1)
    assert "\n    network.availabilityZones: must be at most the 4 of us-west-2, got 6\n" in said
