"""`train task results`: what became of tasks, as the workers answered."""

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from client import show, stack
from client.errors import TrainError
from client.fleets import fleets
from client.stack import Stack
from client.tasks.looking import Look, looking

NAME = "results"
"""The queue that the reference workers answer on."""
LOOK_SECONDS = 2
"""How long a look at a queue waits for the next message before there is none."""
FOLLOW_SECONDS = 20
"""The longest wait of SQS."""


def run(
    name: str | None,
    path: Path | None,
    *,
    ids: Sequence[str],
    file: Path | None,
    queue: str | None,
    follow: bool,
    take: bool,
    as_json: bool,
) -> int:
    """Show results; 1 when a task failed or, of those that are asked for, has no result.

    Raises:
        TrainError: when AWS cannot be asked, or the file cannot be read.

    """
    wanted = dict.fromkeys([*ids, *(_ids(file) if file else ())])
    failed, shown = False, 0
    with stack.opened(name, path) as opened:
        url = opened.outputs.queue_urls[_queue(opened, queue)]
        sqs = opened.client("sqs")
        with looking(sqs, url) as look:
            try:
                for message, result in _results(look, wanted, follow=follow):
                    failed |= result.get("status") != "succeeded"
                    shown += 1
                    show.one(result, _line(result), as_json=as_json)
                    if take:
                        look.take(message)
            finally:
                if look.held:
                    show.hint(_left(sqs, url, look.held))
        if wanted:
            raise TrainError("\n".join(f"'{one}': has no result yet" for one in wanted))
        if not shown:
            show.hint("no results are there")
    return int(failed)


def _queue(opened: Stack, given: str | None) -> str:
    """The name of the queue with the results: the one that is given, or the only one that workers answer on."""
    urls = opened.outputs.queue_urls
    if given is None:
        names = {url: name for name, url in urls.items()}
        there = fleets(opened.client("ecs"), opened.outputs) if opened.outputs.ecs_task_definition_arns else ()
        answering = {names[one.results_url] for one in there if one.results_url in names}
        return stack.chosen("--queue", None, answering or {*urls} & {NAME} or urls)
    return stack.chosen("--queue", given, urls)


def _ids(file: Path) -> Iterator[str]:
    """The ids of tasks in a file, each as it was sent or as a line of its own."""
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            task = _parsed(line)
            if not isinstance(task.get("id"), str):
                raise TrainError(f"{file}, line {number}: must be a task with an id, got {line.strip()[:60]!r}")
            yield task["id"]


def _results(look: Look, wanted: dict[str, None], *, follow: bool) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each result that is asked for, with its message; those that came are no longer in `wanted`."""
    some = bool(wanted)
    while True:
        found = look.messages(FOLLOW_SECONDS if follow else LOOK_SECONDS)
        for message in found:
            result = _parsed(message["Body"])
            if not some or result.get("id") in wanted:
                yield message, result or {"body": message["Body"]}
                wanted.pop(result.get("id", ""), None)
        if (some and not wanted) or (not found and not follow):
            return


def _parsed(text: str) -> dict[str, Any]:
    try:
        result = json.loads(text)
    except ValueError:
        return {}
    return cast("dict[str, Any]", result) if isinstance(result, dict) else {}


def _line(result: dict[str, Any]) -> str:
    if "status" not in result:
        return f"no result of a task: {' '.join(json.dumps(result).split())}"
    seconds = f"{result.get('durationSeconds', 0):.1f} s"
    output: Collection[str] = result.get("output") or [""]
    said = result.get("reason") or list(output)[-1]
    return "  ".join(filter(None, (str(result["status"]), str(result.get("id")), seconds, " ".join(str(said).split()))))


def _left(sqs: Any, url: str, count: int) -> str:
    """What is said of results that are put back."""
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"]).get("Attributes", {})
    most = json.loads(attributes.get("RedrivePolicy", "{}")).get("maxReceiveCount")
    after = f": each look counts, and after {most} SQS moves a result to the dead-letter queue" if most else ""
    return f"{count} put back for other readers{after}; --take takes those that are shown out of the queue"
