"""What runs on this machine, in the environment of somebody whose AWS, proxies, Pulumi and Python are elsewhere."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from local import sealed
from tests.conftest import ROOT, is_thorough

Done = subprocess.CompletedProcess[str]

TAKEN_OUT = {
    **dict.fromkeys(
        ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "http_proxy", "https_proxy", "grpc_proxy"),
        "{elsewhere}",
    ),
    **dict.fromkeys(
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_EC2",
            "AWS_ENDPOINT_URL_S3",
            "AWS_ENDPOINT_URL_SQS",
            "ECS_AGENT_URI",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "PULUMI_OTEL_EXPORTER_OTLP_ENDPOINT",
        ),
        "{elsewhere}",
    ),
    **dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "BOTO_CONFIG"), "{garbage}"),
    **dict.fromkeys(
        (
            "AWS_CA_BUNDLE",
            "AWS_DATA_PATH",
            "CURL_CA_BUNDLE",
            "REQUESTS_CA_BUNDLE",
            "SSLKEYLOGFILE",
            "SSL_CERT_DIR",
            "SSL_CERT_FILE",
        ),
        "{missing}",
    ),
    "AWS_ACCESS_KEY_ID": "mine",
    "AWS_DEFAULT_REGION": "nowhere",
    "AWS_DEFAULTS_MODE": "none",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "AWS_MAX_ATTEMPTS": "0",
    "AWS_PROFILE": "nobody",
    "AWS_REGION": "nowhere",
    "AWS_RETRY_MODE": "never",
    "AWS_SESSION_TOKEN": "mine",
    "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "BOTOCORE_EXPERIMENTAL__PLUGINS": "nothing=nowhere",
    "FLASK_DEBUG": "1",
    "GRPC_TRACE": "all",
    "GRPC_VERBOSITY": "debug",
    "INITIAL_NO_AUTH_ACTION_COUNT": "0",
    "MOTO_ACCOUNT_ID": "1",
    "MOTO_PORT": "none",
    "PULUMI_ACCESS_TOKEN": "mine",
    "PULUMI_BACKEND_URL": "s3://nowhere",
    "PULUMI_CONFIG": "{{",
    "PULUMI_CONFIG_PASSPHRASE": "mine",
    "PULUMI_DRY_RUN": "true",
    "PULUMI_ENGINE": "127.0.0.1:1",
    "PULUMI_HOME": "{missing}",
    "PULUMI_MONITOR": "127.0.0.1:1",
    "PULUMI_PROJECT": "mine",
    "PULUMI_STACK": "mine",
    "S3_UPLOAD_PART_MIN_SIZE": "none",
    "TEST_SERVER_MODE": "true",
    "TRACEPARENT": "none",
    "WERKZEUG_RUN_MAIN": "true",
    "WERKZEUG_SERVER_FD": "77",
}
"""Variables that are not for what runs here, and a value with which nothing works that heeds it."""
PYTHON = {
    "PYTHONASYNCIODEBUG": "1",
    "PYTHONDEVMODE": "1",
    "PYTHONINSPECT": "1",
    "PYTHONINTMAXSTRDIGITS": "640",
    "PYTHONIOENCODING": "ascii",
    "PYTHONOPTIMIZE": "2",
    "PYTHONPATH": "{modules}",
    "PYTHONSAFEPATH": "1",
    "PYTHONSTARTUP": "{garbage}",
    "PYTHONTRACEMALLOC": "1",
    "PYTHONUSERBASE": "{missing}",
    "PYTHONUTF8": "0",
    "PYTHONWARNINGS": "error",
}
"""The same for Python itself; with a wrong PYTHONHOME there is none."""
LEFT = {"COLUMNS": "0", "HOME": "{missing}", "LANG": "C", "LC_ALL": "C", "TERM": "dumb", "TMPDIR": "{missing}"}
"""Variables that are the person's own."""
ALONE = [
    *{**TAKEN_OUT, **PYTHON, **LEFT}.items(),
    *[("HTTP_PROXY", "::::"), ("ALL_PROXY", "socks5://127.0.0.1:1"), ("NO_PROXY", "")],
    *[("COLUMNS", "40"), ("COLUMNS", "none"), ("HOME", "/dev/null"), ("LC_ALL", "nowhere"), ("TZ", "nowhere")],
    *[("WORKER_QUEUE_URL", "none"), ("WORKER_NONE", "1")],
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "alone" in metafunc.fixturenames:
        metafunc.parametrize(
            "alone",
            [("HOME", None), *(ALONE if is_thorough(metafunc.config) else ())],
            ids=lambda one: "=".join(map(str, one)),
        )


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
def given(elsewhere: socket.socket, tmp_path: Path) -> Callable[[str], str]:
    """A value with what only a test has to give filled in."""
    (tmp_path / "garbage").write_text("[profile\n")
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "json.py").write_text("raise SystemExit('this is not the real one')\n")
    known = {name: str(tmp_path / name) for name in ("garbage", "missing", "modules")}
    return lambda value: value.format(elsewhere=f"http://127.0.0.1:{elsewhere.getsockname()[1]}", **known)


@pytest.fixture
def environment(given: Callable[[str], str]) -> dict[str, str]:
    """An environment in which nothing that heeds it works."""
    hostile = {name: given(value) for name, value in {**TAKEN_OUT, **LEFT}.items()}
    return {"PATH": os.environ["PATH"], **hostile, "NO_PROXY": "example.com"}


def local(*arguments: str, project: Path, environment: Mapping[str, str], closed: str = "") -> Done:
    """A command with a standard stream closed."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "local", *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def assert_it_went_well(done: Done, elsewhere: socket.socket) -> None:
    assert (done.returncode, done.stderr) == (0, "")
    assert "  tasks: a worker did 3 tasks in order and once\n" in done.stdout
    assert_nobody_called(elsewhere)


def test_up_takes_nothing_from_the_environment(
    small_project: Path, environment: dict[str, str], given: Callable[[str], str], elsewhere: socket.socket
) -> None:
    project = small_project.rename(small_project.with_name("ein Projekt für alle, 日本"))
    python = {name: given(value) for name, value in PYTHON.items()}
    done = local("up", project=project, environment={**environment, **python}, closed="<&-")
    assert_it_went_well(done, elsewhere)


def test_up_works_in_spite_of_one_of_these_alone(
    alone: tuple[str, str | None], small_project: Path, given: Callable[[str], str], elsewhere: socket.socket
) -> None:
    name, value = alone
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    if value is None:
        del environment[name]
    else:
        environment[name] = given(value)
    assert_it_went_well(local("up", project=small_project, environment=environment), elsewhere)


@pytest.mark.parametrize("name", PYTHON)
def test_what_python_is_told_is_not_heeded(name: str, small_project: Path, given: Callable[[str], str]) -> None:
    done = local("stop", project=small_project, environment={**os.environ, name: given(PYTHON[name])})
    assert (done.returncode, done.stdout, done.stderr) == (0, "there is nothing to stop\n", "")


@pytest.mark.parametrize("name", [*TAKEN_OUT, *PYTHON])
def test_a_variable_that_is_not_for_what_runs_here_is_taken_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "mine")
    sealed.seal()
    assert os.environ.get(name) == sealed.SEALED.get(name)


@pytest.mark.parametrize("command", ["stop", "--help"])
def test_a_closed_output_is_one_line(command: str, small_project: Path) -> None:
    done = local(command, project=small_project, environment=os.environ, closed=">&-")
    assert (done.returncode, done.stderr) == (1, "error: standard output: Bad file descriptor\n")


def test_no_file_takes_the_place_of_a_closed_stream(small_project: Path) -> None:
    done = local("stop", project=small_project, environment=os.environ, closed="2>&- <&-")
    assert (done.returncode, done.stdout) == (0, "there is nothing to stop\n")
    done = local("stop", "--none", project=small_project, environment=os.environ, closed="2>&- <&-")
    assert (done.returncode, done.stdout) == (2, "")


def test_the_folder_by_its_path_is_one_line(small_project: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, small_project / "local", "up"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == f'error: it runs as a module: cd "{small_project}" && python -m local\n'


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
    others = {
        "COLUMNS": "80",
        "HOME": "/home/somebody",
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
        "PATH": "/bin",
        "PIP_INDEX_URL": "x",
    }
    for name, value in {**others, "Https_Proxy": "http://proxy:3128"}.items():
        monkeypatch.setenv(name, value)
    assert not sealed.seal()
    assert dict(os.environ) == {**others, **sealed.SEALED}


def test_who_seals_hears_that_python_was_told_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    assert sealed.seal()
    assert not sealed.seal()
