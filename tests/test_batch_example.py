"""The example job for Batch: who it thinks it is, what it saves, and that it goes on where it was stopped."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

import pytest

from local.aws import Aws
from tests.conftest import ROOT

EXAMPLE = ROOT / "examples" / "batch"


def load(name: str) -> Any:
    """A module of the example, which is no package: its image holds the files side by side."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # a dataclass looks its module up
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


rendezvous, checkpoints = load("rendezvous"), load("checkpoints")


def batch_variables(node: int, *, nodes: int = 3, main: int = 0) -> dict[str, str]:
    """What Batch sets on a node: all but the main one are told the main one's address."""
    variables = {
        "AWS_BATCH_JOB_ID": f"0b5e2d4c#{node}",
        "AWS_BATCH_JOB_NUM_NODES": str(nodes),
        "AWS_BATCH_JOB_NODE_INDEX": str(node),
        "AWS_BATCH_JOB_MAIN_NODE_INDEX": str(main),
    }
    return variables if node == main else variables | {"AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS": "10.0.0.7"}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"AWS_BATCH_JOB_ID": "0b5e2d4c"}, {"nodes": 1, "node": 0, "address": "127.0.0.1"}),
        (batch_variables(0), {"nodes": 3, "node": 0, "address": "127.0.0.1"}),
        (batch_variables(2), {"nodes": 3, "node": 2, "address": "10.0.0.7"}),
        # rank 0 goes to the main node, wherever that is
        (batch_variables(1, main=1), {"nodes": 3, "node": 0, "address": "127.0.0.1"}),
        (batch_variables(2, main=1), {"nodes": 3, "node": 1, "address": "10.0.0.7"}),
        (batch_variables(0, main=1), {"nodes": 3, "node": 2, "address": "10.0.0.7"}),
    ],
)
def test_a_node_knows_its_place_from_batchs_variables(variables: Mapping[str, str], expected: dict[str, Any]) -> None:
    assert rendezvous.Rendezvous.of(variables) == rendezvous.Rendezvous(**expected)


def test_a_node_without_the_main_nodes_address_fails_at_once() -> None:
    variables = batch_variables(2)
    del variables["AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"]
    with pytest.raises(KeyError, match="AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"):
        rendezvous.Rendezvous.of(variables)


def test_torchrun_is_told_what_batch_said() -> None:
    command = rendezvous.Rendezvous.of(batch_variables(2)).torchrun("auto", "train.py", "--steps", "5")
    assert command == [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nnodes=3",
        "--node-rank=2",
        "--master-addr=10.0.0.7",
        "--master-port=29500",
        "--nproc-per-node=auto",
        "--rdzv-conf=timeout=1800",
        "train.py",
        "--steps",
        "5",
    ]


def test_all_nodes_and_attempts_of_a_job_share_one_run() -> None:
    assert {rendezvous.run_name(batch_variables(node)) for node in range(3)} == {"0b5e2d4c"}
    assert rendezvous.run_name({"AWS_BATCH_JOB_ID": "0b5e2d4c"}) == "0b5e2d4c"


@pytest.fixture
def bucket(aws: Aws) -> str:
    name = f"example-{uuid.uuid4()}"
    aws.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": aws.region})
    return name


def test_the_newest_checkpoint_is_the_one_of_the_highest_step(bucket: str, aws: Aws, tmp_path: Path) -> None:
    s3 = aws.client("s3")
    run = checkpoints.Checkpoints(s3, bucket, "run-1")
    assert run.newest() is None
    for step in (9, 100, 20):
        (tmp_path / "saved").write_text(f"of step {step}")
        run.save(tmp_path / "saved", step)
    # another run, and things that are no checkpoint
    checkpoints.Checkpoints(s3, bucket, "run-10").save(tmp_path / "saved", 5000)
    for key in ("checkpoints/run-1/notes.txt", "checkpoints/run-1/000000000999.pt.tmp"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    assert run.newest() == 100
    run.load(100, tmp_path / "loaded")
    assert (tmp_path / "loaded").read_text() == "of step 100"


def test_a_checkpoint_expires_with_the_buckets_checkpoints(bucket: str, aws: Aws, tmp_path: Path) -> None:
    from components.artifacts import CHECKPOINT_PREFIX

    (tmp_path / "saved").write_text("1")
    checkpoints.Checkpoints(aws.client("s3"), bucket, "run-1").save(tmp_path / "saved", 1)
    (found,) = aws.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    assert found["Key"].startswith(CHECKPOINT_PREFIX)


def test_a_checkpoint_that_breaks_off_leaves_the_one_before_it_the_newest(
    bucket: str, aws: Aws, tmp_path: Path
) -> None:
    s3 = aws.client("s3")
    run = checkpoints.Checkpoints(s3, bucket, "run-1")
    large = tmp_path / "saved"
    large.write_bytes(bytes(9 * 2**20))
    run.save(large, 1)

    def reclaimed(**_: Any) -> None:
        raise ConnectionError("the host is gone")

    # all parts are sent, and the host goes before the last word
    s3.meta.events.register("before-call.s3.CompleteMultipartUpload", reclaimed)
    try:
        with pytest.raises(ConnectionError):
            run.save(large, 2)
    finally:
        s3.meta.events.unregister("before-call.s3.CompleteMultipartUpload", reclaimed)
    assert run.newest() == 1


def test_the_image_holds_every_file_of_the_example() -> None:
    (copied,) = re.findall(r"^COPY (.+\.py) \./$", (EXAMPLE / "Dockerfile").read_text(), re.MULTILINE)
    assert set(copied.split()) == {path.name for path in EXAMPLE.glob("*.py")}


NODES = 2
PROCESSES_PER_NODE = 2


class Job:
    """A multi-node job as Batch runs it, each node a process here."""

    def __init__(self, aws: Aws, bucket: str, job_id: str, *arguments: str) -> None:
        self._nodes = [
            subprocess.Popen(
                [sys.executable, str(EXAMPLE / "launch.py"), *arguments],
                env={
                    **os.environ,
                    **aws.environment,
                    **batch_variables(node, nodes=NODES),
                    "AWS_BATCH_JOB_ID": f"{job_id}#{node}",
                    "ARTIFACTS_BUCKET": bucket,
                    "PROCESSES_PER_NODE": str(PROCESSES_PER_NODE),
                    "OMP_NUM_THREADS": "1",
                    # one host stands for both
                    **({"AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS": "127.0.0.1"} if node else {}),
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for node in range(NODES)
        ]
        self.lines: list[str] = []

    def wait_for(self, pattern: str) -> "re.Match[str]":
        """The first line of the main node from here on that fits."""
        for line in cast("IO[str]", self._nodes[0].stdout):
            self.lines.append(line)
            if match := re.search(pattern, line):
                return match
        raise AssertionError("".join(self.lines))

    def reclaim(self, node: int) -> None:
        self._nodes[node].send_signal(signal.SIGTERM)

    def end(self) -> list[int]:
        """Exit statuses of the nodes."""
        try:
            self.lines += self._nodes[0].communicate(timeout=60)[0].splitlines(keepends=True)
            for node in self._nodes[1:]:
                node.communicate(timeout=60)
        finally:
            for node in self._nodes:
                node.kill()
        return [node.returncode for node in self._nodes]

    @property
    def saved(self) -> dict[int, str]:
        """Step -> loss, of what was saved."""
        return {int(match[1]): match[2] for match in re.finditer(r"step (\d+) loss (\S+) saved", "".join(self.lines))}


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_a_reclaimed_job_stops_everywhere_after_one_step_and_goes_on_from_there(aws: Aws, bucket: str) -> None:
    reclaimed = Job(aws, bucket, "job-1", "--steps=1000000", "--checkpoint-every=20")
    assert reclaimed.wait_for(r"(\d+) processes start after step (\d+)").groups() == ("4", "0")
    reclaimed.wait_for(r"step \d+ loss \S+ saved")
    # not the main node: that one has to hear of it from the others
    reclaimed.reclaim(1)
    assert 0 not in reclaimed.end()
    last = max(reclaimed.saved)
    assert checkpoints.Checkpoints(aws.client("s3"), bucket, "job-1").newest() == last

    end = last + 5
    resumed = Job(aws, bucket, "job-1", f"--steps={end}", "--checkpoint-every=1000000")
    assert resumed.wait_for(r"(\d+) processes start after step (\d+)").groups() == ("4", str(last))
    assert resumed.end() == [0, 0]

    undisturbed = Job(aws, bucket, "job-2", f"--steps={end}", "--checkpoint-every=1000000")
    assert undisturbed.end() == [0, 0]
    assert resumed.saved == undisturbed.saved
    assert set(resumed.saved) == {end}
