"""Checkpoints of one run in a bucket: a checkpoint is there as a whole or not at all, and the newest is found again."""

import re
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
