"""What the instances of a job queue run at their start."""

import email
import json
import re
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
FILE_SYSTEM = "fs-0123456789abcdef0.fsx.us-west-2.amazonaws.com@tcp:/abcdefgh"
PLAIN, WHOLE, WATCHED = (
    user_data(own_interfaces=False, scratch=False, file_system=None, measured=None),
    user_data(own_interfaces=True, scratch=True, file_system=FILE_SYSTEM, measured=None),
    user_data(own_interfaces=False, scratch=False, file_system=None, measured=MEASURED),
)


def test_a_container_has_two_minutes_after_it_is_told_to_stop() -> None:
    # appended: Batch names the cluster in the same file
    assert parts(PLAIN) == [
        ("text/x-shellscript", "#!/bin/bash\ncat >> /etc/ecs/ecs.config <<'END'\nECS_CONTAINER_STOP_TIMEOUT=2m\nEND\n")
    ]


def test_containers_with_an_interface_of_their_own_cannot_ask_for_the_role_of_their_host() -> None:
    *_, (_, script) = parts(WHOLE)
    assert "\nECS_AWSVPC_BLOCK_IMDS=true\n" in script


def test_folders_are_there_at_every_boot_before_containers_start() -> None:
    assert [kind for kind, _ in parts(WHOLE)] == ["text/cloud-boothook", "text/cloud-boothook", "text/x-shellscript"]


def test_what_gpus_do_is_sent_by_an_agent_that_no_job_waits_for(tmp_path: Path) -> None:
    _, (_, script) = parts(WATCHED)
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
    _, (_, script) = parts(WATCHED)
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


@pytest.mark.parametrize("text", [PLAIN, WHOLE, WATCHED])
def test_every_script_passes_shellcheck(text: str) -> None:
    for _, script in parts(text):
        checked = subprocess.run(
            [Path(sys.executable).with_name("shellcheck"), "-"], input=script, capture_output=True, text=True
        )
        assert checked.returncode == 0, checked.stdout


class Instance:
    """Stands for an instance: its folders are below another one, and its programs only note how they are called."""

    def __init__(self, folder: Path, **programs: str) -> None:
        self.folder = folder
        (folder / "dev/disk/by-id").mkdir(parents=True)
        quiet = dict.fromkeys(("mdadm", "dnf", "rpm", "mkfs.xfs", "udevadm", "systemctl", "sleep", "mount"), "exit 0")
        for name, does in {**quiet, "blkid": "exit 2", "mountpoint": "exit 1", **programs}.items():
            path = folder / name
            path.write_text(f'#!/bin/bash\necho "{name} $*" >> called\n{does}\n')
            path.chmod(0o755)

    def disk(self, name: str) -> None:
        """A disk of the instance, for which udev has two names."""
        (self.folder / name).touch()
        for end in ("", "-ns-1"):
            link = self.folder / f"dev/disk/by-id/nvme-Amazon_EC2_NVMe_Instance_Storage_{name}{end}"
            link.symlink_to(self.folder / name)

    def boot(self, script: str) -> list[str]:
        """Run a script; the programs that it calls."""
        here = re.sub(r"(?<=[ (])/(?=scratch|lustre|dev/)(?!dev/md)", "", script)
        env = {"PATH": f"{self.folder}:/usr/bin:/bin"}
        subprocess.run(["bash"], input=here, text=True, cwd=self.folder, env=env, check=False, timeout=60)
        called = (self.folder / "called").read_text()
        return called.replace(f"{self.folder}/", "").splitlines()

    @property
    def console(self) -> str:
        """What it wrote to its console."""
        return (self.folder / "dev/console").read_text()


MAKES_SCRATCH, MOUNTS, _ = (script for _, script in parts(WHOLE))


def test_the_disks_of_an_instance_are_joined_to_one(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    instance.disk("nvme1n1")
    instance.disk("nvme2n1")
    called = instance.boot(MAKES_SCRATCH)
    assert called[-3:] == [
        "mdadm --create /dev/md/scratch --name=scratch --force --run --level=0 --raid-devices=2 nvme1n1 nvme2n1",
        "mkfs.xfs -f -L scratch -l su=8b /dev/md/scratch",
        "mount -o noatime LABEL=scratch scratch",
    ]
    assert (tmp_path / "scratch").stat().st_mode & 0o7777 == 0o1777


def test_what_is_on_the_disks_stays_when_an_instance_boots_again(tmp_path: Path) -> None:
    instance = Instance(tmp_path, blkid="exit 0")
    instance.disk("nvme1n1")
    assert instance.boot(MAKES_SCRATCH)[-3:] == [
        "mdadm --assemble --scan",
        "blkid -L scratch",
        "mount -o noatime LABEL=scratch scratch",
    ]


def test_an_instance_without_disks_has_the_folder_too(tmp_path: Path) -> None:
    assert Instance(tmp_path).boot(MAKES_SCRATCH) == ["udevadm settle"]
    assert (tmp_path / "scratch").stat().st_mode & 0o7777 == 0o1777


def test_an_instance_whose_disks_cannot_be_joined_has_the_folder_on_its_root_volume(tmp_path: Path) -> None:
    instance = Instance(tmp_path, **{"mkfs.xfs": "exit 1"})
    instance.disk("nvme1n1")
    assert not any(call.startswith(("mount -o", "systemctl")) for call in instance.boot(MAKES_SCRATCH))
    assert instance.console == "/scratch: its disks cannot be joined, so it is on the root volume\n"
    assert (tmp_path / "scratch").stat().st_mode & 0o7777 == 0o1777


def test_the_file_system_is_tried_until_it_is_mounted(tmp_path: Path) -> None:
    second = "[ $(grep -c '^mount -t' called) -ge 2 ]"
    called = Instance(tmp_path, rpm="exit 1", mount=second, mountpoint=second).boot(MOUNTS)
    assert called.count("dnf install --assumeyes lustre-client") == 2
    assert called[-2:] == [f"mount -t lustre -o relatime,flock {FILE_SYSTEM} lustre", "mountpoint --quiet lustre"]
    assert "systemctl poweroff" not in called


def test_an_instance_that_cannot_mount_the_file_system_takes_no_job(tmp_path: Path) -> None:
    instance = Instance(tmp_path, mount="exit 32")
    assert instance.boot(f"SECONDS=601\n{MOUNTS}") == ["mountpoint --quiet lustre", "systemctl poweroff"]
    assert instance.console == f"/lustre: {FILE_SYSTEM} cannot be mounted, so this instance takes no job\n"
