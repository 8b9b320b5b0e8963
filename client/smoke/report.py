"""What a smoke check looks like: a table on a terminal, a line per check anywhere else."""

from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table
from rich.text import Text

from client.smoke.check import Result, State

COLOURS = {State.PASSED: "green", State.FAILED: "red", State.WARNING: "yellow", State.NOT_CHECKED: "cyan"}
WIDTH = max(len(state) for state in State)


class Report:
    """Writes to standard output as it is."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.results: list[Result] = []
        self._status: Status | None = None

    @property
    def failed(self) -> bool:
        """Whether any check failed."""
        return any(result.state is State.FAILED for result in self.results)

    @contextmanager
    def running(self) -> Generator[None]:
        """Show what is waited for, and the table when it has run, to whatever end."""
        if not self.console.is_terminal:
            yield
            return
        try:
            with self.console.status("asking AWS") as self._status:
                yield
        finally:
            self.console.print(_table(self.results))

    def add(self, result: Result) -> None:
        """Take a result."""
        self.results.append(result)
        if not self.console.is_terminal:
            reason = f": {result.reason}" if result.reason else ""
            print(f"{result.state:<{WIDTH}} {result.check.name}: {result.check.what}{reason}", flush=True)

    def wait_for(self, name: str, how: str) -> None:
        """Show how something stands that is waited for."""
        if self._status is not None:
            self._status.update(escape(f"waiting for {name}: {how}"))
        else:
            print(f"{'waiting':<{WIDTH}} {name}: {how}", flush=True)

    def summarize(self, seconds: float) -> None:
        """Show how many checks came to what, and how long it took."""
        counted = Counter(result.state for result in self.results)
        parts = [f"{counted[State.PASSED]} passed", f"{counted[State.FAILED]} failed"]
        parts += [f"{counted[State.WARNING]} with a warning"] * bool(counted[State.WARNING])
        parts += [f"{counted[State.NOT_CHECKED]} not checked"]
        self.console.print(f"{', '.join(parts)}, in {seconds:.1f} s", soft_wrap=True)


def _table(results: Sequence[Result]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for result in results:
        said = Text.assemble((result.check.name, "bold"), f" {result.check.what}")
        if result.reason:
            said.append(f"\n{result.reason}", style="dim" if result.state is State.PASSED else COLOURS[result.state])
        table.add_row(Text(result.state, style=COLOURS[result.state]), said)
    return table
