"""`train image push` with builders on the PATH that only note what they are told."""

import json
from pathlib import Path
from typing import Any

import pytest

from client import command_line
from local.aws import Aws
from tests.conftest import RunStack
from tests.support import write_program

BUILDER = """
import json, os, sys
with open(os.environ["NOTES"], "a") as notes:
    given = sys.stdin.read() if "--password-stdin" in sys.argv else ""
    print(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:], given]), file=notes)
print("building")
sys.exit(sys.argv[1] == os.environ.get("FAILS"))
"""


@pytest.fixture(scope="module")
def exports(run_sections: RunStack) -> dict[str, Any]:
    sections: dict[str, Any] = {
        "queues": {"tasks": {}, "results": {}},
        "batch": {"single": {}},
        "workers": {"prepare": {"queue": "tasks", "architecture": "arm64"}},
    }
    return run_sections(sections, preview=False).exports


@pytest.fixture
def place(exports: dict[str, Any], aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a Dockerfile, the outputs in the environment, and no builder."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "TRAIN_STACK"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "Dockerfile").touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "outputs.json").write_text(json.dumps(exports))
    monkeypatch.setenv("TRAIN_OUTPUTS", str(tmp_path / "outputs.json"))
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def install(place: Path, *names: str) -> None:
    for name in names:
        write_program(place / "bin" / name, BUILDER, "-IS")


def notes(place: Path) -> list[list[str]]:
    return [json.loads(line) for line in (place / "notes").read_text().splitlines()]


def push(*arguments: str) -> int:
    return command_line.main(["image", "push", *arguments])


def test_the_workers_image_is_built_for_what_they_run_on_and_pushed(
    place: Path, exports: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    install(place, "docker", "podman")
    assert push("worker", str(place), "--tag", "worker-2") == 0
    repository: str = exports["image_repository_url"]
    image = f"{repository}:worker-2"
    build, login, pushed = notes(place)
    assert build == ["docker", "build", "--platform", "linux/arm64", "--tag", image, str(place), ""]
    assert login[:5] == ["docker", "login", "--username", "AWS", "--password-stdin"]
    assert login[5] == repository.partition("/")[0]
    # not on the command line, where everybody sees it
    assert login[6]
    assert pushed == ["docker", "push", image, ""]
    out, err = capfd.readouterr()
    assert out == f"{image}\n"
    assert err.splitlines()[-1] == "write into the stack file, and deploy: workers.FLEET.imageTag: worker-2"


def test_the_image_of_a_job_queue_gets_a_tag_that_nothing_has_yet(
    place: Path, exports: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    install(place, "podman")
    assert push("single", str(place), "--json") == 0
    assert [one[:2] for one in notes(place)] == [["podman", "build"], ["podman", "login"], ["podman", "push"]]
    said = json.loads(capfd.readouterr().out)
    assert said["image"].startswith(f"{exports['image_repository_url']}:single-2")
    assert said["setting"] == f"batch.single.image: {said['image']}"


@pytest.mark.parametrize(
    ("arguments", "builders", "line"),
    [
        (["worker", "."], ["docker"], "PATH: must be a folder with a Dockerfile, got '.'"),
        (["worker", "HERE"], [], "an image is built by docker or podman, and neither is on the PATH"),
        (["multi", "HERE"], ["docker"], "NAME: must be one of this stack's (single, worker), got 'multi'"),
    ],
)
def test_what_cannot_be_built_is_one_line(
    arguments: list[str],
    builders: list[str],
    line: str,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(place, *builders)
    monkeypatch.chdir(place / "bin")
    assert push(*(str(place) if one == "HERE" else one for one in arguments)) == 1
    assert capsys.readouterr().err == f"error: {line}\n"
    assert not (place / "notes").exists()


@pytest.mark.parametrize(("step", "steps"), [("build", 1), ("login", 2), ("push", 3)])
def test_nothing_goes_on_after_a_step_that_failed(
    step: str, steps: int, place: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(place, "docker")
    monkeypatch.setenv("FAILS", step)
    assert push("worker", str(place)) == 1
    assert len(notes(place)) == steps
    out, err = capfd.readouterr()
    assert (out, err.splitlines()[-1]) == ("", f"error: docker {step} ended with status 1")
