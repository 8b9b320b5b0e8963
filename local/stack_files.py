"""The project file and the stack files, read as the Pulumi CLI reads them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, cast

from stack_file import configuration, reading
from stack_file.mistakes import Mistake, near


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

    document: reading.Document | None = None
    """The file, when it was read from one."""
    mistakes: Sequence[Mistake] = ()
    """Its mistakes, as far as they are found without running its program."""

    @property
    def region(self) -> str:
        """The region of the default AWS provider."""
        return self.config.get(configuration.REGION, "")

    @property
    def default_tags(self) -> dict[str, str]:
        """The tags that the default AWS provider adds to every resource."""
        match configuration.parsed(self.config.get("aws:defaultTags", "")):
            case {"tags": dict()} as given:
                return cast("dict[str, dict[str, str]]", given)["tags"]
            case _:
                return {}

    def without(self, mistakes: Iterable[Mistake]) -> Self:
        """The same without the values that these mistakes are about."""
        config = {key: configuration.parsed(text) for key, text in self.config.items()}
        for one in mistakes:
            for key in [key for key in config if one.is_in(key.removeprefix(f"{self.project}:"))]:
                left = _without(config.pop(key), one.path[len(key.removeprefix(f"{self.project}:")) + 1 :])
                config |= {} if left is None else {key: left}
        return replace(self, config={key: configuration.as_text(value) for key, value in config.items()})


def read(folder: Path, stack: str) -> StackFile:
    """Read `Pulumi.yaml` and `Pulumi.<stack>.yaml`, where the stack's values replace the project's defaults.

    Raises:
        WrongStackFileError: when a file is missing or is no YAML.

    """
    project = reading.read(folder / "Pulumi.yaml").content
    if not isinstance(project.get("name"), str):
        raise reading.WrongStackFileError([Mistake(path="Pulumi.yaml", rule="must have a name")])
    path = folder / f"Pulumi.{stack}.yaml"
    if not path.is_file():
        known = sorted(one.name.split(".")[1] for one in folder.glob("Pulumi.*.yaml"))
        rule = f"must have a file {path.name}; there are stacks {', '.join(known)}"
        name = stack.removeprefix("Pulumi.").removesuffix(".yaml")
        meant = name if name in known else near(name, known)
        raise reading.WrongStackFileError([Mistake(path=f"stack {stack}", rule=rule, meant=meant)])
    document = reading.read(path, project["name"])
    given = configuration.under_full_keys(document)
    encrypted = {key for key, value in given.items() if configuration.is_encrypted(value)}
    found = resolve(folder, project, stack, {"config": {key: given[key] for key in given if key not in encrypted}})
    config = {key: configuration.parsed(text) for key, text in found.config.items()}
    beside = configuration.mistakes(found.project, config)
    unread = [
        Mistake(path=key.removeprefix(f"{found.project}:"), rule="is encrypted for `pulumi up` and cannot be read here")
        for key in sorted(encrypted)
    ]
    mistakes = [*configuration.of_file(document), *unread, *beside]
    return replace(found, document=document, mistakes=mistakes)


def region_of(folder: Path, stack: str) -> str:
    """The region in a stack file, whatever other mistakes there are.

    Raises:
        WrongStackFileError: when it is not a region, or `read` fails.

    """
    found = read(folder, stack)
    if wrong := [one for one in found.mistakes if one.path == configuration.REGION]:
        raise reading.WrongStackFileError(wrong, found.document)
    return found.region


def resolve(folder: Path, project: Mapping[str, Any], stack: str, stack_file: Mapping[str, Any]) -> StackFile:
    """The configuration of a stack from the content of its files."""
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
    name = project["name"]
    return StackFile(
        project=name,
        stack=stack,
        config={key if ":" in key else f"{name}:{key}": configuration.as_text(value) for key, value in values.items()},
        program=folder,
    )


def _without(value: Any, path: str) -> dict[str, Any] | None:
    """An object without the value at a path; None when the path is the whole object, is in a list or does not exist."""
    if not isinstance(value, dict):
        return None
    there = cast("dict[str, Any]", value)
    key = max((key for key in there if path == key or path.startswith(f"{key}.")), key=len, default=None)
    if key is None:
        return None
    left = _without(there[key], path[len(key) + 1 :])
    return {**{one: there[one] for one in there if one != key}, **({} if left is None else {key: left})}
