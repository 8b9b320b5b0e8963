"""The AWS that the caller's environment points at: an account, or the local one."""

import ipaddress
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from client.errors import TrainError

AT_ONCE = 16
"""Calls that are made at once: most of their time is AWS's."""
CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 20


class Account:
    """Clients of one region, with the caller's own credentials and endpoints."""

    def __init__(self, region: str) -> None:
        self.session: Any = cast("Any", boto3).Session(region_name=region)
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
    """Raise what keeps AWS from being asked as a `TrainError` of one line."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise TrainError(f"AWS cannot be asked: {' '.join(str(error).split())}") from error


def code_of(error: ClientError) -> str:
    """AWS's name for an error."""
    return cast("dict[str, Any]", error.response).get("Error", {}).get("Code", "")
