"""Amazon S3: buckets, each with its settings in resources of their own.

The settings inside `aws:s3/bucket:Bucket` itself are deprecated and not taken here.
"""

import json
from typing import Any

from local.aws import Aws
from local.parameters import call, complete
from local.record import ResourceType
from local.run import Created, Resource


class Bucket(ResourceType, token="aws:s3/bucket:Bucket"):
    """A bucket in this region; pulumi-aws makes up names in lower case, as S3 allows no other."""

    name = "bucket"
    needs = (
        "s3:CreateBucket s3:DeleteBucket s3:GetAccelerateConfiguration s3:GetBucketAcl s3:GetBucketCORS"
        " s3:GetBucketLogging s3:GetBucketObjectLockConfiguration s3:GetBucketPolicy s3:GetBucketRequestPayment"
        " s3:GetBucketTagging s3:GetBucketVersioning s3:GetBucketWebsite s3:GetEncryptionConfiguration"
        " s3:GetLifecycleConfiguration s3:GetReplicationConfiguration s3:ListBucket s3:ListTagsForResource"
        " s3:PutBucketTagging s3:TagResource s3:UntagResource"
        " s3:DeleteObject s3:DeleteObjectVersion s3:ListBucketVersions"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        s3 = aws.client("s3")
        inputs = complete(aws, new, name="bucket")
        if "bucket" not in new.inputs:
            inputs["bucket"] = inputs["bucket"].lower()
        name = inputs["bucket"]
        # S3 refuses us-east-1 as a location, because it is the one that goes without saying
        location = (
            {} if aws.region == "us-east-1" else {"createBucketConfiguration": {"locationConstraint": aws.region}}
        )
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


class BucketVersioning(ResourceType, token="aws:s3/bucketVersioning:BucketVersioning"):
    """Whether a bucket keeps old versions."""

    needs = "s3:GetBucketVersioning s3:PutBucketVersioning"

    def create(self, aws: Aws, new: Resource) -> Created:
        return _put(aws, new, "put_bucket_versioning")


class BucketServerSideEncryptionConfiguration(
    ResourceType, token="aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
):
    """How a bucket encrypts."""

    needs = "s3:GetEncryptionConfiguration s3:PutEncryptionConfiguration"

    def create(self, aws: Aws, new: Resource) -> Created:
        configuration = "serverSideEncryptionConfiguration"
        return _put(
            aws,
            new,
            "put_bucket_encryption",
            rename={
                "rules": f"{configuration}.Rules",
                f"{configuration}.Rules.blockedEncryptionTypes": "BlockedEncryptionTypes.EncryptionType",
            },
        )


class BucketPublicAccessBlock(ResourceType, token="aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"):
    """Which kinds of public access a bucket refuses."""

    needs = "s3:GetBucketPublicAccessBlock s3:PutBucketPublicAccessBlock"

    def create(self, aws: Aws, new: Resource) -> Created:
        switches = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
        rename = {switch: f"publicAccessBlockConfiguration.{switch}" for switch in switches}
        return _put(aws, new, "put_public_access_block", rename=rename, leave=("skipDestroy",))


class BucketOwnershipControls(ResourceType, token="aws:s3/bucketOwnershipControls:BucketOwnershipControls"):
    """Who owns what is written to a bucket."""

    needs = "s3:GetBucketOwnershipControls s3:PutBucketOwnershipControls"

    def create(self, aws: Aws, new: Resource) -> Created:
        return _put(aws, new, "put_bucket_ownership_controls", rename={"rule": "ownershipControls.Rules"})


class BucketPolicy(ResourceType, token="aws:s3/bucketPolicy:BucketPolicy"):
    """Who may use a bucket, without what is denied on a condition.

    moto reads no condition: what a policy denies to those who come without TLS it denies to all, and here all do.
    """

    needs = "s3:DeleteBucketPolicy s3:GetBucketPolicy s3:PutBucketPolicy"

    def create(self, aws: Aws, new: Resource) -> Created:
        created = _put(aws, new, "put_bucket_policy")
        policy = json.loads(new.inputs["policy"])
        statements = [one for one in policy["Statement"] if one["Effect"] != "Deny" or "Condition" not in one]
        s3, bucket = aws.client("s3"), new.inputs["bucket"]
        if statements:
            s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy | {"Statement": statements}))
        else:
            s3.delete_bucket_policy(Bucket=bucket)
        return created


class BucketLifecycleConfiguration(
    ResourceType, token="aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
):
    """What a bucket moves and lets go with time."""

    needs = "s3:GetLifecycleConfiguration s3:PutLifecycleConfiguration"

    def create(self, aws: Aws, new: Resource) -> Created:
        # S3 wants each rule to say what it is for: an empty prefix is all objects
        rules: list[dict[str, Any]] = [
            rule if rule.get("filter") or "prefix" in rule else rule | {"filter": {"prefix": ""}}
            for rule in new.inputs.get("rules", [])
        ]
        return _put(
            aws,
            new,
            "put_bucket_lifecycle_configuration",
            leave=("rules", "timeouts"),
            lifecycleConfiguration={"rules": rules},
        )


def _put(aws: Aws, resource: Resource, operation: str, **options: Any) -> Created:
    call(aws.client("s3"), operation, resource.inputs, **options)
    return Created(id=resource.inputs["bucket"])
