"""What a stack file may contain, from the models that check it: a schema for editors, a table for people."""

import ast
import inspect
import json
import textwrap
from collections import ChainMap
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic.json_schema import GenerateJsonSchema

from components.schema import Settings
from settings.stack import StackSettings
from stack_file import configuration

PROJECT = Path(__file__).parents[1]


class _Described(GenerateJsonSchema):
    """Leaves out titles, which would repeat keys; allows only names that match; describes keys by their docstrings.

    Pydantic can read these docstrings, too, but does so whenever the models are imported.
    """

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False

    def dict_schema(self, schema: Any) -> dict[str, Any]:
        made = super().dict_schema(schema)
        return made | {"additionalProperties": False} if "patternProperties" in made else made

    def model_schema(self, schema: Any) -> dict[str, Any]:
        made = super().model_schema(schema)
        for name, text in _docstrings(schema["cls"]):
            made["properties"][schema["cls"].model_fields[name].alias]["description"] = text
        return made


def schema() -> dict[str, Any]:
    """The JSON Schema of `Pulumi.<stack>.yaml`; rules between keys, which it cannot express, are in the models only."""
    project = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text(encoding="utf-8"))["name"]
    model = _model()
    text = {"type": "string"}
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "title": f"Stack file of {project}",
        "type": "object",
        "required": ["config"],
        "additionalProperties": False,
        "properties": {
            "secretsprovider": text,
            "encryptedkey": text,
            "encryptionsalt": text,
            "environment": {},
            "config": {
                "type": "object",
                "required": ["aws:region"],
                "properties": {
                    "aws:region": {
                        "description": "The AWS region of everything.",
                        "enum": [*configuration.regions()],
                    },
                    "aws:defaultTags": {
                        "description": "Tags of every resource that can have any.",
                        "type": "object",
                        "properties": {"tags": {"type": "object", "additionalProperties": text}},
                        "required": ["tags"],
                        "additionalProperties": False,
                    },
                    **{f"{project}:{key}": section for key, section in model["properties"].items()},
                },
                "patternProperties": {
                    f"^({'|'.join(configuration.OTHER_NAMESPACES)}):.": {},
                    f"^aws:({'|'.join(configuration.provider_keys())})$": {},
                    f"^pulumi:({'|'.join(configuration.PULUMI_KEYS)})$": {},
                },
                "additionalProperties": False,
            },
        },
        "$defs": model["$defs"],
    }


def table() -> str:
    """A row for each key of a stack file."""
    model = _model()
    rows = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    for path, key in _keys(model, model["$defs"], ""):
        default = f"`{_yaml(key['default'])}`" if "default" in key and "$ref" not in key else ""
        meaning = " ".join(key["description"].split())
        rows.append(f"| `{path}` | {_form(key)} | {default} | {meaning} |")
    return "\n".join(rows) + "\n"


def schema_text() -> str:
    """The text of the committed schema."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _docstrings(model: type[Any]) -> Iterator[tuple[str, str]]:
    """The fields of a model with their docstrings."""
    for base in reversed(model.__mro__[: model.__mro__.index(Settings)]):
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        for field, text in pairwise(cast("ast.ClassDef", definition).body):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                    yield name, inspect.cleandoc(said)
                case _:
                    pass


def _model() -> dict[str, Any]:
    return StackSettings.model_json_schema(by_alias=True, schema_generator=_Described)


def _keys(model: Mapping[str, Any], defs: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Path and schema of each key, a section's own keys before those inside them."""
    for name, key in model["properties"].items():
        choices: list[dict[str, Any]] = [one for one in key.get("anyOf", ()) if one != {"type": "null"}]
        merged = ChainMap(key, *choices)
        named = merged.get("patternProperties", {}) or {"": merged.get("additionalProperties")}
        inner = next(iter(named.values()))
        yield f"{prefix}{name}", merged
        if "$ref" in merged:
            yield from _keys(_definition(merged, defs), defs, f"{prefix}{name}.")
        elif isinstance(inner, dict) and "$ref" in inner:
            yield from _keys(_definition(cast("dict[str, Any]", inner), defs), defs, f"{prefix}{name}.NAME.")


def _definition(reference: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    return defs[reference["$ref"].rsplit("/", 1)[1]]


def _form(key: Mapping[str, Any]) -> str:
    """The form of a value, in words."""
    match key:
        case {"enum": choices}:
            return ", ".join(f"`{choice}`" for choice in choices)
        case {"type": "array", "items": item}:
            return f"list, each {_form(item)}" if "patternErrorMessage" in item else f"list of {_form(item)}"
        case {"type": "integer" | "number", "minimum": least, "maximum": most}:
            return f"{least:g} to {most:,}"
        case {"type": "integer" | "number", "minimum": least}:
            return f"{least:g} or more"
        case {"type": "number", "exclusiveMinimum": least}:
            return f"over {least:g}"
        case {"type": "object"} | {"$ref": _}:
            return "object"
        case {"patternErrorMessage": words}:
            return words.removeprefix("must be ")
        case {"type": kind}:
            return {"boolean": "`true`, `false`", "string": "text"}[kind]
        case _:
            raise ValueError(f"no words for {key}")


def _yaml(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()
