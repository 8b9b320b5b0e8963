"""The reference worker: what a worker of this project, a task of ECS, runs as ``python -m worker``.

It takes tasks from one SQS queue, runs each as a child process, answers on a results queue and deletes what it has
answered for.

A task is a JSON object in a message of the tasks queue, at most 256 KiB::

    {"id": "prepare-0007", "command": ["python", "prepare.py", "--shard", "7"],
     "env": {"SHARD": "7"}, "timeoutSeconds": 900}

`env` and `timeoutSeconds` may be left out; any other field is refused. The id goes where SQS wants a group id, so it is
1 to 128 letters, digits and punctuation.

The result is a JSON object in a message of the results queue, with the task's id as group and the task's message id as
deduplication id; a results queue that takes no message so long gets it without output::

    {"id": "prepare-0007", "status": "succeeded" | "failed" | "timedOut", "exitCode": 0, "reason": null,
     "durationSeconds": 12.345, "output": ["last", "lines"], "receiveCount": 1, "messageId": "..."}

`exitCode` is negative for a child that a signal ended, and null when there was none. `reason` says why a task did not
succeed. What ends how:

=============================  ===================================  ===========================================
the child or the message       is answered                          and then
=============================  ===================================  ===========================================
exits 0                        at once, `succeeded`                 deleted
exits otherwise, cannot start  on its last failure, `failed`        comes back after a wait that doubles
holds too much memory          the same                             the same
outlives its time              on its last failure, `timedOut`      the same
is stopped by the drain        on its last receive, `failed`        comes back at once
has failed for good            was answered                         comes back at once, unrun, and so reaches the
                                                                    dead-letter queue without holding its group up
bad body                       on its first and its last receive,   the same
                               `failed`
lease lost                     not: another worker has the task     is left alone, the child is killed
=============================  ===================================  ===========================================

The last failure is that which reaches `WORKER_MAX_FAILURES`. The workers count failures in S3 (`WORKER_RECORDS_URL`),
because SQS counts receives, and those that a stopped or killed worker gave back are among them; a record that cannot be
read or written counts as no failure. The last receive is the one whose ApproximateReceiveCount reaches the queue's
`maxReceiveCount`, after which SQS moves the message to the dead-letter queue: it is larger, and ends a task that kills
its workers. Where no failures are counted, each receive is one.

A failed attempt that will be tried again sends no result: its deduplication id would make SQS drop that of the attempt
that succeeds. A queue without redrive policy has no last failure, and so no answer to a task that never succeeds. A
worker that is killed on a task's last receive cannot answer either: the message in the dead-letter queue is then the
only trace.

Delivery is at least once. A worker that dies between the child's end and the delete leaves the task to be run again, so
commands are to be idempotent; within 5 minutes SQS drops the second result.

Whatever a task started ends with it, in whatever process group or session it is, and with the worker too, however that
ends; macOS knows only the command's own process group. Its output goes to the log up to a limit, and its last lines to
the result. Its memory may be limited.

The child sees the worker's environment without `WORKER_*` and `ECS_AGENT_URI`, then a `TMPDIR` of its own, which is
removed when the task ends, then the task's `env`, then `TASK_ID` and `TASK_RECEIVE_COUNT`. Senders to the queue may run
any command with the task role's rights: `sqs:SendMessage` on it is that permission. What `env` refuses (credentials,
`WORKER_*`) is refused not for safety but because a credential in a message would be kept for days in two queues and
their backups, and because it would silently change who the child is.

The environment variables of the worker itself are in `worker.settings`. It imports boto3 and itself, and nothing of the
other rooms, which are not in its image.
"""
