"""What people need to use the stack by `train`: its outputs in Parameter Store, and a policy that allows the use.

It gives the policy to nobody: who uses the stack is decided where people are managed.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import pulumi
from pulumi_aws import iam as aws_iam
from pulumi_aws import ssm

from components import iam
from components.batch import BatchJobQueue, marking, stop_jobs
from components.deployed import PART_TAG, Deployed
from components.fargate_workers import FargateWorkers
from components.json_document import to_json
from components.parts import Parts
from components.task_queue import TaskQueue
from components.teams import TeamSettings

VALUES_PER_PARAMETER = 12
"""ARNs that fit the 4,096 bytes of a parameter, however long they are (SSM user guide, "Parameter tiers")."""
PARTS_PER_POLICY = 5
"""Job queues and fleets that fit a managed policy beside all else, however long their names are.

It has 6,144 characters (IAM user guide, "IAM and AWS STS quotas").
"""
SUFFIX = "-???????"
"""What Pulumi adds to the names that it makes up, as a pattern."""


class Access(pulumi.ComponentResource):
    """The outputs of the stack in Parameter Store, and the policy of the people who use it."""

    outputs: dict[str, Any]
    """The outputs of this component.

    `train_policy_arns` has one policy, unless there are many job queues and fleets; `train_submitted_by` is the value
    of the tag `SubmittedBy` of the jobs that people submit; `team_policy_arns` lets people use the artifacts of their
    team.
    """

    def __init__(
        self,
        name: str,
        *,
        parts: Parts,
        outputs: Mapping[str, Any],
        account: iam.Account,
        deployed: Deployed,
        teams: Mapping[str, TeamSettings],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`outputs`: what else the stack exports."""
        super().__init__("distributed-training:index:Access", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        folder = f"distributed-training/{deployed.stack}/outputs"
        submitter = f"{name}-{deployed.stack}"
        each = [
            *(_job_queue(one, account, queue, submitter) for one, queue in parts.job_queues.items()),
            *(_fleet(one, account, fleet) for one, fleet in parts.workers.items()),
        ]
        everywhere = [
            *_parameters(folder, account),
            *_queues(account, deployed, parts.queues),
            *(_jobs(account, submitter) if parts.job_queues else ()),
            *parts.artifacts.push(),
            iam.allow(["cloudwatch:DescribeAlarms"], [account.arn("cloudwatch", "alarm:*")]),
            # AWS knows no resource for these
            iam.allow(
                [
                    "cloudwatch:GetMetricData",
                    "ec2:DescribeInstances",
                    "ec2:DescribeNatGateways",
                    "ecs:DescribeTaskDefinition",
                ],
                ["*"],
            ),
        ]
        policy_arns = [
            aws_iam.Policy(
                name if first == 0 else f"{name}-{first // PARTS_PER_POLICY + 1}",
                description="What people do by the command train",
                policy=iam.document(
                    iam.merged(
                        [
                            *(everywhere if first == 0 else ()),
                            *(statement for part in each[first : first + PARTS_PER_POLICY] for statement in part),
                        ]
                    )
                ),
                # another description is another policy
                opts=pulumi.ResourceOptions(parent=self, ignore_changes=["description"]),
            ).arn
            for first in range(0, max(len(each), 1), PARTS_PER_POLICY)
        ]
        team_policy_arns = {
            team: aws_iam.Policy(
                f"{name}-team-{team}",
                description="What the people of a team do with its artifacts",
                policy=iam.document(parts.artifacts.read_write(team)),
                opts=pulumi.ResourceOptions(parent=self, ignore_changes=["description"]),
            ).arn
            for team in teams
        }
        self.outputs = {
            "train_policy_arns": policy_arns,
            "train_submitted_by": submitter,
            **({"team_policy_arns": team_policy_arns} if teams else {}),
        }
        for number, piece in enumerate(_pieces({**outputs, **self.outputs}), start=1):
            ssm.Parameter(
                f"{name}-{number}",
                name=f"/{folder}/{number}",
                description="Outputs of the stack, for the command train",
                type="String",
                tier="Standard",
                value=to_json(piece),
                # what a lost state left behind; in one account and region no other stack has this name
                overwrite=True,
                opts=child,
            )
        self.register_outputs({"policyArns": policy_arns})


def _parameters(folder: str, account: iam.Account) -> list[iam.Statement]:
    """Read the outputs of the stack."""
    arn = account.arn("ssm", f"parameter/{folder}")
    return [iam.allow(["ssm:GetParametersByPath"], [arn, f"{arn}/*"])]


def _queues(account: iam.Account, deployed: Deployed, queues: Mapping[str, TaskQueue]) -> Iterator[iam.Statement]:
    """Send to any queue of the stack, read it, and move what failed back.

    They are known by their tag: the names of a hundred queues fit no policy (SQS developer guide, "Attribute-based
    access control for Amazon SQS").
    """
    if queues:
        yield iam.allow(
            [
                "sqs:CancelMessageMoveTask",
                "sqs:ChangeMessageVisibility",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:ListMessageMoveTasks",
                "sqs:ReceiveMessage",
                "sqs:SendMessage",
                "sqs:StartMessageMoveTask",
            ],
            [account.arn("sqs", "*")],
            {"StringLike": {f"aws:ResourceTag/{PART_TAG}": f"{deployed.stack}/queues.*"}},
        )
    if keys := sorted(
        {f"{key.rpartition(':')[0]}:key/*" for one in queues.values() if (key := one.settings.kms_key_arn)}
    ):
        # a hundred keys fit no policy either; by SQS alone, and so for no queue but those above
        through_sqs = {"StringEquals": {"kms:ViaService": f"sqs.{account.region}.{account.domain}"}}
        yield iam.allow(["kms:Decrypt", "kms:GenerateDataKey"], keys, through_sqs)


def _jobs(account: iam.Account, submitter: str) -> Iterator[iam.Statement]:
    """Look at the jobs of the account, and stop what people submitted."""
    yield stop_jobs(account, submitter)
    yield iam.allow(
        [
            "batch:DescribeComputeEnvironments",
            "batch:DescribeJobDefinitions",
            "batch:DescribeJobQueues",
            "batch:DescribeJobs",
            "batch:DescribeSchedulingPolicies",
            "batch:ListJobs",
        ],
        # AWS knows no resource for these
        ["*"],
    )


def _job_queue(name: str, account: iam.Account, queue: BatchJobQueue, submitter: str) -> list[iam.Statement]:
    """Submit the job of a job queue, marked as submitted by people, see what waits in it, and read its logs."""
    definition = pulumi.Output.concat(account.arn("batch", "job-definition/"), queue.job_definition_name, "*")
    mark = marking(submitter)
    return [
        # without the mark nobody but an administrator could stop it
        iam.allow(["batch:SubmitJob"], [queue.arn, definition, account.arn("batch", "job/*")], mark),
        # not of jobs: so that nobody can mark the job of another, and stop it (see BatchJobQueue.submit)
        iam.allow(["batch:TagResource"], [queue.arn, definition], mark),
        iam.allow(["batch:GetJobQueueSnapshot"], [queue.arn]),
        _logs(name, account),
    ]


def _fleet(name: str, account: iam.Account, fleet: FargateWorkers) -> list[iam.Statement]:
    """See how a fleet stands, read its logs, and stop the jobs that its tasks submitted."""
    return [
        iam.allow(["ecs:DescribeServices"], [fleet.service_arn]),
        _logs(name, account),
        stop_jobs(account, fleet.cluster_name),
    ]


def _logs(name: str, account: iam.Account) -> iam.Statement:
    group = account.arn("logs", f"log-group:{name}{SUFFIX}:*")
    return iam.allow(["logs:FilterLogEvents", "logs:GetLogEvents"], [group])


def _pieces(outputs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The outputs as objects that each fit a parameter; a mapping may be in several."""
    piece, room = dict[str, Any](), VALUES_PER_PARAMETER
    for key, name, value, size in _values(outputs):
        if size > room:
            yield piece
            piece, room = {}, VALUES_PER_PARAMETER
        room -= size
        if name is None:
            piece[key] = value
        else:
            piece.setdefault(key, {})[name] = value
    yield piece


def _values(outputs: Mapping[str, Any]) -> Iterator[tuple[str, str | None, Any, int]]:
    """Output, name in it where it is a mapping, value, and as many ARNs as have its length."""
    for key, value in outputs.items():
        if isinstance(value, Mapping):
            for name, one in cast("Mapping[str, Any]", value).items():
                yield key, name, one, _size(one)
        else:
            # it holds the certificate of the cluster
            yield key, None, value, VALUES_PER_PARAMETER if key == "kubeconfig" else _size(value)


def _size(value: Sequence[Any] | pulumi.Output[Any] | str) -> int:
    return len(value) if isinstance(value, list) else 1
