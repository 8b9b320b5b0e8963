"""Services of which the stack uses one or two types: ECR, KMS, SNS, Secrets Manager, Budgets, FSx for Lustre."""

import re
from collections.abc import Iterator, Mapping

from local.checks import documents, policies
from local.checks.plain import is_list, missing, number, objects, wrong
from local.checks.references import Known
from local.checks.rules import Checks, Inputs, at_most, conflicting, given, matching, one_of, parsed, within
from local.engine import UNKNOWN

LUSTRE_THROUGHPUT = {
    ("PERSISTENT_1", "SSD"): (50, 100, 200),
    ("PERSISTENT_1", "HDD"): (12, 40),
    ("PERSISTENT_2", "SSD"): (125, 250, 500, 1000),
}
"""Deployment and storage type -> MB/s per TiB (FSx API, `CreateFileSystemLustreConfiguration`)."""

TOPIC_POLICY = {"policy": policies.on("sns")}
LARGEST_TOPIC_POLICY_BYTES = 30_720
EMAIL = r"[^@\s]+@[^@\s]+\.[^@\s]+"
ENDPOINTS = {
    "application": r"arn:.+",
    "email": EMAIL,
    "email-json": EMAIL,
    "firehose": r"arn:.+",
    "http": r"http://.+",
    "https": r"https://.+",
    "lambda": r"arn:.+",
    "sms": r"\+?[0-9-]+",
    "sqs": r"arn:[a-z-]+:sqs:.+",
}
"""Protocol of a subscription -> what its endpoint looks like."""


def _key(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    policy = parsed(inputs, "policy")
    if (
        policy is not None
        and not inputs.get("bypassPolicyLockoutSafetyCheck")
        and not policies.allows(policy, "kms:PutKeyPolicy")
    ):
        yield wrong("policy", "The new key policy will not allow you to update the key policy in the future.", policy)
    if given(inputs, "rotationPeriodInDays") and not inputs.get("enableKeyRotation"):
        yield wrong("rotationPeriodInDays", "goes with enableKeyRotation", inputs["rotationPeriodInDays"])


def _topic(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    name, fifo = inputs.get("name"), inputs.get("fifoTopic") is True
    if isinstance(name, str) and name != UNKNOWN and name.endswith(".fifo") is not fifo:
        yield wrong("name", "must end in .fifo for a FIFO topic, and for no other", name)
    if inputs.get("contentBasedDeduplication") and not fifo:
        yield wrong("contentBasedDeduplication", "can only be set for FIFO topics", True)


def _subscription(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    form, endpoint = ENDPOINTS.get(str(inputs.get("protocol"))), inputs.get("endpoint")
    if form is not None and isinstance(endpoint, str) and endpoint != UNKNOWN and not re.fullmatch(form, endpoint):
        yield wrong("endpoint", f"Invalid parameter: {inputs['protocol']} endpoint", endpoint)


def _budget(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    if not given(inputs, "limitAmount") and not given(inputs, "plannedLimits") and not given(inputs, "autoAdjustData"):
        yield missing("limitAmount")
    kind, unit = inputs.get("budgetType"), inputs.get("limitUnit")
    if kind == "COST" and unit not in (None, "USD", UNKNOWN):
        yield wrong("limitUnit", "must be USD for a budget of costs", unit)
    if (
        str(kind).startswith(("RI_", "SAVINGS_"))
        and (amount := number(inputs.get("limitAmount"))) is not None
        and amount > 100
    ):
        yield wrong("limitAmount", "must be at most 100 percent", inputs["limitAmount"])
    for index, notice in enumerate(objects(inputs.get("notifications"))):
        path = f"notifications[{index}]"
        topics = notice.get("subscriberSnsTopicArns")
        if not topics and not notice.get("subscriberEmailAddresses"):
            yield missing(f"{path}.subscriberSnsTopicArns")
        if is_list(topics) and len(topics) > 1:
            yield wrong(f"{path}.subscriberSnsTopicArns", "must be at most 1 topic", topics)


def _lustre(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    kind, storage = inputs.get("deploymentType", "SCRATCH_1"), inputs.get("storageType", "SSD")
    size, throughput = number(inputs.get("storageCapacity")), inputs.get("perUnitStorageThroughput")
    if size is not None and storage == "SSD":
        step = 3600 if kind == "SCRATCH_1" else 2400
        if size != 1200 and (size <= 0 or size % step):
            yield wrong(
                "storageCapacity", f"must be 1200 or a multiple of {step} GiB for {kind}", inputs["storageCapacity"]
            )
    if size is None and storage != "INTELLIGENT_TIERING" and not given(inputs, "backupId"):
        yield missing("storageCapacity")
    legal = LUSTRE_THROUGHPUT.get((kind, storage))
    if kind == "PERSISTENT_2" and storage == "HDD":
        yield wrong("storageType", f"must be SSD for {kind}", storage)
    if legal is not None and not given(inputs, "perUnitStorageThroughput"):
        yield missing("perUnitStorageThroughput")
    elif legal is not None and throughput != UNKNOWN and number(throughput) not in legal:
        yield wrong(
            "perUnitStorageThroughput",
            f"must be one of {', '.join(map(str, legal))} MB/s per TiB for {kind} {storage}",
            throughput,
        )
    elif str(kind).startswith("SCRATCH") and given(inputs, "perUnitStorageThroughput"):
        yield wrong("perUnitStorageThroughput", f"goes with a PERSISTENT deployment type, not with {kind}", throughput)
    if kind == "PERSISTENT_2":
        for key in ("importPath", "exportPath", "autoImportPolicy", "importedFileChunkSize"):
            if given(inputs, key):
                yield wrong(key, "goes with a data repository association for PERSISTENT_2", inputs[key])


CHECKS: Mapping[str, Checks] = {
    "aws:ecr/repository:Repository": Checks(
        api=("ecr", "CreateRepository"),
        rename={"name": "repositoryName"},
        values=(at_most("encryptionConfigurations", 1, "configurations"),),
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": Checks(
        api=("ecr", "PutLifecyclePolicy"),
        rename={"repository": "repositoryName"},
        documents={"policy": documents.lifecycle},
        limits=(at_most("policy", 30_720, "bytes"),),
    ),
    "aws:kms/key:Key": Checks(
        api=("kms", "CreateKey"),
        rename={"customerMasterKeySpec": "KeySpec"},
        documents={"policy": policies.on("kms")},
        values=(within("deletionWindowInDays", 7, 30), within("rotationPeriodInDays", 90, 2560), _key),
        limits=(at_most("policy", 32_768, "bytes"),),
    ),
    "aws:kms/alias:Alias": Checks(
        api=("kms", "CreateAlias"),
        rename={"name": "AliasName"},
        values=(
            matching(
                "name",
                r"alias/(?!aws/)[a-zA-Z0-9/_-]+",
                "must begin with 'alias/' and be comprised of only [a-zA-Z0-9/_-], and not be one of AWS's own",
            ),
            conflicting("name", ("namePrefix",)),
        ),
    ),
    "aws:sns/topic:Topic": Checks(
        documents={
            **TOPIC_POLICY,
        },
        values=(
            _topic,
            conflicting("name", ("namePrefix",)),
            one_of("tracingConfig", "Active", "PassThrough"),
            one_of("signatureVersion", 1, 2),
        ),
        limits=(
            matching(
                "name",
                r"[A-Za-z0-9_-]{1,256}|[A-Za-z0-9_-]{1,251}\.fifo",
                "must be 1 to 256 letters, digits, hyphens and underscores",
            ),
            at_most("policy", LARGEST_TOPIC_POLICY_BYTES, "bytes"),
            at_most("displayName", 100, "characters"),
        ),
    ),
    "aws:sns/topicPolicy:TopicPolicy": Checks(
        documents=TOPIC_POLICY, limits=(at_most("policy", LARGEST_TOPIC_POLICY_BYTES, "bytes"),)
    ),
    "aws:sns/topicSubscription:TopicSubscription": Checks(
        documents={"redrivePolicy": documents.subscription_redrive},
        values=(
            one_of("protocol", *ENDPOINTS),
            one_of("filterPolicyScope", "MessageAttributes", "MessageBody"),
            _subscription,
        ),
    ),
    "aws:secretsmanager/secret:Secret": Checks(
        api=("secretsmanager", "CreateSecret"),
        documents={"policy": policies.on("secretsmanager")},
        values=(
            conflicting("name", ("namePrefix",)),
            # 0 deletes at once
            one_of("recoveryWindowInDays", 0, *range(7, 31), words="expected to be 0 or in the range (7 - 30)"),
        ),
        limits=(
            matching("name", r"[A-Za-z0-9/_+=.@-]{1,512}", "must be 1 to 512 letters, digits and /_+=.@-"),
            at_most("policy", 20_480, "bytes"),
        ),
    ),
    "aws:budgets/budget:Budget": Checks(
        api=("budgets", "CreateBudget"),
        rename={
            **{
                key: f"Budget.{name}"
                for key, name in {
                    "budgetType": "BudgetType",
                    "limitAmount": "BudgetLimit.Amount",
                    "name": "BudgetName",
                    "timeUnit": "TimeUnit",
                }.items()
            },
            "notifications": "NotificationsWithSubscribers",
            **{
                f"notifications.{key}": f"Notification.{key}"
                for key in ("comparisonOperator", "notificationType", "threshold", "thresholdType")
            },
        },
        values=(
            # budgets by the week are none, whatever other services offer
            matching("notifications[].subscriberEmailAddresses[]", EMAIL, "must be an e-mail address"),
            _budget,
        ),
        limits=(
            at_most("notifications", 5, "notifications"),
            at_most("notifications[].subscriberEmailAddresses", 10, "addresses"),
        ),
    ),
    "aws:fsx/lustreFileSystem:LustreFileSystem": Checks(
        api=("fsx", "CreateFileSystem"),
        rename={
            key: f"LustreConfiguration.{key}"
            for key in (
                "autoImportPolicy",
                "automaticBackupRetentionDays",
                "dailyAutomaticBackupStartTime",
                "dataCompressionType",
                "deploymentType",
                "driveCacheType",
                "exportPath",
                "importPath",
                "importedFileChunkSize",
                "logConfiguration",
                "metadataConfiguration",
                "perUnitStorageThroughput",
                "rootSquashConfiguration",
                "throughputCapacity",
                "weeklyMaintenanceStartTime",
            )
        },
        values=(_lustre,),
    ),
    "aws:fsx/dataRepositoryAssociation:DataRepositoryAssociation": Checks(
        api=("fsx", "CreateDataRepositoryAssociation"),
        values=(
            matching("dataRepositoryPath", r"s3://[a-z0-9][a-z0-9.-]+[a-z0-9](/.*)?", "must be s3://bucket/prefix"),
            matching("fileSystemPath", r"/.*", "must begin with a slash"),
        ),
    ),
}
