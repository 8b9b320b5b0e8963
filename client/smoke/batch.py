"""The Batch job queues with their compute environments and job definitions."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from client.account import Account
from client.outputs import Outputs
from client.smoke.check import Check, Finding, failed, missing


def checks(outputs: Outputs, account: Account) -> Iterator[Check]:
    """What a job needs to be run."""
    batch = account.client("batch")
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
            "is active",
            partial(_definition, batch, outputs.batch_job_definition_arns[name]),
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


def _definition(batch: Any, arn: str) -> Iterator[Finding]:
    found = batch.describe_job_definitions(jobDefinitions=[arn])["jobDefinitions"]
    if not found:
        yield missing(arn)
    for definition in found:
        if definition["status"] != "ACTIVE":
            yield failed(f"is {definition['status']}: somebody deregistered it; `pulumi refresh` and `pulumi up`")


def _takes_jobs(arn: str, found: Sequence[dict[str, Any]]) -> Iterator[Finding]:
    if not found:
        yield missing(arn)
    for one in found:
        if one["status"] != "VALID":
            yield failed(f"is {one['status']}: {one.get('statusReason', 'no reason given')}")
        if one["state"] != "ENABLED":
            yield failed(f"is {one['state']} and takes no jobs; enable it, or `pulumi refresh` and `pulumi up`")
