"""What the instance says of itself: by its metadata service, version 2.

EC2 user guide, "Use the Instance Metadata Service" and "Spot Instance interruption notices". Containers of multi-node
jobs do not get there on this project's queues; no spot instance runs such a job.
"""

import http.client
import json
import urllib.request
from collections.abc import Mapping

DEFAULT_ENDPOINT = "http://169.254.169.254"
TIMEOUT_SECONDS = 2
TOKEN_LIFETIME = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}

# it is on the instance: no proxy leads there
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def metadata(environ: Mapping[str, str], path: str) -> str | None:
    """One value of the instance's metadata; None where there is none, or no metadata service."""
    endpoint = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", DEFAULT_ENDPOINT).rstrip("/")
    try:
        token = _ask("PUT", f"{endpoint}/latest/api/token", TOKEN_LIFETIME)
        return _ask("GET", f"{endpoint}/latest/meta-data/{path}", {"X-aws-ec2-metadata-token": token})
    except (OSError, http.client.HTTPException):
        return None


def notice(environ: Mapping[str, str]) -> str | None:
    """What EC2 is about to do with the instance, and when; None as long as it has announced nothing.

    It is announced two minutes before.
    """
    said = metadata(environ, "spot/instance-action")
    if said is None:
        return None
    announced = json.loads(said)
    return f"{announced['action']} at {announced['time']}"


def _ask(method: str, url: str, headers: dict[str, str]) -> str:
    # the address is the instance's own, or of whoever starts the job
    request = urllib.request.Request(url, headers=headers, method=method)  # noqa: S310
    with _open(request, timeout=TIMEOUT_SECONDS) as answer:
        return answer.read().decode()
