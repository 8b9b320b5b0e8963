"""Shows a run: a row for each part on a terminal, plain lines anywhere else."""

import json
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, cast

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from local import types
from local.costs import Costs, Estimate
from local.errors import Failure
from local.run import Registration, Run, State, Watcher

COMPONENT_PREFIX = "distributed-training:index:"
WIDE_COLUMNS = 70
"""From this width on a terminal has room for the kind of each part."""
LONGEST_VALUE = 200
"""Longest output in characters that is shown; of a longer one only the length is shown."""
STATES = {"creating": "yellow", "created": "green", "simulated": "cyan", "would be created": "green", "failed": "red"}
"""State of a resource -> its colour."""


class Display:
    """Writes to standard output: colours and progress on a terminal, plain lines in a pipe."""

    def __init__(self, *, preview: bool, full: bool = False, quiet: bool = False) -> None:
        self.console = Console(highlight=False, quiet=quiet)
        self.preview, self.full, self.quiet = preview, full, quiet
        self.on_terminal = self.console.is_terminal and not quiet
        self.run = Run()
        self.states: dict[str, str] = {}

    def phase(self, what: str) -> AbstractContextManager[object]:
        """Show on a terminal what the command waits for."""
        return self.console.status(what) if self.on_terminal else nullcontext()

    @contextmanager
    def watching(self) -> Generator[Watcher]:
        """Show resources while the program runs; for `up --full` also the whole tree afterwards."""
        if self.on_terminal:
            with Live(console=self.console, get_renderable=self._working, refresh_per_second=8, transient=True):
                yield self.note
        else:
            yield self._line
        # the run has ended: a resource that is still being created has failed
        self.states |= {urn: "failed" for urn, state in self.states.items() if state == "creating"}
        if not self.preview and self.on_terminal and self.full and self.run.registrations:
            self.resources(self.run)

    def note(self, registration: Registration, state: State | None) -> None:
        """Remember the state of a resource."""
        self.run.registrations[registration.urn] = registration
        if not registration.provided:
            return
        self.states[registration.urn] = (
            ("simulated" if types.is_simulated(registration.type) else "created")
            if state is not None
            else ("would be created" if self.preview else "creating")
        )

    def resources(self, run: Run) -> None:
        """Show every resource; on a terminal only with `--full`, as a tree."""
        if not self.on_terminal:
            for urn in self.states:
                self.say(f"{self.states[urn]} {run.registrations[urn].type} {run.registrations[urn].name}")
        elif self.full:
            self.console.print(self._tree(), overflow="ellipsis", no_wrap=True)

    def parts(self, run: Run, costs: Costs | None = None) -> None:
        """Show a row for each part of the stack, each with its cost, and the cost of the whole stack."""
        self.say()
        if self.on_terminal:
            self.console.print(self._table(run, costs))
        else:
            for top, members in run.parts().items():
                one = run.registrations[top]
                cost = (
                    ""
                    if costs is None
                    else ", idle {} a month and {} an hour, at most {} an hour".format(*_money(costs.parts[top]))
                )
                count, state = self._came_to(members)
                if not count:
                    continue
                self.say(f"{one.name} ({_kind(one)}): {count} resources, {state}{cost}")
        if costs is not None:
            self.say(str(costs.whole))

    def document(self, run: Run, costs: Costs | None, mistakes: Sequence[Failure | str]) -> dict[str, Any]:
        """The whole run as one JSON document."""
        return {
            "resources": [
                {"urn": urn, "type": one.type, "name": one.name, "state": self.states[urn], "part": run.top(urn)}
                for urn, one in run.registrations.items()
                if urn in self.states
            ],
            "parts": [
                {"urn": top, "type": run.registrations[top].type, "name": run.registrations[top].name}
                | {"resources": self._came_to(members)[0]}
                | ({} if costs is None else cost(costs.parts[top]))
                for top, members in run.parts().items()
            ],
            "cost": (
                None
                if costs is None
                else {
                    **cost(costs.whole),
                    "instance_usd_per_hour": dict(costs.whole.instance_prices),
                    "without_price": [*costs.whole.without_price],
                }
            ),
            "exports": dict(run.exports),
            "messages": run.messages,
            "mistakes": [{"message": one} if isinstance(one, str) else one.document for one in mistakes],
        }

    def outputs(self, exports: Mapping[str, Any]) -> None:
        """Show what the stack exports."""
        self.say()
        self.say("Outputs:")
        for line in _lines(exports, "  "):
            self.say(line)

    def warn(self, messages: list[str]) -> None:
        """Show the warnings of the program."""
        for message in messages:
            self.say(f"warning: {message}", "yellow")

    def say(self, line: str = "", style: str | None = None) -> None:
        """Show one line; only the terminal wraps it, so that it can be copied as one."""
        self.console.print(escape(line), style=style, soft_wrap=True)

    def summary(self, seconds: float) -> str:
        """One line: how many resources are in which state, and how long it took."""
        counted = Counter(self.states.values())
        words = {"created": "created in moto", "simulated": "only simulated"}
        parts = [f"{counted[state]} {words.get(state, state)}" for state in STATES if counted[state]]
        return f"{sum(counted.values())} resources: {', '.join(parts) or 'none'}, in {seconds:.1f} s"

    def _line(self, registration: Registration, state: State | None) -> None:
        self.note(registration, state)
        if registration.provided and state is not None and not self.quiet:
            print(f"{self.states[registration.urn]:<9} {registration.type} {registration.name}", flush=True)

    def _working(self) -> RenderableType:
        """The parts so far, and what is being created; all resources would not fit on a terminal."""
        # a copy, because the program goes on in another thread
        run = Run(registrations=dict(self.run.registrations))
        creating = [run.registrations[urn] for urn, state in [*self.states.items()] if state == "creating"]
        what = ", ".join(f"{one.type} {one.name}" for one in creating) if self.states else "the program runs"
        now = Text(what, "dim", overflow="ellipsis", no_wrap=True)
        return Group(self._table(run, None), now) if self.states else now

    def _table(self, run: Run, costs: Costs | None) -> Table:
        wide = self.console.width >= WIDE_COLUMNS
        table = Table(box=None, pad_edge=False, padding=(0, 2 if wide else 1, 0, 0), show_footer=costs is not None)
        table.add_column("part", "all", style="bold", no_wrap=True)
        if wide:
            table.add_column("what", style="dim", no_wrap=True)
        table.add_column("#", str(len(self.states)), justify="right", no_wrap=True)
        stated = not self.preview or "failed" in self.states.values()
        if stated:
            table.add_column("state", min_width=len("simulated"))
        if costs is not None:
            for title, money in zip(("idle/month", "idle/hour", "most/hour"), _money(costs.whole), strict=True):
                table.add_column(title if wide else title.replace("/", "\n/"), money, justify="right", no_wrap=True)
        for top, members in run.parts().items():
            one, (count, state) = run.registrations[top], self._came_to(members)
            if not count:
                continue
            style = STATES["failed"] if "failed" in state else STATES.get(state, "green")
            table.add_row(
                one.name,
                *([_kind(one)] if wide else []),
                str(count),
                *([Text(state, style)] if stated else []),
                *(() if costs is None else _money(costs.parts[top])),
            )
        return table

    def _came_to(self, members: Sequence[Registration]) -> tuple[int, str]:
        """How many of these are resources in the cloud, and how many of those are in which state."""
        counted = Counter(self.states[one.urn] for one in members if one.urn in self.states)
        if len(counted) == 1:
            return counted.total(), next(iter(counted))
        return counted.total(), ", ".join(f"{counted[state]} {state}" for state in STATES if counted[state])

    def _tree(self) -> Tree:
        root = Tree("stack")
        nodes: dict[str, Tree] = {}
        for urn, one in self.run.registrations.items():
            label = Text(f"{one.name}  ", style="bold")
            if (state := self.states.get(urn)) is not None:
                label.append(f"{state}  ", style=STATES[state])
            label.append(_kind(one), style="dim")
            under = root if one.is_top else nodes[one.parent]
            nodes[urn] = under.add(label)
        return root


def cost(estimate: Estimate) -> dict[str, float]:
    """The sums as data."""
    return {
        "idle_usd_per_month": round(estimate.idle_usd_per_month, 2),
        "idle_usd_per_hour": round(estimate.idle_usd_per_hour, 4),
        "at_most_usd_per_hour": round(estimate.busiest_usd_per_hour, 4),
    }


def _kind(one: Registration) -> str:
    return one.type.removeprefix(COMPONENT_PREFIX)


def _money(estimate: Estimate) -> list[str]:
    """Idle cost per month and per hour, and highest cost per hour, as text."""
    sums = estimate.idle_usd_per_month, estimate.idle_usd_per_hour, estimate.busiest_usd_per_hour
    return [f"${usd:,.2f}" for usd in sums]


def _lines(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, one in sorted(value.items()):
        if isinstance(one, dict):
            yield f"{indent}{key}:"
            yield from _lines(cast("dict[str, Any]", one), f"{indent}  ")
        else:
            text = one if isinstance(one, str) else json.dumps(one)
            yield f"{indent}{key}: {text if len(text) <= LONGEST_VALUE else f'({len(text)} characters)'}"
