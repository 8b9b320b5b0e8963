"""What the instances of a job queue run at their start."""

import email
import json
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
    configuration = tmp_path / "gpu-metrics.json"
    started = tmp_path / "started"
    program = tmp_path / "systemd-run"
    program.write_text(f"#!/bin/bash\nprintf '%s\\n' \"$@\" > '{started}'\n")
    program.chmod(0o755)
    subprocess.run(
        ["bash", "-c", script.replace("/etc/gpu-metrics.json", str(configuration))],
        check=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
    )
    assert json.loads(configuration.read_text()) == agent(MEASURED)
    *options, shell, flag, command = started.read_text().splitlines()
    assert all(one.startswith("--") for one in options)
    assert "--property=Restart=on-failure" in options
    assert (shell, flag) == ("bash", "-c")
    assert command.startswith("dnf install -y amazon-cloudwatch-agent && ")
    assert command.endswith(f" -s -c file:{configuration}")


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
