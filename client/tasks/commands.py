"""What may be typed after `train task`."""

from pathlib import Path
from typing import Annotated

import typer

from client.options import AsJson, OutputsFile, StackName, group

app = group("send tasks to the workers, read their results, look at what failed")


Queue = Annotated[str, typer.Argument(metavar="QUEUE", help="its name in the stack file")]


@app.command(short_help="send a task, or a file of tasks")
def send(
    queue: Queue,
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


@app.command(short_help="show what became of tasks")
def results(
    ids: Annotated[
        list[str] | None, typer.Option("--id", metavar="ID", help="of this task alone, or these", show_default=False)
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="of the tasks in this file, which have ids", show_default=False)
    ] = None,
    queue: Annotated[
        str | None, typer.Option(metavar="QUEUE", help="where they are (where the workers answer)", show_default=False)
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="wait for more until Ctrl-C, or until all that are asked for have come")
    ] = False,
    take: Annotated[bool, typer.Option("--take", help="take what is shown out of the queue")] = False,
    stack: StackName = None,
    outputs: OutputsFile = None,
    as_json: AsJson = False,
) -> int:
    """Show what became of tasks.

    Results wait in a queue that everybody reads. While this runs, nobody else can read those that it looked at. Then
    they are put back, but for those that --take took. A look counts as a receive, so look a few times at most.

    The exit status is 1 when a task failed, or one that is asked for has no result yet.
    """
    from client.tasks import results

    return results.run(stack, outputs, ids=ids or [], file=file, queue=queue, follow=follow, take=take, as_json=as_json)


@app.command(short_help="show the tasks that failed for good")
def dead(queue: Queue, stack: StackName = None, outputs: OutputsFile = None, as_json: AsJson = False) -> int:
    """Show the tasks that failed for good, and leave them where they are: in the dead-letter queue of their queue."""
    from client.tasks import dead

    return dead.run(stack, outputs, queue, as_json=as_json)


@app.command(short_help="give the tasks that failed for good back to their queue")
def redrive(queue: Queue, stack: StackName = None, outputs: OutputsFile = None, as_json: AsJson = False) -> int:
    """Give the tasks that failed for good back to their queue, where they may fail as often as before."""
    from client.tasks import redrive

    return redrive.run(stack, outputs, queue, as_json=as_json)
