"""Scaling: what the resources that the stack registers do in a simulated AWS, whatever its delays."""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from components.fargate_workers.scaling import MOST_STEPS, sizes
from local.run import Run
from tests.conftest import RunStack
from tests.scaling.cloudwatch import Readings
from tests.scaling.fleet import Fleet, Scaled, between
from tests.scaling.queue import HOUR, Delays, Queue
from tests.scaling.registered import scaled
from tests.support import one_of

MINUTES = 60
NIGHT = 7 * HOUR
"""Longer than SQS sends metrics of a queue that nobody uses."""

FLEETS: Mapping[str, Any] = {
    "workers": {},
    "many": {"queue": "many", "maxTasks": 200},
    "each": {"queue": "each", "tasksPerWorker": 1},
    "kept": {"queue": "kept", "minTasks": 2},
    "small": {"queue": "shared", "sharesQueue": True},
    "large": {"queue": "shared", "sharesQueue": True, "memory": 8192},
}

Worlds = Callable[..., Iterator[tuple[int, Queue, Fleet]]]


@pytest.fixture(scope="module")
def registered(run_sections: RunStack) -> Run:
    names = {"tasks", "results", *(one["queue"] for one in FLEETS.values() if "queue" in one)}
    return run_sections({"queues": {name: {} for name in sorted(names)}, "workers": FLEETS}, preview=False)


@pytest.fixture(scope="module")
def worlds(registered: Run, thorough: bool) -> Worlds:
    """Queues with their fleets, each with other delays and another reading of AWS's pages, and its seed."""

    def some(fleet: str = "workers", *, few: int = 3, many: int = 100) -> Iterator[tuple[int, Queue, Fleet]]:
        resources = scaled(registered, fleet)
        for seed in range(many if thorough else few):
            queue = queue_of(resources, seed)
            yield seed, queue, Fleet(resources, queue)

    return some


def queue_of(resources: Scaled, seed: int, delays: Delays | None = None) -> Queue:
    return Queue(resources.queue, Readings.drawn(seed), seed, delays or Delays())


def last(fleet: Fleet) -> int:
    return fleet.seen.desired[-1][1]


def first_with(history: list[tuple[float, int]], wanted: int, since: float) -> float:
    """When there was a number for the first time."""
    return next(at for at, n in history if at >= since and n == wanted)


def test_one_task_after_a_quiet_night_starts_one_worker_and_it_goes(worlds: Worlds) -> None:
    for seed, queue, fleet in worlds():
        queue.run(NIGHT)
        queue.send(1, 5 * MINUTES)
        queue.run(NIGHT + 3 * HOUR)
        assert max(between(fleet.seen.desired, 0)) == 1, seed
        assert first_with(fleet.seen.running, 1, NIGHT) <= NIGHT + 20 * MINUTES, seed
        (end,) = queue.done
        assert first_with(fleet.seen.running, 0, end) <= end + 30 * MINUTES, seed


@pytest.mark.parametrize("fleet_name", ["workers", "many"])
def test_fifty_tasks_at_five_a_worker_bring_about_ten(worlds: Worlds, fleet_name: str) -> None:
    for seed, queue, fleet in worlds(fleet_name):
        queue.run(NIGHT)
        queue.send(50, 10 * MINUTES)
        queue.run(NIGHT + 3 * HOUR)
        assert 8 <= max(between(fleet.seen.desired, 0)) <= 13, seed
        assert len(queue.done) == 50, seed


@pytest.mark.parametrize(("fleet_name", "most", "seconds"), [("workers", 20, 30), ("many", 200, 300)])
def test_ten_thousand_tasks_bring_as_many_as_are_allowed_and_they_all_go(
    worlds: Worlds, fleet_name: str, most: int, seconds: int
) -> None:
    for seed, queue, fleet in worlds(fleet_name, few=2, many=30):
        queue.run(NIGHT)
        queue.send(10_000, seconds)
        queue.run(NIGHT + 7 * HOUR)
        assert queue.first_metric is not None
        assert first_with(fleet.seen.desired, most, NIGHT) <= queue.first_metric + 15 * MINUTES, seed
        assert max(between(fleet.seen.desired, 0)) == most, seed
        assert len(queue.done) == 10_000, seed
        end = queue.done[-1]
        assert first_with(fleet.seen.running, 0, end) <= end + 45 * MINUTES, seed


@pytest.mark.parametrize("tasks", [1, 10_000])
def test_a_missing_image_is_asked_for_once_and_works_when_it_is_there(worlds: Worlds, tasks: int) -> None:
    for seed, queue, fleet in worlds(few=2):
        fleet.room = 0
        queue.run(NIGHT)
        queue.send(tasks, MINUTES)
        queue.run(NIGHT + 5 * HOUR)
        assert max(between(fleet.seen.desired, 0)) == 1, seed
        fleet.room = 20
        queue.run(NIGHT + 6 * HOUR)
        assert max(between(fleet.seen.desired, 0)) == min(20, tasks), seed


def test_a_queue_that_is_emptied_while_the_image_is_missing_asks_for_nothing_more(worlds: Worlds) -> None:
    for seed, queue, fleet in worlds():
        fleet.room = 0
        queue.send(3, MINUTES)
        queue.run(2 * HOUR)
        queue.waiting.clear()
        queue.run(3 * HOUR)
        assert last(fleet) == 0, seed


@pytest.mark.parametrize("kind", ["fails", "kills"])
def test_a_poison_task_starts_one_worker(worlds: Worlds, kind: str) -> None:
    for seed, queue, fleet in worlds():
        queue.run(NIGHT)
        queue.send(1, MINUTES, **{kind: True})
        queue.run(NIGHT + 4 * HOUR)
        assert max(between(fleet.seen.desired, 0)) == 1, seed
        assert queue.dead == 1, seed
        assert last(fleet) == 0, seed


def test_tasks_that_wait_for_their_next_attempt_keep_no_worker_that_is_not_there(worlds: Worlds) -> None:
    for seed, queue, fleet in worlds():
        queue.send(30, MINUTES, fails=True)
        queue.run(4 * HOUR)
        assert max(between(fleet.seen.desired, 0)) == 6, seed
        assert queue.dead == 30, seed


@pytest.mark.parametrize(
    ("fleet_name", "every", "seconds", "needed"),
    [("workers", 60, 600, 10), ("workers", 5, 50, 10), ("each", 600, 7200, 12), ("many", 15, 600, 40)],
)
def test_a_steady_stream_has_about_what_it_needs_and_few_changes(
    worlds: Worlds, fleet_name: str, every: int, seconds: int, needed: int
) -> None:
    for seed, queue, fleet in worlds(fleet_name, few=2, many=30):
        draws = random.Random(seed)  # noqa: S311

        def arrive(queue: Queue = queue, draws: random.Random = draws) -> None:
            queue.send(1, seconds * draws.uniform(0.9, 1.1))
            queue.after(every * draws.uniform(0.9, 1.1), arrive)

        queue.after(0, arrive)
        begun, end = 6 * HOUR, 14 * HOUR
        queue.run(end)
        sizes_seen = between(fleet.seen.running, begun)
        assert 0.7 * needed <= min(sizes_seen), seed
        assert max(sizes_seen) <= 1.3 * needed, seed
        for hour in range(begun, end, HOUR):
            changes = [at for at, _ in fleet.seen.desired if hour < at <= hour + HOUR]
            assert len(changes) < 6, (seed, changes)


def test_scaling_in_stops_no_task(worlds: Worlds) -> None:
    for seed, queue, fleet in worlds("each"):
        draws = random.Random(seed)  # noqa: S311
        for _ in range(40):
            queue.after(draws.uniform(0, 6 * HOUR), lambda queue=queue: queue.send(1, 2 * HOUR))
        queue.run(14 * HOUR)
        assert len(queue.done) == 40, seed
        assert fleet.seen.stopped_at_work == 0, seed
        assert last(fleet) == 0, seed


def test_a_pause_of_the_metrics_takes_no_busy_worker_away(worlds: Worlds) -> None:
    for seed, queue, fleet in worlds():
        draws = random.Random(seed)  # noqa: S311
        queue.touch()
        queue.run(HOUR / 2)
        queue.send(60, 2 * HOUR)
        queue.run(HOUR / 2 + draws.uniform(0, HOUR))
        busy = fleet.busy
        queue.paused = True
        paused = queue.now
        queue.run(paused + 15 * MINUTES)
        queue.paused = False
        queue.run(paused + 20 * MINUTES)
        assert fleet.busy >= busy, seed
        queue.run(paused + 13 * HOUR)
        assert len(queue.done) == 60, seed
        assert fleet.seen.stopped_at_work == 0, seed


def test_without_container_insights_tasks_are_done_and_the_workers_go(worlds: Worlds) -> None:
    for seed, queue, fleet in worlds():
        queue.delays = replace(queue.delays, insights=(100 * HOUR, 100 * HOUR))
        queue.send(50, 10 * MINUTES)
        queue.run(4 * HOUR)
        assert len(queue.done) == 50, seed
        assert max(between(fleet.seen.desired, 0)) == 10, seed
        assert fleet.seen.stopped_at_work == 0, seed
        assert last(fleet) == 0, seed


def test_workers_that_are_reclaimed_come_back(worlds: Worlds) -> None:
    for seed, queue, fleet in worlds():
        queue.send(50, 30 * MINUTES)
        queue.run(HOUR)
        fleet.kill(6)
        queue.run(6 * HOUR)
        assert len(queue.done) == 50, seed
        assert max(between(fleet.seen.desired, 0)) <= 13, seed


def test_workers_that_are_always_there_stay(worlds: Worlds) -> None:
    for seed, queue, fleet in worlds("kept"):
        queue.run(NIGHT)
        queue.send(50, 10 * MINUTES)
        queue.run(NIGHT + 4 * HOUR)
        assert min(between(fleet.seen.desired, 0)) == 2, seed
        assert max(between(fleet.seen.desired, 0)) == 10, seed
        assert last(fleet) == 2, seed


def test_fleets_that_share_a_queue_each_keep_their_own_busy_workers_and_no_more(
    registered: Run, thorough: bool
) -> None:
    small, large = (scaled(registered, name) for name in ("small", "large"))
    for seed in range(100 if thorough else 2):
        queue = queue_of(small, seed)
        fleets = [Fleet(small, queue), Fleet(large, queue)]
        queue.send(50, HOUR)
        queue.run(8 * HOUR)
        assert len(queue.done) == 50, seed
        for fleet in fleets:
            # each counts all tasks
            assert max(between(fleet.seen.desired, 0)) == 10, seed
            assert fleet.seen.stopped_at_work == 0, seed
            assert last(fleet) == 0, seed


def test_a_fleet_whose_image_is_missing_is_not_helped_by_the_other(registered: Run, thorough: bool) -> None:
    small, large = (scaled(registered, name) for name in ("small", "large"))
    for seed in range(100 if thorough else 2):
        queue = queue_of(small, seed)
        works, fails = Fleet(small, queue), Fleet(large, queue)
        fails.room = 0
        queue.send(100, 10 * MINUTES)
        queue.run(6 * HOUR)
        assert len(queue.done) == 100, seed
        assert max(between(works.seen.desired, 0)) == 20, seed
        assert max(between(fails.seen.desired, 0)) == 1, seed


def test_a_step_of_one_more_a_minute_fails_here(registered: Run) -> None:
    """The simulation tells right from wrong: an alarm that adds a worker until one runs climbs with a missing image."""
    resources = scaled(registered)
    adds = {
        "adjustmentType": "ChangeInCapacity",
        "cooldown": 60,
        "stepAdjustments": [
            {"metricIntervalLowerBound": "0", "metricIntervalUpperBound": "1", "scalingAdjustment": 0},
            {"metricIntervalLowerBound": "1", "scalingAdjustment": 1},
        ],
    }
    climbing = replace(resources, policy={"stepScalingPolicyConfiguration": adds})
    readings = Readings.drawn(0)
    for counts_from, most in (("desired", 20), ("running", 1)):
        queue = Queue(resources.queue, replace(readings, counts_from=counts_from), 0, Delays())
        fleet = Fleet(climbing, queue)
        fleet.room = 0
        queue.send(1, MINUTES)
        queue.run(3 * HOUR)
        assert max(between(fleet.seen.desired, 0)) == most


@pytest.mark.parametrize(("least", "most"), [(0, 1), (0, 20), (5, 5), (2, 20), (0, 200), (10, 5000), (0, 5000)])
def test_sizes_are_as_many_as_a_policy_has_steps_and_end_at_the_limits(least: int, most: int) -> None:
    found = sizes(least, most)
    assert (found[0], found[-1]) == (least, most)
    assert found == sorted(set(found))
    assert len(found) <= MOST_STEPS
    if most <= 200:
        # the work that a size is for needs at least one worker more than the size before it
        assert all(after <= 1.33 * (before + 1) for before, after in pairwise(found))


def test_the_policy_sets_sizes_and_every_value_has_one_step(registered: Run) -> None:
    policy = one_of(registered, "aws:appautoscaling/policy:Policy", "many-size").inputs
    configuration = policy["stepScalingPolicyConfiguration"]
    assert (policy["policyType"], configuration["adjustmentType"]) == ("StepScaling", "ExactCapacity")
    bounds = [
        (one["metricIntervalLowerBound"], one.get("metricIntervalUpperBound"))
        for one in configuration["stepAdjustments"]
    ]
    assert len(bounds) <= MOST_STEPS
    assert [lower for lower, _ in bounds[1:]] == [upper for _, upper in bounds[:-1]]
    assert (bounds[0][0], bounds[-1][1]) == ("0", None)
    assert "targetTrackingScalingPolicyConfiguration" not in policy


def test_scaling_goes_from_none_to_as_many_as_are_allowed(registered: Run) -> None:
    target = one_of(registered, "aws:appautoscaling/target:Target", "kept")
    exports = registered.exports
    assert target.inputs == {
        "maxCapacity": 20,
        "minCapacity": 2,
        "resourceId": f"service/{exports['ecs_cluster_names']['kept']}/{exports['ecs_service_names']['kept']}",
        "scalableDimension": "ecs:service:DesiredCount",
        "serviceNamespace": "ecs",
    }
