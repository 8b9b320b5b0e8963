"""The EKS cluster: its control plane, its kubeconfig, the Kubernetes API, its node groups."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, cast

from client.account import Account
from client.outputs import Outputs
from client.smoke import kubernetes_api
from client.smoke.check import Check, Finding, failed, missing, not_checked, warning

LONGEST_SAID = 300
"""Characters of an answer of the Kubernetes API that are shown."""


def checks(outputs: Outputs, account: Account) -> Iterator[Check]:
    """The cluster from outside, through its API, and its nodes."""
    if not outputs.eks_cluster_arn:
        return
    eks = account.client("eks")
    yield Check("eks cluster", "is active and healthy", partial(_control_plane, eks, outputs))
    yield Check("eks kubeconfig", "leads to this cluster", partial(_kubeconfig, eks, outputs))
    yield Check("eks Kubernetes API", "is ready", partial(_answers, eks, account, outputs))
    yield Check(
        "eks node groups", "are active and healthy, the exported ones among them", partial(_node_groups, eks, outputs)
    )


def _cluster(eks: Any, outputs: Outputs) -> dict[str, Any]:
    return eks.describe_cluster(name=outputs.eks_cluster_name)["cluster"]


def _control_plane(eks: Any, outputs: Outputs) -> Iterator[Finding]:
    cluster = _cluster(eks, outputs)
    if cluster["arn"] != outputs.eks_cluster_arn:
        yield failed(f"its ARN is {cluster['arn']}, and {outputs.eks_cluster_arn} is exported")
    yield from _health("it", cluster)


def _health(what: str, one: dict[str, Any]) -> Iterator[Finding]:
    if one["status"] != "ACTIVE":
        yield failed(f"{what} is {one['status']}")
    for issue in one.get("health", {}).get("issues", []):
        yield failed(f"{what} has {issue['code']}: {issue.get('message', 'no message')}")


def _kubeconfig(eks: Any, outputs: Outputs) -> Iterator[Finding]:
    cluster = _cluster(eks, outputs)
    try:
        kubeconfig: dict[str, Any] = json.loads(outputs.kubeconfig)
        contexts = {one["name"]: one["context"] for one in kubeconfig["contexts"]}
        context = contexts[kubeconfig["current-context"]]
        server = {one["name"]: one["cluster"] for one in kubeconfig["clusters"]}[context["cluster"]]
        user = {one["name"]: one["user"] for one in kubeconfig["users"]}[context["user"]]
        arguments = cast("Sequence[str]", user["exec"]["args"])
    except (ValueError, LookupError, TypeError) as error:
        yield failed(f"is no JSON kubeconfig with a command for its token: {type(error).__name__}: {error}")
        return
    if server.get("server") != cluster["endpoint"]:
        yield failed(f"leads to {server.get('server')}, and the cluster is at {cluster['endpoint']}")
    if server.get("certificate-authority-data") != cluster["certificateAuthority"]["data"]:
        yield failed("trusts another certificate authority than the cluster's")
    if outputs.eks_cluster_name not in arguments:
        yield failed(f"asks for a token of another cluster: {' '.join(arguments)}")


def _answers(eks: Any, account: Account, outputs: Outputs) -> Iterator[Finding]:
    if account.is_local("eks"):
        yield not_checked("the local AWS has no Kubernetes API")
        return
    cluster = _cluster(eks, outputs)
    network = cluster["resourcesVpcConfig"]
    try:
        status, said = kubernetes_api.call(
            cluster["endpoint"],
            "/readyz",
            authority=cluster["certificateAuthority"]["data"],
            token=kubernetes_api.signer(account, outputs.eks_cluster_name)(),
        )
    except kubernetes_api.UnreachableError as error:
        if network["endpointPublicAccess"]:
            ranges = ", ".join(network.get("publicAccessCidrs", []))
            yield failed(f"cannot be reached from here: {error}; it takes calls from {ranges} (eks.publicAccessCidrs)")
        else:
            yield not_checked(
                f"cannot be reached from here ({error}): its endpoint is private; ask from inside the VPC"
            )
    except kubernetes_api.UntrustedError as error:
        yield failed(f"does not prove to be this cluster's: {error}")
    else:
        if status in (401, 403):
            yield warning(f"answers {status} to this caller, who needs a line in eks.adminPrincipalArns")
        elif status != 200:
            yield failed(f"answers {status}: {' '.join(said.split())[:LONGEST_SAID]}")


def _node_groups(eks: Any, outputs: Outputs) -> Iterator[Finding]:
    cluster = {"clusterName": outputs.eks_cluster_name}
    pages = eks.get_paginator("list_nodegroups").paginate(**cluster)
    names = (name for page in pages for name in page["nodegroups"])
    groups = [eks.describe_nodegroup(**cluster, nodegroupName=name)["nodegroup"] for name in names]
    arns = {group["nodegroupArn"] for group in groups}
    for name, arn in outputs.eks_node_group_arns.items():
        if arn not in arns:
            yield missing(f"{name} ({arn})")
    for group in groups:
        yield from _health(group["nodegroupName"], group)
