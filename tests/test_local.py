"""The command line of the local stack, as a person, a pipe and a script use it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast
from xml.etree import ElementTree

import boto3
import pytest

from local import command_line, stack_files
from local.graph import HEIGHT, svg
from tests.conftest import ROOT, RunStack
from tests.support import WHOLE


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder of its own, with the real program."""
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(command_line, "PROJECT", tmp_path)
    return tmp_path


Errors = Callable[[str], list[str]]


@pytest.fixture
def errors_of(project: Path, capsys: pytest.CaptureFixture[str]) -> Errors:
    """The lines on standard error of a preview of this stack file, which must fail and show nothing else."""

    def errors(content: str) -> list[str]:
        (project / "Pulumi.wrong.yaml").write_text(content)
        assert command_line.main(["preview", "--stack", "wrong"]) == 1
        shown = capsys.readouterr()
        assert shown.out == ""
        return shown.err.splitlines()

    return errors


def local(*arguments: str, project: Path = ROOT) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "local", *arguments],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_up_shows_resources_outputs_round_trip_and_a_summary_twice_at_once(small_project: Path) -> None:
    small = local("up", project=small_project)
    whole = local("up", "--stack", "dev")
    for process in (small, whole):
        out, err = process.communicate(timeout=300)
        assert (process.returncode, err) == (0, "")
        assert "\x1b" not in out
        assert "created   aws:sqs/queue:Queue tasks\n" in out
        if process is whole:
            assert "simulated kubernetes:helm.sh/v3:Release training-device-plugin\n" in out
            assert "  kubeconfig: (" in out
        assert "  tasks: a worker did 3 tasks in order and once\n" in out
        assert "  tasks: a task that failed 3 times is in the dead-letter queue\n" in out
        last = out.rstrip().splitlines()[-1]
        assert re.fullmatch(r"\d+ resources: \d+ created in moto(, \d+ only simulated)?, in \d+\.\d s", last), last


def test_preview_says_what_would_be_created(capfd: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["preview"]) == 0
    shown = capfd.readouterr()
    assert "would be created aws:batch/jobQueue:JobQueue single\n" in shown.out
    assert "kubeconfig" in shown.out
    assert shown.err == ""


def test_a_kept_aws_serves_other_programs_and_ends_with_ctrl_c(small_project: Path) -> None:
    process = local("up", "--keep", project=small_project)
    out = cast("IO[str]", process.stdout)
    environment: dict[str, str] = {}
    while len(environment) < 5:
        line = out.readline()
        assert line, process.communicate()
        if match := re.fullmatch(r"  export (\w+)=(\S+)\n", line):
            environment[match[1]] = match[2]
    sqs = cast("Any", boto3).client(
        "sqs",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    assert len(sqs.list_queues()["QueueUrls"]) == 4
    assert_ends_with_ctrl_c(process)


@pytest.mark.parametrize("moment", ["at the start", "while it creates"])
def test_ctrl_c_ends_up_at_once(moment: str) -> None:
    process = local("up")
    if moment == "at the start":
        time.sleep(0.5)
    else:
        assert cast("IO[str]", process.stdout).readline().startswith("created")
    assert_ends_with_ctrl_c(process)


def assert_ends_with_ctrl_c(process: "subprocess.Popen[str]") -> None:
    # to the whole group, as a terminal does
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "interrupted\n")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_server_does_not_outlive_a_killed_program() -> None:
    process = local("up")
    assert cast("IO[str]", process.stdout).readline().startswith("created")
    process.kill()
    process.communicate()
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the server still runs")


def test_a_stack_without_a_file_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["up", "--stack", "nope"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: stack nope: must have a file Pulumi.nope.yaml; there are stacks dev")
    assert len(shown.err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["down"], ["up", "--stacks", "dev"], ["preview", "--keep"]])
def test_a_wrong_command_line_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m local" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("config: [1", "error: Pulumi.wrong.yaml: is not YAML at line 1: expected ',' or ']', but got '<stream end>'"),
        ("- a\n", "error: Pulumi.wrong.yaml: must be an object, got list"),
        ("", "error: Pulumi.wrong.yaml: must be an object, got NoneType"),
        ("config: 3\n", "error: Pulumi.wrong.yaml: config: must be an object, got 3"),
        ("config: {}\n", "error: aws:region: is required in Pulumi.wrong.yaml, got nothing"),
        (
            "config: {'aws:region': us-west-2, 'distributed-training:alerts': {secure: AAAB}}\n",
            "error: distributed-training:alerts: is encrypted for `pulumi up` and cannot be read here",
        ),
        (
            "config: {'aws:region': us-west-2, 'distributed-training:queues': {a: {fifoo: 1}}}\n",
            "error: queues.a.fifoo: is no key of a stack file, got 1",
        ),
        (
            "config: {'aws:region': us-west-2, 'distributed-training:network': {availabilityZones: 5}}\n",
            "error: network.availabilityZones: must be at most the 4 of us-west-2, got 5",
        ),
        (
            "config: {'aws:region': us-west-2, 'distributed-training:batch': {a: {instanceTypes: [p9.huge]}}}\n",
            "error: batch.a.instanceTypes: must be types that us-west-2 offers, got 'p9.huge'",
        ),
    ],
)
def test_a_wrong_stack_file_is_one_line(content: str, line: str, errors_of: Errors) -> None:
    assert errors_of(content) == [line]


def test_outputs_that_cannot_be_written_are_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "Pulumi.small.yaml").write_text("config: {'aws:region': us-west-2}\n")
    assert command_line.main(["up", "--stack", "small", "--outputs", str(project)]) == 1
    assert capsys.readouterr().err == f"error: {project}: cannot be written: Is a directory\n"


def test_a_file_that_is_no_text_is_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "Pulumi.wrong.yaml").write_bytes(b"\xff\xfe\x00")
    assert command_line.main(["preview", "--stack", "wrong"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_every_mistake_is_a_line(errors_of: Errors) -> None:
    lines = errors_of(
        "config: {'aws:region': us-west-2, 'distributed-training:queues': {a: {fifoo: 1}},"
        " 'distributed-training:workers': {f: {queue: b, cpu: 3}}, 'distributed-training:protect': maybe}\n"
    )
    assert [line.split(": ")[1] for line in lines] == ["protect", "queues.a.fifoo", "workers.f.cpu"]


def test_defaults_of_the_project_file_lie_under_the_stack_file() -> None:
    project = {
        "name": "p",
        "config": {"a": {"type": "boolean", "default": False}, "b": 1, "aws:region": {"value": "us-west-2"}},
    }
    stack = stack_files.resolve(ROOT, project, "s", {"config": {"p:b": [2], "c": "text"}})
    assert stack.config == {"p:a": "false", "p:b": "[2]", "aws:region": "us-west-2", "p:c": "text"}


def test_the_picture_has_a_box_for_each_part_right_of_what_it_waits_for(run_sections: RunStack) -> None:
    run = run_sections(WHOLE | {"workers": {"workers": {"submitTo": ["single"]}}})
    picture = ElementTree.fromstring(svg(run))
    at = {
        box.findtext("{*}text"): [int(one) for one in re.findall(r"\d+", box.attrib["transform"])]
        for box in picture.iterfind("{*}g")
    }
    columns = sorted({left for left, _top in at.values()})
    assert [sorted(name or "" for name, (left, _) in at.items() if left == column) for column in columns] == [
        ["artifacts", "network", "results", "tasks"],
        ["single", "training"],
        ["workers"],
        ["alerts"],
    ]
    ends = {(int(x), int(y)) for line in picture.iterfind("{*}path") for x, y in [line.attrib["d"].split()[-2:]]}
    assert ends == {(left, top + HEIGHT // 2) for left, top in at.values() if left != columns[0]}


def test_what_is_not_installed_is_one_line() -> None:
    # -S: without the folder of what is installed
    done = subprocess.run(
        [sys.executable, "-S", "-m", "local", "preview"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert re.fullmatch(r"error: \w+ is not installed in \S+; `make local` installs it", line)


def test_kubectl_accepts_the_kubeconfig(run_sections: RunStack, tmp_path: Path) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    run = run_sections({"eks": {}}, preview=False)
    path = tmp_path / "kubeconfig"
    path.write_text(run.exports["kubeconfig"])
    shown = subprocess.run(
        [kubectl, "--kubeconfig", str(path), "config", "view", "--minify", "-o", "json"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert json.loads(shown.stdout)["users"][0]["user"]["exec"]["command"] == "aws"
