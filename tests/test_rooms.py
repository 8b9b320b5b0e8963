"""The rooms of the house: what each imports is what docs/architecture.md lets it, and nothing goes in a circle."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
MAY_IMPORT = {
    room: set(re.findall(r"`(\w+)`", allowed))
    for room, allowed in re.findall(r"^\| `(\w+)[/.py]*` \|.*\| ([^|]*) \|$", PAGE.split("## ")[1], re.MULTILINE)
}
"""Room -> the rooms that it may import besides itself, as the page says."""
SCRIPTS = ("examples", "policy")
"""Rooms whose programs are run by their folder, so that a module beside them goes by its own name."""
PACKAGES = ("client", "components", "local", "settings", "stack_file", "tools", "worker")
"""Rooms that are imported by name."""


@cache
def modules() -> dict[str, Path]:
    """Name -> file of every module of every room."""
    files = [path for room in MAY_IMPORT for path in (ROOT / room).rglob("*.py") if ".venv" not in path.parts]
    files += [path for room in MAY_IMPORT if (path := ROOT / f"{room}.py").is_file()]
    named = {path: path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in files}
    return {name.removesuffix(".__init__"): path for path, name in named.items()}


def imports(module: str) -> set[str]:
    """The modules of the project that a module imports anywhere in it: on top, in a function, for its types alone."""
    path = modules()[module]
    folder = ".".join(path.relative_to(ROOT).parts[:-1])
    return {found for name in named_in(path, folder) if (found := module_of(name, folder)) is not None} - {module}


def named_in(path: Path, folder: str) -> Iterator[str]:
    """Dotted names that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (one.name for one in names)
            case ast.ImportFrom(module=source, names=names, level=level):
                above = folder.split(".")[: len(folder.split(".")) - level + 1] if level else []
                yield from (".".join([*above, *([source] if source else []), one.name]) for one in names)
            case _:
                pass


def module_of(name: str, folder: str) -> str | None:
    """The module of the project that a dotted name is of or in; None for one of somebody else's."""
    if folder.split(".")[0] in SCRIPTS and f"{folder}.{name.split('.')[0]}" in modules():
        name = f"{folder}.{name}"
    if name.split(".")[0] not in MAY_IMPORT:
        return None
    while name not in modules() and "." in name:
        name = name.rpartition(".")[0]
    return name


def room_of(module: str) -> str:
    return module.split(".")[0]


def test_the_page_names_every_room_that_there_is() -> None:
    there = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in ROOT.glob("*.py")}
    there |= {path.relative_to(ROOT).parts[0] for path in ROOT.glob("[a-z]*/**/*.py")}
    assert there <= set(MAY_IMPORT)
    assert {"__main__", "components", "local", "policy", "tests", "tools", "worker"} <= there


def test_every_place_on_the_page_is_there() -> None:
    gone: list[str] = []
    for row in re.findall(r"^\|.*\|$", PAGE, re.MULTILINE):
        folder = ROOT
        for place in re.findall(r"`([\w./-]+(?:/|\.(?:py|json|md|yaml)))`", row):
            # a name alone may be of a file beside the one before it
            path = folder / place if (folder / place).exists() else ROOT / place
            folder = path if place.endswith("/") else path.parent
            room = place.split("/")[0]
            if not path.exists() and (room not in MAY_IMPORT or (ROOT / room).exists()) and "NAME" not in place:
                gone.append(place)
    assert gone == []


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_what_the_page_lets_it(room: str) -> None:
    wrong = [
        f"{module} imports {other}"
        for module in modules()
        if room_of(module) == room
        for other in sorted(imports(module))
        if room_of(other) not in {room, *MAY_IMPORT[room]}
    ]
    assert wrong == []


def test_nothing_is_let_in_that_should_stand_alone() -> None:
    for room in ("client", "examples", "policy", "stack_file", "worker"):
        assert MAY_IMPORT[room] == set(), room
    for room in ("components", "local"):
        assert MAY_IMPORT[room] == {"stack_file"}, room
    assert "__main__" not in set[str]().union(*MAY_IMPORT.values())
    assert {room for room, others in MAY_IMPORT.items() if "tools" in others} == {"tests"}


def test_no_imports_go_in_a_circle() -> None:
    graph = {module: imports(module) for module in modules()}
    assert any("local.run" in others for others in graph.values())
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_the_program_is_a_page_without_a_function() -> None:
    program = (ROOT / "__main__.py").read_text(encoding="utf-8")
    assert len(program.splitlines()) < 100
    assert not [one for one in ast.walk(ast.parse(program)) if isinstance(one, ast.FunctionDef | ast.Lambda)]


@pytest.mark.parametrize("room", [room for room in PACKAGES if (ROOT / room).is_dir()])
def test_a_room_says_at_its_door_what_it_is_and_what_it_may_import_and_nothing_else(room: str) -> None:
    (said,) = ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8")).body
    assert isinstance(said, ast.Expr)
    assert isinstance(said.value, ast.Constant)
    assert "import" in str(said.value.value)
