"""What may be typed after `train image`."""

from pathlib import Path
from typing import Annotated

import typer

from client.options import AsJson, OutputsFile, StackName, group

app = group("build images and push them to the repository of the stack")


@app.command(short_help="build an image, and push it")
def push(
    name: Annotated[str, typer.Argument(metavar="worker|NAME", help="`worker`, or a job queue in the stack file")],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="the folder with its Dockerfile")],
    tag: Annotated[
        str | None, typer.Option(metavar="TAG", help="its tag (NAME and the time)", show_default=False)
    ] = None,
    stack: StackName = None,
    outputs: OutputsFile = None,
    as_json: AsJson = False,
) -> int:
    """Build an image with docker or podman, push it, and say what to write into the stack file."""
    from client.images import pushing

    return pushing.run(stack, outputs, name, path, tag=tag, as_json=as_json)
