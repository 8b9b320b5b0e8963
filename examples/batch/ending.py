"""How an attempt of a job ends: codes that Batch tries again, and how a process's code gets past torchrun.

torchrun ends with 1 whatever its processes return. So each process writes its code into a file, and what started
torchrun ends with that.
"""

import os
from pathlib import Path

STOPPED = 75
"""Told to stop before the end: the next attempt goes on from the newest checkpoint."""
FAULTY_GPU = 80
"""A GPU failed its check before the start: another host may do better."""

FILE = "EXIT_CODE_FILE"
"""Environment variable with the name of the file."""
FAULTY = "FAULTY_GPU"
"""Environment variable of processes on a host whose GPUs failed their check."""


def write(code: int) -> int:
    """Say what a process ends with, if there is a file for it; the code."""
    if FILE in os.environ:
        Path(os.environ[FILE]).write_text(str(code), encoding="utf-8")
    return code


def read(file: Path) -> int | None:
    """What a process said; None if none did."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return int(text) if text else None
