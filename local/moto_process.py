"""moto's server as a process of its own, beside the program instead of in its way.

Run as `python -m local.moto_process REGION [managed-policies]`: prints its port, and lives until its standard input is
closed, which also happens when whoever started it dies.
"""

import logging
import os
import signal
import sys

ACCOUNT_ID = "123456789012"
"""The account that moto answers with."""


def main(region: str, *options: str) -> None:
    """Serve until standard input ends."""
    # Ctrl-C reaches every process of the terminal; when to end is for the one that started this one to say
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from moto.core.config import default_user_config
    from moto.server import ThreadedMotoServer

    default_user_config.update(
        {
            "batch": {"use_docker": False},
            # without them every attachment of one is refused; to load them takes a second
            "iam": {"load_aws_managed_policies": "managed-policies" in options},
        }
    )
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    _warm_up(region)
    sys.stdin.read()
    os._exit(0)


def _warm_up(region: str) -> None:
    """Make what the first calls would wait for: instance types, the default VPC, the managed policies."""
    from moto.ec2.models import ec2_backends
    from moto.iam.models import iam_backends

    _ = ec2_backends[ACCOUNT_ID][region], iam_backends[ACCOUNT_ID]["aws"]


if __name__ == "__main__":
    main(*sys.argv[1:])
