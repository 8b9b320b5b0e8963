"""How Kueue is told to work: what it queues, how it shares, and how long a job may wait for its pods."""

import json
from collections.abc import Mapping
from typing import Any

KUEUE_API = "kueue.x-k8s.io/v1beta2"
DEFAULT_QUEUE = "default"
"""Name of the queue in which Kueue puts the jobs of its namespace that name none."""
PODS_READY_MINUTES = 30
"""For how long a job that was let in waits until all its pods run; a node takes up to ten minutes to start for it."""
MOST_TRIES = 5
"""How often a job that did not get all its pods is queued again, after one minute, then two, four and so on."""
FRAMEWORKS = (
    "batch/job",
    "kubeflow.org/mpijob",
    "ray.io/rayjob",
    "ray.io/rayservice",
    "ray.io/raycluster",
    "jobset.x-k8s.io/jobset",
    "workload.codeflare.dev/appwrapper",
    "trainer.kubeflow.org/trainjob",
    "pod",
    "deployment",
    "statefulset",
    "leaderworkerset.x-k8s.io/leaderworkerset",
)
"""Kinds of work that it queues: those of its chart."""


def values() -> dict[str, Any]:
    """Values of Kueue's chart, which takes the configuration of the controller as one text.

    Its last two keys are what is off in the configuration that the chart comes with (kubernetes-sigs/kueue,
    `charts/kueue`). Quota is all that Kueue counts: without `waitForPodsReady` half a job would hold its nodes until
    the other half fits. Shares count only within a cohort, which only teams have.
    """
    configuration = {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "health": {"healthProbeBindAddress": ":8081"},
        "metrics": {"bindAddress": ":8443"},
        "webhook": {"port": 9443},
        "leaderElection": {"leaderElect": True, "resourceName": "c1f6bfd2.kueue.x-k8s.io"},
        "controller": {"groupKindConcurrency": {"Job.batch": 5, "Pod": 5, "Workload.kueue.x-k8s.io": 5}},
        "clientConnection": {"qps": 50, "burst": 100},
        "integrations": {"frameworks": FRAMEWORKS},
        "waitForPodsReady": {
            "timeout": f"{PODS_READY_MINUTES}m",
            "requeuingStrategy": {"timestamp": "Eviction", "backoffLimitCount": MOST_TRIES},
        },
        "fairSharing": {"preemptionStrategies": ["LessThanOrEqualToFinalShare", "LessThanInitialShare"]},
    }
    return {"managerConfig": {"controllerManagerConfigYaml": json.dumps(configuration, indent=2)}}


def resource_groups(flavor: str, quotas: Mapping[str, str]) -> list[dict[str, Any]]:
    """The quotas of a queue or a cohort whose nodes are all of one flavor."""
    resources = [{"name": resource, "nominalQuota": quota} for resource, quota in quotas.items()]
    return [{"coveredResources": list(quotas), "flavors": [{"name": flavor, "resources": resources}]}]


def share(group: str, quotas: Mapping[str, str], *, weight: int) -> dict[str, Any]:
    """The spec of a queue without a quota of its own: it shares all that its group has with the queues of its cohort.

    A job waits while its queue has more of the group than another that has jobs, each by its weight, and one that has
    less stops jobs of one that has more. With weight 0 it has what others leave (Kueue API, `FairSharing`).
    """
    return {
        "cohortName": group,
        "resourceGroups": resource_groups(group, dict.fromkeys(quotas, "0")),
        "fairSharing": {"weight": str(weight)},
        "preemption": {"reclaimWithinCohort": "Any", "withinClusterQueue": "LowerPriority"},
    }
