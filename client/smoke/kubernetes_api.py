"""A call to a cluster's Kubernetes API with the caller's AWS credentials, and no other tool."""

import base64
import binascii
import http.client
import json
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from client.account import Account

TIMEOUT_SECONDS = 10
TOKEN_SECONDS = 60
"""How long the signature is good for; EKS takes no longer one."""


class UnreachableError(Exception):
    """Nothing answers at the cluster's address."""


class UntrustedError(Exception):
    """What answers does not hold a certificate of the cluster's authority."""


def signer(account: Account, cluster: str) -> Callable[[], str]:
    """What makes tokens as `aws eks get-token` does: a signed question to STS who is asking, which the cluster asks.

    The cluster's name is signed along, so that it is good for no other (EKS best practices, "Cluster access").
    """
    sts: Any = account.session.client("sts")

    def name_cluster(request: Any, **_: object) -> None:
        request.headers["x-k8s-aws-id"] = cluster

    sts.meta.events.register("before-sign.sts.GetCallerIdentity", name_cluster)

    def token() -> str:
        url: str = sts.generate_presigned_url("get_caller_identity", ExpiresIn=TOKEN_SECONDS, HttpMethod="GET")
        return f"k8s-aws-v1.{base64.urlsafe_b64encode(url.encode()).decode().rstrip('=')}"

    return token


def call(
    endpoint: str, path: str, *, authority: str, token: str, method: str = "GET", body: Any = None
) -> tuple[int, str]:
    """Status and text of the answer; `authority` is the PEM that signs the API's certificate, in base64.

    Raises:
        UnreachableError: when nothing answers.
        UntrustedError: when somebody else does.

    """
    at = urlsplit(endpoint)
    try:
        trusted = ssl.create_default_context(cadata=base64.b64decode(authority, validate=True).decode("ascii"))
    except (binascii.Error, UnicodeDecodeError, ssl.SSLError) as error:
        raise UntrustedError(f"the cluster's certificate authority is no certificate: {error}") from error
    # EKS's authority carries no key identifier, which Python wants from 3.13 on (awslabs/mcp#3791)
    trusted.verify_flags &= ~ssl.VERIFY_X509_STRICT
    connection = http.client.HTTPSConnection(at.hostname or "", at.port, timeout=TIMEOUT_SECONDS, context=trusted)
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except ssl.SSLCertVerificationError as error:
        raise UntrustedError(error.verify_message) from error
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()
