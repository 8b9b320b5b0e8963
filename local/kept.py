"""The AWS that keeps running between commands, in a folder that also holds Pulumi's state of it: both end together."""

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

from local import interrupt
from local.aws import Aws

FOLDER = ".local"
"""Name of the folder, in the project's root; git ignores it."""
FILE = ("process", "region", "address")
"""The lines of the file `aws`."""


class KeptError(Exception):
    """The AWS cannot be used; the message says what to do."""


class Kept:
    """A folder and the AWS that belongs to it.

    The process of this AWS holds a lock on the file `aws` as long as it runs: so it is known whether it still runs,
    whatever ended it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "aws"

    def started(self, region: str) -> Aws:
        """The AWS; started in this region if there is none yet.

        Raises:
            KeptError: when it has ended, or does not start.

        """
        with self._alone():
            if not self._file.exists() or self._was_broken_off():
                self._start(region)
            return self.there()

    def there(self) -> Aws:
        """The AWS that was started before.

        Raises:
            KeptError: when it has ended.

        """
        if not self._lives() or len(said := self._said()) < len(FILE):
            raise KeptError(
                f"the AWS that the state in {FOLDER} describes has ended; `python -m local stop` clears the state, too"
            )
        _, region, endpoint_url = said
        return Aws(region, endpoint_url=endpoint_url)

    @contextmanager
    def given(self, aws: Aws) -> Generator[bool]:
        """Let this process's AWS be the kept one during the block; yields False when there is another one."""
        with self._alone():
            mark = None if self._file.exists() else self._file.open("w", encoding="utf-8")
            if mark is not None:
                fcntl.flock(mark, fcntl.LOCK_EX)
                mark.write(f"{os.getpid()}\n{aws.region}\n{aws.endpoint_url}\n")
                mark.flush()
        if mark is None:
            yield False
            return
        with mark, interrupt.undone(lambda: shutil.rmtree(self.folder, ignore_errors=True)):
            yield True

    def stop(self) -> bool:
        """End the AWS and delete the state; return whether there was an AWS."""
        there = self._file.exists()
        # an interruption must not leave half of the folder
        with interrupt.held():
            if there and self._lives():
                os.kill(int(self._said()[0]), signal.SIGTERM)
                with self._file.open(encoding="utf-8") as mark:
                    # waits until the process has ended
                    fcntl.flock(mark, fcntl.LOCK_SH)
            shutil.rmtree(self.folder, ignore_errors=True)
        return there

    def _start(self, region: str) -> None:
        with self._file.open("w", encoding="utf-8") as mark, (self.folder / "aws.log").open("w") as log:
            fcntl.flock(mark, fcntl.LOCK_EX)
            process = interrupt.start(
                [sys.executable, "-m", "local.moto_process", region, "managed-policies", "kept"],
                cwd=Path(__file__).parents[1],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                # the process inherits the lock
                pass_fds=[mark.fileno()],
            )
            mark.write(f"{process.pid}\n")
            mark.flush()
            port = cast("TextIO", process.stdout).readline().strip()
            if not port:
                raise KeptError(f"the local AWS does not start; {FOLDER}/{log.name.rpartition('/')[2]} says why")
            with interrupt.held():
                mark.write(f"{region}\nhttp://127.0.0.1:{port}\n")
                mark.flush()
                interrupt.leave(process)

    def _said(self) -> list[str]:
        return self._file.read_text(encoding="utf-8").split()

    def _was_broken_off(self) -> bool:
        """Whether an AWS was started, and ended before it listened."""
        return len(self._said()) < len(FILE) and not self._lives()

    def _lives(self) -> bool:
        with self._file.open(encoding="utf-8") as mark:
            try:
                fcntl.flock(mark, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    @contextmanager
    def _alone(self) -> Generator[None]:
        """Create the folder, and let no other command start an AWS during the block."""
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "turn").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            yield
