"""The pipelines, in what linters do not see; their scripts are run here as GitHub runs them."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata, resources
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from local import stack_files
from tests.conftest import ROOT
from tests.support import STACKS

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FILES = [*WORKFLOWS, *sorted(GITHUB.glob("actions/*/action.yml"))]
CONTENT: dict[str, dict[str, Any]] = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in FILES}
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")
"""How GitHub runs a script whose shell is `bash`."""


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in CONTENT[path.stem]["jobs"].items():
            yield f"{path.stem}.{name}", job


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, job in jobs():
        yield from ((name, step) for step in job.get("steps", []))
    yield from (("action", step) for step in CONTENT["action"]["runs"]["steps"])


def step(where: str, name: str) -> dict[str, Any]:
    (found,) = (one for owner, one in steps() if owner == where and one.get("name") == name)
    return found


def run_script(script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a step's script in the project, with the programs in the folder before all others."""
    return subprocess.run(
        [*BASH, script],
        cwd=ROOT,
        env={"PATH": f"{folder}:{os.environ['PATH']}", "RUNNER_TEMP": str(folder), **environment},
        text=True,
        capture_output=True,
        check=False,
    )


def stand_in(folder: Path, program: str, body: str) -> None:
    """A program that writes its arguments, a line each, to `called` and then does this."""
    path = folder / program
    path.write_text(f'#!/bin/bash\nprintf "%s\\n" "$@" >> "{folder}/called"\n{body}\n', encoding="utf-8")
    path.chmod(0o755)


def test_every_action_of_others_is_pinned_to_a_commit_that_names_its_version() -> None:
    pins: dict[str, set[str]] = {}
    for path in FILES:
        for used in re.findall(r"uses: (.+)", path.read_text(encoding="utf-8")):
            if not used.startswith("./"):
                pinned = re.fullmatch(r"([\w-]+/[\w-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)", used)
                assert pinned, f"{path.name}: {used}"
                pins.setdefault(pinned[1], set()).add(pinned[2])
    assert pins
    assert {action: len(commits) for action, commits in pins.items() if len(commits) > 1} == {}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_nothing_is_permitted_but_what_a_job_asks_for(path: Path) -> None:
    assert CONTENT[path.stem]["permissions"] == {}
    for job in CONTENT[path.stem]["jobs"].values():
        assert set(job["permissions"]) <= {"contents", "id-token", "issues", "pull-requests"}
        assert job["permissions"]["contents"] == "read"


def test_no_job_runs_for_ever_and_no_checkout_leaves_its_token() -> None:
    for name, job in jobs():
        assert "uses" in job or job["timeout-minutes"] <= 180, name
    for name, one in steps():
        if one.get("uses", "").startswith("actions/checkout@"):
            assert {key: value for key, value in one["with"].items() if key != "fetch-depth"} == {
                "persist-credentials": False
            }, name


def test_a_deployment_has_credentials_for_as_long_as_it_may_take() -> None:
    (deploy,) = CONTENT["deploy-stack"]["jobs"].values()
    (action,) = (one for one in deploy["steps"] if one.get("uses") == "./.github/actions/pulumi")
    assert action["with"]["role-seconds"] >= deploy["timeout-minutes"] * 60


def test_a_fork_never_gets_a_token_for_aws() -> None:
    for name, job in jobs():
        if name.startswith("preview.") and "id-token" in job["permissions"]:
            assert job["if"] == "github.event.pull_request.head.repo.full_name == github.repository", name


def test_every_stack_file_is_previewed_deployed_and_watched() -> None:
    for workflow in ("preview", "drift"):
        assert sorted(CONTENT[workflow]["jobs"][workflow]["strategy"]["matrix"]["stack"]) == sorted(STACKS)
    deployments = [(name, job["with"]["stack"]) for name, job in CONTENT["deploy"]["jobs"].items() if "with" in job]
    assert sorted(deployments) == sorted((stack, stack) for stack in STACKS)


def test_nothing_is_previewed_or_deployed_that_was_not_checked_and_tested() -> None:
    tested = {step["run"] for name, step in steps() if name.startswith("test.") and "run" in step}
    assert {"make check", "make test"} <= tested
    assert all("if" not in job and "continue-on-error" not in job for job in CONTENT["test"]["jobs"].values())
    for workflow, first in (("preview", "preview"), ("deploy", "dev")):
        assert CONTENT[workflow]["jobs"]["test"]["uses"] == "./.github/workflows/test.yml"
        assert CONTENT[workflow]["jobs"][first]["needs"] == "test"


def test_a_pipeline_installs_nothing_that_is_not_locked() -> None:
    for name, one in steps():
        for command in one.get("run", "").splitlines():
            if re.search(r"\bpip install\b", command):
                assert "--require-hashes" in command, name
            # what it would install is not locked
            assert "pulumi install" not in command, name


def test_the_thorough_tests_run_every_night() -> None:
    assert [one["run"] for name, one in steps() if name == "nightly.test" and "run" in one] == [
        "make test-thorough",
        ".venv/bin/python -m pytest -m registry",
    ]
    # YAML reads the key `on` as true
    assert [set(one) for one in cast("Any", CONTENT["nightly"])[True]["schedule"]] == [{"cron"}]


def test_an_environment_is_deployed_once_the_one_before_it_is() -> None:
    deployments = CONTENT["deploy"]["jobs"]
    assert [(name, job.get("needs")) for name, job in deployments.items()] == [
        ("test", None),
        ("dev", "test"),
        ("staging", "dev"),
        ("prod", "staging"),
    ]
    (deploy,) = CONTENT["deploy-stack"]["jobs"].values()
    assert deploy["environment"] == "${{ inputs.stack }}"
    assert deploy["concurrency"] == {"group": "deploy-${{ inputs.stack }}", "cancel-in-progress": False}


@pytest.mark.parametrize("stack", STACKS)
def test_the_cli_and_the_region_are_the_projects_own(stack: str, tmp_path: Path) -> None:
    output = tmp_path / "output"
    script = step("action", "Read the versions and the region from the project")["run"]
    assert run_script(script, tmp_path, STACK=stack, GITHUB_OUTPUT=str(output)).returncode == 0
    assert output.read_text().splitlines() == [
        f"cli={metadata.version('pulumi')}",
        f"region={stack_files.read(ROOT, stack).region}",
    ]


@pytest.mark.parametrize("provider", ["aws", "eks", "kubernetes"])
def test_a_provider_plugin_has_the_version_that_requirements_pin(provider: str) -> None:
    # `pulumi install` takes the plugins from the packages that the program requires, unless Pulumi.yaml says otherwise
    assert "plugins" not in yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    plugin = json.loads(resources.files(f"pulumi_{provider}").joinpath("pulumi-plugin.json").read_text())
    assert plugin["resource"]
    assert plugin["name"] == provider
    assert f"pulumi-{provider}=={plugin['version']}" in (ROOT / "requirements.txt").read_text().splitlines()


@pytest.mark.parametrize(
    ("script", "folder"),
    [(one["run"], owner) for owner, one in steps() if "run" in one],
    ids=lambda value: value.splitlines()[0],
)
def test_every_script_passes_shellcheck(script: str, folder: str) -> None:
    checked = subprocess.run(
        [Path(sys.executable).with_name("shellcheck"), "--shell=bash", "-"],
        input=f"set -eo pipefail\n{script}",
        text=True,
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0, f"{folder}: {checked.stdout}"


@pytest.mark.parametrize(
    ("workflow", "name", "file"), [("preview", "Preview", "preview.txt"), ("drift", "Compare", "drift.txt")]
)
def test_a_preview_that_fails_fails_its_step_and_leaves_what_it_said(
    workflow: str, name: str, file: str, tmp_path: Path
) -> None:
    stand_in(tmp_path, "pulumi", "echo out; echo err >&2; exit 4")
    ended = run_script(step(f"{workflow}.{workflow}", name)["run"], tmp_path, STACK="dev")
    assert ended.returncode == 4
    assert sorted((tmp_path / file).read_text().split()) == sorted(ended.stdout.split()) == ["err", "out"]


@pytest.mark.parametrize(("edited", "said"), [(False, "Pulumi.dev.yaml is not edited.\n"), (True, "dev HEAD^\n")])
def test_an_edited_stack_file_is_previewed_beside_what_it_would_be_merged_into(
    edited: bool, said: str, tmp_path: Path
) -> None:
    (checkout,) = (
        one
        for name, one in steps()
        if name == "preview.preview" and one.get("uses", "").startswith("actions/checkout@")
    )
    assert checkout["with"]["fetch-depth"] == 2
    stand_in(tmp_path, "git", f"exit {int(edited)}")
    stand_in(tmp_path, "python", 'echo "$5 $7"')
    script = step("preview.preview", "Say what the edit does to running work")["run"].replace(".venv/bin/", "")
    assert run_script(script, tmp_path, STACK="dev").returncode == 0
    assert (tmp_path / "edit.txt").read_text() == said


def test_a_comment_says_both_what_the_edit_does_and_what_aws_says(tmp_path: Path) -> None:
    (tmp_path / "edit.txt").write_text("running work: nothing happens to it\n")
    (tmp_path / "preview.txt").write_text("+ aws:sqs/queue:Queue\n")
    stand_in(tmp_path, "python3", "")
    ended = run_script(step("preview.preview", "Comment")["run"], tmp_path, STACK="dev", NUMBER="12")
    assert ended.returncode == 0, ended.stderr
    said = (tmp_path / (tmp_path / "called").read_text().split()[-1]).read_text()
    assert said == "running work: nothing happens to it\n\n+ aws:sqs/queue:Queue\n"


def test_each_stack_has_a_runner_of_its_own() -> None:
    asked = {name: job["with"] for name, job in CONTENT["deploy"]["jobs"].items() if "with" in job}
    runners = {given["stack"]: given["runner"] for given in asked.values()}
    assert runners == {stack: f"${{{{ vars.RUNNER_{stack.upper()} }}}}" for stack in STACKS}
    deploy = CONTENT["deploy-stack"]["jobs"]["deploy"]
    assert deploy["runs-on"] == "${{ format(inputs.runner || 'ubuntu-24.04', github.run_id, github.run_attempt) }}"
    assert step("deploy-stack.deploy", "Deploy")["env"]["RUNNER"] == "${{ inputs.runner }}"


@pytest.mark.parametrize(("runner", "left_out"), [("", True), ("inside", False)])
def test_what_only_a_runner_inside_the_vpc_reaches_is_left_to_it(runner: str, left_out: bool, tmp_path: Path) -> None:
    stand_in(tmp_path, "pulumi", "")
    ended = run_script(step("deploy-stack.deploy", "Deploy")["run"], tmp_path, STACK="prod", RUNNER=runner)
    called = (tmp_path / "called").read_text().split()
    assert ended.returncode == 0
    assert called[:3] == ["up", "--stack", "prod"]
    assert ("**$kubernetes:**" in called) == ("--exclude" in called) == ("::warning::" in ended.stdout) == left_out


def report(folder: Path, *arguments: str, said: str) -> tuple[list[str], dict[str, str]]:
    """What `gh` was called with at last, and what it was given."""
    (folder / "said").write_text(said, encoding="utf-8")
    stand_in(
        folder, "gh", f'if [[ $* == *--slurp* ]]; then cat "{folder}/there"; else cat > "{folder}/given"; echo {{}}; fi'
    )
    subprocess.run(
        [sys.executable, "-m", "tools.github", *arguments, folder / "said"],
        cwd=ROOT,
        env={
            "PATH": f"{folder}:{os.environ['PATH']}",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REPOSITORY": "owner/repo",
            "GITHUB_RUN_ID": "7",
        },
        check=True,
    )
    return (folder / "called").read_text().split(), json.loads((folder / "given").read_text())


def there(folder: Path, *comments: tuple[str, str | None]) -> None:
    """What GitHub already has, in pages of one: author and text."""
    pages = [
        [{"user": {"login": author}, "body": text, "url": f"https://api/{number}"}]
        for number, (author, text) in enumerate(comments)
    ]
    (folder / "there").write_text(json.dumps(pages), encoding="utf-8")


def test_the_first_preview_of_a_stack_makes_a_comment(tmp_path: Path) -> None:
    there(
        tmp_path,
        ("somebody", "### Preview of dev\n"),
        ("github-actions[bot]", "### Preview of dev2\n"),
        ("github-actions[bot]", None),
    )
    called, given = report(tmp_path, "comment", "12", "Preview of dev", said="+ aws:sqs/queue:Queue")
    assert called[-5:] == ["--method", "POST", "repos/owner/repo/issues/12/comments", "--input", "-"]
    assert given["body"].startswith("### Preview of dev\n")
    assert "\n+ aws:sqs/queue:Queue\n" in given["body"]
    assert "https://github.com/owner/repo/actions/runs/7" in given["body"]


def test_a_later_preview_writes_over_it(tmp_path: Path) -> None:
    there(tmp_path, ("github-actions[bot]", "another"), ("github-actions[bot]", "### Preview of dev\n\nold"))
    called, _ = report(tmp_path, "comment", "12", "Preview of dev", said="new")
    assert called[-5:] == ["--method", "PATCH", "https://api/1", "--input", "-"]


def test_drift_is_an_issue_of_its_own(tmp_path: Path) -> None:
    there(tmp_path)
    called, given = report(tmp_path, "issue", "Drift in prod", said="~ tags")
    assert called[-5:] == ["--method", "POST", "repos/owner/repo/issues", "--input", "-"]
    assert given["title"] == "Drift in prod"
    assert "\n~ tags\n" in given["body"]


def test_what_is_too_long_for_github_is_cut_and_says_so(tmp_path: Path) -> None:
    there(tmp_path)
    _, given = report(tmp_path, "comment", "12", "Preview of dev", said="é\n" * 70_000)
    assert len(given["body"]) == 65_536
    assert "cut off here" in given["body"]
    assert given["body"].endswith("actions/runs/7).\n")
    _, given = report(tmp_path, "comment", "12", "Preview of dev", said="é" * 60_000)
    assert "cut off here" not in given["body"]
