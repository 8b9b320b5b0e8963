"""What stands in a stack file beside its sections: region, namespaces, keys of the provider, tags of everything."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stack_file import configuration
from stack_file.configuration import Origin, as_text, parsed
from stack_file.reading import Document

PROJECT = "distributed-training"
RIGHT: Mapping[str, Any] = {"aws:region": "us-west-2"}


def wrong(config: Mapping[str, Any]) -> list[str]:
    return [str(one) for one in configuration.mistakes(PROJECT, config)]


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({}, "aws:region: is required, got nothing"),
        ({"aws:region": "us-wset-2"}, "aws:region: must be a region of AWS, got 'us-wset-2'; did you mean us-west-2?"),
        (
            {"aws:region": "us-west-2a"},
            "aws:region: must be a region of AWS, got 'us-west-2a'; did you mean us-west-2?",
        ),
        ({"aws:region": 2}, "aws:region: must be a region of AWS, got 2"),
        ({"aws:region": ""}, "aws:region: must be a region of AWS, got ''"),
        ({"aws:regoin": "x"}, "aws:regoin: is no key of aws; did you mean aws:region?"),
        ({"aws:Region": "x"}, "aws:Region: is no key of aws; did you mean aws:region?"),
        ({"aws:default_tags": {}}, "aws:default_tags: is no key of aws; did you mean aws:defaultTags?"),
        ({"pulumi:autonming": {}}, "pulumi:autonming: is no key of pulumi; did you mean pulumi:autonaming?"),
        (
            {"distributed-trainng:queues": {}},
            (
                "distributed-trainng:queues: must begin with aws:, pulumi: or distributed-training:,"
                " or nothing reads it; did you mean distributed-training:queues?"
            ),
        ),
        ({"gcp:zone": "a"}, "gcp:zone: must begin with aws:, pulumi: or distributed-training:, or nothing reads it"),
        ({"aws:defaultTags": "hello"}, "aws:defaultTags: must be an object {tags: {KEY: value, ...}}, got 'hello'"),
        ({"aws:defaultTags": {}}, "aws:defaultTags: must be an object {tags: {KEY: value, ...}}, got {}"),
        (
            {"aws:defaultTags": {"Project": "p"}},
            "aws:defaultTags: must be an object {tags: {KEY: value, ...}}, got {'Project': 'p'}",
        ),
        (
            {"aws:defaultTags": {"tags": ["Project"]}},
            "aws:defaultTags: must be an object {tags: {KEY: value, ...}}, got {'tags': ['Project']}",
        ),
    ],
)
def test_a_key_or_a_region_that_nothing_reads_is_a_mistake(config: dict[str, Any], line: str) -> None:
    assert wrong(config if not config or "aws:region" in config else {**RIGHT, **config}) == [line]


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("Cost", 5, "must be text; put it in quotes, got 5"),
        ("Cost", None, "must be text; put it in quotes, got null"),
        ("aws:x", "y", "must not begin with aws:, which AWS keeps for itself"),
        ("x" * 129, "y", "must have a key of 1 to 128 characters, got 129"),
        ("x", "y" * 257, "must be at most 256 characters, got 257"),
        ("a,b", "y", "must be letters, digits, white space and _ . : / = + - @, got 'a,b'"),
        ("x", "a,b", "must be letters, digits, white space and _ . : / = + - @, got 'a,b'"),
    ],
)
def test_a_tag_that_aws_refuses_is_a_mistake(key: str, value: Any, line: str) -> None:
    assert wrong({**RIGHT, "aws:defaultTags": {"tags": {key: value}}}) == [f"aws:defaultTags.tags.{key}: {line}"]


def test_no_more_tags_are_right_than_aws_takes() -> None:
    tags = {f"tag{number}": "x" for number in range(51)}
    assert wrong({**RIGHT, "aws:defaultTags": {"tags": tags}}) == ["aws:defaultTags.tags: must be at most 50, got 51"]


def test_what_the_providers_and_the_engine_read_is_right() -> None:
    tags = {"tags": {"Team": "ml+co", "日本": "東京"}}
    others: dict[str, Any] = {
        "aws:profile": "mine",
        "pulumi:tags": {},
        "kubernetes:namespace": "x",
        f"{PROJECT}:queues": 3,
    }
    assert wrong({**RIGHT, "aws:defaultTags": tags, **others}) == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "confg: {}\nconfig: {}\n",
            ["confg: must stand under config, or nothing reads it; did you mean config?"],
        ),
        (
            "config: {}\ndistributed-training:queues: {}\n",
            ["distributed-training:queues: must stand under config, or nothing reads it"],
        ),
        ("config: 3\n", ["config: must be an object, got 3"]),
        ("config: [a]\n", ["config: must be an object, got ['a']"]),
        ("config: {a:b:c: 1}\n", ["a:b:c: must have one colon"]),
        (
            "config: {queues: {}, distributed-training:queues: {}}\n",
            ["distributed-training:queues: is there twice, and as queues"],
        ),
        ("config:\nsecretsprovider: awskms://alias/x\nencryptedkey: x\nencryptionsalt: x\n", []),
    ],
)
def test_what_stands_in_the_wrong_place_is_a_mistake(text: str, lines: list[str]) -> None:
    assert [str(one) for one in configuration.of_file(Document("f", text, PROJECT))] == lines


@pytest.mark.parametrize("value", [True, 4, 1.5, "text", {"a": [1, None]}, ["a"], {"b": 1, "a": 2}])
def test_a_program_gets_back_what_the_file_holds(value: Any) -> None:
    assert parsed(as_text(value)) == value


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e400", "[" * 100_000, "9" * 5000, "yes", "{a: 1}"])
def test_what_is_no_json_is_text(text: str) -> None:
    assert parsed(text) == text


def test_nothing_is_an_empty_text_to_a_program() -> None:
    assert as_text(None) == ""


@pytest.fixture
def in_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Pulumi.test.yaml").write_text(
        "config:\n  aws:region: us-wset-2\n  queues: {a: {secure: AAAA}}\n  distributed-training:eks: {}\nqueues: 1\n"
    )
    return tmp_path


SAID: Mapping[str, Any] = {"aws:region": "us-wset-2", f"{PROJECT}:queues": {"a": "decrypted"}, f"{PROJECT}:eks": {}}


def said(configured: Mapping[str, Any]) -> list[str]:
    origin = Origin.of(PROJECT, "test", configured)
    return origin.said([*origin.mistakes, *configuration.mistakes(PROJECT, configured)]).splitlines()


@pytest.mark.usefixtures("in_project")
def test_a_program_names_the_places_in_the_file_that_its_configuration_is_from() -> None:
    assert said(SAID) == [
        "Pulumi.test.yaml:2:15: aws:region: must be a region of AWS, got 'us-wset-2'; did you mean us-west-2?",
        "   2 |   aws:region: us-wset-2",
        "     |               ^^^^^^^^^",
        "Pulumi.test.yaml:5:1: queues: must stand under config, or nothing reads it",
        "   5 | queues: 1",
        "     | ^^^^^^",
    ]


@pytest.mark.usefixtures("in_project")
def test_a_configuration_that_is_not_the_file_s_has_no_places_there() -> None:
    assert said({**SAID, "aws:region": "eu-wset-1"}) == [
        "aws:region: must be a region of AWS, got 'eu-wset-1'; did you mean eu-west-1?"
    ]
    # what the two say alike has its place all the same
    assert said({**SAID, f"{PROJECT}:eks": {"a": 1}})[0].startswith("Pulumi.test.yaml:2:15: aws:region: ")


def test_a_program_without_a_file_says_the_same_without_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert said({"aws:region": 2}) == ["aws:region: must be a region of AWS, got 2"]
    (tmp_path / "Pulumi.test.yaml").write_text("\t")
    assert said({"aws:region": 2}) == ["aws:region: must be a region of AWS, got 2"]
