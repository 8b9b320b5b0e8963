"""Edits of fleets and of what they use on Pulumi's real engine: what it would do to the rest of a deployed stack."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.kept import FOLDER, Kept
from tests.engine_support import RealEngine

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="there is no Pulumi CLI on the PATH"),
]

UP = ("up", "-s", "fleets", "--yes", "--skip-preview")
FLEET = {"queue": "tasks", "submitTo": ["single"]}
SECTIONS: dict[str, Any] = {
    "queues": {"tasks": {}, "results": {}},
    "batch": {"single": {"capacity": ["onDemand"], "sendTo": ["tasks"]}},
    "workers": {"workers": FLEET},
}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealEngine]:
    """A project whose stack `fleets` is deployed."""
    real = RealEngine(tmp_path_factory.mktemp("engine") / "project")
    write(real, SECTIONS)
    real.pulumi(*UP)
    yield real
    real.stop()


def write(real: RealEngine, sections: Mapping[str, Any]) -> None:
    config = {f"distributed-training:{key}": section for key, section in sections.items()}
    Path(real.project / "Pulumi.fleets.yaml").write_text(
        yaml.safe_dump({"config": {"aws:region": "us-west-2", **config}})
    )


def planned(real: RealEngine, sections: Mapping[str, Any]) -> dict[str, set[str]]:
    """Type and name of what a stack file with these sections would change -> how.

    Without what people know of the stack and may do with it: it follows nearly every edit, and is never replaced.
    """
    write(real, sections)
    found: dict[str, set[str]] = {}
    for step in json.loads(real.pulumi("preview", "-s", "fleets", "--json"))["steps"]:
        type_, name = step["urn"].split("::")[2:]
        if step["op"] in ("same", "read"):
            continue
        if ":Access$" in type_:
            assert step["op"] in ("create", "update"), step["urn"]
            continue
        found.setdefault(f"{type_.rpartition('$')[2]} {name}", set()).add(step["op"])
    return found


def test_a_new_queue_changes_nothing_but_the_dashboard(real: RealEngine) -> None:
    found = planned(real, SECTIONS | {"queues": SECTIONS["queues"] | {"new": {}}})
    assert found.pop("aws:cloudwatch/dashboard:Dashboard alerts") == {"update"}
    assert set(map(frozenset, found.values())) == {frozenset({"create"})}
    assert all("new" in what for what in found)


def test_a_new_fleet_leaves_the_others_as_they_are(real: RealEngine) -> None:
    found = planned(
        real,
        SECTIONS | {"queues": SECTIONS["queues"] | {"new": {}}, "workers": {"workers": FLEET, "new": {"queue": "new"}}},
    )
    assert {what for what, how in found.items() if how != {"create"}} == {
        "aws:cloudwatch/dashboard:Dashboard alerts",
        "aws:cloudwatch/eventRule:EventRule alerts-deployment-failed",
        "aws:cloudwatch/eventRule:EventRule alerts-worker-reclaimed",
    }
    assert {frozenset(how) for how in found.values()} == {frozenset({"create"}), frozenset({"update"})}


def test_another_spot_share_updates_the_service(real: RealEngine) -> None:
    sections = SECTIONS | {"workers": {"workers": FLEET | {"spotShare": 0.1}}}
    assert planned(real, sections) == {"aws:ecs/service:Service workers": {"update"}}


def test_another_image_leaves_the_definition_before_for_a_rollback(real: RealEngine) -> None:
    ecs = Kept(real.project / FOLDER).there().client("ecs")
    (before,) = ecs.list_task_definitions(status="ACTIVE")["taskDefinitionArns"]
    found = planned(real, SECTIONS | {"workers": {"workers": FLEET | {"imageTag": "worker-2"}}})
    assert found.pop("aws:ecs/service:Service workers") == {"update"}
    assert found == {"aws:ecs/taskDefinition:TaskDefinition workers": {"replace"}}
    real.pulumi(*UP)
    assert before in ecs.list_task_definitions(status="ACTIVE")["taskDefinitionArns"]


def test_gpus_come_with_another_cluster_change_in_place_and_go(real: RealEngine) -> None:
    groups = Kept(real.project / FOLDER).there().client("autoscaling")
    fleet = FLEET | {"gpu": 1}
    found = planned(real, SECTIONS | {"workers": {"workers": fleet}})
    assert found["aws:ecs/cluster:Cluster workers"] == {"delete"}
    assert found["aws:ecs/cluster:Cluster workers_gpu"] == {"create"}
    assert "replace" in found["aws:ecs/service:Service workers"]
    real.pulumi(*UP)
    (group,) = groups.describe_auto_scaling_groups()["AutoScalingGroups"]
    assert (group["DesiredCapacity"], group["MaxSize"]) == (0, 20)
    assert planned(real, SECTIONS | {"workers": {"workers": fleet}}) == {}
    other = fleet | {"instanceTypes": ["g6.xlarge"], "spotShare": 0.1}
    in_place = planned(real, SECTIONS | {"workers": {"workers": other}})
    assert in_place == {"aws:autoscaling/group:Group workers": {"update"}}
    real.pulumi(*UP)
    found = planned(real, SECTIONS)
    assert found["aws:autoscaling/group:Group workers"] == {"delete"}
    assert found["aws:ecs/cluster:Cluster workers"] == {"create"}
    real.pulumi(*UP)
    assert groups.describe_auto_scaling_groups()["AutoScalingGroups"] == []


def test_a_fleet_that_is_taken_out_takes_nothing_with_it(real: RealEngine) -> None:
    found = planned(real, {key: section for key, section in SECTIONS.items() if key != "workers"})
    rest = {what: how for what, how in found.items() if how != {"delete"}}
    # without workers, which stop, a message may be received no more often than it may fail, a task is too old sooner,
    # and whoever reads the results is watched as the reader of any queue is
    assert rest == {
        "aws:cloudwatch/dashboard:Dashboard alerts": {"update"},
        "aws:cloudwatch/metricAlarm:MetricAlarm alerts-results-too-old": {"create"},
        "aws:cloudwatch/metricAlarm:MetricAlarm alerts-results-unconsumed": {"create"},
        "aws:cloudwatch/metricAlarm:MetricAlarm alerts-tasks-too-old": {"update"},
        "aws:sqs/queue:Queue tasks": {"update"},
    }
    gone = found.keys() - rest.keys()
    assert not any(":Queue " in what or "aws:batch" in what for what in gone)
