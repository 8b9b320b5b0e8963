"""`train image push`: build an image, push it to the repository of the stack, and say what to write."""

import base64
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from client import show, stack
from client.errors import TrainError
from client.stack import Stack

BUILDERS = ("docker", "podman")
"""What builds and pushes, the first that is there."""
WORKER = "worker"
PLATFORMS = {"X86_64": "linux/amd64", "ARM64": "linux/arm64"}
"""Architecture of a task definition -> how builders call it."""


def run(name: str | None, path: Path | None, image: str, folder: Path, *, tag: str | None, as_json: bool) -> int:
    """Build the image of a folder and push it.

    Args:
        name: the stack's.
        path: of its outputs.
        image: `worker`, or the job queue whose jobs run it.
        folder: where its Dockerfile is.
        tag: its tag; left out, one that nothing has yet, since tags of the repository never change.
        as_json: whether to show JSON.

    Raises:
        TrainError: when something is missing, or the builder fails.

    """
    if not any((folder / one).is_file() for one in ("Dockerfile", "Containerfile")):
        raise TrainError(f"PATH: must be a folder with a Dockerfile, got '{folder}'")
    if (builder := next(filter(None, map(shutil.which, BUILDERS)), None)) is None:
        raise TrainError("an image is built by docker or podman, and neither is on the PATH")
    with stack.opened(name, path) as opened:
        if image != WORKER:
            stack.chosen("NAME", image, {WORKER, *opened.outputs.batch_job_definition_arns})
        repository = opened.outputs.image_repository_url
        tag = tag or f"{image}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        reference = f"{repository}:{tag}"
        _call(builder, "build", "--platform", _platform(opened, image), "--tag", reference, str(folder))
        _sign_in(opened.client("ecr"), builder, repository.partition("/")[0])
        _call(builder, "push", reference)
    setting = f"workers.FLEET.imageTag: {tag}" if image == WORKER else f"batch.{image}.image: {reference}"
    show.one({"image": reference, "setting": setting}, reference, as_json=as_json)
    show.hint(f"write into the stack file, and deploy: {setting}")
    return 0


def _platform(opened: Stack, image: str) -> str:
    """What the image runs on; fleets say so, and GPU instances of Batch are x86 but for a few."""
    ecs = opened.client("ecs")
    found = {
        ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        .get("runtimePlatform", {})
        .get("cpuArchitecture", "X86_64")
        for arn in opened.outputs.ecs_task_definition_arns.values()
        if image == WORKER
    }
    return ",".join(sorted(PLATFORMS[one] for one in found)) or PLATFORMS["X86_64"]


def _sign_in(ecr: Any, builder: str, registry: str) -> None:
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    _call(builder, "login", "--username", user, "--password-stdin", registry, given=password)


def _call(builder: str, *arguments: str, given: str | None = None) -> None:
    """Let the builder do something; it says on standard error what it does."""
    done = subprocess.run(  # noqa: S603  what the person has to build images with
        [builder, *arguments],
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        stdout=2,
        text=True,
        check=False,
        env=os.environ,
    )
    if done.returncode:
        raise TrainError(f"{Path(builder).name} {arguments[0]} ended with status {done.returncode}")
