"""What fails between the local stack and its AWS: it is retried, or it ends the run with one line that says what."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, cast
from unittest.mock import Mock

import pytest
from botocore.awsrequest import AWSResponse

from local import engine
from local.aws import Aws
from local.run import RefusedError, Resource, State
from tests.conftest import REGION, ROOT, NewStackProvider, run_config, stack_of
from tests.support import WHOLE

CONFIG = {f"distributed-training:{key}": value for key, value in WHOLE.items()}
MESSAGE = "Rate exceeded"

ERROR_BODIES: Mapping[str, Callable[[str], bytes]] = {
    "ec2": lambda code: (
        f"<Response><Errors><Error><Code>{code}</Code><Message>{MESSAGE}</Message></Error></Errors></Response>".encode()
    ),
    "json": lambda code: f'{{"__type":"{code}","message":"{MESSAGE}"}}'.encode(),
    "query": lambda code: (
        f"<ErrorResponse><Error><Code>{code}</Code><Message>{MESSAGE}</Message></Error></ErrorResponse>".encode()
    ),
    "rest-json": lambda code: f'{{"__type":"{code}","message":"{MESSAGE}"}}'.encode(),
    "rest-xml": lambda code: f"<Error><Code>{code}</Code><Message>{MESSAGE}</Message></Error>".encode(),
    "smithy-rpc-v2-cbor": lambda code: b"\xa2" + _cbor("__type") + _cbor(code) + _cbor("message") + _cbor(MESSAGE),
}
"""Protocol of an AWS service -> an error as it puts it into a response."""


def _cbor(text: str) -> bytes:
    return (bytes([0x60 + len(text)]) if len(text) < 24 else bytes([0x78, len(text)])) + text.encode()


class Raw:
    """The body of a response that never came over a wire."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def stream(self, **_: object) -> Generator[bytes]:
        yield self.body


class FaultyAws(Aws):
    """An AWS that answers some calls with an error of its own."""

    def __init__(self, endpoint_url: str, fails: Callable[[str], bool], code: str) -> None:
        super().__init__(REGION, endpoint_url=endpoint_url)
        self.fails, self.code = fails, code
        self.calls: list[str] = []

    def client(self, service: str) -> Any:
        is_new = service not in self._clients
        client = super().client(service)
        if is_new:
            client.meta.events.register("before-send", self._send)
        return client

    def _send(self, request: Any, event_name: str, **_: object) -> AWSResponse | None:
        service, operation = event_name.split(".")[1:]
        self.calls.append(operation)
        if not self.fails(operation):
            return None
        client = next(one for one in self._clients.values() if one.meta.service_model.service_id.hyphenize() == service)
        protocol = client.meta.service_model.resolved_protocol
        headers = {"smithy-protocol": "rpc-v2-cbor"} if protocol.endswith("cbor") else {}
        return AWSResponse(request.url, 400, headers, cast("Any", Raw(ERROR_BODIES[protocol](self.code))))


def faulty(aws: Aws, fails: Callable[[str], bool], code: str) -> FaultyAws:
    """An AWS on the tests' own server, so that only what is asked of it differs."""
    return FaultyAws(aws.endpoint_url, fails, code)


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", Mock())


@pytest.mark.usefixtures("no_waiting")
def test_every_call_that_is_throttled_once_is_made_again(aws: Aws) -> None:
    seen: set[str] = set()

    def once(operation: str) -> bool:
        return operation not in seen and not seen.add(operation)

    throttling = faulty(aws, once, "ThrottlingException")
    assert run_config(throttling, CONFIG, preview=False).error is None
    assert len(seen) > 60
    assert all(throttling.calls.count(operation) > 1 for operation in seen)


class EachCallFails(NewStackProvider):
    """A provider whose every call that makes a resource fails for good before it is let through."""

    def __init__(self, aws: Aws) -> None:
        self.fail: str | None = None
        self.failed: set[str] = set()
        super().__init__(faulty(aws, self.fails, "AccessDenied"))

    def create(self, resource: Resource) -> State:
        while True:
            self.fail = None
            try:
                return super().create(self._named_anew(resource))
            except RefusedError as error:
                if str(error) != f"{resource.urn}: {self.fail}: AccessDenied: {MESSAGE}":
                    raise
                self.failed.add(cast("str", self.fail))

    def _named_anew(self, resource: Resource) -> Resource:
        """A resource whose name, if it has one of its own, is not taken by an attempt that failed later on."""
        if resource.type != "aws:eks/cluster:Cluster":
            return resource
        return replace(resource, inputs={**resource.inputs, "name": f"training-{len(self.failed)}"})

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self.fail = ""
        return super().invoke(token, arguments)

    def fails(self, operation: str) -> bool:
        if self.fail is None and operation not in self.failed:
            self.fail = operation
        return operation == self.fail


def test_every_call_that_fails_for_good_is_named_with_its_resource(aws: Aws) -> None:
    each = EachCallFails(aws)
    assert engine.run(stack_of(CONFIG), each, preview=False).error is None
    assert len(each.failed) > 55


def test_nothing_is_made_after_a_failure(aws: Aws) -> None:
    failing = faulty(aws, lambda operation: operation == "CreateJobQueue", "AccessDenied")
    run = run_config(failing, CONFIG, preview=False)
    assert str(run.error).endswith("::single: CreateJobQueue: AccessDenied: Rate exceeded")
    assert failing.calls[-1] == "CreateJobQueue"
    assert len(run.created) > 50


def up(project: Path = ROOT, **options: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "local", "up"],
        cwd=project,
        text=True,
        stderr=subprocess.PIPE,
        start_new_session=True,
        **options,
    )


def test_a_server_that_dies_half_way_ends_the_run_with_what_was_made() -> None:
    process = up(stdout=subprocess.PIPE)
    out = cast("IO[str]", process.stdout)
    lines = [out.readline() for _ in range(10)]
    os.kill(_child_of(process.pid), signal.SIGKILL)
    # not by `communicate`, which passes over what was read ahead of the tenth line
    with process:
        rest, err = out.read(), cast("IO[str]", process.stderr).read()
    assert process.returncode == 1
    assert re.fullmatch(r"error: urn:pulumi:dev::\S+: \w+: .*http://127\.0\.0\.1:\d+/.*\n", err), err
    made = len(lines) + sum(line.startswith(("created ", "simulated ")) for line in rest.splitlines())
    summary = rest.splitlines()[-1]
    assert re.search(r"1 failed, in \d+\.\d s$", summary)
    assert sum(int(n) for n in re.findall(r"(\d+) (?:created|only simulated)", summary)) == made


def test_a_full_disk_is_one_line(small_project: Path) -> None:
    with Path("/dev/full").open("w") as full:
        process = up(small_project, stdout=full)
        _, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (1, "error: standard output: No space left on device\n")


def test_a_reader_that_goes_away_ends_the_run_quietly(small_project: Path) -> None:
    process = up(small_project, stdout=subprocess.PIPE)
    out = cast("IO[str]", process.stdout)
    assert out.readline()
    out.close()
    with process:
        assert process.wait(timeout=300) == 1
        assert cast("IO[str]", process.stderr).read() == ""


def test_a_project_folder_that_cannot_be_written_is_none_of_its_business(small_project: Path) -> None:
    watched = (
        "import os, sys\n"
        "sys.dont_write_bytecode = True\n"
        "wrote = []\n"
        "def watch(event, arguments):\n"
        "    if event == 'open' and isinstance(arguments[2], int):\n"
        "        if arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and not isinstance(arguments[0], int):\n"
        "            wrote.append(os.path.abspath(os.fsdecode(arguments[0])))\n"
        "sys.addaudithook(watch)\n"
        "from local.command_line import main\n"
        "assert main(['up']) == 0\n"
        "print([path for path in wrote if path.startswith(os.getcwd() + '/')], file=sys.stderr)\n"
    )
    ran = subprocess.run([sys.executable, "-c", watched], cwd=small_project, check=True, capture_output=True, text=True)
    assert ran.stderr == "[]\n"


def _child_of(pid: int) -> int:
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)
