"""Runs the Pulumi CLI or the AWS CLI on the kept local AWS: this process becomes the CLI, with unchanged arguments.

The Pulumi CLI runs in a shadow of the project: links, and copies of the stack files, because the CLI rewrites them. Its
home and state are in the same folder, so that the user's own are neither read nor written.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from local import interrupt, stack_files
from local.aws import Aws
from local.kept import FOLDER, Kept
from local.plugin import PACKAGES, version_of

WHERE_FROM = "https://www.pulumi.com/docs/install/"
DEFAULT_STACK = "dev"
PASSPHRASE = "local"  # noqa: S105
"""Passphrase of the secrets in the state, which are random values only."""


class CliError(Exception):
    """A CLI cannot be run, or it fails."""


def aws(project: Path, arguments: list[str]) -> NoReturn:
    """Replace this process by the AWS CLI."""
    there = Kept(project / FOLDER).started(stack_files.region_of(project, DEFAULT_STACK))
    own = str(Path(sys.prefix) / "bin" / "aws")
    # version 1 of the CLI calls SQS at AWS's own address, whatever the environment says
    command = [shutil.which("aws") or own, "--endpoint-url", there.endpoint_url, *arguments]
    os.execve(command[0], command, {**os.environ, **there.environment})


def pulumi(project: Path, arguments: list[str]) -> NoReturn:
    """Replace this process by the Pulumi CLI; first create the stack that it works on, if it is missing.

    Raises:
        CliError: when there is no CLI, or it cannot create the stack.

    """
    kept = Kept(project / FOLDER)
    engine = Engine(kept.folder)
    made = _made_by(arguments)
    stack = _stack_in(arguments) or (None if engine.stacks() or made else DEFAULT_STACK)
    named = made or stack
    # without a name it is a stack that exists, and its AWS runs
    there = kept.there() if named is None else kept.started(stack_files.region_of(project, named))
    engine.prepare(project, there, None if made else stack)
    os.chdir(engine.shadow)
    sys.stdout.flush()
    os.execve(engine.cli, ["pulumi", *arguments], engine.environment)


class Engine:
    """The Pulumi CLI, with a home, a state and a shadow of a project in a folder.

    Raises:
        CliError: when no CLI is installed.

    """

    def __init__(self, folder: Path) -> None:
        if (cli := shutil.which("pulumi")) is None:
            raise CliError(f"no `pulumi` on the PATH; {WHERE_FROM} says where it comes from")
        self.cli, self.folder = cli, folder
        self.shadow = folder / "project"
        """The project as the CLI sees it."""
        self.environment: dict[str, str] = {}

    def stacks(self) -> set[str]:
        """The stacks that the state knows."""
        return {one.stem for one in (self.folder / "state").glob(".pulumi/stacks/*/*.json")}

    def prepare(self, project: Path, aws: Aws, stack: str | None) -> None:
        """Point the CLI at a project and an AWS, and create the stack if it is missing.

        Raises:
            CliError: when the CLI cannot create the stack.

        """
        state, home = self.folder / "state", self.folder / "home"
        self.environment = {
            **os.environ,
            **aws.environment,
            "PULUMI_BACKEND_URL": f"file://{state}",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_HOME": str(home),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            # for a language host that does not read Pulumi.yaml
            "VIRTUAL_ENV": sys.prefix,
        }
        state.mkdir(exist_ok=True)
        _plugins(home / "plugins")
        _shadow(project, self.shadow)
        if stack is not None and stack not in self.stacks():
            with interrupt.held():
                made = self.run("stack", "init", stack)
            if made.returncode != 0:
                raise CliError(" ".join(made.stderr.split()))

    def configure(self, stack: str, file: Path) -> None:
        """Use this file as the file of a stack."""
        _copy(file, self.shadow / f"Pulumi.{stack}.yaml")

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command and wait for its end."""
        process = interrupt.start(
            [self.cli, *arguments, "--non-interactive"],
            cwd=self.shadow,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        said, errors = process.communicate()
        interrupt.leave(process)
        return subprocess.CompletedProcess(process.args, process.returncode, said, errors)


def _stack_in(arguments: list[str]) -> str | None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-s", "--stack")
    named: str | None = parser.parse_known_args(arguments)[0].stack
    return named and named.rpartition("/")[2]


def _made_by(arguments: list[str]) -> str | None:
    """The stack that these arguments tell the CLI to create."""
    match arguments:
        case ["stack", "init", *rest]:
            return _stack_in(rest) or next((one.rpartition("/")[2] for one in rest if not one.startswith("-")), None)
        case _:
            return None


def _plugins(folder: Path) -> None:
    """Write the programs that the engine starts as plugins for the installed SDKs."""
    here = Path(__file__).parents[1]
    for package in PACKAGES:
        start = folder / f"resource-{package}-v{version_of(package)}" / f"pulumi-resource-{package}"
        start.parent.mkdir(parents=True, exist_ok=True)
        command = shlex.join([sys.executable, "-m", "local.plugin", package])
        start.write_text(f'#!/bin/sh\ncd {shlex.quote(str(here))} && exec {command} "$@"\n', encoding="utf-8")
        start.chmod(0o755)


def _shadow(project: Path, shadow: Path) -> None:
    """Link the project, with the Python that runs now as the `.venv` of the project and of each policy pack."""
    shadow.mkdir(exist_ok=True)
    known = shadow.parent / "copied"
    known.mkdir(exist_ok=True)
    for file in project.glob("Pulumi*.yaml"):
        before, copy = known / file.name, shadow / file.name
        # what `pulumi config set` wrote to the copy stays until the project's file changes
        if not (before.exists() and copy.exists()) or before.read_bytes() != file.read_bytes():
            _copy(file, copy)
            shutil.copyfile(file, before)
    for gone in [one for one in shadow.glob("Pulumi.*.yaml") if not (project / one.name).exists()]:
        gone.unlink()
    _link(Path(sys.prefix), shadow / ".venv")
    for pack in project.glob("*/PulumiPolicy.yaml"):
        (shadow / pack.parent.name).mkdir(exist_ok=True)
        _link_all(pack.parent, shadow / pack.parent.name)
        _link(Path(sys.prefix), shadow / pack.parent.name / ".venv")
    _link_all(project, shadow)


def _copy(file: Path, copy: Path) -> None:
    """Copy the project's file or a stack's, but keep the copy's line by which the CLI checks its passphrase."""
    salts = []
    if copy.exists():
        salts = [line for line in copy.read_text(encoding="utf-8").splitlines() if line.startswith("encryptionsalt:")]
    copy.write_text("\n".join([file.read_text(encoding="utf-8"), *salts, ""]), encoding="utf-8")


def _link_all(folder: Path, shadow: Path) -> None:
    for link in [one for one in shadow.iterdir() if one.is_symlink()]:
        # the shadow may have been of another program
        if not link.exists() or (link.name != ".venv" and link.readlink().parent != folder):
            link.unlink()
    for one in folder.iterdir():
        if one.name not in (".git", FOLDER):
            _link(one, shadow / one.name)


def _link(to: Path, link: Path) -> None:
    with suppress(FileExistsError):
        link.symlink_to(to)
