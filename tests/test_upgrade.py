"""From the newest release to the program as it is now: what is replaced, deleted or refused is in the upgrade notes."""

import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import pytest

from local import engine, stack_files
from local.against import previewed, short
from local.aws import Aws
from local.clis import Engine
from local.provider import Provider
from tests.conftest import ROOT
from tests.support import STACKS

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Release:
    version: str
    commit: str


def releases() -> Iterator[Release]:
    """The releases, the newest first."""
    for section in re.split(r"^## ", CHANGELOG, flags=re.MULTILINE)[1:]:
        heading, _, text = section.partition("\n")
        if heading.strip() != "Unreleased":
            version = heading.split(" - ")[0]
            commit = re.search(r"^Commit ([0-9a-f]{7,40})\b", text, flags=re.MULTILINE)
            assert commit is not None, f"{version}: no line `Commit HASH`"
            yield Release(version, commit[1])


NEWEST = next(releases())


def notes() -> str:
    """What the upgrade from the newest release is said to take."""
    unreleased = CHANGELOG.partition("## Unreleased\n")[2].partition("\n## ")[0]
    _, found, text = unreleased.partition(f"### Upgrade from {NEWEST.version}\n")
    assert found, f"## Unreleased has no ### Upgrade from {NEWEST.version}"
    return text.partition("\n### ")[0]


def noted(word: str, text: str) -> str:
    """What notes say in the lines that begin so."""
    return " ".join(re.findall(rf"^- {word}: (.*(?:\n  .*)*)", text, flags=re.MULTILINE))


def types(said: str) -> set[str]:
    """The resource types that a line names."""
    return set(re.findall(r"`([A-Z]\w+)`", said))


def git(*arguments: str) -> bytes | None:
    asked = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True)
    return asked.stdout if asked.returncode == 0 else None


def has_history() -> bool:
    return git("cat-file", "-e", f"{NEWEST.commit}^{{commit}}") is not None


def test_every_release_names_its_commit() -> None:
    assert [one.version for one in releases()]
    assert len({one.commit for one in releases()}) == len(list(releases()))


def test_notes_name_types_and_sections() -> None:
    text = "- Replaced: the `Service` of\n  the workers, its `TaskDefinition`.\n- Edit: `workers` is a map.\n"
    assert types(noted("Replaced", text)) == {"Service", "TaskDefinition"}
    assert types(noted("Deleted", text)) == set()
    assert noted("Edit", text) == "`workers` is a map."


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program and the stack files of the newest release."""
    archive = git("archive", NEWEST.commit) if has_history() else None
    if archive is None:
        pytest.skip(f"git's history has no commit {NEWEST.commit} here, as in a shallow checkout")
    folder = tmp_path_factory.mktemp("release")
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder


def test_every_commit_of_a_release_is_one_of_this_project() -> None:
    if not has_history():
        pytest.skip(f"git's history has no commit {NEWEST.commit} here, as in a shallow checkout")
    for one in releases():
        assert git("merge-base", "--is-ancestor", one.commit, "HEAD") is not None, one


def test_a_stack_file_of_the_newest_release_is_right_or_the_notes_say_how_to_edit_it(release: Path) -> None:
    for file in release.glob("Pulumi.*.yaml"):
        read = replace(stack_files.read(release, file.name.split(".")[1]), program=ROOT)
        with Aws(read.region, read.default_tags, managed_policies=False) as aws:
            error = engine.run(read, Provider(aws), preview=True).error
        sections = {line.partition(":")[0].partition(".")[0] for line in str(error or "").splitlines()}
        edits = noted("Edit", notes())
        assert [one for one in sorted(sections) if f"`{one}" not in edits] == [], f"{file.name}: {error}"


@pytest.mark.engine
@pytest.mark.skipif(shutil.which("pulumi") is None, reason="there is no Pulumi CLI on the PATH")
def test_what_an_upgrade_replaces_deletes_or_refuses_is_in_its_notes(release: Path, tmp_path: Path) -> None:
    done: dict[str, set[str]] = {"Replaced": set(), "Deleted": set(), "Refused": set()}
    for stack in STACKS:
        if not (release / f"Pulumi.{stack}.yaml").exists():
            continue
        read = stack_files.read(release, stack)
        (tmp_path / stack).mkdir()
        with Aws(read.region, read.default_tags) as aws:
            cli = Engine(tmp_path / stack)
            deploy(cli, release, aws, stack)
            # the stack file of today has the edits that the notes ask for
            cli.prepare(ROOT, aws, stack)
            plan = previewed(cli, stack)
            assert plan.mistakes == []
            for word, operation in (("Replaced", "replace"), ("Deleted", "delete")):
                done[word] |= {short(one.type) for one in plan.edits if one.operation == operation}
            done["Refused"] |= {short(one.type) for one in plan.edits if one.urn in plan.protected}
            # one shows that it goes to its end
            if stack == STACKS[0]:
                deploy(cli, ROOT, aws, stack)
                assert previewed(cli, stack).edits == [], "the deployment after the upgrade changes more"
    assert done == {word: types(noted(word, notes())) for word in done}


def deploy(cli: Engine, program: Path, aws: Aws, stack: str) -> None:
    cli.prepare(program, aws, stack)
    up = cli.run("up", "--stack", stack, "--yes", "--skip-preview")
    assert up.returncode == 0, up.stdout + up.stderr
