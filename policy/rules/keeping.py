"""What must be kept is protected, and logs expire."""

from collections.abc import Iterator, Sequence

from pulumi_policy import PolicyResource

from . import kinds
from .rule import Resource, each, properties, whole_stack

KEPT = (
    kinds.BUCKET,
    kinds.IMAGE_REPOSITORY,
    kinds.LUSTRE_FILE_SYSTEM,
    kinds.QUEUE,
    kinds.EKS_CLUSTER,
    kinds.EKS_COMPONENT,
)
"""Types of resources that cannot be created again: their content is lost with them."""


@whole_stack
def kept_is_protected(resources: Sequence[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """If any resource is protected, every bucket, repository, file system, queue and cluster is protected.

    A stack with `protect: true` in its file protects some; one that protects nothing, such as dev, keeps this rule.
    """
    if not any(one.opts.protect for one in resources):
        return
    for one in resources:
        # a cluster may have AWS's own protection instead
        aws_keeps_it = properties(one.props).at("deletionProtection").value not in (None, False)
        if one.resource_type in KEPT and not one.opts.protect and not aws_keeps_it:
            yield one, "protect: must be true, because others of this stack are protected, got false"


@each(kinds.LOG_GROUP)
def logs_expire(resource: Resource) -> Iterator[str]:
    """Every log group says after how many days its logs are deleted."""
    days = resource.properties.at("retentionInDays")
    if days.value in (None, 0):
        yield days.wrong("must be a number of days")


@each(kinds.IMAGE_REPOSITORY)
def images_are_immutable_and_scanned(resource: Resource) -> Iterator[str]:
    """The tag of an image cannot be moved to another image, and pushed images are scanned."""
    yield from resource.properties.must_be("imageTagMutability", "IMMUTABLE")
    yield from resource.properties.must_be("imageScanningConfiguration.scanOnPush", "true")
