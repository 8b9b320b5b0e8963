"""What the command line does with a stack file: up, preview, graph."""

import argparse
import json
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import pulumi

from local import engine, stack_files
from local.aws import Aws
from local.cloud import LocalCloud
from local.display import Display
from local.graph import mermaid
from local.prices import estimate
from local.round_trip import RoundTripError, round_trip

PROJECT = Path(__file__).parents[1]
FAILED = 1


class OutputsFileError(Exception):
    """The outputs cannot be written where they should go."""


def run(options: argparse.Namespace) -> int:
    """Run one of the commands on the stack that it names; the exit status."""
    try:
        stack = stack_files.read(PROJECT, options.stack)
        with Aws(stack.region, stack.default_tags, managed_policies=options.command == "up") as aws:
            return {"up": _up, "preview": _preview, "graph": _graph}[options.command](stack, aws, options)
    except stack_files.StackFileError as error:
        _complain(error, debug=options.debug)
        return FAILED


def _up(stack: stack_files.StackFile, aws: Aws, options: argparse.Namespace) -> int:
    display, started = Display(preview=False), time.monotonic()
    with display.watching() as watch:
        run = engine.run(stack, LocalCloud(aws), preview=False, watch=watch)
    if run.error is not None:
        return _failed(run, display, time.monotonic() - started, options)
    display.outputs(run.exports)
    display.warn(run.messages)
    try:
        if queue := _work_queue(stack, run):
            display.say()
            display.say("Round trip:")
            for step in round_trip(aws, run.exports, queue):
                display.say(f"  {step}", "green")
    except RoundTripError as error:
        _complain(error, debug=options.debug)
        return FAILED
    display.say()
    display.say(display.summary(time.monotonic() - started))
    if options.outputs is not None:
        try:
            options.outputs.write_text(json.dumps(run.exports, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        except OSError as error:
            _complain(OutputsFileError(f"{options.outputs}: cannot be written: {error.strerror}"), debug=options.debug)
            return FAILED
    if options.keep:
        display.say()
        display.say("This AWS stays until Ctrl-C. In another terminal:")
        for name, value in aws.environment.items():
            display.say(f"  export {name}={value}")
        threading.Event().wait()
    return 0


def _preview(stack: stack_files.StackFile, aws: Aws, options: argparse.Namespace) -> int:
    display, started = Display(preview=True), time.monotonic()
    with display.watching() as watch:
        run = engine.run(stack, LocalCloud(aws), preview=True, watch=watch)
    if run.error is not None:
        return _failed(run, display, time.monotonic() - started, options)
    display.say()
    display.warn(run.messages)
    display.say(f"outputs: {', '.join(sorted(run.exports))}")
    display.say(str(estimate(run, aws)))
    display.say(display.summary(time.monotonic() - started))
    return 0


def _graph(stack: stack_files.StackFile, aws: Aws, options: argparse.Namespace) -> int:
    run = engine.run(stack, LocalCloud(aws), preview=True)
    if run.error is not None:
        _complain(run.error, debug=options.debug)
        return FAILED
    print(mermaid(run))
    return 0


def _failed(run: engine.Run, display: Display, seconds: float, options: argparse.Namespace) -> int:
    if run.registrations:
        display.say()
        display.say(display.summary(seconds))
    _complain(run.error, debug=options.debug)
    return FAILED


def _complain(error: BaseException | None, *, debug: bool) -> None:
    """Every mistake as a line of its own on standard error."""
    if isinstance(
        error,
        stack_files.StackFileError | pulumi.RunError | engine.RefusedError | RoundTripError | OutputsFileError,
    ):
        lines = str(error).splitlines()
    else:
        lines = [f"{type(error).__name__}: {' '.join(str(error).split())} (--debug shows where)"]
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    if debug:
        traceback.print_exception(error)


def _work_queue(stack: stack_files.StackFile, run: engine.Run) -> str | None:
    """The queue that the workers do, or else the first one, where there is one for results beside it."""
    workers: dict[str, Any] = json.loads(stack.config.get(f"{stack.project}:workers", "{}"))
    queues: dict[str, str] = run.exports.get("queue_urls", {})
    if "results" not in queues:
        return None
    return workers.get("queue") or next((queue for queue in queues if queue != "results"), None)
