"""The command line of `python -m local`: up, preview, graph, the CLIs of Pulumi and AWS, stop."""

import argparse
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from local import adopted, stack_files
from local.aws import Aws
from local.errors import FAILED, Failure, failed, failures, refused
from local.facts import Facts
from local.kept import FOLDER, Kept, KeptError
from stack_file.mistakes import Mistake
from stack_file.reading import WrongStackFileError

PROJECT = Path(__file__).parents[1]


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command == "up" and options.json and options.keep:
        parser.error("--json cannot be used with --keep, which ends with Ctrl-C only")
    if options.command == "preview" and options.against is not None and options.policy:
        parser.error("--policy cannot be used with --against; use each in a call of its own")
    return options.run(options)


def _stack(options: argparse.Namespace) -> int:
    if (line := _unwritable(options.outputs)) is not None:
        return refused(None, [Failure(message=line)], json=options.json, debug=options.debug)
    try:
        stack = stack_files.read(PROJECT, options.stack)
    except WrongStackFileError as error:
        return refused(error, failures(error.mistakes, error.document), json=options.json, debug=options.debug)
    if (network := adopted.existing(stack)) is not None and not options.adopt:
        rule = f"{network.vpc_id} is not on this machine; --adopt makes it here first"
        stack = replace(stack, mistakes=[*stack.mistakes, Mistake(path="network.existing", rule=rule)])
    facts = Facts(PROJECT / ".cache", stack.region)
    deploys = options.command == "up" or options.against is not None
    with Aws(stack.region, stack.default_tags, managed_policies=deploys) as aws:
        # for a wrong stack file the AWS only answers what the program asks, and `facts` may know that
        if not stack.mistakes and (deploys or options.adopt or not facts):
            aws.start()
        with _starting(options):
            # imported here, because only these commands need Pulumi, and while moto starts
            from local import stack_commands

        return stack_commands.run(stack, aws, facts, options)


def _starting(options: argparse.Namespace) -> AbstractContextManager[object]:
    """What a terminal shows until the command prints something."""
    if not sys.stdout.isatty() or options.json or options.command == "graph":
        return nullcontext()
    from rich.console import Console

    return Console().status("starting the AWS of this machine, and Pulumi")


def _unwritable(path: Path | None) -> str | None:
    """Why a file cannot be written, or None; its content is kept."""
    try:
        if path is not None:
            path.open("a").close()
    except OSError as error:
        return f"{path}: cannot be written: {error.strerror}"
    return None


def _stack_name(text: str) -> str:
    """The name of a stack, also when the name of its file is given."""
    return text.removeprefix("Pulumi.").removesuffix(".yaml") if text.startswith("Pulumi.") else text


def _cli(options: argparse.Namespace) -> int:
    from local import clis

    become = clis.pulumi if options.command == "pulumi" else clis.aws
    try:
        become(PROJECT, options.arguments)
    except WrongStackFileError as error:
        return failed(error, failures(error.mistakes, error.document), debug=False)
    except (clis.CliError, KeptError) as error:
        return failed(error, str(error).splitlines(), debug=False)


def _stop(_options: argparse.Namespace) -> int:
    stopped = Kept(PROJECT / FOLDER).stop()
    print("the local AWS has ended, and the state of its stacks is gone" if stopped else "there is nothing to stop")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description="The stack on this machine, with moto as AWS.")
    commands = parser.add_subparsers(required=True, dest="command", metavar="command")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--stack", default="dev", type=_stack_name, help="the stack file's name: Pulumi.NAME.yaml (dev)", metavar="NAME"
    )
    common.add_argument(
        "--adopt", action="store_true", help="first create here the VPC and subnets that network.existing names"
    )
    common.add_argument("--debug", action="store_true", help="show where an error comes from")
    common.set_defaults(run=_stack, full=False, json=False, outputs=None, against=None)
    shown = argparse.ArgumentParser(add_help=False)
    shown.add_argument("--full", action="store_true", help="show every resource, not only a row for each part")
    shown.add_argument("--json", action="store_true", help="one JSON document on standard output, for machines")
    up = commands.add_parser(
        "up", parents=[common, shown], help="create everything, and send a task through the work queue"
    )
    up.add_argument("--keep", action="store_true", help="leave the local AWS running and say how to use it")
    up.add_argument(
        "--outputs", type=Path, help="write the outputs to FILE, as `pulumi stack output --json` does", metavar="FILE"
    )
    preview = commands.add_parser(
        "preview", parents=[common, shown], help="say what would be created and what it costs, or every mistake"
    )
    preview.add_argument("--policy", action="store_true", help="check the rules of the policy pack, as CI does")
    preview.add_argument(
        "--against",
        help="say what would change, be replaced or deleted in a stack that was deployed from another stack file or"
        " from a git revision of this one, and what becomes of running work",
        metavar="FILE|REVISION",
    )
    commands.add_parser("graph", parents=[common], help="the stack as a picture (SVG)")
    for command, help_ in (
        ("pulumi", "the Pulumi CLI on a local AWS that keeps running: `pulumi up -s dev`"),
        ("aws", "the AWS CLI on the local AWS that keeps running: `aws sqs list-queues`"),
    ):
        cli = commands.add_parser(command, help=help_, add_help=False, prefix_chars="\0")
        cli.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENTS")
        cli.set_defaults(run=_cli)
    stop = commands.add_parser("stop", help="end the local AWS that keeps running, and delete the state of its stacks")
    stop.set_defaults(run=_stop)
    return parser


def to_its_end() -> int:
    """Run the command of this process and flush its output; return the exit status.

    Output that cannot be written is a failure like any other.
    """
    try:
        try:
            status = main()
        except SystemExit as ended:
            # after help, or after a wrong command line
            status = int(ended.code or 0)
        sys.stdout.flush()
    except OSError as error:
        # otherwise the rest of the buffer fails once more when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print(f"error: {error.filename or 'standard output'}: {error.strerror}", file=sys.stderr)
        return FAILED
    return status
