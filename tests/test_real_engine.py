"""The stack files on Pulumi's real engine: their life, and that both engines say the same of them."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from local import engine, stack_files
from local.aws import Aws
from local.provider import Provider
from local.run import Run
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
    """The same stack file on the engine of this project, on an AWS of its own."""
    read = stack_files.read(project, stack)
    with Aws(read.region, read.default_tags) as aws:
        result = engine.run(read, Provider(aws), preview=preview)
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
    real.follow("operations.md", "Destroying", stack)
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
