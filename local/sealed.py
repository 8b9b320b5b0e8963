"""Removes the user's settings for AWS, proxies, Pulumi and Python from the environment of what runs on this machine."""

import os
import sys

PREFIXES = (
    "AWS_",
    "BOTO",
    "CURL_CA_BUNDLE",
    "ECS_",
    "FLASK_",
    "GRPC_",
    "INITIAL_NO_AUTH_ACTION_COUNT",
    "MOTO_",
    "OTEL_",
    "PULUMI_",
    "PYTHON",
    "REQUESTS_CA_BUNDLE",
    "S3_",
    "SSLKEYLOGFILE",
    "SSL_CERT_",
    "TEST_PROXY_MODE",
    "TEST_SERVER_MODE",
    "TRACEPARENT",
    "WERKZEUG_",
)
"""Beginnings of the names of variables that AWS's SDK and CLI, moto, Pulumi, the worker and Python read."""
PROXY = "_proxy"
"""End of the names of proxy variables, in upper or lower case."""

SEALED = {
    # without these the user's own files are read
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    # without it the proxies in macOS's settings are used
    "NO_PROXY": "*",
}


def seal() -> bool:
    """Seal the environment of this process and its children; return whether Python itself has used any of it."""
    taken = [name for name in os.environ if name.startswith(PREFIXES) or name.lower().endswith(PROXY)]
    for name in taken:
        del os.environ[name]
    os.environ.update(SEALED)
    if os.environ.get("COLUMNS") == "0":
        # a shell without a terminal may set 0, with which nothing would be shown
        del os.environ["COLUMNS"]
    return any(name.startswith("PYTHON") for name in taken) | _streams()


def _streams() -> bool:
    """Let no other file get the number of a closed standard stream; return whether one was closed.

    Writing to a closed standard output still fails.
    """
    closed = [stream for stream in (sys.__stdin__, sys.__stdout__, sys.__stderr__) if stream is None]
    for number in range(3) if closed else ():
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDONLY if number == 1 else os.O_RDWR), True)
    return bool(closed)
