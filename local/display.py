"""What a run looks like: a live tree on a terminal, plain lines anywhere else."""

import json
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, cast

from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from local.aws import Created
from local.engine import STACK_TYPE, Registration, Run

COMPONENT_PREFIX = "distributed-training:index:"
LONGEST_VALUE = 200
"""Characters of an output that are shown; what is longer is said to be."""

STATES = {"creating": "yellow", "created": "green", "simulated": "cyan", "would be created": "green", "failed": "red"}


class Watching(Protocol):
    """Shows resources as they come."""

    def __call__(self, registration: Registration, created: Created | None) -> None:
        """A resource was registered (None) or created."""
        ...


class Display:
    """Writes to standard output as it is: a terminal gets colours and a live tree, a pipe plain lines."""

    def __init__(self, *, preview: bool) -> None:
        self.console = Console(highlight=False)
        self.preview = preview
        self.registrations: dict[str, Registration] = {}
        self.states: dict[str, str] = {}

    @contextmanager
    def watching(self) -> Generator[Watching]:
        """Show resources while the program runs, and the whole tree when it has run."""
        if not self.console.is_terminal:
            yield self._line
            return
        with Live(console=self.console, get_renderable=self._working, refresh_per_second=8, transient=True):
            yield self._note
        self.console.print(self._tree(), overflow="ellipsis", no_wrap=True)

    def fail(self, urn: str) -> None:
        """Mark the resource that stopped the run."""
        if urn in self.states:
            self.states[urn] = "failed"

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

    def counts(self) -> str:
        """How many resources there are in which state."""
        counted = Counter(self.states.values())
        return ", ".join(f"{counted[state]} {state}" for state in STATES if counted[state])

    def _note(self, registration: Registration, created: Created | None) -> None:
        self.registrations[registration.urn] = registration
        if not registration.custom:
            return
        self.states[registration.urn] = (
            ("simulated" if created.simulated else "created")
            if created is not None
            else ("would be created" if self.preview else "creating")
        )

    def _line(self, registration: Registration, created: Created | None) -> None:
        self._note(registration, created)
        if registration.custom and (self.preview or created is not None):
            state = self.states[registration.urn]
            print(f"{state:<10} {registration.type} {registration.name}", flush=True)

    def _working(self) -> RenderableType:
        """Only what is being worked on: a whole stack is taller than a terminal."""
        working = Table.grid(padding=(0, 2))
        for urn, state in list(self.states.items()):
            if state == "creating":
                one = self.registrations[urn]
                working.add_row(Text(one.type), Text(one.name, style="bold"), Text(state, style=STATES[state]))
        working.add_row(Text(self.counts() or "starting", style="dim"))
        return working

    def _tree(self) -> Tree:
        root = Tree("stack")
        nodes: dict[str, Tree] = {}
        for urn, one in self.registrations.items():
            under = nodes.get(one.parent, root) if f"::{STACK_TYPE}::" not in one.parent else root
            label = Text()
            label.append(one.name, style="bold")
            label.append(f"  {one.type.removeprefix(COMPONENT_PREFIX)}", style="dim")
            if (state := self.states.get(urn)) is not None:
                label.append(f"  {state}", style=STATES[state])
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


def summary(run: Run, display: Display, seconds: float) -> str:
    """One line: how many resources in which state, and how long it took."""
    return f"{len(run.registrations)} resources: {display.counts() or 'none'} in {seconds:.1f} s"
