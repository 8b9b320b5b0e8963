"""`train task` against the local AWS: what is sent, what comes back, and what is left where it was."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from client.account import Account, asking
from client.errors import TrainError
from client.tasks import dead, results, sending
from local.aws import Aws
from tests.client_support import Train, TrainWith
from tests.conftest import REGION, ROOT, RunStack

SECTIONS: dict[str, Any] = {
    "queues": {"tasks": {}, "results": {}, "plain": {"fifo": False}, "exact": {"contentBasedDeduplication": False}},
    "workers": {"prepare": {"queue": "tasks", "maxTaskSeconds": 1800}},
}


@pytest.fixture(scope="module", name="deployed")
def _deployed(run_sections: RunStack) -> dict[str, Any]:
    return run_sections(SECTIONS, preview=False).exports


@pytest.fixture
def exports(deployed: dict[str, Any], aws: Aws) -> Iterator[dict[str, Any]]:
    """What the stack exports, in whose queues nothing waits."""
    yield deployed
    for url in (*deployed["queue_urls"].values(), *deployed["dead_letter_queue_urls"].values()):
        received(aws, url)


@pytest.fixture
def train(train_with: TrainWith, exports: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Train:
    # here a look need not wait for servers that have not said yet what they have
    for module in (results, dead):
        monkeypatch.setattr(module, "LOOK_SECONDS", 0)
    return train_with(exports, "task")


def received(aws: Aws, url: str) -> list[dict[str, Any]]:
    """All that is in a queue, taken out of it."""
    sqs, found = aws.client("sqs"), list[dict[str, Any]]()
    while some := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0, MessageSystemAttributeNames=["All"]
    ).get("Messages"):
        for one in some:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
        found += some
    return found


def waiting(aws: Aws, url: str) -> tuple[int, int]:
    """How many messages of a queue are there for all, and how many somebody has."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(attributes[names[0]]), int(attributes[names[1]])


def answer(aws: Aws, exports: dict[str, Any], *ids: str, status: str = "succeeded") -> None:
    """Results of tasks, as a worker sends them."""
    for one in ids:
        body = {"id": one, "status": status, "exitCode": 0, "reason": None, "durationSeconds": 1.25, "output": [one]}
        aws.client("sqs").send_message(
            QueueUrl=exports["queue_urls"]["results"], MessageBody=json.dumps(body), MessageGroupId=one
        )


# send


def test_a_task_is_sent_as_the_worker_takes_it_and_its_id_is_said(
    train: Train, aws: Aws, exports: dict[str, Any]
) -> None:
    status, out, err = train("send", "tasks", "--timeout", "15m", "--", "python", "prepare.py", "--shard", "7")
    (message,) = received(aws, exports["queue_urls"]["tasks"])
    body = json.loads(message["Body"])
    assert (status, out, err) == (0, [body["id"]], [])
    assert body == {
        "id": body["id"],
        "command": ["python", "prepare.py", "--shard", "7"],
        "timeoutSeconds": 900,
    }
    # a task holds up no other
    assert message["Attributes"]["MessageGroupId"] == body["id"]


def test_tasks_of_a_group_stay_in_order(train: Train, aws: Aws, exports: dict[str, Any]) -> None:
    for number in ("1", "2"):
        assert train("send", "tasks", "--group", "run", "--id", number, "--", "true")[0] == 0
    found = received(aws, exports["queue_urls"]["tasks"])
    assert [json.loads(one["Body"])["id"] for one in found] == ["1", "2"]
    assert {one["Attributes"]["MessageGroupId"] for one in found} == {"run"}


@pytest.mark.parametrize("queue", ["plain", "exact"])
def test_queues_of_every_kind_take_tasks(queue: str, train: Train, aws: Aws, exports: dict[str, Any]) -> None:
    assert train("send", queue, "--id", "one", "--", "true")[:2] == (0, ["one"])
    (message,) = received(aws, exports["queue_urls"][queue])
    assert json.loads(message["Body"]) == {"id": "one", "command": ["true"]}


def test_a_file_of_tasks_is_sent_in_its_order_in_batches(
    train: Train, aws: Aws, exports: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "tasks.jsonl"
    lines = [json.dumps({"id": f"t-{number}", "command": ["true"]}) for number in range(25)]
    file.write_text("\n".join(["", *lines, ""]))
    status, out, err = train("send", "plain", "--file", str(file), "--timeout", "60")
    assert (status, out, err) == (0, [f"t-{number}" for number in range(25)], [])
    bodies = [json.loads(one["Body"]) for one in received(aws, exports["queue_urls"]["plain"])]
    assert sorted(one["id"] for one in bodies) == sorted(out)
    assert {one["timeoutSeconds"] for one in bodies} == {60}


def test_tasks_that_are_too_large_together_go_in_several_batches() -> None:
    body = "x" * 200_000
    messages = [sending.Message("", str(number), body) for number in range(12)]
    batches = list(sending.batches(messages))
    assert [len(one) for one in batches] == [5, 5, 2]
    assert [one for batch in batches for one in batch] == messages


def test_json_names_each_task(train: Train) -> None:
    status, out, _ = train("send", "tasks", "--id", "one", "--json", "--", "true")
    assert (status, [json.loads(line) for line in out]) == (0, [{"id": "one", "queue": "tasks"}])


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["tasks"], r"a command: is required after --, as in: train task send tasks -- python prepare\.py"),
        (["tasks", "--timeout", "soon", "--", "a"], r"--timeout: must be a number of seconds, .* got 'soon'"),
        (
            ["tasks", "--timeout", "1h", "--", "a"],
            r"timeoutSeconds: must be a whole number from 1 to 1800, got 3600; longer work is a Batch job",
        ),
        (["tasks", "--id", "a b", "--", "a"], r"id: must be 1 to 128 letters, digits and punctuation, got 'a b'"),
        (["plain", "--group", "a", "--", "a"], r"--group: must be left out, since 'plain' is no FIFO queue .* got 'a'"),
        (["tasks", "--group", "", "--", "a"], r"--group: must be 1 to 128 letters, digits and punctuation, got ''"),
        (["results", "--", "a"], r"queue: 'results' is where workers answer; send the task to the queue they work on"),
        (["tasks", "--file", "/nowhere"], r"/nowhere: cannot be read: No such file or directory"),
        (["tasks", "--file", "/dev/null"], r"--file: must hold at least one task, got none"),
        (["tasks", "--file", "a", "--", "b"], r"--file: has commands and ids of its own; leave out --id and .*"),
        (["tasks", "--", "x" * 131_072], r"command\[0\]: must be at most 131071 bytes, got 131072"),
    ],
)
def test_what_a_worker_would_refuse_is_not_sent(
    arguments: list[str], line: str, train: Train, aws: Aws, exports: dict[str, Any]
) -> None:
    status, out, err = train("send", *arguments)
    assert (status, out, len(err)) == (1, [], 1)
    assert re.fullmatch(f"error: {line}", err[0]), err
    assert waiting(aws, exports["queue_urls"]["tasks"]) == (0, 0)


def test_every_mistake_of_a_file_is_said_with_its_line_and_nothing_is_sent(
    train: Train, aws: Aws, exports: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_text(
        '{"id": "a", "command": ["true"]}\n'
        "{\n"
        '{"id": "a", "command": ["false"]}\n'
        '{"command": "true", "when": "now"}\n'
        "[]\n"
        '{"id": "b", "command": ["true"], "env": {"AWS_SESSION_TOKEN": "x"}}\n'
    )
    status, out, err = train("send", "tasks", "--file", str(file))
    assert (status, out) == (1, [])
    found = [line.removeprefix(f"error: {file}, ") for line in err]
    assert found[0].startswith("line 2: must be JSON: ")
    assert found[1:] == [
        f"line 3: id: must differ from that of {file}, line 1, got 'a'",
        "line 4: 'when': is no field of a task; there are id, command, env, timeoutSeconds",
        "line 4: command: must be a list of at least one string, got 'true'",
        "line 5: a task: must be a JSON object, got []",
        "line 6: env.'AWS_SESSION_TOKEN': is the worker's or a credential, which no message may carry",
    ]
    assert waiting(aws, exports["queue_urls"]["tasks"]) == (0, 0)


def test_what_sqs_refuses_of_a_batch_is_said_by_line_and_nothing_goes_after_it() -> None:
    class Sqs:
        calls = 0

        def send_message_batch(self, **_: Any) -> dict[str, Any]:
            self.calls += 1
            refused = [{"Id": "3", "Code": "InternalError", "Message": "try again", "SenderFault": False}]
            return {"Successful": [], "Failed": refused if self.calls == 2 else []}

    messages = [sending.Message(f"f, line {number}: ", f"t-{number}", "{}") for number in range(30)]
    first, second, _ = sending.batches(messages)
    sqs = Sqs()
    sending.send_batch(sqs, "url", first, [], fifo=True, group=None)
    with pytest.raises(TrainError) as raised:
        sending.send_batch(sqs, "url", second, first, fifo=True, group=None)
    assert str(raised.value).splitlines() == [
        "f, line 13: 't-13' is not sent: InternalError: try again",
        "19 tasks are sent, and none after these",
    ]


# results


def test_results_are_shown_and_put_back(train: Train, aws: Aws, exports: dict[str, Any]) -> None:
    answer(aws, exports, "one", "two")
    status, out, err = train("results")
    assert (status, sorted(out)) == (0, ["succeeded  one  1.2 s  one", "succeeded  two  1.2 s  two"])
    assert err == [
        (
            "2 put back for other readers: each look counts, and after 5 SQS moves a result to the dead-letter queue;"
            " --take takes those that are shown out of the queue"
        )
    ]
    assert waiting(aws, exports["queue_urls"]["results"]) == (2, 0)


def test_a_result_that_is_taken_is_gone_and_those_of_others_stay(
    train: Train, aws: Aws, exports: dict[str, Any]
) -> None:
    answer(aws, exports, "one", "two", "three")
    status, out, err = train("results", "--id", "two", "--take", "--json")
    assert (status, [json.loads(line)["id"] for line in out]) == (0, ["two"])
    assert err[0].startswith("2 put back")
    assert waiting(aws, exports["queue_urls"]["results"]) == (2, 0)


def test_a_task_that_failed_or_has_no_result_is_told_by_the_exit_status(
    train: Train, aws: Aws, exports: dict[str, Any]
) -> None:
    answer(aws, exports, "one", status="failed")
    assert train("results", "--id", "one", "--take")[:2] == (1, ["failed  one  1.2 s  one"])
    assert train("results", "--id", "one") == (1, [], ["error: 'one': has no result yet"])
    assert train("results") == (0, [], ["no results are there"])


@pytest.mark.usefixtures("train")
def test_results_of_a_file_are_waited_for(aws: Aws, exports: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_text("".join(json.dumps({"id": one, "command": ["true"]}) + "\n" for one in ("one", "two")))
    answer(aws, exports, "one", "another")
    following = subprocess.Popen(
        [sys.executable, "-m", "client", "task", "results", "--file", str(file), "--follow", "--take"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert following.stdout is not None
    assert following.stdout.readline() == "succeeded  one  1.2 s  one\n"
    answer(aws, exports, "two")
    out, err = following.communicate(timeout=30)
    assert (following.returncode, out) == (0, "succeeded  two  1.2 s  two\n")
    assert err.startswith("1 put back")
    assert waiting(aws, exports["queue_urls"]["results"]) == (1, 0)


@pytest.mark.usefixtures("train")
def test_whoever_stops_following_has_taken_nothing_away(aws: Aws, exports: dict[str, Any]) -> None:
    answer(aws, exports, "one")
    following = subprocess.Popen(
        [sys.executable, "-m", "client", "task", "results", "--follow"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert following.stdout is not None
    following.stdout.readline()
    following.send_signal(signal.SIGINT)
    _, err = following.communicate(timeout=30)
    assert following.returncode == 130
    assert re.fullmatch(r"1 put back .*\ninterrupted\n", err), err
    assert waiting(aws, exports["queue_urls"]["results"]) == (1, 0)


# dead letters


def fail(aws: Aws, exports: dict[str, Any], *ids: str) -> None:
    for one in ids:
        aws.client("sqs").send_message(
            QueueUrl=exports["dead_letter_queue_urls"]["tasks"],
            MessageBody=json.dumps({"id": one, "command": ["python", "prepare.py"]}),
            MessageGroupId=one,
        )


def test_what_failed_for_good_is_shown_where_it_stays(train: Train, aws: Aws, exports: dict[str, Any]) -> None:
    fail(aws, exports, "one", "two")
    status, out, err = train("dead", "tasks")
    assert status == 0
    assert [re.sub(r"\d{4}-\S+Z", "WHEN", line) for line in sorted(out)] == [
        "one  WHEN  1  python prepare.py",
        "two  WHEN  1  python prepare.py",
    ]
    assert err == ["mend what made them fail, then: train task redrive tasks"]
    found = json.loads("\n".join(train("dead", "tasks", "--json")[1]))
    assert {one["id"]: (one["command"], one["receives"]) for one in found} == dict.fromkeys(
        ("one", "two"), (["python", "prepare.py"], 2)
    )
    assert waiting(aws, exports["dead_letter_queue_urls"]["tasks"]) == (2, 0)


def test_what_failed_goes_back_to_its_queue(train: Train, aws: Aws, exports: dict[str, Any]) -> None:
    fail(aws, exports, "one", "two")
    assert train("redrive", "tasks") == (0, ["2 tasks are back in tasks"], [])
    assert waiting(aws, exports["dead_letter_queue_urls"]["tasks"]) == (0, 0)
    back = received(aws, exports["queue_urls"]["tasks"])
    assert sorted((json.loads(one["Body"])["id"], one["Attributes"]["MessageGroupId"]) for one in back) == [
        ("one", "one"),
        ("two", "two"),
    ]


@pytest.mark.parametrize("command", ["dead", "redrive"])
def test_a_queue_that_is_none_is_answered_with_those_that_there_are(command: str, train: Train) -> None:
    line = "error: queue: must be one of this stack's (exact, plain, results, tasks), got 'task'"
    assert train(command, "task") == (1, [], [line])


@pytest.mark.parametrize(
    ("operation", "message", "permission"),
    [
        ("send_message_batch", "Access to the resource is denied.", "sqs:SendMessage"),
        ("send_message", "User: it is not authorized to perform: kms:Decrypt on resource: a key", "kms:Decrypt"),
    ],
)
def test_a_permission_that_is_missing_is_named(operation: str, message: str, permission: str) -> None:
    sqs = Account(REGION).client("sqs")
    with Stubber(sqs) as stubber:
        stubber.add_client_error(operation, "AccessDenied", message)
        with pytest.raises(TrainError) as raised, asking():
            getattr(sqs, operation)(**({"Entries": []} if "batch" in operation else {"MessageBody": ""}), QueueUrl="")
    (line,) = str(raised.value).splitlines()
    assert line.endswith(f": AccessDenied: {message}; the permission {permission} is missing")
