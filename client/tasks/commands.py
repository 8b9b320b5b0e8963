"""What may be typed after `train task`."""

from pathlib import Path
from typing import Annotated

import typer

from client.options import AsJson, OutputsFile, StackName, group

app = group("send tasks to the workers, read their results, look at what failed")


@app.command(short_help="send a task, or a file of tasks")
def send(
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help="its name in the stack file")],
    command: Annotated[
        list[str] | None, typer.Argument(metavar="-- COMMAND", help="what a worker runs", show_default=False)
    ] = None,
    message_group: Annotated[
        str | None,
        typer.Option(
            "--group", metavar="GROUP", help="tasks of one group run one after the other (its own group for each)"
        ),
    ] = None,
    task_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="what its result is known by (made up)")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="how long it may run: 90s, 15m, 2h (what the workers allow)")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="tasks as JSON, one in each line, - is standard input", show_default=False),
    ] = None,
    stack: StackName = None,
    outputs: OutputsFile = None,
    as_json: AsJson = False,
) -> int:
    """Send a task, or a file of tasks.

    A task is a command that a worker of the queue's fleet runs. The lines of a file are tasks as workers take them:

    \b
      {"id": "prepare-7", "command": ["python", "prepare.py", "--shard", "7"], "env": {"K": "V"}, "timeoutSeconds": 900}

    Only the command is needed. All is checked before anything is sent.
    """  # noqa: D301
    from client.tasks import sending

    return sending.run(
        stack,
        outputs,
        queue,
        command or [],
        group=message_group,
        task_id=task_id,
        timeout=timeout,
        file=file,
        as_json=as_json,
    )
