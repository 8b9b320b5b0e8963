"""Stack files that nobody thought of: what is valid is deployed and rests at zero, what is wrong is named."""

import copy
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local import command_line
from local.aws import Aws
from local.run import Run
from tests.conftest import REGION, ROOT, RunStack
from tests.support import all_of
from tests.test_reading import raw

TYPES = {
    "g5.xlarge": {"vcpus": 4, "memoryMib": 16_384, "gpus": 1, "efa": False},
    "g6.12xlarge": {"vcpus": 48, "memoryMib": 196_608, "gpus": 4, "efa": True},
    "p5.48xlarge": {"vcpus": 192, "memoryMib": 2_097_152, "gpus": 8, "efa": True},
}
"""Instance type -> what one of its containers may be given at most."""
MEMORY_SHARE = 0.9

names = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True).filter(lambda name: not name.endswith("-dlq"))
profile = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
    database=None,
)
EXAMPLES = profile.max_examples
"""How many the profile asks for; see conftest.py."""


def optional(required: dict[str, Any], **others: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({key: st.just(value) for key, value in required.items()}, optional=others)


queue = st.one_of(
    optional(
        {},
        contentBasedDeduplication=st.booleans(),
        highThroughput=st.booleans(),
        visibilityTimeoutSeconds=st.integers(60, 43_200),
        maxReceiveCount=st.integers(1, 1000),
        retentionDays=st.integers(1, 14),
    ),
    optional({"fifo": False}, visibilityTimeoutSeconds=st.integers(60, 43_200)),
)


@st.composite
def job_queue(draw: st.DrawFn) -> dict[str, Any]:
    instance_type = draw(st.sampled_from(sorted(TYPES)))
    offered = TYPES[instance_type]
    nodes = draw(st.sampled_from([1, 1, 2, 5]))
    vcpus = draw(st.integers(1, offered["vcpus"]))
    return {
        "nodes": nodes,
        "instanceTypes": [instance_type],
        "capacity": ["onDemand"]
        if nodes > 1
        else draw(st.sampled_from([["spot"], ["onDemand"], ["spot", "onDemand"]])),
        "efa": offered["efa"] and draw(st.booleans()),
        "vcpus": vcpus,
        "gpus": draw(st.integers(0, offered["gpus"])),
        "memoryMib": draw(st.integers(4, int(offered["memoryMib"] * MEMORY_SHARE))),
        "maxVcpus": draw(st.integers(nodes * max(vcpus, offered["vcpus"]), 10_000)),
        "attempts": draw(st.integers(1, 10)),
        "timeoutHours": draw(st.integers(1, 200)),
        "priority": draw(st.integers(0, 1000)),
    }


fleet = optional(
    {},
    imageTag=st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,127}", fullmatch=True),
    sendTo=st.lists(st.sampled_from(["results", "tasks"]), max_size=2),
    maxTasks=st.integers(1, 5000),
    tasksPerWorker=st.integers(1, 1000),
    spotShare=st.floats(0, 1),
    maxTaskSeconds=st.integers(1, 42_300),
    architecture=st.sampled_from(["x86_64", "arm64"]),
    command=st.lists(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1), min_size=1),
)
node_group = st.fixed_dictionaries(
    {},
    optional={
        "instanceTypes": st.sampled_from(sorted(TYPES)).map(lambda one: [one]),
        "capacity": st.sampled_from(["onDemand", "spot"]),
        "maxSize": st.integers(1, 100),
        "diskGib": st.integers(50, 16_384),
    },
)
cluster = optional(
    {"gpuNodeGroups": {}}, version=st.sampled_from(["1.34", "1.35", "1.36"]), kueue=st.booleans(), trainer=st.booleans()
)
network = optional(
    {},
    cidr=st.sampled_from(["10.0.0.0/16", "172.16.0.0/18", "192.168.0.0/16", "10.9.16.0/20"]),
    # a fourth zone does not fit into the smaller ranges
    availabilityZones=st.integers(2, 3),
    natGateways=st.sampled_from(["single", "perZone"]),
    flowLogs=st.booleans(),
)
artifacts = optional({}, checkpointDays=st.none() | st.integers(1, 3650), forceDestroy=st.booleans())


@st.composite
def stack(draw: st.DrawFn, *, eks: bool) -> dict[str, Any]:
    """Any sections in any combination, valid in themselves and together."""
    sections: dict[str, Any] = {}
    if draw(st.booleans()):
        sections["queues"] = {
            "tasks": draw(queue),
            "results": draw(queue),
            **draw(st.dictionaries(names, queue, max_size=1)),
        }
        if draw(st.booleans()):
            fleets = draw(st.dictionaries(names, fleet, min_size=1, max_size=2))
            sections["workers"] = {name: one | {"sharesQueue": len(fleets) > 1} for name, one in fleets.items()}
    if draw(st.booleans()):
        sections["batch"] = draw(st.dictionaries(names, job_queue(), min_size=1, max_size=2))
    if eks:
        sections["eks"] = draw(cluster) | {"gpuNodeGroups": draw(st.dictionaries(names, node_group, max_size=2))}
    for name, strategy in (("network", network), ("artifacts", artifacts)):
        if draw(st.booleans()):
            sections[name] = draw(strategy)
    return sections


# in two, of about equal length, so that two processors share them
@settings(profile, max_examples=EXAMPLES * 2 // 3)
@given(sections=stack(eks=False))
def test_what_is_valid_is_deployed_and_rests_at_zero(sections: dict[str, Any], run_sections: RunStack) -> None:
    _rests_at_zero(sections, run_sections(sections))


@settings(profile, max_examples=EXAMPLES // 3)
@given(sections=stack(eks=True))
def test_what_is_valid_with_eks_is_deployed_and_rests_at_zero(sections: dict[str, Any], run_sections: RunStack) -> None:
    _rests_at_zero(sections, run_sections(sections))


def _rests_at_zero(sections: dict[str, Any], run: Run) -> None:
    environments = all_of(run, "aws:batch/computeEnvironment:ComputeEnvironment")
    assert len(environments) == sum(len(one["capacity"]) for one in sections.get("batch", {}).values())
    for environment in environments.values():
        assert environment.inputs["computeResources"]["minVcpus"] == 0
    for service in all_of(run, "aws:ecs/service:Service").values():
        assert service.inputs["desiredCount"] == 0
    for group in all_of(run, "aws:eks/nodeGroup:NodeGroup").values():
        if not group.name.endswith("-system"):
            assert group.inputs["scalingConfig"]["desiredSize"] == 0


def _places(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths of all objects whose keys the contract names."""
    inner = [place for key, one in value.items() if isinstance(one, dict) for place in _places(one, (*path, key))]
    return [path, *inner] if len(path) != 1 or path[0] not in {"queues", "batch", "workers"} else inner


WRONG: Mapping[tuple[str, ...], Any] = {
    ("queues", "*", "maxReceiveCount"): 0,
    ("queues", "*", "retentionDays"): 15,
    ("queues", "*", "visibilityTimeoutSeconds"): "900",
    ("batch", "*", "attempts"): 11,
    ("batch", "*", "timeoutHours"): 0,
    ("batch", "*", "gpus"): -1,
    ("batch", "*", "capacity"): ["reserved"],
    ("batch", "*", "instanceTypes"): [],
    ("workers", "*", "cpu"): 300,
    ("workers", "*", "spotShare"): 1.5,
    ("workers", "*", "maxTaskSeconds"): 50_000,
    ("workers", "*", "queue"): "Not A Name",
    ("eks", "version"): "1.29",
    ("eks", "devicePlugin"): "yes",
    ("network", "cidr"): "10.0.0.0/8",
    ("network", "availabilityZones"): 1,
    ("network", "natGateways"): "two",
    ("artifacts", "checkpointDays"): 0,
    ("artifacts", "forceDestroy"): 1,
}
"""Path in a stack file -> a value that it cannot have; `*` stands for any name."""


# these are cheap: nothing is registered
@settings(profile, max_examples=max(EXAMPLES, 100))
@given(data=st.data(), sections=st.booleans().flatmap(lambda eks: stack(eks=eks)))
def test_what_is_wrong_is_refused_by_a_line_that_names_the_key(
    data: st.DataObject, sections: dict[str, Any], mistakes_in: Callable[[Mapping[str, Any]], list[str]]
) -> None:
    broken = copy.deepcopy(sections)
    if data.draw(st.booleans()):
        path = (*data.draw(st.sampled_from(_places({"network": {}, **broken}))), "nonsense")
        value: Any = 1
    else:
        pattern = data.draw(st.sampled_from(sorted(WRONG)))
        value = WRONG[pattern]
        path = tuple("some" if step == "*" else step for step in pattern)
    place = broken
    for step in path[:-1]:
        place = place.setdefault(step, {})
    place[path[-1]] = value
    refused = [line.split(": ")[0] for line in mistakes_in(broken)]
    assert any(line == ".".join(path) or line.startswith(f"{'.'.join(path)}.") for line in refused), refused


@st.composite
def every_section(draw: st.DrawFn) -> dict[str, Any]:
    """A stack file that says something of each section."""
    return {
        "queues": {"tasks": draw(queue), "results": draw(queue), "some": draw(queue)},
        "batch": {"some": draw(job_queue())},
        "workers": {"some": draw(fleet)},
        "eks": draw(cluster),
        "network": draw(network),
        "artifacts": draw(artifacts),
    }


@settings(profile, max_examples=max(EXAMPLES, 100))
@given(sections=every_section(), patterns=st.lists(st.sampled_from(sorted(WRONG)), min_size=1, max_size=3, unique=True))
def test_what_is_right_is_not_refused_beside_what_is_wrong(
    sections: dict[str, Any],
    patterns: list[tuple[str, ...]],
    mistakes_in: Callable[[Mapping[str, Any]], list[str]],
) -> None:
    paths: set[str] = set()
    for pattern in patterns:
        path = tuple("some" if step == "*" else step for step in pattern)
        place = sections
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = WRONG[pattern]
        paths.add(".".join(path))
    refused = [line.split(": ")[0] for line in mistakes_in(sections)]
    assert {next((path for path in paths if f"{line}.".startswith(f"{path}.")), line) for line in refused} == paths


@pytest.fixture(scope="module")
def new_aws() -> Iterator[Aws]:
    """An AWS without the stacks of other tests."""
    with Aws(REGION) as aws:
        yield aws


@settings(profile)
@given(text=raw())
def test_any_text_is_a_stack_or_ends_in_lines_that_name_a_place(
    text: str, new_aws: Aws, tmp_path_factory: pytest.TempPathFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path_factory.mktemp("raw")
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(ROOT / name, folder)
    (folder / "Pulumi.raw.yaml").write_bytes(text.encode("utf-8", "replace"))
    status = of_any_text(folder, new_aws.endpoint_url)
    shown = capfd.readouterr()
    if status == 0:
        assert shown.err == ""
        return
    lines = shown.err.splitlines()
    assert lines
    for line in lines:
        assert re.match(
            r"error: Pulumi\.raw\.yaml:\d+:\d+: \S|error: aws:\w+/|error: AWS could not be asked|[ \d]+\|( |$)", line
        )
        assert "urn:" not in line
        assert "debug shows" not in line


def of_any_text(folder: Path, endpoint_url: str) -> int:
    """The status of a preview of the stack file of a folder, on an AWS that runs already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command_line, "PROJECT", folder)
        patch.setattr(Aws, "start", Mock())
        patch.setattr(Aws, "endpoint_url", endpoint_url)
        return command_line.main(["preview", "--stack", "raw", "--adopt"])
