"""What runs on this machine, in the environment of somebody whose AWS, proxies, Pulumi and Python are elsewhere."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import sealed
from tests.conftest import ROOT

STACK_FILE = """
config:
  aws:region: us-west-2
  distributed-training:queues: {tasks: {}, results: {}}
"""


@pytest.fixture
def elsewhere() -> Iterator[socket.socket]:
    """An address that stands for one off this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def assert_nobody_called(listener: socket.socket) -> None:
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.fixture
def environment(elsewhere: socket.socket, tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing that heeds it works."""
    url = f"http://127.0.0.1:{elsewhere.getsockname()[1]}"
    garbage, missing = tmp_path / "garbage", str(tmp_path / "missing")
    garbage.write_text("[profile\n")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        **dict.fromkeys(("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "http_proxy", "https_proxy"), url),
        "NO_PROXY": "example.com",
        **dict.fromkeys(("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_SQS", "ECS_AGENT_URI"), url),
        **dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "BOTO_CONFIG"), str(garbage)),
        **dict.fromkeys(("AWS_CA_BUNDLE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"), missing),
        "AWS_DEFAULTS_MODE": "none",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "AWS_MAX_ATTEMPTS": "0",
        "AWS_PROFILE": "nobody",
        "AWS_RETRY_MODE": "never",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "MOTO_ACCOUNT_ID": "1",
        "PULUMI_CONFIG": "{",
    }


def test_up_takes_nothing_from_the_environment(
    environment: dict[str, str], elsewhere: socket.socket, tmp_path: Path
) -> None:
    project, modules = tmp_path / "project", tmp_path / "modules"
    project.mkdir()
    for path in ROOT.iterdir():
        (project / path.name).symlink_to(path)
    (project / "Pulumi.small.yaml").write_text(STACK_FILE)
    modules.mkdir()
    (modules / "yaml.py").write_text("raise SystemExit('this is not the real one')\n")
    done = subprocess.run(
        [sys.executable, "-m", "local", "up", "--stack", "small"],
        cwd=project,
        env={**environment, "PYTHONPATH": str(modules), "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "  tasks: a worker did 3 tasks in order and once\n" in done.stdout
    assert_nobody_called(elsewhere)


def test_the_tests_take_nothing_from_the_environment(environment: dict[str, str], elsewhere: socket.socket) -> None:
    test = "tests/test_task_queue.py::test_its_dead_letter_queue_is_fifo_too_and_keeps_messages_longest"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert_nobody_called(elsewhere)


def test_what_is_not_of_these_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        monkeypatch.delenv(name)
    others = {"HOME": "/home/somebody", "LANG": "C.UTF-8", "NO_COLOR": "1", "PATH": "/bin", "PIP_INDEX_URL": "x"}
    for name, value in {**others, "Https_Proxy": "http://proxy:3128"}.items():
        monkeypatch.setenv(name, value)
    assert not sealed.seal()
    assert dict(os.environ) == {**others, **sealed.SEALED}


def test_who_seals_hears_that_python_was_told_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    assert sealed.seal()
    assert not sealed.seal()
