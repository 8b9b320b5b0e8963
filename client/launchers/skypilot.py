"""`train launcher skypilot`: a configuration of SkyPilot for the EKS cluster."""

import json
from pathlib import Path
from typing import Any

from client import show, stack
from client.cluster import kubeconfig
from client.cluster.submitting import ACCELERATORS, NAMESPACE, NODE_GROUP, SERVICE_ACCOUNT
from client.stack import Stack

PROVISION_TIMEOUT_SECONDS = 1800
"""For how long it waits for a node; one with GPUs takes up to ten minutes where there is capacity."""


def run(name: str | None, path: Path | None) -> int:
    """Print the configuration, as JSON, which is YAML.

    Raises:
        TrainError: when the stack has no cluster.

    """
    with stack.opened(name, path) as opened:
        configuration = of(opened)
    print(json.dumps(configuration, indent=2), flush=True)
    show.hint("SkyPilot reads the cluster from KUBECONFIG: train cluster kubeconfig --file kubeconfig")
    return 0


def of(opened: Stack) -> dict[str, Any]:
    """What SkyPilot must know of the cluster.

    Raises:
        TrainError: when there is none.

    """
    # SkyPilot names the group by the kind of its GPU
    taints = (*ACCELERATORS, NODE_GROUP)
    tolerations = [{"key": one, "operator": "Exists", "effect": "NoSchedule"} for one in taints]
    return {
        "kubernetes": {
            "allowed_contexts": [json.loads(kubeconfig.of(opened))["current-context"]],
            "autoscaler": "generic",
            "namespace": NAMESPACE,
            "remote_identity": SERVICE_ACCOUNT,
            "provision_timeout": PROVISION_TIMEOUT_SECONDS,
            "pod_config": {"spec": {"tolerations": tolerations}},
        }
    }
