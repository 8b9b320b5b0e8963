"""The base of every section of a stack file: strict, frozen, camelCase, one line for each mistake."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

Name = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", max_length=32)]
"""A part's name in the stack file: kebab-case, at most 32 characters, so that every name made of it fits AWS's limit.

The tightest is an EKS node group's, 63 characters; SQS allows 80 with `.fifo`, Batch 128, IAM 64 for roles.
"""

Arn = Annotated[str, StringConstraints(pattern=r"^arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:([0-9]{12}|aws)?:\S+$")]
"""An Amazon resource name."""

SecretArn = Annotated[Arn, StringConstraints(pattern=r"^arn:[a-z-]+:(secretsmanager|ssm):")]
"""A Secrets Manager secret, or one key of it, or an SSM parameter."""


class Settings(BaseModel):
    """A section of the stack file."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )


class MistakesError(ValueError):
    """Mistakes between fields: each has a key (a path below the model), a rule and the value got."""

    def __init__(self, mistakes: Iterable[tuple[str, str, object]]) -> None:
        super().__init__("\n".join(mistake(key, rule, value) for key, rule, value in mistakes))


def mistake(key: str, rule: str, value: object) -> str:
    """One mistake in a stack file, as one line."""
    return f"{key}: {rule}, got {_shown(value)}"


def refuse(mistakes: list[tuple[str, str, object]]) -> None:
    """Raise all the mistakes that a validator found, if it found any."""
    if mistakes:
        raise MistakesError(mistakes)


def mistakes(section: str, errors: Iterable[ErrorDetails]) -> Iterator[str]:
    """Pydantic's errors as the lines that a person reads, one per mistake."""
    for error in errors:
        path = ".".join([section, *(str(part) for part in error["loc"] if part != "[key]")])
        match error["type"]:
            case "value_error" if isinstance(cause := error.get("ctx", {}).get("error"), MistakesError):
                yield from (f"{path}.{line}" for line in str(cause).splitlines())
            case "extra_forbidden":
                yield mistake(path, "is no key of a stack file", error["input"])
            case "missing":
                yield f"{path}: is required, got nothing"
            case "model_type" | "model_attributes_type" | "dict_type":
                yield mistake(path, "must be an object", error["input"])
            case _:
                yield mistake(path, _rule(error), error["input"])


def _rule(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    for theirs, ours in (
        ("Input should be ", "must be "),
        ("String should ", "must "),
        ("List should ", "must "),
        ("Tuple should ", "must "),
        ("Dictionary should ", "must "),
    ):
        message = message.replace(theirs, ours)
    return message[0].lower() + message[1:]


def _shown(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return f"'{value}'"
        case _:
            return str(value)
