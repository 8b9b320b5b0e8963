"""AWS Secrets Manager: secrets, without their values."""

from local.aws import Aws, Created, Resource, creates
from local.services._params import call, complete


@creates("aws:secretsmanager/secret:Secret")
def secret(aws: Aws, resource: Resource) -> Created:
    """A secret with its resource policy; the recovery window matters only when the provider deletes it."""
    client = aws.client("secretsmanager")
    inputs = complete(aws, resource)
    names = {"replicas": "AddReplicaRegions"}
    arn = call(client, "create_secret", inputs, rename=names, leave=("policy", "recoveryWindowInDays"))["ARN"]
    if "policy" in inputs:
        call(client, "put_resource_policy", {"secretId": arn, "resourcePolicy": inputs["policy"]})
    return Created(id=arn, outputs=inputs | {"arn": arn})
