"""`make example`: trains `examples/batch` on this machine's CPU, through a reclaim, and compares it with a run without.

Each node is a process, started as Batch starts its container; the bucket is in the AWS of this machine. What the nodes
run with is in an environment of its own, which git ignores: it holds torch.
"""

import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, NoReturn, Self, cast

from components.batch.job import RETRIES
from local.aws import Aws

PROJECT = Path(__file__).parents[1]
EXAMPLE = PROJECT / "examples" / "batch"
LOCK = EXAMPLE / "requirements-torch.lock"
ENVIRONMENT = PROJECT / ".venv-example"
SIZE_GB = 5
"""What the environment takes: 4.6 GB on Linux and x86-64, where the registry's torch brings CUDA's libraries."""
REGION = "us-west-2"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SHUTDOWN_SECONDS = 30
"""How long torchrun lets its processes save a checkpoint here, where no instance ends, and Ctrl-C waits for it."""
NODES = 2
PROCESSES_PER_NODE = 2
CHECKPOINT_EVERY = 20
UNREACHED = 1_000_000
"""Steps of a run that is to be stopped, on however fast a machine."""
STEPS_AFTER = 50
"""Steps that are left to the next attempt."""
SHOWN = re.compile(r"launch: |\d+ processes start after step")
"""What of the nodes' output is shown."""
SAVED = re.compile(r"step (\d+) loss (\S+) saved")


class ExampleError(Exception):
    """The example does not do what it should; the message says what."""


class Metadata:
    """An instance's metadata service, version 2, on a free loopback port."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        """Path under `latest/meta-data/` -> what is answered; any other is not found."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def announce_end(self) -> None:
        """Have EC2 announce that it takes the instance back."""
        self.values["spot/instance-action"] = json.dumps({"action": "terminate", "time": "2026-12-01T12:02:00Z"})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        token, values = uuid.uuid4().hex, self.values

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                asked = self.path == "/latest/api/token" and "X-aws-ec2-metadata-token-ttl-seconds" in self.headers
                self._answer(200 if asked else 400, token if asked else "")

            def do_GET(self) -> None:
                if self.headers["X-aws-ec2-metadata-token"] != token:
                    self._answer(401)
                    return
                said = values.get(self.path.removeprefix("/latest/meta-data/"))
                self._answer(404 if said is None else 200, said or "")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as its base calls it
                pass

            def _answer(self, status: int, body: str = "") -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

        return Handler


class Job:
    """One attempt of a job of two nodes, each a process as Batch starts its container. It ends with the block."""

    def __init__(self, python: Path, job_id: str, *arguments: str, environments: Iterator[Mapping[str, str]]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._lines: queue.SimpleQueue[tuple[int, str | None]] = queue.SimpleQueue()
        self._output: list[str] = []
        self._at_end = 0
        self._nodes = [
            subprocess.Popen(  # noqa: S603
                [python, EXAMPLE / "launch.py", *arguments],
                env={**os.environ, **_batch_variables(job_id, node), "MASTER_PORT": str(port), **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                # Ctrl-C reaches this process alone, which then tells them
                start_new_session=True,
            )
            for node, environment in zip(range(NODES), environments, strict=True)
        ]
        for node, process in enumerate(self._nodes):
            threading.Thread(target=self._read, args=(node, cast("IO[str]", process.stdout)), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in self._nodes:
            node.terminate()
        for node in self._nodes:
            node.wait()

    def lines(self) -> Iterator[tuple[int, str]]:
        """What the nodes write, as it comes, each line with its node; it ends with them."""
        while self._at_end < NODES:
            node, line = self._lines.get()
            if line is None:
                self._at_end += 1
            else:
                self._output.append(f"node {node}: {line}")
                yield node, line

    def tell(self, node: int) -> None:
        """Send a node SIGTERM."""
        self._nodes[node].terminate()

    def end(self) -> list[int]:
        """Exit statuses of the nodes, when they have all ended."""
        for _ in self.lines():
            pass
        return [node.wait() for node in self._nodes]

    @property
    def output(self) -> str:
        """All that the nodes have written."""
        return "\n".join(self._output)

    @property
    def saved(self) -> dict[int, str]:
        """Step -> loss, of what was saved."""
        return {int(step): loss for step, loss in SAVED.findall(self.output)}

    def _read(self, node: int, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._lines.put((node, line.rstrip()))
        self._lines.put((node, None))


def _batch_variables(job_id: str, node: int) -> dict[str, str]:
    """What Batch sets in the container of a node, and what fits this host, which stands for all of them."""
    variables = {
        "AWS_BATCH_JOB_ID": f"{job_id}#{node}",
        "AWS_BATCH_JOB_NUM_NODES": str(NODES),
        "AWS_BATCH_JOB_NODE_INDEX": str(node),
        "AWS_BATCH_JOB_MAIN_NODE_INDEX": "0",
        "PROCESSES_PER_NODE": str(PROCESSES_PER_NODE),
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(SHUTDOWN_SECONDS),
    }
    return variables if node == 0 else variables | {"AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS": "127.0.0.1"}


def is_tried_again(code: int) -> bool:
    """Whether Batch tries an attempt again that ended with this exit code, as a job definition's rules say."""
    return any(rule.get("on_exit_code") == str(code) and rule["action"] == "RETRY" for rule in RETRIES)


def installed() -> Path:
    """The Python of the nodes; installs what they need, if it is not there.

    Raises:
        ExampleError: where there is no room for it, or it cannot be installed.

    """
    python, stamp = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "installed"
    lock = LOCK.read_text(encoding="utf-8")
    if python.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == lock:
        return python
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    if (free := shutil.disk_usage(PROJECT).free / 1e9) < SIZE_GB + 1:
        raise ExampleError(f"torch needs {SIZE_GB + 1} GB of free disk in {PROJECT}, which has {free:.1f}")
    print(
        f"installing torch into {ENVIRONMENT.name}: about {SIZE_GB} GB, once; it may be deleted afterwards", flush=True
    )
    uv = Path(sys.executable).with_name("uv")
    # its own cache: what is there and in the home directory would take the room twice, and outlive this one
    cache = ENVIRONMENT / "cache"
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, ENVIRONMENT],
        [uv, "pip", "install", "--quiet", "--cache-dir", cache, "--python", python, "--require-hashes", "-r", LOCK],
    ):
        if (done := subprocess.run(command, check=False)).returncode:  # noqa: S603
            raise ExampleError(f"torch is not installed: uv ends with {done.returncode}")
    shutil.rmtree(cache)
    stamp.write_text(lock, encoding="utf-8")
    return python


def train(
    python: Path, aws: Aws, bucket: str, job_id: str, *, steps: int, reclaim: bool = False
) -> tuple[list[int], int, str]:
    """Run one attempt and show it: the exit statuses of its nodes, and step and loss of the newest checkpoint.

    With `reclaim`, EC2 announces the end of the second node's instance after the first checkpoint.

    Raises:
        ExampleError: where it saves no checkpoint.

    """
    with Metadata() as first, Metadata() as second:
        environments = (
            {**aws.environment, "ARTIFACTS_BUCKET": bucket, "AWS_EC2_METADATA_SERVICE_ENDPOINT": one.endpoint}
            for one in (first, second)
        )
        arguments = (f"--steps={steps}", f"--checkpoint-every={CHECKPOINT_EVERY}")
        with Job(python, job_id, *arguments, environments=environments) as job:
            for node, line in job.lines():
                if SHOWN.match(line):
                    print(f"  node {node}: {line}", flush=True)
                if reclaim and SAVED.match(line) and not second.values:
                    print(f"  node {node}: {line}\n  EC2 announces the end of node 1's instance", flush=True)
                    second.announce_end()
            codes = job.end()
    if not job.saved:
        raise ExampleError(f"no checkpoint was saved; the nodes end with {codes}, and wrote:\n{job.output}")
    step, loss = max(job.saved.items())
    print(f"  nodes end with {codes}; newest checkpoint: step {step}, loss {loss}", flush=True)
    return codes, step, loss


def compare(python: Path, aws: Aws) -> str:
    """Train with a reclaim and without; what both come to.

    Raises:
        ExampleError: where they come to something else, or the reclaimed run is not one that Batch tries again.

    """
    bucket = f"example-{uuid.uuid4()}"
    aws.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": aws.region})
    print(f"a job of {NODES} nodes with {PROCESSES_PER_NODE} processes each, and a reclaim in the middle", flush=True)
    codes, stopped, _ = train(python, aws, bucket, "reclaimed", steps=UNREACHED, reclaim=True)
    if not all(map(is_tried_again, codes)):
        raise ExampleError(f"a reclaimed job must end with codes that Batch tries again, not with {codes}")
    steps = stopped + STEPS_AFTER
    print(f"its second attempt, since Batch tries again what ends so, up to step {steps}", flush=True)
    resumed = train(python, aws, bucket, "reclaimed", steps=steps)
    print(f"another job, without a reclaim, up to step {steps}", flush=True)
    undisturbed = train(python, aws, bucket, "undisturbed", steps=steps)
    if not resumed == undisturbed == ([0] * NODES, steps, undisturbed[2]):
        raise ExampleError(f"the job that was reclaimed must end like the other: {resumed}, {undisturbed}")
    return f"the same loss after step {steps}, with a reclaim and without: {undisturbed[2]}"


def main() -> int:
    """Run the example; the exit status."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        with Aws(REGION, managed_policies=False) as aws:
            print(compare(installed(), aws))
    except ExampleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    # once: the nodes are ended on the way up
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt(number)


if __name__ == "__main__":
    sys.exit(main())
