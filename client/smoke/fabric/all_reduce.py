"""An all-reduce between the GPUs of a job, and how fast it was: a program of its own, which the job gets as its text.

`torchrun` starts it once for each GPU. It needs PyTorch and nothing of this package.
"""

import importlib
import json
import os
import time
from typing import Any

BYTES = 2 * 1024**3
"""Large enough for the network's full bandwidth, small enough for every GPU."""
BYTES_PER_NUMBER = 4
WARM_UP, TIMED = 5, 20
RESULT = "fabric result: "
"""Begins the one line of the log that holds the result, as JSON."""


def bus_gigabytes_per_second(ranks: int, size: int, seconds: float) -> float:
    """What each GPU moves, as nccl-tests counts it (NVIDIA/nccl-tests, `doc/PERFORMANCE.md`, "Bus bandwidth")."""
    return size / seconds * 2 * (ranks - 1) / ranks / 1e9


def main(size: int = BYTES) -> None:
    """Add up so many bytes over all ranks; rank 0 prints the result."""
    # whatever the image or the job says: the log is what tells which network it was
    os.environ.update(NCCL_DEBUG="INFO", NCCL_DEBUG_SUBSYS="INIT,NET")
    os.environ.pop("NCCL_DEBUG_FILE", None)
    torch = importlib.import_module("torch")
    distributed = importlib.import_module("torch.distributed")
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    ranks = distributed.get_world_size()
    numbers = torch.ones(size // BYTES_PER_NUMBER, dtype=torch.float32, device="cuda" if on_gpu else "cpu")
    distributed.all_reduce(numbers)
    if float(numbers.min()) != ranks or float(numbers.max()) != ranks:
        raise SystemExit(f"fabric: the sum of {ranks} ones is {float(numbers.min())} to {float(numbers.max())}")
    numbers.zero_()
    for _ in range(WARM_UP):
        distributed.all_reduce(numbers)
    begun = _now(torch, on_gpu)
    for _ in range(TIMED):
        distributed.all_reduce(numbers)
    seconds = (_now(torch, on_gpu) - begun) / TIMED
    if distributed.get_rank() == 0:
        speed = bus_gigabytes_per_second(ranks, size, seconds)
        result = {"ranks": ranks, "bytes": size, "seconds": seconds, "busGBps": speed}
        print(RESULT + json.dumps(result), flush=True)
    # a node that ends first takes the others with it
    distributed.barrier()
    distributed.destroy_process_group()


def _now(torch: Any, on_gpu: bool) -> float:
    """The time in seconds at which all that was asked of the GPU is done."""
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
