"""The environment of what runs on this machine: nothing of the person's AWS, proxies, Pulumi or Python is in it."""

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
"""How the names of variables begin that AWS's SDK and CLI, moto, Pulumi, the worker and Python look for."""
PROXY = "_proxy"
"""How the names of those of proxies end, in either case."""

SEALED = {
    # without these the person's own files are read
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    # without it the proxies of macOS's settings are used
    "NO_PROXY": "*",
}


def seal() -> bool:
    """Seal the environment of this process, which its children inherit; whether Python took any of it at its start."""
    taken = [name for name in os.environ if name.startswith(PREFIXES) or name.lower().endswith(PROXY)]
    for name in taken:
        del os.environ[name]
    os.environ.update(SEALED)
    if os.environ.get("COLUMNS") == "0":
        # a shell without a terminal says so, and then nothing would be shown
        del os.environ["COLUMNS"]
    return any(name.startswith("PYTHON") for name in taken) | _streams()


def _streams() -> bool:
    """Let no other file take the place of a standard stream that is closed; whether one was.

    Standard output stays one that cannot be written.
    """
    closed = [stream for stream in (sys.__stdin__, sys.__stdout__, sys.__stderr__) if stream is None]
    for number in range(3) if closed else ():
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDONLY if number == 1 else os.O_RDWR), True)
    return bool(closed)
