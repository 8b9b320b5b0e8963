"""A Batch job queue: what it is made of, what changes when a setting does, and what is refused."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from local.aws import Aws
from local.run import Registration, Run
from tests.batch.support import (
    BLOCK,
    COMPUTE_ENVIRONMENT,
    ENVIRONMENT_ARN,
    JOB_DEFINITION,
    JOB_QUEUE,
    LAUNCH_TEMPLATE,
    MULTI,
    ROLE_POLICY,
    SCHEDULING_POLICY,
    SECRET,
    SINGLE,
    environments,
)
from tests.conftest import RunStack
from tests.support import all_of, one_of


@pytest.fixture(scope="module")
def deployed(run_sections: RunStack) -> Run:
    return run_sections({"batch": {"single": SINGLE, "multi": MULTI}}, preview=False)


def test_a_single_node_queue_tries_spot_and_then_on_demand(stable: Run) -> None:
    template = one_of(stable, LAUNCH_TEMPLATE, "single")
    same = {
        "minVcpus": 0,
        "maxVcpus": 192,
        "instanceTypes": ["g6.12xlarge", "g6e.12xlarge", "g5.12xlarge"],
        "instanceRole": "arn:aws:instanceprofile:us-west-2:123456789012:single-InstanceProfile",
        "ec2Configurations": [{"imageType": "ECS_AL2023_NVIDIA"}],
        "launchTemplate": {
            "launchTemplateId": "single-LaunchTemplate",
            "version": str(stable.created[template.urn].outputs["latestVersion"]),
        },
        "securityGroupIds": ["single-SecurityGroup"],
        "subnets": ["network-us-west-2a-private-Subnet", "network-us-west-2b-private-Subnet"],
    }
    for name, kind, strategy in (
        ("single-spot", "SPOT", "SPOT_PRICE_CAPACITY_OPTIMIZED"),
        ("single-on-demand", "EC2", "BEST_FIT_PROGRESSIVE"),
    ):
        environment = environments(stable)[name]
        assert environment.inputs == {
            "type": "MANAGED",
            "state": "ENABLED",
            "tags": {
                "distributed-training:part": "test/batch.single",
                "distributed-training:name": environment.name,
                "distributed-training:needs": "us-west-2a us-west-2b",
            },
            "computeResources": {**same, "type": kind, "allocationStrategy": strategy},
            "updatePolicy": {"terminateJobsOnUpdate": False, "jobExecutionTimeoutMinutes": 360},
        }
        assert environment.ignore_changes == (
            "computeResources.desiredVcpus",
            "computeResources.launchTemplate.version",
        )
    assert one_of(stable, JOB_QUEUE, "single").inputs == {
        "state": "ENABLED",
        "priority": 10,
        "tags": {"distributed-training:part": "test/batch.single"},
        "computeEnvironmentOrders": [
            {
                "order": order,
                "computeEnvironment": f"{ENVIRONMENT_ARN}:{environments(stable)[name].name}-ComputeEnvironment",
            }
            for order, name in ((1, "single-spot"), (2, "single-on-demand"))
        ],
        "jobStateTimeLimitActions": [
            {"action": "CANCEL", "state": "RUNNABLE", "reason": reason, "maxTimeSeconds": seconds}
            for reason, seconds in (
                ("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", 14_400),
                ("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE", 600),
                ("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", 600),
            )
        ],
    }


def test_fair_share_gives_the_queue_a_scheduling_policy(run_stably: RunStack) -> None:
    run = run_stably({"batch": {"single": SINGLE | {"fairShare": {"teamB": 0.5, "teamA*": 1.0}}}})
    assert one_of(run, SCHEDULING_POLICY, "single").inputs == {
        "fairSharePolicy": {
            "shareDecaySeconds": 3600,
            "shareDistributions": [
                {"shareIdentifier": "teamA*", "weightFactor": 1},
                {"shareIdentifier": "teamB", "weightFactor": 0.5},
            ],
        }
    }
    queue = one_of(run, JOB_QUEUE, "single")
    assert queue.inputs["schedulingPolicyArn"].endswith(":single-SchedulingPolicy")
    # Batch refuses to add it to a queue and to take it away
    assert queue.replace_on_changes == ("schedulingPolicyArn",)


@pytest.mark.parametrize(("hours", "seconds"), [(4, 14_400), (0.5, 1800), (24, 86_400)])
def test_the_first_job_of_a_queue_waits_for_capacity_as_long_as_it_is_told(
    hours: float, seconds: int, run_stably: RunStack
) -> None:
    run = run_stably({"batch": {"single": SINGLE | {"waitHours": hours}}})
    first, *others = one_of(run, JOB_QUEUE, "single").inputs["jobStateTimeLimitActions"]
    assert (first["reason"], first["maxTimeSeconds"]) == ("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", seconds)
    assert [one["maxTimeSeconds"] for one in others] == [600, 600]


def test_the_queues_of_a_protected_stack_are_protected_and_nothing_else_of_them(run_stably: RunStack) -> None:
    run = run_stably({"batch": {"single": SINGLE}, "protect": True})
    protected = {one.type for one in run.registrations.values() if "BatchJobQueue" in one.urn and one.protect}
    assert protected == {JOB_QUEUE}


def test_queues_may_be_called_like_what_another_one_is_made_of(run_stably: RunStack) -> None:
    names = ("multi", "multi-nodes", "multi-job", "multi-on-demand", "multi-nodes-nodes")
    run = run_stably({"batch": dict.fromkeys(names, MULTI)})
    assert set(all_of(run, JOB_QUEUE)) == set(names)


def test_whoever_submits_may_use_this_queue_and_this_definition_and_stop_what_it_submits(run_stably: RunStack) -> None:
    workers = {"workers": {"submitTo": ["single"]}}
    run = run_stably({"queues": {"tasks": {}, "results": {}}, "workers": workers, "batch": {"single": SINGLE}})
    statements = json.loads(one_of(run, ROLE_POLICY, "workers-task").inputs["policy"])["Statement"]
    region = "us-west-2:123456789012"
    definition = f"arn:aws:batch:{region}:job-definition/single-JobDefinition"
    assert [one for one in statements if one["Action"][0].startswith("batch:")] == [
        {
            "Effect": "Allow",
            "Action": ["batch:SubmitJob"],
            "Resource": [
                f"arn:aws:jobqueue:{region}:single-JobQueue",
                definition,
                f"{definition}:*",
                f"arn:aws:batch:{region}:job/*",
            ],
        },
        {
            "Effect": "Allow",
            "Action": ["batch:TagResource"],
            "Resource": [f"arn:aws:jobqueue:{region}:single-JobQueue", f"{definition}:*"],
            "Condition": {
                "ForAllValues:StringEquals": {"aws:TagKeys": ["SubmittedBy"]},
                "StringEquals": {"aws:RequestTag/SubmittedBy": "workers-Cluster"},
            },
        },
        {
            "Effect": "Allow",
            "Action": ["batch:CancelJob", "batch:TerminateJob"],
            "Resource": [f"arn:aws:batch:{region}:job/*"],
            "Condition": {"StringEquals": {"aws:ResourceTag/SubmittedBy": "workers-Cluster"}},
        },
        {"Effect": "Allow", "Action": ["batch:DescribeJobs", "batch:ListJobs"], "Resource": ["*"]},
    ]


REPLACE_AN_ENVIRONMENT = {
    "name",
    "namePrefix",
    "type",
    "eksConfiguration",
    "computeResources.placementGroup",
    "computeResources.spotIamFleetRole",
}
"""Properties of a compute environment whose change replaces it (hashicorp/terraform-provider-aws,
internal/service/batch/compute_environment.go: `ForceNew` in the schema)."""

REPLACE_A_QUEUE = {"name", "schedulingPolicyArn"}
"""Properties of a job queue whose change replaces it: the first to the provider, the second to AWS and so to us."""

IN_PLACE_STRATEGIES = {"BEST_FIT_PROGRESSIVE", "SPOT_CAPACITY_OPTIMIZED", "SPOT_PRICE_CAPACITY_OPTIMIZED"}
"""The strategies with which, and with no service role but Batch's own, the others change in place (same file,
`isUpdatableComputeEnvironment`)."""

BLOCKS = ("ec2Configurations", "launchTemplate")
"""Blocks whose coming and going replaces the environment, though not a change inside them (same file)."""


def differences(before: Any, after: Any, path: str = "") -> set[str]:
    """Dotted paths of what differs between two inputs; a list is one value."""
    if isinstance(before, dict) and isinstance(after, dict):
        was, now = cast("dict[str, Any]", before), cast("dict[str, Any]", after)
        return {
            line
            for key in was.keys() | now.keys()
            for line in differences(was.get(key), now.get(key), f"{path}.{key}" if path else key)
        }
    return set() if before == after else {path}


def changes(before: Run, after: Run, part: str = "BatchJobQueue") -> dict[str, set[str]]:
    """Type and name of what differs under the components of a type -> which inputs do, or that it comes or goes."""

    def of(run: Run) -> dict[str, Mapping[str, Any]]:
        others = {
            f"{one.type.split(':')[-1]} {one.name}": one.inputs
            for one in run.registrations.values()
            if part in one.urn and one.type != COMPUTE_ENVIRONMENT
        }
        return others | {
            f"ComputeEnvironment {name}": {**one.inputs, "tags": None, GENERATION: one.name}
            for name, one in environments(run).items()
        }

    was, now = of(before), of(after)
    found = {name: differences(was[name], now[name]) for name in was.keys() & now.keys()}
    found |= {name: {"is new"} for name in now.keys() - was.keys()} | {
        name: {"is gone"} for name in was.keys() - now.keys()
    }
    return {name: paths for name, paths in found.items() if paths}


def replaced(before: Run, after: Run) -> set[str]:
    """Names of the compute environments and queues that the provider would replace, by the tables above."""
    stay, queues = (
        [(was[name], now[name]) for name in was.keys() & now.keys()]
        for was, now in ((all_of(before, type_), all_of(after, type_)) for type_ in (COMPUTE_ENVIRONMENT, JOB_QUEUE))
    )
    return {
        f"environment {now.name}"
        for was, now in stay
        if differences(was.inputs, now.inputs) & REPLACE_AN_ENVIRONMENT
        or blocks(was) != blocks(now)
        or not (changes_in_place(was) and changes_in_place(now))
    } | {f"queue {now.name}" for was, now in queues if differences(was.inputs, now.inputs) & REPLACE_A_QUEUE}


def blocks(environment: Registration) -> list[bool]:
    return [key in environment.inputs["computeResources"] for key in BLOCKS]


def changes_in_place(environment: Registration) -> bool:
    strategy = environment.inputs["computeResources"]["allocationStrategy"]
    return strategy in IN_PLACE_STRATEGIES and "serviceRole" not in environment.inputs


ENVIRONMENTS = ("ComputeEnvironment single-spot", "ComputeEnvironment single-on-demand")


GENERATION = "generation"
"""Stands for another compute environment beside the one before."""
SCALING = {"computeResources.minVcpus", "computeResources.maxVcpus"}
"""What changes in place, and exchanges no instance."""


def both(paths: set[str]) -> dict[str, set[str]]:
    """The same change of each compute environment of the dev queue."""
    return dict.fromkeys(ENVIRONMENTS, paths)


def next_generation(paths: set[str]) -> dict[str, set[str]]:
    """Other compute environments for the dev queue, which differ in this from those before."""
    return both({GENERATION, *paths}) | {"JobQueue single": {"computeEnvironmentOrders"}}


NEW_VERSION = next_generation({"computeResources.launchTemplate.version"})

DEFINITION = "JobDefinition single"


@pytest.fixture(scope="module")
def dev(run_stably: RunStack) -> Run:
    return run_stably({"batch": {"single": SINGLE}})


def test_nothing_changes_when_nothing_changed(dev: Run, run_stably: RunStack) -> None:
    again = run_stably({"batch": {"single": SINGLE}})
    assert {urn: one.inputs for urn, one in again.registrations.items()} == {
        urn: one.inputs for urn, one in dev.registrations.items()
    }


@pytest.mark.parametrize(
    ("edit", "changed"),
    [
        # the image before comes through a cache, this one does not
        (
            {"image": "pytorch/pytorch:2.9.1"},
            {
                DEFINITION: {"containerProperties"},
                "RolePolicy single-execution": {"policy"},
                "RolePolicy single-instance": {"policy"},
            },
        ),
        ({"command": ["python", "launch.py"]}, {DEFINITION: {"containerProperties"}}),
        ({"environment": {"EPOCHS": "3"}}, {DEFINITION: {"containerProperties"}}),
        ({"memoryMib": 120_000}, {DEFINITION: {"containerProperties"}}),
        (
            {"secrets": {"WANDB_API_KEY": SECRET}},
            {DEFINITION: {"containerProperties"}, "RolePolicy single-execution": {"policy"}},
        ),
        (
            {"instanceTypes": ["g6.12xlarge", "g6e.12xlarge"]},
            next_generation({"computeResources.instanceTypes"}),
        ),
        # another first type of the same kind
        (
            {"instanceTypes": ["g5.12xlarge", "g6.12xlarge"]},
            next_generation({"computeResources.instanceTypes"}),
        ),
        # to another kind of machine image, and to instances without disks of their own
        (
            {"instanceTypes": ["c7i.48xlarge", "m7i.48xlarge"], "gpus": 0},
            {
                DEFINITION: {"containerProperties"},
                # which send no metrics of GPUs
                "LaunchTemplate single": {"userData"},
                "RolePolicy single-instance": {"policy"},
                **next_generation(
                    {
                        "computeResources.instanceTypes",
                        "computeResources.ec2Configurations",
                        "computeResources.launchTemplate.version",
                    }
                ),
            },
        ),
        ({"maxVcpus": 960}, both({"computeResources.maxVcpus"})),
        ({"minVcpus": 48}, both({"computeResources.minVcpus"})),
        ({"rootVolumeGib": 500}, {"LaunchTemplate single": {"blockDeviceMappings"}, **NEW_VERSION}),
        ({"timeoutHours": 48}, {DEFINITION: {"timeout.attemptDurationSeconds"}}),
        ({"attempts": 5}, {DEFINITION: {"retryStrategy.attempts"}}),
        ({"priority": 20}, {"JobQueue single": {"priority"}}),
        ({"waitHours": 12}, {"JobQueue single": {"jobStateTimeLimitActions"}}),
        (
            {"capacity": ["onDemand"]},
            {ENVIRONMENTS[0]: {"is gone"}, "JobQueue single": {"computeEnvironmentOrders"}},
        ),
    ],
)
def test_an_edit_changes_this_and_replaces_neither_an_environment_nor_the_queue(
    edit: dict[str, Any], changed: dict[str, set[str]], dev: Run, run_stably: RunStack
) -> None:
    after = run_stably({"batch": {"single": SINGLE | edit}})
    assert changes(dev, after) == changed
    assert replaced(dev, after) == set()
    for paths in (changed.get(name, set[str]()) for name in ENVIRONMENTS):
        assert (GENERATION in paths) == bool(paths - SCALING - {"is gone"})


def test_the_order_of_instance_types_is_no_other_generation(run_stably: RunStack) -> None:
    before = run_stably({"batch": {"single": SINGLE | {"instanceTypes": ["g6.12xlarge", "g6e.12xlarge"]}}})
    after = run_stably({"batch": {"single": SINGLE | {"instanceTypes": ["g6e.12xlarge", "g6.12xlarge"]}}})
    assert changes(before, after) == both({"computeResources.instanceTypes"})


def test_a_release_of_the_program_makes_no_other_generation_unless_instances_are_to_change(stable: Run) -> None:
    # where these change, running instances of every deployed stack are drained: say so in CHANGELOG
    assert {one.name for one in environments(stable).values()} == {
        "multi-on-demand-7fae6cfc",
        "single-on-demand-362fb50e",
        "single-spot-87b54749",
    }


def test_another_zone_is_another_subnet_of_the_environments(dev: Run, run_stably: RunStack) -> None:
    after = run_stably({"network": {"availabilityZones": 3}, "batch": {"single": SINGLE}})
    assert changes(dev, after) == next_generation({"computeResources.subnets"})
    assert replaced(dev, after) == set()


def test_other_tags_of_the_stack_are_for_instances_that_start_later(
    dev: Run, run_stably: RunStack, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws, "default_tags", {**aws.default_tags, "CostCenter": "42"})
    after = run_stably({"batch": {"single": SINGLE}})
    assert changes(dev, after) == {"LaunchTemplate single": {"tagSpecifications"}, **NEW_VERSION}
    assert replaced(dev, after) == set()


def test_a_reservation_for_a_multi_node_queue_replaces_nothing_that_is_in_use(run_stably: RunStack) -> None:
    before = run_stably({"batch": {"multi": MULTI}})
    after = run_stably({"batch": {"multi": MULTI | {"capacityReservationId": "cr-01234567"}}})
    assert replaced(before, after) == set()
    assert changes(before, after)["ComputeEnvironment multi-on-demand"] == {
        GENERATION,
        "computeResources.launchTemplate.version",
        "computeResources.placementGroup",
    }


def test_fair_share_replaces_the_queue_and_what_is_under_it_stays(dev: Run, run_stably: RunStack) -> None:
    after = run_stably({"batch": {"single": SINGLE | {"fairShare": {"teamA": 1.0}}}})
    assert changes(dev, after) == {
        "JobQueue single": {"schedulingPolicyArn"},
        "SchedulingPolicy single": {"is new"},
    }
    assert replaced(dev, after) == {"queue single"}
    heavier = run_stably({"batch": {"single": SINGLE | {"fairShare": {"teamA": 2.0}}}})
    assert changes(after, heavier) == {"SchedulingPolicy single": {"fairSharePolicy.shareDistributions"}}
    assert replaced(after, heavier) == set()


def test_no_resource_of_a_queue_has_a_name_that_its_replacement_would_want(stable: Run) -> None:
    named = {
        one.urn
        for one in stable.registrations.values()
        if "BatchJobQueue" in one.urn and {"name", "namePrefix"} & one.inputs.keys()
    }
    assert named == set()


def needs(run: Run, urn: str) -> set[str]:
    """Type and name of everything that must exist before a resource, and so outlives it."""
    seen: set[str] = set()
    waiting = [urn]
    while waiting:
        for one in run.registrations[waiting.pop()].dependencies - seen:
            seen.add(one)
            waiting.append(one)
    return {f"{run.registrations[one].type.split(':')[-1]} {run.registrations[one].name}" for one in seen}


def test_the_queue_goes_before_its_environments_and_these_before_their_roles(stable: Run) -> None:
    policy = "RolePolicy single-instance"
    under_an_environment = {
        policy,
        "Role single-instance",
        "InstanceProfile single",
        "LaunchTemplate single",
        "SecurityGroup single",
        "SecurityGroupEgressRule single",
    }
    both_environments = {
        f"ComputeEnvironment {environments(stable)[name].name}" for name in ("single-spot", "single-on-demand")
    }
    under_the_queue = {*both_environments, "RolePolicy single-job", "RolePolicy single-execution", "LogGroup single"}
    assert needs(stable, one_of(stable, JOB_QUEUE, "single").urn) >= under_an_environment | under_the_queue
    for name in ("single-spot", "single-on-demand"):
        before = needs(stable, environments(stable)[name].urn)
        assert before >= under_an_environment
        assert "JobQueue single" not in before
    before = needs(stable, environments(stable)["multi-on-demand"].urn)
    assert {"PlacementGroup multi", "SecurityGroupIngressRule multi.nodes"} <= before


@pytest.mark.parametrize(
    ("settings", "lines"),
    [
        ({"nodes": 1001}, ["nodes: must be at most 1000, got 1001"]),
        (
            {"nodes": 5, "vcpus": 40, "capacity": ["onDemand"], "instanceTypes": ["g6.12xlarge"], "maxVcpus": 192},
            ["maxVcpus: must be at least nodes x vcpus (200), or no job ever starts, got 192"],
        ),
        (
            {"nodes": 4, "vcpus": 40, "capacity": ["onDemand"], "instanceTypes": ["g6.12xlarge"], "maxVcpus": 160},
            ["maxVcpus: must be at least 192, because each node is a whole g6.12xlarge, got 160"],
        ),
        ({"maxVcpus": 47}, ["maxVcpus: must be at least 48, the vCPUs of a container, got 47"]),
        ({"gpus": 5}, ["gpus: must be at most 4, what g6.12xlarge, g6e.12xlarge can give, got 5"]),
        ({"vcpus": 49}, ["vcpus: must be at most 48, what g6.12xlarge, g6e.12xlarge can give, got 49"]),
        (
            {"memoryMib": 380_000},
            ["memoryMib: must be at most 373555, what g6.12xlarge, g6e.12xlarge can give, got 380000"],
        ),
        (
            {"instanceTypes": ["g5.48xlarge", "g6e.12xlarge"], "gpus": 8, "memoryMib": 747_110, "vcpus": 190},
            [],
        ),
        (
            {"instanceTypes": ["g6.24xlarge", "g6e.16xlarge"], "gpus": 4, "memoryMib": 450_000},
            [
                (
                    "instanceTypes: must hold a type that gives all of {'gpus': 4, 'memoryMib': 450000} "
                    "to one container, got 'g6.24xlarge, g6e.16xlarge'"
                )
            ],
        ),
        (
            MULTI | {"capacity": ["spot"]},
            [
                (
                    "capacity: must be without spot with nodes over 1, because Batch runs no multi-node job there, "
                    "got ['spot']"
                )
            ],
        ),
        (
            MULTI | {"instanceTypes": ["p5.48xlarge", "p5en.48xlarge"], "efa": False},
            [
                (
                    "instanceTypes: must be one type with nodes over 1, because all nodes of a job are alike, "
                    "got ['p5.48xlarge', 'p5en.48xlarge']"
                )
            ],
        ),
        (
            {"efa": True},
            [
                (
                    "instanceTypes: must be one type with efa, because the launch template has that type's network "
                    "cards, got ['g6.12xlarge', 'g6e.12xlarge']"
                )
            ],
        ),
        (
            {"efa": True, "instanceTypes": ["g5.xlarge"], "gpus": 1, "vcpus": 3, "memoryMib": 12_000},
            ["efa: must be false, because g5.xlarge has no EFA, got true"],
        ),
        (
            {"instanceTypes": ["c7i.48xlarge", "c7g.16xlarge"], "gpus": 0, "memoryMib": 100_000},
            [
                (
                    "instanceTypes: must share one processor architecture, "
                    "got {'c7i.48xlarge': 'x86_64', 'c7g.16xlarge': 'arm64'}"
                )
            ],
        ),
        (
            {"instanceTypes": ["g6.12xlarge", "m7i.48xlarge"]},
            [
                (
                    "instanceTypes: must be all with GPUs or all without, because their images differ, "
                    "got {'g6.12xlarge': 4, 'm7i.48xlarge': 0}"
                )
            ],
        ),
        (
            {"instanceTypes": ["g5g.16xlarge"], "gpus": 2, "memoryMib": 100_000},
            ["instanceTypes: must be types whose accelerators Batch's images have a driver for, got 'g5g.16xlarge'"],
        ),
        (
            {"capacity": ["spot", "onDemand", "spot", "onDemand"]},
            [
                (
                    "capacity: must be one to 3 kinds, because a queue has no more compute environments, "
                    "got ['spot', 'onDemand', 'spot', 'onDemand']"
                )
            ],
        ),
        (
            {"capacity": []},
            ["capacity: must be one to 3 kinds, because a queue has no more compute environments, got []"],
        ),
        ({"capacity": ["spot", "spot"]}, ["capacity: must name each kind once, got ['spot', 'spot']"]),
        (
            {"capacity": ["reserved"]},
            ["capacity.0: must be 'spot', 'onDemand' or 'capacityBlock', got 'reserved'"],
        ),
        (
            {"capacityReservationId": "cr-01234567"},
            [("capacity: must be [onDemand] or [capacityBlock] with capacityReservationId, got ['spot', 'onDemand']")],
        ),
        (
            BLOCK | {"capacity": ["capacityBlock", "onDemand"]},
            [
                (
                    "capacity: must be capacityBlock alone, because nothing else starts from its launch template, "
                    "got ['capacityBlock', 'onDemand']"
                )
            ],
        ),
        (
            BLOCK | {"capacityReservationId": None},
            ["capacityReservationId: is required with capacity capacityBlock, got null"],
        ),
        (
            {"capacity": ["capacityBlock"], "capacityReservationId": "cr-01234567"},
            [
                (
                    "instanceTypes: must be one type with capacity capacityBlock, the one that was bought, "
                    "got ['g6.12xlarge', 'g6e.12xlarge']"
                )
            ],
        ),
        (
            BLOCK | {"instanceTypes": ["g6e.48xlarge"], "memoryMib": 160_000},
            ["instanceTypes: must be types that EC2 offers as capacity-block, got 'g6e.48xlarge'"],
        ),
        (
            {"capacityReservationId": "block-1", "capacity": ["onDemand"]},
            [
                (
                    "capacityReservationId: must be the id of a capacity reservation, such as cr-0123456789abcdef0,"
                    " got 'block-1'"
                )
            ],
        ),
        ({"timeoutHours": 0.01}, ["timeoutHours: must be 0.0167 or more, 60 seconds, got 0.01"]),
        ({"waitHours": 0.1}, ["waitHours: must be 0.1667 or more, 600 seconds, got 0.1"]),
        ({"waitHours": 25}, ["waitHours: must be at most 24, got 25"]),
        ({"attempts": 0}, ["attempts: must be at least 1, got 0"]),
        ({"attempts": 11}, ["attempts: must be at most 10, got 11"]),
        ({"minVcpus": 400}, ["minVcpus: must be at most maxVcpus (384), got 400"]),
        (
            {"memoryMib": 160_000, "sharedMemoryMib": 160_001},
            ["sharedMemoryMib: must be at most memoryMib (160000), which it is taken from, got 160001"],
        ),
        (
            {"sharedMemoryMib": 186_522},
            ["sharedMemoryMib: must be at most the container's memory (186521), which it is taken from, got 186522"],
        ),
        (
            {"fairShare": {"team-a": 1.0}},
            [
                (
                    "fairShare.team-a: must be letters and digits, an asterisk at most at the end, such as teamA*,"
                    " got 'team-a'"
                )
            ],
        ),
        (
            {"fairShare": {"team*": 1.0, "teamA": 1.0}},
            ["fairShare.teamA: must not begin as team* does, which holds it already, got 'teamA'"],
        ),
        ({"fairShare": {"teamA": 0.0}}, ["fairShare.teamA: must be at least 0.0001, got 0.0"]),
        (
            {"environment": {"AWS_BATCH_JOB_ID": "1"}},
            [
                (
                    "environment.AWS_BATCH_JOB_ID: must not begin with AWS_BATCH, which Batch keeps for itself, "
                    "got 'AWS_BATCH_JOB_ID'"
                )
            ],
        ),
        (
            {"environment": {"TOKEN": "1"}, "secrets": {"TOKEN": SECRET}},
            ["secrets.TOKEN: must not stand under environment too, got 'TOKEN'"],
        ),
    ],
)
def test_a_queue_that_could_never_run_a_job_is_refused(
    settings: dict[str, Any],
    lines: list[str],
    run_stably: RunStack,
    mistakes_in: Callable[[Mapping[str, Any]], list[str]],
) -> None:
    sections = {"batch": {"q": settings}}
    if not lines:
        assert all_of(run_stably(sections), JOB_QUEUE)
        return
    assert mistakes_in(sections) == [f"batch.q.{line}" for line in lines]


def test_a_job_of_each_queue_is_done(deployed: Run, aws: Aws) -> None:
    batch, logs = aws.client("batch"), aws.client("logs")
    submitted = {
        name: batch.submit_job(
            jobName=name, jobQueue=queue, jobDefinition=deployed.exports["batch_job_definition_arns"][name]
        )
        for name, queue in deployed.exports["batch_job_queue_arns"].items()
    }
    for name, type_ in (("single", "containerProperties"), ("multi", "nodeProperties")):
        job = finished(batch, submitted[name]["jobId"])
        assert job["status"] == "SUCCEEDED"
        assert job["jobQueue"] == deployed.exports["batch_job_queue_arns"][name]
        assert job["jobDefinition"] == deployed.exports["batch_job_definition_arns"][name]
        assert type_ in one_of(deployed, JOB_DEFINITION, name).inputs
    container = json.loads(one_of(deployed, JOB_DEFINITION, "single").inputs["containerProperties"])
    group = container["logConfiguration"]["options"]["awslogs-group"]
    (found,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert found["retentionInDays"] == 30
    # what the container agent does on an instance, which moto has not
    stream = finished(batch, submitted["single"]["jobId"])["container"]["logStreamName"]
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    logs.put_log_events(
        logGroupName=group,
        logStreamName=stream,
        logEvents=[{"timestamp": int(time.time() * 1000), "message": "step 1"}],
    )
    (event,) = logs.get_log_events(logGroupName=group, logStreamName=stream)["events"]
    assert event["message"] == "step 1"
    may_write = json.loads(one_of(deployed, ROLE_POLICY, "single-execution").inputs["policy"])["Statement"]
    assert {
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": [f"{found['logGroupArn']}:*"],
    } in may_write


def finished(batch: Any, job_id: str) -> dict[str, Any]:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        (job,) = batch.describe_jobs(jobs=[job_id])["jobs"]
        if job["status"] in ("SUCCEEDED", "FAILED"):
            return job
        time.sleep(0.05)
    raise TimeoutError(job_id)
