"""What a run looks like: a live tree on a terminal, plain lines anywhere else."""

import json
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from local import types
from local.run import Registration, State, Watcher

COMPONENT_PREFIX = "distributed-training:index:"
LONGEST_VALUE = 200
"""Characters of an output that are shown; of what is longer the length is."""
STATES = {"creating": "yellow", "created": "green", "simulated": "cyan", "would be created": "green", "failed": "red"}
"""What can become of a resource -> its colour."""


class Display:
    """Writes to standard output as it is: a terminal gets colours and a live tree, a pipe plain lines."""

    def __init__(self, *, preview: bool) -> None:
        self.console = Console(highlight=False)
        self.preview = preview
        self.registrations: dict[str, Registration] = {}
        self.states: dict[str, str] = {}

    @contextmanager
    def watching(self) -> Generator[Watcher]:
        """Show resources while the program runs, and the whole tree when it has run."""
        if self.console.is_terminal:
            with Live(console=self.console, get_renderable=self._working, refresh_per_second=8, transient=True):
                yield self._note
        else:
            yield self._line
        # nothing is created any more: what still was is what the run ended at
        self.states |= {urn: "failed" for urn, state in self.states.items() if state == "creating"}
        if self.console.is_terminal and self.registrations:
            self.console.print(self._tree(), overflow="ellipsis", no_wrap=True)

    def outputs(self, exports: Mapping[str, Any]) -> None:
        """Show what the stack exports."""
        self.say()
        self.say("Outputs:")
        for line in _lines(exports, "  "):
            self.say(line)

    def warn(self, messages: list[str]) -> None:
        """Show what the program warned of."""
        for message in messages:
            self.say(f"warning: {message}", "yellow")

    def say(self, line: str = "", style: str | None = None) -> None:
        """Show one line; a terminal breaks it where it must, so that it can be copied whole."""
        self.console.print(escape(line), style=style, soft_wrap=True)

    def summary(self, seconds: float) -> str:
        """One line: how many resources came to what, and how long it took."""
        counted = Counter(self.states.values())
        words = {"created": "created in moto", "simulated": "only simulated"}
        parts = [f"{counted[state]} {words.get(state, state)}" for state in STATES if counted[state]]
        return f"{sum(counted.values())} resources: {', '.join(parts) or 'none'}, in {seconds:.1f} s"

    def _note(self, registration: Registration, state: State | None) -> None:
        self.registrations[registration.urn] = registration
        if not registration.provided:
            return
        self.states[registration.urn] = (
            ("simulated" if types.is_simulated(registration.type) else "created")
            if state is not None
            else ("would be created" if self.preview else "creating")
        )

    def _line(self, registration: Registration, state: State | None) -> None:
        self._note(registration, state)
        if registration.provided and (self.preview or state is not None):
            print(f"{self.states[registration.urn]:<9} {registration.type} {registration.name}", flush=True)

    def _working(self) -> RenderableType:
        """Only what is being worked on: a whole stack is taller than a terminal."""
        working = Table.grid(padding=(0, 2))
        states = dict(self.states)
        for urn, state in states.items():
            if state == "creating":
                one = self.registrations[urn]
                working.add_row(Text(one.type), Text(one.name, style="bold"), Text(state, style=STATES[state]))
        working.add_row(Text(f"{len(states)} resources", style="dim"))
        return working

    def _tree(self) -> Tree:
        root = Tree("stack")
        nodes: dict[str, Tree] = {}
        for urn, one in self.registrations.items():
            label = Text(f"{one.name}  ", style="bold")
            if (state := self.states.get(urn)) is not None:
                label.append(f"{state}  ", style=STATES[state])
            label.append(one.type.removeprefix(COMPONENT_PREFIX), style="dim")
            under = root if one.is_top else nodes[one.parent]
            nodes[urn] = under.add(label)
        return root


def _lines(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, one in sorted(value.items()):
        if isinstance(one, dict):
            yield f"{indent}{key}:"
            yield from _lines(cast("dict[str, Any]", one), f"{indent}  ")
        else:
            text = one if isinstance(one, str) else json.dumps(one)
            yield f"{indent}{key}: {text if len(text) <= LONGEST_VALUE else f'({len(text)} characters)'}"
