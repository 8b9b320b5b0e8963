"""What the tests share: an AWS in moto, and the program run on the local engine."""

import gc
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from local import engine, sealed, stack_files
from local.aws import Aws
from local.facts import Facts
from local.provider import Provider
from local.run import Run
from tests import sdk_shape
from tests.client_support import Recorded, Train, TrainWith

ROOT = Path(__file__).parents[1]
REGION = "us-west-2"
SMALL_STACK = """
config:
  aws:region: us-west-2
  distributed-training:queues: {tasks: {maxReceiveCount: 3}, results: {}}
"""
DEFAULT_TAGS = {"Project": "distributed-training", "Environment": "test", "ManagedBy": "pulumi"}

PERSONS = dict(os.environ)
"""The environment as the person has it, for what needs the network."""

sealed.seal()

# Pulumi's modules are a million objects that all stay: to look for garbage among them again and again takes a third of
# every run
gc.set_threshold(200_000, 20, 20)

# a shell that starts the tests in the background makes them ignore Ctrl-C, and with them the processes that they start;
# a handler of one's own is not inherited, so that those have the default again
signal.signal(signal.SIGINT, signal.default_int_handler)
# the same of nohup, which makes them ignore the end of their terminal
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)

# how many stack files are drawn, and how much is tried; pyproject.toml takes the first, `make test-thorough` the other
settings.register_profile("quick", max_examples=12)
settings.register_profile("thorough", max_examples=300)

RunStack = Callable[..., Run]


def pytest_sessionfinish() -> None:
    """Look for garbage once: pytest does so five times at its end, which takes four seconds."""
    gc.collect()
    gc.freeze()


NOTHING_THERE: Mapping[str, dict[str, Any]] = {
    "aws:resourcegroupstaggingapi/getResources:getResources": {"id": REGION, "resourceTagMappingLists": []},
    "aws:ec2/getVpcs:getVpcs": {"id": REGION, "ids": []},
    "aws:ec2/getEips:getEips": {"id": REGION, "allocationIds": [], "publicIps": []},
    "aws:ec2/getNatGateways:getNatGateways": {"id": REGION, "ids": []},
}
"""Provider function -> what a new account answers."""


@cache
def facts(aws: Aws) -> Facts:
    """What an AWS says the same every time, asked for once; no file keeps it."""
    return Facts(Path(os.devnull), aws.region)


class NewStackProvider(Provider):
    """The provider for a new account, on an AWS that has the stacks of other tests."""

    def __init__(self, aws: Aws) -> None:
        super().__init__(aws, facts(aws))

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a provider function; nothing carries the stack's tag, and no quota is used up."""
        if token == "aws:ec2/getSubnets:getSubnets" and arguments["filters"][0]["name"] == "availability-zone":
            return {"id": REGION, "ids": []}
        return NOTHING_THERE.get(token) or super().invoke(token, arguments)


def is_thorough(config: pytest.Config) -> bool:
    """Whether the tests may take their time, as at night."""
    return config.getoption("--hypothesis-profile") == "thorough"


@pytest.fixture(scope="session")
def thorough(pytestconfig: pytest.Config) -> bool:
    """The same, for a test."""
    return is_thorough(pytestconfig)


@pytest.fixture
def small_project(tmp_path: Path) -> Path:
    """The project in a folder of its own, whose dev stack has two queues, for tests of whole processes."""
    project = tmp_path / "project"
    project.mkdir()
    for path in ROOT.iterdir():
        if path.name not in (".git", "Pulumi.dev.yaml"):
            (project / path.name).symlink_to(path)
    (project / "Pulumi.dev.yaml").write_text(SMALL_STACK)
    return project


@pytest.fixture(scope="session")
def aws() -> Iterator[Aws]:
    """One AWS for all tests of a process: every deployment has names of its own."""
    with Aws(REGION, DEFAULT_TAGS) as aws:
        yield aws


@pytest.fixture(scope="session")
def run_sections(aws: Aws) -> RunStack:
    """Run the real program with these sections as its stack file; errors are raised."""

    def run(sections: Mapping[str, Any], *, preview: bool = True) -> Run:
        result = run_config(aws, {f"distributed-training:{key}": value for key, value in sections.items()}, preview)
        if result.error is not None:
            raise result.error
        return result

    return run


@pytest.fixture(scope="session")
def run_stack(aws: Aws) -> RunStack:
    """Run the real program with a stack file of the project, once for all who look at the run; errors are raised."""

    @cache
    def run(name: str, *, preview: bool) -> Run:
        result = engine.run(stack_files.read(ROOT, name), NewStackProvider(aws), preview=preview)
        if result.error is not None:
            raise result.error
        return shaped(result)

    return run


@pytest.fixture
def train_with(
    aws: Aws, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> TrainWith:
    """Make `train` for a stack with these outputs, on the AWS of the tests."""
    from client import command_line

    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "TRAIN_STACK", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "outputs.json"
    monkeypatch.setenv("TRAIN_OUTPUTS", str(path))

    def make(exports: Mapping[str, Any], *begin: str) -> Train:
        path.write_text(json.dumps(exports))

        def run(*arguments: str) -> tuple[int, list[str], list[str]]:
            status = command_line.main([*begin, *arguments])
            shown = capsys.readouterr()
            return status, shown.out.splitlines(), shown.err.splitlines()

        return run

    return make


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """Answers in place of AWS's to what `train` asks."""
    return Recorded(monkeypatch)


@pytest.fixture(scope="session")
def mistakes_in(aws: Aws) -> Callable[[Mapping[str, Any]], list[str]]:
    """The lines that a stack file with these sections is refused with; nothing may have been registered."""

    def refused(sections: Mapping[str, Any]) -> list[str]:
        result = run_config(aws, {f"distributed-training:{key}": value for key, value in sections.items()}, True)
        assert result.error is not None, "the stack file was accepted"
        assert result.registrations == {}
        return str(result.error).splitlines()

    return refused


def run_config(aws: Aws, config: Mapping[str, Any], preview: bool, provider: Provider | None = None) -> Run:
    """Run the real program with a configuration under its full keys."""
    return shaped(engine.run(stack_of(config), provider or NewStackProvider(aws), preview=preview))


def shaped(run: Run) -> Run:
    """A run whose resources and options are as the SDK declares them, which the AWS provider would ask itself."""
    assert [
        f"{urn}: {line}"
        for urn, one in run.registrations.items()
        for line in (*sdk_shape.mistakes(one), *sdk_shape.ignored_nowhere(one))
    ] == []
    return run


def stack_of(config: Mapping[str, Any]) -> stack_files.StackFile:
    """A stack file that holds a configuration under its full keys."""
    return stack_files.StackFile(
        project="distributed-training",
        stack="test",
        config={
            "aws:region": REGION,
            **{key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()},
        },
        program=ROOT,
    )
