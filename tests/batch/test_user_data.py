"""What the instances of a job queue run at their start."""

import email
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.batch.gpu_metrics import agent
from components.batch.user_data import user_data


def parts(text: str) -> list[tuple[str, str]]:
    """Type and script of each part, of a document that is right as a whole."""
    document: Any = email.message_from_string(text)
    assert document.get_content_type() == "multipart/mixed"
    assert document.defects == []
    found = document.get_payload()
    assert all(one.defects == [] for one in found)
    return [(one.get_content_type(), one.get_payload()) for one in found]


MEASURED = {"BatchJobQueue": "distributed-training-dev-single"}
EVERY = {
    (own, scratch): user_data(own_interfaces=own, scratch=scratch, measured=None)
    for own in (False, True)
    for scratch in (False, True)
}


def test_a_container_has_two_minutes_after_it_is_told_to_stop() -> None:
    # appended: Batch names the cluster in the same file
    assert parts(EVERY[False, False]) == [
        ("text/x-shellscript", "#!/bin/bash\ncat >> /etc/ecs/ecs.config <<'END'\nECS_CONTAINER_STOP_TIMEOUT=2m\nEND\n")
    ]


def test_containers_with_an_interface_of_their_own_cannot_ask_for_the_role_of_their_host() -> None:
    ((_, script),) = parts(EVERY[True, False])
    assert "\nECS_AWSVPC_BLOCK_IMDS=true\n" in script


def test_scratch_is_there_at_every_boot_before_containers_start() -> None:
    (first, script), (second, _) = parts(EVERY[False, True])
    assert (first, second) == ("text/cloud-boothook", "text/x-shellscript")
    assert "mount -o noatime LABEL=scratch /scratch" in script


def test_what_gpus_do_is_sent_by_an_agent_that_no_job_waits_for(tmp_path: Path) -> None:
    _, (_, script) = parts(user_data(own_interfaces=False, scratch=False, measured=MEASURED))
    begun = tmp_path / "begun"
    write(tmp_path / "systemd-run", f"#!/bin/bash\nprintf '%s\\n' \"$@\" > '{begun}'\n")
    run_in(tmp_path, script)
    assert json.loads((tmp_path / "gpu-metrics.json").read_text()) == agent(MEASURED)
    assert begun.read_text().splitlines() == [
        "--unit=gpu-metrics",
        "--property=Restart=on-failure",
        "--property=RestartSec=30",
        "bash",
        f"{tmp_path}/gpu-metrics.sh",
    ]


def test_faults_of_gpus_in_the_kernels_log_are_counted_by_their_number(tmp_path: Path) -> None:
    log = """
        nvidia-modeset: Loading NVIDIA Kernel Mode Setting Driver
        NVRM: Xid (PCI:0000:01:00): 79, pid=<unknown>, name=<unknown>, GPU has fallen off the bus.
        NVRM: Xid (PCI:0000:01:00): 31, pid=4242, name=python3, MMU Fault
        NVRM: Xid (PCI:0000:02:00 GPU-I:05): 95, pid=7194, Uncontained: CE User Channel (0x9). RST: No, D-RST: No
        NVRM: Xid (PCI:0000:02:00): 795, pid=1
    """
    (tmp_path / "log").write_text(log)
    for program, text in (
        ("systemd-run", "exit 0"),
        ("dnf", "exit 0"),
        ("amazon-cloudwatch-agent-ctl", f"echo \"$@\" > '{tmp_path}/started'"),
        ("journalctl", f"cat '{tmp_path}/log'"),
    ):
        write(tmp_path / program, f"#!/bin/bash\n{text}\n")
    _, (_, script) = parts(user_data(own_interfaces=False, scratch=False, measured=MEASURED))
    run_in(tmp_path, script)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(10)
        run_in(tmp_path, (tmp_path / "gpu-metrics.sh").read_text().replace("8125", str(listening.getsockname()[1])))
        counted = [listening.recv(1000).decode() for _ in range(2)]
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.recv(1000)
    assert counted == [f"gpu_faults:1|c|#BatchJobQueue:{MEASURED['BatchJobQueue']},xid:{xid}\n" for xid in (79, 95)]
    assert f"-s -c file:{tmp_path}/gpu-metrics.json" in (tmp_path / "started").read_text()


def write(program: Path, text: str) -> None:
    program.write_text(text)
    program.chmod(0o755)


def run_in(place: Path, script: str) -> None:
    """Run a script of an instance with the files and programs of a folder."""
    here = script.replace("/opt/aws/amazon-cloudwatch-agent/bin/", f"{place}/").replace("/etc/gpu-", f"{place}/gpu-")
    subprocess.run(["bash", "-c", here], check=True, env={"PATH": f"{place}:/usr/bin:/bin"})


@pytest.mark.parametrize(
    "text",
    [*EVERY.values(), user_data(own_interfaces=False, scratch=False, measured=MEASURED)],
    ids=[*map(str, EVERY), "measured"],
)
def test_every_script_passes_shellcheck(text: str) -> None:
    for _, script in parts(text):
        checked = subprocess.run(
            [Path(sys.executable).with_name("shellcheck"), "-"], input=script, capture_output=True, text=True
        )
        assert checked.returncode == 0, checked.stdout
