"""Options that several commands take, and what a group of commands is; nothing is imported for them but typer."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

StackName = Annotated[
    str | None,
    typer.Option(
        "--stack", metavar="NAME", help="the stack, as `pulumi stack` calls it (or TRAIN_STACK)", show_default=False
    ),
]
OutputsFile = Annotated[
    Path | None,
    typer.Option(
        "--outputs",
        metavar="FILE",
        help="what `pulumi stack output --json` printed, - is standard input (or TRAIN_OUTPUTS)",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="write JSON, a document or one in each line of what goes on")]


class Page(StrEnum):
    """Pages of the AWS console."""

    DASHBOARD = "dashboard"
    LOGS = "logs"
    QUEUE = "queue"


def group(text: str) -> typer.Typer:
    """A group of commands, which says what there is in it when it is called alone."""
    app = typer.Typer(help=text)

    @app.callback(invoke_without_command=True)
    def alone(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            print(context.get_help())

    del alone
    return app
