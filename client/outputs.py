"""What a stack exports, as `pulumi stack output --json` prints it, checked before AWS is asked anything."""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, cast, get_args, get_origin

from client.errors import TrainError

BatchArn = Annotated[str, r"^arn:aws[a-z-]*:batch:[a-z0-9-]+:[0-9]{12}:\S+$"]
EcsArn = Annotated[str, r"^arn:aws[a-z-]*:ecs:[a-z0-9-]+:[0-9]{12}:\S+$"]
EksArn = Annotated[str, r"^arn:aws[a-z-]*:eks:[a-z0-9-]+:[0-9]{12}:\S+$"]
IamArn = Annotated[str, r"^arn:aws[a-z-]*:iam::[0-9]{12}:\S+$"]
SnsArn = Annotated[str, r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:\S+$"]
SqsArn = Annotated[str, r"^arn:aws[a-z-]*:sqs:[a-z0-9-]+:[0-9]{12}:\S+$"]
QueueUrl = Annotated[str, r"^https?://[^/\s]+/[0-9]{12}/[A-Za-z0-9_-]+(\.fifo)?$"]
RepositoryUrl = Annotated[str, r"^[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/\S+$"]
DashboardUrl = Annotated[str, r"^https://\S+#dashboards/dashboard/\S+$"]
BucketName = Annotated[str, r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"]
VpcId = Annotated[str, r"^vpc-[0-9a-f]+$"]
SecurityGroupId = Annotated[str, r"^sg-[0-9a-f]+$"]
SubnetId = Annotated[str, r"^subnet-[0-9a-f]+$"]
FileSystemId = Annotated[str, r"^fs-[0-9a-f]+$"]
Text = Annotated[str, r"^[\s\S]+$"]

TOGETHER: Sequence[Sequence[str]] = (
    ("queue_urls", "queue_arns", "dead_letter_queue_urls", "dead_letter_queue_arns"),
    ("batch_job_queue_arns", "batch_compute_environment_arns", "batch_job_definition_arns"),
    ("ecs_cluster_names", "ecs_cluster_arns", "ecs_service_names", "ecs_service_arns", "ecs_task_definition_arns"),
    ("eks_cluster_name", "eks_cluster_arn", "eks_node_group_arns", "kubeconfig"),
    ("eks_pod_resources", "eks_pod_shared_memory", "eks_pod_environment"),
    ("lustre_file_system_id", "lustre_dns_name", "lustre_mount_name"),
)
"""Outputs of one part of the stack, which has all of them or is not deployed."""
SAME_NAMES = TOGETHER[:3]
"""Those of them that are mappings with the same keys."""


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The exports of a stack; a part that is not deployed has none."""

    vpc_id: VpcId
    private_subnet_ids: Sequence[SubnetId]
    artifacts_bucket: BucketName
    image_repository_url: RepositoryUrl
    alerts_topic_arn: SnsArn
    dashboard_url: DashboardUrl
    training_subnet_id: SubnetId = ""
    image_cache_urls: Mapping[str, RepositoryUrl] = field(default_factory=dict[str, str])
    lustre_file_system_id: FileSystemId = ""
    lustre_dns_name: Text = ""
    lustre_mount_name: Text = ""
    queue_urls: Mapping[str, QueueUrl] = field(default_factory=dict[str, str])
    queue_arns: Mapping[str, SqsArn] = field(default_factory=dict[str, str])
    dead_letter_queue_urls: Mapping[str, QueueUrl] = field(default_factory=dict[str, str])
    dead_letter_queue_arns: Mapping[str, SqsArn] = field(default_factory=dict[str, str])
    batch_compute_environment_arns: Mapping[str, Sequence[BatchArn]] = field(default_factory=dict[str, Sequence[str]])
    batch_job_queue_arns: Mapping[str, BatchArn] = field(default_factory=dict[str, str])
    batch_job_definition_arns: Mapping[str, BatchArn] = field(default_factory=dict[str, str])
    batch_job_role_arns: Mapping[str, IamArn] = field(default_factory=dict[str, str])
    batch_execution_role_arns: Mapping[str, IamArn] = field(default_factory=dict[str, str])
    batch_log_groups: Mapping[str, Text] = field(default_factory=dict[str, str])
    batch_security_group_ids: Mapping[str, SecurityGroupId] = field(default_factory=dict[str, str])
    ecs_cluster_names: Mapping[str, Text] = field(default_factory=dict[str, str])
    ecs_cluster_arns: Mapping[str, EcsArn] = field(default_factory=dict[str, str])
    ecs_service_names: Mapping[str, Text] = field(default_factory=dict[str, str])
    ecs_service_arns: Mapping[str, EcsArn] = field(default_factory=dict[str, str])
    ecs_task_definition_arns: Mapping[str, EcsArn] = field(default_factory=dict[str, str])
    eks_cluster_name: Text = ""
    eks_cluster_arn: EksArn = ""
    eks_node_group_arns: Mapping[str, EksArn] = field(default_factory=dict[str, str])
    eks_pod_resources: Mapping[str, Mapping[str, Text]] = field(default_factory=dict[str, Mapping[str, str]])
    eks_pod_shared_memory: Mapping[str, Text] = field(default_factory=dict[str, str])
    eks_pod_environment: Mapping[str, Mapping[str, Text]] = field(default_factory=dict[str, Mapping[str, str]])
    kubeconfig: Text = ""
    team_namespaces: Mapping[str, Text] = field(default_factory=dict[str, str])
    team_policy_arns: Mapping[str, IamArn] = field(default_factory=dict[str, str])
    train_policy_arns: Sequence[IamArn] = ()
    train_submitted_by: Text = ""
    unknown: Sequence[str] = ()
    """Names of outputs that this version of `train` does not know."""

    @property
    def region(self) -> str:
        """Where the stack is deployed."""
        return self.alerts_topic_arn.split(":")[3]

    @property
    def account_id(self) -> str:
        """The account that the stack is deployed in."""
        return self.alerts_topic_arn.split(":")[4]


FORMS: Mapping[str, Any] = {one.name: one.type for one in fields(Outputs) if one.name != "unknown"}
"""Output -> what it must be."""
REQUIRED = [one.name for one in fields(Outputs) if one.default is one.default_factory is MISSING]
"""What every stack exports."""


def read(path: Path | None) -> Outputs:
    """The outputs in a file, or those on standard input when there is none.

    Raises:
        TrainError: naming each mistake.

    """
    try:
        if path is not None:
            return parse(path.read_bytes())
        if sys.stdin is None or sys.stdin.isatty():
            raise TrainError("outputs: must come from --outputs FILE or from `pulumi stack output --json |`")
        return parse(sys.stdin.buffer.read())
    except OSError as error:
        raise TrainError(f"{path or 'standard input'}: cannot be read: {error.strerror}") from None


def parse(content: bytes) -> Outputs:
    """The outputs that a JSON text holds.

    Raises:
        TrainError: naming each mistake.

    """
    if not content.strip():
        raise TrainError("outputs: are empty; did `pulumi stack output --json` fail?")
    try:
        exported: Any = json.loads(content)
        # half a surrogate pair is JSON to Python, and could not be printed
        json.dumps(exported, ensure_ascii=False).encode()
    except ValueError as error:
        raise TrainError(f"outputs: are not JSON: {error}") from None
    except RecursionError:
        raise TrainError("outputs: are not JSON: too many brackets in each other") from None
    if not isinstance(exported, dict):
        raise TrainError("outputs: must be an object, as `pulumi stack output --json` prints it")
    if not exported:
        raise TrainError("outputs: are an empty object; has this stack been deployed?")
    given = cast("dict[str, Any]", exported)
    known = {key: value for key, value in given.items() if key in FORMS}
    # each looks at what the one before has passed
    for look in (_forms, _parts, _names, _places):
        if mistakes := [f"outputs.{line}" for line in look(known)]:
            raise TrainError("\n".join(mistakes))
    return Outputs(**known, unknown=[key for key in given if key not in FORMS])


def _mistake(path: str, rule: str, value: object) -> str:
    return f"{path}: {rule}, got {repr(value) if isinstance(value, str) else json.dumps(value)}"


def _forms(known: Mapping[str, Any]) -> Iterator[str]:
    """What is missing, and what is not of its output's form."""
    yield from (f"{key}: is required, got nothing" for key in REQUIRED if key not in known)
    for path, form, value in _values(known):
        if get_origin(form) is Sequence:
            yield _mistake(path, "must be a list with at least 1 item", value)
        elif get_origin(form) is Mapping:
            yield _mistake(path, "must be an object", value)
        elif not isinstance(value, str):
            yield _mistake(path, "must be a valid string", value)
        elif not re.fullmatch(pattern := get_args(form)[1], value):
            yield _mistake(path, f"must match pattern '{pattern}'", value)


def _parts(known: Mapping[str, Any]) -> Iterator[str]:
    """What lacks of a part that is exported."""
    for group in TOGETHER:
        given = [key for key in group if key in known]
        yield from (
            _mistake(key, f"is exported together with {given[0]}", None) for key in group if given and key not in given
        )


def _names(known: Mapping[str, Any]) -> Iterator[str]:
    """Mappings that are not by the names that they should be by."""
    for first, *others in SAME_NAMES:
        names = sorted(known.get(first, {}))
        for key in others:
            if (got := sorted(known.get(key, {}))) != names:
                yield _mistake(key, f"must have the names of {first}, {names}", got)


def _places(known: Mapping[str, Any]) -> Iterator[str]:
    """What is in another region or account than the rest."""
    place = known["alerts_topic_arn"].split(":")[3:5]
    for path, _, value in _values(known):
        # what is of IAM is in no region
        if value.startswith("arn:") and value.split(":")[2] != "iam" and value.split(":")[3:5] != place:
            yield _mistake(path, f"must be in {place[0]} and account {place[1]}, like alerts_topic_arn", value)


def _values(known: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Path, form and value of each text in the outputs, and of each part that has not even the shape of its form."""
    for key, form in FORMS.items():
        if key in known:
            yield from _below(key, form, known[key])


def _below(path: str, form: Any, value: Any) -> Iterator[tuple[str, Any, Any]]:
    if get_origin(form) is Sequence and isinstance(value, list) and value:
        for index, one in enumerate(cast("list[Any]", value)):
            yield from _below(f"{path}.{index}", get_args(form)[0], one)
    elif get_origin(form) is Mapping and isinstance(value, dict):
        for key, one in cast("dict[str, Any]", value).items():
            yield from _below(f"{path}.{key}", get_args(form)[1], one)
    else:
        yield path, form, value
