"""Amazon S3: buckets, each with its settings in resources of their own.

The settings inside `aws:s3/bucket:Bucket` itself are deprecated and not taken here.
"""

import json
from typing import Any

from local.aws import Aws, Created, Resource, creates
from local.services._params import call, complete


@creates("aws:s3/bucket:Bucket")
def bucket(aws: Aws, resource: Resource) -> Created:
    """A bucket in this region; pulumi-aws makes up names in lower case, as S3 allows no other."""
    s3 = aws.client("s3")
    inputs = complete(aws, resource, name="bucket")
    if "bucket" not in resource.inputs:
        inputs["bucket"] = inputs["bucket"].lower()
    name = inputs["bucket"]
    # S3 refuses us-east-1 as a location, because it is the one that goes without saying
    location = {} if aws.region == "us-east-1" else {"createBucketConfiguration": {"locationConstraint": aws.region}}
    call(
        s3,
        "create_bucket",
        inputs | location,
        rename={"objectLockEnabled": "ObjectLockEnabledForBucket"},
        leave=("forceDestroy", "tags", "tagsAll"),
    )
    if inputs["tagsAll"]:
        call(s3, "put_bucket_tagging", {"bucket": name, "tagging": {"tagSet": inputs["tagsAll"]}})
    return Created(
        id=name,
        outputs=inputs
        | {
            "arn": f"arn:{aws.partition}:s3:::{name}",
            "bucketDomainName": f"{name}.s3.amazonaws.com",
            "bucketRegion": aws.region,
            "bucketRegionalDomainName": f"{name}.s3.{aws.region}.amazonaws.com",
        },
    )


@creates("aws:s3/bucketVersioning:BucketVersioning")
def versioning(aws: Aws, resource: Resource) -> Created:
    """Whether a bucket keeps old versions."""
    return _put(aws, resource, "put_bucket_versioning")


@creates("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration")
def encryption(aws: Aws, resource: Resource) -> Created:
    """How a bucket encrypts."""
    configuration = "serverSideEncryptionConfiguration"
    return _put(
        aws,
        resource,
        "put_bucket_encryption",
        rename={
            "rules": f"{configuration}.Rules",
            f"{configuration}.Rules.blockedEncryptionTypes": "BlockedEncryptionTypes.EncryptionType",
        },
    )


@creates("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
def public_access_block(aws: Aws, resource: Resource) -> Created:
    """Which kinds of public access a bucket refuses."""
    switches = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    rename = {switch: f"publicAccessBlockConfiguration.{switch}" for switch in switches}
    return _put(aws, resource, "put_public_access_block", rename=rename, leave=("skipDestroy",))


@creates("aws:s3/bucketOwnershipControls:BucketOwnershipControls")
def ownership_controls(aws: Aws, resource: Resource) -> Created:
    """Who owns what is written to a bucket."""
    return _put(aws, resource, "put_bucket_ownership_controls", rename={"rule": "ownershipControls.Rules"})


@creates("aws:s3/bucketPolicy:BucketPolicy")
def bucket_policy(aws: Aws, resource: Resource) -> Created:
    """Who may use a bucket, without what is denied on a condition.

    moto reads no condition: what a policy denies to those who come without TLS it denies to all, and here all do.
    """
    created = _put(aws, resource, "put_bucket_policy")
    policy = json.loads(resource.inputs["policy"])
    statements = [one for one in policy["Statement"] if one["Effect"] != "Deny" or "Condition" not in one]
    s3, bucket = aws.client("s3"), resource.inputs["bucket"]
    if statements:
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy | {"Statement": statements}))
    else:
        s3.delete_bucket_policy(Bucket=bucket)
    return created


@creates("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
def lifecycle_configuration(aws: Aws, resource: Resource) -> Created:
    """What a bucket moves and lets go with time."""
    # S3 wants each rule to say what it is for: an empty prefix is all objects
    rules: list[dict[str, Any]] = [
        rule if rule.get("filter") or "prefix" in rule else rule | {"filter": {"prefix": ""}}
        for rule in resource.inputs.get("rules", [])
    ]
    return _put(
        aws,
        resource,
        "put_bucket_lifecycle_configuration",
        leave=("rules", "timeouts"),
        lifecycleConfiguration={"rules": rules},
    )


def _put(aws: Aws, resource: Resource, operation: str, **options: Any) -> Created:
    call(aws.client("s3"), operation, resource.inputs, **options)
    return Created(id=resource.inputs["bucket"])
