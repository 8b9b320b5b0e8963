"""What may be typed after `train launcher`."""

from typing import Annotated

import typer

from client.options import OutputsFile, StackName, group

app = group("configure another launcher for this stack")


@app.command(short_help="Metaflow on a job queue")
def metaflow(
    queue: Annotated[
        str | None, typer.Argument(metavar="QUEUE", help="a job queue in the stack file (the only one)")
    ] = None,
    stack: StackName = None,
    outputs: OutputsFile = None,
) -> int:
    """Print a configuration of Metaflow, for `~/.metaflowconfig/config.json`, or `config_NAME.json` beside it.

    Whoever runs flows registers job definitions and reads the bucket, which the policy for people does not let them.
    """
    from client.launchers import metaflow as command

    return command.run(stack, outputs, queue)


@app.command(short_help="SkyPilot on the EKS cluster")
def skypilot(stack: StackName = None, outputs: OutputsFile = None) -> int:
    """Print a configuration of SkyPilot, for `~/.sky/config.yaml`.

    SkyPilot finds the cluster in the kubeconfig that `train cluster kubeconfig` prints, and GPUs that no node has yet
    by the label of their node group.
    """
    from client.launchers import skypilot as command

    return command.run(stack, outputs)
