"""What the container runs: becomes `torchrun` for this node, which starts train.py once per GPU."""

import os
import sys
from pathlib import Path

from rendezvous import Rendezvous

command = Rendezvous.of(os.environ).torchrun(
    os.environ.get("PROCESSES_PER_NODE", "auto"), str(Path(__file__).with_name("train.py")), *sys.argv[1:]
)
# not a child: SIGTERM must reach torchrun, which hands it on to its processes
os.execvp(command[0], command)  # noqa: S606
