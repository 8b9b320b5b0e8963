"""What is installed: each lock holds what its requirements name, with hashes; no registry is asked."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

LOCKS = sorted(path for path in ROOT.rglob("*requirements*.lock") if ".venv" not in str(path.relative_to(ROOT)))
LOCKED = re.compile(
    r"^(?P<requirement>[^\s#][^\\\n]*?) \\\n(?P<hashes>(?:    --hash=.+\n)+)(?P<via>(?:    #.*\n)+)", re.M
)


def wanted(path: Path) -> Iterator[Requirement]:
    """What a file of requirements names, and the files that it takes in."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            yield from wanted(path.parent / line.removeprefix("-r "))
        elif line and not line.startswith("#"):
            yield Requirement(line)


def locked(path: Path) -> dict[str, str]:
    """Name -> version of what a lock takes because requirements name it, not because something else needs it."""
    found = [(Requirement(one["requirement"]), one["via"]) for one in LOCKED.finditer(path.read_text(encoding="utf-8"))]
    assert found, path
    return {
        canonicalize_name(one.name): str(one.specifier) for one, via in found if re.search(r" -r .*\.txt$", via, re.M)
    }


def test_whatever_is_required_is_locked_by_make() -> None:
    required = {path for path in ROOT.rglob("*requirements*.txt") if ".venv" not in str(path.relative_to(ROOT))}
    # requirements-dev.txt takes it in
    assert {path.with_suffix(".txt") for path in LOCKS} == required - {ROOT / "requirements.txt"}
    (made,) = re.findall(r"^LOCKS := ((?:.*\\\n)*.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert sorted(ROOT / name for name in made.replace("\\\n", " ").split()) == LOCKS


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_lock_holds_what_its_requirements_pin_and_nothing_that_they_dropped(lock: Path) -> None:
    assert locked(lock) == {canonicalize_name(one.name): str(one.specifier) for one in wanted(lock.with_suffix(".txt"))}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_lock_names_one_version_with_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index" not in text
    requirements = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert [f"{one['requirement']} \\" for one in LOCKED.finditer(text)] == requirements
    for line in requirements:
        (pin,) = Requirement(line.removesuffix(" \\")).specifier
        assert (pin.operator, "*" in pin.version) == ("==", False), line


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_lock_is_for_the_oldest_python_and_says_how_it_is_made(lock: Path) -> None:
    # Renovate reads the command, too
    name = lock.relative_to(ROOT)
    assert lock.read_text(encoding="utf-8").splitlines()[1] == (
        "#    uv pip compile --universal --generate-hashes --python-version=3.11"
        f" --output-file={name} {name.with_suffix('.txt')}"
    )


def test_train_is_built_by_what_is_locked() -> None:
    (builder,) = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert builder in (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("image", ["worker", "examples/batch"])
def test_an_image_installs_its_lock(image: str) -> None:
    installs = re.findall(r"^RUN (pip install .+)$", (ROOT / image / "Dockerfile").read_text(encoding="utf-8"), re.M)
    assert installs
    for command in installs:
        assert re.search(r" --require-hashes --requirement \S*requirements\.lock$", command), command
