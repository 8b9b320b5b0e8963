"""Amazon SQS (API, `SetQueueAttributes`)."""

from collections.abc import Iterator, Mapping

from local.checks import documents, policies
from local.checks.plain import is_object, mapping, shown, wrong
from local.checks.references import Known
from local.checks.rules import Checks, Inputs, Rule, at_most, conflicting, matching, one_of, parsed, within

QUEUE = "aws:sqs/queue:Queue"
ALLOW = "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy"

LARGEST_POLICY_BYTES = 8192
"""SQS developer guide, "Quotas related to policies"."""

FIFO_ONLY = ("contentBasedDeduplication", "deduplicationScope", "fifoThroughputLimit")


def _fifo(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    fifo, name = inputs.get("fifoQueue") is True, inputs.get("name")
    if not fifo:
        for key in FIFO_ONLY:
            if inputs.get(key):
                yield wrong(key, "can only be set for FIFO queue", inputs[key])
    if isinstance(name, str) and name.endswith(".fifo") and not fifo:
        yield wrong("name", "The name of a standard queue can only include alphanumeric characters, - or _", name)
    if isinstance(name, str) and fifo and not name.endswith(".fifo"):
        yield wrong(
            "name",
            "The name of a FIFO queue must end with .fifo suffix",
            name,
        )
    if inputs.get("fifoThroughputLimit") == "perMessageGroupId" and inputs.get("deduplicationScope") != "messageGroup":
        yield wrong(
            "deduplicationScope",
            "must be messageGroup with fifoThroughputLimit perMessageGroupId",
            inputs.get("deduplicationScope"),
        )


def _one_kind(path: str) -> Rule:
    """A queue and its dead-letter queue are of one kind, and the latter takes the former."""

    def rule(inputs: Inputs, known: Known) -> Iterator[str]:
        match parsed(inputs, path):
            case {"deadLetterTargetArn": str() as target}:
                pass
            case _:
                return
        source = (
            inputs if path == "redrivePolicy" and "queueUrl" not in inputs else _queue(known, inputs.get("queueUrl"))
        )
        if source is not None and source.get("fifoQueue", False) is not target.endswith(".fifo"):
            yield wrong(
                f"{path}.deadLetterTargetArn",
                "Reason: Dead-letter queue must be same type of queue as the source.",
                target,
            )
        for registration, _ in known.of(ALLOW):
            queue = registration.inputs.get("queueUrl")
            if isinstance(queue, str) and queue.rpartition("/")[2] == target.rpartition(":")[2]:
                allowed = mapping(parsed(registration.inputs, "redriveAllowPolicy"))
                if allowed.get("redrivePermission") == "denyAll":
                    yield wrong(
                        f"{path}.deadLetterTargetArn",
                        f"must be a queue that allows it, its redrive allow policy is {shown(allowed)}",
                        target,
                    )

    return rule


def _sources_are_allowed(inputs: Inputs, known: Known) -> Iterator[str]:
    allowed = parsed(inputs, "redriveAllowPolicy")
    queue = inputs.get("queueUrl")
    if not is_object(allowed) or not isinstance(queue, str) or allowed.get("redrivePermission") == "allowAll":
        return
    for registration, created in known.of(QUEUE):
        match parsed(registration.inputs, "redrivePolicy"):
            case {"deadLetterTargetArn": str() as target} if target.rpartition(":")[2] == queue.rpartition("/")[2]:
                arn = created.outputs.get("arn") if created else None
                if arn is not None and arn not in allowed.get("sourceQueueArns", []):
                    yield wrong(
                        "redriveAllowPolicy.sourceQueueArns",
                        f"must hold {arn}, which sends its dead letters here",
                        allowed,
                    )
            case _:
                pass


def _queue(known: Known, url: object) -> Inputs | None:
    for registration, created in known.of(QUEUE):
        if created is not None and created.id == url:
            return registration.inputs
    return None


POLICY = {"policy": policies.on("sqs")}
POLICY_SIZE = (at_most("policy", LARGEST_POLICY_BYTES, "bytes"),)

CHECKS: Mapping[str, Checks] = {
    QUEUE: Checks(
        documents={"redrivePolicy": documents.redrive, "redriveAllowPolicy": documents.redrive_allow, **POLICY},
        values=(
            within("visibilityTimeoutSeconds", 0, 43_200),
            within("messageRetentionSeconds", 60, 1_209_600),
            within("delaySeconds", 0, 900),
            within("receiveWaitTimeSeconds", 0, 20),
            within("maxMessageSize", 1024, 1_048_576),
            within("kmsDataKeyReusePeriodSeconds", 60, 86_400),
            one_of("deduplicationScope", "messageGroup", "queue"),
            one_of("fifoThroughputLimit", "perQueue", "perMessageGroupId"),
            conflicting("name", ("namePrefix",)),
            conflicting("sqsManagedSseEnabled", ("kmsMasterKeyId",)),
            _fifo,
            _one_kind("redrivePolicy"),
        ),
        limits=(
            matching(
                "name",
                r"[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo",
                "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
            ),
            *POLICY_SIZE,
        ),
    ),
    "aws:sqs/queuePolicy:QueuePolicy": Checks(documents=POLICY, limits=POLICY_SIZE),
    "aws:sqs/redrivePolicy:RedrivePolicy": Checks(
        documents={"redrivePolicy": documents.redrive}, values=(_one_kind("redrivePolicy"),)
    ),
    ALLOW: Checks(documents={"redriveAllowPolicy": documents.redrive_allow}, values=(_sources_are_allowed,)),
}
