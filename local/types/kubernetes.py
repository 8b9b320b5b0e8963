"""Kubernetes objects and Helm releases, for which there is no cluster here, and provider instances."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

from local.aws import Aws, hex_digits
from local.edits import Edit, Effect
from local.parameters import only
from local.record import ResourceType
from local.run import Created, Resource, State

NAME_HEX_DIGITS = 8
"""Length of the random suffix that pulumi-kubernetes adds to a logical name."""

CLUSTER_SCOPED = {
    "ClusterQueue",
    "ClusterRole",
    "ClusterRoleBinding",
    "Cohort",
    "Namespace",
    "PersistentVolume",
    "PriorityClass",
    "ResourceFlavor",
}
"""Kinds that belong to no namespace."""
QUEUEING = {"ClusterQueue", "LocalQueue", "ResourceFlavor"}
"""Kinds by which Kueue decides what may start."""


class KubernetesObject(ResourceType):
    """Any Kubernetes object, with the name that its provider would give it."""

    simulated = True

    def work(self, edit: Edit) -> Iterator[Effect]:
        """A namespace is deleted with everything in it; without its queue, work does not start."""
        kind = edit.type.rpartition(":")[2]
        if edit.ends and kind == "Namespace":
            yield Effect(
                work="stopped",
                what="everything in it is deleted, jobs that run too",
                first="deploy when no job runs in it",
            )
        if edit.ends and kind in QUEUEING:
            yield Effect(
                work="waits",
                what="what it let start goes on; what is queued waits until it names another queue",
                first="let what is queued start, or queue it elsewhere",
            )

    def create(self, aws: Aws, new: Resource) -> Created:
        del aws
        given: dict[str, Any] = dict(new.inputs.get("metadata") or {})
        name = given.get("name") or f"{new.name}-{hex_digits(NAME_HEX_DIGITS)}"
        metadata = {"namespace": "default"} | given | {"name": name, "uid": str(uuid4())}
        if new.type.rpartition(":")[2] in CLUSTER_SCOPED:
            del metadata["namespace"]
            return Created(id=name, outputs={"metadata": metadata})
        return Created(id=f"{metadata['namespace']}/{name}", outputs={"metadata": metadata})


class HelmRelease(ResourceType, token="kubernetes:helm.sh/v3:Release"):
    """A release of a Helm chart."""

    simulated = True
    ended = Effect(
        work="waits",
        what="running pods go on; what it starts, schedules or watches waits until it is installed again",
        first="deploy when no job needs it",
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        """Create it with the status `deployed`."""
        del aws
        name = new.inputs.get("name") or f"{new.name}-{hex_digits(NAME_HEX_DIGITS)}"
        about = {"name": name, "namespace": new.inputs.get("namespace") or "default"}
        status = about | only(new.inputs, "chart", "version") | {"revision": 1, "status": "deployed"}
        return Created(id=f"{about['namespace']}/{name}", outputs=about | {"status": status})

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Set its revision."""
        del aws
        status: dict[str, Any] = there.outputs["status"]
        return {"status": status | only(new.inputs, "chart", "version") | {"revision": status["revision"] + 1}}


class ProviderInstance(ResourceType):
    """A configured provider; it creates nothing in the cloud."""

    simulated = True

    def create(self, aws: Aws, new: Resource) -> Created:
        del aws, new
        return Created(id=str(uuid4()))


BY_PREFIX = {"kubernetes": KubernetesObject(), "pulumi": ProviderInstance()}
"""Package -> the record of its types that have no record of their own."""
