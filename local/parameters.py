"""Turns a resource's inputs into the parameters of an AWS operation, by the operation's shape in botocore.

Most inputs of pulumi-aws are API parameters with another case or plural, so a record names only what differs more. An
input that the operation has no parameter for is an error: no input is dropped silently.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast

from local.aws import Aws, hex_digits
from local.run import Resource

PAIRS = ({"key", "value"}, {"name", "value"}, {"tagkey", "tagvalue"})
"""Members, in lower case, of list elements for which Pulumi has a plain mapping: tags, dimensions, properties."""


AUTONAME_HEX_DIGITS = 7
"""Length of the random suffix that pulumi-aws adds to a logical name."""


def complete(
    aws: Aws, resource: Resource, *, name: str | None = "name", suffix: str = "", tags: bool = True
) -> dict[str, Any]:
    """The inputs with what pulumi-aws adds on its own: the physical name under `name`, and `tagsAll`."""
    inputs = dict(resource.inputs)
    if name is not None and inputs.get(name) is None:
        prefix: str = inputs.pop(f"{name}Prefix", f"{resource.name}-")
        inputs[name] = f"{prefix}{hex_digits(AUTONAME_HEX_DIGITS)}{suffix}"
    if tags:
        inputs["tagsAll"] = {**aws.default_tags, **inputs.get("tags", {})}
    return inputs


def call(
    client: Any,
    operation: str,
    inputs: Mapping[str, Any],
    /,
    *,
    rename: Mapping[str, str] | None = None,
    leave: Collection[str] = (),
    **more: Any,
) -> dict[str, Any]:
    """Call an operation with the inputs as its parameters.

    `rename` maps the dotted path of an input to its name in the API, itself dotted where the API nests deeper; list
    indices do not count, and below a renamed input paths start with the new name. `leave` names the inputs that other
    calls use, or the provider alone. `more` is added to the inputs, and replaces those of the same name.
    """
    given = {key: value for key, value in {**inputs, **more}.items() if key not in leave}
    if "tagsAll" in given:
        given["tags"] = given.pop("tagsAll") or None
    if given.pop("region", client.meta.region_name) != client.meta.region_name:
        raise ValueError(f"region: only {client.meta.region_name} is held here, got {inputs['region']}")
    shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation]).input_shape
    return getattr(client, operation)(**_structure(shape, given, rename or {}, ""))


def retag(
    client: Any, there: Mapping[str, Any], tags: Mapping[str, str], gone: Collection[str], *, what: str = "resource"
) -> None:
    """Set tags on what `there` names in the API, and remove the keys `gone`; operations call the resource `what`.

    AWS refuses either call with nothing in it.
    """
    if tags:
        call(client, f"tag_{what}", there, tags=tags)
    if gone:
        call(client, f"untag_{what}", there, tagKeys=gone)


def only(inputs: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """The named inputs, without those that are not given."""
    return {key: inputs[key] for key in keys if inputs.get(key) is not None}


def _structure(shape: Any, inputs: Mapping[str, Any], rename: Mapping[str, str], path: str) -> dict[str, Any]:
    placed: dict[str, Any] = {}
    for key, value in inputs.items():
        if value is not None:
            _place(placed, rename.get(f"{path}{key}", key).split("."), value)
    parameters: dict[str, Any] = {}
    for key, value in placed.items():
        if (name := member(shape.members, key)) is None:
            raise ValueError(f"{path}{key}: {shape.name} has no parameter for this input")
        parameters[name] = _convert(shape.members[name], value, rename, f"{path}{key}.")
    return parameters


def _place(tree: dict[str, Any], path: list[str], value: Any) -> None:
    *parents, last = path
    for step in parents:
        tree = tree.setdefault(step, {})
    if isinstance(value, Mapping):
        there = tree.get(last)
        kept = cast("dict[str, Any]", there) if isinstance(there, dict) else {}
        value = {**kept, **cast("Mapping[str, Any]", value)}
    tree[last] = value


def member(members: Iterable[str], key: str) -> str | None:
    """The member with this name in any case; else the one that differs only in singular or plural."""
    for spelling in (str.lower, _singular):
        for name in members:
            if spelling(name) == spelling(key):
                return name
    return None


def _singular(name: str) -> str:
    name = name.lower()
    return f"{name[:-3]}y" if name.endswith("ies") else name.removesuffix("s")


def _convert(shape: Any, value: Any, rename: Mapping[str, str], path: str) -> Any:
    match shape.type_name:
        case "structure":
            return _to_structure(shape, value, rename, path)
        case "list":
            return _to_list(shape, value, rename, path)
        case "map":
            return {key: _convert(shape.value, item, rename, path) for key, item in value.items() if item is not None}
        case kind:
            return _to_scalar(kind, value)


def _to_structure(shape: Any, value: Any, rename: Mapping[str, str], path: str) -> Any:
    if isinstance(value, str) and value.lstrip().startswith("{"):
        # JSON text is already in the API's own words: botocore checks it
        return _without_nulls(json.loads(value))
    if isinstance(value, list):
        # a block that may occur only once is sometimes a list in Pulumi
        items = cast("list[Any]", value)
        value = items[0] if len(items) == 1 else items
    if not isinstance(value, Mapping) and len(shape.members) == 1:
        # EC2 wraps optional values, and elements of lists
        value = {next(iter(shape.members)): value}
    if not isinstance(value, Mapping):
        raise TypeError(f"{path[:-1]}: {shape.name} wants an object, got {value!r}")
    return _structure(shape, cast("Mapping[str, Any]", value), rename, path)


def _to_list(shape: Any, value: Any, rename: Mapping[str, str], path: str) -> list[Any]:
    if isinstance(value, str) and value.lstrip().startswith("["):
        return _without_nulls(json.loads(value))
    if isinstance(value, Mapping):
        pairs = cast("Mapping[str, Any]", value)
        if shape.member.type_name == "structure" and {name.lower() for name in shape.member.members} in PAIRS:
            first, second = sorted(shape.member.members, key=lambda name: name.lower().endswith("value"))
            return [{first: key, second: _to_text(item)} for key, item in pairs.items()]
        value = [pairs]
    if not isinstance(value, list):
        raise TypeError(f"{path[:-1]}: {shape.name} wants a list, got {value!r}")
    return [_convert(shape.member, item, rename, path) for item in cast("list[Any]", value)]


def _to_scalar(kind: str, value: Any) -> Any:
    """The value in the API's type, or unchanged when it does not fit: botocore then reports it."""
    if kind == "string":
        return _to_text(value)
    if kind == "boolean" and isinstance(value, str):
        return {"true": True, "false": False}.get(value, value)
    if kind in ("integer", "long") and isinstance(value, str | float) and float(value).is_integer():
        return int(float(value))
    if kind in ("double", "float") and isinstance(value, str):
        return float(value)
    return value


def _to_text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(int(value) if float(value).is_integer() else value)
    if isinstance(value, Mapping | list):
        return json.dumps(value)
    return value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in cast("dict[str, Any]", value).items() if v is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in cast("list[Any]", value)]
    return value
