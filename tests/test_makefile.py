"""Which Python the Makefile takes, and what it hands on; nothing is installed here."""

import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tools.versions import bundled

NEEDED = "error: Python 3.11 to 3.14 is needed"


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # what make was told that runs these tests is not for this one
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *arguments],
        cwd=ROOT,
        env=outside | environment,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )


def python(path: Path, version: tuple[int, int, int]) -> Path:
    """A Python that says that it is of a version, and else only says how it was called and which variables it got."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fake = f"import sys; sys.version_info = {version}; sys.version = '{'.'.join(map(str, version))}'; exec(sys.argv[2])"
    path.write_text(
        f'#!/bin/sh\nif [ "$1" = -c ]; then exec "{sys.executable}" -c "{fake}" "$@"; fi\necho "$0 $@"; env\n'
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A virtualenv of Python 3.12.1 in which everything is installed."""
    python(tmp_path / "venv" / "bin" / "python", (3, 12, 1))
    (tmp_path / "venv" / "installed").touch()
    return tmp_path / "venv"


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 10, 13), (3, 15, 0)])
def test_another_python_is_refused_in_a_line_that_says_how_to_choose(
    version: tuple[int, int, int], tmp_path: Path
) -> None:
    found = python(tmp_path / "python", version)
    done = make("local", f"PYTHON={found}", f"VENV={tmp_path}/venv")
    said = ".".join(map(str, version))
    assert done.stdout == ""
    assert done.stderr.splitlines()[0] == f"{NEEDED}, {found} is {said}; choose another: make local PYTHON=python3.12"
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 14, 10)])
def test_the_oldest_and_the_newest_are_taken(version: tuple[int, int, int], tmp_path: Path) -> None:
    done = make("local", f"PYTHON={python(tmp_path / 'python', version)}", f"VENV={tmp_path}/venv")
    assert f"{tmp_path}/python -m venv --clear {tmp_path}/venv" in done.stdout
    assert NEEDED not in done.stderr


def test_a_virtualenv_is_kept_until_another_python_is_asked_for(installed: Path, tmp_path: Path) -> None:
    same, other = python(tmp_path / "same", (3, 12, 1)), python(tmp_path / "other", (3, 13, 0))

    def made_anew(*arguments: str, **environment: str) -> bool:
        done = make("--dry-run", "test", f"VENV={installed}", *arguments, **environment)
        assert f"{installed}/bin/python -m pytest" in done.stdout, done.stderr
        return "-m venv" in done.stdout

    assert not made_anew()
    assert not made_anew(PYTHON=str(other))  # of the environment, where other programs look for it too
    assert not made_anew(f"PYTHON={same}")
    assert made_anew(f"PYTHON={other}")
    (installed / "bin" / "python").rename(installed / "gone")
    assert made_anew()


def test_what_it_starts_gets_nothing_that_python_would_heed(installed: Path) -> None:
    done = make("local", f"VENV={installed}", PYTHONPATH="/somewhere", PYTHONWARNINGS="error", LANG="C")
    assert done.stdout.splitlines()[0] == f"{installed}/bin/python -m local up"
    assert "LANG=C" in done.stdout.splitlines()
    assert not re.search(r"^PYTHON", done.stdout, re.MULTILINE)


def test_ctrl_c_is_one_line(installed: Path) -> None:
    # the fake one gets it as make does, from the terminal, and as the real one does not end before make has seen it
    (installed / "bin" / "python").write_text(
        "#!/bin/sh\ntrap 'sleep 0.2; echo interrupted >&2; exit 130' INT\nkill -INT 0\n"
    )
    done = make("local", f"VENV={installed}")
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "interrupted\n")


def test_a_failure_is_one_of_make(installed: Path) -> None:
    (installed / "bin" / "python").write_text("#!/bin/sh\nexit 3\n")
    done = make("local", f"VENV={installed}")
    assert done.returncode == 2
    assert done.stderr.endswith("Error 3\n")


def test_the_same_pythons_are_supported_everywhere() -> None:
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert supported == ">=3.11,<3.15"
    assert "for version in 3.11 3.12 3.13 3.14; do" in (ROOT / ".ci" / "run").read_text()
    assert "with Python 3.11 to 3.14 and make" in (ROOT / "README.md").read_text()
    assert 'python: ["3.11", "3.12", "3.13", "3.14"]' in (ROOT / ".github" / "workflows" / "test.yml").read_text()


def test_every_plugin_that_a_deployment_needs_is_fetched_before_it(installed: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    pulumi = tmp_path / "bin" / "pulumi"
    pulumi.parent.mkdir()
    pulumi.write_text(f'#!/bin/sh\necho "$@" >> {said}\n')
    pulumi.chmod(0o755)
    path = f"{pulumi.parent}{os.pathsep}{os.environ['PATH']}"
    done = make("plugins", f"VENV={installed}", "-o", f"{installed}/installed", PATH=path)
    assert done.returncode == 0, done.stderr
    first, *others = said.read_text().splitlines()
    assert first == "install --no-dependencies"
    # the plugin of pulumi_eks takes these, and would fetch them in the middle of a deployment
    assert others == [f"plugin install resource {name} {version}" for name, version in bundled().items()]
    assert set(bundled()) == {"aws", "kubernetes"}
