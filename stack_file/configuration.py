"""A stack's configuration as the CLI reads it from a stack file, and its mistakes outside the project's sections."""

import inspect
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, Self, cast

from stack_file.mistakes import Mistake, near
from stack_file.reading import Document, WrongStackFileError, read

REGION = "aws:region"
BESIDE_CONFIG = ("config", "encryptedkey", "encryptionsalt", "environment", "secretsprovider")
"""Top-level keys of a stack file that the Pulumi CLI knows."""
PULUMI_KEYS = ("autonaming", "disable-default-providers", "tags")
"""Keys that the engine itself reads (Pulumi documentation, "Stack settings file reference")."""
OTHER_NAMESPACES = ("eks", "kubernetes")
"""Namespaces of this stack's other providers; their keys are not checked."""
MOST_TAGS = 50
LONGEST_TAG_KEY = 128
LONGEST_TAG_VALUE = 256
"""AWS general reference, "Tag naming limits and requirements"."""


def under_full_keys(document: Document) -> dict[str, Any]:
    """The configuration in a stack file; a key without a namespace has the project's."""
    return {key if ":" in key else f"{document.project}:{key}": value for key, value in _given(document).items()}


def as_text(value: Any) -> str:
    """A value as the CLI passes it to a program: an object with sorted keys, and null as an empty text."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def parsed(text: str) -> Any:
    """The value that a program reads from such a text."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(constant)

    def finite(digits: str) -> float:
        return number if math.isfinite(number := float(digits)) else refuse(digits)

    try:
        return json.loads(text, parse_constant=refuse, parse_float=finite)
    except (ValueError, RecursionError):
        return text


def is_encrypted(value: object) -> bool:
    """Whether a value, or a part of it, is encrypted, so that only the CLI can read it."""
    match value:
        case {"secure": str()}:
            return True
        case dict():
            return any(is_encrypted(one) for one in cast("dict[str, object]", value).values())
        case list():
            return any(is_encrypted(one) for one in cast("list[object]", value))
        case _:
            return False


def of_file(document: Document) -> Iterator[Mistake]:
    """Mistakes of a stack file itself, whatever its values mean."""
    yield from document.mistakes
    yield from beside_config(document)
    config = _given(document)
    for key in config:
        if key.count(":") > 1:
            yield Mistake(path=key, rule="must have one colon", of_key=True)
        if ":" not in key and f"{document.project}:{key}" in config:
            yield Mistake(path=f"{document.project}:{key}", rule=f"is there twice, and as {key}", of_key=True)


@dataclass(frozen=True)
class Origin:
    """The stack file of a program's configuration, if there is one, and the keys in which the two differ."""

    document: Document | None
    differing: frozenset[str]
    """Keys whose values in the file are different."""

    @classmethod
    def of(cls, project: str, stack: str, configured: Mapping[str, Any]) -> Self:
        """Read the stack file in the working directory, where the CLI runs a program."""
        try:
            document = read(Path(f"Pulumi.{stack}.yaml"), project)
        except WrongStackFileError:
            return cls(None, frozenset())
        there = {key: value for key, value in under_full_keys(document).items() if not is_encrypted(value)}
        return cls(
            document,
            frozenset(key for key, value in there.items() if configured.get(key) != parsed(as_text(value))),
        )

    @property
    def mistakes(self) -> list[Mistake]:
        """The mistakes of the file itself; none when the configuration is not from this file."""
        return [] if self.document is None or self.differing else [*of_file(self.document)]

    def said(self, mistakes: Iterable[Mistake]) -> str:
        """Mistakes in lines, each with its place in the file if the file has the same value."""
        if self.document is None:
            return "\n".join(str(one) for one in mistakes)
        project = f"{self.document.project}:"
        elsewhere = [one for one in mistakes if any(one.is_in(key.removeprefix(project)) for key in self.differing)]
        placed = self.document.sorted(one for one in mistakes if one not in elsewhere)
        lines = [line for one in placed for line in self.document.shown(one)]
        return "\n".join([*lines, *(str(one) for one in elsewhere)])


def beside_config(document: Document) -> Iterator[Mistake]:
    """Mistakes at the top of a stack file."""
    for key in document.content:
        if key not in BESIDE_CONFIG:
            rule = "must stand under config, or nothing reads it"
            yield Mistake(path=key, rule=rule, meant=near(key, BESIDE_CONFIG), place=document.top(key))
    config = document.content.get("config")
    if not isinstance(config, dict | None):
        yield Mistake(path="config", rule="must be an object", got=config, place=document.top("config"))


def mistakes(project: str, config: Mapping[str, Any]) -> Iterator[Mistake]:
    """Mistakes in a configuration with full keys, without the project's own sections."""
    if REGION not in config:
        yield Mistake(path=REGION, rule="is required, got nothing")
    for key, value in config.items():
        namespace, _, name = key.partition(":")
        if key == REGION:
            if value not in regions():
                yield Mistake(path=key, rule="must be a region of AWS", got=value, meant=_region_meant(value))
        elif namespace in ("aws", "pulumi"):
            known = provider_keys() if namespace == "aws" else PULUMI_KEYS
            if name not in known:
                meant = near(name, known)
                meant = None if meant is None else f"{namespace}:{meant}"
                yield Mistake(path=key, rule=f"is no key of {namespace}", meant=meant, of_key=True)
            elif name == "defaultTags":
                yield from _tags(key, value)
        elif namespace not in (project, *OTHER_NAMESPACES):
            meant = near(namespace, ("aws", "pulumi", project))
            yield Mistake(
                path=key,
                rule=f"must begin with aws:, pulumi: or {project}:, or nothing reads it",
                meant=None if meant is None else f"{meant}:{name}",
                of_key=True,
            )


def _given(document: Document) -> dict[str, Any]:
    config = document.content.get("config")
    return cast("dict[str, Any]", config) if isinstance(config, dict) else {}


@cache
def regions() -> tuple[str, ...]:
    """AWS's regions, as far as the provider knows them."""
    # imported here, because reading a file alone does not need Pulumi
    from pulumi_aws import Region

    return tuple(one.value for one in Region)


@cache
def provider_keys() -> tuple[str, ...]:
    """The keys of `aws:`, which are the arguments of the provider."""
    from pulumi_aws import ProviderArgs

    names = [*inspect.signature(ProviderArgs.__init__).parameters][1:]
    return tuple(re.sub("_([a-z0-9])", lambda found: found[1].upper(), name) for name in names)


def _region_meant(value: object) -> str | None:
    zone = re.fullmatch(r"(.*\d)[a-z]", str(value))
    return zone[1] if zone and zone[1] in regions() else near(value, regions())


def _tags(path: str, value: object) -> Iterator[Mistake]:
    given = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    if given.keys() != {"tags"} or not isinstance(given["tags"], dict):
        yield Mistake(path=path, rule="must be an object {tags: {KEY: value, ...}}", got=cast("object", value))
        return
    tags = cast("dict[str, object]", given["tags"])
    if len(tags) > MOST_TAGS:
        yield Mistake(path=f"{path}.tags", rule=f"must be at most {MOST_TAGS}", got=len(tags))
    for key, text in tags.items():
        where = f"{path}.tags.{key}"
        if not 1 <= len(key) <= LONGEST_TAG_KEY:
            rule = f"must have a key of 1 to {LONGEST_TAG_KEY} characters"
            yield Mistake(path=where, rule=rule, got=len(key), of_key=True)
        if key.lower().startswith("aws:"):
            yield Mistake(path=where, rule="must not begin with aws:, which AWS keeps for itself", of_key=True)
        if not isinstance(text, str):
            yield Mistake(path=where, rule="must be text; put it in quotes", got=text)
        elif len(text) > LONGEST_TAG_VALUE:
            yield Mistake(path=where, rule=f"must be at most {LONGEST_TAG_VALUE} characters", got=len(text))
        for one in (key, text):
            if isinstance(one, str) and not re.fullmatch(r"[\w\s.:/=+\-@]*", one):
                rule = "must be letters, digits, white space and _ . : / = + - @"
                yield Mistake(path=where, rule=rule, got=one)
