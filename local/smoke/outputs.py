"""What a stack exports, as `pulumi stack output --json` prints it, checked before AWS is asked anything."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Self, cast

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from components.schema import mistakes, refuse


def _arn(service: str) -> StringConstraints:
    return StringConstraints(pattern=rf"^arn:aws[a-z-]*:{service}:[a-z0-9-]+:[0-9]{{12}}:\S+$")


BatchArn = Annotated[str, _arn("batch")]
EcsArn = Annotated[str, _arn("ecs")]
EksArn = Annotated[str, _arn("eks")]
SnsArn = Annotated[str, _arn("sns")]
SqsArn = Annotated[str, _arn("sqs")]
QueueUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^/\s]+/[0-9]{12}/[A-Za-z0-9_-]+(\.fifo)?$")]
RepositoryUrl = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/\S+$")
]
DashboardUrl = Annotated[str, StringConstraints(pattern=r"^https://\S+#dashboards/dashboard/\S+$")]
BucketName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
VpcId = Annotated[str, StringConstraints(pattern=r"^vpc-[0-9a-f]+$")]
SubnetId = Annotated[str, StringConstraints(pattern=r"^subnet-[0-9a-f]+$")]
Text = Annotated[str, StringConstraints(min_length=1)]

TOGETHER: Sequence[tuple[str, ...]] = (
    ("queue_urls", "queue_arns", "dead_letter_queue_urls", "dead_letter_queue_arns"),
    ("batch_job_queue_arns", "batch_compute_environment_arns", "batch_job_definition_arns"),
    ("ecs_cluster_name", "ecs_cluster_arn", "ecs_service_name", "ecs_service_arn", "ecs_task_definition_arn"),
    ("eks_cluster_name", "eks_cluster_arn", "eks_node_group_arns", "kubeconfig"),
)
"""Outputs of one part of the stack, which has all of them or is not deployed."""
SAME_NAMES = TOGETHER[:2]
"""Those of them that are mappings by the same names."""


class OutputsError(Exception):
    """Outputs that cannot be used; each line of the message is one mistake."""


class Outputs(BaseModel):
    """The exports of a stack; a part that is not deployed has none."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    vpc_id: VpcId
    private_subnet_ids: Annotated[tuple[SubnetId, ...], Field(min_length=1)]
    artifacts_bucket: BucketName
    image_repository_url: RepositoryUrl
    alerts_topic_arn: SnsArn
    dashboard_url: DashboardUrl
    queue_urls: dict[str, QueueUrl] = Field(default_factory=dict[str, str])
    queue_arns: dict[str, SqsArn] = Field(default_factory=dict[str, str])
    dead_letter_queue_urls: dict[str, QueueUrl] = Field(default_factory=dict[str, str])
    dead_letter_queue_arns: dict[str, SqsArn] = Field(default_factory=dict[str, str])
    batch_compute_environment_arns: dict[str, tuple[BatchArn, ...]] = Field(
        default_factory=dict[str, "tuple[str, ...]"]
    )
    batch_job_queue_arns: dict[str, BatchArn] = Field(default_factory=dict[str, str])
    batch_job_definition_arns: dict[str, BatchArn] = Field(default_factory=dict[str, str])
    ecs_cluster_name: Text = ""
    ecs_cluster_arn: EcsArn = ""
    ecs_service_name: Text = ""
    ecs_service_arn: EcsArn = ""
    ecs_task_definition_arn: EcsArn = ""
    eks_cluster_name: Text = ""
    eks_cluster_arn: EksArn = ""
    eks_node_group_arns: dict[str, EksArn] = Field(default_factory=dict[str, str])
    kubeconfig: Text = ""

    @property
    def region(self) -> str:
        """Where the stack is deployed."""
        return self.alerts_topic_arn.split(":")[3]

    @property
    def account_id(self) -> str:
        """The account that the stack is deployed in."""
        return self.alerts_topic_arn.split(":")[4]

    @property
    def unknown(self) -> Mapping[str, object]:
        """What is exported and has no check here."""
        return self.model_extra or {}

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        missing: list[tuple[str, str, object]] = [
            (key, f"is exported together with {given[0]}", None)
            for group in TOGETHER
            if (given := [key for key in group if key in self.model_fields_set])
            for key in group
            if key not in given
        ]
        refuse(missing)
        refuse(
            [
                (key, f"must have the names of {group[0]}, {sorted(names)}", sorted(one))
                for group in SAME_NAMES
                for names in [cast("dict[str, object]", getattr(self, group[0]))]
                for key in group[1:]
                for one in [cast("dict[str, object]", getattr(self, key))]
                if set(one) != set(names)
            ]
        )
        refuse(
            [
                (path, f"must be in {self.region} and account {self.account_id}, like alerts_topic_arn", arn)
                for path, arn in self._arns()
                if arn.split(":")[3:5] != [self.region, self.account_id]
            ]
        )
        return self

    def _arns(self) -> Iterator[tuple[str, str]]:
        for key in sorted(self.model_fields_set):
            yield from _arns_in(key, getattr(self, key))


def _arns_in(path: str, value: object) -> Iterator[tuple[str, str]]:
    match value:
        case str() if value.startswith("arn:"):
            yield path, value
        case dict():
            for key, one in cast("dict[str, object]", value).items():
                yield from _arns_in(f"{path}.{key}", one)
        case tuple():
            for index, one in enumerate(cast("tuple[object, ...]", value)):
                yield from _arns_in(f"{path}.{index}", one)
        case _:
            pass


def read(path: Path | None) -> Outputs:
    """The outputs in a file, or those on standard input when there is none.

    Raises:
        OutputsError: naming each mistake.

    """
    content = _content(path)
    if not content.strip():
        raise OutputsError("outputs: are empty; did `pulumi stack output --json` fail?")
    try:
        return Outputs.model_validate_json(content)
    except ValidationError as error:
        errors = error.errors()
    if errors[0]["type"] == "json_invalid":
        raise OutputsError(f"outputs: are not JSON: {errors[0]['msg'].removeprefix('Invalid JSON: ')}")
    if errors[0]["loc"] == () and errors[0]["type"] != "value_error":
        raise OutputsError("outputs: must be an object, as `pulumi stack output --json` prints it")
    if content.strip() == b"{}":
        raise OutputsError("outputs: are an empty object; has this stack been deployed?")
    raise OutputsError("\n".join(mistakes("outputs", errors)))


def _content(path: Path | None) -> bytes:
    try:
        if path is not None:
            return path.read_bytes()
        if sys.stdin is None or sys.stdin.isatty():
            raise OutputsError("outputs: must come from --outputs FILE or from `pulumi stack output --json |`")
        return sys.stdin.buffer.read()
    except OSError as error:
        raise OutputsError(f"{path or 'standard input'}: cannot be read: {error.strerror}") from None
