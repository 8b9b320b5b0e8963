"""JSON documents: what is in them, and when it is known."""

from collections.abc import Callable
from typing import Any

import pulumi

from components.json_document import to_json
from local import engine
from local.aws import Aws
from local.provider import Provider


def exported(aws: Aws, program: Callable[[], Any], *, preview: bool = False) -> Any:
    run = engine.run(lambda: pulumi.export("document", program()), Provider(aws), preview=preview)
    if run.error is not None:
        raise run.error
    return run.exports["document"]


def test_what_is_known_later_is_where_it_stands_and_keys_are_sorted(aws: Aws) -> None:
    def program() -> pulumi.Output[str]:
        arn = pulumi.Output.from_input("arn:1")
        return to_json({"b": [arn, 2, {"c": arn}], "a": pulumi.Output.from_input({"known": [True, None]})})

    assert exported(aws, program) == '{"a": {"known": [true, null]}, "b": ["arn:1", 2, {"c": "arn:1"}]}'


def test_a_document_without_outputs_is_as_it_stands(aws: Aws) -> None:
    assert exported(aws, lambda: to_json(["one", 2])) == '["one", 2]'


def test_a_secret_in_it_makes_the_document_a_secret(aws: Aws) -> None:
    def program() -> pulumi.Output[bool]:
        return pulumi.Output.from_input(to_json([pulumi.Output.secret("word")]).is_secret())

    assert exported(aws, program) is True
