"""`train job submit`: check a job by its queue and job definition, and submit it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from client import show, stack
from client.errors import TrainError
from client.jobs import following
from client.stack import Stack

SUBMITTER_TAG = "SubmittedBy"
"""Tag of a job that names who may stop it."""
MOST_NODES = 1000
"""Batch user guide, "Multi-node parallel jobs"."""
LARGEST_PAYLOAD_BYTES = 30 * 1024
"""What `SubmitJob` takes (Batch user guide, "AWS Batch service quotas")."""


@dataclass(frozen=True)
class Wanted:
    """A job as it is asked for."""

    queue: str
    command: Sequence[str]
    """What each node runs; empty for what the job definition says."""
    nodes: int | None
    share: str | None
    environment: Sequence[str]
    """Each as `NAME=VALUE`."""
    name: str | None


def run(name: str | None, path: Path | None, wanted: Wanted, *, wait: bool, as_json: bool) -> int:
    """Submit a job and say its id; with `wait`, follow it to its end and return its exit status.

    Raises:
        TrainError: naming every mistake before anything is submitted.

    """
    with stack.opened(name, path) as opened:
        stack.chosen("job queue", wanted.queue, opened.outputs.batch_job_queue_arns)
        request = _request(opened, wanted)
        job_id = opened.client("batch").submit_job(**request)["jobId"]
        show.one({"job": job_id, "queue": wanted.queue, "name": request["jobName"]}, job_id, as_json=as_json)
        return following.follow(opened, job_id, as_json=as_json) if wait else 0


def _request(opened: Stack, wanted: Wanted) -> dict[str, Any]:
    """What submits it."""
    batch, arn = opened.client("batch"), opened.outputs.batch_job_queue_arns[wanted.queue]
    definition_arn = opened.outputs.batch_job_definition_arns[wanted.queue]
    queues: list[dict[str, Any]] = batch.describe_job_queues(jobQueues=[arn])["jobQueues"]
    definitions: list[dict[str, Any]] = batch.describe_job_definitions(jobDefinitions=[definition_arn])[
        "jobDefinitions"
    ]
    if not queues or not definitions:
        raise TrainError(f"'{wanted.queue}' or its job definition is gone; `train smoke` says what else is")
    (queue,), (definition,) = queues, definitions
    mistakes = [
        *_name_mistakes(wanted.name),
        *_command_mistakes(wanted.command),
        *_environment_mistakes(wanted.environment),
        *_share_mistakes(wanted, _shares(batch, queue)),
        *_node_mistakes(wanted, definition, _most_vcpus(batch, queue)),
    ]
    if mistakes:
        raise TrainError("\n".join(mistakes))
    request: dict[str, Any] = {
        "jobName": wanted.name or f"{wanted.queue}-{datetime.now(UTC):%Y%m%d-%H%M%S}",
        "jobQueue": arn,
        "jobDefinition": definition_arn,
        **_overrides(wanted, definition),
    }
    if opened.outputs.train_submitted_by:
        request["tags"] = {SUBMITTER_TAG: opened.outputs.train_submitted_by}
    if wanted.share is not None:
        request["shareIdentifier"] = wanted.share
    if (size := len(json.dumps(request).encode())) > LARGEST_PAYLOAD_BYTES:
        raise TrainError(
            f"a job: must be at most {LARGEST_PAYLOAD_BYTES} bytes as JSON, got {size}; put what is large into the"
            " artifacts bucket, and name it in the command"
        )
    return request


def _overrides(wanted: Wanted, definition: Mapping[str, Any]) -> dict[str, Any]:
    """What the job has otherwise than its definition."""
    container: dict[str, Any] = {"command": [*wanted.command]} if wanted.command else {}
    if wanted.environment:
        pairs = (one.partition("=") for one in wanted.environment)
        container["environment"] = [{"name": key, "value": value} for key, _, value in pairs]
    if definition["type"] != "multinode":
        return {"containerOverrides": container} if container else {}
    nodes: dict[str, Any] = {} if wanted.nodes is None else {"numNodes": wanted.nodes}
    if container:
        nodes["nodePropertyOverrides"] = [{"targetNodes": "0:", "containerOverrides": container}]
    return {"nodeOverrides": nodes} if nodes else {}


def _name_mistakes(name: str | None) -> Iterator[str]:
    if name is not None and not re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]{0,127}", name, re.ASCII):
        rule = "must be 1 to 128 letters, digits, hyphens and underscores, a letter or digit first"
        yield f"--name: {rule}, got '{name}'"


def _command_mistakes(command: Sequence[str]) -> Iterator[str]:
    yield from (
        f"command[{position}]: must not be empty, which Batch refuses"
        for position, word in enumerate(command)
        if not word
    )


def _environment_mistakes(given: Sequence[str]) -> Iterator[str]:
    before = set[str]()
    for one in given:
        key, equals, _ = one.partition("=")
        if not equals or not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", key, re.ASCII):
            yield f"--env: must be NAME=VALUE, with a name of letters, digits and underscores, got '{one}'"
        elif key.startswith("AWS_BATCH"):
            yield f"--env: must not begin with AWS_BATCH, which Batch keeps for itself, got '{key}'"
        elif key in before:
            yield f"--env: must name each variable once, got '{key}' twice"
        before.add(key)


def _shares(batch: Any, queue: Mapping[str, Any]) -> list[str] | None:
    """The shares of a queue; None of one without fair share."""
    if not (arn := queue.get("schedulingPolicyArn")):
        return None
    policies = batch.describe_scheduling_policies(arns=[arn])["schedulingPolicies"]
    return sorted(
        share["shareIdentifier"]
        for policy in policies
        for share in policy.get("fairsharePolicy", {}).get("shareDistribution", [])
    )


def _share_mistakes(wanted: Wanted, shares: Sequence[str] | None) -> Iterator[str]:
    if shares is None:
        if wanted.share is not None:
            yield f"--share: must be left out, since '{wanted.queue}' has no fair share, got '{wanted.share}'"
        return
    # AWS takes any, and gives a name that nobody wrote down a share of its own
    there = any(
        wanted.share.startswith(one[:-1]) if one.endswith("*") else wanted.share == one
        for one in shares
        if wanted.share
    )
    if wanted.share is None or not there or not re.fullmatch("[0-9A-Za-z]{1,255}", wanted.share, re.ASCII):
        told = ", ".join(f"{one[:-1]} and letters or digits" if one.endswith("*") else one for one in shares)
        got = "nothing" if wanted.share is None else f"'{wanted.share}'"
        yield f"--share: must be one of the shares of '{wanted.queue}' ({told}), got {got}"


def _most_vcpus(batch: Any, queue: Mapping[str, Any]) -> int:
    """The most vCPUs that one of a queue's compute environments has; a job runs in one of them."""
    arns = [one["computeEnvironment"] for one in queue["computeEnvironmentOrder"]]
    found = batch.describe_compute_environments(computeEnvironments=arns)["computeEnvironments"]
    return max((one["computeResources"]["maxvCpus"] for one in found), default=0)


def _node_mistakes(wanted: Wanted, definition: Mapping[str, Any], most_vcpus: int) -> Iterator[str]:
    """Rules of the number of nodes (Batch API, `NodeOverrides`)."""
    if wanted.nodes is None:
        return
    if definition["type"] != "multinode":
        if wanted.nodes != 1:
            yield (
                f"--nodes: must be left out, since '{wanted.queue}' is for jobs on one node"
                f" (batch.{wanted.queue}.nodes), got {wanted.nodes}"
            )
        return
    properties = definition["nodeProperties"]
    ranges: Sequence[Mapping[str, Any]] = properties["nodeRangeProperties"]
    open_ended = [one for one in ranges if one["targetNodes"].endswith(":")]
    if not open_ended and wanted.nodes != properties["numNodes"]:
        yield f"--nodes: must be {properties['numNodes']}, which the job definition fixes, got {wanted.nodes}"
        return
    least = max(properties["mainNode"], *(int(one["targetNodes"][:-1] or 0) for one in open_ended), 0) + 1
    if not least <= wanted.nodes <= MOST_NODES:
        yield f"--nodes: must be from {least} to {MOST_NODES}, got {wanted.nodes}"
        return
    vcpus = max(_vcpus(one["container"]) for one in ranges)
    if vcpus and wanted.nodes * vcpus > most_vcpus:
        yield (
            f"--nodes: must be at most {most_vcpus // vcpus}, since a node takes {vcpus} vCPUs and"
            f" batch.{wanted.queue}.maxVcpus is {most_vcpus}, got {wanted.nodes}"
        )


def _vcpus(container: Mapping[str, Any]) -> int:
    required: Mapping[str, str] = {one["type"]: one["value"] for one in container.get("resourceRequirements", [])}
    return int(required.get("VCPU", container.get("vcpus", 0)))
