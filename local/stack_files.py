"""The project file and the stack files, read as the Pulumi CLI reads them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml


class StackFileError(Exception):
    """A stack that cannot be read; each line of the message is one mistake."""


@dataclass(frozen=True, kw_only=True)
class StackFile:
    """A stack's configuration as its program gets it."""

    project: str
    """Name of the project."""
    stack: str
    """Name of the stack."""
    config: Mapping[str, str]
    """Namespaced key -> text; lists and objects as JSON."""
    program: Path
    """Folder of the program."""

    @property
    def region(self) -> str:
        """The region of the default AWS provider."""
        return self.config["aws:region"]

    @property
    def default_tags(self) -> dict[str, str]:
        """The tags that the default AWS provider adds to every resource."""
        return json.loads(self.config.get("aws:defaultTags", "{}")).get("tags", {})


def read(folder: Path, stack: str) -> StackFile:
    """Read `Pulumi.yaml` and `Pulumi.<stack>.yaml`, the project's defaults under the stack's values.

    Raises:
        StackFileError: when a file is missing, is not YAML, or holds what cannot be read on this machine.

    """
    project = _mapping(folder / "Pulumi.yaml")
    path = folder / f"Pulumi.{stack}.yaml"
    if not path.is_file():
        known = sorted(one.name.split(".")[1] for one in folder.glob("Pulumi.*.yaml"))
        raise StackFileError(f"stack {stack}: must have a file {path.name}; there are stacks {', '.join(known)}")
    return resolve(folder, project, stack, _mapping(path))


def resolve(folder: Path, project: Mapping[str, Any], stack: str, stack_file: Mapping[str, Any]) -> StackFile:
    """The configuration of a stack whose files are read already.

    Raises:
        StackFileError: naming each key that cannot be read on this machine.

    """
    values: dict[str, Any] = {}
    for key, declared in cast("dict[str, Any]", project.get("config") or {}).items():
        match declared:
            case {"value": given} | {"default": given}:
                values[key] = given
            case dict():
                pass  # a type alone sets nothing
            case _:
                values[key] = declared
    values |= stack_file.get("config") or {}
    values = {key if ":" in key else f"{project['name']}:{key}": value for key, value in values.items()}
    wrong = [
        f"{key}: is encrypted for `pulumi up` and cannot be read here"
        for key, value in values.items()
        if _secret(value)
    ]
    if "aws:region" not in values:
        wrong.append(f"aws:region: is required in Pulumi.{stack}.yaml, got nothing")
    if wrong:
        raise StackFileError("\n".join(wrong))
    return StackFile(
        project=project["name"],
        stack=stack,
        # the CLI hands objects over with their keys in order
        config={
            key: value if isinstance(value, str) else json.dumps(value, sort_keys=True) for key, value in values.items()
        },
        program=folder,
    )


def _mapping(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StackFileError(f"{path.name}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = f" at line {mark.line + 1}" if (mark := getattr(error, "problem_mark", None)) else ""
        raise StackFileError(f"{path.name}: is not YAML{where}: {getattr(error, 'problem', error)}") from None
    if not isinstance(content, dict):
        raise StackFileError(f"{path.name}: must be an object, got {type(content).__name__}")
    if not isinstance(content.get("config") or {}, dict):
        raise StackFileError(f"{path.name}: config: must be an object, got {content['config']!r}")
    return cast("dict[str, Any]", content)


def _secret(value: object) -> bool:
    match value:
        case {"secure": str()}:
            return True
        case dict():
            return any(_secret(one) for one in cast("dict[str, object]", value).values())
        case list():
            return any(_secret(one) for one in cast("list[object]", value))
        case _:
            return False
