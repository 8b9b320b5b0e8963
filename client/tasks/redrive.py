"""`train task redrive`: give the tasks that failed for good back to their queue."""

import time
from pathlib import Path

from client import show, stack
from client.errors import TrainError

POLL_SECONDS = 1
ENDED = ("COMPLETED", "CANCELLED", "FAILED")


def run(name: str | None, path: Path | None, queue: str, *, as_json: bool) -> int:
    """Move all that waits in the dead-letter queue of a queue back into it, and wait until it is done.

    Raises:
        TrainError: when AWS does not move them, or not all.

    """
    with stack.opened(name, path) as opened:
        arn = opened.outputs.dead_letter_queue_arns[stack.chosen("queue", queue, opened.outputs.dead_letter_queue_arns)]
        sqs = opened.client("sqs")
        # without a destination each goes where it came from
        sqs.start_message_move_task(SourceArn=arn)
        while True:
            (move,) = sqs.list_message_move_tasks(SourceArn=arn, MaxResults=1)["Results"]
            if move["Status"] in ENDED:
                break
            time.sleep(POLL_SECONDS)
    moved = move.get("ApproximateNumberOfMessagesMoved", 0)
    if move["Status"] != "COMPLETED":
        raise TrainError(f"{move['Status']} after {moved} tasks: {move.get('FailureReason', 'no reason given')}")
    show.one({"queue": queue, "moved": moved}, f"{moved} tasks are back in {queue}", as_json=as_json)
    return 0
