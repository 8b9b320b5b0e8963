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

Recorded = tuple[str, str, str, dict[str, Any]]
"""Module and name of a resource's class, its logical name and its arguments; a component has no
module, and its type for that name."""


class _Mocks(mocks.Mocks):
    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        return f"{args.name}-id", cast("dict[str, Any]", args.inputs)

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        raise NotImplementedError


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
        for module, made_by, name, arguments in resources:
            if module:
                getattr(importlib.import_module(module), made_by)(name, **arguments)
            else:
                pulumi.ComponentResource(made_by, name)

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
