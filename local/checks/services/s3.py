"""Amazon S3 (user guide, "General purpose bucket naming rules" and "Lifecycle configuration elements")."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from local.checks import policies
from local.checks.plain import is_list, is_object, number, wrong
from local.checks.references import Known
from local.checks.rules import Checks, Inputs, at_most, conflicting, given, one_of, parsed, within
from local.engine import UNKNOWN

BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
LARGEST_POLICY_BYTES = 20_480
LIFECYCLE_RULES = 1000
INFREQUENT_ACCESS = ("STANDARD_IA", "ONEZONE_IA")
INFREQUENT_ACCESS_AFTER_DAYS = 30
STORAGE_CLASSES = (*INFREQUENT_ACCESS, "DEEP_ARCHIVE", "GLACIER", "GLACIER_IR", "INTELLIGENT_TIERING")


def _bucket_name(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    name = inputs.get("bucket")
    if not isinstance(name, str) or name == UNKNOWN:
        return
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name):
        yield wrong(
            "bucket",
            "only lowercase alphanumeric characters, dots and hyphens allowed, 3 to 63, a letter or digit at both ends",
            name,
        )
    elif (
        ".." in name
        or name.startswith(("xn--", "sthree-", "amzn-s3-demo-"))
        or name.endswith(("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"))
    ):
        yield wrong("bucket", "The specified bucket is not valid.", name)
    else:
        try:
            ipaddress.IPv4Address(name)
        except ValueError:
            return
        yield wrong("bucket", "must not be formatted as an IP address", name)


def _policy(inputs: Inputs, known: Known) -> Iterator[str]:
    bucket, document = inputs.get("bucket"), parsed(inputs, "policy")
    if document is None or not isinstance(bucket, str) or bucket == UNKNOWN:
        return
    for where, resource in policies.resources(document, "policy"):
        if not re.fullmatch(rf"arn:[a-z-]+:s3:::{re.escape(bucket)}(/.*)?", resource):
            yield wrong(where, f"Policy has invalid resource: must be of bucket {bucket}", resource)
    blocks = [one.inputs for one, _ in known.of(BLOCK) if one.inputs.get("bucket") == bucket]
    # a new bucket blocks public policies until somebody says otherwise
    if not blocks or any(block.get("blockPublicPolicy") for block in blocks):
        for where, principal in policies.public_statements(document, "policy"):
            yield wrong(
                where,
                "public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access",
                principal,
            )


def _lifecycle(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    rules = inputs.get("rules")
    if not is_list(rules):
        return
    listed = rules
    ids = [rule.get("id") for rule in listed]
    for index, rule in enumerate(listed):
        path = f"rules[{index}]"
        if rule.get("id") != UNKNOWN and rule.get("id") in ids[:index]:
            yield wrong(f"{path}.id", "Rule ID must be unique. Found same ID for more than one rule", rule.get("id"))
        actions = (
            "abortIncompleteMultipartUpload",
            "expiration",
            "noncurrentVersionExpiration",
            "noncurrentVersionTransitions",
            "transitions",
        )
        if not any(given(rule, action) for action in actions):
            yield wrong(path, "At least one action needs to be specified in a rule.", rule.get("id"))
        yield from _transitions(rule, path)


def _transitions(rule: Mapping[str, Any], path: str) -> Iterator[str]:
    expires = number(rule["expiration"].get("days")) if is_object(rule.get("expiration")) else None
    for key, days in (("transitions", "days"), ("noncurrentVersionTransitions", "noncurrentDays")):
        for index, transition in enumerate(rule.get(key) or []):
            where, after = f"{path}.{key}[{index}].{days}", number(transition.get(days))
            if (
                transition.get("storageClass") in INFREQUENT_ACCESS
                and after is not None
                and after < INFREQUENT_ACCESS_AFTER_DAYS
            ):
                yield wrong(
                    where,
                    f"'Days' in Transition action must be at least 30 for storageClass '{transition['storageClass']}'",
                    transition[days],
                )
            if key == "transitions" and after is not None and expires is not None and 0 < expires <= after:
                yield wrong(
                    where,
                    f"'Days' in the Expiration action ({expires:g}) must be greater than in the Transition action",
                    transition[days],
                )


CHECKS: Mapping[str, Checks] = {
    "aws:s3/bucket:Bucket": Checks(values=(_bucket_name, conflicting("bucket", ("bucketPrefix",)))),
    "aws:s3/bucketVersioning:BucketVersioning": Checks(
        values=(
            one_of("versioningConfiguration.status", "Enabled", "Suspended", "Disabled"),
            one_of("versioningConfiguration.mfaDelete", "Enabled", "Disabled"),
        )
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": Checks(
        api=("s3", "PutBucketEncryption"),
        rename={"rules": "ServerSideEncryptionConfiguration.Rules"},
        limits=(at_most("rules", 1, "rules"),),
    ),
    BLOCK: Checks(),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": Checks(
        api=("s3", "PutBucketOwnershipControls"), rename={"rule": "OwnershipControls.Rules"}
    ),
    "aws:s3/bucketPolicy:BucketPolicy": Checks(
        documents={"policy": policies.on("s3")},
        values=(_policy,),
        limits=(at_most("policy", LARGEST_POLICY_BYTES, "bytes"),),
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": Checks(
        values=(
            one_of("rules[].status", "Enabled", "Disabled"),
            one_of("rules[].transitions[].storageClass", *STORAGE_CLASSES),
            one_of("rules[].noncurrentVersionTransitions[].storageClass", *STORAGE_CLASSES),
            within("rules[].expiration.days", 1, 2**31 - 1, "'Days' for Expiration action must be a positive integer"),
            within("rules[].noncurrentVersionExpiration.noncurrentDays", 1, 2**31 - 1),
            within("rules[].abortIncompleteMultipartUpload.daysAfterInitiation", 1, 2**31 - 1),
            _lifecycle,
        ),
        limits=(at_most("rules", LIFECYCLE_RULES, "rules"), at_most("rules[].id", 255, "characters")),
    ),
}
