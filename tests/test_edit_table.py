"""docs/changes.md: every row is as the engine of this project plans it, and Pulumi's own engine plans the same."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.against import Plan, previewed
from local.aws import Aws
from local.clis import Engine
from tests.conftest import ROOT
from tools import changes
from tools.changes import ROWS, Row

ALL = [row for rows in ROWS.values() for row in rows]
PAGE = changes.PAGE.read_text(encoding="utf-8").partition(changes.BEGIN)[2].partition(changes.END)[0]
LINES = [line for line in PAGE.splitlines() if line.startswith("| ") and " | " in line]


def test_every_section_of_a_stack_file_is_edited_and_most_of_its_keys() -> None:
    assert len(ALL) >= 40
    touched = {place.split(".")[0] for row in ALL for place in row.changes}
    sections = {
        "network",
        "artifacts",
        "queues",
        "batch",
        "workers",
        "eks",
        "teams",
        "alerts",
        "iam",
        "logs",
        "protect",
    }
    assert touched == sections | {"tags"}


def test_the_page_has_a_row_for_each_edit_in_order() -> None:
    said = [line.split(" | ")[0].removeprefix("| ") for line in LINES]
    assert [one for one in said if one not in ("edit", "---")] == [row.edit for row in ALL]


def test_no_row_ends_work_or_loses_something_without_saying_what_to_do_first() -> None:
    for line in LINES:
        for effect in line.split(" | ")[-1].split("<br>"):
            if re.match(r"\*\*(lost|stopped|goes on)\*\*", effect):
                assert "*First*" in effect, line


@pytest.fixture(scope="module")
def plan() -> Iterator[Callable[[Row], Plan]]:
    with changes.deployed() as plan:
        yield plan


@pytest.mark.engine
@pytest.mark.parametrize("section", ROWS)
def test_a_row_says_what_an_edit_does(section: str, plan: Callable[[Row], Plan]) -> None:
    current = [changes.cells(row, plan(row)) for row in ROWS[section]]
    assert [line for line in current if line not in LINES] == [], "python -m tools.changes writes the page anew"


def rounds(*, protect: bool) -> list[dict[str, Any]]:
    """All edits, as many together as leave each other alone."""
    rows = [row for row in ALL if row.protect is protect]
    found: list[dict[str, Any]] = []
    for row in rows:
        if not row.alone:
            free = (one for one in found if not any(_meet(a, b) for a in one for b in row.changes))
            together = next(free, None)
            if together is None:
                found.append(dict(row.changes))
            else:
                together.update(row.changes)
    return found + [dict(row.changes) for row in rows if row.alone]


def _meet(one: str, other: str) -> bool:
    """Whether two places are in one thing: a queue, a job queue, a node group, the network; or one is in the other."""
    depths = {"network": 1, "eks.gpuNodeGroups": 3, "workers": 3}
    first, second = (
        place.split(".")[: next((depth for top, depth in depths.items() if place.startswith(top)), 2)]
        for place in (one, other)
    )
    return all(a == b for a, b in zip(first, second, strict=False))


def test_edits_are_tried_together_where_they_leave_each_other_alone() -> None:
    assert _meet("batch.single.image", "batch.single.vcpus")
    assert _meet("batch", "batch.single.vcpus")
    assert not _meet("batch.single.image", "batch.multi.image")
    assert not _meet("eks.gpuNodeGroups.gpu", "eks.gpuNodeGroups.efa.maxSize")


@pytest.mark.engine
@pytest.mark.skipif(shutil.which("pulumi") is None, reason="there is no Pulumi CLI on the PATH")
@pytest.mark.parametrize("protect", [False, True], ids=["unguarded", "guarded"])
def test_pulumis_own_engine_plans_the_same_edits(protect: bool, plan: Callable[[Row], Plan], tmp_path: Path) -> None:
    file = tmp_path / "stack.yaml"
    cli = Engine(tmp_path)

    def configure(edit: dict[str, Any]) -> None:
        file.write_text(yaml.safe_dump({"config": changes.edited({"protect": protect, **edit})}))
        cli.configure(changes.STACK, file)

    with Aws(changes.REGION, changes.TAGS) as aws:
        file.touch()
        cli.prepare(ROOT, aws, changes.STACK)
        configure({})
        up = cli.run("up", "--stack", changes.STACK, "--yes", "--skip-preview")
        assert up.returncode == 0, up.stdout + up.stderr
        unlike: list[str] = []
        for edit in rounds(protect=protect):
            configure(edit)
            theirs, ours = (
                facts(previewed(cli, changes.STACK)),
                facts(plan(Row(edit="", changes=edit, protect=protect))),
            )
            unlike += [
                f"{sorted(edit)}: {key}: {theirs.get(key)} and {ours.get(key)}"
                for key in theirs | ours
                if theirs.get(key) != ours.get(key)
            ]
    assert unlike == []


def refused(plan: Plan) -> set[str]:
    """What is refused; the engine names its place in the file too."""
    found = (re.match(r"(?:Pulumi\S+:\d+:\d+: )?([a-z][\w.-]*): ", line) for line in plan.mistakes)
    return {one[1] for one in found if one is not None}


def facts(plan: Plan) -> dict[str, Any]:
    """URN -> what happens to it, and whether something is refused; then the engine does not look at all of it."""
    happens = {one.urn: (one.operation, one.changed) for one in plan.edits if not plan.protected}
    return happens | {"protected": bool(plan.protected), "mistakes": refused(plan)}
