"""What a preview asks moto once, and then no more."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local import command_line
from local.aws import Aws
from local.facts import Facts
from local.provider import Provider
from local.record import FUNCTIONS

ZONES = "aws:index/getAvailabilityZones:getAvailabilityZones"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def asked(facts: Facts, token: str = ZONES, arguments: Mapping[str, Any] | None = None) -> tuple[Any, bool]:
    """The answer, and whether somebody had to be asked for it."""
    calls: list[str] = []

    def ask() -> dict[str, Any]:
        calls.append(token)
        return {"names": ["a"]}

    return facts.answer(token, arguments or {}, ask), bool(calls)


def test_a_second_run_asks_nobody(cache: Path) -> None:
    assert not Facts(cache, "us-west-2")
    assert asked(Facts(cache, "us-west-2")) == ({"names": ["a"]}, True)
    again = Facts(cache, "us-west-2")
    assert again
    assert asked(again) == ({"names": ["a"]}, False)
    assert asked(again, arguments={"state": "available"}) == ({"names": ["a"]}, True)
    assert asked(Facts(cache, "us-east-1")) == ({"names": ["a"]}, True)


@pytest.mark.parametrize(
    ("token", "lasting"),
    [(ZONES, True), ("aws:ec2/getSubnets:getSubnets", False), ("aws:index/getDefaultTags:getDefaultTags", False)],
)
def test_what_depends_on_what_is_deployed_is_asked_every_time(
    cache: Path, monkeypatch: pytest.MonkeyPatch, token: str, lasting: bool
) -> None:
    asked: list[str] = []

    def answer(_aws: Aws, _arguments: Mapping[str, Any]) -> dict[str, Any]:
        asked.append(token)
        return {}

    monkeypatch.setitem(FUNCTIONS, token, replace(FUNCTIONS[token], answer=answer))
    for _ in range(2):
        aws = Aws("us-west-2")
        aws.is_new = False
        Provider(aws, Facts(cache, "us-west-2")).invoke(token, {})
    assert len(asked) == (1 if lasting else 2)
    assert cache.exists() is lasting


def test_another_moto_is_asked_anew(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(Facts(cache, "us-west-2"))

    def other(package: str) -> str:
        return f"another {package}"

    monkeypatch.setattr("local.facts.version", other)
    assert asked(Facts(cache, "us-west-2")) == ({"names": ["a"]}, True)


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00"])
def test_a_broken_file_is_none(cache: Path, content: str) -> None:
    asked(Facts(cache, "us-west-2"))
    (path,) = cache.iterdir()
    path.write_text(content)
    assert asked(Facts(cache, "us-west-2")) == ({"names": ["a"]}, True)
    assert json.loads(path.read_text())


def test_a_folder_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert asked(Facts(tmp_path / "file", "us-west-2")) == ({"names": ["a"]}, True)


def test_a_second_preview_starts_no_moto_and_says_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for path in command_line.PROJECT.iterdir():
        if path.name != ".cache":
            (tmp_path / path.name).symlink_to(path)
    monkeypatch.setattr(command_line, "PROJECT", tmp_path)
    started: list[Aws] = []
    start = Aws.start

    def noted(aws: Aws) -> Any:
        started.append(aws)
        return start(aws)

    monkeypatch.setattr(Aws, "start", noted)
    said: list[list[str]] = []
    for again in (False, True):
        started.clear()
        assert command_line.main(["preview"]) == 0
        assert bool(started) is not again
        said.append(sorted(line for line in capfd.readouterr().out.splitlines() if not line.endswith(" s")))
    assert said[0] == said[1]
