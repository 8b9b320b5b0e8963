"""AWS KMS in moto: what is made, seen, changed and ended."""

import json

from local.aws import Aws
from tests.support import Life

POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"}],
    }
)


def test_a_key_is_changed_in_place_and_seen_and_waits_for_its_deletion(aws: Aws) -> None:
    kms = aws.client("kms")
    inputs = {"description": "one", "enableKeyRotation": True, "deletionWindowInDays": 7, "tags": {"Name": "it"}}
    one = Life(aws, "aws:kms/key:Key", inputs)
    one.update(description="two", policy=POLICY, tags={"Kind": "secrets"})
    assert kms.describe_key(KeyId=one.state.id)["KeyMetadata"]["Description"] == "two"
    assert json.loads(kms.get_key_policy(KeyId=one.state.id, PolicyName="default")["Policy"]) == json.loads(POLICY)
    tags = kms.list_resource_tags(KeyId=one.state.id)["Tags"]
    assert {tag["TagKey"]: tag["TagValue"] for tag in tags} == {**aws.default_tags, "Kind": "secrets"}
    kms.disable_key_rotation(KeyId=one.state.id)
    assert one.seen()["enableKeyRotation"] is False
    one.delete()
    assert kms.describe_key(KeyId=one.state.id)["KeyMetadata"]["KeyState"] == "PendingDeletion"
