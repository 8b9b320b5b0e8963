"""The Batch job queues with their compute environments and job definitions."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from client.account import Account
from client.outputs import Outputs
from client.smoke.check import Check, Finding, failed, missing


def checks(outputs: Outputs, account: Account) -> Iterator[Check]:
    """What a job needs to be run."""
    batch, ec2 = account.client("batch"), account.client("ec2")
    for name, queue_arn in outputs.batch_job_queue_arns.items():
        environments = outputs.batch_compute_environment_arns[name]
        for arn in environments:
            yield Check(
                f"batch {name} {arn.rpartition('/')[2]}",
                "is a compute environment that takes jobs",
                partial(_environment, batch, arn),
            )
        yield Check(
            f"batch {name} job queue",
            "takes jobs for these compute environments, in this order",
            partial(_queue, batch, queue_arn, environments),
        )
        yield Check(
            f"batch {name} job definition",
            "is active, and gives jobs the exported roles and log group",
            partial(_definition, batch, outputs, name),
        )
    for name, group_id in outputs.batch_security_group_ids.items():
        yield Check(
            f"batch {name} security group",
            "is in the stack's VPC",
            partial(_security_group, ec2, group_id, outputs.vpc_id),
        )


def _environment(batch: Any, arn: str) -> Iterator[Finding]:
    return _takes_jobs(arn, batch.describe_compute_environments(computeEnvironments=[arn])["computeEnvironments"])


def _queue(batch: Any, arn: str, environments: Sequence[str]) -> Iterator[Finding]:
    found = batch.describe_job_queues(jobQueues=[arn])["jobQueues"]
    yield from _takes_jobs(arn, found)
    for queue in found:
        order = sorted(queue["computeEnvironmentOrder"], key=lambda one: one["order"])
        actual = [one["computeEnvironment"] for one in order]
        if actual != list(environments):
            yield failed(f"its compute environments are {', '.join(actual) or 'none'}")


def _definition(batch: Any, outputs: Outputs, name: str) -> Iterator[Finding]:
    arn = outputs.batch_job_definition_arns[name]
    found = batch.describe_job_definitions(jobDefinitions=[arn])["jobDefinitions"]
    if not found:
        yield missing(arn)
    for definition in found:
        if definition["status"] != "ACTIVE":
            yield failed(f"is {definition['status']}: somebody deregistered it; `pulumi refresh` and `pulumi up`")
        nodes = definition.get("nodeProperties", {}).get("nodeRangeProperties", [])
        container = nodes[0]["container"] if nodes else definition.get("containerProperties", {})
        options = container.get("logConfiguration", {}).get("options", {})
        for what, exported, actual in (
            ("jobs have the role", outputs.batch_job_role_arns, container.get("jobRoleArn")),
            (
                "containers are started with the role",
                outputs.batch_execution_role_arns,
                container.get("executionRoleArn"),
            ),
            ("logs go to", outputs.batch_log_groups, options.get("awslogs-group")),
        ):
            # a stack that was deployed by an earlier version exports none of them
            if name in exported and actual != exported[name]:
                yield failed(f"{what} {actual or 'nothing'}, and {exported[name]} is exported")


def _security_group(ec2: Any, group_id: str, vpc_id: str) -> Iterator[Finding]:
    for group in ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"]:
        if group["VpcId"] != vpc_id:
            yield failed(f"{group_id} is in {group['VpcId']}")


def _takes_jobs(arn: str, found: Sequence[dict[str, Any]]) -> Iterator[Finding]:
    if not found:
        yield missing(arn)
    for one in found:
        if one["status"] != "VALID":
            yield failed(f"is {one['status']}: {one.get('statusReason', 'no reason given')}")
        if one["state"] != "ENABLED":
            yield failed(f"is {one['state']} and takes no jobs; enable it, or `pulumi refresh` and `pulumi up`")
