"""The sections of the stack file as they stand in the configuration, right or wrong."""

from collections.abc import Mapping
from typing import Any, cast

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env

from stack_file import configuration


def configured() -> dict[str, Any]:
    """The whole configuration; pulumi.Config reads a key that it knows, and cannot tell which there are."""
    return {key: configuration.parsed(text) for key, text in sorted({**get_config_env(), **CONFIG.get()}.items())}


def sections() -> dict[str, Any]:
    """Section -> what stands in it, as read from YAML or JSON."""
    prefix = f"{pulumi.get_project()}:"
    return {key.removeprefix(prefix): value for key, value in configured().items() if key.startswith(prefix)}


def named(raw: object, section: str) -> list[str]:
    """The names that a section has, of sections as they stand; none of one that is left out or no object."""
    found = cast("Mapping[str, Any]", raw).get(section) if isinstance(raw, dict) else None
    return [*cast("Mapping[str, Any]", found)] if isinstance(found, dict) else []
