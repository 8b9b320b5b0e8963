"""The AWS that stays between calls, in a folder that also holds Pulumi's state of it: the two live and end together."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

from local.aws import Aws

FOLDER = ".local"
"""Name of the folder, in the project's root; git ignores it."""


class KeptError(Exception):
    """There is no AWS to be had here; the message says what to do."""


class Kept:
    """A folder and the AWS that belongs to it.

    Whoever is this AWS holds a lock on the file `aws` for life: so it is known to be there, whatever ended it. The file
    has its process, its region and its address, each in a line.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "aws"

    def started(self, region: str) -> Aws:
        """The AWS, started in a region where there is none yet.

        Raises:
            KeptError: when it has ended, or does not start.

        """
        with self._alone():
            if not self._file.exists():
                self._start(region)
            return self.there()

    def there(self) -> Aws:
        """The AWS that was started before.

        Raises:
            KeptError: when it has ended.

        """
        said = self._file.read_text(encoding="utf-8").split()
        if not self._lives() or len(said) < len(("process", "region", "address")):
            raise KeptError(
                f"the AWS that the state in {FOLDER} describes has ended; `python -m local stop` clears the state, too"
            )
        _, region, endpoint_url = said
        return Aws(region, endpoint_url=endpoint_url)

    @contextmanager
    def given(self, aws: Aws) -> Generator[bool]:
        """Let an AWS of this process be the one as long as it lives; whether it is, and not another that was before."""
        with self._alone():
            mark = None if self._file.exists() else self._file.open("w", encoding="utf-8")
            if mark is not None:
                fcntl.flock(mark, fcntl.LOCK_EX)
                mark.write(f"{os.getpid()}\n{aws.region}\n{aws.endpoint_url}\n")
                mark.flush()
        if mark is None:
            yield False
            return
        try:
            with mark:
                yield True
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self) -> bool:
        """End the AWS and forget the state; whether there was any."""
        there = self._file.exists()
        if there and self._lives():
            os.kill(int(self._file.read_text(encoding="utf-8").split()[0]), signal.SIGTERM)
            with self._file.open(encoding="utf-8") as mark:
                # free when the process has ended
                fcntl.flock(mark, fcntl.LOCK_SH)
        shutil.rmtree(self.folder, ignore_errors=True)
        return there

    def _start(self, region: str) -> None:
        with self._file.open("w", encoding="utf-8") as mark, (self.folder / "aws.log").open("w") as log:
            fcntl.flock(mark, fcntl.LOCK_EX)
            # a session of its own: neither Ctrl-C nor the end of the terminal reaches it
            process = subprocess.Popen(
                [sys.executable, "-m", "local.moto_process", region, "managed-policies", "kept"],
                cwd=Path(__file__).parents[1],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
                # the lock goes on with it
                pass_fds=[mark.fileno()],
            )
            mark.write(f"{process.pid}\n")
            mark.flush()
            port = cast("TextIO", process.stdout).readline().strip()
            if not port:
                raise KeptError(f"the local AWS does not start; {FOLDER}/{log.name.rpartition('/')[2]} says why")
            mark.write(f"{region}\nhttp://127.0.0.1:{port}\n")

    def _lives(self) -> bool:
        with self._file.open(encoding="utf-8") as mark:
            try:
                fcntl.flock(mark, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    @contextmanager
    def _alone(self) -> Generator[None]:
        """Make the folder, and let no second call start an AWS meanwhile."""
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "turn").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            yield
