"""What a queue's instances run at their start, before they take jobs.

One MIME multipart document, because Batch merges parts of its own into it (Batch user guide, "Use Amazon EC2 launch
templates"). First what cloud-init runs at every boot, before Docker; then what it runs once, before the ECS agent
starts (ECS developer guide, "Bootstrapping Amazon ECS Linux container instances to pass data").
"""

from collections.abc import Mapping
from email.message import Message
from email.mime.text import MIMEText

from components.batch import gpu_metrics

BOUNDARY = "==PART=="
STOP_TIMEOUT = "2m"
"""Time that a container has between SIGTERM and SIGKILL when its job is stopped: as long as a spot instance has."""
SCRATCH = "/scratch"
"""Folder for what a job need not keep, on the instance's own disks; containers find it under the same path."""
LUSTRE = "/lustre"
"""Folder where the file system is; containers find it under the same path."""
MOUNT_SECONDS = 600
"""How long an instance tries to mount it."""

MAKES_SCRATCH = f"""\
#!/bin/bash
set -euo pipefail
mkdir -p {SCRATCH}
chmod 1777 {SCRATCH}
trap 'echo "{SCRATCH}: its disks cannot be joined, so it is on the root volume" > /dev/console' ERR
udevadm settle
shopt -s nullglob
links=(/dev/disk/by-id/nvme-Amazon_EC2_NVMe_Instance_Storage_*)
if (( ${{#links[@]}} )) && ! mountpoint --quiet {SCRATCH}; then
  command -v mdadm || dnf install --assumeyes mdadm
  # a reboot keeps what is on the disks, a stop does not
  mdadm --assemble --scan || true
  if ! blkid -L scratch; then
    mapfile -t disks < <(realpath "${{links[@]}}" | sort -u)
    mdadm --create /dev/md/scratch --name=scratch --force --run \\
      --level=0 --raid-devices="${{#disks[@]}}" "${{disks[@]}}"
    mkfs.xfs -f -L scratch -l su=8b /dev/md/scratch
  fi
  mount -o noatime LABEL=scratch {SCRATCH}
  chmod 1777 {SCRATCH}
fi
"""
"""Joins the instance's own NVMe disks to one, as EKS's AMI does; without any, the folder is on the root volume.

Where they cannot be joined, too: an instance that ended for it would be followed by the next, which ends as well.
"""


def user_data(
    *, own_interfaces: bool, scratch: bool, file_system: str | None, measured: Mapping[str, str] | None
) -> str:
    """The document.

    `own_interfaces`: whether containers have a network interface of their own, as those of multi-node jobs do.
    `scratch`: whether there is to be `SCRATCH`.
    `file_system`: what is mounted at `LUSTRE`, as Lustre's clients call it.
    `measured`: what names the metrics of the GPUs, where there are any to be sent.
    """
    boothooks = [*([MAKES_SCRATCH] if scratch else []), *([] if file_system is None else [_mount(file_system)])]
    agent = {"ECS_CONTAINER_STOP_TIMEOUT": STOP_TIMEOUT}
    if own_interfaces:
        # no hop limit keeps such containers from the instance's metadata, and so from its role (ECS developer guide,
        # "Security considerations for EC2"); with the host's own network nothing does
        agent["ECS_AWSVPC_BLOCK_IMDS"] = "true"
    scripts = [_set(agent)]
    if measured is not None:
        scripts.append(gpu_metrics.start_agent(measured))
    return _document(boothooks=boothooks, scripts=scripts)


def _document(*, boothooks: list[str], scripts: list[str]) -> str:
    document = Message()
    document["MIME-Version"] = "1.0"
    document["Content-Type"] = f'multipart/mixed; boundary="{BOUNDARY}"'
    for subtype, texts in (("cloud-boothook", boothooks), ("x-shellscript", scripts)):
        for text in texts:
            document.attach(MIMEText(text, subtype, "us-ascii"))
    return document.as_string()


def _mount(file_system: str) -> str:
    """A script that mounts a file system (FSx for Lustre user guide, "Mounting from an Amazon EC2 instance").

    Without it jobs would write to the root volume, where Docker makes the folder. The client's package is not in the
    ECS AMI, its kernel modules are.
    """
    return f"""\
#!/bin/bash
mkdir -p {LUSTRE}
until mountpoint --quiet {LUSTRE}; do
  if (( SECONDS > {MOUNT_SECONDS} )); then
    echo "{LUSTRE}: {file_system} cannot be mounted, so this instance takes no job" > /dev/console
    systemctl poweroff
    exit 1
  fi
  rpm --query --quiet lustre-client || dnf install --assumeyes lustre-client
  mount -t lustre -o relatime,flock '{file_system}' {LUSTRE} || sleep 10
done
"""


def _set(settings: Mapping[str, str]) -> str:
    """A script that tells the ECS agent its settings; appended, because Batch writes to the same file."""
    lines = "\n".join(f"{key}={value}" for key, value in settings.items())
    return f"#!/bin/bash\ncat >> /etc/ecs/ecs.config <<'END'\n{lines}\nEND\n"
