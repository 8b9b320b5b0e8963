"""The floor of an evaluation: the same resources, registered one after the other by the SDK's own classes.

Run as `python -m benchmarks.flat FILE`: registers what the file holds, as a program without components, settings, facts
or rules would, on Pulumi's mocks.
"""

import asyncio
import gc
import importlib
import json
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pulumi
from pulumi.runtime import mocks
from pulumi.runtime import settings as pulumi_settings
from pulumi.runtime.stack import run_in_stack

Recorded = tuple[str, str, dict[str, Any]]
"""Type, logical name and arguments of a resource; a component has none."""


class _Mocks(mocks.Mocks):
    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        return f"{args.name}-id", cast("dict[str, Any]", args.inputs)

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        raise NotImplementedError


def resource_class(type_: str) -> type[pulumi.CustomResource] | None:
    """The SDK's class of a resource type; None for a component."""
    package, module, name = type_.split(":")
    match package:
        case "aws" | "eks":
            parts = [f"pulumi_{package}", *([module.split("/")[0]] if package == "aws" else [])]
        case "kubernetes":
            group, _, version = module.partition("/")
            parts = ["pulumi_kubernetes", group.split(".")[0], *([version] if version else [])]
        case "pulumi" if module == "providers":
            parts, name = [f"pulumi_{name}"], "Provider"
        case _:
            return None
    return getattr(importlib.import_module(".".join(parts)), name)


def register(resources: Sequence[Recorded]) -> None:
    """Register the resources in a run of their own."""
    monitor = mocks.MockMonitor(_Mocks())
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    pulumi_settings.ROOT.set(cast("Any", object()))  # otherwise set_mocks makes a second Stack
    mocks.set_mocks(monitor.mocks, project="flat", stack="flat", preview=True, monitor=monitor)
    pulumi_settings.ROOT.set(None)
    # set_mocks does not reset these, which an earlier run has set
    for name, fresh in {"outputs": set[Any](), "lock": threading.Lock()}.items():
        setattr(pulumi_settings.SETTINGS, name, fresh)

    def program() -> None:
        for type_, name, arguments in resources:
            if (made_by := resource_class(type_)) is None:
                pulumi.ComponentResource(type_, name)
            else:
                made_by(name, **arguments)

    try:
        loop.run_until_complete(run_in_stack(program))
    finally:
        loop.close()
        asyncio.set_event_loop(None)


def search_less_for_garbage() -> None:
    """As the commands of `local` do: a floor that searches a million objects again and again would be none."""
    gc.set_threshold(200_000, 20, 20)


if __name__ == "__main__":
    search_less_for_garbage()
    register(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
