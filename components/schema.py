"""The base of every section of a stack file: strict, frozen, camelCase, and its mistakes in words."""

import ipaddress
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, LiteralString, cast, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

from stack_file.mistakes import NOTHING, Mistake, near

MOST_ROUNDS = 10
"""How often a section is read again without what is wrong in it; each field and each rule between fields takes one."""

WORDS: Mapping[str, str] = {
    "bool_type": "must be true or false",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "missing": "is required, got nothing",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    "literal_error": "must be {expected}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must hold at least {min_length}",
    "too_long": "must hold at most {max_length}",
}
"""Kind of pydantic's errors -> the rule in words, with what pydantic knows of it."""
Steps = tuple[str, ...]
"""A path below a section, key by key."""
TRUE_OR_FALSE = {
    **dict.fromkeys(("yes", "on", "y", "true"), "true"),
    **dict.fromkeys(("no", "off", "n", "false"), "false"),
}
"""Words for true and false that are text in YAML 1.2 -> what was meant."""


@dataclass(frozen=True)
class Like:
    """A text that a pattern must match as a whole; the message of another text, also in an editor, is `words`."""

    pattern: str
    words: str
    """The rule, which goes on after the key: `must be ...`, with an example."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "pattern": self.pattern, "patternErrorMessage": self.words}

    def _checked(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text):
            raise ValueError(self.words)
        return text


def _range(value: object, read: ValidatorFunctionWrapHandler) -> ipaddress.IPv4Network:
    try:
        return read(value)
    except ValidationError:
        rule = "must be a range of IPv4 addresses, such as 10.0.0.0/16, with zeros after its prefix"
        meant = None
        with suppress(ValueError):
            meant = str(ipaddress.IPv4Network(str(value), strict=False))
        raise PydanticCustomError("range", cast("LiteralString", rule), {"meant": meant}) from None


Range = Annotated[ipaddress.IPv4Network, WrapValidator(_range)]
"""A range of addresses."""

Name = Annotated[
    str,
    StringConstraints(max_length=32),
    Like(
        r"^[a-z]([a-z0-9-]*[a-z0-9])?$",
        "must be a name of small letters, digits and hyphens that begins with a letter, such as gpu-2",
    ),
]
"""A part's name in the stack file: kebab-case, at most 32 characters, so that every name made of it fits AWS's limit.

The tightest is an EKS node group's, 63 characters; SQS allows 80 with `.fifo`, Batch 128, IAM 64 for roles.
"""

Arn = Annotated[
    str,
    Like(
        r"^arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:([0-9]{12}|aws)?:\S+$",
        "must be an ARN, such as arn:aws:kms:us-west-2:123456789012:key/NAME",
    ),
]
"""An Amazon resource name."""

KeyArn = Annotated[
    str,
    Like(
        r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/\S+$",
        "must be the ARN of a KMS key, not of an alias, such as arn:aws:kms:us-west-2:123456789012:key/ID",
    ),
]
"""A KMS key."""

PolicyArn = Annotated[
    str,
    Like(
        r"^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/\S+$",
        "must be the ARN of a managed policy, such as arn:aws:iam::123456789012:policy/boundary",
    ),
]
"""A managed policy of IAM."""

Principal = Annotated[
    str,
    Like(
        r"^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/\S+$",
        "must be the ARN of an IAM role or user, such as arn:aws:iam::123456789012:role/admin",
    ),
]
"""ARN of an IAM role or user, the principals that an access entry takes; not that of an assumed role's session."""

SecretArn = Annotated[
    str,
    Like(
        r"^arn:aws[a-z-]*:(secretsmanager|ssm):[a-z0-9-]*:[0-9]{12}:\S+$",
        (
            "must be the ARN of a Secrets Manager secret or an SSM parameter,"
            " such as arn:aws:secretsmanager:us-west-2:123456789012:secret:NAME"
        ),
    ),
]
"""A Secrets Manager secret, or one key of it, or an SSM parameter."""

Image = Annotated[
    str,
    Like(
        r"^(?!repository([:@/]|$))\S+$|^repository:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$",
        (
            "must be an image without white space, such as public.ecr.aws/docker/library/python:3.13, or repository:TAG"
            " for one in the stack's own repository"
        ),
    ),
]
"""A container image; `repository` stands for the stack's own repository."""


ReservationId = Annotated[
    str, Like(r"^cr-[0-9a-f]{8,17}$", "must be the id of a capacity reservation, such as cr-0123456789abcdef0")
]
"""A capacity reservation, or a capacity block."""


class Settings(BaseModel):
    """A section of the stack file."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        populate_by_name=True,
    )

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """What is not there because it is wrong: whoever needs it cannot judge."""
            if name in type(self).model_fields:
                raise WrongFieldError(name)
            return super().__getattr__(name)


class WrongFieldError(AttributeError):
    """A field is asked for whose value in the stack file is wrong."""


class MistakesError(ValueError):
    """Mistakes between fields; each path begins below the model."""

    def __init__(self, mistakes: Iterable[tuple[str, str, object]]) -> None:
        self.mistakes = [mistake(*one) for one in mistakes]
        super().__init__("\n".join(str(one) for one in self.mistakes))


def each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names as they are, for the validator of a list. Raises ValueError when one is there twice."""
    if len(set(names)) < len(names):
        raise ValueError("must name each once")
    return names


def mistake(path: str, rule: str, got: object) -> Mistake:
    """One mistake in a stack file."""
    return Mistake(path=path, rule=rule, got=got)


def refuse(mistakes: list[tuple[str, str, object]]) -> None:
    """Raise a `MistakesError` with all the mistakes that a validator found, if it found any."""
    if mistakes:
        raise MistakesError(mistakes)


def judged(section: str, annotation: Any, value: Any) -> tuple[Any, list[Mistake]]:
    """What a section holds, and its mistakes.

    Fields that are wrong are left out, and so is what needs them; the rules between the others are checked all the
    same. None for a section of which nothing is left.
    """
    mistakes: list[Mistake] = []
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    wrong: list[Steps] = []
    said = set[Steps]()
    for again in range(MOST_ROUNDS):
        try:
            # as JSON, so that it can be strict and still take a list for a tuple
            found = adapter.validate_json(json.dumps(value), strict=True, by_alias=True, by_name=False)
        except ValidationError as error:
            errors = error.errors()
        else:
            for steps in sorted(wrong, key=len):
                _forget(found, steps)
            return found, mistakes
        cut: list[Steps] = []
        for one in errors:
            steps = _steps(one)
            if isinstance(cause := one.get("ctx", {}).get("error"), MistakesError):
                # what breaks a rule only now breaks it with a default in place of what is wrong
                if again < len(("fields", "rules")) and steps not in said:
                    mistakes += [
                        replace(broken, path=".".join([section, *steps, broken.path]))
                        for broken in cause.mistakes
                        if not _needs(broken, steps, wrong)
                    ]
                said.add(steps)
                cut += [(*steps, *broken.path.split(".")) for broken in cause.mistakes]
            else:
                mistakes += [] if again else _mistakes(section, annotation, one, errors)
                cut.append(steps)
        for steps in cut:
            gone = _there(value, steps)
            if not gone:
                return None, mistakes
            value = _without(value, gone)
            wrong.append(gone)
    return None, mistakes


def as_far_as_right(found: Iterable[Mistake]) -> Iterator[Mistake]:
    """Mistakes up to where a rule needs what is wrong itself."""
    with suppress(WrongFieldError):
        yield from found


def _mistakes(section: str, annotation: Any, error: ErrorDetails, errors: Sequence[ErrorDetails]) -> Iterator[Mistake]:
    """One of pydantic's errors, as a person reads it."""
    steps, got, kind, context = _steps(error), error["input"], error["type"], error.get("ctx", {})
    if kind == "too_short" and any(len(_steps(one)) > len(steps) == _alike(_steps(one), steps) for one in errors):
        # it counts the right ones alone
        return
    bounds = {key: int(one) if isinstance(one, float) and one.is_integer() else one for key, one in context.items()}
    rule = WORDS[kind].format(**bounds) if kind in WORDS else error["msg"].removeprefix("Value error, ")
    meant = None
    match kind:
        case "range":
            meant = context["meant"]
        case "extra_forbidden":
            known = _keys(annotation, steps[:-1])
            meant, got = near(steps[-1], known), NOTHING
            rule = f"is no key of {'.'.join([section, *steps[:-1]])}"
            rule += "" if meant else f", which may have {', '.join(known)}"
        case "missing":
            got = NOTHING
        case "literal_error":
            # a number that is like another is not meant to be that
            meant = near(got, re.findall(r"[^\s',]+", context["expected"])) if isinstance(got, str) else None
        case "bool_type":
            meant = TRUE_OR_FALSE.get(str(got).lower())
        case "string_type" if isinstance(got, bool | int | float):
            rule += ": put it in quotes"
        case "model_type" | "model_attributes_type" | "dict_type" if got in ("", None):
            rule += "; {} is one with nothing in it"
        case _:
            pass
    yield Mistake(
        path=".".join([section, *steps]),
        rule=rule,
        got=got,
        meant=meant,
        of_key=kind == "extra_forbidden" or "[key]" in error["loc"],
    )


def _steps(error: ErrorDetails) -> Steps:
    return tuple(str(step) for step in error["loc"] if step != "[key]")


def _alike(one: Steps, other: Steps) -> int:
    """How many steps two paths begin with alike."""
    return next((index for index, pair in enumerate(zip(one, other, strict=False)) if len({*pair}) > 1), len(other))


def _needs(broken: Mistake, model: Steps, wrong: Iterable[Steps]) -> bool:
    """Whether a rule between the fields of a model is about one that is wrong, which it then names."""
    names = {steps[len(model)] for steps in wrong if len(steps) > len(model) == _alike(steps, model)}
    return not names.isdisjoint(re.findall(r"\w+", f"{broken.path} {broken.rule}"))


def _keys(annotation: Any, steps: Steps) -> list[str]:
    """The keys of the model that a path leads to."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        fields = {field.alias or name: field.annotation for name, field in annotation.model_fields.items()}
        return _keys(fields.get(steps[0]), steps[1:]) if steps else sorted(fields)
    inner = steps[1:] if get_origin(annotation) in (dict, tuple) else steps
    return next((keys for one in get_args(annotation) if (keys := _keys(one, inner))), list[str]())


def _there(value: Any, steps: Steps) -> Steps:
    """How far a path leads to something that can be left out: not into a list, and not to what is not there."""
    there: list[str] = []
    for step in steps:
        if not isinstance(value, dict):
            break
        if step not in value:
            return tuple(there)
        there.append(step)
        value = cast("dict[str, Any]", value)[step]
    return tuple(there)


def _without(value: Any, steps: Steps) -> Any:
    """An object without what a path leads to."""
    first, *rest = steps
    left = {key: one for key, one in value.items() if key != first or rest}
    return {**left, first: _without(value[first], tuple(rest))} if rest else left


def _forget(found: Any, steps: Steps) -> None:
    """Take a field from the model that a path leads to, so that whoever asks for it knows that it is wrong."""
    first, *rest = steps
    inner: Any = None
    if isinstance(found, Settings):
        names = {field.alias: name for name, field in type(found).model_fields.items()}
        inner = vars(found).get(names.get(first, "")) if rest else vars(found).pop(names.get(first, ""), None)
    elif isinstance(found, dict):
        inner = cast("dict[str, Any]", found).get(first)
    if rest and inner is not None:
        _forget(inner, tuple(rest))
