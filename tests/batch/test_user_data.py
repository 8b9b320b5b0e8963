"""What the instances of a job queue run at their start."""

import email
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.batch.user_data import user_data


def parts(text: str) -> list[tuple[str, str]]:
    """Type and script of each part, of a document that is right as a whole."""
    document: Any = email.message_from_string(text)
    assert document.get_content_type() == "multipart/mixed"
    assert document.defects == []
    found = document.get_payload()
    assert all(one.defects == [] for one in found)
    return [(one.get_content_type(), one.get_payload()) for one in found]


EVERY = {
    (own, scratch): user_data(own_interfaces=own, scratch=scratch) for own in (False, True) for scratch in (False, True)
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


@pytest.mark.parametrize("text", EVERY.values(), ids=map(str, EVERY))
def test_every_script_passes_shellcheck(text: str) -> None:
    for _, script in parts(text):
        checked = subprocess.run(
            [Path(sys.executable).with_name("shellcheck"), "-"], input=script, capture_output=True, text=True
        )
        assert checked.returncode == 0, checked.stdout
