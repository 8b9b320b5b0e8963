"""AWS Batch (API; user guide, "Job definition parameters", "Fargate" and "Multi-node parallel jobs")."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from local.checks import api
from local.checks.plain import is_list, is_object, missing, number, objects, wrong
from local.checks.references import Known
from local.checks.rules import (
    Checks,
    Inputs,
    at_most,
    conflicting,
    given,
    matching,
    one_of,
    ordered,
    parsed,
    value_at,
    within,
)
from local.checks.services.ecs import FARGATE_MEMORY_MIB
from local.engine import UNKNOWN

ENVIRONMENT = "aws:batch/computeEnvironment:ComputeEnvironment"

STRATEGIES = {
    "EC2": ("BEST_FIT", "BEST_FIT_PROGRESSIVE", "BEST_FIT_PROGRESSIVE_ORDERED"),
    "SPOT": (
        "BEST_FIT",
        "BEST_FIT_PROGRESSIVE",
        "SPOT_CAPACITY_OPTIMIZED",
        "SPOT_PRICE_CAPACITY_OPTIMIZED",
        "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED",
    ),
}
"""Kind of capacity -> how instances may be chosen (Batch user guide, "Allocation strategies")."""

NOT_ON_FARGATE = (
    "allocationStrategy",
    "bidPercentage",
    "desiredVcpus",
    "ec2Configurations",
    "ec2KeyPair",
    "imageId",
    "instanceRole",
    "instanceTypes",
    "launchTemplate",
    "minVcpus",
    "placementGroup",
    "spotIamFleetRole",
    "tags",
)
"""Parameters of compute resources that Batch refuses for Fargate (API, `ComputeResource`)."""

NAME = "must be up to 128 letters, numbers, hyphens and underscores (_), beginning with a letter or number"
NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}"
PATTERN_OF_EXIT = r"[A-Za-z0-9.:\s]*\*?"
LARGEST_DEFINITION_BYTES = 24 * 1024
"""Batch user guide, "AWS Batch service quotas": 24 KiB of a job definition."""
LARGEST_NODES = 1000


def _compute_resources(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    resources = inputs.get("computeResources")
    if inputs.get("type") == "MANAGED" and resources is None:
        yield missing("computeResources")
    if not is_object(resources):
        return
    given_of = resources
    path, kind = "computeResources", given_of.get("type")
    if isinstance(kind, str) and kind.startswith("FARGATE"):
        for key in NOT_ON_FARGATE:
            if given(given_of, key):
                yield wrong(
                    f"{path}.{key}",
                    f"is not applicable to jobs that are running on Fargate resources ({kind})",
                    given_of[key],
                )
        if not given(given_of, "securityGroupIds"):
            yield missing(f"{path}.securityGroupIds")
    elif kind in STRATEGIES:
        strategy = given_of.get("allocationStrategy")
        if strategy not in (None, UNKNOWN, *STRATEGIES[kind]):
            yield wrong(
                f"{path}.allocationStrategy", f"must be one for {kind}: {', '.join(STRATEGIES[kind])}", strategy
            )
        if not given(given_of, "instanceRole"):
            yield missing(f"{path}.instanceRole")
        if kind == "SPOT" and strategy in (None, "BEST_FIT") and not given(given_of, "spotIamFleetRole"):
            yield missing(f"{path}.spotIamFleetRole")
        if kind == "EC2" and given(given_of, "bidPercentage"):
            yield wrong(f"{path}.bidPercentage", "goes with type SPOT only", given_of["bidPercentage"])
        if not given(given_of, "securityGroupIds") and not given(given_of, "launchTemplate"):
            yield missing(f"{path}.securityGroupIds")


def _orders(inputs: Inputs, known: Known) -> Iterator[str]:
    orders = inputs.get("computeEnvironmentOrders")
    if not is_list(orders):
        return
    entries = orders
    places = [entry.get("order") for entry in entries]
    for index, entry in enumerate(entries):
        if entry.get("order") in places[:index]:
            yield wrong(
                f"computeEnvironmentOrders[{index}].order",
                "must be another one for each compute environment",
                entry.get("order"),
            )
    kinds: dict[str, bool] = {}
    for registration, created in known.of(ENVIRONMENT):
        if created is not None and isinstance(kind := value_at(registration.inputs, "computeResources.type"), str):
            kinds[created.outputs.get("arn", "")] = kind.startswith("FARGATE")
    used = {kinds[entry["computeEnvironment"]] for entry in entries if entry.get("computeEnvironment") in kinds}
    if len(used) > 1:
        yield wrong(
            "computeEnvironmentOrders",
            "must not mix Fargate with EC2 or Spot compute environments",
            [entry["computeEnvironment"] for entry in entries],
        )


def _definition(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    wanted = {"container": ("containerProperties", "ecsProperties", "eksProperties"), "multinode": ("nodeProperties",)}
    kind = inputs.get("type")
    for other, keys in wanted.items():
        if other == kind and not any(given(inputs, key) for key in keys):
            yield missing(keys[0])
        if kind in wanted and other != kind:
            for key in keys:
                if given(inputs, key):
                    yield wrong(key, f"No `{key}` can be specified when `type` is {kind!r}", inputs[key])
    fargate = "FARGATE" in (inputs.get("platformCapabilities") or ())
    if kind == "multinode" and fargate:
        yield wrong("platformCapabilities", "must not hold FARGATE for a multinode job", inputs["platformCapabilities"])
    if is_object(container := parsed(inputs, "containerProperties")):
        yield from _container(container, "containerProperties", fargate=fargate)
    if is_object(nodes := parsed(inputs, "nodeProperties")):
        yield from _nodes(nodes)


def _container(container: Mapping[str, Any], path: str, *, fargate: bool) -> Iterator[str]:
    if not container.get("image"):
        yield missing(f"{path}.image")
    found = container.get("resourceRequirements")
    needs = objects(found)
    sizes = {need.get("type"): number(need.get("value")) for need in needs}
    for kind, older in (("VCPU", "vcpus"), ("MEMORY", "memory")):
        if kind not in sizes and older not in container:
            yield wrong(f"{path}.resourceRequirements", f"must have {kind}", found)
    for index, need in enumerate(needs):
        where, size = f"{path}.resourceRequirements[{index}].value", number(need.get("value"))
        least = {"GPU": 1, "MEMORY": 4, "VCPU": 0.25 if fargate else 1}.get(str(need.get("type")), 0)
        if size is None or size < least or (not fargate and not size.is_integer()):
            yield wrong(
                where, f"must be {'a number' if fargate else 'a whole number'} of at least {least}", need.get("value")
            )
    seen: list[str] = []
    entries = container.get("environment")
    for index, entry in enumerate(entries if is_list(entries) else []):
        name = entry.get("name") if is_object(entry) else None
        if isinstance(name, str):
            where = f"{path}.environment[{index}].name"
            if name.startswith("AWS_BATCH"):
                yield wrong(where, 'Environment variables must not start with "AWS_BATCH"', name)
            if name in seen:
                yield wrong(where, "must be another one for each variable", name)
            seen.append(name)
    if container.get("secrets") and not container.get("executionRoleArn"):
        yield missing(f"{path}.executionRoleArn")
    if fargate:
        yield from _fargate(container, path, sizes)


def _fargate(container: Mapping[str, Any], path: str, sizes: Mapping[Any, float | None]) -> Iterator[str]:
    if not container.get("executionRoleArn"):
        yield missing(f"{path}.executionRoleArn")
    if "GPU" in sizes:
        yield wrong(f"{path}.resourceRequirements", "GPU is not supported on Fargate", sizes["GPU"])
    if container.get("privileged"):
        yield wrong(f"{path}.privileged", "is not supported on Fargate", True)
    vcpus, memory = sizes.get("VCPU"), sizes.get("MEMORY")
    if vcpus is not None and memory is not None and memory not in FARGATE_MEMORY_MIB.get(round(vcpus * 1024), ()):
        yield wrong(
            f"{path}.resourceRequirements", f"MEMORY must be one that Fargate offers with {vcpus:g} VCPU", int(memory)
        )


def _nodes(nodes: Mapping[str, Any]) -> Iterator[str]:
    path, count, main = "nodeProperties", nodes.get("numNodes"), nodes.get("mainNode")
    if isinstance(count, int) and not 1 <= count <= LARGEST_NODES:
        yield wrong(f"{path}.numNodes", f"must be 1 to {LARGEST_NODES}", count)
    if not isinstance(count, int) or count < 1:
        return
    if isinstance(main, int) and not 0 <= main < count:
        yield wrong(f"{path}.mainNode", f"must be smaller than the number of nodes ({count})", main)
    covered: set[int] = set()
    ranges = nodes.get("nodeRangeProperties")
    for index, entry in enumerate(ranges if is_list(ranges) else []):
        where = f"{path}.nodeRangeProperties[{index}]"
        if not is_object(entry):
            continue
        found = re.fullmatch(r"(\d*):(\d*)|(\d+)", str(entry.get("targetNodes")))
        if found is None:
            yield wrong(f"{where}.targetNodes", "must be a range such as 0:3", entry.get("targetNodes"))
        else:
            first = int(found[1] or found[3] or 0)
            last = int(found[3] or found[2] or count - 1)
            if not first <= last < count:
                yield wrong(f"{where}.targetNodes", f"must be within 0:{count - 1}", entry.get("targetNodes"))
            covered |= set(range(first, last + 1))
        if is_object(container := entry.get("container")):
            yield from _container(container, f"{where}.container", fargate=False)
    if covered and not covered >= set(range(count)):
        yield wrong(f"{path}.nodeRangeProperties", f"must cover all nodes (0:{count - 1})", sorted(covered))


CHECKS: Mapping[str, Checks] = {
    ENVIRONMENT: Checks(
        api=("batch", "CreateComputeEnvironment"),
        rename={"name": "computeEnvironmentName"},
        values=(
            conflicting("name", ("namePrefix",)),
            within("computeResources.bidPercentage", 1, 100),
            ordered(
                "computeResources.minVcpus",
                "computeResources.maxVcpus",
                "minvCpus must be less than or equal to maxvCpus ({limit})",
            ),
            ordered(
                "computeResources.desiredVcpus",
                "computeResources.maxVcpus",
                "desiredvCpus must be less than or equal to maxvCpus ({limit})",
            ),
            ordered(
                "computeResources.minVcpus",
                "computeResources.desiredVcpus",
                "minvCpus must be less than or equal to desiredvCpus ({limit})",
            ),
            within("computeResources.minVcpus", 0, 2**31 - 1),
            within("computeResources.maxVcpus", 1, 2**31 - 1),
            within("updatePolicy.jobExecutionTimeoutMinutes", 1, 7200),
            one_of(
                "computeResources.ec2Configurations[].imageType",
                "ECS_AL2",
                "ECS_AL2_NVIDIA",
                "ECS_AL2023",
                "ECS_AL2023_NVIDIA",
                "EKS_AL2",
                "EKS_AL2_NVIDIA",
                "EKS_AL2023",
                "EKS_AL2023_NVIDIA",
            ),
            _compute_resources,
        ),
        limits=(
            matching("name", NAME_PATTERN, NAME),
            at_most("computeResources.subnets", 16, "subnets"),
            at_most("computeResources.securityGroupIds", 5, "security groups"),
            at_most("computeResources.ec2Configurations", 2, "configurations"),
        ),
    ),
    "aws:batch/jobQueue:JobQueue": Checks(
        api=("batch", "CreateJobQueue"),
        rename={"name": "jobQueueName"},
        values=(
            within("priority", 0, 1000),
            within("jobStateTimeLimitActions[].maxTimeSeconds", 600, 86_400),
            one_of(
                "jobStateTimeLimitActions[].reason",
                "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
                "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
                "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
            ),
            _orders,
        ),
        limits=(
            matching("name", NAME_PATTERN, NAME),
            at_most("computeEnvironmentOrders", 3, "compute environments"),
        ),
    ),
    "aws:batch/schedulingPolicy:SchedulingPolicy": Checks(
        api=("batch", "CreateSchedulingPolicy"),
        values=(
            within("fairSharePolicy.computeReservation", 0, 99),
            within("fairSharePolicy.shareDecaySeconds", 0, 604_800),
            within("fairSharePolicy.shareDistributions[].weightFactor", 0.0001, 999.9999),
            matching(
                "fairSharePolicy.shareDistributions[].shareIdentifier",
                r"[A-Za-z0-9]{0,254}[A-Za-z0-9*]?",
                "must be up to 255 letters and digits, and may end in *",
            ),
        ),
        limits=(
            matching("name", NAME_PATTERN, NAME),
            at_most("fairSharePolicy.shareDistributions", 500, "share identifiers"),
        ),
    ),
    "aws:batch/jobDefinition:JobDefinition": Checks(
        api=("batch", "RegisterJobDefinition"),
        rename={"name": "jobDefinitionName"},
        documents={
            "containerProperties": api.document("batch", "ContainerProperties"),
            "ecsProperties": api.document("batch", "EcsProperties"),
            "nodeProperties": api.document("batch", "NodeProperties"),
        },
        values=(
            within("retryStrategy.attempts", 1, 10),
            within("timeout.attemptDurationSeconds", 60, 2**31 - 1),
            within("schedulingPriority", 0, 9999),
            # the API takes both cases, and gives back the lower one
            one_of("retryStrategy.evaluateOnExits[].action", "RETRY", "EXIT", "retry", "exit"),
            *(
                matching(
                    f"retryStrategy.evaluateOnExits[].{key}",
                    PATTERN_OF_EXIT,
                    "must be letters, numbers, periods, colons and white space, with an asterisk at most at its end",
                )
                for key in ("onReason", "onStatusReason")
            ),
            matching(
                "retryStrategy.evaluateOnExits[].onExitCode",
                r"[0-9]*\*?",
                "must be digits, with an asterisk at most at their end",
            ),
            _definition,
        ),
        limits=(
            matching("name", NAME_PATTERN, NAME),
            at_most("retryStrategy.evaluateOnExits", 5, "rules"),
            at_most("containerProperties", LARGEST_DEFINITION_BYTES, "bytes"),
            at_most("nodeProperties", LARGEST_DEFINITION_BYTES, "bytes"),
        ),
    ),
}
