"""`train smoke --fabric`: what it reads in logs, what it starts and costs, and what it leaves behind."""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from client import outputs
from client.account import Account
from client.cluster.submitting import NODE_GROUP
from client.smoke import jobs, kubernetes_api
from client.smoke.check import Finding, Patience
from client.smoke.fabric import all_reduce, batch, cluster, nccl, trial
from client.smoke.fabric.nccl import Nodes
from components.cluster.running import EFA_LABEL
from components.cluster.shape import NODE_GROUP_LABEL
from components.images import TRAINING_IMAGE
from local.aws import Aws
from local.run import Run
from tests.client_support import Recorded, Train, TrainWith
from tests.conftest import REGION, RunStack
from tests.support import one_of

P5, P4D, G6E = Nodes("p5.48xlarge", 32), Nodes("p4d.24xlarge", 4), Nodes("g6e.24xlarge", 2)


# what NCCL and its plugin write: of 2.21 with 1.9 (PyTorch 2.4), of 2.26 with 1.14 (2.7), of 2.30 with 1.21 (2.13)

BEGIN = """\
NCCL INFO Bootstrap: Using eth0:10.0.12.{node}<0>
NCCL INFO cudaDriverVersion 13000
NCCL INFO NCCL version {version}"""
OLD = """\
NCCL INFO NET/Plugin: Failed to find ncclNetPlugin_v8 symbol.
NCCL INFO NET/Plugin: Loaded net plugin AWS Libfabric (v7)
NCCL INFO NET/OFI Initializing aws-ofi-nccl 1.9.2-aws
NCCL INFO NET/OFI Using Libfabric version 1.22
NCCL INFO NET/OFI Plugin selected platform: AWS
NCCL INFO NET/OFI Using transport protocol SENDRECV (platform set)
NCCL INFO NET/OFI Selected Provider is efa (found {nics} nics)
NCCL INFO Using non-device net plugin version 0
NCCL INFO Using network AWS Libfabric"""
MIDDLE = """\
NCCL INFO NET/Plugin: Loaded net plugin Libfabric (v9)
NCCL INFO NET/OFI Initializing aws-ofi-nccl 1.14.1
NCCL INFO NET/OFI Using Libfabric version 1.22
NCCL INFO NET/OFI Plugin selected platform: AWS
NCCL INFO NET/OFI Using transport protocol SENDRECV (platform set)
NCCL INFO NET/OFI Selected provider is efa, fabric is efa (found {nics} nics)
NCCL INFO PROFILER/Plugin: Could not find: libnccl-profiler.so.
NCCL INFO Using network Libfabric"""
NEW = """\
NCCL INFO NET/Plugin: Loaded net plugin Libfabric (v11)
NCCL INFO NET/OFI Initializing aws-ofi-nccl 1.21.1
NCCL INFO NET/OFI Using Libfabric version 2.4
NCCL INFO NET/OFI Plugin selected platform: AWS
NCCL INFO NET/OFI Using transport protocol RDMA (platform set)
NCCL INFO NET/OFI Selected provider is efa, fabric is efa-direct (found {nics} nics)
NCCL INFO NET/OFI Support for DMA-BUF registrations: true
NCCL INFO Initialized NET plugin Libfabric
NCCL INFO Assigned NET plugin Libfabric to comm
NCCL INFO GIN/Plugin: Could not find: libnccl-gin.so
NCCL INFO Using network Libfabric"""
OLD_TCP = """\
NCCL INFO NET/Plugin: Could not find: libnccl-net.so. Using internal network plugin.
NCCL INFO Failed to open libibverbs.so[.1]
NCCL INFO NET/Socket : Using [0]eth0:10.0.12.{node}<0>
NCCL INFO PROFILER/Plugin: Could not find: libnccl-profiler.so.
NCCL INFO Using network Socket"""
NEW_TCP = """\
NCCL INFO NET/Plugin: Loaded net plugin Libfabric (v11)
NCCL INFO NET/OFI Initializing aws-ofi-nccl 1.21.1
NCCL INFO NET/OFI Plugin selected platform: AWS
nccl_net_ofi_rdma_init:7978 NCCL WARN NET/OFI OFI fi_getinfo() call failed: No data available
nccl_net_ofi_create_plugin:353 NCCL WARN NET/OFI aws-ofi-nccl initialization failed
NCCL INFO Failed to initialize NET plugin Libfabric
NCCL INFO NET/IB : No device found.
NCCL INFO Failed to initialize NET plugin IB
NCCL INFO NET/Socket : Using [0]eth0:10.0.12.{node}<0>
NCCL INFO Initialized NET plugin Socket
NCCL INFO Assigned NET plugin Socket to comm
NCCL INFO Using network Socket"""
NEW_REFUSED = """\
NCCL INFO NCCL_NET set by environment to Libfabric.
NCCL INFO NET/Plugin: Could not find: libnccl-net.so
plugin/net.cc:289 NCCL WARN Failed to initialize any NET plugin"""
CHANNELS = """\
NCCL INFO ncclCommInitRankConfig comm 0x556d504b7460 rank {rank} nranks 16 cudaDev {gpu} nvmlDev {gpu} - Init COMPLETE
NCCL INFO Channel 00/0 : {rank}[{gpu}] -> {peer}[{gpu}] [receive] via NET/{network}
NCCL INFO Channel 00/0 : {rank}[{gpu}] -> {peer}[{gpu}] [send] via NET/{network}
NCCL INFO Connected all rings, use ring PXN 1 GDR 1"""


def a_node(node: int, *parts: str, version: str = "2.30.7+cuda13.3", nics: int = 32, network: str = "Socket/0") -> str:
    """The log of a node with 8 GPUs, whose processes write at the same time."""
    written = "\n".join([BEGIN, *parts]).splitlines()
    lines = ["[W1201 13:00:00] torch/distributed/run.py:874] Setting OMP_NUM_THREADS environment variable to be 1"]
    for line in written:
        for gpu in range(8):
            said = line.format(
                node=node, version=version, nics=nics, network=network, gpu=gpu, rank=8 * node + gpu, peer=8 - 8 * node
            )
            lines.append(f"ip-10-0-12-{node}:{40 + gpu}:{80 + gpu} [{gpu}] {said}")
    return "\n".join(lines)


def measured(speed: float, gpus: int = 16) -> str:
    return "\n" + all_reduce.RESULT + json.dumps({"ranks": gpus, "bytes": 2**31, "seconds": 0.01, "busGBps": speed})


def two(*parts: str, speed: float, **more: Any) -> dict[int, str]:
    first, second = (a_node(node, *parts, CHANNELS, **more) for node in (0, 1))
    return {0: first + measured(speed), 1: second}


GOOD = two(NEW, speed=437.4, network="Libfabric/0/GDRDMA")


def found(logs: Mapping[int, str], nodes: Nodes) -> str:
    (finding,) = nccl.findings(logs, nodes)
    return f"{finding.state}: {finding.reason}"


@pytest.mark.parametrize(
    ("logs", "nodes", "said"),
    [
        (
            GOOD,
            P5,
            (
                "437.4 GB/s between 16 GPUs of 2 x p5.48xlarge, 32 EFA interfaces on each, GPUDirect RDMA,"
                " at least 320 GB/s are expected"
            ),
        ),
        (
            two(OLD, speed=78.04, version="2.21.5+cuda12.4", nics=4, network="AWS Libfabric/0/GDRDMA"),
            P4D,
            (
                "78.0 GB/s between 16 GPUs of 2 x p4d.24xlarge, 4 EFA interfaces on each, GPUDirect RDMA,"
                " at least 58 GB/s are expected"
            ),
        ),
        (
            two(MIDDLE, speed=9.51, version="2.26.2+cuda12.6", nics=2, network="Libfabric/0"),
            G6E,
            "9.5 GB/s between 16 GPUs of 2 x g6e.24xlarge, 2 EFA interfaces on each, a floor is not known",
        ),
        (
            two(OLD_TCP, speed=4.9, version="2.26.2+cuda12.6"),
            Nodes("g6.12xlarge", 0),
            "4.9 GB/s between 16 GPUs of 2 x g6.12xlarge, over TCP, since there is no EFA",
        ),
    ],
    ids=["new", "old", "middle", "without EFA"],
)
def test_a_good_run_is_recognised_in_every_version(logs: dict[int, str], nodes: Nodes, said: str) -> None:
    assert found(logs, nodes) == f"passed: {said}"


def test_fewer_gpus_than_were_measured_have_no_floor() -> None:
    logs = {0: a_node(0, NEW, CHANNELS, network="Libfabric/0") + measured(201, gpus=8), 1: GOOD[1]}
    assert found(logs, P5) == (
        "passed: 201.0 GB/s between 8 GPUs of 2 x p5.48xlarge, 32 EFA interfaces on each, a floor is not known"
    )


OLD_FALLBACK = two(OLD_TCP, speed=4.9, version="2.21.5+cuda12.4")


@pytest.mark.parametrize(
    ("logs", "parts"),
    [
        (
            OLD_FALLBACK,
            [
                "node 0 communicates over TCP (NET/Socket : Using [0]eth0:10.0.12.0<0>)",
                "node 0 does not say that it selected EFA",
                "node 1 communicates over TCP (NET/Socket : Using [0]eth0:10.0.12.1<0>)",
                "node 1 does not say that it selected EFA",
                "4.9 GB/s are under the 320 GB/s of p5.48xlarge",
                "NET/Plugin: Could not find: libnccl-net.so. Using internal network plugin.",
            ],
        ),
        (
            {0: GOOD[0], 1: two(NEW_TCP, speed=0)[1]},
            [
                "node 1 communicates over TCP (NET/Socket : Using [0]eth0:10.0.12.1<0>)",
                "node 1 does not say that it selected EFA",
                "NCCL WARN NET/OFI OFI fi_getinfo() call failed: No data available",
                "NCCL WARN NET/OFI aws-ofi-nccl initialization failed",
                "Failed to initialize NET plugin Libfabric",
            ],
        ),
        (
            {node: a_node(node, NEW_REFUSED) for node in (0, 1)},
            [
                "node 0 does not say that it selected EFA",
                "node 1 does not say that it selected EFA",
                "no bandwidth was measured",
                "NET/Plugin: Could not find: libnccl-net.so",
                "NCCL WARN Failed to initialize any NET plugin",
            ],
        ),
        ({0: GOOD[0]}, ["node 1 has no log"]),
        (
            {0: GOOD[0], 1: two(NEW, speed=0, nics=31, network="Libfabric/0/GDRDMA")[1]},
            ["node 1 found 31 of its 32 EFA interfaces"],
        ),
        (
            two(NEW, speed=319.94, network="Libfabric/0/GDRDMA"),
            ["319.9 GB/s are under the 320 GB/s of p5.48xlarge"],
        ),
        (
            {node: a_node(node, NEW, CHANNELS, network="Libfabric/0/GDRDMA") for node in (0, 1)},
            ["no bandwidth was measured"],
        ),
        # a log that ends in the middle of the result
        ({0: GOOD[0][:-3], 1: GOOD[1]}, ["no bandwidth was measured"]),
    ],
    ids=["old TCP", "one node on TCP", "refused", "no log", "an interface less", "slow", "no result", "cut"],
)
def test_what_is_wrong_with_the_network_is_said(logs: dict[int, str], parts: Sequence[str]) -> None:
    assert found(logs, P5) == f"failed: {'; '.join(parts)}"


def test_the_bandwidth_is_counted_as_nccl_tests_does() -> None:
    # NVIDIA/nccl-tests, doc/PERFORMANCE.md: algbw * 2 * (n - 1) / n
    assert all_reduce.bus_gigabytes_per_second(16, 10**9, 0.5) == pytest.approx(3.75)


class Tensor:
    def __init__(self, value: float) -> None:
        self.value = value

    def min(self) -> float:
        return self.value

    def max(self) -> float:
        return self.value

    def zero_(self) -> None:
        self.value = 0


def program(monkeypatch: pytest.MonkeyPatch, factor: int) -> list[Any]:
    """What the job's program asks of PyTorch, on a GPU, where an all-reduce over 16 ranks multiplies by that."""
    asked: list[Any] = []

    def ones(count: int, **_: Any) -> Tensor:
        assert count * 4 == all_reduce.BYTES
        return Tensor(1)

    def all_reduce_of(tensor: Tensor) -> None:
        asked.append(f"all_reduce {tensor.value}")
        tensor.value *= factor

    cuda = SimpleNamespace(
        is_available=lambda: True,
        set_device=asked.append,
        synchronize=lambda: asked.append("synchronize"),
    )
    distributed = SimpleNamespace(
        init_process_group=asked.append,
        get_world_size=lambda: 16,
        get_rank=lambda: 0,
        all_reduce=all_reduce_of,
        barrier=lambda: asked.append("barrier"),
        destroy_process_group=lambda: None,
    )
    torch = SimpleNamespace(cuda=cuda, float32=None, ones=ones)
    monkeypatch.setattr(
        all_reduce.importlib, "import_module", {"torch": torch, "torch.distributed": distributed}.__getitem__
    )
    for name, value in (
        ("LOCAL_RANK", "3"),
        ("NCCL_DEBUG", "WARN"),
        ("NCCL_DEBUG_FILE", "a"),
        ("NCCL_DEBUG_SUBSYS", ""),
    ):
        monkeypatch.setenv(name, value)
    all_reduce.main()
    return asked


def test_the_program_times_all_reduces_between_two_looks_at_the_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = program(monkeypatch, 16)
    assert asked == [
        3,
        "nccl",
        "all_reduce 1",
        *["all_reduce 0"] * 5,
        "synchronize",
        *["all_reduce 0"] * 20,
        "synchronize",
        "barrier",
    ]
    assert cast("Any", nccl.result({0: capsys.readouterr().out})).speed > 0
    assert (os.environ["NCCL_DEBUG"], os.environ["NCCL_DEBUG_SUBSYS"]) == ("INFO", "INIT,NET")
    assert "NCCL_DEBUG_FILE" not in os.environ


def test_a_wrong_sum_is_no_result(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"fabric: the sum of 16 ones is 15\.0 to 15\.0"):
        program(monkeypatch, 15)
    assert capsys.readouterr().out == ""


# Batch


SECTIONS: dict[str, Any] = {
    "batch": {
        "single": {},
        "multi": {"nodes": 4, "instanceTypes": ["p5.48xlarge"], "capacity": ["onDemand"], "efa": True, "vcpus": 180,
                  "memoryMib": 1900000, "gpus": 8, "maxVcpus": 768, "fairShare": {"teamA*": 1.0}},
        "tcp": {"nodes": 2, "instanceTypes": ["g6.12xlarge"], "capacity": ["onDemand"]},
    },
    "eks": {"gpuNodeGroups": {"gpu": {}, "efa": {"instanceTypes": ["p5.48xlarge"], "efa": True, "maxSize": 2}}},
}  # fmt: skip
ID = "6b1c1d0a-2f0b-4c1c-9d4e-0d7c6f1a2b3c"
TCP_CHECK = "nodes communicate over their network"
EFA_CHECK = "nodes communicate over EFA, no slower than their type should"


@pytest.fixture(scope="module")
def there(run_sections: RunStack) -> Run:
    return run_sections(SECTIONS, preview=False)


@pytest.fixture(scope="module")
def exports(there: Run) -> dict[str, Any]:
    return there.exports


@pytest.fixture
def smoke(train_with: TrainWith, exports: dict[str, Any]) -> Train:
    return train_with(exports, "smoke")


def of_fabric(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if "nodes communicate" in line]


def test_it_says_what_it_starts_and_costs_and_tries_what_communicates(smoke: Train, recorded: Recorded) -> None:
    status, out, err = smoke("--fabric", "--yes", "--timeout-seconds", "900")
    assert err == [
        "batch multi: a job on 2 x p5.48xlarge for 15 minutes: at most $27.52",
        "batch tcp: a job on 2 x g6.12xlarge for 15 minutes: at most $2.30",
        (
            "together at most $29.82, by list prices of us-west-2; a node costs more for the minutes from the end of"
            " its job until it is stopped"
        ),
    ]
    assert (status, of_fabric(out)) == (
        0,
        [
            f"not checked batch multi: {EFA_CHECK}: the local AWS took the job, and runs no container",
            f"not checked batch tcp: {TCP_CHECK}: the local AWS took the job, and runs no container",
            f"not checked eks efa: {EFA_CHECK}: the local AWS has no Kubernetes API",
        ],
    )
    assert len(recorded.calls("SubmitJob")) == 2


def test_the_job_is_one_of_the_queue_that_costs_no_more_than_was_said(
    smoke: Train, recorded: Recorded, exports: dict[str, Any]
) -> None:
    smoke("--fabric", "--yes", "--timeout-seconds", "900")
    (request,) = [one for one in recorded.calls("SubmitJob") if "/multi-" in one["jobQueue"]]
    (nodes,) = request["nodeOverrides"].pop("nodePropertyOverrides")
    command = nodes["containerOverrides"].pop("command")
    assert nodes == {"targetNodes": "0:", "containerOverrides": {}}
    assert command[:3] == ["sh", "-c", batch.START]
    assert command[4:] == ["900"]
    compile(command[3], "all_reduce.py", "exec")
    # ECS takes 8,192 characters of overrides, in which Batch puts its own variables too (ECS API, `TaskOverride`)
    assert len(json.dumps(command)) < 4096
    assert re.fullmatch(r"smoke-\w{8}", request.pop("jobName"))
    assert request == {
        "jobQueue": exports["batch_job_queue_arns"]["multi"],
        "jobDefinition": exports["batch_job_definition_arns"]["multi"],
        # of the four that jobs have
        "nodeOverrides": {"numNodes": 2},
        "retryStrategy": {"attempts": 1},
        "shareIdentifier": "teamA",
        # what lets those who only use the stack submit and stop it
        "tags": {"SubmittedBy": exports["train_submitted_by"]},
        "timeout": {"attemptDurationSeconds": 900},
    }


@pytest.mark.parametrize(("answer", "starts"), [("Y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_nothing_is_started_without_a_yes(
    answer: str, starts: bool, smoke: Train, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True, readline=lambda: answer))
    status, out, err = smoke("--fabric")
    assert bool(recorded.calls("SubmitJob")) is starts
    assert err[-1].startswith("start? [y/N] ")
    if not starts:
        assert (status, out, err[-1]) == (1, [], "start? [y/N] error: nothing was started")


def test_a_type_without_a_price_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    trials = [
        trial.Trial(f"batch {one}", Nodes(one, 32), "", lambda _: iter(())) for one in ("p5.48xlarge", "p9.48xlarge")
    ]
    trial.ask(trials, 1800, yes=True)
    assert capsys.readouterr().err.splitlines() == [
        "batch p5.48xlarge: a job on 2 x p5.48xlarge for 30 minutes: at most $55.04",
        "batch p9.48xlarge: a job on 2 x p9.48xlarge for 30 minutes: no price is known for it",
        (
            "together at most $55.04 and what has no price, by list prices of us-west-2; a node costs more for the"
            " minutes from the end of its job until it is stopped"
        ),
    ]


def test_where_nobody_can_be_asked_it_is_a_wrong_command_line(smoke: Train, recorded: Recorded) -> None:
    line = "error: Invalid value for --fabric: nobody can be asked here whether to start its nodes; give --yes"
    assert smoke("--fabric") == (2, [], [line])
    assert recorded.asked == []


def test_without_anything_that_communicates_nobody_is_asked(train_with: TrainWith, exports: dict[str, Any]) -> None:
    keys = [key for key in exports if not key.startswith(("batch_", "eks_", "kubeconfig"))]
    status, out, err = train_with({key: exports[key] for key in keys}, "smoke")("--fabric", "--yes")
    assert (status, err) == (0, [])
    why = "no job queue is for jobs on several nodes, and no EKS group has EFA"
    assert of_fabric(out) == [f"not checked fabric: nodes communicate over their network: {why}"]


def test_after_a_failure_no_node_is_started(train_with: TrainWith, exports: dict[str, Any], recorded: Recorded) -> None:
    status, out, _ = train_with(exports | {"vpc_id": "vpc-0"}, "smoke")("--fabric", "--yes")
    assert status == 1
    assert of_fabric(out) == [
        "not checked fabric: nodes communicate over their network: not tried, because something failed"
    ]
    assert recorded.calls("SubmitJob") == []


def a_job(exports: dict[str, Any], status: str, **more: Any) -> list[dict[str, Any]]:
    """A job of the queue `multi` on two nodes, and its nodes, as `DescribeJobs` answers."""
    options = {"awslogs-group": exports["batch_log_groups"]["multi"]}
    container = {"logConfiguration": {"logDriver": "awslogs", "options": options}}
    common = {
        "jobName": "smoke",
        "jobQueue": exports["batch_job_queue_arns"]["multi"],
        "jobDefinition": exports["batch_job_definition_arns"]["multi"],
        "startedAt": 1,
        "status": status,
    }
    parent = {"numNodes": 2, "mainNode": 0, "nodeRangeProperties": [{"targetNodes": "0:", "container": container}]}
    nodes = [
        {**common, "jobId": f"{ID}#{number}", "container": {"logStreamName": f"{status}/{number}"}} for number in (0, 1)
    ]
    return [{**common, "jobId": ID, "nodeProperties": parent, **more}, *nodes]


def say_nothing(name: str, how: str) -> None:
    del name, how


@pytest.fixture
def _runs(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """An AWS that runs containers, and is not waited for."""

    def is_local(account: Account, service: str) -> bool:
        del account, service
        return False

    monkeypatch.setattr(Account, "is_local", is_local)
    monkeypatch.setattr(jobs, "JOB_POLL_SECONDS", 0)
    monkeypatch.setattr(batch, "LOG_POLL_SECONDS", 0)
    monkeypatch.setattr(cluster, "POD_POLL_SECONDS", 0)
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def multi(exports: dict[str, Any], _runs: None, recorded: Recorded, aws: Aws) -> Callable[..., str]:
    """What the check of the queue `multi` says of a job that ends so, and whose nodes write this."""

    def run(status: str, logs: Mapping[int, str], seconds: float = 60, **more: Any) -> str:
        group, client = exports["batch_log_groups"]["multi"], aws.client("logs")
        for number, text in logs.items():
            stream = {"logGroupName": group, "logStreamName": f"{status}/{number}"}
            client.create_log_stream(**stream)
            events = [
                {"timestamp": 1_796_000_000_000 + at, "message": line} for at, line in enumerate(text.splitlines())
            ]
            client.put_log_events(**stream, logEvents=events)
        there = a_job(exports, status, **more)
        recorded.answer("SubmitJob", [{"jobId": ID, "jobName": "smoke"}])
        recorded.answer("TerminateJob", [{}])
        recorded.answer("DescribeJobs", lambda asked: {"jobs": [one for one in there if one["jobId"] in asked["jobs"]]})
        tried, _ = batch.trials(parse(exports), Account(REGION))
        assert (tried.name, tried.nodes) == ("batch multi", P5)
        findings = [*tried.find(Patience(seconds, say_nothing))]
        for number in logs:
            client.delete_log_stream(logGroupName=group, logStreamName=f"{status}/{number}")
        return said(findings)

    return run


def parse(exports: dict[str, Any]) -> outputs.Outputs:
    return outputs.parse(json.dumps(exports).encode())


def said(findings: Sequence[Finding]) -> str:
    return "; ".join(f"{one.state}: {one.reason}" for one in findings)


def test_what_a_job_wrote_decides(multi: Callable[..., str]) -> None:
    assert multi("SUCCEEDED", GOOD).startswith(
        "passed: 437.4 GB/s between 16 GPUs of 2 x p5.48xlarge, 32 EFA interfaces on each, "
    )


def test_a_job_that_succeeds_over_tcp_fails_the_check(multi: Callable[..., str]) -> None:
    assert multi("SUCCEEDED", OLD_FALLBACK).startswith("failed: node 0 communicates over TCP")


def test_a_job_that_fails_says_what_nccl_said(multi: Callable[..., str]) -> None:
    logs = {node: a_node(node, NEW_REFUSED) for node in (0, 1)}
    line = multi("FAILED", logs, statusReason="Essential container in task exited")
    assert line.startswith(f"failed: {ID} failed: Essential container in task exited; failed: node 0 does not say")
    assert line.endswith("; NCCL WARN Failed to initialize any NET plugin")


def test_an_image_without_torchrun_is_named_as_such(multi: Callable[..., str]) -> None:
    line = multi("FAILED", {0: nccl.NO_TORCHRUN}, statusReason="Essential container in task exited")
    assert line.endswith(
        f"; failed: the image has no torchrun, by which it is tried; an image with PyTorch has, such as {nccl.IMAGE}"
    )


def test_a_job_that_waits_too_long_is_terminated_and_its_log_is_not_missed(
    multi: Callable[..., str], recorded: Recorded
) -> None:
    assert multi("RUNNABLE", {}, seconds=0) == (
        f"failed: {ID} was still RUNNABLE after 0 s and was terminated: no reason given;"
        " a job that stays RUNNABLE waits for capacity, or for a quota of vCPUs"
    )
    assert [one["jobId"] for one in recorded.calls("TerminateJob")] == [ID]


# EKS


class Kubernetes:
    """An API that has jobs, and runs their pods as it was told."""

    def __init__(self, exports: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        self.exports = exports
        self.asked: list[tuple[str, str, Any]] = []
        self.pods: list[list[dict[str, Any]]] = [[]]
        """The pods that there are, one look after the other."""
        self.logs: Mapping[int, str] = {}
        self.refused: dict[str, tuple[int, str]] = {}
        """Beginning of a call -> answer."""
        monkeypatch.setattr(kubernetes_api, "call", self._call)

    def check(self, patience: Patience | None = None) -> str:
        (tried,) = cluster.trials(parse(self.exports), Account(REGION))
        assert (tried.name, tried.nodes, tried.obstacle) == ("eks efa", P5, "")
        return said([*tried.find(patience or Patience(60, say_nothing))])

    def _call(
        self, endpoint: str, path: str, *, authority: str, token: str, method: str = "GET", body: Any = None
    ) -> tuple[int, str]:
        assert endpoint.startswith("https://")
        assert token.startswith("k8s-aws-v1.")
        assert authority
        self.asked.append((method, path, body))
        for call, answer in self.refused.items():
            if f"{method} {path}".startswith(call):
                return answer
        if method == "GET" and path.endswith("/log"):
            return 200, self.logs[int(path.split("/")[-2].rpartition("-")[2])]
        if method == "GET":
            return 200, json.dumps({"items": self.pods.pop(0) if len(self.pods) > 1 else self.pods[0]})
        return 201, json.dumps({"metadata": {"uid": "a1"}})

    @property
    def deleted(self) -> list[str]:
        return [path for method, path, _ in self.asked if method == "DELETE"]


@pytest.fixture
def kubernetes(exports: dict[str, Any], _runs: None, monkeypatch: pytest.MonkeyPatch) -> Kubernetes:
    return Kubernetes(exports, monkeypatch)


def pod(index: int, phase: str, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"fabric-{index}",
            "creationTimestamp": "2026-12-01T12:00:00Z",
            "labels": {"batch.kubernetes.io/job-completion-index": str(index)},
        },
        "status": {"phase": phase, **status},
    }


def both(phase: str) -> list[dict[str, Any]]:
    return [pod(1, phase), pod(0, phase)]


UNSCHEDULED = {"type": "PodScheduled", "status": "False", "message": "0/2 nodes are available"}


def test_two_pods_are_waited_for_and_their_job_is_deleted(kubernetes: Kubernetes) -> None:
    told: list[str] = []
    kubernetes.pods = [[], [pod(0, "Pending", conditions=[UNSCHEDULED])], both("Running"), both("Succeeded")]
    kubernetes.logs = GOOD
    line = kubernetes.check(Patience(60, lambda _, how: told.append(re.sub("fabric-[0-9a-f]{8}: ", "", how))))
    assert line.startswith(
        "passed: 437.4 GB/s between 16 GPUs of 2 x p5.48xlarge, 32 EFA interfaces on each, GPUDirect RDMA"
    )
    assert told == [
        "no pod yet, as where it is queued",
        "pod 0 is Pending, 0/2 nodes are available",
        "pod 0 is Running; pod 1 is Running",
        "pod 0 is Succeeded; pod 1 is Succeeded",
    ]
    (deleted,) = kubernetes.deleted
    assert re.fullmatch(f"{cluster.JOBS}/fabric-[0-9a-f]{{8}}\\?propagationPolicy=Background", deleted)


def test_a_pod_that_fails_ends_it_with_what_both_wrote(kubernetes: Kubernetes) -> None:
    terminated = [{"state": {"terminated": {"reason": "Error", "exitCode": 1}}}]
    kubernetes.pods = [[pod(0, "Failed", containerStatuses=terminated), pod(1, "Running")]]
    kubernetes.logs = {0: a_node(0, NEW_REFUSED), 1: GOOD[1]}
    line = kubernetes.check()
    assert re.match(
        r"failed: fabric-\w{8}: pod 0 is Failed, Error; pod 1 is Running; failed: node 0 does not say that it", line
    )
    assert len(kubernetes.deleted) == 1


@pytest.mark.parametrize("interrupted", [False, True])
def test_what_is_not_done_in_time_or_interrupted_is_deleted(interrupted: bool, kubernetes: Kubernetes) -> None:
    def say(name: str, how: str) -> None:
        del name, how
        patience.ended.set()

    patience = Patience(3600, say) if interrupted else Patience(0, say_nothing)
    kubernetes.pods = [[pod(0, "Pending", conditions=[UNSCHEDULED])]]
    kubernetes.refused = {f"GET {cluster.PODS}/": (400, "container is waiting to start")}
    line = kubernetes.check(patience)
    assert re.fullmatch(
        r"failed: fabric-\w{8} was not done after \d+ s and was deleted: pod 0 is Pending, 0/2 nodes are available",
        line,
    )
    assert len(kubernetes.deleted) == 1


@pytest.mark.parametrize(
    ("refused", "line"),
    [
        (
            {"POST": (403, '{"message":\n"no"}'), "DELETE": (404, "gone")},
            'failed: the Kubernetes API refuses POST /apis/batch/v1/namespaces/training/jobs: 403: {"message": "no"}',
        ),
        (
            {"DELETE": (403, "no")},
            r"failed: the Kubernetes API refuses DELETE /apis/batch/v1/namespaces/training/jobs/fabric-\w{8}: 403: no",
        ),
    ],
)
def test_what_the_api_refuses_is_a_line(refused: dict[str, tuple[int, str]], line: str, kubernetes: Kubernetes) -> None:
    kubernetes.pods, kubernetes.logs, kubernetes.refused = [both("Succeeded")], GOOD, refused
    assert re.fullmatch(line, kubernetes.check())


def test_what_is_made_is_what_kubernetes_takes_and_goes_together(kubernetes: Kubernetes, there: Run) -> None:
    import kubernetes_validate

    kubernetes.pods, kubernetes.logs = [both("Succeeded")], GOOD
    kubernetes.check()
    job, service = (body for method, _, body in kubernetes.asked if method == "POST")
    for one in (job, service):
        cast("Any", kubernetes_validate).validate(one, "1.35", strict=True)
    name = job["metadata"]["name"]
    assert job["metadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "efa"}
    spec = job["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["resources"]["limits"] == {
        "memory": "64Gi",
        "nvidia.com/gpu": "8",
        "vpc.amazonaws.com/efa": "32",
    }
    # through the cache of the stack, as without NAT there is no other way
    cache = kubernetes.exports["image_cache_urls"]["public.ecr.aws"]
    assert container["image"] == TRAINING_IMAGE.replace("public.ecr.aws", cache)
    assert spec["nodeSelector"] == {NODE_GROUP_LABEL: "efa"}
    taints = one_of(there, "aws:eks/nodeGroup:NodeGroup", "training-efa").inputs["taints"]
    tolerated = {one["key"]: one.get("value", "true") for one in spec["tolerations"]}
    assert tolerated == {one["key"]: one["value"] for one in taints}
    assert spec["subdomain"] == service["metadata"]["name"] == name
    assert container["command"][4:] == [f"{name}-0.{name}", "60"]
    assert service["spec"]["selector"].items() <= job["spec"]["template"]["metadata"]["labels"].items()
    (owner,) = service["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", name, "a1")


def test_names_are_those_of_the_stack() -> None:
    assert (cluster.EFA_LABEL, NODE_GROUP, nccl.IMAGE) == (EFA_LABEL, NODE_GROUP_LABEL, TRAINING_IMAGE)


@pytest.mark.parametrize(
    ("group", "obstacle"),
    [
        ({"instanceTypes": ["p5.48xlarge"], "scalingConfig": {"maxSize": 1}}, "it has 1 node at most, .*"),
        (
            {"instanceTypes": ["trn1.32xlarge"], "scalingConfig": {"maxSize": 2}},
            "trn1.32xlarge has no NVIDIA GPU, and NCCL is for those",
        ),
        # of a capacity block the launch template alone says the type
        ({"launchTemplate": {"id": "lt-1", "version": "3"}, "scalingConfig": {"maxSize": 2}}, ""),
    ],
)
@pytest.mark.usefixtures("_runs")
def test_a_group_is_tried_where_two_of_its_nodes_can_communicate_over_nccl(
    group: dict[str, Any], obstacle: str, exports: dict[str, Any], recorded: Recorded
) -> None:
    recorded.answer("DescribeNodegroup", [{"nodegroup": {"labels": {EFA_LABEL: "true"}, **group}}])
    version = {"LaunchTemplateData": {"InstanceType": "p5.48xlarge"}}
    recorded.answer("DescribeLaunchTemplateVersions", [{"LaunchTemplateVersions": [version]}])
    tried, _ = cluster.trials(parse(exports), Account(REGION))
    assert re.fullmatch(obstacle, tried.obstacle)
    assert tried.nodes.instance_type == group.get("instanceTypes", ["p5.48xlarge"])[0]
