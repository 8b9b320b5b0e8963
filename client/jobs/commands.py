"""What may be typed after `train job`."""

from typing import Annotated

import typer

from client.options import AsJson, OutputsFile, StackName, group

app = group("submit jobs to AWS Batch, wait for them, read their logs, stop them")

JobId = Annotated[str, typer.Argument(metavar="ID", help="the job's id, as `train job submit` printed it")]
Node = Annotated[int | None, typer.Option(metavar="NUMBER", help="this node alone, 0 is the main one", min=0)]


@app.command(short_help="submit a job")
def submit(
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help="the job queue's name in the stack file")],
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND", help="what each node runs (what the stack file says)", show_default=False),
    ] = None,
    nodes: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="nodes, on a queue of multi-node jobs (what it says)", min=1)
    ] = None,
    share: Annotated[str | None, typer.Option(metavar="NAME", help="its share, on a queue with fair share")] = None,
    env: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="an environment variable; again for more")
    ] = None,
    job_name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="its name (the queue's and the time)")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="follow it to its end, and end with its exit status")] = False,
    stack: StackName = None,
    outputs: OutputsFile = None,
    as_json: AsJson = False,
) -> int:
    """Submit a job, and print its id.

    All is checked by the queue and its job definition before anything is submitted.
    """
    from client.jobs import submitting

    wanted = submitting.Wanted(queue, command or [], nodes, share, env or [], job_name)
    return submitting.run(stack, outputs, wanted, wait=wait, as_json=as_json)


@app.command("list", short_help="list the jobs that AWS remembers")
def list_(
    queue: Annotated[str | None, typer.Argument(metavar="QUEUE", help="of this job queue alone (all)")] = None,
    stack: StackName = None,
    outputs: OutputsFile = None,
    as_json: AsJson = False,
) -> int:
    """List the jobs of the stack, the newest first; AWS forgets them about a week after their end."""
    from client.jobs import listing

    return listing.run(stack, outputs, queue, as_json=as_json)


@app.command(short_help="say how a job stands")
def show(job: JobId, stack: StackName = None, outputs: OutputsFile = None, as_json: AsJson = False) -> int:
    """Say how a job stands, what it runs, and how its attempts ended."""
    from client.jobs import listing

    return listing.show_one(stack, outputs, job, as_json=as_json)


@app.command(short_help="read what a job wrote")
def logs(
    job: JobId,
    follow: Annotated[bool, typer.Option("--follow", help="go on to its end, and end with its exit status")] = False,
    node: Node = None,
    stack: StackName = None,
    outputs: OutputsFile = None,
    as_json: AsJson = False,
) -> int:
    """Read what the nodes of a job wrote; where there are several, each line begins with its node."""
    from client.jobs import following

    return following.run(stack, outputs, job, node=node, follow=follow, as_json=as_json)


@app.command(short_help="stop a job")
def cancel(job: JobId, stack: StackName = None, outputs: OutputsFile = None, as_json: AsJson = False) -> int:
    """Stop a job, whether it waits or runs: its nodes get SIGTERM, and SIGKILL 30 seconds later."""
    from client.jobs import cancelling

    return cancelling.run(stack, outputs, job, as_json=as_json)


@app.command(short_help="say what a job has cost")
def cost(job: JobId, stack: StackName = None, outputs: OutputsFile = None, as_json: AsJson = False) -> int:
    """Say what the instances of a job have cost while it ran, by list prices.

    Spot costs less than its list price, by how much is not known. What is not counted: the time in which an instance
    starts and in which it waits for a next job, storage and traffic.
    """
    from client.jobs import costs

    return costs.run(stack, outputs, job, as_json=as_json)
