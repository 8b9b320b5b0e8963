"""The command line of the local stack, as a person, a pipe and a script use it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast
from unittest.mock import Mock
from xml.etree import ElementTree

import boto3
import pytest

from local import command_line, stack_files
from local.aws import Aws
from local.graph import HEIGHT, svg
from local.kept import FOLDER
from local.provider import Provider
from local.run import RefusedError
from tests.conftest import ROOT, RunStack
from tests.support import WHOLE


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what moto says every time, so that only the first preview starts one."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def project(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder of its own, with the real program."""
    (tmp_path / ".cache").symlink_to(cache)
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
        summary, _, advice, *commands = out.rstrip().splitlines()[-6:]
        assert re.fullmatch(r"\d+ resources: \d+ created in moto(, \d+ only simulated)?, in \d+\.\d s", summary)
        assert advice.startswith("Try next, while `.venv/bin/python -m local up --keep` keeps this AWS")
        assert [line.split()[:2] for line in commands] == [
            [".venv/bin/train", "smoke"],
            [".venv/bin/train", "task"],
            [".venv/bin/train", "task"],
        ]


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
    while len(environment) < 6:
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
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "interrupted\n")
    assert not (small_project / FOLDER).exists()


def test_what_it_says_to_try_next_works(small_project: Path) -> None:
    process = local("up", "--keep", project=small_project)
    out = cast("IO[str]", process.stdout)
    lines = [*iter(lambda: out.readline().rstrip(), "  .venv/bin/train task results --follow")]
    exported = {match[1]: match[2] for line in lines if (match := re.fullmatch(r"  export (\w+)=(\S+)", line))}
    smoke, send = (line for line in lines if line.startswith("  .venv/bin/train"))
    python = f"'{sys.executable}' -m client"

    def said(command: str) -> str:
        command = command.replace(".venv/bin/train", python)
        environment = {**os.environ, **exported}
        return subprocess.check_output(["bash", "-c", command], cwd=ROOT, env=environment, text=True, timeout=60)

    try:
        assert "0 failed" in said(smoke)
        task_id = said(send).strip()
        # for everybody it goes on until Ctrl-C
        result = said(f".venv/bin/train task results --follow --id {task_id}")
        assert re.fullmatch(rf"succeeded  {task_id}  \d+\.\d s  42\n", result), result
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)


def test_a_server_does_not_outlive_a_killed_program(small_project: Path) -> None:
    process = local("up", project=small_project)
    assert cast("IO[str]", process.stdout).readline().startswith("created")
    process.kill()
    # until nobody can write to its standard error any more
    process.communicate(timeout=60)


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
        ("config: [1", "1:11: is no YAML: expected ',' or ']', but got '<stream end>'"),
        ("- a\n", "1:1: must be an object, lines of `key: value`"),
        ("", "1:1: is empty"),
        ("config: {}\n", "1:1: aws:region: is required, got nothing"),
        (
            "config: {'aws:region': us-west-2, 'distributed-training:alerts': {secure: AAAB}}\n",
            "1:66: alerts: is encrypted for `pulumi up` and cannot be read here",
        ),
        (
            "config: {'aws:region': us-west-2, 'distributed-training:queues': {a: {fifoo: 1}}}\n",
            "1:71: queues.a.fifoo: is no key of queues.a; did you mean fifo?",
        ),
        (
            "config: {'aws:region': us-west-2, 'distributed-training:network': {availabilityZones: 5}}\n",
            "1:87: network.availabilityZones: must be at most the 4 of us-west-2, got 5",
        ),
        (
            "config: {'aws:region': us-west-2, 'distributed-training:batch': {a: {instanceTypes: [p9.huge]}}}\n",
            "1:86: batch.a.instanceTypes: must be types that us-west-2 offers, got 'p9.huge'",
        ),
    ],
)
def test_a_wrong_stack_file_is_one_line_over_the_line_that_is_meant(content: str, line: str, errors_of: Errors) -> None:
    said, source, mark = errors_of(content)
    assert said == f"error: Pulumi.wrong.yaml:{line}"
    written = content.split("\n")[0].replace("AAAB", "****")
    assert source == f"   1 | {written}".rstrip()
    assert mark.index("^") == len("   1 | ") + int(line.split(":")[1]) - 1


@pytest.mark.parametrize(("where", "why"), [(".", "Is a directory"), ("no/outputs", "No such file or directory")])
def test_outputs_that_cannot_be_written_are_one_line_before_anything_starts(
    where: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(["up", "--outputs", str(tmp_path / where)]) == 1
    assert capsys.readouterr() == ("", f"error: {tmp_path / where}: cannot be written: {why}\n")


def test_a_stack_can_be_called_by_its_file(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "Pulumi.a.b.yaml").write_text("config: {}\n")
    for name in ("a.b", "Pulumi.a.b.yaml"):
        assert command_line.main(["preview", "--stack", name]) == 1
        assert capsys.readouterr().err == (
            "error: Pulumi.a.b.yaml:1:1: aws:region: is required, got nothing\n   1 | config: {}\n     | ^^^^^^\n"
        )


def test_a_file_that_is_no_text_is_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "Pulumi.wrong.yaml").write_bytes(b"\xff\xfe\x00")
    assert command_line.main(["preview", "--stack", "wrong"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_every_mistake_is_a_line(errors_of: Errors) -> None:
    lines = errors_of(
        "config: {'aws:region': us-west-2, 'distributed-training:queues': {a: {fifoo: 1}},"
        " 'distributed-training:workers': {f: {queue: b, cpu: 3}}, 'distributed-training:protect': maybe}\n"
    )
    paths = [line.split(": ")[2] for line in lines[::3]]
    assert paths == ["queues.results", "queues.a.fifoo", "workers.f.queue", "workers.f.cpu", "protect"]


@pytest.mark.parametrize(
    "region", ["us-wset-2", "us-west-2a", "2", "", "../../us-west-2", "us-west-2: x", "[us-west-2]"]
)
def test_a_region_that_is_none_is_found_with_all_else_and_no_aws_starts_for_it(
    region: str, errors_of: Errors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Aws, "start", Mock(side_effect=AssertionError("moto starts")))
    lines = errors_of(f"config: {{aws:region: {region or '~'}, distributed-training:queues: {{a: {{fifoo: 1}}}}}}\n")
    if "x" not in region:
        assert [line.split(": ")[2] for line in lines[::3]] == ["aws:region", "queues.a.fifoo"]
    assert "moto" not in "".join(lines)


@pytest.mark.parametrize(
    ("content", "paths"),
    [
        ("aws:regoin: x", ["aws:regoin"]),
        ("aws:defaultTags: hello", ["aws:defaultTags"]),
        ("aws:defaultTags: {tags: {a: 2026-01-01}}", ["aws:defaultTags.tags.a"]),
        ("distributed-trainng:queues: {}", ["distributed-trainng:queues"]),
        ("5: {a: 1}", ["5"]),
        ("distributed-training:batch: &a {b: *a}", ["batch.b", "batch.b"]),
        ("distributed-training:eks: {version: 2026-01-01}", ["eks.version", "eks.version"]),
        ("distributed-training:eks:", ["eks"]),
        ("queues: {a: {}, a: {fifoo: 1}}", ["queues.a", "queues.a.fifoo"]),
        ("distributed-training:alerts: {secure: AAAB}, queues: {a: {fifoo: 1}}", ["alerts", "queues.a.fifoo"]),
    ],
)
def test_what_is_wrong_beside_the_sections_is_found_with_what_is_wrong_in_them(
    content: str, paths: list[str], errors_of: Errors
) -> None:
    lines = errors_of(f"config: {{aws:region: us-west-2, {content}}}\n")
    assert [line.split(": ")[2] for line in lines[::3]] == paths


def test_an_aws_that_cannot_be_asked_hides_no_mistake(errors_of: Errors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Provider, "invoke", Mock(side_effect=RefusedError("no credentials")))
    lines = errors_of("config: {aws:region: us-west-2, distributed-training:queues: {a: {fifoo: 1}}}\n")
    assert lines[0].endswith("queues.a.fifoo: is no key of queues.a; did you mean fifo?")
    assert lines[-1].startswith("error: AWS could not be asked: ")
    assert lines[-1].endswith("no credentials")


def test_a_preview_collects_what_aws_would_refuse_of_all_resources(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = "  distributed-training:network: {interfaceEndpoints: [ecr.ap, sqss]}\n"
    for beside, more in (("", []), ("  distributed-training:queues: {a: {fifoo: 1}}\n", ["queues.a.fifoo"])):
        (project / "Pulumi.wrong.yaml").write_text(f"config:\n  aws:region: us-west-2\n{network}{beside}")
        assert command_line.main(["preview", "--stack", "wrong"]) == 1
        lines = capsys.readouterr().err.splitlines()
        paths = ["network.interfaceEndpoints.0", "network.interfaceEndpoints.1", *more]
        assert [line.split(": ")[2] for line in lines[::3]] == paths
        assert lines[1:3] == [
            f"   3 | {network}".rstrip(),
            "     |                                                       ^^^^^^",
        ]
        assert not [line for line in lines if "urn:" in line]


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
        ["train"],
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
