"""AWS KMS: keys and their aliases."""

from local.aws import Aws
from local.parameters import call, complete
from local.record import ResourceType
from local.run import Created, Resource


class Key(ResourceType, token="aws:kms/key:Key"):
    """A key; `deletionWindowInDays` matters only when the provider deletes it."""

    needs = (
        "kms:CreateKey kms:DescribeKey kms:DisableKey kms:DisableKeyRotation kms:EnableKey kms:EnableKeyRotation"
        " kms:GetKeyPolicy kms:GetKeyRotationStatus kms:ListResourceTags kms:PutKeyPolicy kms:ScheduleKeyDeletion"
        " kms:TagResource kms:UntagResource kms:UpdateKeyDescription"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        kms = aws.client("kms")
        defaults = {"customerMasterKeySpec": "SYMMETRIC_DEFAULT", "keyUsage": "ENCRYPT_DECRYPT"}
        inputs = defaults | complete(aws, new, name=None)
        made = call(
            kms,
            "create_key",
            inputs,
            rename={"customerMasterKeySpec": "KeySpec"},
            leave=("deletionWindowInDays", "enableKeyRotation", "isEnabled", "rotationPeriodInDays"),
        )["KeyMetadata"]
        if inputs.get("enableKeyRotation"):
            call(
                kms,
                "enable_key_rotation",
                {"keyId": made["KeyId"], "rotationPeriodInDays": inputs.get("rotationPeriodInDays")},
            )
        if inputs.get("isEnabled") is False:
            kms.disable_key(KeyId=made["KeyId"])
        outputs = {"arn": made["Arn"], "keyId": made["KeyId"]}
        return Created(id=made["KeyId"], outputs=inputs | outputs)
