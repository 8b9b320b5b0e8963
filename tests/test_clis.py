"""The CLIs on the AWS that stays, with a stand-in for Pulumi's that says how it was started."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.support import write_program

STAND_IN = """
import json, os, pathlib, sys
if sys.argv[1:3] == ["stack", "init"]:
    state = pathlib.Path(os.environ["PULUMI_BACKEND_URL"].removeprefix("file://"), ".pulumi/stacks/project")
    state.mkdir(parents=True, exist_ok=True)
    (state / f"{sys.argv[3]}.json").touch()
    with open(f"Pulumi.{sys.argv[3]}.yaml", "a") as file:
        file.write("encryptionsalt: v1:{}\\n".format(len(list(state.iterdir()))))
    sys.exit()
print(json.dumps({
    "arguments": sys.argv[1:],
    "environment": dict(os.environ),
    "files": {str(one): one.read_text() for one in pathlib.Path().glob("Pulumi.*.yaml")},
    "python": [str(pathlib.Path(one, ".venv").resolve()) for one in (".", "policy")],
}))
sys.exit(7)
"""

Local = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose program is this one."""
    project = tmp_path / "a project"
    project.mkdir()
    for name in ("local", "policy", "stack_file"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns(".venv"))
    for file in ROOT.glob("Pulumi*.yaml"):
        shutil.copy(file, project)
    return project


@pytest.fixture
def local(project: Path, tmp_path: Path) -> Iterator[Local]:
    write_program(tmp_path / "pulumi", STAND_IN)

    def run(*arguments: str, path: str = f"{tmp_path}:{os.environ['PATH']}", **more: str) -> Any:
        return subprocess.run(
            [sys.executable, "-m", "local", *arguments],
            cwd=project,
            env={**os.environ, "PATH": path, **more},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    yield run
    run("stop")


def test_without_a_pulumi_cli_one_line_says_where_it_comes_from(local: Local, project: Path) -> None:
    said = local("pulumi", "up", path="/nowhere")
    assert said.stderr == (
        "error: no `pulumi` on the PATH; https://www.pulumi.com/docs/install/ says where it comes from\n"
    )
    assert (said.stdout, said.returncode) == ("", 1)
    assert not (project / ".local").exists()


def test_the_pulumi_cli_gets_its_arguments_untouched_and_its_status_is_passed_on(local: Local) -> None:
    arguments = ["up", "--stack=prod", "--policy-pack", "policy", "--", "-x", "a b"]
    said = local("pulumi", *arguments)
    assert said.returncode == 7, said.stderr
    assert json.loads(said.stdout)["arguments"] == arguments


def test_the_pulumi_cli_sees_nothing_of_the_persons_own(local: Local, project: Path) -> None:
    before = {one.name: one.read_text() for one in project.glob("Pulumi*.yaml")}
    own = {"PULUMI_ACCESS_TOKEN": "secret", "PULUMI_HOME": "/mine", "AWS_PROFILE": "mine", "HTTPS_PROXY": "http://x"}
    environment = json.loads(local("pulumi", "up", **own).stdout)["environment"]
    assert {name: environment.get(name) for name in own} == {
        "PULUMI_ACCESS_TOKEN": None,
        "PULUMI_HOME": str(project / ".local" / "home"),
        "AWS_PROFILE": None,
        "HTTPS_PROXY": None,
    }
    assert environment["PULUMI_BACKEND_URL"].startswith("file://")
    assert environment["AWS_ENDPOINT_URL"] == (project / ".local" / "aws").read_text().split()[2]
    assert {one.name: one.read_text() for one in project.glob("Pulumi*.yaml")} == before


def test_what_the_cli_knows_its_passphrase_by_stays_while_the_stack_file_changes(local: Local, project: Path) -> None:
    first = json.loads(local("pulumi", "up", "-s", "dev").stdout)["files"]["Pulumi.dev.yaml"]
    assert first.endswith("\nencryptionsalt: v1:1\n")
    file = project / "Pulumi.dev.yaml"
    file.write_text(file.read_text().replace("maxTasks: 4", "maxTasks: 5"))
    second = json.loads(local("pulumi", "preview").stdout)["files"]["Pulumi.dev.yaml"]
    assert second.split() == first.replace("maxTasks: 4", "maxTasks: 5").split()


def test_a_stack_that_a_person_makes_is_made_once(local: Local, project: Path) -> None:
    made = local("pulumi", "stack", "init", "prod")
    assert made.returncode == 0, made.stderr
    assert [one.stem for one in (project / ".local" / "state").glob(".pulumi/stacks/*/*.json")] == ["prod"]


def test_what_pulumi_wrote_into_a_stack_file_stays_until_somebody_edits_it(local: Local, project: Path) -> None:
    local("pulumi", "preview", "-s", "dev")
    with (project / ".local" / "project" / "Pulumi.dev.yaml").open("a") as file:
        file.write("  distributed-training:protect: true\n")
    assert "protect: true" in json.loads(local("pulumi", "up").stdout)["files"]["Pulumi.dev.yaml"]
    file = project / "Pulumi.dev.yaml"
    file.write_text(file.read_text().replace("maxTasks: 4", "maxTasks: 5"))
    assert "protect: true" not in json.loads(local("pulumi", "up").stdout)["files"]["Pulumi.dev.yaml"]


def test_a_policy_pack_runs_with_the_python_that_runs_the_program_unless_it_has_its_own(
    local: Local, project: Path
) -> None:
    ours = str(Path(sys.prefix).resolve())
    assert json.loads(local("pulumi", "up").stdout)["python"] == [ours, ours]
    (project / ".local" / "project" / "policy" / ".venv").unlink()
    (project / "policy" / ".venv").mkdir()
    assert json.loads(local("pulumi", "up").stdout)["python"] == [ours, str(project / "policy" / ".venv")]


def test_a_stack_without_a_file_is_one_line(local: Local) -> None:
    said = local("pulumi", "up", "-s", "nope")
    assert said.stderr == (
        "error: stack nope: must have a file Pulumi.nope.yaml; there are stacks dev, prod, staging\n"
    )
    assert said.returncode == 1


def test_the_aws_cli_needs_no_endpoint_sqs_included(local: Local) -> None:
    made = local("aws", "sqs", "create-queue", "--queue-name", "mine", "--query", "QueueUrl", "--output", "text")
    assert made.stdout.startswith("http://127.0.0.1:"), made.stderr
    assert local("aws", "sqs", "list-queues", "--query", "QueueUrls[0]", "--output", "text").stdout == made.stdout
    assert local("stop").stdout == "the local AWS has ended, and the state of its stacks is gone\n"
    assert local("stop").stdout == "there is nothing to stop\n"
