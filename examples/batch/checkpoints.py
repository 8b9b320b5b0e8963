"""Checkpoints of one run: a checkpoint is there as a whole or not at all, and the newest is found again."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STEP_DIGITS = 12


class Checkpoints:
    """The checkpoints under `checkpoints/RUN/`, one object per step.

    S3 shows an object only once all of it is there: what breaks off in the middle of an upload leaves nothing behind
    but parts, which the bucket's lifecycle removes.
    """

    def __init__(self, s3: Any, bucket: str, run: str) -> None:
        self._s3, self._bucket, self._prefix = s3, bucket, f"checkpoints/{run}/"

    def newest(self) -> int | None:
        """The highest step that has a checkpoint; None at the beginning of a run."""
        return max(self._steps(), default=None)

    def save(self, file: Path, step: int) -> None:
        """Upload a file as the checkpoint of a step."""
        self._s3.upload_file(str(file), self._bucket, self._key(step))

    def load(self, step: int, file: Path) -> None:
        """Download the checkpoint of a step."""
        self._s3.download_file(self._bucket, self._key(step), str(file))

    def _key(self, step: int) -> str:
        return f"{self._prefix}{step:0{STEP_DIGITS}d}.pt"

    def _steps(self) -> Iterator[int]:
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix):
            for found in page.get("Contents", []):
                if match := re.fullmatch(r"(\d+)\.pt", found["Key"].removeprefix(self._prefix)):
                    yield int(match[1])


class CheckpointFolder:
    """The same in a folder that outlives the host, such as `/lustre`: `checkpoints/RUN/` below it.

    A file takes its name only once all of it is written. On a file system linked to the bucket these are the same
    checkpoints as those of `Checkpoints`.
    """

    def __init__(self, folder: Path, run: str) -> None:
        self._folder = folder / "checkpoints" / run

    def newest(self) -> int | None:
        """The highest step that has a checkpoint; None at the beginning of a run."""
        return max((int(file.stem) for file in self._folder.glob("*.pt") if file.stem.isdecimal()), default=None)

    def save(self, file: Path, step: int) -> None:
        """Copy a file as the checkpoint of a step."""
        self._folder.mkdir(parents=True, exist_ok=True)
        there = self._file(step)
        shutil.copyfile(file, part := there.with_suffix(".part"))
        part.replace(there)

    def load(self, step: int, file: Path) -> None:
        """Copy the checkpoint of a step to a file."""
        shutil.copyfile(self._file(step), file)

    def _file(self, step: int) -> Path:
        return self._folder / f"{step:0{STEP_DIGITS}d}.pt"


def checkpoints_of(place: str, run: str, *, s3: Any, bucket: str) -> Checkpoints | CheckpointFolder:
    """The checkpoints of a run in the bucket, where the place is `s3`, or else in the folder that it names."""
    return Checkpoints(s3, bucket, run) if place == "s3" else CheckpointFolder(Path(place), run)
