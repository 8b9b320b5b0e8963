"""JSON documents of AWS that hold what is known only after something was created."""

import json
from typing import Any

import pulumi


def to_json(document: Any) -> pulumi.Output[str]:
    """A document as JSON with sorted keys, so that an unchanged document shows no change.

    It waits for the Outputs in the document alone: `Output.json_dumps` makes an Output of each value that a document
    has, which is a quarter of what the program takes.

    Args:
        document: objects, lists, text, numbers, truth values and Outputs of these; keys are text.

    """
    outputs: list[pulumi.Output[Any]] = []
    json.dumps(document, default=outputs.append)

    def filled(known: list[Any]) -> str:
        there = {id(output): value for output, value in zip(outputs, known, strict=True)}
        return json.dumps(document, sort_keys=True, default=lambda output: there[id(output)])

    return pulumi.Output.all(*outputs).apply(filled)
