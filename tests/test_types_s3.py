"""Amazon S3 in moto: what is made, seen, changed and ended."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.aws import Aws
from local.run import RefusedError
from tests.support import Life

VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
KEPT = {"versioningConfiguration": {"status": "Enabled"}}


def lifecycle(days: int) -> dict[str, Any]:
    old = {"id": "old", "status": "Enabled", "filter": {"prefix": "checkpoints/"}, "expiration": {"days": days}}
    parts = {"id": "parts", "status": "Enabled", "filter": {"prefix": ""}}
    return {"rules": [old, parts | {"abortIncompleteMultipartUpload": {"daysAfterInitiation": 7}}]}


def encryption(algorithm: str) -> dict[str, Any]:
    return {
        "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": algorithm}, "bucketKeyEnabled": True}],
    }


SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    VERSIONING: (KEPT, {"versioningConfiguration": {"status": "Suspended"}}),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": (lifecycle(90), lifecycle(9)),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": (
        {"rule": {"objectOwnership": "BucketOwnerEnforced"}},
        {"rule": {"objectOwnership": "ObjectWriter"}},
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": (
        {"blockPublicAcls": True, "blockPublicPolicy": True, "ignorePublicAcls": True, "restrictPublicBuckets": True},
        {"blockPublicAcls": False},
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        encryption("aws:kms"),
        encryption("AES256"),
    ),
}
"""Type of a setting -> inputs beside the bucket, and what of them is changed."""


@pytest.fixture
def bucket(aws: Aws) -> Iterator[Life]:
    """A bucket whose objects go with it."""
    one = Life(aws, "aws:s3/bucket:Bucket", {"forceDestroy": True, "tags": {"Name": "it"}})
    yield one
    one.delete()


@pytest.mark.parametrize("type_", SETTINGS)
def test_a_setting_is_changed_in_place_and_somebody_elses_change_is_seen(aws: Aws, bucket: Life, type_: str) -> None:
    inputs, changes = SETTINGS[type_]
    one = Life(aws, type_, {"bucket": bucket.state.id, **inputs})
    assert one.read() == one.state
    before = one.state
    one.update(**changes)
    one.state = before
    assert one.seen() == one.resource.inputs


@pytest.mark.parametrize("type_", sorted(SETTINGS.keys() - {VERSIONING}))
def test_a_setting_is_taken_away(aws: Aws, bucket: Life, type_: str) -> None:
    Life(aws, type_, {"bucket": bucket.state.id, **SETTINGS[type_][0]}).delete()


def test_a_policy_that_asks_for_tls_is_kept_whole_and_stops_nobody_here(aws: Aws, bucket: Life) -> None:
    s3, name = aws.client("s3"), bucket.state.id
    statement: dict[str, Any] = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "s3:*"}
    statement |= {"Resource": f"arn:aws:s3:::{name}/*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    one = Life(aws, "aws:s3/bucketPolicy:BucketPolicy", {"bucket": name, "policy": policy})
    assert json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"] == [statement]
    s3.put_object(Bucket=name, Key="it", Body=b"1")
    s3.put_bucket_policy(Bucket=name, Policy=policy.replace("s3:*", "s3:GetObject"))
    assert one.seen()["policy"] == policy.replace("s3:*", "s3:GetObject")
    one.delete()


def test_a_tag_that_somebody_changed_is_seen_and_put_back(aws: Aws, bucket: Life) -> None:
    s3, name, wanted = aws.client("s3"), bucket.state.id, bucket.state
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "Name", "Value": "other"}]})
    seen = bucket.read()
    assert seen is not None
    assert seen.inputs["tags"] == {"Name": "other"}
    bucket.state = seen
    bucket.change()
    assert bucket.state == wanted
    tags = {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=name)["TagSet"]}
    assert tags == {**aws.default_tags, "Name": "it"}


def test_a_bucket_without_tags_is_still_there(aws: Aws, bucket: Life) -> None:
    aws.client("s3").delete_bucket_tagging(Bucket=bucket.state.id)
    assert bucket.seen()["tags"] == {}


def test_a_bucket_ends_with_every_version_of_its_objects_only_if_that_was_said(aws: Aws) -> None:
    one = Life(aws, "aws:s3/bucket:Bucket", {"forceDestroy": False})
    Life(aws, VERSIONING, {"bucket": one.state.id, **KEPT})
    s3 = aws.client("s3")
    for body in (b"1", b"2"):
        s3.put_object(Bucket=one.state.id, Key="it", Body=body)
    s3.delete_object(Bucket=one.state.id, Key="it")
    with pytest.raises(RefusedError, match="BucketNotEmpty"):
        one.delete()
    one.change(forceDestroy=True)
    one.delete()
    assert one.state.id not in [there["Name"] for there in s3.list_buckets()["Buckets"]]
