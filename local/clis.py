"""The Pulumi CLI and the AWS CLI on the AWS that stays: this process becomes the CLI, with its arguments untouched.

The Pulumi CLI runs in a shadow of the project, links and copies of stack files, because it rewrites these; its home and
its state are in the same folder, so that nothing of the person's own is read or written.
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
from local.kept import FOLDER, Kept
from local.plugin import PACKAGES, version_of

WHERE_FROM = "https://www.pulumi.com/docs/install/"
DEFAULT_STACK = "dev"
PASSPHRASE = "local"  # noqa: S105
"""Of the secrets in the state, of which there are none but random ones."""


class CliError(Exception):
    """A CLI cannot be run; the message is a line."""


def aws(project: Path, arguments: list[str]) -> NoReturn:
    """Become the AWS CLI."""
    there = Kept(project / FOLDER).started(stack_files.region_of(project, DEFAULT_STACK))
    own = str(Path(sys.prefix) / "bin" / "aws")
    # its version 1 asks SQS at AWS's own address, whatever the environment says
    command = [shutil.which("aws") or own, "--endpoint-url", there.endpoint_url, *arguments]
    os.execve(command[0], command, {**os.environ, **there.environment})


def pulumi(project: Path, arguments: list[str]) -> NoReturn:
    """Become the Pulumi CLI, with a stack to work on.

    Raises:
        CliError: when there is none, or it makes no stack.

    """
    if (cli := shutil.which("pulumi")) is None:
        raise CliError(f"no `pulumi` on the PATH; {WHERE_FROM} says where it comes from")
    kept = Kept(project / FOLDER)
    state, shadow = kept.folder / "state", kept.folder / "project"
    known = {one.stem for one in state.glob(".pulumi/stacks/*/*.json")}
    stack = _stack_in(arguments) or (None if known else DEFAULT_STACK)
    # without a name it is one of those that are there, and so is their AWS
    there = kept.there() if stack is None else kept.started(stack_files.region_of(project, stack))
    environment = {
        **os.environ,
        **there.environment,
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_HOME": str(kept.folder / "home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # where a language host looks that does not read Pulumi.yaml
        "VIRTUAL_ENV": sys.prefix,
    }
    state.mkdir(exist_ok=True)
    _plugins(kept.folder / "home" / "plugins", project)
    _shadow(project, shadow)
    os.chdir(shadow)
    if stack is not None and stack not in known:
        with interrupt.held():
            made = subprocess.run(
                [cli, "stack", "init", stack, "--non-interactive"], env=environment, capture_output=True, text=True
            )
        if made.returncode != 0:
            raise CliError(" ".join(made.stderr.split()))
    sys.stdout.flush()
    os.execve(cli, ["pulumi", *arguments], environment)


def _stack_in(arguments: list[str]) -> str | None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-s", "--stack")
    named: str | None = parser.parse_known_args(arguments)[0].stack
    return named and named.rpartition("/")[2]


def _plugins(folder: Path, project: Path) -> None:
    """What the engine starts as the plugins of the SDKs that are installed."""
    for package in PACKAGES:
        start = folder / f"resource-{package}-v{version_of(package)}" / f"pulumi-resource-{package}"
        start.parent.mkdir(parents=True, exist_ok=True)
        command = shlex.join([sys.executable, "-m", "local.plugin", package])
        start.write_text(f'#!/bin/sh\ncd {shlex.quote(str(project))} && exec {command} "$@"\n', encoding="utf-8")
        start.chmod(0o755)


def _shadow(project: Path, shadow: Path) -> None:
    """The project, with the Python that runs now as its own and as that of a policy pack that has none."""
    shadow.mkdir(exist_ok=True)
    for file in project.glob("Pulumi*.yaml"):
        _copy(file, shadow / file.name)
    for gone in [one for one in shadow.glob("Pulumi.*.yaml") if not (project / one.name).exists()]:
        gone.unlink()
    _link(Path(sys.prefix), shadow / ".venv")
    for pack in project.glob("*/PulumiPolicy.yaml"):
        (shadow / pack.parent.name).mkdir(exist_ok=True)
        _link_all(pack.parent, shadow / pack.parent.name)
        _link(Path(sys.prefix), shadow / pack.parent.name / ".venv")
    _link_all(project, shadow)


def _copy(file: Path, copy: Path) -> None:
    """Copy the project's file or a stack's; of a copy stays the line by which the CLI knows its passphrase."""
    salts = []
    if copy.exists():
        salts = [line for line in copy.read_text(encoding="utf-8").splitlines() if line.startswith("encryptionsalt:")]
    copy.write_text("\n".join([file.read_text(encoding="utf-8"), *salts, ""]), encoding="utf-8")


def _link_all(folder: Path, shadow: Path) -> None:
    for gone in [one for one in shadow.iterdir() if not one.exists()]:
        gone.unlink()
    for one in folder.iterdir():
        if one.name not in (".git", FOLDER):
            _link(one, shadow / one.name)


def _link(to: Path, link: Path) -> None:
    with suppress(FileExistsError):
        link.symlink_to(to)
