"""`python -m worker` works; `python -m worker --healthy` is the container's health check."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    # before the imports, which take longest: a worker that has begun nothing has nothing to finish
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: os._exit(0))

from worker.settings import Settings, SettingsError, from_environment

HEALTHY_SECONDS = 60
"""The age of the health file up to which the worker counts as alive."""


def main(arguments: list[str]) -> int:
    """Run the worker, or check it: 0 after a clean stop, 1 when no worker lives, 2 for a mistake in the settings."""
    if arguments == ["--healthy"]:
        return 0 if _is_healthy(Path(os.environ.get("WORKER_HEALTH_FILE", Settings.health_file))) else 1
    if arguments:
        return _mistakes([f"usage: python -m worker [--healthy], got {' '.join(arguments)}"])
    try:
        settings = from_environment(os.environ)
    except SettingsError as error:
        return _mistakes(error.mistakes)

    # after the checks, because boto3 takes most of a second to import
    from botocore.exceptions import BotoCoreError

    from worker.run import Worker

    try:
        worker = Worker(settings)
    except (BotoCoreError, ValueError) as error:
        return _mistakes([f"boto3: {error}"])
    return worker.run()


def _is_healthy(file: Path) -> bool:
    try:
        return time.time() - file.stat().st_mtime <= HEALTHY_SECONDS
    except OSError:
        return False


def _mistakes(mistakes: list[str]) -> int:
    for mistake in mistakes:
        print(mistake, file=sys.stderr)
    return 2


if __name__ == "__main__":
    code = main(sys.argv[1:])
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    # a thread that is still in a call to SQS must not hold up the exit
    os._exit(code)
