"""The command line of `train`; a command imports what it needs when it is run.

A group of commands is a package beside this module: its `commands.py` declares what may be typed, with typer alone, and
each command imports the module that does it.
"""

import os
import re
import sys
from typing import Annotated

import typer

from client.cluster import commands as cluster
from client.errors import TrainError
from client.images import commands as images
from client.jobs import commands as jobs
from client.launchers import commands as launchers
from client.options import AsJson, OutputsFile, Page, StackName
from client.tasks import commands as tasks

FAILED, INTERRUPTED = 1, 130
LONGEST_WAIT_SECONDS = 24 * 3600

# plain words in a pipe and on a terminal; what goes wrong is a line, never a box or a traceback
app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
app.add_typer(jobs.app, name="job")
app.add_typer(tasks.app, name="task")
app.add_typer(images.app, name="image")
app.add_typer(cluster.app, name="cluster")
app.add_typer(launchers.app, name="launcher")


@app.callback()
def _train() -> None:
    """Use a stack for distributed training that somebody deployed.

    \b
    Which stack, the first that is given:
      --outputs FILE      what `pulumi stack output --json` printed
      --stack NAME        what the stack wrote to Parameter Store, or else what Pulumi's CLI says
      TRAIN_OUTPUTS, TRAIN_STACK
                          the same in the environment

    \b
    Try it:
      export TRAIN_STACK=dev
      train status
      train task send tasks -- python prepare.py --shard 7
      train task results --follow

    Credentials are those of the AWS CLI. Whoever has the policy that the stack exports as train_policy_arns may do all
    of this.

    \b
    Exit status:
      0    it is done
      1    it is not: a mistake in what was given, a refusal by AWS, or a task that failed; the line says what
           (a job that is followed to its end: the exit status of its command, on the main node)
      2    the command line is wrong
      130  interrupted with Ctrl-C; what runs on AWS goes on
    """  # noqa: D301


def _seconds(given: str | int) -> int:
    # typer hands over the default as well
    if not re.fullmatch("[0-9]{1,5}", str(given)) or not 1 <= int(given) <= LONGEST_WAIT_SECONDS:
        raise typer.BadParameter(f"must be a whole number from 1 to {LONGEST_WAIT_SECONDS}, got {given!r}")
    return int(given)


@app.command(short_help="say whether what a deployed stack exports is there and healthy")
def smoke(
    stack: StackName = None,
    outputs: OutputsFile = None,
    round_trip: Annotated[
        bool,
        typer.Option(
            "--round-trip",
            help="also send a task through the queue and run a Batch job of one second on each job queue, which starts"
            " workers and GPU instances and costs what these cost",
        ),
    ] = False,
    fabric: Annotated[
        bool,
        typer.Option(
            "--fabric",
            help="also run an all-reduce between two nodes of each job queue for several nodes and of each EKS group"
            " with EFA: it must use EFA, and be as fast as the instance type. It says first what that costs, and asks",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="with --fabric: say what it costs, and do not ask")] = False,
    timeout_seconds: Annotated[
        int, typer.Option(parser=_seconds, help="how long a rollout, a task and a job may take", metavar="SECONDS")
    ] = 1800,
) -> int:
    """Say whether what a deployed stack exports is there and healthy.

    Checks the AWS that the environment points at, and changes nothing without --round-trip or --fabric. Without any
    other word on which stack it reads the outputs from standard input.
    """
    from client.smoke import command

    if fabric and not yes and (sys.stdin is None or not sys.stdin.isatty()):
        raise typer.BadParameter(
            "nobody can be asked here whether to start its nodes; give --yes", param_hint="--fabric"
        )
    return command.run(stack, outputs, round_trip=round_trip, fabric=fabric, yes=yes, timeout_seconds=timeout_seconds)


@app.command(short_help="say how a deployed stack stands, on one screen")
def status(stack: StackName = None, outputs: OutputsFile = None, as_json: AsJson = False) -> int:
    """Say how a deployed stack stands: what waits, runs and failed, which alarms are raised, what an hour costs now."""
    from client import status as command

    return command.run(stack, outputs, as_json=as_json)


@app.command("open", short_help="show the address of a page of the AWS console, and open it")
def open_(
    page: Annotated[Page, typer.Argument(help="what it shows")],
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="of a queue, a job queue or a fleet in the stack file")
    ] = None,
    stack: StackName = None,
    outputs: OutputsFile = None,
    as_json: AsJson = False,
) -> int:
    """Show the address of a page of the AWS console; on a terminal, open it in a browser."""
    from client import opening

    return opening.run(stack, outputs, page, name, as_json=as_json)


def main(arguments: list[str] | None = None) -> int:
    """Run a command to the last byte written; the exit status."""
    lines: list[str] = []
    try:
        status: int = app(arguments or sys.argv[1:] or ["--help"], prog_name="train", standalone_mode=False) or 0
        sys.stdout.flush()
    except TrainError as error:
        lines, status = str(error).splitlines(), FAILED
    except typer.TyperException as error:
        lines, status = [error.format_message()], error.exit_code
    except OSError as error:
        # what is left in the buffer would fail once more while Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        lines, status = [f"standard output: {error.strerror}"] * (not isinstance(error, BrokenPipeError)), FAILED
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    if status == INTERRUPTED:
        print("interrupted", file=sys.stderr)
    return status
