"""What a deployment finds of a job queue, and what it makes of the compute environments that are not the newest."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from pulumi_aws import batch, ecs

from components.batch import DeployedJobQueue, file_system_in_use, generations, zones_in_use
from components.batch.generations import Generation
from local.aws import Aws
from local.provider import Provider
from local.run import Registration, Run
from tests.batch.support import COMPUTE_ENVIRONMENT, JOB_QUEUE, MULTI, PLACEMENT_GROUP, SINGLE, environments, start_task
from tests.conftest import DEFAULT_TAGS, REGION, RunStack, run_config
from tests.support import all_of, one_of

OTHER_TYPES = SINGLE | {"instanceTypes": ["g6.12xlarge"]}
NODES_TALK = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"


@dataclass(frozen=True, kw_only=True)
class There:
    """A stack that is there, with a task in the spot environment of `single`."""

    aws: Aws
    run: Run

    def edited(self, batch_section: Mapping[str, Any], *, provider: Provider | None = None, zones: int = 3) -> Run:
        """A preview of an edit."""
        config = stack_file(batch_section, zones)
        return run_config(self.aws, config, preview=True, provider=provider or Provider(self.aws))

    def refused(self, batch_section: Mapping[str, Any]) -> list[str]:
        """What a preview of an edit is refused with."""
        run = self.edited(batch_section)
        assert run.registrations == {}
        return str(run.error).splitlines()

    def queue(self, name: str) -> str:
        """Physical name of a job queue."""
        return self.run.exports["batch_job_queue_arns"][name].rpartition("/")[2]

    def set_state(self, name: str, state: str) -> None:
        """Open or close a job queue, as a person does."""
        self.aws.client("batch").update_job_queue(jobQueue=self.queue(name), state=state)


def stack_file(batch_section: Mapping[str, Any], zones: int) -> dict[str, Any]:
    return {"distributed-training:network": {"availabilityZones": zones}, "distributed-training:batch": batch_section}


@pytest.fixture(scope="module")
def there() -> Iterator[There]:
    with Aws(REGION, DEFAULT_TAGS) as aws:
        config = stack_file({"single": SINGLE, "multi": MULTI}, zones=3)
        run = run_config(aws, config, preview=False, provider=Provider(aws))
        assert run.error is None
        start_task(aws, environments(run)["single-spot"].name)
        yield There(aws=aws, run=run)


def draining(run: Run) -> dict[str, Registration]:
    """Logical name without the digest -> compute environment that takes no job."""
    assert run.error is None
    return {
        one.name.rpartition("-")[0]: one
        for one in all_of(run, COMPUTE_ENVIRONMENT).values()
        if one.inputs["state"] == "DISABLED"
    }


def test_the_stack_file_as_it_is_drains_nothing(there: There) -> None:
    run = there.edited({"single": SINGLE, "multi": MULTI})
    assert set(all_of(run, COMPUTE_ENVIRONMENT)) == set(all_of(there.run, COMPUTE_ENVIRONMENT))
    assert draining(run) == {}
    assert run.messages == []


def test_other_instances_are_beside_those_before_which_keep_all_but_their_state(there: There) -> None:
    run = there.edited({"single": OTHER_TYPES | {"minVcpus": 48}, "multi": MULTI})
    old, new, before = draining(run), environments(run), environments(there.run)
    assert {one.name for one in old.values()} == {before[name].name for name in ("single-spot", "single-on-demand")}
    assert set(new) == {"single-spot", "single-on-demand", "multi-on-demand"}
    assert new["multi-on-demand"].name == before["multi-on-demand"].name
    for name, one in old.items():
        assert one.inputs["computeResources"]["minVcpus"] == 0
        assert one.inputs["tags"] == before[name].inputs["tags"]
        kept = {path.removeprefix("computeResources.") for path in one.ignore_changes}
        assert kept == {
            "desiredVcpus",
            *before[name].inputs["computeResources"].keys() - {"minVcpus"},
            "placementGroup",
        }
        # it takes jobs until the queue has the other one
        assert one_of(run, JOB_QUEUE, "single").urn in one.dependencies


def test_only_the_newest_are_in_the_queue_and_among_the_outputs(there: There) -> None:
    run = there.edited({"single": OTHER_TYPES, "multi": MULTI})
    queue = one_of(run, JOB_QUEUE, "single")
    new = {environments(run)[name].urn for name in ("single-spot", "single-on-demand")}
    assert queue.property_dependencies["computeEnvironmentOrders"] == new
    assert len(run.exports["batch_compute_environment_arns"]["single"]) == 2


def test_the_preview_says_what_drains_and_what_runs_in_it(there: There) -> None:
    run = there.edited({"single": OTHER_TYPES, "multi": MULTI})
    before = environments(there.run)
    assert sorted(run.messages) == sorted(
        f"{before[name].name} takes no new job (tasks that go on in it: {tasks}); "
        "the first deployment that finds it empty deletes it"
        for name, tasks in (("single-spot", 1), ("single-on-demand", 0))
    )


def test_a_kind_of_capacity_that_goes_drains_and_the_other_stays(there: There) -> None:
    run = there.edited({"single": SINGLE | {"capacity": ["onDemand"]}, "multi": MULTI})
    assert set(draining(run)) == {"single-spot"}
    assert environments(run)["single-on-demand"].name == environments(there.run)["single-on-demand"].name


def test_another_default_tag_drains_every_environment_and_stops_nothing(
    there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(there.aws, "default_tags", {**there.aws.default_tags, "CostCenter": "42"})
    run = there.edited({"single": SINGLE, "multi": MULTI})
    assert set(draining(run)) == set(environments(run)) == {"single-spot", "single-on-demand", "multi-on-demand"}


def test_what_the_nodes_of_a_running_job_use_stays_as_long_as_they_do(there: There) -> None:
    alone = {"single": SINGLE, "multi": SINGLE}
    run = there.edited(alone)
    assert set(draining(run)) == {"multi-on-demand"}
    assert set(all_of(run, PLACEMENT_GROUP)) == {"multi"}
    assert set(all_of(run, NODES_TALK)) == {"multi.nodes"}
    assert "placementGroup" not in environments(run)["multi-on-demand"].inputs["computeResources"]
    new_stack = run_config(there.aws, stack_file(alone, zones=3), preview=True)
    assert all_of(new_stack, PLACEMENT_GROUP) == all_of(new_stack, NODES_TALK) == {}


def test_an_environment_that_is_not_found_by_its_tag_yet_is_found_by_its_queue(there: There) -> None:
    class Late(Provider):
        def invoke(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
            answer = super().invoke(token, arguments)
            if token.endswith("getResources"):
                listed = answer["resourceTagMappingLists"]
                kept = [one for one in listed if ":compute-environment/" not in one["resourceArn"]]
                return {**answer, "resourceTagMappingLists": kept}
            return answer

    run = there.edited({"single": OTHER_TYPES, "multi": MULTI}, provider=Late(there.aws))
    assert set(draining(run)) == {"single-spot", "single-on-demand"}


def test_a_queue_that_may_have_jobs_neither_goes_nor_is_made_anew(there: There) -> None:
    close = f"aws batch update-job-queue --job-queue {there.queue('single')} --state DISABLED"
    rule = (
        "must stay as it is while the queue may have jobs, because they end with it: "
        f"give new jobs to another queue, close this one ({close}), and wait until it has none"
    )
    assert there.refused({"multi": MULTI}) == [f"batch.single: {rule}, got {{'state': 'ENABLED', 'tasks': 1}}"]
    renamed = {"multi": MULTI, "other": SINGLE}
    assert there.refused(renamed) == [f"batch.single: {rule}, got {{'state': 'ENABLED', 'tasks': 1}}"]
    shared = {"multi": MULTI, "single": SINGLE | {"fairShare": {"a": 1.0}}}
    assert there.refused(shared) == [f"batch.single.fairShare: {rule}, got {{'state': 'ENABLED', 'tasks': 1}}"]
    there.set_state("single", "DISABLED")
    assert there.refused({"multi": MULTI}) == [f"batch.single: {rule}, got {{'state': 'DISABLED', 'tasks': 1}}"]
    there.set_state("single", "ENABLED")


def test_a_closed_and_empty_queue_may_go_or_be_made_anew(there: There) -> None:
    there.set_state("multi", "DISABLED")
    assert there.edited({"single": SINGLE}).error is None
    shared = there.edited({"single": SINGLE, "multi": MULTI | {"fairShare": {"a": 1.0}}})
    assert one_of(shared, JOB_QUEUE, "multi").replace_on_changes == ("schedulingPolicyArn",)
    there.set_state("multi", "ENABLED")


def found(**more: Any) -> SimpleNamespace:
    """An environment as the provider tells of it."""
    there: dict[str, Any] = {"status": "VALID", "state": "DISABLED", "ecs_cluster_arn": "cluster", "tags": {}}
    return SimpleNamespace(**there | more)


def answer(
    monkeypatch: pytest.MonkeyPatch,
    environment: SimpleNamespace | Exception,
    clusters: Iterator[SimpleNamespace | Exception],
) -> None:
    """Have the provider answer so."""

    def answered(what: SimpleNamespace | Exception) -> SimpleNamespace:
        if isinstance(what, Exception):
            raise what
        return what

    def get_compute_environment(name: str) -> SimpleNamespace:
        assert name.startswith("single-spot-1a2b3c4d-")
        return answered(environment)

    def get_cluster(cluster_name: str) -> SimpleNamespace:
        assert cluster_name == "cluster"
        return answered(next(clusters))

    monkeypatch.setattr(batch, "get_compute_environment", get_compute_environment)
    monkeypatch.setattr(ecs, "get_cluster", get_cluster)


def asked(
    monkeypatch: pytest.MonkeyPatch, environment: SimpleNamespace | Exception, cluster: SimpleNamespace | Exception
) -> Generation | None:
    """What is made of these answers."""
    answer(monkeypatch, environment, iter([cluster]))
    return Generation.ask("single-spot-1a2b3c4d-abcdef0")


def failed(words: str) -> Exception:
    return Exception(f"invoke of aws:batch/getComputeEnvironment:getComputeEnvironment failed: {words}")


BUSY = SimpleNamespace(running_tasks_count=2, pending_tasks_count=1)


def test_tasks_that_are_about_to_run_count(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, found(), BUSY) == Generation(name="single-spot-1a2b3c4d", enabled=False, tasks=3)


def test_an_environment_of_before_an_upgrade_has_the_name_of_its_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    tags = {"distributed-training:name": "single-spot-9f8e7d6c", "distributed-training:needs": "nearby placement"}
    assert asked(monkeypatch, found(tags=tags), BUSY) == Generation(
        name="single-spot-9f8e7d6c", enabled=False, tasks=3, needs=frozenset({"nearby", "placement"})
    )


@pytest.mark.parametrize(
    "environment",
    [
        failed("reading Batch Compute Environment (single-spot): couldn't find resource"),
        failed("reading Batch Compute Environment (single-spot): empty result"),
        found(status="DELETING"),
    ],
)
def test_an_environment_that_is_still_listed_and_gone_is_not_there(
    environment: SimpleNamespace | Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asked(monkeypatch, environment, BUSY) is None


def test_a_cluster_that_is_gone_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = failed("reading ECS Cluster (cluster): couldn't find resource")
    assert asked(monkeypatch, found(), gone) == Generation(name="single-spot-1a2b3c4d", enabled=False, tasks=0)


def test_who_may_not_ask_what_runs_deploys_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Exception, match="AccessDenied"):
        asked(monkeypatch, found(), failed("AccessDeniedException: not authorized to perform: ecs:DescribeClusters"))


def test_of_two_with_one_name_the_busy_one_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = (SimpleNamespace(running_tasks_count=count, pending_tasks_count=0) for count in (0, 2, 0))
    answer(monkeypatch, found(), tasks)
    queue = DeployedJobQueue(environments=frozenset(f"single-spot-1a2b3c4d-{end}" for end in ("a", "b", "c")))
    assert [one.tasks for one in queue.others(set())] == [2]


def test_more_environments_than_a_region_can_have_are_refused(
    mistakes_in: Callable[[Mapping[str, Any]], list[str]], run_stably: RunStack
) -> None:
    rule = "must need at most 50 compute environments with those that drain, because a region has no more: "
    assert mistakes_in({"batch": {f"queue-{number}": {} for number in range(26)}}) == [
        f"batch: {rule}name fewer kinds of capacity, or change fewer queues at once, got 52"
    ]
    most = run_stably({"batch": {f"queue-{number}": {"capacity": ["onDemand"]} for number in range(50)}})
    assert len(environments(most)) == 50


def test_those_that_drain_need_room(there: There, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generations, "MOST_IN_A_REGION", 4)
    # three, and the queue `single` as it would be
    (line,) = there.refused({"single": OTHER_TYPES, "multi": MULTI})
    assert line.endswith("or change fewer queues at once, got 5")
    assert there.edited({"single": OTHER_TYPES | {"capacity": ["spot"]}, "multi": MULTI}).error is None
    assert there.edited({"single": SINGLE, "multi": MULTI}).error is None


def test_a_zone_where_tasks_run_stays_and_another_may_come(there: There) -> None:
    batch_section = {"single": SINGLE, "multi": MULTI}
    spot = environments(there.run)["single-spot"].name
    assert str(there.edited(batch_section, zones=2).error) == (
        f"network: must leave us-west-2c in the stack file until the tasks in {spot} have ended, got 1"
    )
    more = there.edited(batch_section, zones=4)
    # jobs on many nodes are in the first zone, now as before
    assert set(draining(more)) == {"single-spot", "single-on-demand"}


def test_the_file_system_stays_for_those_that_mount_it_alone() -> None:
    others = [
        Generation(name="uses", enabled=True, tasks=2, needs=frozenset({"lustre", "us-west-2a"})),
        Generation(name="idle", enabled=True, tasks=0, needs=frozenset({"lustre"})),
        Generation(name="before", enabled=True, tasks=1, needs=frozenset({"us-west-2a"})),
    ]
    (mistake,) = file_system_in_use("artifacts.lustre", others)
    assert str(mistake) == (
        "artifacts.lustre: must stay in the stack file until the tasks that have it mounted have ended, got {'uses': 2}"
    )
    # it is no zone
    assert [*zones_in_use("network", ["us-west-2a"], others)] == []


def test_instances_keep_their_file_system_and_a_stack_keeps_it_while_a_task_has_it_mounted() -> None:
    without: dict[str, Any] = {"distributed-training:batch": {"single": SINGLE}}
    whole: dict[str, Any] = without | {"distributed-training:artifacts": {"lustre": {}}}
    with Aws(REGION, DEFAULT_TAGS) as aws:
        first = run_config(aws, whole, preview=False, provider=Provider(aws))
        again = run_config(aws, whole, preview=True, provider=Provider(aws))
        assert set(all_of(again, COMPUTE_ENVIRONMENT)) == set(all_of(first, COMPUTE_ENVIRONMENT))
        # only where there was no file system before, an environment that comes back may have mounted another one
        version = "computeResources.launchTemplate.version"
        assert [version in environments(run)["single-spot"].ignore_changes for run in (first, again)] == [False, True]
        spot = environments(first)["single-spot"].name
        start_task(aws, spot)
        refused = run_config(aws, without, preview=True, provider=Provider(aws))
    assert str(refused.error) == (
        "artifacts.lustre: must stay in the stack file until the tasks that have it mounted have ended, got"
        f" {{{spot!r}: 1}}"
    )
