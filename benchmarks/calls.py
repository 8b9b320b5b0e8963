"""The floor of `python -m local up`: the calls of boto3 that a deployment makes, one after the other, and nothing else.

Run as `python -m benchmarks.calls FILE`: starts a moto server, imports the classes of the SDKs by which the program
makes its resources, and makes the calls that the file holds. An id that moto invents is another one in each run, so it
is taken from the answer that gave it. Every call must succeed.
"""

import importlib
import json
import os
import sys
from ast import literal_eval
from collections.abc import Iterator, Mapping
from functools import partial, reduce
from operator import getitem
from pathlib import Path
from typing import Any, NamedTuple, cast

import botocore

from benchmarks.flat import search_less_for_garbage
from local import engine
from local.aws import Aws
from local.facts import Facts
from local.provider import Provider
from local.stack_files import StackFile
from local.wire import is_list, is_object

LEAST_ID = 8
"""Least length of what may be an id: in shorter text it would be found by chance."""


class Call(NamedTuple):
    """A call of boto3."""

    service: str
    operation: str
    given: str
    """Its parameters as Python writes them, because JSON has no bytes."""
    ids: list[tuple[str, int, list[str | int]]]
    """Text in the parameters that moto invented, the number of the call that answered it, and where in the answer."""


class Recorded(NamedTuple):
    """What a deployment does outside this project's code."""

    region: str
    classes: list[tuple[str, str]]
    """Module and name of the classes of its resources; a module of the SDK is read when a class of it is asked for."""
    calls: list[Call]


def record(stack: StackFile, facts: Facts, classes: list[tuple[str, str]]) -> Recorded:
    """Deploy a stack to an AWS of its own, and keep the calls."""
    calls: list[Call] = []
    with _RecordedAws(stack, calls) as aws:
        run = engine.run(stack, Provider(aws, facts), preview=False)
        if run.error is not None:
            raise run.error
    return Recorded(stack.region, classes, calls)


class _RecordedAws(Aws):
    def __init__(self, stack: StackFile, calls: list[Call]) -> None:
        super().__init__(stack.region, stack.default_tags)
        self._calls = calls
        self._invented: dict[str, tuple[int, list[str | int]]] = {}
        self._seen: set[str] = set()

    def client(self, service: str) -> Any:
        known = service in self._clients
        client = super().client(service)
        if not known:
            client.meta.events.register("provide-client-params", partial(self._note, service))
            client.meta.events.register("after-call", self._learn)
        return client

    def _note(self, service: str, model: Any, params: Mapping[str, Any], **_: object) -> None:
        given = repr(params)
        self._seen.update(text for _, text in _texts(params))
        ids = [(text, *where) for text, where in self._invented.items() if text in given]
        # the longest first: an ARN holds a name
        ids.sort(key=lambda one: -len(one[0]))
        self._calls.append(Call(service, cast("Any", botocore).xform_name(model.name), given, ids))

    def _learn(self, parsed: Mapping[str, Any], **_: object) -> None:
        for path, text in _texts(parsed):
            if len(text) >= LEAST_ID and text not in self._seen:
                self._invented.setdefault(text, (len(self._calls) - 1, path))


def _texts(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[list[str | int], str]]:
    if isinstance(value, str):
        yield list(path), value
    inside = value.items() if is_object(value) else enumerate(value) if is_list(value) else ()
    for key, one in inside:
        if key != "ResponseMetadata":
            yield from _texts(one, (*path, key))


def replay(recorded: Recorded) -> None:
    """Make the calls against an AWS of their own.

    Raises:
        ClientError: when a call fails.

    """
    with Aws(recorded.region) as aws:
        aws.start()
        for module, made_by in recorded.classes:
            getattr(importlib.import_module(module), made_by)
        import boto3

        os.environ.update(aws.environment)
        services = dict.fromkeys(call[0] for call in recorded.calls)
        clients = {service: cast("Any", boto3).client(service) for service in services}
        answers: list[Any] = []
        for service, operation, given, ids in recorded.calls:
            now = given
            for text, number, path in ids:
                now = now.replace(text, reduce(getitem, path, answers[number]))
            answers.append(getattr(clients[service], operation)(**literal_eval(now)))


if __name__ == "__main__":
    search_less_for_garbage()
    replay(Recorded(*json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
