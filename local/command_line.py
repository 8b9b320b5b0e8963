"""The command line of `python -m local`: up, preview, graph."""

import argparse
import json
import os
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
from local.graph import svg
from local.prices import estimate
from local.round_trip import RoundTripError, round_trip

PROJECT = Path(__file__).parents[1]
FAILED, INTERRUPTED = 1, 130


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        stack = stack_files.read(PROJECT, options.stack)
        with Aws(stack.region, stack.default_tags, managed_policies=options.run is _up) as aws:
            return options.run(stack, aws, options)
    except stack_files.StackFileError as error:
        _complain(error, debug=options.debug)
        return FAILED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


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
    return _keeps_the_rules(stack, run, display) if options.policy else 0


def _keeps_the_rules(stack: stack_files.StackFile, run: engine.Run, display: Display) -> int:
    """Show what the policy pack finds; the exit status."""
    from local import policy  # here, because a preview without it should not wait for its imports

    found = policy.violations(stack, run)
    display.warn([one.line for one in found if not one.mandatory])
    mandatory = [one.line for one in found if one.mandatory]
    display.say(f"policy: {len(policy.RULES)} rules, {len({one.policy for one in found})} broken")
    for line in mandatory:
        print(f"error: {line}", file=sys.stderr)
    return FAILED if mandatory else 0


def _graph(stack: stack_files.StackFile, aws: Aws, options: argparse.Namespace) -> int:
    run = engine.run(stack, LocalCloud(aws), preview=True)
    if run.error is not None:
        _complain(run.error, debug=options.debug)
        return FAILED
    print(svg(run))
    return 0


def _failed(run: engine.Run, display: Display, seconds: float, options: argparse.Namespace) -> int:
    if run.registrations:
        display.say()
        display.say(display.summary(seconds))
    _complain(run.error, debug=options.debug)
    return FAILED


def _complain(error: BaseException | None, *, debug: bool) -> None:
    """Every mistake as a line of its own on standard error."""
    if isinstance(error, stack_files.StackFileError | pulumi.RunError | engine.RefusedError | RoundTripError):
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description="The stack on this machine, with moto as AWS.")
    commands = parser.add_subparsers(required=True, metavar="command")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--stack", default="dev", help="the stack file's name: Pulumi.NAME.yaml (dev)", metavar="NAME")
    common.add_argument("--debug", action="store_true", help="show where an error comes from")
    up = commands.add_parser("up", parents=[common], help="create everything, and send a task through the work queue")
    up.add_argument("--keep", action="store_true", help="leave the local AWS running and say how to use it")
    up.set_defaults(run=_up)
    preview = commands.add_parser("preview", parents=[common], help="say what would be created, or every mistake")
    preview.add_argument("--policy", action="store_true", help="ask the policy pack what it would say in CI")
    preview.set_defaults(run=_preview)
    graph = commands.add_parser("graph", parents=[common], help="the stack as a picture (SVG)")
    graph.set_defaults(run=_graph)
    return parser


def to_its_end() -> int:
    """Run the command of this process to the last byte written; the exit status.

    What cannot be written is a failure like any other.
    """
    try:
        status = main()
        sys.stdout.flush()
    except OSError as error:
        # what is left in the buffer would fail once more while Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print(f"error: standard output: {error.strerror}", file=sys.stderr)
        return FAILED
    return status
