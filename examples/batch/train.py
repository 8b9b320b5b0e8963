"""A minimal PyTorch DDP job for AWS Batch: one process per GPU, checkpoints in the bucket, resumed after a reclaim.

Every process holds the same model. The first one saves; all load what it says is the newest checkpoint. When one of
them gets SIGTERM, which launch.py sees to, all agree to stop after the same step, the first one saves, and the next
attempt goes on from there. A host that ends without a word costs the steps since the checkpoint before.
"""

import argparse
import os
import signal
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import boto3
import ending
import torch
import torch.distributed as dist
from checkpoints import CheckpointFolder, Checkpoints, checkpoints_of
from rendezvous import START_TIMEOUT_SECONDS, run_name
from torch.nn.parallel import DistributedDataParallel


def main() -> int:
    """Train for so many steps; the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--checkpoint-every", type=int, default=100)
    arguments = parser.parse_args()

    stop = StopSignal()
    timeout = timedelta(seconds=START_TIMEOUT_SECONDS)
    # torchrun's own: a faulty GPU may not communicate
    store, rank, processes = next(dist.rendezvous("env://", timeout=timeout))
    if not all_fit(store, processes):
        return ending.FAULTY_GPU
    gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    backend = "nccl" if gpu else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=processes, timeout=timeout)
    first = rank == 0

    torch.manual_seed(0)
    model = DistributedDataParallel(torch.nn.Linear(16, 1).to(device), device_ids=[device.index] if gpu else None)
    optimizer = torch.optim.AdamW(model.parameters())
    # `s3`, or a folder such as /lustre
    place = os.environ.get("CHECKPOINTS", "s3")
    checkpoints = checkpoints_of(
        place, run_name(os.environ), s3=boto3.client("s3"), bucket=os.environ["ARTIFACTS_BUCKET"]
    )
    step = resume(checkpoints, model, optimizer, device)
    if first:
        print(f"{processes} processes start after step {step}", flush=True)

    stopped = False
    while step < arguments.steps and not stopped:
        step += 1
        # each process its own data, and the same again after a resume
        generator = torch.Generator().manual_seed(step * processes + rank)
        x = torch.randn(64, 16, generator=generator).to(device)
        loss = torch.nn.functional.mse_loss(model(x), x.sum(dim=1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        stopped = stop.agreed(device)
        if first and (stopped or step % arguments.checkpoint_every == 0 or step == arguments.steps):
            save(checkpoints, step, model, optimizer)
            print(f"step {step} loss {loss.item():.6g} saved", flush=True)

    # the others wait until the last checkpoint is there
    dist.barrier()
    dist.destroy_process_group()
    return ending.STOPPED if stopped else 0


def all_fit(store: dist.Store, processes: int) -> bool:
    """Whether no process is on a host whose GPUs failed their check; all get the same answer."""
    store.add("faulty", int(ending.FAULTY in os.environ))
    if store.add("checked", 1) == processes:
        store.set("all checked", "")
    store.wait(["all checked"])
    return store.add("faulty", 0) == 0


class StopSignal:
    """Whether some process of the job was told to stop; a signal reaches those of one host only."""

    def __init__(self) -> None:
        self._received = False
        signal.signal(signal.SIGTERM, self._receive)

    def _receive(self, *_: object) -> None:
        self._received = True

    def agreed(self, device: torch.device) -> bool:
        """Ask all processes; all get the same answer, so that none waits for one that has left."""
        received = torch.tensor(float(self._received), device=device)
        dist.all_reduce(received, op=dist.ReduceOp.MAX)
        return bool(received.item())


def save(
    checkpoints: Checkpoints | CheckpointFolder,
    step: int,
    model: DistributedDataParallel,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Save model and optimizer as the checkpoint of a step."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "checkpoint.pt"
        torch.save({"model": model.module.state_dict(), "optimizer": optimizer.state_dict()}, file)
        checkpoints.save(file, step)


def resume(
    checkpoints: Checkpoints | CheckpointFolder,
    model: DistributedDataParallel,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
) -> int:
    """Load the newest checkpoint into model and optimizer; its step, or 0 without one."""
    # the first process looks and tells the others, so that all load the same
    newest = torch.tensor((checkpoints.newest() or 0) if dist.get_rank() == 0 else 0, device=device)
    dist.broadcast(newest, src=0)
    step = int(newest.item())
    if not step:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "checkpoint.pt"
        checkpoints.load(step, file)
        state = torch.load(file, map_location=device, weights_only=True)
    model.module.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return step


if __name__ == "__main__":
    sys.exit(ending.write(main()))
