"""Inputs against what the SDK's own classes declare: unknown, required, of another type, not in an enumeration."""

import enum
import importlib
import inspect
import keyword
import sys
import typing
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Any

import pulumi
from pulumi import _types as sdk  # pyright: ignore[reportPrivateUsage]  # the one place that knows the names on the wire

from local.properties import Property
from local.run import Registration
from local.wire import UNKNOWN, is_list, is_object

WORDS: Mapping[type, str] = {bool: "true or false", float: "a number", int: "a whole number", str: "text"}

Declared = tuple[str, bool]
"""The Python name of a property, and whether it is required."""


def mistakes(one: Registration) -> Iterator[str]:
    """What the SDK's class of a resource type does not allow; nothing when the SDK has no class for it."""
    if (declared := args_class(one.type)) is not None:
        yield from _object(one.inputs, declared, "", _noun(one.type))


def ignored_nowhere(one: Registration) -> Iterator[str]:
    """Paths in `ignore_changes` that name no property."""
    declared = args_class(one.type) if one.ignore_changes else None
    for path in one.ignore_changes if declared is not None else ():
        steps = [step for step in path.replace("[", ".[").split(".") if step]
        if not _leads_somewhere(declared, steps):
            place = Property("ignore_changes", path)
            yield place.wrong(f"must name a property of {_noun(one.type)}, nested ones in camelCase")


def home(type_: str) -> tuple[str, str] | None:
    """Module of an SDK, and name in it, of a resource type's class; None for a component."""
    package, module, name = type_.split(":")
    match package:
        case "aws":
            service = module.split("/")[0]
            return f"pulumi_aws.{f'{service}_' if keyword.iskeyword(service) else service}", name
        case "eks":
            return "pulumi_eks", name
        case "kubernetes":
            group, _, version = module.partition("/")
            return ".".join(["pulumi_kubernetes", group.split(".")[0], *([version] if version else [])]), name
        case "pulumi" if module == "providers":
            return f"pulumi_{name}", "Provider"
        case _:
            return None


@cache
def args_class(type_: str) -> type | None:
    """The SDK's class of a resource type's inputs; None for a component and for what no SDK declares."""
    if (found := home(type_)) is None:
        return None
    module, name = found
    try:
        resource = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        return None
    # beside the resource; where a nested object has the better claim to the name it is called InitArgs
    beside = sys.modules[resource.__module__]
    return getattr(beside, f"{name}InitArgs", None) or getattr(beside, f"{name}Args", None)


@cache
def properties(declared: type) -> Mapping[str, Declared]:
    """Name on the wire -> what the class declares of it."""
    parameters = inspect.signature(declared.__init__).parameters
    return {
        wire: (name, parameters[name].default is inspect.Parameter.empty)
        for name, wire in sdk.input_type_py_to_pulumi_names(declared).items()
        if name in parameters
    }


@cache
def _type(declared: type, name: str) -> Any:
    """The declared type of a property; one at a time, because most are never given and each takes its time."""
    getter = getattr(declared, name).fget
    names = {"Output": pulumi.Output, "T": NoneType}
    return typing.get_type_hints(getter, vars(sys.modules[declared.__module__]), names)["return"]


def _object(value: Mapping[str, Any], declared: type, path: str, noun: str) -> Iterator[str]:
    known = properties(declared)
    for key, one in value.items():
        inner = f"{path}.{key}" if path else key
        if key not in known:
            yield Property(inner, one).wrong(f"is no property of {noun}")
        else:
            yield from _value(one, _type(declared, known[key][0]), inner)
    for key, (_, required) in known.items():
        if required and value.get(key) is None:
            yield f"{f'{path}.' if path else ''}{key}: is required, got nothing"


def _value(value: Any, declared: Any, path: str) -> Iterator[str]:
    if value is None or value == UNKNOWN:
        return
    members = _members(declared)
    if is_object(value) and (objects := [one for one in members if sdk.is_input_type(one)]):
        # a class beside a plain mapping says more than the mapping does
        found = [list(_object(value, one, path, _class_noun(one))) for one in objects]
        yield from min(found, key=len)
        return
    found = [list(_as_member(value, one, path)) for one in members]
    yield from min(found, key=len, default=())


def _as_member(value: Any, declared: Any, path: str) -> Iterator[str]:
    origin: Any = typing.get_origin(declared)
    arguments = typing.get_args(declared)
    if declared is Any or (declared is object and origin is None):
        return
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        if is_object(value):
            for key, one in value.items():
                yield from _value(one, arguments[1], f"{path}.{key}")
        else:
            yield Property(path, value).wrong("must be an object")
    elif inspect.isclass(origin) and issubclass(origin, Sequence):
        if is_list(value):
            for index, one in enumerate(value):
                yield from _value(one, arguments[0], f"{path}[{index}]")
        else:
            yield Property(path, value).wrong("must be a list")
    elif sdk.is_input_type(declared):
        yield Property(path, value).wrong("must be an object")
    elif inspect.isclass(declared) and issubclass(declared, enum.Enum):
        allowed = [one.value for one in declared]
        if value not in allowed:
            yield Property(path, value).wrong(f"expected to be one of [{', '.join(map(str, allowed))}]")
    elif declared in WORDS and not _is_a(value, declared):
        yield Property(path, value).wrong(f"must be {WORDS[declared]}")


def _is_a(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


@cache
def _members(declared: Any) -> list[Any]:
    """The plain types among those that a declaration allows: neither Outputs nor awaitables."""
    if typing.get_origin(declared) not in (typing.Union, UnionType):
        return [Any if isinstance(declared, typing.ForwardRef) else declared]
    return [
        plain
        for one in typing.get_args(declared)
        if typing.get_origin(one) not in (Awaitable, pulumi.Output) and one is not NoneType
        for plain in _members(one)
    ]


def _leads_somewhere(declared: Any, steps: Sequence[str]) -> bool:
    if not steps:
        return True
    for one in _members(declared):
        origin, arguments = typing.get_origin(one), typing.get_args(one)
        if one is Any:
            return True
        if sdk.is_input_type(one):
            known = properties(one)
            if steps[0] == "*" or (steps[0] in known and _leads_somewhere(_type(one, known[steps[0]][0]), steps[1:])):
                return True
        elif inspect.isclass(origin) and issubclass(origin, Mapping):
            if _leads_somewhere(arguments[1], steps[1:]):
                return True
        elif inspect.isclass(origin) and issubclass(origin, Sequence):
            at_element = steps[0].startswith("[") or steps[0] == "*"
            if at_element and _leads_somewhere(arguments[0], steps[1:]):
                return True
    return False


def _noun(type_: str) -> str:
    return type_.rsplit(":", 1)[-1]


def _class_noun(declared: type) -> str:
    return declared.__name__.removesuffix("Args")
