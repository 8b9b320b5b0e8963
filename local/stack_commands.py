"""What the command line does with a stack file: up, preview, graph."""

import argparse
import json
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pulumi

from local import adopted, engine, stack_files
from local.aws import Aws
from local.clis import CliError
from local.costs import Costs
from local.display import Display, cost
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
    display = Display(
        preview=options.command != "up", full=options.full, quiet=options.json or options.command == "graph"
    )
    if (network := adopted.existing(stack)) is not None:
        display.say(adopted.make(aws, network))
    return commands[options.command](stack, Provider(aws, facts), display, options)


def _up(stack: stack_files.StackFile, provider: Provider, display: Display, options: argparse.Namespace) -> int:
    started = time.monotonic()
    with display.watching() as watch:
        run = engine.run(stack, provider, preview=False, watch=watch)
    if run.error is not None:
        return _broken_off(run, display, time.monotonic() - started, options)
    costs = provider.costs(run)
    display.outputs(run.exports)
    display.warn(run.messages)
    display.parts(run, costs)
    try:
        if queue := _work_queue(stack, run):
            display.say()
            display.say("Round trip:")
            with display.phase("a worker does tasks"):
                for step in round_trip(provider.aws, run.exports, queue):
                    display.say(f"  {step}", "green")
        display.say()
        display.say(display.summary(time.monotonic() - started))
        if options.outputs is not None:
            _write(options.outputs, run.exports)
    except (RoundTripError, OutputsFileError) as error:
        return _ended(run, display, options, costs, mistakes=str(error).splitlines(), error=error)
    if options.keep:
        _keep(stack, provider.aws, display)
    return _ended(run, display, options, costs)


def _write(path: Path, exports: Mapping[str, Any]) -> None:
    try:
        path.write_text(json.dumps(exports, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputsFileError(f"{path}: cannot be written: {error.strerror}") from error


def _keep(stack: stack_files.StackFile, aws: Aws, display: Display) -> None:
    """Say how to use this AWS, until Ctrl-C."""
    with Kept(stack.program / FOLDER).given(aws) as reached:
        which = "it" if reached else f"the one of {FOLDER}, not this one"
        display.say()
        display.say(f"This AWS stays until Ctrl-C. In another terminal `python -m local aws` reaches {which}, or:")
        for name, value in aws.environment.items():
            display.say(f"  export {name}={value}")
        threading.Event().wait()


def _preview(stack: stack_files.StackFile, provider: Provider, display: Display, options: argparse.Namespace) -> int:
    if options.against is not None:
        return _against(stack, provider, display, options)
    started = time.monotonic()
    with display.watching() as watch:
        run = engine.run(stack, provider, preview=True, watch=watch)
    if run.error is not None:
        return _broken_off(run, display, time.monotonic() - started, options)
    costs = provider.costs(run)
    display.parts(run, costs)
    display.resources(run)
    display.say()
    display.say(f"outputs: {', '.join(sorted(run.exports))}")
    display.warn(run.messages)
    display.say(display.summary(time.monotonic() - started))
    mistakes = _broken_rules(stack, run, display) if options.policy else []
    return _ended(run, display, options, costs, mistakes=mistakes)


def _against(stack: stack_files.StackFile, provider: Provider, display: Display, options: argparse.Namespace) -> int:
    """Show what a deployment would do to the stack of an earlier stack file; what ends work comes last."""
    from local import against  # here, because no other command needs the engine's messages

    try:
        before = against.earlier(stack.program, stack.stack, options.against)
        if before.stack.region != stack.region:
            moved = f"aws:region: must be that of {before.name} ({before.stack.region}), got '{stack.region}'"
            return _wrong([f"{moved}; a stack cannot move, deploy another"], options, stack_files.StackFileError(moved))
        runs = [engine.run(one, provider, preview=True) for one in (before.stack, stack)]
        for run, prefix in zip(runs, (f"{before.name}: ", ""), strict=True):
            if run.error is not None:
                return _wrong([f"{prefix}{line}" for line in _lines_of(run.error)], options, run.error)
        with display.phase(f"deploying {before.name}, and previewing this one"):
            plan = against.planned(stack, before, provider.aws)
    except (stack_files.StackFileError, CliError) as error:
        return _wrong(str(error).splitlines(), options, error)
    costs = [provider.estimate(run) for run in runs]
    display.say(f"against {before.name}, with the program as it is now, says {against.by()}:")
    for line in against.lines(plan):
        display.say(line)
    display.say(f"cost before: {costs[0].totals}")
    display.say(f"cost after:  {costs[1].totals}")
    display.warn(runs[1].messages)
    for line in against.work_lines(plan):
        display.say(line)
    mistakes = [*plan.mistakes]
    if plan.protected:
        mistakes.append("the deployment would be refused")
    if options.json:
        said = against.document(plan) | {"cost": dict(zip(("before", "after"), map(cost, costs), strict=True))}
        said = {"against": before.name, **said, "messages": runs[1].messages, "mistakes": mistakes}
        print(json.dumps(said, indent=2))
    return failed(None, mistakes, debug=False) if mistakes else 0


def _wrong(lines: list[str], options: argparse.Namespace, error: BaseException) -> int:
    if options.json:
        print(json.dumps({"mistakes": lines}, indent=2))
    return failed(error, lines, debug=options.debug)


def _broken_rules(stack: stack_files.StackFile, run: Run, display: Display) -> list[str]:
    """Show what the policy pack finds; what it refuses."""
    from local import policy  # here, because a preview without it should not wait for its imports

    rules = policy.rules(stack.program / "policy")
    found = policy.violations(rules, stack, run)
    advice = [one.line for one in found if not one.mandatory]
    run.messages += advice
    display.warn(advice)
    display.say(f"policy: {len(rules)} rules, {len({one.policy for one in found})} broken")
    return [one.line for one in found if one.mandatory]


def _graph(stack: stack_files.StackFile, provider: Provider, display: Display, options: argparse.Namespace) -> int:
    run = engine.run(stack, provider, preview=True)
    if run.error is not None:
        return _broken_off(run, display, 0, options)
    print(svg(run))
    return 0


def _broken_off(run: Run, display: Display, seconds: float, options: argparse.Namespace) -> int:
    if run.registrations:
        display.parts(run)
        display.say()
        display.say(display.summary(seconds))
    return _ended(run, display, options, mistakes=_lines_of(run.error), error=run.error)


def _lines_of(error: BaseException | None) -> list[str]:
    match error:
        case pulumi.RunError() | RefusedError():
            return str(error).splitlines()
        case _:
            return [f"{type(error).__name__}: {' '.join(str(error).split())} (--debug shows where)"]


def _ended(
    run: Run,
    display: Display,
    options: argparse.Namespace,
    costs: Costs | None = None,
    *,
    mistakes: Sequence[str] = (),
    error: BaseException | None = None,
) -> int:
    """Say the last of a run, which is its mistakes; the exit status."""
    if options.json:
        print(json.dumps(display.document(run, costs, mistakes), indent=2))
    return failed(error, [*mistakes], debug=options.debug) if mistakes else 0


def _work_queue(stack: stack_files.StackFile, run: Run) -> str | None:
    """The queue that the workers do, or else the first one, where there is one for results beside it."""
    workers: dict[str, Any] = json.loads(stack.config.get(f"{stack.project}:workers", "{}"))
    queues: dict[str, str] = run.exports.get("queue_urls", {})
    if "results" not in queues:
        return None
    return workers.get("queue") or next((queue for queue in queues if queue != "results"), None)
