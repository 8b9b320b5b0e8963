"""Data is encrypted at rest, and reached over TLS only."""

from collections.abc import Iterator, Sequence
from typing import Any

from pulumi_policy import PolicyResource

from . import kinds
from .documents import statements, texts
from .rule import UNKNOWN, Resource, each, whole_stack, without

STORE_POLICIES = {
    kinds.BUCKET: (kinds.BUCKET_POLICY, "bucket"),
    kinds.QUEUE: (kinds.QUEUE_POLICY, "queueUrl"),
    kinds.TOPIC: (kinds.TOPIC_POLICY, "arn"),
}
"""Type of a store -> the type of its policy, and the policy's property that names the store."""


@each(
    kinds.QUEUE,
    kinds.TOPIC,
    kinds.LAUNCH_TEMPLATE,
    kinds.VOLUME,
    kinds.EFS_FILE_SYSTEM,
    kinds.EKS_CLUSTER,
    kinds.EKS_COMPONENT,
)
def stores_are_encrypted(resource: Resource) -> Iterator[str]:
    """Data is encrypted at rest: queues, topics, volumes, EFS, Kubernetes secrets.

    Does not apply to what AWS always encrypts: FSx for Lustre, ECR, CloudWatch logs, Secrets Manager.
    """
    one = resource.properties
    match resource.type:
        case kinds.QUEUE:
            if one.at("kmsMasterKeyId").value is None:
                yield from one.must_be("sqsManagedSseEnabled", "true")
        case kinds.TOPIC:
            if one.at("kmsMasterKeyId").value is None:
                yield one.at("kmsMasterKeyId").wrong("must name a key")
        case kinds.LAUNCH_TEMPLATE:
            # unless they are listed here, the AMI's own volumes are encrypted only if the AMI says so
            if one.at("blockDeviceMappings").value in (None, []):
                yield one.at("blockDeviceMappings").wrong("must hold the root volume, encrypted")
            for mapping in one.each("blockDeviceMappings"):
                if mapping.at("ebs").value is not None:
                    yield from mapping.must_be("ebs.encrypted", "true")
        case kinds.EKS_COMPONENT:
            # the component may come without inputs; the cluster in it always has them
            if one.value and one.at("encryptionConfigKeyArn").value is None:
                yield one.at("encryptionConfigKeyArn").wrong("must name a key")
        case kinds.EKS_CLUSTER:
            if one.at("encryptionConfig.provider.keyArn").value is None:
                yield one.at("encryptionConfig.provider.keyArn").wrong("must name a key")
        case _:
            yield from one.must_be("encrypted", "true")


@whole_stack
def buckets_are_encrypted(resources: Sequence[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """Every bucket says how it is encrypted at rest."""
    yield from without(resources, kinds.BUCKET_ENCRYPTION, key="bucket", of=kinds.BUCKET)


@each(*(policy for policy, _ in STORE_POLICIES.values()))
def resource_policies_demand_tls(resource: Resource) -> Iterator[str]:
    """The policy of a bucket, queue or topic refuses every request that does not come over TLS."""
    for document in texts(resource):
        if document.value is not UNKNOWN and not any(
            _refuses_plain_text(statement.value) for statement in statements(document)
        ):
            yield f"{document.path}: must deny everybody where aws:SecureTransport is false, got no such statement"


@whole_stack
def stores_have_a_resource_policy(resources: Sequence[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """Every bucket, queue and topic has a policy, in which TLS is demanded."""
    for store, (policy, key) in STORE_POLICIES.items():
        yield from without(resources, policy, key=key, of=store)


def _refuses_plain_text(statement: Any) -> bool:
    match statement:
        case {
            "Effect": "Deny",
            "Principal": "*" | {"AWS": "*"},
            "Condition": {"Bool": {"aws:SecureTransport": "false" | False}},
        }:
            return True
        case _:
            return False
