"""What the container runs: it checks the GPUs, starts torchrun for this node, and ends with a code that Batch acts on.

torchrun starts train.py once per GPU. It is told to stop when this process is, and when EC2 announces that it takes the
instance back: no page of AWS promises a container of Batch a signal then.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import ending
import gpus
import host
from rendezvous import Rendezvous

LOOK_SECONDS = 5
"""How often EC2 is asked for its notice, as it advises (EC2 user guide, "Spot Instance interruption notices")."""
WAKE_SECONDS = 0.2
SHUTDOWN_SECONDS = 110
"""How long torchrun 2.12 and later lets its processes save a checkpoint; earlier ones kill them after 30 seconds.

Within the two minutes of a notice, and of `ECS_CONTAINER_STOP_TIMEOUT` on the stack's instances.
"""
SHUTDOWN = "TORCH_ELASTIC_SHUTDOWN_TIMEOUT"
"""Environment variable by which torchrun knows it."""
KILL_SECONDS = 5
"""How much later torchrun itself is killed."""
HOLD_SECONDS = 180
"""How long a host that is being terminated is kept busy, so that the next attempt is not placed on it."""


class Told:
    """Why this process was told to stop."""

    why: str | None = None

    def listen(self) -> None:
        """Hear of it by a signal, or by a notice of EC2."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._by_signal)
        threading.Thread(target=self._by_notice, daemon=True).start()

    def _by_signal(self, number: int, _frame: object) -> None:
        self.why = self.why or signal.Signals(number).name

    def _by_notice(self) -> None:
        while (announced := host.notice(os.environ)) is None:
            time.sleep(LOOK_SECONDS)
        self.why = self.why or f"EC2 announced for this instance: {announced}"


def main(arguments: Sequence[str]) -> int:
    """Run one attempt on this node; the exit status."""
    told = Told()
    told.listen()
    rendezvous = Rendezvous.of(os.environ)
    faulty = False
    for fault in gpus.faults(os.environ, say):
        say(fault)
        faulty = True
    if faulty and (instance := host.metadata(os.environ, "instance-id")) is not None:
        say(f"on instance {instance}")
    if faulty and rendezvous.node == 0:
        # the end of the main node is the end of all
        return leave(os.environ, told)
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "exit-code"
        environment = {SHUTDOWN: str(SHUTDOWN_SECONDS), **os.environ, ending.FILE: str(said)}
        if faulty:
            # the end of this node would leave the others waiting, so its processes tell them
            environment[ending.FAULTY] = "true"
        script = str(Path(__file__).with_name("train.py"))
        command = rendezvous.torchrun(os.environ.get("PROCESSES_PER_NODE", "auto"), script, *arguments)
        status = run(command, environment, told)
        code = ending.read(said)
    return result(status, code, told.why)


def run(command: Sequence[str], environment: Mapping[str, str], told: Told) -> int:
    """Run torchrun, and tell it once to stop; its exit status, negative if a signal ended it."""
    # in a session of its own: a terminal's Ctrl-C would reach it beside what it is told here
    torchrun = subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603
    until = None
    while True:
        try:
            return torchrun.wait(WAKE_SECONDS)
        except subprocess.TimeoutExpired:
            if told.why is not None and until is None:
                say(f"told to stop: {told.why}")
                # once: a second signal would cut short how it ends its processes
                torchrun.send_signal(signal.SIGTERM)
                until = time.monotonic() + int(environment[SHUTDOWN]) + KILL_SECONDS
            elif until is not None and time.monotonic() > until:
                # it hears no signal while it waits for the other nodes, when its own processes have ended
                torchrun.kill()


def result(status: int, code: int | None, why: str | None) -> int:
    """What the attempt ends with: by torchrun's status, what a process said, and why it was told to stop if it was."""
    if status == 0:
        return 0
    if code:
        return code
    if why is not None:
        # a process that had reached its end has nothing to do again
        if code == 0:
            return 0
        say("no checkpoint was written: the next attempt goes on from the one before")
        return ending.STOPPED
    return status if status > 0 else 128 - status


def leave(environ: Mapping[str, str], told: Told) -> int:
    """Give up a host with a faulty GPU, and end it where the job may; the exit status."""
    if environ.get("TERMINATE_FAULTY_INSTANCE") == "true" and terminated(environ):
        for _ in range(round(HOLD_SECONDS / WAKE_SECONDS)):
            if told.why is not None:
                break
            time.sleep(WAKE_SECONDS)
    return ending.FAULTY_GPU


def terminated(environ: Mapping[str, str]) -> bool:
    """Have EC2 end the instance that this container is on; whether it does."""
    # imported here, because no other node needs it
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    instance, region = (host.metadata(environ, path) for path in ("instance-id", "placement/region"))
    try:
        boto3.client("ec2", region_name=region).terminate_instances(InstanceIds=[instance])
    except (BotoCoreError, ClientError) as error:
        say(f"the instance is not terminated: {error}")
        return False
    say(f"{instance} is being terminated")
    return True


def say(line: str) -> None:
    """Write a line to the log of the job."""
    print(f"launch: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
