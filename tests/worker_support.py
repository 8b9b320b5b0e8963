"""What the tests of the worker stand on: moto's SQS, worker processes, a network that fails, and an ECS agent."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, cast

import boto3
from botocore.config import Config

ROOT = Path(__file__).parents[1]
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "test"}


class Queues:
    """A tasks queue with its dead-letter queue, FIFO or standard, and a FIFO results queue, with calls of tests."""

    def __init__(
        self,
        endpoint_url: str,
        name: str,
        *,
        visibility_seconds: int,
        max_receive_count: int = 5,
        fifo: bool = True,
    ) -> None:
        self.endpoint_url = endpoint_url
        self._sqs = client("sqs", endpoint_url)
        ordered = {"FifoQueue": "true"}
        suffix, kind = (".fifo", ordered) if fifo else ("", {})
        self.dead = self._create(f"{name}-dead{suffix}", kind)
        redrive = {"deadLetterTargetArn": self._arn(self.dead), "maxReceiveCount": max_receive_count}
        self.tasks = self._create(
            f"{name}-tasks{suffix}",
            {**kind, "VisibilityTimeout": str(visibility_seconds), "RedrivePolicy": json.dumps(redrive)},
        )
        self.results = self._create(f"{name}-results.fifo", {**ordered, "VisibilityTimeout": "300"})

    def send_for(self, team: str, body: object) -> None:
        """Send a task to a standard queue, whose message groups are those among whom it is fair."""
        self._sqs.send_message(QueueUrl=self.tasks, MessageBody=json.dumps(body), MessageGroupId=team)

    def send(self, body: object, *, group: str = "group", id_: str | None = None) -> None:
        """Send a task, or any other body."""
        text = body if isinstance(body, str) else json.dumps(body)
        deduplication_id = id_ or (cast("dict[str, str]", body)["id"] if isinstance(body, dict) else f"{hash(text):x}")
        self._sqs.send_message(
            QueueUrl=self.tasks, MessageBody=text, MessageGroupId=group, MessageDeduplicationId=deduplication_id
        )

    def send_many(self, tasks: Sequence[tuple[str, Mapping[str, object]]]) -> None:
        """Send tasks, each with its group."""
        for start in range(0, len(tasks), 10):
            entries = [
                {
                    "Id": str(number),
                    "MessageBody": json.dumps(task),
                    "MessageGroupId": group,
                    "MessageDeduplicationId": task["id"],
                }
                for number, (group, task) in enumerate(tasks[start : start + 10])
            ]
            self._sqs.send_message_batch(QueueUrl=self.tasks, Entries=entries)

    def wait_for_results(self, count: int, seconds: float = 30) -> list[dict[str, Any]]:
        """At least `count` results, in the order in which they were sent; fails when they do not come."""
        return self._take(self.results, count, seconds)

    def results_now(self) -> list[dict[str, Any]]:
        """The results that are there."""
        return self._take(self.results, 0, 0)

    def wait_for_dead(self, count: int, seconds: float = 30) -> list[dict[str, Any]]:
        """At least `count` bodies in the dead-letter queue."""
        return self._take(self.dead, count, seconds)

    def count(self) -> tuple[int, int]:
        """How many tasks are visible, and how many in flight."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        attributes = self._sqs.get_queue_attributes(QueueUrl=self.tasks, AttributeNames=list(names))["Attributes"]
        return int(attributes[names[0]]), int(attributes[names[1]])

    def wait_until_empty(self, seconds: float = 30) -> None:
        """Until no task is left, visible or in flight."""
        wait_until(lambda: self.count() == (0, 0), seconds, "an empty tasks queue", look_seconds=0.2)

    def receive(self) -> dict[str, Any] | None:
        """One task, if one is visible."""
        answer = self._sqs.receive_message(
            QueueUrl=self.tasks, VisibilityTimeout=60, MessageSystemAttributeNames=["ApproximateReceiveCount"]
        )
        return next(iter(answer.get("Messages", [])), None)

    def _take(self, url: str, count: int, seconds: float) -> list[dict[str, Any]]:
        bodies: list[dict[str, Any]] = []
        end = time.monotonic() + seconds
        while True:
            messages = self._sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            for message in messages:
                # not the JSON that it should be when a bad body is in the dead-letter queue
                with contextlib.suppress(ValueError, RecursionError):
                    message["Body"] = json.loads(message["Body"])
                bodies.append(message["Body"])
            # left in flight: moto forgets a deduplication id with its message, AWS does not
            if not messages:
                if len(bodies) >= count:
                    return bodies
                assert time.monotonic() < end, f"{len(bodies)} of {count} messages came in {seconds} s"
                time.sleep(0.02)

    def _create(self, name: str, attributes: dict[str, str]) -> str:
        return self._sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    def _arn(self, url: str) -> str:
        return self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def client(service: str, endpoint_url: str) -> Any:
    """A client of moto."""
    session = boto3.Session("AKIDTEST", "test", region_name="us-east-1")
    return session.client(  # pyright: ignore[reportUnknownVariableType, reportCallIssue, reportArgumentType]
        service, endpoint_url=endpoint_url, config=Config(retries={"total_max_attempts": 1})
    )


class WorkerProcess:
    """`python -m worker` as a process; on leaving the `with` block it is killed if it still runs."""

    def __init__(self, queues: Queues, health_file: Path, **environment: str | None) -> None:
        settings: dict[str, str | None] = {
            "WORKER_QUEUE_URL": queues.tasks,
            "WORKER_RESULTS_QUEUE_URL": queues.results,
            "WORKER_POLL_SECONDS": "1",
            "WORKER_RETRY_SECONDS": "0",
            "WORKER_TROUBLE_MAX_SECONDS": "1",
            "WORKER_STOP_GRACE_SECONDS": "2",
            "WORKER_HEALTH_FILE": str(health_file),
            "AWS_ENDPOINT_URL": queues.endpoint_url,
            "AWS_REGION": "us-east-1",
            "PATH": os.environ["PATH"],
            **CREDENTIALS,
            **environment,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "worker"],
            cwd=ROOT,
            env={name: value for name, value in settings.items() if value is not None},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[dict[str, Any]] = []
        self._logged = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe
            pipe.close()

    def events(self, event: str) -> list[dict[str, Any]]:
        """The lines of this event so far."""
        with self._logged:
            return [line for line in self.log if line["event"] == event]

    def wait_for(self, event: str, count: int = 1, seconds: float = 20) -> dict[str, Any]:
        """The line with which `event` comes for the `count`th time."""
        end = time.monotonic() + seconds
        with self._logged:
            while len(found := [line for line in self.log if line["event"] == event]) < count:
                left = end - time.monotonic()
                assert left > 0, f"no {count} {event} in {seconds} s, but {self.log[-10:]}"
                self._logged.wait(left)
        return found[count - 1]

    def terminate(self, seconds: float = 20) -> int:
        """Send SIGTERM, and wait for the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def wait(self, seconds: float = 20) -> int:
        """The exit code, once all that the worker wrote is read."""
        code = self.process.wait(seconds)
        self._reader.join(seconds)
        return code

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            # a line that SIGKILL cut short is not JSON
            with contextlib.suppress(ValueError):
                decoded = json.loads(line)
                with self._logged:
                    self.log.append(decoded)
                    self._logged.notify_all()


def wait_until(holds: Callable[[], bool], seconds: float, what: str, look_seconds: float = 0.01) -> None:
    """Until `holds`; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{what} did not come in {seconds} s"
        time.sleep(look_seconds)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002  a killed worker is no error
        return


@contextlib.contextmanager
def _serve(handler: type[BaseHTTPRequestHandler], port: int = 0) -> Generator[str]:
    server = _Server(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Network:
    """What lies between a worker and SQS: it passes requests on, or fails as told."""

    def __init__(self, target: str) -> None:
        self.target = target.removeprefix("http://")
        self.state: Literal["up", "cut", "throttled", "token expired"] = "up"
        self.valid_key = ""
        self.failed = 0

    @contextlib.contextmanager
    def listen(self, port: int = 0) -> Generator[str]:
        """The URL to use in place of the target's."""
        network = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                network.answer(self, body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002, ARG002
                return

        with _serve(Handler, port) as url:
            yield url

    def answer(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        """Answer one request."""
        key_is_valid = f"Credential={self.valid_key}/" in request.headers["Authorization"]
        if self.state == "cut":
            self.failed += 1
            request.close_connection = True
            return
        if self.state == "throttled":
            self._refuse(request, 400, "com.amazonaws.sqs#RequestThrottled")
            return
        if self.state == "token expired" and not key_is_valid:
            self._refuse(request, 403, "com.amazon.coral.service#ExpiredTokenException")
            return
        connection = http.client.HTTPConnection(self.target)
        connection.request("POST", request.path, body, dict(request.headers))
        with contextlib.closing(connection), connection.getresponse() as response:
            self._write(request, response.status, response.read())

    def _refuse(self, request: BaseHTTPRequestHandler, status: int, code: str) -> None:
        self.failed += 1
        self._write(request, status, json.dumps({"__type": code, "message": self.state}).encode())

    def _write(self, request: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
        request.send_response(status)
        request.send_header("Content-Type", "application/x-amz-json-1.0")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


class Agent:
    """The ECS agent's task protection endpoint, which writes down what it is asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.refuses = False

    @contextlib.contextmanager
    def listen(self) -> Generator[str]:
        """The value of `ECS_AGENT_URI`."""
        agent = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                agent.asked.append({"path": self.path, **body})
                refusal = {"failure": {"Reason": "TASK_NOT_VALID", "Detail": "the task is not in a service"}}
                answer = refusal if agent.refuses else {"protection": body}
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002, ARG002
                return

        with _serve(Handler) as url:
            yield f"{url}/api/task-id"
