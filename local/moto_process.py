"""Runs moto's server as a process of its own, so that it does not slow down the program.

Run as `python -m local.moto_process REGION [managed-policies] [kept]`: prints its port, and runs until its standard
input is closed, which also happens when the process that started it dies. With `kept` it runs until it is ended, and
serves all regions.
"""

import functools
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, cast

ACCOUNT_ID = "123456789012"
"""The account that moto answers with."""

WARM_SERVICES = ("s3", "sqs", "ecs", "batch", "kms", "sns", "logs", "cloudwatch", "events", "ecr", "eks")
"""The services that a deployment calls first, in about this order."""

LONG_POLL_STEP_SECONDS = 0.02
"""How often a long poll checks for a message."""


def main(region: str, *options: str) -> None:
    """Serve until standard input ends, or for ever."""
    # nearly no object is freed: searching for garbage takes a third of the server's start and a fifth of a deployment
    gc.set_threshold(200_000, 20, 20)
    # nothing here starts an instance from an image, and loading AWS's images takes half a second
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
    _read_once()
    from moto.core.config import default_user_config
    from moto.server import ThreadedMotoServer
    from werkzeug.serving import WSGIRequestHandler

    from local import moto_gaps

    default_user_config.update(
        {
            "batch": {"use_docker": False},
            # without the managed policies every attachment of one is refused; loading them takes a second
            "iam": {"load_aws_managed_policies": "managed-policies" in options},
        }
    )
    _know_one_partition(region)
    if "kept" not in options:
        _know_one_region(region)
    _look_once()
    _make_no_needless_key_pairs()
    _make_sqs_atomic()
    moto_gaps.fill()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # a connection stays for the next call
    WSGIRequestHandler.protocol_version, WSGIRequestHandler.disable_nagle_algorithm = "HTTP/1.1", True
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    _warm_up(region, *(WARM_SERVICES if options else ()))
    while "kept" in options:
        signal.pause()
    sys.stdin.read()
    os._exit(0)


def _know_one_region(region: str) -> None:
    """Leave out the instance types of other regions, which take a third of moto's memory."""
    from moto.utilities import utils

    load = utils.load_resource

    def load_of_region(resource: str) -> Any:
        path = PurePath(resource)
        elsewhere = path.parts[-3] == "instance_type_offerings" and path.name.split(".")[0] != region
        return [] if elsewhere else load(resource)

    utils.load_resource = load_of_region


def _know_one_partition(region: str) -> None:
    """Leave out IAM of other partitions: each request looks for its key in all, which loads AWS's policies for each."""
    from moto.iam import models
    from moto.utilities import utils

    models.PARTITION_NAMES = [utils.get_partition(region)]  # pyright: ignore[reportPrivateImportUsage]


def _read_once() -> None:
    """Cache what botocore knows of services and regions: each session of moto's would read it anew."""
    from botocore import loaders as typed

    loaders: Any = typed
    loaders.create_loader = functools.cache(loaders.create_loader)


def _look_once() -> None:
    """Cache which service a host name belongs to, and what a service can do: moto looks it up for every request.

    It also makes a session with each cluster, for the names of the partitions.
    """
    from moto.core import responses, utils
    from moto.eks import utils as eks
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication as Dispatcher

    Dispatcher.get_backend_for_host = functools.cache(Dispatcher.get_backend_for_host)
    cast("Any", responses).method_names_from_class = functools.cache(utils.method_names_from_class)
    cast("Any", eks).Session = functools.cache(cast("Any", eks).Session)


def _make_no_needless_key_pairs() -> None:
    """Leave out the key pair that moto makes with each key: one that only encrypts never uses it."""
    from moto.kms import models

    kms = cast("Any", models)
    pair = kms.generate_private_key

    def pair_of(key_spec: str) -> Any:
        return None if key_spec == "SYMMETRIC_DEFAULT" else pair(key_spec)

    kms.generate_private_key = pair_of


def _make_sqs_atomic() -> None:
    """Let SQS handle one call at a time, as AWS's seems to.

    Without this, moto loses messages and breaks the order within a group when several clients call at once: delete
    replaces the list that send appends to, and a long poll uses the groups that were in flight when it began.
    """
    from moto.sqs import models

    lock = threading.RLock()
    backend: Any = models.SQSBackend

    def locked(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(*arguments: Any, **named: Any) -> Any:
            with lock:
                return original(*arguments, **named)

        return call

    for name in ("send_message", "delete_message", "delete_message_batch", "change_message_visibility"):
        setattr(backend, name, locked(getattr(backend, name)))
    receive_now = backend.receive_message

    def receive(
        self: Any, queue_name: str, count: int, wait_seconds: int, visibility: int, attributes: list[str] | None = None
    ) -> list[Any]:
        end = time.monotonic() + wait_seconds
        while True:
            with lock:
                messages = receive_now(self, queue_name, count, 0, visibility, attributes)
            if messages or time.monotonic() >= end:
                return messages
            time.sleep(LONG_POLL_STEP_SECONDS)

    backend.receive_message = receive
    # moto computes the time of day with `datetime`, some thousand times in each of these calls
    models.unix_time_millis = lambda: time.time() * 1000  # pyright: ignore[reportPrivateImportUsage]


def _warm_up(region: str, *services: str) -> None:
    """Load what the first calls would wait for: instance types, the default VPC, the managed policies, the services."""
    from moto.backends import get_backend
    from moto.ec2.models import ec2_backends
    from moto.iam.models import iam_backends
    from moto.utilities.utils import get_partition

    _ = ec2_backends[ACCOUNT_ID][region], iam_backends[ACCOUNT_ID][get_partition(region)]
    for service in services:
        cast("Any", get_backend)(service)


if __name__ == "__main__":
    main(*sys.argv[1:])
