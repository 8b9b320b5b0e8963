"""`python -m local preview --against`: an edit of a stack file, beside a stack that was deployed from another."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local import against, command_line
from local.against import EarlierError, Plan
from local.edits import Edit, Operation
from tests.conftest import SMALL_STACK

Said = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def edited(small_project: Path) -> Path:
    """The small project in a git history of its own, whose stack file has another queue than in its commit."""
    assert not (small_project / ".git").exists()
    for arguments in (["init", "-q"], ["add", "Pulumi.dev.yaml"], ["commit", "-q", "-m", "as it was"]):
        who = ("-c", "user.name=A", "-c", "user.email=a@example.com")
        subprocess.run(["git", *who, *arguments], cwd=small_project, check=True)
    text = SMALL_STACK.replace("results: {}", "answers: {}").replace("maxReceiveCount: 3", "maxReceiveCount: 4")
    (small_project / "Pulumi.dev.yaml").write_text(text)
    return small_project


@pytest.fixture
def preview(edited: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Status and lines of a preview where there is no Pulumi CLI: what it says, or its errors."""

    def run(*arguments: str) -> tuple[int, list[str]]:
        monkeypatch.setattr(command_line, "PROJECT", edited)
        monkeypatch.setenv("PATH", "/usr/bin:/bin")
        monkeypatch.chdir(edited)
        status = command_line.main(["preview", *arguments])
        said = capsys.readouterr()
        return status, (said.err if status else said.out).splitlines()

    return run


CHANGED = {
    "created": {"answers", "answers-dlq"},
    "updated": {"tasks"},
    "replaced": set[str](),
    "deleted": {"results", "results-dlq"},
}
"""What becomes of the queues of the small project."""


def queues(document: dict[str, Any]) -> dict[str, set[str]]:
    return {done: {one["name"] for one in document[done] if one["type"] == "aws:sqs/queue:Queue"} for done in CHANGED}


def test_an_edit_is_shown_beside_a_revision_and_what_is_lost_comes_last(preview: Said) -> None:
    status, lines = preview("--against", "HEAD")
    assert status == 0, lines
    assert lines[0].startswith("against Pulumi.dev.yaml of HEAD (")
    assert "https://www.pulumi.com/docs/install/" in lines[0]
    assert "  aws:sqs/queue:Queue tasks: redrivePolicy" in lines
    assert "  aws:sqs/queue:Queue answers, answers-dlq" in lines
    assert [line.split(":")[0] for line in lines if line.startswith("cost ")] == ["cost before", "cost after"]
    assert lines[-2:] == [
        "  lost: Queue results, Queue results-dlq: the messages in it are gone",
        "    first: send nothing more to it and deploy when it is empty",
    ]


def test_a_file_is_another_stack_to_compare_with_and_machines_get_json(preview: Said, edited: Path) -> None:
    (edited / "before.yaml").write_text(SMALL_STACK)
    document = json.loads("".join(preview("--against", "before.yaml", "--json")[1]))
    assert document["against"] == "before.yaml"
    assert queues(document) == CHANGED
    assert [(one["work"], len(one["urns"])) for one in document["work"]] == [("lost", 2)]
    assert set(document["cost"]) == {"before", "after"}
    assert document["mistakes"] == []


def test_the_same_stack_file_changes_nothing(preview: Said) -> None:
    _, lines = preview("--against", "Pulumi.dev.yaml")
    assert "nothing would change" in lines
    assert lines[-1] == "running work: nothing happens to it"


@pytest.mark.engine
@pytest.mark.skipif(shutil.which("pulumi") is None, reason="there is no Pulumi CLI on the PATH")
def test_pulumis_own_engine_says_it_where_its_cli_is_and_nothing_stays_behind(edited: Path, tmp_path: Path) -> None:
    before = {one.name for one in edited.iterdir()}
    path = f"{Path(str(shutil.which('pulumi'))).parent}:/usr/bin:/bin"
    said = subprocess.run(
        [sys.executable, "-m", "local", "preview", "--against", "HEAD", "--json"],
        cwd=edited,
        env={"PATH": path, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert queues(json.loads(said.stdout)) == CHANGED
    assert {one.name for one in edited.iterdir()} - before <= {".cache"}
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith("local-")] == []


@pytest.mark.parametrize(
    ("content", "against_", "line"),
    [
        (SMALL_STACK, "no-such", "--against no-such: is neither a file nor a revision that git knows here"),
        ("config: {}", "before.yaml", "before.yaml: aws:region: is required"),
        (f"{SMALL_STACK}  distributed-training:more: 1\n", "before.yaml", "before.yaml:5:3: more: is no section"),
        (
            SMALL_STACK.replace("us-west-2", "us-east-1"),
            "before.yaml",
            "aws:region: must be that of before.yaml (us-east-1), got 'us-west-2'; a stack cannot move",
        ),
    ],
)
def test_what_cannot_be_compared_with_is_a_line(
    content: str, against_: str, line: str, preview: Said, edited: Path
) -> None:
    (edited / "before.yaml").write_text(content)
    status, [said, *_] = preview("--against", against_)
    assert status == 1
    assert said.startswith(f"error: {line}")


def test_a_stack_file_that_the_revision_does_not_have_is_a_line(edited: Path) -> None:
    with pytest.raises(EarlierError, match=r"--against HEAD: Pulumi.other.yaml is not in commit [0-9a-f]{7}"):
        against.earlier(edited, "other", "HEAD")


def edit(name: str, operation: Operation, *changed: str, type_: str = "aws:sqs/queue:Queue") -> Edit:
    return Edit(urn=f"urn::{type_}::{name}", type=type_, name=name, operation=operation, changed=changed)


def test_resources_with_the_same_changes_are_one_line_and_tags_alone_a_number() -> None:
    plan = Plan(
        edits=[
            edit("b", "update", "name"),
            edit("a", "update", "name"),
            edit("c", "update", "tagsAll"),
            edit("d", "delete", type_="aws:ec2/vpc:Vpc"),
        ]
    )
    assert list(against.lines(plan)) == [
        "updated: 3, 1 of them in their tags alone",
        "  aws:sqs/queue:Queue a, b: name",
        "deleted: 1",
        "  aws:ec2/vpc:Vpc d",
    ]


def test_what_is_refused_does_nothing_to_running_work() -> None:
    queue = edit("a", "delete")
    assert list(Plan(edits=[queue], protected=frozenset({queue.urn})).effects()) == [against.PROTECTED]
    assert [effect.work for effect in Plan(edits=[queue]).effects()] == ["lost"]


def test_steps_of_the_engine_become_edits() -> None:
    def step(op: str, type_: str = "aws:sqs/queue:Queue", custom: bool = True, **more: Any) -> dict[str, Any]:
        state = {"type": type_, "custom": custom, "inputs": {"a": 1}}
        return {"op": op, "urn": f"urn::{type_}::{op}", "oldState": state, "newState": state, **more}

    found = list(
        against.edits(
            [
                step("same"),
                step("create", custom=False),
                step("update", "pulumi:providers:kubernetes"),
                step("create-replacement"),
                step("create"),
                step("update", detailedDiff={"a[0].b": {}}, diffReasons=["a", "tagsAll"]),
                step("replace", detailedDiff={}, diffReasons=["tagsAll"]),
            ]
        )
    )
    assert [(one.operation, one.changed) for one in found] == [
        ("create", ()),
        ("update", ("a.b",)),
        ("replace", ("tagsAll",)),
    ]
    assert (found[0].before, found[1].before, found[1].after) == ({}, {"a": 1}, {"a": 1})
