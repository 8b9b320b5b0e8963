"""What the tests of the EKS cluster share: sections to deploy, and ways to look at a run."""

from typing import Any, cast

from local.run import Registration, Run

CLUSTER, NODE_GROUP, TEMPLATE = (
    "eks:index:Cluster",
    "aws:eks/nodeGroup:NodeGroup",
    "aws:ec2/launchTemplate:LaunchTemplate",
)
RELEASE, ADDON = "kubernetes:helm.sh/v3:Release", "aws:eks/addon:Addon"
ACCESS_ENTRY = "aws:eks/accessEntry:AccessEntry"
ACCESS_POLICY = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
TAG = "aws:autoscaling/tag:Tag"
KUEUE = "kubernetes:kueue.x-k8s.io/v1beta2"

GROUPS: dict[str, Any] = {
    "gpu": {"instanceTypes": ["g6.12xlarge", "g5.12xlarge"], "capacity": "spot", "maxSize": 4},
    "fast": {"instanceTypes": ["p5.48xlarge"], "efa": True, "maxSize": 2},
    "block": {
        "instanceTypes": ["p5.48xlarge"],
        "efa": True,
        "capacity": "capacityBlock",
        "capacityReservationId": "cr-0123456789abcdef0",
    },
    "reserved": {"instanceTypes": ["g6.12xlarge"], "capacityReservationId": "cr-0123456789abcdef1"},
    "neuron": {"instanceTypes": ["trn1.32xlarge"], "maxSize": 1},
}

SECTIONS: dict[str, Any] = {
    "network": {"natGateways": "perZone", "interfaceEndpoints": ["ecr.api"]},
    "queues": {"tasks": {}},
    "eks": {
        "adminPrincipalArns": ["arn:aws:iam::111122223333:role/team/admin", "arn:aws:iam::111122223333:user/eve"],
        "gpuNodeGroups": GROUPS,
        "kueue": True,
        "trainer": True,
        "sendTo": ["tasks"],
    },
}


def outputs(run: Run, one: Registration) -> dict[str, Any]:
    return {**one.inputs, **run.created[one.urn].outputs}


def needs(run: Run, one: Registration) -> set[str]:
    """URNs of all that must exist before a resource, whether it names them or what they need."""
    found: set[str] = set()
    todo = [one.urn]
    while todo:
        next_one = run.registrations[todo.pop()]
        # what the EKS plugin makes is there when the component is
        within = {next_one.parent} if f"${CLUSTER}$" in next_one.urn else set[str]()
        fresh = ({*next_one.dependencies, *within} & set(run.registrations)) - found
        found |= fresh
        todo += fresh
    return found


def types(urns: set[str]) -> set[str]:
    return {urn.split("::")[2].rpartition("$")[2] for urn in urns}


def lost(given: Any, kept: Any, path: str = "") -> list[str]:
    """Paths of what a model did not keep, because it knows no such key."""
    if isinstance(given, dict):
        mapping = cast("dict[str, Any]", given)
        return [
            line
            for key, one in mapping.items()
            for line in (lost(one, kept[key], f"{path}.{key}") if key in kept else [f"{path}.{key}"])
        ]
    if isinstance(given, list):
        pairs = zip(cast("list[Any]", given), kept, strict=True)
        return [line for one, other in pairs for line in lost(one, other, f"{path}[]")]
    return [] if given == kept else [path]
