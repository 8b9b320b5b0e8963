"""AWS KMS: keys."""

from collections.abc import Iterator, Mapping
from typing import Any

from local.aws import Aws
from local.costs import Line, Priced
from local.edits import Effect
from local.parameters import call, complete, retag
from local.record import ResourceType, answers
from local.run import Created, Resource, State

KEY = "aws:kms/key:Key"
LONGEST_DELETION_DAYS = 30
"""How long KMS waits before a deletion by default."""


class Key(ResourceType, token=KEY):
    """A key; `deletionWindowInDays` matters only when the provider deletes it."""

    ended = Effect(
        work="stopped",
        what="what is encrypted with it cannot be read once its waiting time has run out",
        first="encrypt what is still needed with another key",
    )
    needs = (
        "kms:CreateKey kms:DescribeKey kms:DisableKey kms:DisableKeyRotation kms:EnableKey kms:EnableKeyRotation"
        " kms:GetKeyPolicy kms:GetKeyRotationStatus kms:ListResourceTags kms:PutKeyPolicy kms:ScheduleKeyDeletion"
        " kms:TagResource kms:UntagResource kms:UpdateKeyDescription"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        """Create the key, and switch its rotation on."""
        kms = aws.client("kms")
        inputs = complete(aws, new, name=None)
        made = call(kms, "create_key", inputs, leave=("deletionWindowInDays", "enableKeyRotation"))["KeyMetadata"]
        _rotate(kms, made["KeyId"], inputs)
        return Created(id=made["KeyId"], outputs=inputs | {"arn": made["Arn"], "keyId": made["KeyId"]})

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """Its description, policy, rotation and tags; None when it waits for its deletion."""
        kms = aws.client("kms")
        found = kms.describe_key(KeyId=there.id)["KeyMetadata"]
        if found["KeyState"] == "PendingDeletion":
            return None
        return found | {
            "enableKeyRotation": kms.get_key_rotation_status(KeyId=there.id)["KeyRotationEnabled"],
            "policy": kms.get_key_policy(KeyId=there.id, PolicyName="default")["Policy"],
            "tags": kms.list_resource_tags(KeyId=there.id)["Tags"],
        }

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Set its description, policy and rotation."""
        kms = aws.client("kms")
        kms.update_key_description(KeyId=there.id, Description=new.inputs.get("description", ""))
        if "policy" in new.inputs:
            kms.put_key_policy(KeyId=there.id, PolicyName="default", Policy=new.inputs["policy"])
        _rotate(kms, there.id, new.inputs)
        return {}

    def retag(self, aws: Aws, there: State, tags: Mapping[str, str], gone: list[str]) -> None:
        retag(aws.client("kms"), {"keyId": there.id}, tags, gone)

    def delete(self, aws: Aws, there: State) -> None:
        days = there.inputs.get("deletionWindowInDays", LONGEST_DELETION_DAYS)
        aws.client("kms").schedule_key_deletion(KeyId=there.id, PendingWindowInDays=days)

    def paid(self, one: Priced) -> Iterator[Line]:
        """A key costs per month."""
        yield one.line("KMS key")


@answers("aws:kms/getKey:getKey", needs="kms:DescribeKey")
def get_key(aws: Aws, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What there is of a key."""
    found = aws.client("kms").describe_key(KeyId=arguments["keyId"])["KeyMetadata"]
    return {
        "id": found["KeyId"],
        "keyId": arguments["keyId"],
        "arn": found["Arn"],
        "enabled": found["Enabled"],
        "keySpec": found["KeySpec"],
        "keyState": found["KeyState"],
    }


def _rotate(kms: Any, key_id: str, inputs: Mapping[str, Any]) -> None:
    (kms.enable_key_rotation if inputs.get("enableKeyRotation") else kms.disable_key_rotation)(KeyId=key_id)
