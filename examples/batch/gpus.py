"""Whether the GPUs of this host are fit for a job, before it starts: by nvidia-smi, the kernel's log and DCGM."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

FATAL_XIDS = frozenset((46, 48, 54, 62, 63, 64, 74, 79, 95, 109, 110, 119, 120, 136, 140, 142, 143, 151, 155, 156, 158))
"""Errors of NVIDIA's driver for which AWS repairs a host (aws/eks-node-monitoring-agent 1.7.0, `dcgm_policies.go`)."""
KERNEL_LOG = Path("/dev/kmsg")
SMI_SECONDS = 60
DIAG_SECONDS = 300


def faults(environ: Mapping[str, str], say: Callable[[str], None]) -> Iterator[str]:
    """What is wrong with the GPUs, a line each; nothing where there are none.

    A driver that does not answer is a fault; what a container does not have or may not read is none, and `say` hears of
    it.
    """
    if shutil.which("nvidia-smi") is None:
        say("GPUs are not checked: there is no nvidia-smi")
        return
    yield from _by_driver(environ)
    yield from _by_rows(say)
    yield from _by_kernel_log(say)
    yield from _by_dcgm(say)


def _by_driver(environ: Mapping[str, str]) -> Iterator[str]:
    """GPUs that the driver has lost, or that had an error that ECC could not correct since the driver was loaded."""
    try:
        errors = dict(_smi("--query-gpu=uuid,ecc.errors.uncorrected.volatile.total"))
    except (subprocess.SubprocessError, ValueError) as error:
        yield f"nvidia-smi: {error}"
        return
    # ECS names there each GPU that it gives to a container; an image may say "all"
    given = [one for one in environ.get("NVIDIA_VISIBLE_DEVICES", "").split(",") if one.startswith("GPU-")]
    yield from (f"{gpu}: the driver does not have it" for gpu in given if gpu not in errors)
    # a GPU without ECC has no number
    yield from (f"{gpu}: ECC errors not corrected: {n}" for gpu, n in errors.items() if n.isdecimal() and int(n))


def _by_rows(say: Callable[[str], None]) -> Iterator[str]:
    """GPUs with a row of memory that is bad, and in use until the GPU is reset (pending) or for good (failure)."""
    for state in ("pending", "failure"):
        try:
            rows = _smi(f"--query-remapped-rows=gpu_uuid,remapped_rows.{state}")
        except (subprocess.SubprocessError, ValueError) as error:
            say(f"rows of memory that are remapped are not looked at: nvidia-smi: {error}")
            return
        # drivers answer with a word, or with a number
        bad = [gpu for gpu, value in rows if value.lower() == "yes" or value.strip("0").isdecimal()]
        yield from (f"{gpu}: remapping of rows: {state}" for gpu in bad)


def _by_kernel_log(say: Callable[[str], None]) -> Iterator[str]:
    """Errors of the driver since the host started. A container may read the log only with privileges."""
    try:
        log = _records(KERNEL_LOG)
    except OSError as error:
        say(f"errors of the driver (XID) are not looked for: {KERNEL_LOG}: {error.strerror}")
        return
    found = {(where, int(xid)) for where, xid in re.findall(r"NVRM: Xid \((.*?)\): (\d+)", log)}
    yield from (f"{where}: XID {xid} in the kernel's log" for where, xid in sorted(found) if xid in FATAL_XIDS)


def _by_dcgm(say: Callable[[str], None]) -> Iterator[str]:
    """Tests of DCGM's level 1 that failed."""
    if shutil.which("dcgmi") is None:
        say("DCGM's diagnostics are not run: there is no dcgmi")
        return
    try:
        done = subprocess.run(
            ["dcgmi", "diag", "--run", "1", "--json"],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
            timeout=DIAG_SECONDS,
        )
        # its form differs between versions, and what it says before it is none
        tests = list(_tests(json.loads(done.stdout[done.stdout.index("{") :])))
    except (subprocess.SubprocessError, ValueError) as error:
        say(f"DCGM's diagnostics did not run: {error}")
        return
    yield from (f"DCGM: {name}: failed" for name, status in tests if status.lower() == "fail")


def _tests(said: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Name and status of every test, wherever they stand."""
    if isinstance(said, dict):
        name = said.get("name", name)
        if isinstance(said.get("status"), str):
            yield name, said["status"]
        for value in said.values():
            yield from _tests(value, name)
    elif isinstance(said, list):
        for value in said:
            yield from _tests(value, name)


def _smi(query: str) -> list[tuple[str, str]]:
    """The two values that nvidia-smi has of each GPU."""
    done = subprocess.run(  # noqa: S603
        ["nvidia-smi", query, "--format=csv,noheader"],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
        timeout=SMI_SECONDS,
    )
    rows = [[value.strip() for value in line.split(",")] for line in done.stdout.splitlines() if line.strip()]
    return [(gpu, value) for gpu, value in rows]


def _records(log: Path) -> str:
    """All that the kernel's log holds now; a read gives one record."""
    records: list[bytes] = []
    file = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while record := os.read(file, 8192):
            records.append(record)
    except BlockingIOError:
        # the end, until there is more
        pass
    finally:
        os.close(file)
    return b"".join(records).decode(errors="replace")
