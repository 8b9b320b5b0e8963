"""The environment of what runs on this machine: nothing of the person's AWS, proxies, Pulumi or Python is in it."""

import os

PREFIXES = (
    "AWS_",
    "BOTO_",
    "CURL_CA_BUNDLE",
    "ECS_",
    "MOTO_",
    "PULUMI_",
    "PYTHON",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_",
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
    return any(name.startswith("PYTHON") for name in taken)
