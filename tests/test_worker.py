"""The worker as ECS runs it: real processes on moto's SQS, killed, stopped, cut off and fed with nonsense."""

from __future__ import annotations

import contextlib
import random
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from local.aws import Aws
from tests.worker_support import ROOT, Agent, Network, Queues, WorkerProcess, client, wait_until

MakeQueues = Callable[..., Queues]
StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def make_queues(aws: Aws, request: pytest.FixtureRequest) -> MakeQueues:
    name = re.sub(r"\W", "-", request.node.name)[-60:]

    def make(*, visibility_seconds: int = 30, **options: Any) -> Queues:
        return Queues(aws.endpoint_url, name, visibility_seconds=visibility_seconds, **options)

    return make


@pytest.fixture
def start_worker(tmp_path: Path) -> Generator[StartWorker]:
    with contextlib.ExitStack() as workers:

        def start(queues: Queues, **environment: str | None) -> WorkerProcess:
            return workers.enter_context(WorkerProcess(queues, tmp_path / "healthy", **environment))

        yield start


def test_tasks_in_many_groups_are_each_done_once_and_in_order(
    make_queues: MakeQueues, start_worker: StartWorker, tmp_path: Path, *, thorough: bool
) -> None:
    count, groups = (500, 50) if thorough else (120, 20)
    queues = make_queues()
    command = ["sh", "-c", f"echo $TASK_ID >> {tmp_path}/$GROUP"]
    tasks = [
        (f"group-{i % groups}", {"id": f"task-{i:03}", "command": command, "env": {"GROUP": f"group-{i % groups}"}})
        for i in range(count)
    ]
    workers = [start_worker(queues, WORKER_SLOTS="2") for _ in range(4)]
    for worker in workers:
        worker.wait_for("ready")
    queues.send_many(tasks)
    queues.wait_until_empty(90)
    assert [worker.terminate() for worker in workers] == [0] * 4

    results = queues.results_now()
    assert Counter(result["id"] for result in results) == Counter(f"task-{i:03}" for i in range(count))
    assert {result["status"] for result in results} == {"succeeded"}
    for group in range(groups):
        of_group = [f"task-{i:03}" for i in range(group, count, groups)]
        assert [result["id"] for result in results if result["id"] in of_group] == of_group
        assert (tmp_path / f"group-{group}").read_text().split() == of_group
    assert all(worker.events("taskEnded") for worker in workers)


def test_tasks_of_one_team_run_side_by_side_on_a_standard_queue(
    make_queues: MakeQueues, start_worker: StartWorker, tmp_path: Path
) -> None:
    queues = make_queues(fifo=False)
    teams = ("vision", "speech")
    # each waits until the other of its team runs, too
    meet = "touch $HERE/$TEAM-$TASK_ID; until [ $(ls $HERE/$TEAM-* | wc -l) = 2 ]; do sleep 0.05; done"
    for team in teams:
        for number in range(2):
            env = {"HERE": str(tmp_path), "TEAM": team}
            queues.send_for(team, {"id": f"{team}-{number}", "command": ["sh", "-c", meet], "env": env})
    worker = start_worker(queues, WORKER_SLOTS="4")
    results = queues.wait_for_results(4)
    queues.wait_until_empty()
    assert worker.terminate() == 0
    assert Counter(one["id"] for one in results) == Counter(f"{team}-{n}" for team in teams for n in range(2))
    assert {one["status"] for one in results} == {"succeeded"}


def test_no_task_is_lost_over_many_kills(make_queues: MakeQueues, tmp_path: Path, *, thorough: bool) -> None:
    count, kills = (60, 50) if thorough else (20, 12)
    queues = make_queues(visibility_seconds=1, max_receive_count=1_000)
    tasks = [(f"group-{i}", {"id": f"task-{i}", "command": ["sleep", "0.3"]}) for i in range(count)]
    queues.send_many(tasks)
    kills_left = threading.Semaphore(kills)
    interrupted: list[str] = []
    random_ = random.Random(0)  # noqa: S311

    def kill_workers() -> None:
        while kills_left.acquire(blocking=False):
            with WorkerProcess(queues, tmp_path / "healthy") as worker:
                worker.wait_for("taskStarted")
                time.sleep(random_.uniform(0, 0.2))
                worker.process.kill()
                worker.wait()
                running = {line["taskId"] for line in worker.events("taskStarted")}
                running -= {line["taskId"] for line in worker.events("taskEnded")}
                if running:
                    interrupted.extend(running)
                else:
                    kills_left.release()

    killers = [threading.Thread(target=kill_workers) for _ in range(3)]
    for killer in killers:
        killer.start()
    for killer in killers:
        killer.join()
    assert len(interrupted) >= kills

    with contextlib.ExitStack() as workers:
        for _ in range(2):
            workers.enter_context(WorkerProcess(queues, tmp_path / "healthy", WORKER_SLOTS="8"))
        queues.wait_until_empty(60)
    results = queues.results_now()
    assert Counter(result["id"] for result in results) == Counter(f"task-{i}" for i in range(count))
    assert {result["status"] for result in results} == {"succeeded"}


def test_a_task_longer_than_the_visibility_timeout_runs_once(
    make_queues: MakeQueues, start_worker: StartWorker
) -> None:
    queues = make_queues(visibility_seconds=3)
    queues.send({"id": "long", "command": ["sleep", "4"]})
    workers = [start_worker(queues) for _ in range(2)]
    (result,) = queues.wait_for_results(1)
    queues.wait_until_empty()
    assert (result["status"], result["receiveCount"]) == ("succeeded", 1)
    assert sum(len(worker.events("taskStarted")) for worker in workers) == 1


class TestSigterm:
    def test_a_child_that_needs_too_long_is_stopped_and_its_task_is_back_at_once(
        self, make_queues: MakeQueues, start_worker: StartWorker
    ) -> None:
        queues = make_queues(visibility_seconds=300)
        queues.send(
            {"id": "long", "command": ["sh", "-c", "trap 'echo saved; exit 0' TERM; while :; do sleep 0.1; done"]}
        )
        worker = start_worker(queues, WORKER_DRAIN_SECONDS="1")
        worker.wait_for("taskStarted")
        stopped_at = time.monotonic()
        worker.process.terminate()
        worker.wait_for("taskEnded")
        ended_at = time.monotonic()
        assert ended_at - stopped_at >= 1
        wait_until(lambda: queues.count() == (1, 0), 30, "the task")
        assert worker.wait() == 0
        assert worker.events("taskEnded")[0]["stopped"] == "drain"
        assert queues.results_now() == []
        message = queues.receive()
        assert message
        assert message["Attributes"]["ApproximateReceiveCount"] == "2"

    def test_a_child_that_ends_in_time_is_answered(self, make_queues: MakeQueues, start_worker: StartWorker) -> None:
        queues = make_queues()
        queues.send({"id": "short", "command": ["sleep", "1"]})
        queues.send({"id": "next", "command": ["true"]}, group="other")
        worker = start_worker(queues)
        worker.wait_for("taskStarted")
        assert worker.terminate() == 0
        assert [result["id"] for result in queues.results_now()] == ["short"]
        assert queues.count() == (1, 0)

    def test_a_second_signal_does_not_wait_for_the_child(
        self, make_queues: MakeQueues, start_worker: StartWorker
    ) -> None:
        queues = make_queues()
        queues.send({"id": "long", "command": ["sleep", "60"]})
        worker = start_worker(queues)
        worker.wait_for("taskStarted")
        worker.process.terminate()
        worker.wait_for("stopping")
        assert worker.terminate() == 0
        assert queues.count() == (1, 0)

    def test_a_message_that_the_last_poll_brings_goes_back_unrun(
        self, make_queues: MakeQueues, start_worker: StartWorker
    ) -> None:
        queues = make_queues(visibility_seconds=300)
        worker = start_worker(queues, WORKER_POLL_SECONDS="5")
        worker.wait_for("ready")
        time.sleep(0.3)
        worker.process.terminate()
        worker.wait_for("stopping")
        queues.send({"id": "late", "command": ["true"]})
        assert worker.wait() == 0
        assert worker.events("taskStarted") == []
        assert queues.count() == (1, 0)

    def test_an_idle_worker_is_gone_when_its_poll_ends(
        self, make_queues: MakeQueues, start_worker: StartWorker
    ) -> None:
        worker = start_worker(make_queues(), WORKER_SLOTS="3")
        worker.wait_for("ready")
        assert worker.terminate() == 0
        assert worker.wait_for("stopped")["unfinished"] == []

    def test_a_worker_that_never_reached_its_queue_stops_too(
        self, make_queues: MakeQueues, start_worker: StartWorker
    ) -> None:
        worker = start_worker(make_queues(), AWS_ENDPOINT_URL="http://127.0.0.1:9")
        worker.wait_for("trouble")
        assert worker.terminate() == 0


class TestReclaims:
    """Workers as the stack starts them for `maxReceiveCount: 3`: the queue's own count leaves room for ten more."""

    @pytest.fixture
    def counting(self, aws: Aws) -> dict[str, str]:
        client("s3", aws.endpoint_url).create_bucket(Bucket="artifacts")
        return {"WORKER_MAX_FAILURES": "3", "WORKER_RECORDS_URL": "s3://artifacts/worker-records"}

    def test_a_task_that_four_stopped_workers_gave_back_is_done_by_the_fifth(
        self, make_queues: MakeQueues, start_worker: StartWorker, counting: dict[str, str]
    ) -> None:
        queues = make_queues(visibility_seconds=300, max_receive_count=13)
        command = ["sh", "-c", "[ $TASK_RECEIVE_COUNT = 5 ] || exec sleep 300"]
        workers = [start_worker(queues, WORKER_DRAIN_SECONDS="0", **counting) for _ in range(5)]
        for worker in workers:
            worker.wait_for("ready")
        queues.send({"id": "often-stopped", "command": command})
        for _ in range(4):
            wait_until(lambda: any(one.events("taskStarted") for one in workers), 30, "another attempt")
            (busy,) = (one for one in workers if one.events("taskStarted"))
            workers.remove(busy)
            assert busy.terminate() == 0
        (result,) = queues.wait_for_results(1)
        assert (result["status"], result["receiveCount"]) == ("succeeded", 5)
        queues.wait_until_empty()

    def test_a_task_that_fails_three_times_is_answered_once_and_ends_in_the_dead_letter_queue(
        self, make_queues: MakeQueues, start_worker: StartWorker, counting: dict[str, str], tmp_path: Path
    ) -> None:
        queues = make_queues(visibility_seconds=300, max_receive_count=13)
        queues.send({"id": "poison", "command": ["sh", "-c", f"echo x >> {tmp_path}/tries; exit 3"]}, group="sick")
        queues.send({"id": "behind", "command": ["true"]}, group="sick")
        for _ in range(2):
            start_worker(queues, **counting)
        assert [result["id"] for result in queues.wait_for_results(2)] == ["poison", "behind"]
        queues.wait_until_empty()
        assert (tmp_path / "tries").read_text() == "x\n" * 3
        assert [dead["id"] for dead in queues.wait_for_dead(1)] == ["poison"]
        assert queues.results_now() == []


class TestPoison:
    def test_a_poisonous_task_is_tried_max_receive_count_times_and_holds_up_only_its_group(
        self, make_queues: MakeQueues, start_worker: StartWorker, tmp_path: Path
    ) -> None:
        queues = make_queues(max_receive_count=3)
        queues.send({"id": "poison", "command": ["sh", "-c", f"echo x >> {tmp_path}/tries; exit 3"]}, group="sick")
        queues.send({"id": "behind", "command": ["true"]}, group="sick")
        for i in range(5):
            queues.send({"id": f"other-{i}", "command": ["true"]}, group=f"well-{i}")
        start_worker(queues, WORKER_RETRY_SECONDS="1")
        results = [result["id"] for result in queues.wait_for_results(7)]
        queues.wait_until_empty()
        assert results[-2:] == ["poison", "behind"]
        assert sorted(results) == ["behind", *[f"other-{i}" for i in range(5)], "poison"]
        assert (tmp_path / "tries").read_text() == "x\n" * 3
        (dead,) = queues.wait_for_dead(1)
        assert dead["id"] == "poison"

    def test_bad_bodies_of_every_kind_are_answered_once_and_end_in_the_dead_letter_queue(
        self, make_queues: MakeQueues, start_worker: StartWorker
    ) -> None:
        queues = make_queues(max_receive_count=2)
        bodies: list[Any] = [
            "not JSON",
            "[" * 50_000,
            "[]",
            '"' + "x" * 300_000 + '"',
            '{"id": "no-command"}',
            '{"id": "extra", "command": ["true"], "priority": 1}',
            '{"id": "nul", "command": ["a\\u0000b"]}',
            '{"id": "surrogate", "command": ["\\ud800"]}',
            '{"id": "credentials", "command": ["true"], "env": {"AWS_SECRET_ACCESS_KEY": "x"}}',
            '{"id": "too-long", "command": ["true"], "timeoutSeconds": 43201}',
            '{"id": "with space", "command": ["true"]}',
        ]
        for number, body in enumerate(bodies):
            queues.send(body, group=f"group-{number}", id_=f"bad-{number}")
        queues.send({"id": "good", "command": ["true"]}, group="good")
        worker = start_worker(queues)
        queues.wait_until_empty()
        assert worker.process.poll() is None
        results = {result["id"]: result for result in queues.results_now()}
        assert len(results) == len(bodies) + 1
        assert results.pop("good")["status"] == "succeeded"
        assert {result["status"] for result in results.values()} == {"failed"}
        assert all(result["reason"].startswith("refused: ") for result in results.values())
        assert {"no-command", "extra", "nul", "surrogate", "credentials", "too-long"} < set(results)
        assert len(queues.wait_for_dead(len(bodies))) == len(bodies)


class TestTrouble:
    def test_a_worker_waits_for_a_queue_that_is_not_there_yet(
        self, make_queues: MakeQueues, start_worker: StartWorker, aws: Aws
    ) -> None:
        queues = make_queues()
        queues.send({"id": "task", "command": ["true"]})
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        worker = start_worker(queues, AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}")
        worker.wait_for("trouble", 3)
        with Network(aws.endpoint_url).listen(port):
            (result,) = queues.wait_for_results(1)
            assert result["status"] == "succeeded"

    @pytest.mark.parametrize("state", ["cut", "throttled"])
    def test_a_task_that_runs_through_an_outage_is_answered_after_it(
        self, make_queues: MakeQueues, start_worker: StartWorker, aws: Aws, state: Any
    ) -> None:
        queues = make_queues()
        queues.send({"id": "task", "command": ["sleep", "1"]})
        network = Network(aws.endpoint_url)
        with network.listen() as url:
            worker = start_worker(queues, AWS_ENDPOINT_URL=url)
            worker.wait_for("taskStarted")
            network.state = state
            worker.wait_for("taskEnded")
            worker.wait_for("trouble", 4)
            network.state = "up"
            (result,) = queues.wait_for_results(1)
            queues.wait_until_empty()
            assert (result["status"], result["receiveCount"]) == ("succeeded", 1)
            # before the end of this network is a trouble, too
            troubles = worker.events("trouble")
            assert len(troubles) == network.failed
        assert {type(line["retryInSeconds"]) for line in troubles} == {float}
        assert len({line["retryInSeconds"] for line in troubles}) > 1

    def test_an_outage_longer_than_the_visibility_timeout_loses_the_task_to_another_worker(
        self, make_queues: MakeQueues, start_worker: StartWorker, aws: Aws
    ) -> None:
        queues = make_queues(visibility_seconds=2)
        queues.send({"id": "task", "command": ["sh", "-c", "[ $TASK_RECEIVE_COUNT = 2 ] || sleep 60"]})
        network = Network(aws.endpoint_url)
        with network.listen() as url:
            cut_off = start_worker(queues, AWS_ENDPOINT_URL=url)
            cut_off.wait_for("taskStarted")
            network.state = "cut"
            assert cut_off.wait_for("taskEnded")["stopped"] == "lost"
            assert queues.count()[0] <= 1
            start_worker(queues)
            (result,) = queues.wait_for_results(1)
            network.state = "up"
            assert (result["status"], result["receiveCount"]) == ("succeeded", 2)
        assert queues.results_now() == []

    def test_a_worker_goes_on_when_its_expired_credentials_are_renewed(
        self, make_queues: MakeQueues, start_worker: StartWorker, aws: Aws, tmp_path: Path
    ) -> None:
        credentials = tmp_path / "credentials"
        credentials.write_text("[default]\naws_access_key_id = OLD\naws_secret_access_key = x\n")
        queues = make_queues()
        network = Network(aws.endpoint_url)
        network.valid_key = "NEW"
        with network.listen() as url:
            worker = start_worker(
                queues,
                AWS_ENDPOINT_URL=url,
                AWS_SHARED_CREDENTIALS_FILE=str(credentials),
                AWS_ACCESS_KEY_ID=None,
                AWS_SECRET_ACCESS_KEY=None,
            )
            worker.wait_for("ready")
            network.state = "token expired"
            worker.wait_for("trouble", 2)
            queues.send({"id": "task", "command": ["true"]})
            credentials.write_text("[default]\naws_access_key_id = NEW\naws_secret_access_key = x\n")
            (result,) = queues.wait_for_results(1)
            assert result["status"] == "succeeded"
        assert "ExpiredToken" in worker.events("trouble")[0]["error"]


class TestProtection:
    def test_the_ecs_task_is_protected_while_tasks_run_and_not_toggled_between_them(
        self, make_queues: MakeQueues, start_worker: StartWorker
    ) -> None:
        queues = make_queues()
        agent = Agent()
        with agent.listen() as uri:
            start_worker(queues, ECS_AGENT_URI=uri, WORKER_PROTECTION_LINGER_SECONDS="3")
            for number in range(3):
                queues.send({"id": f"task-{number}", "command": ["sleep", "0.3"]})
            queues.wait_for_results(3)
            wait_until(lambda: len(agent.asked) == 2, 30, "the end of the protection")
        path = "/api/task-id/task-protection/v1/state"
        assert agent.asked == [
            {"path": path, "ProtectionEnabled": True, "ExpiresInMinutes": 60},
            {"path": path, "ProtectionEnabled": False},
        ]

    def test_a_protection_that_is_refused_stops_no_work(
        self, make_queues: MakeQueues, start_worker: StartWorker
    ) -> None:
        queues = make_queues()
        agent = Agent()
        agent.refuses = True
        with agent.listen() as uri:
            worker = start_worker(queues, ECS_AGENT_URI=uri)
            queues.send({"id": "task", "command": ["true"]})
            (result,) = queues.wait_for_results(1)
            assert result["status"] == "succeeded"
            assert "TASK_NOT_VALID" in worker.wait_for("protectionFailed")["error"]


def test_every_line_of_the_log_is_json_with_time_level_and_event(
    make_queues: MakeQueues, start_worker: StartWorker
) -> None:
    queues = make_queues()
    queues.send(
        {"id": "task", "command": ["sh", "-c", 'echo \'{"not": "ours"}\'; echo $WORKER_QUEUE_URL$ECS_AGENT_URI']}
    )
    worker = start_worker(queues)
    worker.wait_for("settled")
    assert worker.terminate() == 0
    assert [list(line)[:3] for line in worker.log] == [["time", "level", "event"]] * len(worker.log)
    assert [line["line"] for line in worker.events("output")] == ['{"not": "ours"}', ""]
    assert [line["event"] for line in worker.log] == [
        "protectionSkipped",
        "starting",
        "ready",
        "taskStarted",
        "output",
        "output",
        "taskEnded",
        "settled",
        "stopping",
        "stopped",
    ]


def test_a_log_that_nobody_reads_holds_up_no_task(make_queues: MakeQueues, tmp_path: Path) -> None:
    class Unread(WorkerProcess):
        def _read(self) -> None:
            self.process.wait()

    queues = make_queues()
    queues.send({"id": "loud", "command": ["sh", "-c", "seq 12000; exit 0"]})
    queues.send({"id": "next", "command": ["true"]})
    with Unread(queues, tmp_path / "healthy") as worker:
        assert [result["id"] for result in queues.wait_for_results(2)] == ["loud", "next"]
        assert worker.terminate() == 0


def test_the_health_file_is_touched_while_the_worker_lives(
    make_queues: MakeQueues, start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker(make_queues())
    worker.wait_for("ready")
    file = tmp_path / "healthy"
    touched_at = file.stat().st_mtime_ns
    wait_until(lambda: file.stat().st_mtime_ns > touched_at, 10, "another touch")
    worker.process.kill()
    worker.wait()
    touched_at = file.stat().st_mtime_ns
    time.sleep(1.5)
    assert file.stat().st_mtime_ns == touched_at


def test_a_queue_without_visibility_timeout_is_a_mistake(make_queues: MakeQueues, start_worker: StartWorker) -> None:
    worker = start_worker(make_queues(visibility_seconds=0))
    assert worker.wait() == 2
    assert worker.process.stderr
    assert worker.process.stderr.read().startswith("the queue's VisibilityTimeout: at least 1 second, got 0; ")


def test_the_image_holds_what_the_worker_imports_and_runs_it_without_root() -> None:
    lines = (ROOT / "worker" / "Dockerfile").read_text().splitlines()
    assert re.fullmatch(
        r"FROM public\.ecr\.aws/docker/library/python:3\.\d+-slim",
        next(line for line in lines if line.startswith("FROM")),
    )
    user = next(line for line in lines if line.startswith("USER")).split()[1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert lines[-1] == 'CMD ["python", "-m", "worker"]'
    (requirement,) = (ROOT / "worker" / "requirements.txt").read_text().split()
    assert re.fullmatch(r"boto3==[\d.]+", requirement)
    # the image copies the folder's own modules, so none may be in a folder below or import the rest of the project
    sources = list((ROOT / "worker").rglob("*.py"))
    assert {source.parent for source in sources} == {ROOT / "worker"}
    imported = {
        match[1] for source in sources for match in re.finditer(r"^\s*(?:from|import) (\w+)", source.read_text(), re.M)
    }
    assert imported.isdisjoint({"settings", "components", "local", "tests", "moto", "pulumi"})
