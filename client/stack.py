"""Which stack a command is about: where its outputs come from, and the AWS that it is in.

The first of these that is given counts: `--outputs FILE` or `--stack NAME`, then the environment variables
`TRAIN_OUTPUTS` and `TRAIN_STACK`. The outputs of a stack by its name are those that it wrote to Parameter Store when it
was deployed (components/access.py); where none are readable, Pulumi's own CLI is asked, if it is there.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from client import outputs
from client.account import Account, asking, said
from client.errors import TrainError
from client.outputs import Outputs

FOLDER = "/distributed-training/{stack}/outputs"
"""Where in Parameter Store a stack writes its outputs: JSON objects that are merged."""


@dataclass(frozen=True)
class Stack:
    """A deployed stack, and the AWS that it is in."""

    outputs: Outputs
    account: Account

    def client(self, service: str) -> Any:
        """A client of a service in the stack's region."""
        return self.account.client(service)


@contextmanager
def opened(name: str | None, path: Path | None, *, piped: bool = False) -> Generator[Stack]:
    """The stack that the options or the environment name; what AWS refuses meanwhile is raised as a `TrainError`.

    Args:
        name: what `--stack` gave.
        path: what `--outputs` gave; `-` is standard input.
        piped: whether standard input is read where nothing else says which stack.

    Raises:
        TrainError: when no stack is named or its outputs cannot be had, naming each mistake.

    """
    if name and path:
        raise TrainError("--stack and --outputs: give one of them, got both")
    if not name and not path:
        path = Path(given) if (given := os.environ.get("TRAIN_OUTPUTS")) else None
        name = None if path else os.environ.get("TRAIN_STACK")
    if name:
        found = outputs.parse(_of_stack(name))
    elif path or piped:
        found = outputs.read(None if str(path) == "-" else path)
    else:
        raise TrainError(
            "which stack? give --stack NAME or --outputs FILE, or set TRAIN_STACK or TRAIN_OUTPUTS"
            " (FILE is what `pulumi stack output --json` printed)"
        )
    with asking():
        account = Account(found.region)
        account.require(found.account_id)
        yield Stack(found, account)


def chosen(what: str, given: str | None, there: Collection[str]) -> str:
    """The one of several names that is meant: the one that is given, or the only one that there is.

    Args:
        what: what the names are of, such as `queue`.
        given: the name that was given, if one was.
        there: the names that there are.

    Raises:
        TrainError: when there is none of this name, or several to choose from.

    """
    names = ", ".join(sorted(there)) or "none"
    if given is not None and given not in there:
        raise TrainError(f"{what}: must be one of this stack's ({names}), got '{given}'")
    if given is None and len(there) != 1:
        raise TrainError(f"{what}: name one of this stack's ({names})")
    return given or next(iter(there))


def _of_stack(name: str) -> bytes:
    """The outputs of a stack by its name, as JSON."""
    folder = FOLDER.format(stack=name)
    try:
        parameters = _parameters(folder)
        if parameters:
            return json.dumps(parameters).encode()
        why = f"there is no {folder} in Parameter Store of this account and region"
    except (BotoCoreError, ClientError) as error:
        why = f"Parameter Store cannot be asked for {folder}: {said(error)}"
    if (pulumi := shutil.which("pulumi")) is None:
        raise TrainError(f"stack '{name}': {why}, and there is no Pulumi CLI to ask; or give --outputs FILE")
    asked = subprocess.run(  # noqa: S603  the CLI of the person who calls
        [pulumi, "stack", "output", "--json", "--stack", name, "--non-interactive"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if asked.returncode:
        told = " ".join(asked.stderr.decode(errors="replace").split())
        raise TrainError(f"stack '{name}': {why}; and `pulumi stack output` says: {told}")
    return asked.stdout


def _parameters(folder: str) -> dict[str, Any]:
    """What the parameters of a folder say together."""
    ssm, together = Account(None).client("ssm"), dict[str, Any]()
    for page in ssm.get_paginator("get_parameters_by_path").paginate(Path=folder):
        for parameter in page["Parameters"]:
            try:
                part: Any = json.loads(parameter["Value"])
            except ValueError as error:
                raise TrainError(f"{parameter['Name']} in Parameter Store: is not JSON: {error}") from None
            for key, value in part.items():
                if isinstance(value, Mapping):
                    together.setdefault(key, {}).update(value)
                else:
                    together[key] = value
    return together
