"""Kubernetes objects and Helm releases, which have no cluster to go to here, and the provider instances.

The engine falls back on these functions by the prefix of a type; nothing is registered.
"""

from typing import Any
from uuid import uuid4

from local.aws import Aws, Created, Resource, hex_digits

NAME_HEX_DIGITS = 8
"""Length of the random suffix that pulumi-kubernetes adds to a logical name."""

CLUSTER_SCOPED = {
    "ClusterQueue",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "Namespace",
    "PersistentVolume",
    "PriorityClass",
    "ResourceFlavor",
    "StorageClass",
}
"""Kinds that belong to no namespace."""

HELM_RELEASE = "kubernetes:helm.sh/v3:Release"


def simulate_any(aws: Aws, resource: Resource) -> Created:
    """Any object of Kubernetes, with the name that its provider would give it."""
    del aws
    return _helm_release(resource) if resource.type == HELM_RELEASE else _object(resource)


def provider_instance(aws: Aws, resource: Resource) -> Created:
    """A configured provider, which is nothing in the cloud."""
    del aws, resource
    return Created(id=str(uuid4()))


def _object(resource: Resource) -> Created:
    given: dict[str, Any] = dict(resource.inputs.get("metadata") or {})
    name = given.get("name") or f"{resource.name}-{hex_digits(NAME_HEX_DIGITS)}"
    metadata = {"namespace": "default"} | given | {"name": name, "uid": str(uuid4())}
    if resource.type.rpartition(":")[2] in CLUSTER_SCOPED:
        del metadata["namespace"]
        return Created(id=name, outputs={"metadata": metadata}, simulated=True)
    return Created(id=f"{metadata['namespace']}/{name}", outputs={"metadata": metadata}, simulated=True)


def _helm_release(resource: Resource) -> Created:
    inputs = resource.inputs
    name = inputs.get("name") or f"{resource.name}-{hex_digits(NAME_HEX_DIGITS)}"
    namespace = inputs.get("namespace") or "default"
    about = {"name": name, "namespace": namespace}
    chart = {key: inputs[key] for key in ("chart", "version") if key in inputs}
    return Created(
        id=f"{namespace}/{name}",
        outputs=about | {"status": about | chart | {"revision": 1, "status": "deployed"}},
        simulated=True,
    )
