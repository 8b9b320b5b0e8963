"""The AWS that the caller's environment points at: an account, or the local one."""

import ipaddress
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from client.errors import TrainError

AT_ONCE = 16
"""How many calls are made at the same time: most of their time is spent waiting for AWS."""
CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 20


IAM_PREFIXES = {"monitoring": "cloudwatch", "tagging": "tag"}
"""Name of a service in its signatures -> its name in IAM's actions, where the two differ."""


class Account:
    """Clients of one region, with the caller's own credentials and endpoints."""

    def __init__(self, region: str | None) -> None:
        """`region`: None for the one that the caller's environment names."""
        # botocore reads AWS_DEFAULT_REGION only
        self.session: Any = cast("Any", boto3).Session(region_name=region or os.environ.get("AWS_REGION"))
        self.session.events.register("after-call", _name_action)
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """A client, made once per service; it may be used by several threads, but is made by one."""
        if service not in self._clients:
            config = Config(
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                read_timeout=READ_TIMEOUT_SECONDS,
                max_pool_connections=AT_ONCE,
                retries={"mode": "standard", "total_max_attempts": 3},
            )
            try:
                self._clients[service] = self.session.client(service, config=config)
            except ValueError as error:
                # an endpoint that is no URL
                raise TrainError(f"AWS cannot be asked: {error}") from error
        return self._clients[service]

    def is_local(self, service: str) -> bool:
        """Whether a service is one on this machine, which runs nothing: no container, no instance, no Kubernetes."""
        endpoint_url: str = self.client(service).meta.endpoint_url
        host = urlsplit(endpoint_url).hostname or ""
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    def require(self, account_id: str) -> None:
        """Ask who is calling.

        Raises:
            TrainError: when it is nobody of this account.

        """
        caller = self.client("sts").get_caller_identity()
        if caller["Account"] != account_id:
            raise TrainError(
                f"these are outputs of account {account_id}, and the credentials are of {caller['Account']}"
                f" ({caller['Arn']})"
            )


@contextmanager
def asking() -> Generator[None]:
    """During the block, errors of asking AWS are raised as a `TrainError` of one line."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise TrainError(said(error)) from error


def said(error: BotoCoreError | ClientError) -> str:
    """What AWS answered, as a line: its code and message, and the permission that is missing where one is."""
    if not isinstance(error, ClientError):
        return f"AWS cannot be asked: {' '.join(str(error).split())}"
    answer = cast("dict[str, Any]", error.response).get("Error", {})
    message, code = " ".join(str(answer.get("Message") or "").split()), code_of(error)
    line = f"AWS refuses {error.operation_name}: {code}{': ' * bool(message)}{message}"
    if is_denied(code):
        named = re.search(r"not authorized to perform: ([\w-]+:\w+)", message)
        line += f"; the permission {named[1] if named else answer.get('Action', error.operation_name)} is missing"
    return line


def is_denied(code: str) -> bool:
    """Whether an error's code says that a permission is missing."""
    return code == "403" or any(word in code for word in ("AccessDenied", "Unauthorized", "AuthorizationError"))


def _name_action(parsed: dict[str, Any], model: Any, **_: Any) -> None:
    """Note beside an error which action it is about, since not every message says so."""
    if "Error" in parsed:
        prefix: str = model.service_model.signing_name
        # the batches of SQS ask for the right to do it once
        parsed["Error"]["Action"] = f"{IAM_PREFIXES.get(prefix, prefix)}:{model.name.removesuffix('Batch')}"


def code_of(error: ClientError) -> str:
    """AWS's name for an error."""
    return cast("dict[str, Any]", error.response).get("Error", {}).get("Code", "")
