"""What the command line does with a stack file: up, preview, graph."""

import argparse
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi

from local import adopted, engine, stack_files
from local.aws import Aws
from local.clis import CliError
from local.costs import Costs
from local.display import Display, cost
from local.errors import Failure, failed, failures, refused
from local.facts import Facts
from local.graph import svg
from local.kept import FOLDER, Kept
from local.provider import Provider
from local.round_trip import RoundTripError, round_trip, working
from local.run import RefusedError, Run
from stack_file.mistakes import Mistake
from stack_file.reading import WrongStackFileError

MOST_ROUNDS = 4
"""How often a program is run again without the values that it refused; without them the rest may break another rule."""


class OutputsFileError(Exception):
    """The file for the outputs cannot be written."""


def run(stack: stack_files.StackFile, aws: Aws, facts: Facts, options: argparse.Namespace) -> int:
    """Run one of the commands on a stack; return the exit status."""
    commands = {"up": _up, "preview": _preview, "graph": _graph}
    display = Display(
        preview=options.command != "up" or bool(stack.mistakes),
        full=options.full,
        quiet=options.json or options.command == "graph" or bool(stack.mistakes),
    )
    if (network := adopted.existing(stack)) is not None:
        display.say(adopted.make(aws, network))
    command = _wrong if stack.mistakes else commands[options.command]
    return command(stack, Provider(aws, facts), display, options)


def _wrong(stack: stack_files.StackFile, provider: Provider, _display: Display, options: argparse.Namespace) -> int:
    """Find the other mistakes in a stack file that has mistakes already."""
    run = engine.run(stack, provider, preview=True)
    return refused(run.error, _failures(stack, run, provider), json=options.json, debug=options.debug)


def _up(stack: stack_files.StackFile, provider: Provider, display: Display, options: argparse.Namespace) -> int:
    started = time.monotonic()
    with display.watching() as watch:
        run = engine.run(stack, provider, preview=False, watch=watch)
    if run.error is not None:
        return _broken_off(stack, run, provider, display, time.monotonic() - started, options)
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
        _keep(stack, provider.aws, run, queue, display)
    elif queue:
        display.say()
        display.say("Try next, while `.venv/bin/python -m local up --keep` keeps this AWS and does the tasks:")
        _say_what_to_try(queue, display)
    return _ended(run, display, options, costs)


def _say_what_to_try(queue: str, display: Display) -> None:
    display.say("  .venv/bin/train smoke")
    display.say(f"  .venv/bin/train task send {queue} -- python3 -c 'print(6 * 7)'")
    display.say("  .venv/bin/train task results --follow")


def _write(path: Path, exports: Mapping[str, Any]) -> None:
    try:
        path.write_text(json.dumps(exports, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputsFileError(f"{path}: cannot be written: {error.strerror}") from error


def _keep(stack: stack_files.StackFile, aws: Aws, run: Run, queue: str | None, display: Display) -> None:
    """Say how to use this AWS, and let a worker do the tasks of its queue, until Ctrl-C."""
    with (
        Kept(stack.program / FOLDER).given(aws) as reached,
        working(aws, run.exports, queue) if queue else nullcontext(),
    ):
        which = "it" if reached else f"the one of {FOLDER}, not this one"
        display.say()
        display.say(f"This AWS stays until Ctrl-C. In another terminal `python -m local aws` reaches {which}, or:")
        for name, value in {"TRAIN_STACK": stack.stack, **aws.environment}.items():
            display.say(f"  export {name}={value}")
        if queue:
            display.say(f"A worker does what is sent to {queue}. Try next:")
            _say_what_to_try(queue, display)
        threading.Event().wait()


def _preview(stack: stack_files.StackFile, provider: Provider, display: Display, options: argparse.Namespace) -> int:
    if options.against is not None:
        return _against(stack, provider, display, options)
    started = time.monotonic()
    with display.watching() as watch:
        run = engine.run(stack, provider, preview=True, watch=watch)
    if run.error is not None:
        return _broken_off(stack, run, provider, display, time.monotonic() - started, options)
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
    """Show what a deployment would do to the stack of an earlier stack file; effects on running work come last."""
    from local import against  # here, because no other command needs the engine's messages

    try:
        before = against.earlier(stack.program, stack.stack, options.against)
        if before.stack.region != stack.region:
            moved = f"aws:region: must be that of {before.name} ({before.stack.region}), got '{stack.region}'"
            found = [Failure(message=f"{moved}; a stack cannot move, deploy another")]
            return refused(None, found, json=options.json, debug=options.debug)
        runs = [engine.run(one, provider, preview=True) for one in (before.stack, stack)]
        for one, run, prefix in zip((before.stack, stack), runs, (f"{before.name}: ", ""), strict=True):
            if run.error is not None:
                found = [
                    replace(failure, message=f"{prefix if failure.place is None else ''}{failure.message}")
                    for failure in _failures(one, run, provider)
                ]
                return refused(run.error, found, json=options.json, debug=options.debug)
        with display.phase(f"deploying {before.name}, and previewing this one"):
            plan = against.planned(stack, before, provider.aws)
    except WrongStackFileError as error:
        return refused(error, failures(error.mistakes, error.document), json=options.json, debug=options.debug)
    except (against.EarlierError, CliError) as error:
        lines = [Failure(message=line) for line in str(error).splitlines()]
        return refused(error, lines, json=options.json, debug=options.debug)
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


def _broken_rules(stack: stack_files.StackFile, run: Run, display: Display) -> list[str]:
    """Show the policy pack's advice; return what it refuses."""
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
        return _broken_off(stack, run, provider, display, 0, options)
    print(svg(run))
    return 0


def _broken_off(
    stack: stack_files.StackFile,
    run: Run,
    provider: Provider,
    display: Display,
    seconds: float,
    options: argparse.Namespace,
) -> int:
    display.states |= {urn: "failed" for urn, _ in run.refusals}
    if run.registrations:
        display.parts(run)
        display.say()
        display.say(display.summary(seconds))
    return _ended(run, display, options, mistakes=_failures(stack, run, provider), error=run.error)


def _failures(stack: stack_files.StackFile, run: Run, provider: Provider) -> list[Failure]:
    """The mistakes in a stack file, and all else that ended a run."""
    found, lines = [*stack.mistakes], list[str]()
    match run.error:
        case pulumi.RunError(__cause__=WrongStackFileError(mistakes=mistakes)):
            found += [*mistakes, *_refusals_of_the_rest(stack, mistakes, provider)]
        case None:
            pass
        case RefusedError() if run.refusals:
            found += _refusals(stack, run)
        case pulumi.RunError() | RefusedError() as error:
            lines = str(error).splitlines()
        case error:
            lines = [f"{type(error).__name__}: {' '.join(str(error).split())} (--debug shows where)"]
    return [*failures(WrongStackFileError(found).mistakes, stack.document), *(Failure(message=line) for line in lines)]


def _refusals_of_the_rest(
    stack: stack_files.StackFile, mistakes: Sequence[Mistake], provider: Provider
) -> Iterator[Mistake]:
    """What AWS would refuse of a stack file without its mistakes: with them, its program stops before any resource."""
    for _ in range(MOST_ROUNDS):
        before, stack = stack, stack.without(mistakes)
        if stack == before:
            return
        run = engine.run(stack, provider, preview=True)
        match run.error:
            case pulumi.RunError(__cause__=WrongStackFileError(mistakes=left)):
                mistakes = left
            case _:
                yield from _refusals(stack, run)
                return


def _refusals(stack: stack_files.StackFile, run: Run) -> Iterator[Mistake]:
    """What AWS refuses of resources, placed at the value in the stack file that causes it, where only one value can."""
    for urn, line in run.refusals:
        resource = f"{run.registrations[urn].type} {run.registrations[urn].name}"
        origin = None if stack.document is None else stack.document.origin(line)
        if origin is None:
            yield Mistake(path="", rule=f"{resource}: {line}")
        else:
            yield Mistake(path=origin[0], rule=f"{line} ({resource})", place=origin[1])


def _ended(
    run: Run,
    display: Display,
    options: argparse.Namespace,
    costs: Costs | None = None,
    *,
    mistakes: Sequence[Failure | str] = (),
    error: BaseException | None = None,
) -> int:
    """Report the end of a run, its mistakes last; return the exit status."""
    if options.json:
        print(json.dumps(display.document(run, costs, mistakes), indent=2))
    return failed(error, mistakes, debug=options.debug) if mistakes else 0


def _work_queue(stack: stack_files.StackFile, run: Run) -> str | None:
    """The queue of the first fleet, or else the first queue; None when there is no queue for results."""
    workers: dict[str, dict[str, Any]] = json.loads(stack.config.get(f"{stack.project}:workers", "{}"))
    queues: dict[str, str] = run.exports.get("queue_urls", {})
    if "results" not in queues:
        return None
    if workers:
        return next(iter(workers.values())).get("queue", "tasks")
    return next((queue for queue in queues if queue != "results"), None)
