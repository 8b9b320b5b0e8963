"""The AWS that stays: started once, reached from everywhere, gone together with the state of it."""

import fcntl
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError

from local.aws import Aws
from local.kept import Kept, KeptError
from tests.conftest import REGION, ROOT

START = """
import pathlib, sys
from local.kept import Kept
print(Kept(pathlib.Path(sys.argv[1])).started(sys.argv[2]).endpoint_url)
"""


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path / "kept")
    yield kept
    kept.stop()


def start(kept: Kept, region: str = REGION) -> "subprocess.Popen[str]":
    """A process of its own that starts the AWS and ends."""
    command = [sys.executable, "-c", START, str(kept.folder), region]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def process_of(kept: Kept) -> int:
    return int((kept.folder / "aws").read_text().split()[0])


def test_two_who_start_it_at_once_get_the_same_which_outlives_both(kept: Kept) -> None:
    # one that was broken off before is no hindrance
    kept.folder.mkdir()
    (kept.folder / "aws").write_text("1\n")
    starting = [start(kept), start(kept)]
    addresses = {process.communicate()[0].strip() for process in starting}
    there = kept.there()
    assert addresses == {there.endpoint_url}
    queue = there.client("sqs").create_queue(QueueName="kept")["QueueUrl"]
    assert kept.there().client("sqs").list_queues()["QueueUrls"] == [queue]
    # Ctrl-C and the end of a terminal go to a session
    assert os.getsid(process_of(kept)) == process_of(kept)


def test_it_serves_all_regions_and_remembers_the_first(kept: Kept) -> None:
    start(kept, "eu-west-1").communicate()
    start(kept, "us-east-2").communicate()
    assert kept.there().region == "eu-west-1"
    for region in ("eu-west-1", "us-east-2"):
        aws = Aws(region, endpoint_url=kept.there().endpoint_url)
        wanted = [{"Name": "instance-type", "Values": ["g5.xlarge"]}]
        assert aws.client("ec2").describe_instance_type_offerings(Filters=wanted)["InstanceTypeOfferings"]


def test_stop_ends_it_and_forgets_the_state(kept: Kept) -> None:
    start(kept).communicate()
    aws = kept.there()
    aws.client("sqs").list_queues()
    (kept.folder / "state").mkdir()
    assert kept.stop()
    assert not kept.folder.exists()
    with pytest.raises(EndpointConnectionError):
        aws.client("sqs").list_queues()
    assert not kept.stop()


def test_a_state_whose_aws_is_gone_says_what_to_do(kept: Kept) -> None:
    start(kept).communicate()
    os.kill(process_of(kept), signal.SIGKILL)
    with (kept.folder / "aws").open() as mark:
        # until the system has taken the process down
        fcntl.flock(mark, fcntl.LOCK_SH)
    line = "the AWS that the state in .local describes has ended; `python -m local stop` clears the state, too"
    for ask in (kept.there, lambda: kept.started(REGION)):
        with pytest.raises(KeptError, match=f"^{re.escape(line)}$"):
            ask()
    assert kept.stop()
    assert start(kept).communicate()[1] == ""


def test_an_aws_of_a_process_is_reached_as_long_as_it_lives(kept: Kept, aws: Aws) -> None:
    with kept.given(aws) as reached:
        assert reached
        assert kept.there().endpoint_url == aws.endpoint_url
        assert start(kept).communicate()[0].strip() == aws.endpoint_url
    assert not kept.folder.exists()


def test_an_aws_of_a_process_does_not_take_the_place_of_one_that_is_there(kept: Kept, aws: Aws) -> None:
    start(kept).communicate()
    before = kept.there().endpoint_url
    with kept.given(aws) as reached:
        assert not reached
        assert kept.there().endpoint_url == before
    assert kept.there().endpoint_url == before
