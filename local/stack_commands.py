"""What the command line does with a stack file: up, preview, graph."""

import argparse
import json
import threading
import time
from typing import Any

import pulumi

from local import engine, stack_files
from local.aws import Aws
from local.display import Display
from local.errors import failed
from local.facts import Facts
from local.graph import svg
from local.kept import FOLDER, Kept
from local.provider import Provider
from local.round_trip import RoundTripError, round_trip
from local.run import RefusedError, Run


class OutputsFileError(Exception):
    """The outputs cannot be written where they should go."""


def run(stack: stack_files.StackFile, aws: Aws, facts: Facts, options: argparse.Namespace) -> int:
    """Run one of the commands on a stack; the exit status."""
    commands = {"up": _up, "preview": _preview, "graph": _graph}
    return commands[options.command](stack, Provider(aws, facts), options)


def _up(stack: stack_files.StackFile, provider: Provider, options: argparse.Namespace) -> int:
    display, started = Display(preview=False), time.monotonic()
    with display.watching() as watch:
        run = engine.run(stack, provider, preview=False, watch=watch)
    if run.error is not None:
        return _broken_off(run, display, time.monotonic() - started, options)
    display.outputs(run.exports)
    display.warn(run.messages)
    try:
        if queue := _work_queue(stack, run):
            display.say()
            display.say("Round trip:")
            for step in round_trip(provider.aws, run.exports, queue):
                display.say(f"  {step}", "green")
    except RoundTripError as error:
        return _refused(error, options)
    display.say()
    display.say(display.summary(time.monotonic() - started))
    if options.outputs is not None:
        try:
            options.outputs.write_text(json.dumps(run.exports, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        except OSError as error:
            return _refused(OutputsFileError(f"{options.outputs}: cannot be written: {error.strerror}"), options)
    if options.keep:
        _keep(stack, provider.aws, display)
    return 0


def _keep(stack: stack_files.StackFile, aws: Aws, display: Display) -> None:
    """Say how to use this AWS, until Ctrl-C."""
    with Kept(stack.program / FOLDER).given(aws) as reached:
        which = "it" if reached else f"the one of {FOLDER}, not this one"
        display.say()
        display.say(f"This AWS stays until Ctrl-C. In another terminal `python -m local aws` reaches {which}, or:")
        for name, value in aws.environment.items():
            display.say(f"  export {name}={value}")
        threading.Event().wait()


def _preview(stack: stack_files.StackFile, provider: Provider, options: argparse.Namespace) -> int:
    display, started = Display(preview=True), time.monotonic()
    with display.watching() as watch:
        run = engine.run(stack, provider, preview=True, watch=watch)
    if run.error is not None:
        return _broken_off(run, display, time.monotonic() - started, options)
    display.say()
    display.warn(run.messages)
    display.say(f"outputs: {', '.join(sorted(run.exports))}")
    display.say(str(provider.estimate(run)))
    display.say(display.summary(time.monotonic() - started))
    return _keeps_the_rules(stack, run, display) if options.policy else 0


def _keeps_the_rules(stack: stack_files.StackFile, run: Run, display: Display) -> int:
    """Show what the policy pack finds; the exit status."""
    from local import policy  # here, because a preview without it should not wait for its imports

    rules = policy.rules(stack.program / "policy")
    found = policy.violations(rules, stack, run)
    display.warn([one.line for one in found if not one.mandatory])
    mandatory = [one.line for one in found if one.mandatory]
    display.say(f"policy: {len(rules)} rules, {len({one.policy for one in found})} broken")
    return failed(None, mandatory, debug=False) if mandatory else 0


def _graph(stack: stack_files.StackFile, provider: Provider, options: argparse.Namespace) -> int:
    run = engine.run(stack, provider, preview=True)
    if run.error is not None:
        return _refused(run.error, options)
    print(svg(run))
    return 0


def _broken_off(run: Run, display: Display, seconds: float, options: argparse.Namespace) -> int:
    if run.registrations:
        display.say()
        display.say(display.summary(seconds))
    return _refused(run.error, options)


def _refused(error: BaseException | None, options: argparse.Namespace) -> int:
    match error:
        case pulumi.RunError() | RefusedError() | RoundTripError() | OutputsFileError():
            lines = str(error).splitlines()
        case _:
            lines = [f"{type(error).__name__}: {' '.join(str(error).split())} (--debug shows where)"]
    return failed(error, lines, debug=options.debug)


def _work_queue(stack: stack_files.StackFile, run: Run) -> str | None:
    """The queue that the workers do, or else the first one, where there is one for results beside it."""
    workers: dict[str, Any] = json.loads(stack.config.get(f"{stack.project}:workers", "{}"))
    queues: dict[str, str] = run.exports.get("queue_urls", {})
    if "results" not in queues:
        return None
    return workers.get("queue") or next((queue for queue in queues if queue != "results"), None)
