"""What the logs of a job's nodes say of the network between them, as NCCL and aws-ofi-nccl write with NCCL_DEBUG=INFO.

The lines are those of NVIDIA/nccl (`src/init.cc`, `src/plugin/net.cc`, `src/transport/net.cc`, of 2.20 to 2.30) and of
aws/aws-ofi-nccl (`src/nccl_ofi_net.cpp` and its transports, of 1.7 to 1.21), the plugin by which NCCL uses EFA.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from client.smoke.check import Finding, failed, passed
from client.smoke.fabric.all_reduce import RESULT

NODES = 2
"""Nodes of each job: the fewest between which there is a network, however many the jobs of a stack have."""
FLOORS_GBPS: Mapping[str, int] = {
    "p4d.24xlarge": 58,
    "p4de.24xlarge": 58,
    "p5.48xlarge": 320,
    "p6-b200.48xlarge": 270,
    "p6-b300.48xlarge": 480,
}
"""Instance type -> bus bandwidth in GB/s that an all-reduce of 2 GiB between two nodes has at least.

About three quarters of what AWS measured on two nodes with all their GPUs (awslabs/awsome-distributed-ai,
`micro-benchmarks/nccl-tests/README.md` and `architectures/aws-pcs/tests/compute-test.md`), or of the nearest to that:
p4de 78 at 2 GiB, and p4d has the same network; p5 437 at 1 GiB; p6-b200 367 at 1 GiB on four nodes; p6-b300 654 at
16 GiB. A type that nobody published a figure for has no floor.
"""
MEASURED_GPUS = 8
"""GPUs of a node in those measurements; fewer move less."""
IMAGE = "public.ecr.aws/deep-learning-containers/pytorch:2.13-cu133-amzn2023"
"""AWS's own for PyTorch, with libfabric and aws-ofi-nccl."""
NO_TORCHRUN = "fabric: this image has no torchrun"
"""What a job logs where it cannot begin."""
_PROVIDER = re.compile(
    r"NET/OFI Selected provider is (?P<provider>\w+)(, fabric is (?P<fabric>[\w-]+))?( \(found (?P<nics>\d+) nics\))?",
    re.IGNORECASE,
)
_RESULT = re.compile(re.escape(RESULT) + r'\{"ranks": (?P<ranks>\d+), .*"busGBps": (?P<speed>[\d.e+-]+)\}')
_TCP = re.compile(r"Using network Socket|NET/Socket\b")
_DIRECT = re.compile(r"via NET/(AWS )?Libfabric/\d+/GDRDMA")
_WHY = re.compile(
    r"NCCL WARN .+|NET/Plugin: Could not find: libnccl-net.+|Failed to initialize NET plugin Libfabric"
    r"|GDR disabled on GDR-supported instance type.*|fabric: .+|ModuleNotFoundError: .+"
)
MOST_REASONS = 3


@dataclass(frozen=True)
class Nodes:
    """The nodes of a job."""

    instance_type: str
    efa_interfaces: int
    """Those of a node that NCCL should use; 0 where nodes communicate over TCP."""


@dataclass(frozen=True)
class Measured:
    """What a job measured."""

    gpus: int
    """GPUs that took part, on all nodes."""
    speed: float
    """Bus bandwidth in GB/s."""


def findings(logs: Mapping[int, str], nodes: Nodes) -> Iterator[Finding]:
    """What is wrong with the network, or how fast it is; `logs` has all that each node wrote, by its number."""
    if any(NO_TORCHRUN in text for text in logs.values()):
        yield failed(f"the image has no torchrun, by which it is tried; an image with PyTorch has, such as {IMAGE}")
        return
    wrong = [
        f"node {number} {what}"
        for number in (range(NODES) if nodes.efa_interfaces else ())
        for what in _wrong(logs.get(number, ""), nodes.efa_interfaces)
    ]
    measured = result(logs)
    if measured is None:
        yield failed("; ".join([*wrong, "no bandwidth was measured", *_reasons(logs)]))
        return
    known = nodes.efa_interfaces and measured.gpus == NODES * MEASURED_GPUS
    floor = FLOORS_GBPS.get(nodes.instance_type, 0) if known else 0
    if measured.speed < floor:
        wrong.append(f"{measured.speed:.1f} GB/s are under the {floor} GB/s of {nodes.instance_type}")
    if wrong:
        yield failed("; ".join([*wrong, *_reasons(logs)]))
        return
    words = [f"{measured.speed:.1f} GB/s between {measured.gpus} GPUs of {NODES} x {nodes.instance_type}"]
    if nodes.efa_interfaces:
        words.append(f"{nodes.efa_interfaces} EFA interface{'s' * (nodes.efa_interfaces > 1)} on each")
        words += ["GPUDirect RDMA"] * all(_DIRECT.search(text) for text in logs.values())
        words.append(f"at least {floor} GB/s are expected" if floor else "a floor is not known")
    else:
        words.append("over TCP, since there is no EFA")
    yield passed(", ".join(words))


def result(logs: Mapping[int, str]) -> Measured | None:
    """What the job measured; None where it did not come so far."""
    found = next((match for text in logs.values() if (match := _RESULT.search(text))), None)
    return found and Measured(int(found["ranks"]), float(found["speed"]))


def _wrong(text: str, efa_interfaces: int) -> Iterator[str]:
    """What speaks against EFA in the log of a node."""
    if not text:
        yield "has no log"
        return
    if tcp := _TCP.search(text):
        yield f"communicates over TCP ({_line(text, tcp)})"
    selected = [match for match in _PROVIDER.finditer(text) if match["provider"] == "efa"]
    if not selected:
        yield "does not say that it selected EFA"
    # versions of before 1.7 do not count them
    elif (found := min(int(one["nics"] or efa_interfaces) for one in selected)) < efa_interfaces:
        yield f"found {found} of its {efa_interfaces} EFA interfaces"


def _reasons(logs: Mapping[int, str]) -> list[str]:
    """What NCCL warned of, each once."""
    told = dict.fromkeys(match[0].strip() for text in logs.values() for match in _WHY.finditer(text))
    return [*told][:MOST_REASONS]


def _line(text: str, match: re.Match[str]) -> str:
    """What stands in a line from a match on."""
    return text[match.start() :].splitlines()[0].strip()
