"""The trial of each Batch job queue for jobs on several nodes: a job of its own job definition with another command."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from client.account import Account
from client.errors import TrainError
from client.jobs.job import log_group, log_pages, log_streams, nodes_of
from client.outputs import Outputs
from client.smoke import jobs
from client.smoke.check import Finding, Patience, not_checked
from client.smoke.fabric import nccl
from client.smoke.fabric.nccl import NODES, Nodes
from client.smoke.fabric.trial import Trial

EFA_DEVICES = "/dev/infiniband/"
START = f"""\
command -v torchrun > /dev/null || {{ echo "{nccl.NO_TORCHRUN}"; exit 127; }}
printf %s "$0" > /tmp/all_reduce.py
exec torchrun --nnodes="$AWS_BATCH_JOB_NUM_NODES" --node-rank="$AWS_BATCH_JOB_NODE_INDEX" --nproc-per-node=gpu \
--master-addr="${{AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS:-127.0.0.1}}" --master-port=29500 \
--rdzv-conf=timeout="$1" /tmp/all_reduce.py
"""
"""What each node runs, with the program and the seconds in which all nodes must have started.

The main node, which is node 0, alone is not told its own address (Batch user guide, "Environment variables").
"""
SHORTEST_TIMEOUT_SECONDS = 60
"""Batch API, `JobTimeout`."""
LOG_TRIES, LOG_POLL_SECONDS = 6, 5
"""What a container wrote last arrives some seconds after its end."""


def trials(outputs: Outputs, account: Account) -> Iterator[Trial]:
    """A trial for each job queue whose jobs have several nodes.

    Raises:
        TrainError: when a job definition is gone.

    """
    batch, logs, local = account.client("batch"), account.client("logs"), account.is_local("batch")
    for name, arn in sorted(outputs.batch_job_definition_arns.items()):
        definitions = batch.describe_job_definitions(jobDefinitions=[arn])["jobDefinitions"]
        if not definitions:
            raise TrainError(f"the job definition of '{name}' is gone; `train smoke` says what else is")
        if definitions[0]["type"] != "multinode":
            continue
        container: Mapping[str, Any] = definitions[0]["nodeProperties"]["nodeRangeProperties"][0]["container"]
        devices = container.get("linuxParameters", {}).get("devices", [])
        efa_interfaces = sum(one["hostPath"].startswith(EFA_DEVICES) for one in devices)
        nodes = Nodes(container["instanceType"], efa_interfaces)
        yield Trial(f"batch {name}", nodes, "", partial(_find, batch, logs, outputs, name, nodes, local))


def _find(
    batch: Any, logs: Any, outputs: Outputs, name: str, nodes: Nodes, local: bool, patience: Patience
) -> Iterator[Finding]:
    seconds = max(int(patience.seconds), SHORTEST_TIMEOUT_SECONDS)
    program = Path(__file__).with_name("all_reduce.py").read_text(encoding="utf-8")
    command = ["sh", "-c", START, program, str(seconds)]
    request = jobs.request_of(batch, outputs, name, command, seconds, nodes=NODES)
    # a second attempt would cost as much again
    job = jobs.run(batch, {**request, "retryStrategy": {"attempts": 1}}, f"batch {name}", patience)
    if local:
        yield not_checked("the local AWS took the job, and runs no container")
        return
    succeeded = job["status"] == "SUCCEEDED"
    if not succeeded:
        yield jobs.no_success(job, patience)
    written = _logs(batch, logs, job, patience)
    # what never started has written nothing, and there is nothing more to say of it
    if succeeded or any(written.values()):
        yield from nccl.findings(written, nodes)


def _logs(batch: Any, logs: Any, job: Mapping[str, Any], patience: Patience) -> dict[int, str]:
    """Node -> what it wrote, as soon as the result is there, or a while later."""
    written = dict[int, str]()
    for attempt in range(LOG_TRIES):
        if attempt and patience.ended.wait(LOG_POLL_SECONDS):
            break
        for number, node in nodes_of(batch, job).items():
            group = log_group(job, node)
            written[number] = "\n".join(
                event["message"]
                for stream in log_streams(node)
                for page in log_pages(logs, group, stream)
                for event in page["events"]
            )
        if nccl.result(written) is not None:
            break
    return written
