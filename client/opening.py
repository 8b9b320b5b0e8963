"""`train open`: pages of the AWS console, in the stack's partition and region."""

import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import typer

from client import fleets, show, stack
from client.options import Page
from client.stack import Stack


def run(name: str | None, path: Path | None, page: Page, what: str | None, *, as_json: bool) -> int:
    """Show the addresses of a page, and open them where somebody sits at a terminal.

    Raises:
        TrainError: when there is nothing of this name, or several to choose from.

    """
    with stack.opened(name, path) as opened:
        found = _addresses(opened, page, what)
    for address in found:
        show.one({"address": address}, address, as_json=as_json)
        if sys.stdout.isatty() and not as_json:
            typer.launch(address)
    return 0


def _addresses(opened: Stack, page: Page, what: str | None) -> list[str]:
    """One address; two of a queue where a job queue has the same name."""
    outputs = opened.outputs
    # the console of the region and partition is where the dashboard is
    console, query = outputs.dashboard_url.split("/cloudwatch/")[0], f"home?region={outputs.region}"
    if page == Page.DASHBOARD:
        return [outputs.dashboard_url]
    if page == Page.LOGS:
        groups = _log_groups(opened)
        # the console unquotes it twice, and has a sign of its own for the percent's
        group = quote(quote(groups[stack.chosen("logs", what, groups)], safe=""), safe="").replace("%", "$")
        return [f"{console}/cloudwatch/{query}#logsV2:log-groups/log-group/{group}"]
    chosen = stack.chosen("queue", what, {*outputs.queue_urls, *outputs.batch_job_queue_arns})
    found: list[str] = []
    if url := outputs.queue_urls.get(chosen):
        found.append(f"{console}/sqs/v3/{query}#/queues/{quote(url, safe='')}")
    if arn := outputs.batch_job_queue_arns.get(chosen):
        found.append(f"{console}/batch/{query}#queues/detail/{arn}")
    return found


def _log_groups(opened: Stack) -> Mapping[str, str]:
    """Job queue or fleet -> its log group; of a fleet and a job queue of one name, the fleet's is `NAME workers`."""
    groups = dict(opened.outputs.batch_log_groups)
    for fleet in opened.outputs.ecs_task_definition_arns:
        options = fleets.container(opened.client("ecs"), opened.outputs, fleet)["logConfiguration"]["options"]
        groups[f"{fleet} workers" if fleet in groups else fleet] = options["awslogs-group"]
    return groups
