"""What the worker decides, against a client that answers as AWS does where moto does not."""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from tests.worker_support import wait_until
from worker import child, run, slot
from worker.protection import Protection
from worker.records import Records
from worker.run import Worker
from worker.settings import CEILING_MARGIN_SECONDS, CEILING_SECONDS, Settings, from_environment
from worker.settle import Keeper, Settlement, Settler
from worker.slot import Slot, Stopping
from worker.sqs import Backoff, Client, Connection, Lease, ResultQueue, StaleError, TaskQueue, TroubleError
from worker.task import Result

URL = "https://sqs.us-east-1.amazonaws.com/123456789012/tasks.fifo"
RESULTS_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/results.fifo"
SEND, DELETE, CHANGE = "send_message_batch", "delete_message_batch", "change_message_visibility_batch"
EXPIRED = "Value AQEB for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
FAILING = {"id": "task-1", "command": ["false"]}
UNREACHABLE = EndpointConnectionError(endpoint_url=URL)


def refusal(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


def failed(code: str, message: str = "no", *, number: int = 0) -> dict[str, Any]:
    """The answer to a batch of which one entry failed."""
    return {"Failed": [{"Id": str(number), "SenderFault": True, "Code": code, "Message": message}]}


class Aws:
    """A client whose answers are set by operation; an answer that is an exception is raised.

    Without one, all entries of a batch succeed, and nothing is received.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, list[Any]] = {}

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**parameters: Any) -> Any:
            self.calls.append((operation, parameters))
            answers = self.answers.get(operation)
            done = {"Successful": [{"Id": entry["Id"]} for entry in parameters.get("Entries", [])]}
            answer: Any = answers.pop(0) if answers else done
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call

    def names(self) -> list[str]:
        """The operations that were called."""
        return [name for name, _ in self.calls]

    def parameters(self, operation: str) -> list[dict[str, Any]]:
        """What `operation` was called with, each time."""
        return [parameters for name, parameters in self.calls if name == operation]

    def entries(self, operation: str) -> list[dict[str, Any]]:
        """The entries of all calls of a batch."""
        return [entry for parameters in self.parameters(operation) for entry in parameters["Entries"]]


class AwsConnection(Connection):
    """A connection to that client."""

    def __init__(self, aws: Any) -> None:
        self._aws: Client = aws
        super().__init__("sqs", region=None, poll_seconds=1, threads=1)

    def _connect(self) -> Client:
        return self._aws


class Parts:
    """A worker's parts around such a client, without its process."""

    def __init__(
        self,
        *,
        max_receive_count: int | None = 3,
        visibility_seconds: int = 60,
        has_records: bool = False,
        **settings: int,
    ) -> None:
        self.aws = Aws()
        urls = {"WORKER_QUEUE_URL": URL, "WORKER_RESULTS_QUEUE_URL": RESULTS_URL}
        self.settings = dataclasses.replace(from_environment(urls), trouble_max_seconds=0, **settings)
        self.connection = AwsConnection(self.aws)
        self.tasks = TaskQueue(self.connection, URL, poll_seconds=1)
        self.tasks.visibility_seconds = visibility_seconds
        self.tasks.max_receive_count = max_receive_count
        self.stopping = Stopping(0)
        self.keeper = Keeper(self.tasks, self.settings)
        records = Records("s3://bucket/records", lambda: self.connection) if has_records else None
        self.settler = Settler(self.tasks, ResultQueue(self.connection, RESULTS_URL), records, self.settings)
        protection = Protection(None, 0)
        self.slot = Slot(self.settings, self.tasks, records, self.keeper, self.settler, protection, self.stopping)

    def lease(self, body: object = None, *, receive_count: int = 1, name: str = "m-1") -> Lease:
        """A message as it is just received."""
        now = time.monotonic()
        task = {"id": "task-1", "command": ["true"]} if body is None else body
        return Lease(
            message_id=name,
            receipt_handle=f"handle of {name}",
            body=task if isinstance(task, str) else json.dumps(task),
            receive_count=receive_count,
            waited_seconds=1.5,
            ceiling_at=now + CEILING_SECONDS,
            visibility_seconds=self.tasks.visibility_seconds,
            expires_at=now + self.tasks.visibility_seconds,
            renew_at=now + self.tasks.visibility_seconds / 3,
        )

    def take(self, lease: Lease) -> None:
        """Let the slot take it, and settle."""
        self.slot.take(lease)
        self.settler.close()
        self.settler.run()

    def results(self) -> list[dict[str, Any]]:
        """The results that were sent."""
        return [json.loads(entry["MessageBody"]) for entry in self.aws.entries(SEND)]

    def waits(self) -> list[int]:
        """The visibilities that were set."""
        return [entry["VisibilityTimeout"] for entry in self.aws.entries(CHANGE)]


class TestAnswers:
    def test_the_result_is_sent_before_the_task_is_deleted(self) -> None:
        parts = Parts()
        parts.take(parts.lease())
        assert parts.aws.names() == [SEND, DELETE]
        assert parts.aws.parameters(SEND)[0]["QueueUrl"] == RESULTS_URL
        assert parts.aws.parameters(DELETE) == [
            {"QueueUrl": URL, "Entries": [{"Id": "0", "ReceiptHandle": "handle of m-1"}]}
        ]

    def test_a_task_that_is_sent_again_under_its_id_is_answered_again(self) -> None:
        parts = Parts()
        parts.slot.take(parts.lease(FAILING, receive_count=3, name="m-1"))
        parts.take(parts.lease(name="m-2"))
        sent = parts.aws.entries(SEND)
        assert [entry["MessageGroupId"] for entry in sent] == ["task-1", "task-1"]
        # SQS drops the second of two with the same id within 5 minutes
        assert [entry["MessageDeduplicationId"] for entry in sent] == ["m-1", "m-2"]

    def test_a_result_that_cannot_be_sent_is_tried_until_it_is_and_only_then_the_task_deleted(self) -> None:
        parts = Parts()
        parts.aws.answers = {SEND: [UNREACHABLE, refusal("RequestThrottled"), failed("InternalError")]}
        parts.take(parts.lease())
        assert parts.aws.names() == [SEND] * 4 + [DELETE]

    @pytest.mark.parametrize(
        "refused",
        [
            failed("InvalidParameterValue", "One or more parameters are invalid. Reason: Message must be shorter."),
            failed("InvalidMessageContents"),
            refusal("AWS.SimpleQueueService.BatchRequestTooLong"),
        ],
    )
    def test_a_result_that_sqs_never_takes_is_sent_without_its_output(self, refused: Any) -> None:
        parts = Parts()
        parts.aws.answers = {SEND: [refused]}
        command = ["sh", "-c", "yes '\"' | head -c 15000; exit 1"]
        parts.take(parts.lease({"id": "\\" * 128, "command": command}, receive_count=3, name="m" * 36))
        whole, short = parts.results()
        assert short == {**whole, "output": []}
        assert whole["output"]
        assert len(parts.aws.entries(SEND)[1]["MessageBody"]) < 1_024
        assert parts.waits() == [0]

    def test_a_task_that_cannot_be_deleted_is_tried_again_without_a_second_result(self) -> None:
        parts = Parts()
        parts.aws.answers = {DELETE: [UNREACHABLE]}
        parts.take(parts.lease())
        assert parts.aws.names() == [SEND, DELETE, DELETE]

    def test_a_delete_that_comes_too_late_for_fifo_is_not_tried_again(self, capsys: pytest.CaptureFixture[str]) -> None:
        parts = Parts()
        parts.aws.answers = {DELETE: [failed("InvalidParameterValue", EXPIRED)]}
        lease = parts.lease()
        parts.take(lease)
        assert parts.aws.names() == [SEND, DELETE]
        assert lease.lost
        assert "leaseLost" in capsys.readouterr().out

    @pytest.mark.parametrize("operation", [SEND, DELETE])
    @pytest.mark.parametrize(
        "nonsense",
        [
            {},
            {"message": "<html>captive portal</html>"},
            {"Successful": [{"Id": "other"}]},
            TypeError("what the parser raises"),
        ],
        ids=str,
    )
    def test_an_answer_that_does_not_say_what_was_done_is_none(self, operation: str, nonsense: Any) -> None:
        parts = Parts()
        parts.aws.answers = {operation: [nonsense]}
        parts.take(parts.lease())
        assert parts.aws.names() == ([SEND, SEND, DELETE] if operation == SEND else [SEND, DELETE, DELETE])

    def test_answers_that_wait_go_together(self) -> None:
        parts = Parts()
        for number in range(3):
            parts.slot.take(parts.lease({"id": f"task-{number}", "command": ["true"]}, name=f"m-{number}"))
        parts.settler.close()
        parts.settler.run()
        assert parts.aws.names() == [SEND, DELETE]
        handles = [entry["ReceiptHandle"] for entry in parts.aws.entries(DELETE)]
        assert handles == ["handle of m-0", "handle of m-1", "handle of m-2"]

    def test_what_fails_among_answers_that_go_together_is_tried_alone(self) -> None:
        parts = Parts()
        for number in range(3):
            parts.slot.take(parts.lease({"id": f"task-{number}", "command": ["true"]}, name=f"m-{number}"))
        parts.aws.answers = {
            SEND: [{"Successful": [{"Id": "0"}, {"Id": "2"}], **failed("InternalError", number=1)}],
            DELETE: [{"Successful": [{"Id": "0"}], **failed("InternalError", number=1)}],
        }
        parts.settler.close()
        parts.settler.run()
        sent = [
            [json.loads(entry["MessageBody"])["id"] for entry in call["Entries"]] for call in parts.aws.parameters(SEND)
        ]
        assert sent == [["task-0", "task-1", "task-2"], ["task-1"], ["task-2"]]
        deleted = [[entry["ReceiptHandle"][-3:] for entry in call["Entries"]] for call in parts.aws.parameters(DELETE)]
        assert deleted == [["m-0", "m-2"], ["m-1"], ["m-2"]]

    def test_when_answers_cannot_go_together_each_goes_alone(self) -> None:
        parts = Parts()
        for number in range(2):
            parts.slot.take(parts.lease({"id": f"task-{number}", "command": ["true"]}, name=f"m-{number}"))
        parts.aws.answers = {SEND: [refusal("BatchRequestTooLong")]}
        parts.settler.close()
        parts.settler.run()
        assert parts.aws.names() == [SEND, *[SEND, DELETE] * 2]

    def test_standard_queues_get_no_fifo_parameters(self) -> None:
        parts = Parts()
        result = Result(id="task-1", status="succeeded", receive_count=1, message_id="m-1")
        ResultQueue(parts.connection, RESULTS_URL.removesuffix(".fifo")).send(result)
        TaskQueue(parts.connection, URL.removesuffix(".fifo"), poll_seconds=1).receive("attempt")
        assert set(parts.aws.entries(SEND)[0]) == {"Id", "MessageBody"}
        assert "ReceiveRequestAttemptId" not in parts.aws.parameters("receive_message")[0]


class TestFailures:
    def test_a_failed_attempt_sends_no_result_and_comes_back_after_a_while(self) -> None:
        parts = Parts(retry_seconds=10)
        parts.take(parts.lease(FAILING))
        assert parts.aws.names() == [CHANGE]
        assert 5 <= parts.waits()[0] <= 10

    def test_the_wait_doubles_with_each_attempt_up_to_a_limit(self) -> None:
        parts = Parts(max_receive_count=None, retry_seconds=10, retry_max_seconds=60)
        for receive_count in (2, 3, 4, 1_000):
            parts.slot.take(parts.lease(FAILING, receive_count=receive_count))
        bounds = [(10, 20), (20, 40), (30, 60), (30, 60)]
        assert all(least <= wait <= most for wait, (least, most) in zip(parts.waits(), bounds, strict=True))

    def test_the_last_attempt_is_answered_and_goes_to_the_dead_letter_queue_at_once(self) -> None:
        parts = Parts()
        parts.take(parts.lease(FAILING, receive_count=3))
        assert parts.aws.names() == [SEND, CHANGE]
        (result,) = parts.results()
        assert (result["status"], result["exitCode"], result["reason"]) == ("failed", 1, "exited with 1")
        assert parts.waits() == [0]

    def test_a_command_that_cannot_start_fails_like_any_other(self) -> None:
        parts = Parts()
        parts.take(parts.lease({"id": "task-1", "command": ["no-such-program"]}, receive_count=3))
        (result,) = parts.results()
        assert (result["status"], result["exitCode"]) == ("failed", None)
        assert result["reason"].startswith("could not be started: ")

    def test_a_task_that_breaks_the_worker_itself_fails_like_any_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object, **__: object) -> child.Ended:
            raise MemoryError

        monkeypatch.setattr(child, "run", broken)
        parts = Parts()
        parts.take(parts.lease(receive_count=3))
        (result,) = parts.results()
        assert (result["status"], result["reason"]) == ("failed", "could not be run: MemoryError()")

    def test_a_task_over_its_time_is_stopped_and_says_how_long_it_had(self) -> None:
        parts = Parts()
        task = {"id": "task-1", "command": ["sleep", "60"], "timeoutSeconds": 1}
        parts.take(parts.lease(task, receive_count=3))
        (result,) = parts.results()
        assert (result["status"], result["reason"]) == ("timedOut", "stopped after 1 seconds, its timeoutSeconds")

    def test_a_task_over_its_memory_is_killed_and_says_how_much_it_had(self) -> None:
        parts = Parts(task_memory_mib=1)
        command = [sys.executable, "-c", "import time; time.sleep(60)"]
        parts.take(parts.lease({"id": "task-1", "command": command}, receive_count=3))
        (result,) = parts.results()
        assert (result["status"], result["exitCode"]) == ("failed", -9)
        assert result["reason"] == "killed, because it held more than 1 MiB of memory"

    def test_the_longest_time_of_the_worker_comes_with_advice(self) -> None:
        parts = Parts(max_task_seconds=1)
        parts.take(parts.lease({"id": "task-1", "command": ["sleep", "60"]}, receive_count=3))
        (result,) = parts.results()
        assert result["status"] == "timedOut"
        assert result["reason"] == (
            "stopped after 1 seconds, the most that this worker allows; submit longer work to AWS Batch instead"
        )

    def test_a_bad_body_is_answered_on_its_first_and_its_last_receive_and_never_deleted(self) -> None:
        for receive_count, answered in ((1, True), (2, False), (3, True)):
            parts = Parts()
            parts.take(parts.lease("{}", receive_count=receive_count))
            assert len(parts.results()) == answered
            assert parts.waits() == [0]
            assert DELETE not in parts.aws.names()

    def test_a_bad_body_without_id_is_answered_under_its_message_id(self) -> None:
        parts = Parts()
        parts.take(parts.lease("nonsense"))
        (result,) = parts.results()
        assert (result["id"], result["status"], result["exitCode"]) == ("m-1", "failed", None)
        assert result["reason"].startswith("refused: body: must be JSON")

    def test_without_a_dead_letter_queue_a_bad_body_does_not_come_back_at_once(self) -> None:
        parts = Parts(max_receive_count=None, retry_seconds=10)
        parts.take(parts.lease("{}"))
        assert 5 <= parts.waits()[0] <= 10


class TestRecords:
    """A queue that has room for ten receives more than a task may fail."""

    @pytest.fixture
    def parts(self) -> Parts:
        return Parts(max_receive_count=13, has_records=True, max_failures=3, retry_seconds=10)

    def failed(self, parts: Parts, times: int) -> None:
        parts.aws.answers["head_object"] = [{"Metadata": {"failures": str(times)}}]

    def test_a_task_that_comes_for_the_first_time_is_not_looked_up(self, parts: Parts) -> None:
        parts.take(parts.lease())
        assert parts.aws.names() == [SEND, DELETE]

    def test_a_failure_is_counted_before_the_task_comes_back(self, parts: Parts) -> None:
        parts.take(parts.lease(FAILING))
        assert parts.aws.names() == ["put_object", CHANGE]
        (written,) = parts.aws.parameters("put_object")
        assert written == {"Bucket": "bucket", "Key": "records/m-1", "Metadata": {"failures": "1"}}

    def test_the_last_failure_is_answered_before_it_is_counted(self, parts: Parts) -> None:
        self.failed(parts, 2)
        parts.take(parts.lease(FAILING, receive_count=9))
        assert parts.aws.names() == ["head_object", SEND, "put_object", CHANGE]
        assert parts.aws.parameters("put_object")[0]["Metadata"] == {"failures": "3"}
        assert parts.waits() == [0]

    def test_a_task_that_has_failed_for_good_goes_its_way_without_another_attempt_or_answer(self, parts: Parts) -> None:
        self.failed(parts, 3)
        parts.take(parts.lease(receive_count=10))
        assert parts.aws.names() == ["head_object", CHANGE]
        assert parts.waits() == [0]

    def test_a_task_that_was_given_back_often_has_all_its_attempts(self, parts: Parts) -> None:
        parts.aws.answers["head_object"] = [refusal("404")]
        parts.take(parts.lease(FAILING, receive_count=12))
        assert parts.aws.names() == ["head_object", "put_object", CHANGE]
        assert 5 <= parts.waits()[0] <= 10

    def test_a_drain_counts_for_nothing(self, parts: Parts) -> None:
        self.failed(parts, 2)
        parts.stopping.ask()
        parts.take(parts.lease(receive_count=12))
        assert parts.aws.names() == ["head_object", CHANGE]
        assert parts.waits() == [0]

    def test_what_comes_back_no_more_is_answered_even_if_it_was_only_stopped(self, parts: Parts) -> None:
        self.failed(parts, 0)
        parts.stopping.ask()
        parts.take(parts.lease(receive_count=13))
        assert parts.aws.names() == ["head_object", SEND, CHANGE]

    @pytest.mark.parametrize("nonsense", [UNREACHABLE, refusal("403"), {}, {"Metadata": {"failures": "x"}}], ids=repr)
    def test_a_record_that_cannot_be_read_counts_as_none(
        self, parts: Parts, nonsense: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        parts.aws.answers["head_object"] = [nonsense]
        parts.take(parts.lease(receive_count=9))
        assert parts.aws.names() == ["head_object", SEND, DELETE]
        assert "its record: " in capsys.readouterr().out

    def test_a_record_that_cannot_be_written_holds_up_nothing(self, parts: Parts) -> None:
        parts.aws.answers["put_object"] = [UNREACHABLE]
        parts.take(parts.lease(FAILING))
        assert parts.aws.names() == ["put_object", CHANGE]


class TestLeases:
    @pytest.mark.parametrize(
        ("code", "message"),
        [
            ("ReceiptHandleIsInvalid", "The input receipt handle is invalid."),
            ("ReceiptHandleIsInvalid", "The receipt handle has expired"),
            ("InvalidParameterValue", EXPIRED),
            ("AWS.SimpleQueueService.MessageNotInflight", "no"),
            ("MessageNotInflight", "no"),
            (
                "InvalidParameterValue",
                "Value A for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available.",
            ),
        ],
    )
    def test_every_way_to_say_that_a_handle_is_stale_loses_the_lease(self, code: str, message: str) -> None:
        parts = Parts()
        lease = parts.lease()
        parts.aws.answers = {CHANGE: [failed(code, message)]}
        parts.keeper.renew([lease])
        assert lease.lost
        assert lease.is_lost()

    @pytest.mark.parametrize(
        "error",
        [
            UNREACHABLE,
            refusal("RequestThrottled"),
            refusal("ExpiredToken"),
            {},
            failed("InternalError"),
            failed(
                "InvalidParameterValue", "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"
            ),
        ],
    )
    def test_any_other_failure_keeps_the_lease_until_it_expires(self, error: Any) -> None:
        parts = Parts()
        lease = parts.lease()
        parts.aws.answers = {CHANGE: [error]}
        parts.keeper.renew([lease])
        assert not lease.is_lost()
        lease.expires_at = time.monotonic()
        assert lease.is_lost()

    def test_a_lost_lease_kills_the_child_and_neither_answers_nor_deletes(self, tmp_path: Path) -> None:
        parts = Parts()
        ended = tmp_path / "ended"
        lease = parts.lease({"id": "task-1", "command": ["sh", "-c", f"sleep 60; touch {ended}"]}, receive_count=3)
        parts.aws.answers = {CHANGE: [failed("InvalidParameterValue", EXPIRED)]}
        threading.Timer(0.3, parts.keeper.renew, [[lease]]).start()
        parts.take(lease)
        assert not ended.exists()
        assert parts.aws.names() == [CHANGE]

    def test_a_lease_that_is_lost_before_its_answer_is_sent_is_not_answered(self) -> None:
        parts = Parts()
        lease = parts.lease()
        parts.slot.take(lease)
        lease.lost = True
        parts.settler.close()
        parts.settler.run()
        assert parts.aws.names() == []

    def test_the_keeper_extends_at_a_third_of_the_visibility_timeout(self) -> None:
        parts = Parts(visibility_seconds=3)
        lease = parts.lease()
        parts.keeper.add(lease)
        thread = threading.Thread(target=parts.keeper.run)
        thread.start()
        wait_until(lambda: len(parts.waits()) >= 2, 30, "two extensions")
        parts.keeper.close()
        thread.join()
        assert set(parts.waits()) == {3}
        assert lease.expires_at - lease.renew_at == pytest.approx(2)

    def test_all_leases_that_are_due_are_extended_in_one_call(self) -> None:
        parts = Parts()
        leases = [parts.lease(name=f"m-{number}") for number in range(25)]
        for lease in leases:
            lease.renew_at = 0
            parts.keeper.add(lease)
        others = {"Successful": [{"Id": str(number)} for number in range(1, 10)]}
        parts.aws.answers = {CHANGE: [{**others, **failed("InvalidParameterValue", EXPIRED)}]}
        parts.keeper.renew_due()
        assert [len(call["Entries"]) for call in parts.aws.parameters(CHANGE)] == [10, 10, 5]
        assert sum(lease.lost for lease in leases) == 1
        assert all(lease.renew_at > time.monotonic() for lease in leases if not lease.lost)
        parts.keeper.renew_due()
        assert len(parts.aws.parameters(CHANGE)) == 3

    def test_a_message_that_is_just_being_deleted_does_not_hold_up_the_others(self) -> None:
        parts = Parts()
        busy, other = parts.lease(name="m-1"), parts.lease(name="m-2")
        with busy.calling:
            parts.keeper.renew([busy, other])
        assert [entry["ReceiptHandle"] for entry in parts.aws.entries(CHANGE)] == ["handle of m-2"]

    def test_no_extension_reaches_beyond_12_hours_from_the_receive(self) -> None:
        parts = Parts(visibility_seconds=900)
        lease = parts.lease()
        now = time.monotonic()
        lease.ceiling_at, lease.expires_at = now + 500.5, now + 300
        parts.keeper.renew([lease])
        parts.keeper.renew([lease])
        # whole seconds, less those that the test took
        (wait_seconds,) = parts.waits()
        assert 400 < wait_seconds < 500
        assert lease.renew_at == float("inf")

    def test_a_child_that_nears_12_hours_is_stopped_with_advice(self) -> None:
        parts = Parts()
        lease = parts.lease({"id": "task-1", "command": ["sleep", "60"]}, receive_count=3)
        lease.ceiling_at = time.monotonic() + CEILING_MARGIN_SECONDS + 0.3
        parts.take(lease)
        (result,) = parts.results()
        assert result["status"] == "timedOut"
        assert result["reason"] == (
            "stopped, because SQS holds a message for 12 hours at most; submit longer work to AWS Batch instead"
        )

    def test_no_wait_reaches_beyond_12_hours_either(self) -> None:
        parts = Parts()
        lease = parts.lease()
        lease.ceiling_at = time.monotonic() + 100.5
        parts.tasks.give_back(lease, 900)
        (wait_seconds,) = parts.waits()
        assert 0 < wait_seconds < 100

    def test_nothing_extends_a_message_that_was_given_back(self) -> None:
        parts = Parts()
        lease = parts.lease()
        parts.tasks.give_back(lease, 0)
        parts.keeper.renew([lease])
        assert parts.waits() == [0]

    def test_a_message_that_cannot_be_given_back_is_tried_until_it_can(self) -> None:
        parts = Parts()
        parts.aws.answers = {CHANGE: [UNREACHABLE, refusal("RequestThrottled")]}
        settled: list[bool] = []
        parts.settler.add(Settlement(parts.lease(), None, 0), lambda: settled.append(True))
        assert parts.waits() == [0, 0, 0]
        assert settled == [True]


class TestStopping:
    def test_a_message_that_comes_while_stopping_goes_back_at_once_unrun(self) -> None:
        parts = Parts()
        parts.stopping.ask()
        parts.take(parts.lease({"id": "task-1", "command": ["sleep", "60"]}))
        assert parts.aws.names() == [CHANGE]
        assert parts.waits() == [0]

    def test_a_task_that_the_stop_interrupts_on_its_last_receive_is_answered(self) -> None:
        parts = Parts(stop_grace_seconds=1)
        parts.stopping.ask()
        parts.take(parts.lease(receive_count=3))
        (result,) = parts.results()
        assert (result["status"], result["reason"]) == ("failed", "stopped, because the worker was asked to stop")
        assert parts.waits() == [0]

    def test_asked_twice_the_children_get_no_more_time(self) -> None:
        stopping = Stopping(90)
        stopping.ask()
        assert stopping.drain_until == stopping.asked_at + 90
        stopping.ask()
        assert stopping.drain_until <= time.monotonic()


class TestReceiving:
    def received_with(self, *answers: Any) -> list[str]:
        parts = Parts()
        parts.aws.answers = {"receive_message": list(answers)}
        thread = threading.Thread(target=parts.slot.run)
        thread.start()
        while len(parts.aws.calls) <= len(answers):
            time.sleep(0.001)
        parts.stopping.ask()
        thread.join()
        return [parameters["ReceiveRequestAttemptId"] for parameters in parts.aws.parameters("receive_message")]

    def test_a_receive_whose_answer_was_lost_is_repeated_under_the_same_id(self) -> None:
        first, second, third, *_ = self.received_with(UNREACHABLE, {}, {})
        assert first == second != third

    def test_a_receive_that_was_refused_is_repeated_under_a_new_id(self) -> None:
        first, second, *_ = self.received_with(refusal("RequestThrottled"), {})
        assert first != second

    def test_one_message_at_a_time_is_asked_for(self) -> None:
        parts = Parts(visibility_seconds=77)
        parts.tasks.receive("attempt")
        (parameters,) = parts.aws.parameters("receive_message")
        assert (parameters["MaxNumberOfMessages"], parameters["VisibilityTimeout"]) == (1, 77)

    def test_a_slot_whose_answers_cannot_be_sent_takes_no_more(self) -> None:
        parts = Parts()
        body = json.dumps({"id": "task-1", "command": ["true"]})
        attributes = {"ApproximateReceiveCount": "1", "SentTimestamp": "0"}
        message = {"MessageId": "m", "ReceiptHandle": "h", "Body": body, "Attributes": attributes}
        parts.aws.answers = {"receive_message": [{"Messages": [message]} for _ in range(10)]}
        thread = threading.Thread(target=parts.slot.run)
        thread.start()
        wait_until(lambda: len(parts.aws.names()) == 4, 30, "the fourth receive")
        time.sleep(0.5)
        parts.stopping.ask()
        thread.join()
        assert parts.aws.names() == ["receive_message"] * 4

    def test_the_queue_is_asked_for_its_visibility_timeout_and_redrive_policy(self) -> None:
        parts = Parts()
        attributes = {"VisibilityTimeout": "900", "RedrivePolicy": '{"maxReceiveCount": 5, "deadLetterTargetArn": "a"}'}
        without = {"VisibilityTimeout": "30"}
        parts.aws.answers = {"get_queue_attributes": [{"Attributes": attributes}, {"Attributes": without}]}
        parts.tasks.describe(None)
        assert (parts.tasks.visibility_seconds, parts.tasks.max_receive_count) == (900, 5)
        parts.tasks.describe(60)
        assert (parts.tasks.visibility_seconds, parts.tasks.max_receive_count) == (60, None)

    @pytest.mark.parametrize("nonsense", [{}, {"message": "<html>"}, {"Attributes": {}}], ids=str)
    def test_a_queue_that_is_not_described_is_asked_again(self, nonsense: dict[str, Any]) -> None:
        parts = Parts()
        parts.aws.answers = {"get_queue_attributes": [nonsense]}
        with pytest.raises(TroubleError, match="get_queue_attributes: the answer lacks what it must have"):
            parts.tasks.describe(None)

    @pytest.mark.parametrize("lacking", ["MessageId", "ReceiptHandle", "Body", "Attributes"])
    def test_a_message_without_what_it_must_have_is_not_taken(self, lacking: str) -> None:
        parts = Parts()
        message = {"MessageId": "m", "ReceiptHandle": "h", "Body": "", "Attributes": {"ApproximateReceiveCount": "1"}}
        del message[lacking]
        parts.aws.answers = {"receive_message": [{"Messages": [message]}]}
        with pytest.raises(
            TroubleError, match=f"receive_message: a message lacks what it must have: KeyError.*{lacking}"
        ):
            parts.tasks.receive("attempt")


def test_an_expired_token_gets_a_new_client() -> None:
    class Reconnecting(AwsConnection):
        connected = 0

        def _connect(self) -> Client:
            self.connected += 1
            return super()._connect()

    aws = Aws()
    aws.answers = {SEND: [refusal("ExpiredToken"), refusal("RequestThrottled"), refusal("NoSuchThing")]}
    connection = Reconnecting(aws)
    for connected in (2, 2, 2):
        with pytest.raises(TroubleError):
            connection.call(SEND)
        assert connection.connected == connected


def test_a_stale_handle_is_no_passing_trouble() -> None:
    aws = Aws()
    aws.answers = {DELETE: [refusal("ReceiptHandleIsInvalid")] * 2}
    # the whole batch is refused, so each is asked for alone
    outcomes = AwsConnection(aws).call_batch(DELETE, URL, [{"ReceiptHandle": "stale"}, {"ReceiptHandle": "good"}])
    assert isinstance(outcomes[0], StaleError)
    assert outcomes[1] is None


def test_the_waits_between_tries_grow_to_a_limit_and_start_over() -> None:
    backoff = Backoff(20)
    waits = [backoff.next_seconds() for _ in range(10)]
    limits = [0.5, 1, 2, 4, 8, 16, 20, 20, 20, 20]
    assert all(limit / 2 <= wait <= limit for wait, limit in zip(waits, limits, strict=True))
    backoff.reset()
    assert backoff.next_seconds() <= 0.5


class TestThreads:
    @pytest.fixture
    def aws(self, monkeypatch: pytest.MonkeyPatch) -> Aws:
        """What a worker in this process is connected to."""
        aws = Aws()
        aws.answers = {"get_queue_attributes": [{"Attributes": {"VisibilityTimeout": "60"}}]}

        def connection(*_: object, **__: object) -> AwsConnection:
            return AwsConnection(aws)

        def quiet(*_: object) -> None:
            return None

        monkeypatch.setattr(run, "Connection", connection)
        monkeypatch.setattr(run, "TICK_SECONDS", 0.01)
        monkeypatch.setattr(run.lines, "start", quiet)
        monkeypatch.setattr(signal, "signal", quiet)
        monkeypatch.setattr(threading, "excepthook", threading.excepthook)
        receive = TaskQueue.receive

        def receive_slowly(tasks: TaskQueue, attempt_id: str) -> Lease | None:
            time.sleep(0.01)
            return receive(tasks, attempt_id)

        monkeypatch.setattr(TaskQueue, "receive", receive_slowly)
        return aws

    def work(self, tmp_path: Path) -> int:
        urls = {"WORKER_QUEUE_URL": URL, "WORKER_RESULTS_QUEUE_URL": RESULTS_URL, "WORKER_SLOTS": "2"}
        return Worker(from_environment({**urls, "WORKER_HEALTH_FILE": str(tmp_path / "healthy")})).run()

    @pytest.mark.parametrize("part", [Slot, Keeper, Settler, Protection])
    @pytest.mark.parametrize("error", [RuntimeError, SystemExit])
    def test_the_death_of_any_ends_the_worker_with_an_error(
        self, aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, part: type, error: type[BaseException]
    ) -> None:
        def dies(_: object) -> None:
            raise error

        monkeypatch.setattr(part, "run", dies)
        assert self.work(tmp_path) == 1
        assert aws.names()[0] == "get_queue_attributes"

    def test_a_slot_that_dies_gives_its_task_back_and_lets_the_others_finish(
        self, aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        died = tmp_path / "died"

        def dies(*_: object) -> None:
            died.touch()
            raise RuntimeError

        parse = slot.parse

        def parse_or_die(body: str, **most: Any) -> Any:
            return dies() if "bad" in body else parse(body, **most)

        monkeypatch.setattr(slot, "parse", parse_or_die)
        good = {"id": "good", "command": ["sh", "-c", f"until [ -e {died} ]; do sleep 0.01; done; sleep 0.2"]}
        bodies = {"m-good": json.dumps(good), "m-bad": "bad"}
        attributes = {"ApproximateReceiveCount": "1", "SentTimestamp": "0"}
        aws.answers["receive_message"] = [
            {"Messages": [{"MessageId": name, "ReceiptHandle": name, "Body": body, "Attributes": attributes}]}
            for name, body in bodies.items()
        ]
        assert self.work(tmp_path) == 1
        assert [entry["ReceiptHandle"] for entry in aws.entries(CHANGE)] == ["m-bad"]
        assert [entry["ReceiptHandle"] for entry in aws.entries(DELETE)] == ["m-good"]


def test_a_worker_with_a_dead_thread_is_not_healthy(tmp_path: Path) -> None:
    settings = Settings(
        queue_url=URL, results_queue_url=RESULTS_URL, health_file=tmp_path / "healthy", region="us-east-1"
    )
    worker = Worker(settings)
    dead = threading.Thread(target=lambda: None)
    dead.start()
    dead.join()
    worker.touch_health_file([threading.main_thread(), dead])
    assert not settings.health_file.exists()
    worker.touch_health_file([threading.main_thread()])
    assert settings.health_file.exists()


def test_output_beyond_a_limit_is_not_logged_but_its_last_lines_are_in_the_result(
    capsys: pytest.CaptureFixture[str],
) -> None:
    parts = Parts(log_bytes=1_000)
    parts.take(parts.lease({"id": "task-1", "command": ["seq", "100000"]}))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    logged = [line for line in lines if line["event"] == "output"]
    assert [line["line"] for line in logged] == [str(number + 1) for number in range(len(logged))]
    assert 1_000 <= sum(len(json.dumps(line)) + 1 for line in logged) < 1_200
    (cut,) = (line for line in lines if line["event"] == "outputCut")
    assert (cut["taskId"], cut["reason"]) == ("task-1", "more than 1000 bytes; the rest is not logged")
    (result,) = parts.results()
    assert result["output"][-1] == "100000"


class TestMetrics:
    def numbers(self, capsys: pytest.CaptureFixture[str]) -> list[dict[str, float]]:
        """The metrics that CloudWatch finds in what was logged."""
        found: list[dict[str, float]] = []
        for line in map(json.loads, capsys.readouterr().out.splitlines()):
            if embedded := line.get("_aws"):
                (described,) = embedded["CloudWatchMetrics"]
                assert described["Namespace"] == "DistributedTraining/Worker"
                assert (described["Dimensions"], line["QueueName"]) == ([["QueueName"]], "tasks.fifo")
                assert 0 <= time.time() * 1000 - embedded["Timestamp"] < 60_000
                named = {metric["Name"]: metric["Unit"] for metric in described["Metrics"]}
                assert all((unit == "Seconds") == name.startswith("Seconds") for name, unit in named.items())
                found.append({name: line[name] for name in named})
        return found

    @pytest.mark.parametrize(
        ("task", "stop", "counted"),
        [
            ({"id": "task-1", "command": ["true"]}, None, "TasksDone"),
            (FAILING, None, "TasksFailed"),
            ({"id": "task-1", "command": ["no-such-program"]}, None, "TasksFailed"),
            ({"id": "task-1", "command": ["sleep", "60"], "timeoutSeconds": 1}, None, "TasksFailed"),
            ({"id": "task-1", "command": ["sleep", "60"]}, child.Stop.DRAIN, "TasksGivenBack"),
            ({"id": "task-1", "command": ["sleep", "60"]}, child.Stop.LOST, "LeasesLost"),
        ],
    )
    def test_each_attempt_counts_once(
        self, task: object, stop: child.Stop | None, counted: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        parts = Parts()
        lease = parts.lease(task)
        if stop is child.Stop.DRAIN:
            threading.Timer(0.1, parts.stopping.ask).start()
        if stop is child.Stop.LOST:
            parts.aws.answers = {CHANGE: [failed("InvalidParameterValue", EXPIRED)]}
            threading.Timer(0.1, parts.keeper.renew, [[lease]]).start()
        parts.take(lease)
        (numbers,) = self.numbers(capsys)
        counts = ("TasksDone", "TasksFailed", "TasksGivenBack", "LeasesLost")
        assert {name: numbers[name] for name in counts} == {name: int(name == counted) for name in counts}
        assert all(type(numbers[name]) is int for name in counts)
        assert numbers["SecondsWaited"] == 1.5
        assert numbers["SecondsWorked"] >= 0

    def test_a_task_that_comes_again_has_not_waited_all_that_time(self, capsys: pytest.CaptureFixture[str]) -> None:
        parts = Parts()
        parts.take(parts.lease(receive_count=2))
        assert "SecondsWaited" not in self.numbers(capsys)[0]

    def test_a_lease_that_is_lost_after_its_task_counts_too(self, capsys: pytest.CaptureFixture[str]) -> None:
        parts = Parts()
        parts.aws.answers = {DELETE: [failed("InvalidParameterValue", EXPIRED)]}
        parts.take(parts.lease())
        assert [numbers["LeasesLost"] for numbers in self.numbers(capsys)] == [0, 1]


def test_a_result_keeps_what_the_child_left() -> None:
    parts = Parts()
    parts.take(
        parts.lease(
            {"id": "task-1", "command": ["sh", "-c", "echo $TASK_ID $TASK_RECEIVE_COUNT $X"], "env": {"X": "y"}}
        )
    )
    (result,) = parts.results()
    assert result == {
        **json.loads(Result(id="task-1", status="succeeded", exit_code=0, receive_count=1, message_id="m-1").body()),
        "durationSeconds": result["durationSeconds"],
        "output": ["task-1 1 y"],
    }
