"""AWS KMS: keys and their aliases."""

from local.aws import Aws, Created, Resource, creates
from local.services._params import call, complete


@creates("aws:kms/key:Key")
def key(aws: Aws, resource: Resource) -> Created:
    """A key; `deletionWindowInDays` matters only when the provider deletes it."""
    kms = aws.client("kms")
    defaults = {"customerMasterKeySpec": "SYMMETRIC_DEFAULT", "keyUsage": "ENCRYPT_DECRYPT"}
    inputs = defaults | complete(aws, resource, name=None)
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


@creates("aws:kms/alias:Alias")
def alias(aws: Aws, resource: Resource) -> Created:
    """Another name for a key; pulumi-aws puts `alias/` before a name that it makes up."""
    kms = aws.client("kms")
    inputs = complete(aws, resource, tags=False)
    inputs["name"] = f"alias/{inputs['name'].removeprefix('alias/')}"
    call(kms, "create_alias", inputs, rename={"name": "AliasName"})
    outputs = {
        "arn": aws.arn("kms", inputs["name"]),
        "targetKeyArn": kms.describe_key(KeyId=inputs["targetKeyId"])["KeyMetadata"]["Arn"],
    }
    return Created(id=inputs["name"], outputs=inputs | outputs)
