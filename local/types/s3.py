"""Amazon S3: buckets, and their settings as resources of their own.

The settings inside `aws:s3/bucket:Bucket` itself are deprecated, and not accepted here.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from local.aws import Aws
from local.edits import Edit, Effect
from local.parameters import call, complete
from local.properties import Property
from local.record import ResourceType
from local.run import Created, Resource, State

BUCKET = "aws:s3/bucket:Bucket"
MOST_DAYS = 2**31 - 1


class Bucket(ResourceType, token=BUCKET):
    """A bucket in this region; pulumi-aws invents names in lower case, because S3 allows no other."""

    name = "bucket"
    needs = (
        "s3:CreateBucket s3:DeleteBucket s3:GetAccelerateConfiguration s3:GetBucketAcl s3:GetBucketCORS"
        " s3:GetBucketLogging s3:GetBucketObjectLockConfiguration s3:GetBucketPolicy s3:GetBucketRequestPayment"
        " s3:GetBucketTagging s3:GetBucketVersioning s3:GetBucketWebsite s3:GetEncryptionConfiguration"
        " s3:GetLifecycleConfiguration s3:GetReplicationConfiguration s3:ListBucket s3:ListTagsForResource"
        " s3:PutBucketTagging s3:TagResource s3:UntagResource"
        " s3:DeleteObject s3:DeleteObjectVersion s3:ListBucketVersions"
    )

    def work(self, edit: Edit) -> Iterator[Effect]:
        """It is deleted with its objects only if `forceDestroy` says so; otherwise S3 refuses while it holds any."""
        if edit.ends and edit.before.get("forceDestroy"):
            yield Effect(
                work="stopped",
                what="everything in it is deleted, checkpoints too",
                first="copy what is needed, and deploy when no job runs",
            )
        elif edit.ends:
            yield Effect(
                work="refused",
                what="S3 does not delete a bucket that holds something",
                first="empty it, or take it out of the stack (pulumi state delete) so that it stays",
            )

    def create(self, aws: Aws, new: Resource) -> Created:
        """Create the bucket, and tag it."""
        inputs = complete(aws, new, name="bucket")
        if "bucket" not in new.inputs:
            inputs["bucket"] = inputs["bucket"].lower()
        name = inputs["bucket"]
        # S3 refuses us-east-1 as a location, because it is the default
        place = None if aws.region == "us-east-1" else {"locationConstraint": aws.region}
        leave = ("forceDestroy", "tags", "tagsAll")
        call(aws.client("s3"), "create_bucket", inputs, leave=leave, createBucketConfiguration=place)
        _tag(aws, name, inputs["tagsAll"])
        return Created(
            id=name,
            outputs=inputs
            | {
                "arn": f"arn:{aws.partition}:s3:::{name}",
                "bucketDomainName": f"{name}.s3.{aws.dns_suffix}",
                "bucketRegion": aws.region,
                "bucketRegionalDomainName": f"{name}.s3.{aws.region}.{aws.dns_suffix}",
            },
        )

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any]:
        """Its tags."""
        try:
            return {"tags": aws.client("s3").get_bucket_tagging(Bucket=there.id)["TagSet"]}
        except ClientError as error:
            if "NoSuchTagSet" in str(error):
                return {"tags": []}
            raise

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Nothing: only the provider uses `forceDestroy`."""
        del aws, there, new
        return {}

    def retag(self, aws: Aws, there: State, tags: Mapping[str, str], gone: list[str]) -> None:
        """Put all its tags, which replaces the old ones."""
        del gone
        _tag(aws, there.id, tags)

    def delete(self, aws: Aws, there: State) -> None:
        """Delete it, with its object versions if `forceDestroy` says so; otherwise S3 refuses while there are any."""
        s3 = aws.client("s3")
        if there.inputs.get("forceDestroy"):
            for page in s3.get_paginator("list_object_versions").paginate(Bucket=there.id):
                for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                    s3.delete_object(Bucket=there.id, Key=one["Key"], VersionId=one["VersionId"])
        s3.delete_bucket(Bucket=there.id)


class _Setting(ResourceType):
    """A setting of a bucket, as a resource of its own."""

    operation: str
    """The names of its operations without put, get and delete."""
    refers = {"bucket": BUCKET}

    def create(self, aws: Aws, new: Resource) -> Created:
        call(aws.client("s3"), f"put_{self.operation}", new.inputs, rename=self.rename)
        return Created(id=new.inputs["bucket"])

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """What was put."""
        return getattr(aws.client("s3"), f"get_{self.operation}")(Bucket=there.id)

    def delete(self, aws: Aws, there: State) -> None:
        getattr(aws.client("s3"), f"delete_{self.operation.removesuffix('_configuration')}")(Bucket=there.id)


class BucketVersioning(_Setting, token="aws:s3/bucketVersioning:BucketVersioning"):
    """Whether a bucket keeps old versions."""

    operation = "bucket_versioning"
    needs = "s3:GetBucketVersioning s3:PutBucketVersioning"

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """Its state; a bucket that has never kept versions has none."""
        found = aws.client("s3").get_bucket_versioning(Bucket=there.id)
        return {"versioningConfiguration": found} if "Status" in found else None

    def delete(self, aws: Aws, there: State) -> None:
        """Suspend it: S3 cannot switch it off."""
        aws.client("s3").put_bucket_versioning(Bucket=there.id, VersioningConfiguration={"Status": "Suspended"})


class BucketServerSideEncryptionConfiguration(
    _Setting, token="aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
):
    """How a bucket encrypts."""

    operation = "bucket_encryption"
    rename = {"rules": "ServerSideEncryptionConfiguration.Rules"}
    needs = "s3:GetEncryptionConfiguration s3:PutEncryptionConfiguration"


class BucketPublicAccessBlock(_Setting, token="aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"):
    """Which kinds of public access a bucket refuses."""

    operation = "public_access_block"
    rename = {
        key: f"PublicAccessBlockConfiguration.{key}"
        for key in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    }
    needs = "s3:GetBucketPublicAccessBlock s3:PutBucketPublicAccessBlock"


class BucketOwnershipControls(_Setting, token="aws:s3/bucketOwnershipControls:BucketOwnershipControls"):
    """Who owns what is written to a bucket."""

    operation = "bucket_ownership_controls"
    rename = {"rule": "OwnershipControls.Rules"}
    needs = "s3:GetBucketOwnershipControls s3:PutBucketOwnershipControls"


class BucketPolicy(_Setting, token="aws:s3/bucketPolicy:BucketPolicy"):
    """Who may use a bucket."""

    operation = "bucket_policy"
    refers = {"bucket": BUCKET, "policy": BUCKET}
    needs = "s3:DeleteBucketPolicy s3:GetBucketPolicy s3:PutBucketPolicy"


class BucketLifecycleConfiguration(_Setting, token="aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"):
    """What a bucket deletes after a time."""

    operation = "bucket_lifecycle_configuration"
    rename = {"rules": "LifecycleConfiguration.Rules"}
    needs = "s3:GetLifecycleConfiguration s3:PutLifecycleConfiguration"

    def work(self, edit: Edit) -> Iterator[Effect]:
        """Objects that are older than a shorter time are deleted."""
        yield from super().work(edit)
        before, after = _days(edit.before), _days(edit.after)
        for rule, days in after.items() if edit.operation == "update" else ():
            if days < before.get(rule, MOST_DAYS):
                yield Effect(
                    work="lost",
                    what=f"objects older than {days} days expire within a day or two ({rule})",
                    first="copy what is needed out of the prefix; for a while an expired version can still be restored",
                )

    def refused(self, given: Property) -> Iterator[str]:
        """More days than S3 accepts."""
        yield from given.within("rules[].expiration.days", 1, MOST_DAYS)

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any]:
        return {"LifecycleConfiguration": aws.client("s3").get_bucket_lifecycle_configuration(Bucket=there.id)}


def _days(inputs: Mapping[str, Any]) -> dict[str, int]:
    """Rule -> days after which it deletes objects."""
    return {
        rule["id"]: rule["expiration"]["days"]
        for rule in inputs.get("rules", ())
        if "days" in (rule.get("expiration") or {})
    }


def _tag(aws: Aws, bucket: str, tags: Mapping[str, str]) -> None:
    s3 = aws.client("s3")
    if tags:
        call(s3, "put_bucket_tagging", {"bucket": bucket, "tagging": {"tagSet": tags}})
    else:
        s3.delete_bucket_tagging(Bucket=bucket)
