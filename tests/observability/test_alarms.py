"""Alarms: that none is raised while all is well, and each by its fault, in a simulated AWS."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from components.batch import BatchJobQueueSettings
from components.observability.alarms import LONGEST_RETRY_SECONDS, longest_wait_seconds, oldest_task_seconds
from components.observability.job_queue_probe import PROBE_MINUTES
from components.observability.job_queue_probe_handler import probe
from components.task_queue import TaskQueueSettings
from local.run import Run
from tests.conftest import RunStack
from tests.observability.batch import Batch
from tests.observability.support import ALARM
from tests.scaling.cloudwatch import MINUTE, Alarm, Key, Metrics, Readings, key
from tests.scaling.fleet import Fleet
from tests.scaling.queue import HOUR, Delays, Queue
from tests.scaling.registered import scaled
from tests.support import WHOLE, all_of, one_of
from worker.settings import Settings


def alarms_of(run: Run) -> Mapping[str, Mapping[str, Any]]:
    """What notifies somebody, by name."""
    found = {name: one.inputs for name, one in all_of(run, ALARM).items() if name.startswith("alerts-")}
    return {name.removeprefix("alerts-"): one for name, one in found.items()}


class Platform:
    """The queue `tasks` and its workers, with the queues beside it, and every alarm that the stack registers."""

    def __init__(self, run: Run, seed: int) -> None:
        self.resources = scaled(run)
        readings = Readings.drawn(seed)
        self.queue = Queue(self.resources.queue, readings, seed, Delays())
        self.fleet = Fleet(self.resources, self.queue)
        self.queue.watched = {name: Alarm(one, readings) for name, one in alarms_of(run).items()}
        self.emitted: dict[Key, Callable[[], float]] = {}
        """What is emitted besides, each minute."""
        self.gpus: list[float] = []
        """How busy each GPU of the job queue is, in percent; of instances that run."""
        watched = alarms_of(run).get("single-idle-gpus")
        self.use_of_gpus = key(watched["namespace"], watched["metricName"], watched["dimensions"]) if watched else None
        names = {name: run.created[one.urn].outputs["name"] for name, one in all_of(run, "aws:sqs/queue:Queue").items()}
        self.beside(names["tasks-dlq"], "ApproximateNumberOfMessagesVisible", lambda: self.queue.dead)
        # nobody reads the results
        self.beside(names["results"], "ApproximateNumberOfMessagesVisible", lambda: len(self.queue.done))
        self.beside(names["results"], "ApproximateAgeOfOldestMessage", self._oldest_result)
        self.names = names
        self.batch = Batch()
        job_queues = all_of(run, "aws:batch/jobQueue:JobQueue")
        self.job_queues = [run.created[one.urn].outputs["name"] for one in job_queues.values()]
        for name in self.job_queues:
            self.batch.environments[name] = {"spot": "VALID", "onDemand": "VALID"}
        for one in all_of(run, "aws:lambda/function:Function").values():
            self.errors = key("AWS/Lambda", "Errors", {"FunctionName": run.created[one.urn].outputs["name"]})
            self.queue.after(self.queue.draw((0, PROBE_MINUTES * MINUTE)), self._start_probe)
        self.queue.after(MINUTE, self._minute)

    def beside(self, queue_name: str, metric: str, value: Callable[[], float], namespace: str = "AWS/SQS") -> None:
        self.emitted[key(namespace, metric, {"QueueName": queue_name})] = value

    @property
    def job_queue(self) -> str:
        """The name of the one job queue."""
        (name,) = self.job_queues
        return name

    def _start_probe(self) -> None:
        """A rule of EventBridge starts the function within a minute."""
        self.queue.after(PROBE_MINUTES * MINUTE, self._start_probe)
        self.queue.after(self.queue.draw((0, MINUTE)), self._probe)

    def _probe(self) -> None:
        failed = 0
        try:
            probe(self.batch.client, self, self.job_queues, self.queue.now)
        except (ClientError, ExceptionGroup):
            failed = 1
        self.queue.metrics.put(self.errors, self.queue.now, failed, late=MINUTE)

    def put_metric_data(self, **given: Any) -> None:
        """What the function calls CloudWatch with."""
        for point in given["MetricData"]:
            named = key(
                given["Namespace"], point["MetricName"], {one["Name"]: one["Value"] for one in point["Dimensions"]}
            )
            self.queue.metrics.put(named, self.queue.now, point["Value"])

    def _oldest_result(self) -> float:
        return self.queue.now - self.queue.done[0] if self.queue.done else 0

    def _minute(self) -> None:
        self.queue.after(MINUTE, self._minute)
        for named, value in self.emitted.items():
            self.queue.metrics.put(named, self.queue.now, value(), late=MINUTE)
        if self.use_of_gpus:
            for busy in self.gpus:
                self.queue.metrics.put(self.use_of_gpus, self.queue.now, busy, late=MINUTE)


def too_many_tasks(here: Platform) -> None:
    here.queue.send(2000, HOUR)


def no_image(here: Platform) -> None:
    here.fleet.room = 0
    here.queue.send(10, HOUR)


def no_capacity(here: Platform) -> None:
    here.fleet.room = 3
    here.queue.send(60, HOUR)


def poison(here: Platform) -> None:
    here.queue.send(1, MINUTE, fails=True)


def broken_image(here: Platform) -> None:
    here.queue.send(60, MINUTE / 2, fails=True)


def large_tasks(here: Platform) -> None:
    here.fleet.memory_percent = 95
    here.queue.send(1, HOUR)


def lost_lease(here: Platform) -> None:
    here.beside(here.resources.queue["QueueName"], "LeasesLost", lambda: 1, "DistributedTraining/Worker")


def dead_result(here: Platform) -> None:
    here.beside(here.names["results-dlq"], "ApproximateNumberOfMessagesVisible", lambda: 1)


def one_team_holds_up_the_others(here: Platform) -> None:
    begun, name = here.queue.now, here.resources.queue["QueueName"]
    here.beside(name, "ApproximateNumberOfNoisyGroups", lambda: 1)
    here.beside(name, "ApproximateAgeOfOldestMessageInQuietGroups", lambda: here.queue.now - begun)


def hung_job(here: Platform) -> None:
    here.gpus = [0.0] * 4


def broken_gpu(here: Platform) -> None:
    broken = here.queue.now

    def reported() -> None:
        named = key("DistributedTraining/Gpu", "gpu_faults", {"BatchJobQueue": "distributed-training-test-single"})
        here.queue.metrics.put(named, broken, 1)

    here.queue.after(MINUTE, reported)


def deleted_role(here: Platform) -> None:
    here.batch.environments[here.job_queue]["spot"] = "INVALID"


def instances_that_never_join(here: Platform) -> None:
    here.batch.first_since[here.job_queue] = here.queue.now


def job_larger_than_what_is_ever_free(here: Platform) -> None:
    here.batch.runs(here.job_queue)
    here.batch.first_since[here.job_queue] = here.queue.now - 27 * HOUR


def probe_without_rights(here: Platform) -> None:
    here.batch.refuses = lambda operation, _parameters: operation == "GetJobQueueSnapshot"


FAULTS: Mapping[str, Callable[[Platform], None]] = {
    "tasks-dead-letters": poison,
    "tasks-too-old": too_many_tasks,
    "tasks-unconsumed": no_image,
    "results-dead-letters": dead_result,
    "workers-below-desired": no_capacity,
    "workers-memory": large_tasks,
    "workers-lost-leases": lost_lease,
    "workers-failing": broken_image,
    "single-idle-gpus": hung_job,
    "single-gpu-faults": broken_gpu,
    "single-invalid-environment": deleted_role,
    "single-nothing-starts": instances_that_never_join,
    "single-waits-too-long": job_larger_than_what_is_ever_free,
    "job-queues-unwatched": probe_without_rights,
}
"""Alarm -> what raises it."""


def test_every_alarm_has_a_fault_that_raises_it(deployed: Run, teams: Run) -> None:
    assert set(alarms_of(deployed)) == set(FAULTS)
    of_batch = {name for name in FAULTS if name.startswith(("single-", "job-queues-"))}
    assert set(alarms_of(teams)) == {*FAULTS, "tasks-unfair"} - of_batch


def test_alarms_notify_and_take_no_metrics_for_no_fault(deployed: Run) -> None:
    topic = deployed.exports["alerts_topic_arn"]
    for alarm in alarms_of(deployed).values():
        assert alarm["treatMissingData"] == "notBreaching"
        assert alarm["alarmActions"] == alarm["okActions"] == [topic]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_raises_its_alarm(name: str, deployed: Run, thorough: bool) -> None:
    for seed in range(30 if thorough else 3):
        here = Platform(deployed, seed)
        here.queue.touch()
        here.queue.run(HOUR)
        assert here.queue.raised == {}, seed
        FAULTS[name](here)
        while name not in here.queue.raised and here.queue.now < 12 * HOUR:
            here.queue.run(here.queue.now + HOUR)
        assert name in here.queue.raised, seed


def test_a_team_that_waits_behind_another_raises_an_alarm_on_a_standard_queue(teams: Run, thorough: bool) -> None:
    for seed in range(30 if thorough else 3):
        here = Platform(teams, seed)
        one_team_holds_up_the_others(here)
        here.queue.run(4 * HOUR)
        assert here.queue.raised == {}, seed
        here.queue.run(5 * HOUR)
        assert set(here.queue.raised) == {"tasks-unfair"}, seed


def test_idle_nodes_of_eks_raise_an_alarm_and_none_do_not(run_sections: RunStack) -> None:
    inputs = alarms_of(run_sections({"eks": {"containerInsights": True}}))["eks-nodes-idle"]
    use = key("ContainerInsights", "node_gpu_utilization", inputs["dimensions"])
    for seed in range(3):
        metrics = Metrics()
        alarm = Alarm(inputs, Readings.drawn(seed))

        def raised(busy: float, since: int, until: int, metrics: Metrics = metrics, alarm: Alarm = alarm) -> bool:
            for minute in range(since, until):
                metrics.put(use, minute * MINUTE, busy)
            return any(alarm.evaluate(metrics, minute * MINUTE) for minute in range(since, until))

        assert not raised(90, 60, 120)
        assert not raised(0, 120, 145)
        assert raised(0, 145, 180)
        # no node, no points
        assert not any(alarm.evaluate(metrics, minute * MINUTE) for minute in range(300, 400))
    assert "eks-nodes-idle" not in alarms_of(run_sections({"eks": {}}))


def test_somebody_is_told_within_half_an_hour_that_tasks_wait_and_nothing_runs(deployed: Run, thorough: bool) -> None:
    for seed in range(100 if thorough else 4):
        here = Platform(deployed, seed)
        here.queue.run(7 * HOUR)
        no_image(here)
        here.queue.run(9 * HOUR)
        assert here.queue.first_metric is not None
        assert here.queue.raised["tasks-unconsumed"] <= here.queue.first_metric + 30 * MINUTE, seed


@pytest.mark.parametrize("of", ["deployed", "teams"])
def test_nothing_is_raised_in_a_day_that_goes_well(of: str, request: pytest.FixtureRequest, thorough: bool) -> None:
    run: Run = request.getfixturevalue(of)
    for seed in range(50 if thorough else 2):
        here = Platform(run, seed)
        queue = here.queue
        queue.run(7 * HOUR)
        queue.send(1, 5 * MINUTE)
        queue.run(9 * HOUR)
        queue.send(60, HOUR)
        # an instance starts, pulls its image, trains with a pause for a checkpoint, and is taken down idle
        for busy, until in ((0.0, 20), (93.0, 40), (0.0, 48), (93.0, 52), (0.0, 60)):
            here.gpus = [busy] * 4
            queue.run(9 * HOUR + until * MINUTE)
        here.gpus = []
        if here.job_queues:
            # jobs come one by one, each waits for an instance, and Batch once gives no answer
            for _ in range(12):
                here.batch.first_since[here.job_queue] = queue.now
                queue.run(queue.now + 12 * MINUTE)
                del here.batch.first_since[here.job_queue]
                queue.run(queue.now + MINUTE)
            here.batch.refuses = lambda _operation, _parameters: True
            queue.run(queue.now + 12 * MINUTE)
            here.batch.refuses = lambda _operation, _parameters: False
        queue.run(13 * HOUR)
        # Spot takes some back
        here.fleet.kill(3)
        queue.run(16 * HOUR)
        queue.send(1000, 30)
        queue.run(18 * HOUR)
        # two attempts fail
        queue.send(2, MINUTE, fails=True)
        queue.run(18 * HOUR + 3 * MINUTE)
        for task in (*queue.waiting, *queue.in_flight):
            task.fails = False
        queue.run(31 * HOUR)
        assert len(queue.done) == 1063, seed
        assert queue.raised == {}, seed


@pytest.mark.parametrize(
    ("settings", "longest_seconds", "seconds"),
    [
        (TaskQueueSettings(visibility_timeout_seconds=900, max_receive_count=5), None, 4500),
        (TaskQueueSettings(visibility_timeout_seconds=60, max_receive_count=1), None, 60),
        (TaskQueueSettings(visibility_timeout_seconds=60, max_receive_count=2), 7200, 2 * (7200 + 900)),
        (TaskQueueSettings(visibility_timeout_seconds=1800, max_receive_count=2), 7200, 2 * (7200 + 1800)),
        (TaskQueueSettings(visibility_timeout_seconds=43_200, max_receive_count=1000, retention_days=2), None, 86_400),
    ],
)
def test_a_task_is_too_old_when_its_attempts_are_over_or_it_is_soon_dropped(
    settings: TaskQueueSettings, longest_seconds: int | None, seconds: int
) -> None:
    assert oldest_task_seconds(settings, longest_seconds) == seconds


def test_a_job_queue_that_is_full_of_training_raises_nothing_and_one_that_stands_still_does(deployed: Run) -> None:
    for seed in range(3):
        here = Platform(deployed, seed)
        queue, batch, name = here.queue, here.batch, here.job_queue
        batch.runs(name)
        batch.first_since[name] = -20 * HOUR
        queue.run(2 * HOUR)
        # its job has ended, and the next one needs another instance
        batch.jobs.clear()
        queue.run(2 * HOUR + 20 * MINUTE)
        batch.runs(name)
        batch.first_since[name] = queue.now
        queue.run(4 * HOUR)
        assert queue.raised == {}, seed
        batch.jobs.clear()
        queue.run(5 * HOUR)
        assert set(queue.raised) == {"single-nothing-starts"}, seed


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        (BatchJobQueueSettings(), (24 + 4) * 3600),
        (BatchJobQueueSettings(timeout_hours=0.5, wait_hours=0.25), 2700),
    ],
)
def test_a_job_has_waited_too_long_when_all_before_it_have_ended_and_no_instance_came(
    settings: BatchJobQueueSettings, seconds: int
) -> None:
    assert longest_wait_seconds(settings) == seconds


def test_the_longest_wait_for_an_attempt_is_the_workers() -> None:
    assert Settings.retry_max_seconds == LONGEST_RETRY_SECONDS


def test_a_task_may_take_as_long_as_the_slowest_fleet_lets_it(run_sections: RunStack) -> None:
    fleets = {"short": {"sharesQueue": True}, "long": {"sharesQueue": True, "maxTaskSeconds": 7200}}
    run = run_sections({"queues": {"tasks": {}, "results": {}}, "workers": fleets})
    assert one_of(run, ALARM, "alerts-tasks-too-old").inputs["threshold"] == 5 * (7200 + 900)


def test_results_that_a_fleet_reads_or_nobody_writes_are_watched_like_tasks(run_sections: RunStack) -> None:
    def watched(sections: Mapping[str, Any]) -> set[str]:
        return {name for name in alarms_of(run_sections(sections)) if name.startswith("results-")}

    every = {"results-dead-letters", "results-too-old", "results-unconsumed"}
    assert watched(WHOLE) == {"results-dead-letters"}
    assert watched({"queues": {"results": {}}}) == every
    reader = {"reader": {"queue": "results", "image": "example.com/reader:1"}}
    assert watched({"queues": {"tasks": {}, "results": {}}, "workers": {"workers": {}, **reader}}) == every
