"""AWS on this machine: a moto server on a free loopback port, and boto3 clients that point at it."""

import secrets
import subprocess
import sys
import threading
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO, cast

from local import interrupt
from local.moto_process import ACCOUNT_ID


class Aws:
    """One region of an AWS account on this machine.

    Use it as a context manager: the server starts at the first use, or earlier by `start`, and ends with the block.
    """

    def __init__(
        self,
        region: str,
        default_tags: Mapping[str, str] | None = None,
        *,
        managed_policies: bool = True,
        endpoint_url: str | None = None,
    ) -> None:
        self.region = region
        self.managed_policies = managed_policies
        """Whether AWS's managed policies are loaded, which a preview does not need."""
        self.default_tags = default_tags or {}
        """Tags that the provider adds to every resource."""
        self.account_id = ACCOUNT_ID
        self.partition = partition(region)
        self.is_new = endpoint_url is None
        """Whether nothing has been created yet: its answers are then the same in every run."""
        self.last_call = ""
        """The operation that was called last, for messages that do not name it."""
        if endpoint_url is not None:
            # of a server that another process owns
            self.endpoint_url = endpoint_url
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._server: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    @property
    def dns_suffix(self) -> str:
        """The domain of the partition's services."""
        return "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"

    def start(self) -> "subprocess.Popen[str]":
        """Start the server if it is not started yet, without waiting for it."""
        if self._server is None:
            options = ["managed-policies"] * self.managed_policies
            self._server = interrupt.start(
                [sys.executable, "-m", "local.moto_process", self.region, *options],
                cwd=Path(__file__).parents[1],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        return self._server

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            interrupt.end(self._server)

    @cached_property
    def endpoint_url(self) -> str:
        """The address of this AWS; waits until it listens.

        Raises:
            RuntimeError: when the server ended before it listened.

        """
        port = cast("TextIO", self.start().stdout).readline().strip()
        if not port:
            raise RuntimeError("moto's server ended before it listened")
        return f"http://127.0.0.1:{port}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment that points the AWS CLI, boto3 and the worker at this AWS."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
        }

    def client(self, service: str) -> Any:
        """A boto3 client of this AWS, made once per service."""
        # imported here, while the server starts
        import boto3
        from botocore.config import Config

        with self._lock:
            if service not in self._clients:
                client = self._clients[service] = cast("Any", boto3).client(
                    service,
                    region_name=self.region,
                    endpoint_url=self.endpoint_url,
                    aws_access_key_id="local",
                    aws_secret_access_key="local",
                    config=Config(retries={"mode": "standard"}),
                )
                client.meta.events.register("provide-client-params", self._note_call)
            return self._clients[service]

    def _note_call(self, model: Any, **_: object) -> None:
        self.last_call = model.name

    def arn(self, service: str, path: str, *, regional: bool = True) -> str:
        """An ARN of this account, for resources to which moto gives none."""
        return f"arn:{self.partition}:{service}:{self.region if regional else ''}:{self.account_id}:{path}"


def partition(region: str) -> str:
    """The partition of AWS in which a region lies."""
    return next(
        (one for start, one in {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}.items() if region.startswith(start)), "aws"
    )


def hex_digits(count: int) -> str:
    """Random hexadecimal digits, as at the end of AWS's ids and Pulumi's names."""
    return secrets.token_hex((count + 1) // 2)[:count]
