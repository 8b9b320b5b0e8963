"""Converts values to and from the form in which Pulumi's engine, its SDK and its providers exchange them."""

from collections.abc import Mapping
from typing import Any, TypeGuard

from google.protobuf import json_format, struct_pb2

SIGNATURE = "4dabf18193072939515e22adb298388d"
"""Key that marks an object as a special value; the keys below say which."""
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105
REFERENCE = "5cf8f73096256a8f31e491e813e4eb8e"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Stands for a value that is known only after creation."""


def plain(value: Any) -> Any:
    """A value as plain data: a secret becomes its content, a resource its id, a whole number an int."""
    if isinstance(value, struct_pb2.Struct):
        return plain(json_format.MessageToDict(value))
    if is_list(value):
        return [plain(one) for one in value]
    if is_object(value):
        match value.get(SIGNATURE):
            case str(kind) if kind == SECRET:
                return plain(value["value"])
            case str(kind) if kind == REFERENCE:
                return value.get("id") or UNKNOWN
            case _:
                return {key: plain(one) for key, one in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def struct(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """Properties in the form for the wire; those that are None are left out."""
    given = {key: value for key, value in properties.items() if value is not None}
    return json_format.ParseDict(given, struct_pb2.Struct())


def reference(urn: str, id_: str) -> dict[str, str]:
    """A resource as a property of another one."""
    return {SIGNATURE: REFERENCE, "urn": urn, "id": id_, "packageVersion": ""}


def referred(properties: struct_pb2.Struct) -> dict[str, list[str]]:
    """Property -> URN of the resource that it is, of those that are one; to a component the SDK names no other way."""
    given: Mapping[str, Any] = json_format.MessageToDict(properties)
    return {
        key: [value["urn"]] for key, value in given.items() if is_object(value) and value.get(SIGNATURE) == REFERENCE
    }


def holds_unknown(value: object) -> bool:
    """Whether a value, or anything in it, is not known yet."""
    if is_object(value):
        return any(map(holds_unknown, value.values()))
    return any(map(holds_unknown, value)) if is_list(value) else value == UNKNOWN


def is_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether this is an object in JSON."""
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether this is a list in JSON."""
    return isinstance(value, list)
