"""The example job for Batch: who it thinks it is, what it saves, and that it goes on where it was stopped."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, cast

import pytest

from local.aws import Aws
from tests.conftest import ROOT
from tools.example import LOCK, Job, Metadata, installed, is_tried_again

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


rendezvous, checkpoints, ending, host, gpus = map(load, ("rendezvous", "checkpoints", "ending", "host", "gpus"))
launch = load("launch")

Launch = Callable[..., "subprocess.Popen[str]"]


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
    assert "--master-port=29501" in rendezvous.Rendezvous.of({"MASTER_PORT": "29501"}).torchrun("auto", "train.py")


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


def test_make_example_trains_with_the_torch_of_the_image() -> None:
    (base,) = re.findall(r"^ARG BASE=\S+/pytorch:([\d.]+)-", (EXAMPLE / "Dockerfile").read_text(), re.MULTILINE)
    assert f"\ntorch=={base}." in LOCK.read_text()


@pytest.mark.parametrize(
    ("status", "code", "why", "expected"),
    [
        (0, 0, None, 0),
        # torchrun ends with 1 whatever its processes return
        (1, ending.STOPPED, None, 75),
        (1, ending.FAULTY_GPU, None, 80),
        (1, 3, None, 3),
        # a process that failed says nothing, or fails after another one has said that all is done
        (1, None, None, 1),
        (1, 0, None, 1),
        (-9, None, None, 137),
        (1, ending.STOPPED, "SIGTERM", 75),
        # told while it starts, so that there is no checkpoint yet, and told when all is done
        (-15, None, "SIGTERM", 75),
        (1, 0, "SIGTERM", 0),
    ],
)
def test_an_attempt_ends_with_what_its_processes_said(
    status: int, code: int | None, why: str | None, expected: int
) -> None:
    assert launch.result(status, code, why) == expected


def test_batch_tries_again_what_was_stopped_or_had_a_faulty_gpu_and_nothing_else_that_ended_by_itself() -> None:
    assert {code for code in range(256) if is_tried_again(code)} == {ending.STOPPED, ending.FAULTY_GPU}


TORCHRUN = """
import os, signal, sys, threading

told = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: told.set())
print("torchrun", *sys.argv[1:], "faulty" if "FAULTY_GPU" in os.environ else "fit", flush=True)
print("for its processes:", os.environ["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"], flush=True)
while os.environ.get("RUNS") and not told.wait(0.01):
    pass
if told.is_set():
    open(os.environ["EXIT_CODE_FILE"], "w").write("75")
    sys.exit(1)
"""
"""What stands for torchrun: with `RUNS` it goes on until it is told to stop, and then ends as the real one does."""

NVIDIA_SMI = """
case "$1" in
--query-gpu=*) printf "%s" "$GPUS"; exit "${SMI_STATUS:-0}" ;;
*pending) printf "%s" "$PENDING" ;;
*failure) printf "%s" "$FAILURE" ;;
esac
"""
FIT = "GPU-a, 0\nGPU-b, [N/A]\n"
"""What nvidia-smi says of two GPUs, one of them without ECC."""


def program(path: Path, script: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(0o755)


@pytest.fixture
def launched(tmp_path: Path) -> Launch:
    """Start launch.py with what stands for torchrun; where there is no metadata service and no GPU, unless told so."""
    package = tmp_path / "torch" / "distributed"
    package.mkdir(parents=True)
    for name in ("__init__.py", "distributed/__init__.py"):
        (package.parent / name).touch()
    (package / "run.py").write_text(TORCHRUN)

    def start(**environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, EXAMPLE / "launch.py", "--steps=5"],
            env={
                **os.environ,
                "PYTHONPATH": str(tmp_path),
                "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9",
                **environment,
            },
            stdout=subprocess.PIPE,
            text=True,
        )

    return start


def test_a_node_runs_train_to_its_end_and_without_a_metadata_service(launched: Launch) -> None:
    node = launched()
    said, _ = node.communicate()
    assert node.returncode == 0
    assert re.search(r"^torchrun --nnodes=1 .* \S+/train.py --steps=5 fit$", said, re.MULTILINE)
    # the two minutes that a notice leaves
    assert "for its processes: 110" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_handed_on_to_torchrun_and_the_attempt_is_one_that_is_tried_again(
    number: signal.Signals, launched: Launch
) -> None:
    with launched(RUNS="yes") as node:
        for line in cast("IO[str]", node.stdout):
            if line.startswith("for its processes"):
                node.send_signal(number)
            if line.startswith("launch: told"):
                assert line == f"launch: told to stop: {number.name}\n"
    assert node.returncode == ending.STOPPED


def test_a_notice_of_ec2_is_one_to_stop(launched: Launch) -> None:
    with Metadata() as metadata:
        metadata.announce_end()
        # whatever proxy there is, the metadata service is not behind it
        node = launched(
            RUNS="yes",
            AWS_EC2_METADATA_SERVICE_ENDPOINT=metadata.endpoint,
            http_proxy="http://127.0.0.1:9",
            NO_PROXY="",
        )
        said, _ = node.communicate()
    assert "told to stop: EC2 announced for this instance: terminate at 2026-12-01T12:02:00Z" in said
    assert node.returncode == ending.STOPPED


def test_a_notice_is_looked_for_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "LOOK_SECONDS", 0)
    with Metadata() as metadata:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.endpoint)
        told = launch.Told()
        watch = threading.Thread(target=told._by_notice)
        watch.start()
        assert host.notice(os.environ) is None
        assert told.why is None
        metadata.announce_end()
        watch.join()
    assert told.why == "EC2 announced for this instance: terminate at 2026-12-01T12:02:00Z"


def test_torchrun_that_does_not_hear_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "KILL_SECONDS", 0)
    told = launch.Told()
    told.why = "SIGTERM"
    deaf = [sys.executable, "-c", "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [15]); signal.pause()"]
    assert launch.run(deaf, {**os.environ, launch.SHUTDOWN: "0"}, told) in (-signal.SIGKILL, -signal.SIGTERM)


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ({"GPUS": FIT, "NVIDIA_VISIBLE_DEVICES": "GPU-a,GPU-b"}, []),
        ({"GPUS": FIT, "NVIDIA_VISIBLE_DEVICES": "all", "PENDING": "GPU-a, No\nGPU-b, [N/A]\n"}, []),
        ({"GPUS": FIT, "NVIDIA_VISIBLE_DEVICES": "GPU-a,GPU-c"}, ["GPU-c: the driver does not have it"]),
        ({"GPUS": "GPU-a, 2\nGPU-b, 0\n"}, ["GPU-a: ECC errors not corrected: 2"]),
        ({"GPUS": FIT, "PENDING": "GPU-b, Yes\n"}, ["GPU-b: remapping of rows: pending"]),
        ({"GPUS": FIT, "FAILURE": "GPU-a, 1\nGPU-b, 0\n"}, ["GPU-a: remapping of rows: failure"]),
        # a driver that answers with something else, or not at all
        ({"GPUS": "No devices were found\n"}, ["nvidia-smi: "]),
        ({"GPUS": "", "SMI_STATUS": "15"}, ["nvidia-smi: "]),
        (
            {
                "GPUS": FIT,
                "LOG": "4,1,2,-;NVRM: Xid (PCI:0000:10:1c): 79, pid=1\n4,2,3,-;NVRM: Xid (PCI:0000:10:1c): 31\n",
            },
            ["PCI:0000:10:1c: XID 79 in the kernel's log"],
        ),
        (
            {"GPUS": FIT, "DIAG": 'a word\n{"DCGM Diagnostic": [{"name": "memory", "results": [{"status": "Fail"}]}]}'},
            ["DCGM: memory: failed"],
        ),
        ({"GPUS": FIT, "DIAG": '{"name": "memory", "results": [{"status": "Pass"}, {"status": "Skip"}]}'}, []),
    ],
)
def test_a_faulty_gpu_is_found(
    machine: dict[str, str], expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin" / "nvidia-smi", NVIDIA_SMI)
    if "DIAG" in machine:
        program(tmp_path / "bin" / "dcgmi", 'printf "%s" "$DIAG"')
    (tmp_path / "log").write_text(machine.get("LOG", ""))
    monkeypatch.setattr(gpus, "KERNEL_LOG", tmp_path / "log")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    for name, value in machine.items():
        monkeypatch.setenv(name, value)
    found = list(gpus.faults(machine, [].append))
    assert len(found) == len(expected)
    assert all(one.startswith(begin) for one, begin in zip(found, expected, strict=True))


def test_what_cannot_be_looked_at_is_said_and_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert list(gpus.faults({}, said.append)) == []
    assert said == ["GPUs are not checked: there is no nvidia-smi"]
    said.clear()
    program(tmp_path / "bin" / "nvidia-smi", NVIDIA_SMI)
    program(tmp_path / "bin" / "dcgmi", "echo Error: unable to establish a connection to the specified host")
    monkeypatch.setattr(gpus, "KERNEL_LOG", tmp_path / "log")
    monkeypatch.setenv("GPUS", FIT)
    assert list(gpus.faults({}, said.append)) == []
    assert said == [
        f"errors of the driver (XID) are not looked for: {tmp_path}/log: No such file or directory",
        "DCGM's diagnostics did not run: substring not found",
    ]


def test_a_main_node_with_a_faulty_gpu_starts_nothing(launched: Launch, tmp_path: Path) -> None:
    program(tmp_path / "bin" / "nvidia-smi", NVIDIA_SMI)
    with Metadata() as metadata:
        metadata.values["instance-id"] = "i-0123456789abcdef0"
        endpoint = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.endpoint}
        node = launched(**batch_variables(0), **endpoint, GPUS="GPU-a, 1\n")
        said, _ = node.communicate()
    assert node.returncode == ending.FAULTY_GPU
    assert "launch: on instance i-0123456789abcdef0\n" in said
    assert "launch: GPU-a: ECC errors not corrected: 1\n" in said
    assert "torchrun" not in said


def test_another_node_with_one_lets_its_processes_tell_the_main_node(launched: Launch, tmp_path: Path) -> None:
    program(tmp_path / "bin" / "nvidia-smi", NVIDIA_SMI)
    node = launched(**batch_variables(1), GPUS="GPU-a, 1\n")
    said, _ = node.communicate()
    assert re.search(r"^torchrun .* faulty$", said, re.MULTILINE)


def test_an_instance_with_a_faulty_gpu_is_terminated_where_the_job_may(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    ec2 = aws.client("ec2")
    (instance,) = ec2.run_instances(ImageId="ami-0123456789abcdef0", MinCount=1, MaxCount=1)["Instances"]
    told = launch.Told()

    def sleep(_: float) -> None:
        # it stays until the instance ends, so that no other attempt is placed on it
        (found,) = ec2.describe_instances(InstanceIds=[instance["InstanceId"]])["Reservations"][0]["Instances"]
        told.why = found["State"]["Name"]

    monkeypatch.setattr(time, "sleep", sleep)
    with Metadata() as metadata:
        metadata.values |= {"instance-id": instance["InstanceId"], "placement/region": aws.region}
        environment = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.endpoint, "TERMINATE_FAULTY_INSTANCE": "true"}
        assert launch.leave(environment, told) == ending.FAULTY_GPU
    assert told.why == "terminated"
    assert capsys.readouterr().out == f"launch: {instance['InstanceId']} is being terminated\n"

    # nobody says any more which instance it is: the attempt ends at once
    monkeypatch.delattr(time, "sleep")
    assert launch.leave(environment, launch.Told()) == ending.FAULTY_GPU
    assert capsys.readouterr().out.startswith("launch: the instance is not terminated: ")


def started(aws: Aws, bucket: str, job_id: str, *arguments: str, **of_the_second: str) -> Job:
    """A job on real torchrun; its second node has some variables more."""
    environment = {
        **aws.environment,
        "ARTIFACTS_BUCKET": bucket,
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9",
    }
    return Job(installed(), job_id, *arguments, environments=iter((environment, environment | of_the_second)))


@pytest.mark.example
def test_a_signal_to_one_node_stops_all_after_one_step_with_a_checkpoint(aws: Aws, bucket: str) -> None:
    with started(aws, bucket, "stopped", "--steps=1000000", "--checkpoint-every=20") as job:
        for _, line in job.lines():
            if "step 20 " in line:
                job.tell(1)
        assert job.end() == [ending.STOPPED, ending.STOPPED], job.output
    assert checkpoints.Checkpoints(aws.client("s3"), bucket, "stopped").newest() == max(job.saved)


@pytest.mark.example
def test_a_faulty_gpu_on_one_node_ends_the_main_node_before_it_trains(aws: Aws, bucket: str, tmp_path: Path) -> None:
    program(tmp_path / "bin" / "nvidia-smi", NVIDIA_SMI)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    with started(aws, bucket, "faulty", "--steps=5", PATH=path, GPUS="GPU-a, 1\n") as job:
        # the end of the main node is that of the job
        assert job.end()[0] == ending.FAULTY_GPU, job.output
    assert job.saved == {}


def test_one_setting_says_whether_checkpoints_go_to_the_bucket_or_into_a_folder(tmp_path: Path) -> None:
    in_bucket = checkpoints.checkpoints_of("s3", "run-1", s3=None, bucket="artifacts")
    in_folder = checkpoints.checkpoints_of(str(tmp_path), "run-1", s3=None, bucket="artifacts")
    assert (type(in_bucket).__name__, type(in_folder).__name__) == ("Checkpoints", "CheckpointFolder")


def test_the_newest_checkpoint_of_a_run_is_found_in_a_folder_as_it_is_in_the_bucket(tmp_path: Path) -> None:
    run = checkpoints.CheckpointFolder(tmp_path / "lustre", "run-1")
    assert run.newest() is None
    (tmp_path / "saved").write_text("5")
    run.save(tmp_path / "saved", 5)
    (tmp_path / "saved").write_text("10")
    run.save(tmp_path / "saved", 10)
    checkpoints.CheckpointFolder(tmp_path / "lustre", "run-10").save(tmp_path / "saved", 5000)
    # what broke off in the middle
    folder = tmp_path / "lustre" / "checkpoints" / "run-1"
    (folder / "000000000011.part").write_text("1")
    assert run.newest() == 10
    run.load(10, tmp_path / "loaded")
    assert (tmp_path / "loaded").read_text() == "10"
    # the name that the file has in the bucket, too
    assert sorted(one.name for one in folder.glob("*.pt")) == ["000000000005.pt", "000000000010.pt"]
