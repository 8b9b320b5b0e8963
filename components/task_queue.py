"""A work queue and its dead-letter queue.

FIFO by default: order within a message group, one message of a group in flight at a time, no duplicates within five
minutes. With one group for all messages, one worker does all of them, one after the other. On a standard queue a group
is a team: those that have few tasks are served before those of a team that has many in flight (SQS developer guide,
"Amazon SQS fair queues").
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Annotated, Self

import pulumi
from pulumi_aws import sqs
from pydantic import AfterValidator, Field, model_validator

from components import iam
from components.deployed import Deployed
from components.json_document import to_json
from components.schema import Arn, Name, Settings, mistake, refuse
from stack_file.mistakes import Mistake

LONG_POLL_SECONDS = 20
"""The longest wait that SQS offers; shorter ones cost empty receives."""
DEAD_LETTER_RETENTION_DAYS = 14
"""The longest that SQS keeps a message; a dead letter waits for a person."""
DEAD_LETTER_VISIBILITY_SECONDS = 300
"""Time for a person or a redrive to handle a dead letter."""
LARGEST_MESSAGE_BYTES = 1024 * 1024
"""SQS's limit and its own default for new queues."""
KMS_DATA_KEY_REUSE_SECONDS = 300
MOST_RECEIVES = 1000
"""The largest `maxReceiveCount` that SQS takes."""
RECLAIMS = 10
"""How often stopped or killed workers may give a task back, besides the times that it may fail."""


def _is_no_dead_letter_queue(name: str) -> str:
    if name.endswith("-dlq"):
        raise ValueError("must not end in -dlq, the name of a dead-letter queue")
    return name


QueueName = Annotated[Name, AfterValidator(_is_no_dead_letter_queue)]
"""A queue's name in the stack file."""

MOST_SEND_TO = 20
"""How many queues, each with a key of its own, the policies inside a role have room for besides its other rights."""

SendTo = Annotated[tuple[Name, ...], Field(max_length=MOST_SEND_TO)]
"""Names of the queues that something may send to."""


class TaskQueueSettings(Settings):
    """One queue of the `queues` section."""

    fifo: bool = True
    """Whether messages keep their order within a group and duplicates are dropped. It cannot be changed.

    A standard queue (false) does neither, and is fair: a group with many tasks does not hold up those of other groups.
    """
    content_based_deduplication: bool = True
    """Whether SQS drops a second message with the same body within five minutes, if it has no deduplication id."""
    high_throughput: bool = True
    """Whether the throughput limit of FIFO applies to each message group instead of the whole queue."""
    visibility_timeout_seconds: Annotated[int, Field(ge=1, le=43_200)] = 900
    """How long a received message is hidden from other consumers. A worker extends it while its task runs."""
    max_receive_count: Annotated[int, Field(ge=1, le=MOST_RECEIVES)] = 5
    """How often a message may be received before it moves to the dead-letter queue.

    On the queue of reference workers: how often a task may fail. What a stopped worker gives back does not count, up to
    10 times.
    """
    retention_days: Annotated[int, Field(ge=1, le=DEAD_LETTER_RETENTION_DAYS)] = 7
    """Days until SQS drops a message that still waits, also one that waits already. The dead-letter queue has 14."""
    kms_key_arn: Arn | None = None
    """KMS key for encryption. Default: the free keys of SQS.

    Change it while the queue is empty: what waits keeps its key, which consumers may then no longer use.
    """

    @model_validator(mode="after")
    def _fifo_only(self) -> Self:
        refuse(
            [
                (key, "must be left out or false on a standard queue (fifo: false)", value)
                for field, key, value in (
                    ("content_based_deduplication", "contentBasedDeduplication", self.content_based_deduplication),
                    ("high_throughput", "highThroughput", self.high_throughput),
                )
                if not self.fifo and value and field in self.model_fields_set
            ]
        )
        return self

    def preflight(self, path: str, region: str) -> Iterator[Mistake]:
        """The mistake where the key is in another region."""
        if self.kms_key_arn is not None and self.kms_key_arn.split(":")[3] != region:
            yield mistake(f"{path}.kmsKeyArn", f"must be a key in {region}, where the queue is", self.kms_key_arn)

    def losses(self, path: str, deployed: Deployed) -> Iterator[Mistake]:
        """Mistakes that would lose what waits in the queue that is there."""

        def is_other(name: str) -> bool:
            return name.endswith(".fifo") != self.fifo

        # AWS is asked only where there is something to be refused
        if not any(map(is_other, _tagged(deployed, path))):
            return
        names = queue_names(deployed, path)
        if names and all(map(is_other, names)):
            yield mistake(
                f"{path}.fifo",
                (
                    f"must stay {str(not self.fifo).lower()}: another kind is another queue, and what waits in this one"
                    " would be lost; add a queue beside it, move its producers, let it drain, then take it out"
                ),
                self.fifo,
            )


def _tagged(deployed: Deployed, path: str) -> list[str]:
    return [arn.rpartition(":")[2] for arn in deployed.of(path, "sqs:")]


def queue_names(deployed: Deployed, path: str) -> list[str]:
    """Names of the queues that are there for a path, the dead-letter queue's too."""
    tagged = _tagged(deployed, path)
    if not tagged:
        return []
    # the tags of a queue that is gone are still listed for a while
    urls = sqs.get_queues(queue_name_prefix=path.partition(".")[2]).queue_urls
    return sorted({*tagged} & {url.rpartition("/")[2] for url in urls})


def left_out(path: str, named: Collection[str], deployed: Deployed, *, protect: bool) -> Iterator[str]:
    """Warnings of queues that are there and no longer in the stack file."""
    for one in sorted(deployed.arns):
        section, _, name = one.partition(".")
        if section == path and name not in named and queue_names(deployed, one):
            refused = "; Pulumi refuses that while they are protected: docs/operations.md says how they go"
            yield (
                f"{one}: is no longer in the stack file, so its queue and dead-letter queue are deleted with all that"
                f" waits in them{refused if protect else ''}"
            )


class TaskQueue(pulumi.ComponentResource):
    """An SQS queue whose messages move to a dead-letter queue after `maxReceiveCount` receives and `reclaims` more."""

    url: pulumi.Output[str]
    """URL of the queue."""
    arn: pulumi.Output[str]
    """ARN of the queue."""
    queue_name: pulumi.Output[str]
    """Name of the queue, as in its metrics."""
    dead_letter_url: pulumi.Output[str]
    """URL of the dead-letter queue."""
    dead_letter_arn: pulumi.Output[str]
    """ARN of the dead-letter queue."""
    dead_letter_name: pulumi.Output[str]
    """Name of the dead-letter queue, as in its metrics."""
    settings: TaskQueueSettings
    """Its settings."""

    def __init__(
        self,
        name: str,
        settings: TaskQueueSettings,
        *,
        deployed: Deployed,
        reclaims: int = 0,
        protect: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("distributed-training:index:TaskQueue", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        # a queue is deleted with all that waits in it
        kept = pulumi.ResourceOptions(parent=self, protect=protect)
        dead_letters = sqs.Queue(
            f"{name}-dlq",
            _queue_args(
                settings,
                tags=deployed.tag(f"queues.{name}"),
                retention_days=DEAD_LETTER_RETENTION_DAYS,
                visibility_timeout_seconds=DEAD_LETTER_VISIBILITY_SECONDS,
            ),
            opts=kept,
        )
        queue = sqs.Queue(
            name,
            _queue_args(
                settings,
                tags=deployed.tag(f"queues.{name}"),
                retention_days=settings.retention_days,
                visibility_timeout_seconds=settings.visibility_timeout_seconds,
                redrive_policy=to_json(
                    {
                        "deadLetterTargetArn": dead_letters.arn,
                        "maxReceiveCount": min(MOST_RECEIVES, settings.max_receive_count + reclaims),
                    }
                ),
            ),
            opts=kept,
        )
        sqs.RedriveAllowPolicy(
            f"{name}-dlq",
            queue_url=dead_letters.url,
            # beside the queue, not in it: the two queues name each other
            redrive_allow_policy=to_json({"redrivePermission": "byQueue", "sourceQueueArns": [queue.arn]}),
            opts=child,
        )
        for logical_name, one in ((name, queue), (f"{name}-dlq", dead_letters)):
            sqs.QueuePolicy(
                logical_name, queue_url=one.url, policy=iam.document([iam.tls_only("sqs:*", [one.arn])]), opts=child
            )
        self.settings = settings
        self.url, self.arn, self.queue_name = queue.url, queue.arn, queue.name
        self.dead_letter_url, self.dead_letter_arn = dead_letters.url, dead_letters.arn
        self.dead_letter_name = dead_letters.name
        self.register_outputs({"url": self.url, "deadLetterUrl": self.dead_letter_url})

    def send(self) -> list[iam.Statement]:
        """Statements that allow sending messages."""
        return [iam.allow(["sqs:SendMessage"], [self.arn]), *self._use_key("kms:Decrypt", "kms:GenerateDataKey")]

    def consume(self) -> list[iam.Statement]:
        """Statements that allow receiving messages, extending their visibility and deleting them."""
        return [
            iam.allow(
                ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"],
                [self.arn],
            ),
            *self._use_key("kms:Decrypt"),
        ]

    def _use_key(self, *actions: str) -> list[iam.Statement]:
        return [] if self.settings.kms_key_arn is None else [iam.allow(actions, [self.settings.kms_key_arn])]


def send_to(queues: Mapping[str, TaskQueue], names: Iterable[str]) -> list[iam.Statement]:
    """Statements that allow sending to the queues with these names."""
    return [statement for name in names for statement in queues[name].send()]


def urls(queues: Mapping[str, TaskQueue], names: Iterable[str]) -> dict[str, pulumi.Output[str]]:
    """Environment variables that hold the URLs of the queues with these names."""
    return {f"QUEUE_URL_{name.upper().replace('-', '_')}": queues[name].url for name in names}


def _queue_args(
    settings: TaskQueueSettings,
    *,
    tags: Mapping[str, str],
    retention_days: int,
    visibility_timeout_seconds: int,
    redrive_policy: pulumi.Output[str] | None = None,
) -> sqs.QueueArgs:
    own_key = settings.kms_key_arn is not None
    return sqs.QueueArgs(
        tags=tags,
        message_retention_seconds=retention_days * 24 * 3600,
        visibility_timeout_seconds=visibility_timeout_seconds,
        receive_wait_time_seconds=LONG_POLL_SECONDS,
        max_message_size=LARGEST_MESSAGE_BYTES,
        redrive_policy=redrive_policy,
        sqs_managed_sse_enabled=None if own_key else True,
        kms_master_key_id=settings.kms_key_arn,
        kms_data_key_reuse_period_seconds=KMS_DATA_KEY_REUSE_SECONDS if own_key else None,
        # SQS refuses every key below on a standard queue, false too
        fifo_queue=True if settings.fifo else None,
        content_based_deduplication=settings.content_based_deduplication if settings.fifo else None,
        deduplication_scope=("messageGroup" if settings.high_throughput else "queue") if settings.fifo else None,
        fifo_throughput_limit=(
            ("perMessageGroupId" if settings.high_throughput else "perQueue") if settings.fifo else None
        ),
    )
