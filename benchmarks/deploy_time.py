"""How long a deployment of the dev stack would take on AWS, by the graph of its resources: what waits for what.

Nothing is deployed: it is a model, in which each resource begins when all that it depends on is there, any number at a
time, and takes as long as its type usually takes.
"""

from collections.abc import Mapping
from graphlib import TopologicalSorter

from benchmarks.figure import Figure
from local.run import Registration, Run

SECONDS: Mapping[str, float] = {
    "aws:batch/computeEnvironment:ComputeEnvironment": 38,
    "aws:ec2/natGateway:NatGateway": 94,
    "aws:ec2/subnet:Subnet": 10,
    "aws:ec2/vpc:Vpc": 6,
    "aws:eks/cluster:Cluster": 562,
    "aws:eks/nodeGroup:NodeGroup": 130,
    "aws:iam/role:Role": 7,
    "kubernetes:helm.sh/v3:Release": 31,
}
"""Type -> seconds from its request until it can be used, as logs of `terraform apply` show it that people published:
an EKS cluster of version 1.36 with NAT gateway, node group and add-ons (Saptak-cyber/DevOps_Assignments, October 2026);
subnets (terraform-aws-modules/terraform-aws-eks issue 2203), roles (turbot/steampipe-plugin-aws pull request 131)."""
ADDON = "aws:eks/addon:Addon"
ADDON_SECONDS: Mapping[str, float] = {
    "aws-ebs-csi-driver": 46,
    "coredns": 14,
    "eks-pod-identity-agent": 24,
    "kube-proxy": 24,
    "metrics-server": 45,
    "vpc-cni": 24,
}
"""Add-on -> seconds, by the same log: there, too, the CNI and the agent are made before there is a node, and the others
after that. One that it does not have is taken to be as slow as the slowest."""
USUAL_SECONDS = 2
"""Of all other types; the same logs have rules of security groups, routes and policies at 1 to 4."""

FORCED = (
    "aws:ec2/vpc:Vpc",
    "aws:ec2/subnet:Subnet",
    "aws:eks/cluster:Cluster",
    "aws:eks/nodeGroup:NodeGroup",
)
"""The longest chain in which AWS itself demands each before the next, up to what waits until its pods run: the slowest
add-on, which takes longer than a release."""


def figure(run: Run) -> Figure:
    """The modelled time of a preview over the longest chain that AWS forces; computed, so that one turn is enough."""
    return Figure(
        name="a deployment of the dev stack on AWS (modelled)",
        floor="VPC, subnet, cluster, node group, add-on",
        unit="s",
        most=1.05,
        pairs=[(modelled(run), sum(SECONDS[type_] for type_ in FORCED) + max(ADDON_SECONDS.values()))],
    )


def modelled(run: Run) -> float:
    """Seconds until the last resource is there."""
    ready: dict[str, float] = {}
    graph = {urn: one.dependencies for urn, one in run.registrations.items()}
    for urn in TopologicalSorter(graph).static_order():
        one = run.registrations[urn]
        takes = _seconds(one) if one.provided else 0
        ready[urn] = takes + max((ready[other] for other in one.dependencies), default=0)
    return max(ready.values())


def _seconds(one: Registration) -> float:
    if one.type == ADDON:
        return ADDON_SECONDS.get(one.inputs["addonName"], max(ADDON_SECONDS.values()))
    return SECONDS.get(one.type, USUAL_SECONDS)
