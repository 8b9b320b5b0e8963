"""What may be typed after `train cluster`."""

from pathlib import Path
from typing import Annotated

import typer

from client.options import AsJson, OutputsFile, StackName, group

app = group("use the EKS cluster")


@app.command(short_help="print the kubeconfig of the cluster, or write it")
def kubeconfig(
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write it there; another file is not overwritten")
    ] = None,
    stack: StackName = None,
    outputs: OutputsFile = None,
) -> int:
    """Print the kubeconfig of the cluster, or write it; it asks the AWS CLI for a token, and holds no credential."""
    from client.cluster import kubeconfig as command

    return command.run(stack, outputs, file)


@app.command(short_help="list the nodes that there are")
def nodes(stack: StackName = None, outputs: OutputsFile = None, as_json: AsJson = False) -> int:
    """List the instances of the node groups, by EC2: it works where the Kubernetes API cannot be reached, too."""
    from client.cluster import nodes as command

    return command.run(stack, outputs, as_json=as_json)


@app.command(short_help="submit a job to the cluster")
def submit(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="manifests, such as examples/eks/job.yaml")],
    job_name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="the job's name (that in its file)")
    ] = None,
    stack: StackName = None,
    outputs: OutputsFile = None,
    as_json: AsJson = False,
) -> int:
    """Check the manifests of a job, and create it by `kubectl`; what is no job is applied first.

    A job that says nothing of resources gets a whole node of its group for each pod: CPU, memory, accelerators, EFA,
    shared memory and NCCL's environment. A job must be in the namespace `training`, have the service account `trainer`,
    tolerate the taints of its nodes, of which one is `node-group`, and have a deadline.
    """
    from client.cluster import submitting

    return submitting.run(stack, outputs, files, job_name=job_name, as_json=as_json)
