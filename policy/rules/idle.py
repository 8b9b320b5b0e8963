"""Nothing runs while the stack is idle, and only the scalers scale."""

from collections.abc import Iterator

from pulumi_policy import EnforcementLevel

from . import kinds
from .rule import Property, Resource, each

ACCELERATED_IMAGES = ("NVIDIA", "NEURON", "GPU")
"""Parts of the names of EKS's AMI types with drivers for an accelerator (EKS API, `Nodegroup.amiType`)."""

OWNED_BY_SCALING = {
    kinds.EKS_NODE_GROUP: "scalingConfig.desiredSize",
    kinds.BATCH_COMPUTE_ENVIRONMENT: "computeResources.desiredVcpus",
    kinds.ECS_SERVICE: "desiredCount",
    kinds.AUTO_SCALING_GROUP: "desiredCapacity",
}
"""Resource type -> the property that Cluster Autoscaler, Batch, Application Auto Scaling or ECS sets while it runs."""


@each(
    kinds.EKS_NODE_GROUP,
    kinds.BATCH_COMPUTE_ENVIRONMENT,
    kinds.SCALING_TARGET,
    kinds.AUTO_SCALING_GROUP,
    level=EnforcementLevel.ADVISORY,
)
def idle_at_zero(resource: Resource) -> Iterator[str]:
    """With nothing queued, no GPU node, no Batch instance, no worker and no instance for workers runs.

    Advisory: a stack file may keep some running, and every preview then says so.
    """
    one = resource.properties
    match resource.type:
        case kinds.EKS_NODE_GROUP:
            if any(part in str(one.at("amiType").value) for part in ACCELERATED_IMAGES):
                yield from one.must_be("scalingConfig.minSize", "0")
        case kinds.BATCH_COMPUTE_ENVIRONMENT:
            yield from one.must_be("computeResources.minVcpus", "0", "nothing")
        case kinds.AUTO_SCALING_GROUP:
            yield from one.must_be("minSize", "0")
        case _:
            yield from one.must_be("minCapacity", "0")


@each(*OWNED_BY_SCALING)
def scaling_is_left_alone(resource: Resource) -> Iterator[str]:
    """A deployment does not reset the number that the scaler has set: the property is in ignoreChanges."""
    owned = OWNED_BY_SCALING[resource.type]
    if not any(f"{owned}.".startswith(f"{ignored}.") for ignored in resource.ignore_changes):
        yield Property(path="ignoreChanges", value=list(resource.ignore_changes)).wrong(f"must hold {owned}")
