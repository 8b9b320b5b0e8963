"""Rules of the real engine, and rules of good practice, that the SDK and its mocks do not enforce.

While they are enforced, a run ends where the program breaks one: a resource or export made inside `apply`, an Output
put into text, an Args object together with keyword arguments that the SDK would drop silently.
"""

import inspect
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import pulumi
from pulumi.output import contains_unknowns
from pulumi.runtime.stack import Stack

from local.run import RefusedError

INSIDE_APPLY: ContextVar[bool] = ContextVar("inside_apply", default=False)
"""True while a function that was given to `apply` runs."""


@contextmanager
def enforced(*, preview: bool) -> Generator[Callable[[], None]]:
    """Enforce the rules; call the function that is yielded after the stack exists and before the program runs."""
    constructed: list[pulumi.Resource] = []

    def note(made: pulumi.ResourceTransformationArgs) -> None:
        constructed.append(made.resource)
        if INSIDE_APPLY.get():
            raise RefusedError(
                f"{made.type_} {made.name}: is made inside apply, so a preview with unknown values does not show it"
            )
        if dropped := _dropped_arguments():
            raise RefusedError(
                f"{made.type_} {made.name}: {', '.join(dropped)}: cannot be given beside an Args object, "
                "the SDK would drop it"
            )

    def to_text(output: pulumi.Output[Any]) -> str:
        raise RefusedError(f"{_owner(output, constructed)} is put into text; use Output.format or Output.concat")

    def export(stack: Stack, name: str, value: object) -> None:
        if INSIDE_APPLY.get():
            raise RefusedError(
                f"export {name}: is made inside apply, so a preview with unknown values does not show it"
            )
        stack.outputs[name] = value

    with (
        patch.object(pulumi.Output, "apply", _apply(preview=preview)),
        patch.object(pulumi.Output, "__str__", to_text),
        patch.object(Stack, "output", export),
    ):
        yield lambda: pulumi.runtime.register_stack_transformation(note)


def _apply(*, preview: bool) -> Callable[..., Any]:
    original = cast("Callable[..., Any]", pulumi.Output.apply)

    def apply(
        output: pulumi.Output[Any], func: Callable[[Any], Any], run_with_unknowns: bool = False
    ) -> pulumi.Output[Any]:
        def inside(value: Any) -> Any:
            token = INSIDE_APPLY.set(True)
            try:
                return func(value)
            finally:
                INSIDE_APPLY.reset(token)

        if preview and not run_with_unknowns and _is_of_the_program(func):
            original(output, partial(_rehearse, inside), True)
        return original(output, inside, run_with_unknowns)

    return apply


class _Anything:
    """A placeholder for a value that a preview does not know, used by `_rehearse`."""

    def __getattr__(self, name: str) -> "_Anything":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, key: object) -> "_Anything":
        if isinstance(key, int) and key > 0:
            raise IndexError(key)
        return self

    def __call__(self, *_args: object, **_kwargs: object) -> "_Anything":
        return self

    def __str__(self) -> str:
        return "anything"


def _rehearse(inside: Callable[[Any], Any], value: Any) -> Any:
    """Run a callback of `apply` that a preview would skip, only to see whether it creates resources."""
    if not contains_unknowns(value):
        return None
    try:
        result = inside(_Anything())
    except RefusedError:
        raise
    except Exception:  # a callback may fail on a placeholder
        return None
    return result if inspect.isawaitable(result) else None


def _is_of_the_program(func: Callable[..., Any]) -> bool:
    code = getattr(func, "__code__", None)
    return code is not None and "site-packages" not in code.co_filename


def _dropped_arguments() -> list[str]:
    """Keyword arguments that the SDK drops in the constructor that runs now, because it has an Args object."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "__init__" and {"resource_args", "kwargs"} <= set(frame.f_code.co_varnames):
            seen = frame.f_locals
            return sorted(set(seen["kwargs"]) - {"opts", "args"}) if seen["resource_args"] is not None else []
        frame = frame.f_back
    return []


def _owner(output: pulumi.Output[Any], constructed: list[pulumi.Resource]) -> str:
    """The resource and property that an Output belongs to, or else the line of the program that uses it."""
    for resource in constructed:
        for name, value in vars(resource).items():
            if value is output:
                return f"{resource.pulumi_resource_type} {resource.pulumi_resource_name}: its Output {name}"
    caller = inspect.stack(context=0)[2]
    return f"{Path(caller.filename).name}, line {caller.lineno}: an Output"
