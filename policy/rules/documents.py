"""Finds policy documents in a resource's properties."""

from collections.abc import Iterator

from .rule import Property, Resource

IDENTITY_POLICIES = {
    "aws:iam/rolePolicy:RolePolicy": "policy",
    "aws:iam/policy:Policy": "policy",
    "aws:iam/userPolicy:UserPolicy": "policy",
    "aws:iam/groupPolicy:GroupPolicy": "policy",
}
"""Type of a policy that says what its holder may do -> the property with the document."""

RESOURCE_POLICIES = {
    "aws:s3/bucketPolicy:BucketPolicy": "policy",
    "aws:sqs/queuePolicy:QueuePolicy": "policy",
    "aws:sns/topicPolicy:TopicPolicy": "policy",
    "aws:kms/key:Key": "policy",
    "aws:secretsmanager/secretPolicy:SecretPolicy": "policy",
    "aws:ecr/repositoryPolicy:RepositoryPolicy": "policy",
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": "policyDocument",
    "aws:iam/role:Role": "assumeRolePolicy",
}
"""Type of a policy that says who may use a resource -> the property with the document."""


def texts(resource: Resource) -> Iterator[Property]:
    """The resource's policy document, if it has one; a preview may not know its content."""
    document = resource.properties.parsed((IDENTITY_POLICIES | RESOURCE_POLICIES)[resource.type])
    if document.value is not None:
        yield document


def statements(document: Property) -> Iterator[Property]:
    """The statements of a document; a single statement need not be in a list."""
    one = document.at("Statement")
    yield from [one] if isinstance(one.value, dict) else document.each("Statement")


def allowed(resource: Resource) -> Iterator[Property]:
    """The statements of the resource's document that allow something."""
    for document in texts(resource):
        yield from (one for one in statements(document) if one.at("Effect").value == "Allow")


def several(statement: Property, key: str) -> Iterator[Property]:
    """The values of a key, which may be one text or a list."""
    one = statement.at(key)
    yield from [one] if isinstance(one.value, str) else statement.each(key)
