"""Amazon ECS and Application Auto Scaling (APIs; ECS developer guide, "Task size" and "Fargate")."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from local.checks import api
from local.checks.plain import is_list, is_object, mapping, missing, number, objects, wrong
from local.checks.references import Known
from local.checks.rules import Checks, Inputs, at_most, conflicting, given, matching, one_of, ordered, parsed, within
from local.engine import UNKNOWN

SERVICE = "aws:ecs/service:Service"
TARGET = "aws:appautoscaling/target:Target"

FARGATE_MEMORY_MIB: Mapping[int, Sequence[int]] = {
    256: (512, 1024, 2048),
    512: range(1024, 4096 + 1, 1024),
    1024: range(2048, 8192 + 1, 1024),
    2048: range(4096, 16_384 + 1, 1024),
    4096: range(8192, 30_720 + 1, 1024),
    8192: range(16_384, 61_440 + 1, 4096),
    16_384: range(32_768, 122_880 + 1, 8192),
    32_768: (61_440, 122_880, 249_856),
}
"""CPU units -> memory that Fargate offers with them."""

LARGEST_DEFINITION_BYTES = 64 * 1024
"""ECS developer guide, "Amazon ECS service quotas"."""

NAME = "can have up to 255 letters (uppercase and lowercase), numbers, underscores, and hyphens"
NAME_PATTERN = r"[A-Za-z0-9_-]{1,255}"

PREDEFINED = {
    "ALBRequestCountPerTarget",
    "ECSServiceAverageCPUUtilization",
    "ECSServiceAverageMemoryUtilization",
}


def _task(inputs: Inputs, known: Known) -> Iterator[str]:
    del known
    containers = parsed(inputs, "containerDefinitions")
    listed = objects(containers)
    if containers == []:
        yield wrong("containerDefinitions", "Container list cannot be empty.", [])
    names: list[Any] = []
    for index, container in enumerate(listed):
        path = f"containerDefinitions[{index}]"
        for key in ("name", "image"):
            if not container.get(key):
                yield wrong(f"{path}.{key}", f"Container.{key} should not be null or empty.", container.get(key))
        if container.get("name") in names:
            yield wrong(f"{path}.name", "Container names must be unique.", container.get("name"))
        names.append(container.get("name"))
    if containers and not any(container.get("essential", True) for container in listed):
        yield wrong(
            "containerDefinitions",
            "Invalid setting for container. At least one container must be essential.",
            len(listed),
        )
    if "FARGATE" in (inputs.get("requiresCompatibilities") or ()):
        yield from _fargate(inputs, listed)
    total = number(inputs.get("memory"))
    for index, container in enumerate(listed):
        own = number(container.get("memory"))
        if total is not None and own is not None and own > total:
            yield wrong(
                f"containerDefinitions[{index}].memory",
                f"Invalid 'memory' setting for container: must be at most the task's ({total:g})",
                container["memory"],
            )
    yield from _mounts(inputs, listed)


def _fargate(inputs: Inputs, containers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if inputs.get("networkMode") not in ("awsvpc", UNKNOWN):
        yield wrong("networkMode", "Fargate only supports network mode 'awsvpc'.", inputs.get("networkMode"))
    for key in ("cpu", "memory"):
        if not given(inputs, key):
            yield wrong(key, f"Fargate requires that '{key}' be defined at the task level.", None)
    cpu, memory = number(inputs.get("cpu")), number(inputs.get("memory"))
    if cpu is not None and cpu not in FARGATE_MEMORY_MIB:
        yield wrong(
            "cpu",
            f"Invalid 'cpu' setting for task: Fargate offers {', '.join(map(str, FARGATE_MEMORY_MIB))}",
            inputs["cpu"],
        )
    elif cpu is not None and memory is not None and memory not in FARGATE_MEMORY_MIB[int(cpu)]:
        sizes = FARGATE_MEMORY_MIB[int(cpu)]
        yield wrong(
            "memory",
            f"No Fargate configuration exists for given values: {int(cpu)} CPU goes with {sizes[0]} to {sizes[-1]}",
            inputs["memory"],
        )
    if not given(inputs, "executionRoleArn"):
        for container in containers:
            driver = container.get("logConfiguration")
            if is_object(driver) and driver.get("logDriver") == "awslogs":
                yield wrong(
                    "executionRoleArn",
                    "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
                    None,
                )
            if container.get("secrets"):
                yield wrong(
                    "executionRoleArn",
                    "Fargate requires task definition to have execution role ARN to support secrets.",
                    None,
                )
    for index, container in enumerate(containers):
        path = f"containerDefinitions[{index}]"
        stop = container.get("stopTimeout")
        if isinstance(stop, int) and not 0 <= stop <= 120:
            yield wrong(f"{path}.stopTimeout", "must be 0 to 120 seconds on Fargate", stop)
        if container.get("privileged"):
            yield wrong(f"{path}.privileged", "is not supported on Fargate", True)
        if any(need.get("type") == "GPU" for need in container.get("resourceRequirements") or () if is_object(need)):
            yield wrong(f"{path}.resourceRequirements", "GPU is not supported on Fargate", "GPU")
        linux = container.get("linuxParameters")
        for key in ("tmpfs", "sharedMemorySize", "devices"):
            if is_object(linux) and linux.get(key):
                yield wrong(f"{path}.linuxParameters.{key}", "is not supported on Fargate", linux[key])


def _mounts(inputs: Inputs, containers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    volumes = inputs.get("volumes")
    names = [one.get("name") for one in objects(volumes)]
    for index, container in enumerate(containers):
        for place, mount in enumerate(container.get("mountPoints") or ()):
            if is_object(mount) and mount.get("sourceVolume") not in names:
                yield wrong(
                    f"containerDefinitions[{index}].mountPoints[{place}].sourceVolume",
                    "Unknown volume",
                    mount.get("sourceVolume"),
                )


def _service(inputs: Inputs, known: Known) -> Iterator[str]:
    strategies = inputs.get("capacityProviderStrategies")
    if given(inputs, "launchType") and strategies:
        yield wrong(
            "launchType",
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
            inputs["launchType"],
        )
    entries = strategies if is_list(strategies) else []
    if len([one for one in entries if one.get("base")]) > 1:
        yield wrong(
            "capacityProviderStrategies", "must not have more than one base", [one.get("base") for one in entries]
        )
    if entries and not any(one.get("weight", 1) for one in entries):
        yield wrong("capacityProviderStrategies", "must have one weight over 0", [one.get("weight") for one in entries])
    on_fargate = inputs.get("launchType") == "FARGATE" or any(
        str(one.get("capacityProvider")).startswith("FARGATE") for one in entries
    )
    if on_fargate and not given(inputs, "networkConfiguration"):
        yield wrong(
            "networkConfiguration",
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            None,
        )
    for registration, created in known.of(SERVICE):
        name = inputs.get("name")
        if (
            name is not None
            and created is not None
            and name == registration.inputs.get("name")
            and inputs.get("cluster") == registration.inputs.get("cluster")
        ):
            yield wrong("name", "Creation of service was not idempotent.", name)


def _policy(inputs: Inputs, known: Known) -> Iterator[str]:
    resource, kind = inputs.get("resourceId"), inputs.get("policyType", "StepScaling")
    targets = [one.inputs.get("resourceId") for one, _ in known.of(TARGET)]
    if isinstance(resource, str) and resource != UNKNOWN and resource not in targets:
        yield wrong("resourceId", "No scalable target registered for this resource", resource)
    configurations = {
        "PredictiveScaling": "predictiveScalingPolicyConfiguration",
        "StepScaling": "stepScalingPolicyConfiguration",
        "TargetTrackingScaling": "targetTrackingScalingPolicyConfiguration",
    }
    for one, key in configurations.items():
        if one == kind and not given(inputs, key):
            yield missing(key)
        if kind not in (one, UNKNOWN) and given(inputs, key):
            yield wrong(key, f"goes with policyType {one} only", kind)
    tracking = inputs.get("targetTrackingScalingPolicyConfiguration")
    if is_object(tracking):
        yield from _tracking(tracking, "targetTrackingScalingPolicyConfiguration")


def _tracking(tracking: Mapping[str, Any], path: str) -> Iterator[str]:
    kinds = [key for key in ("customizedMetricSpecification", "predefinedMetricSpecification") if given(tracking, key)]
    if len(kinds) != 1:
        yield wrong(
            path, "must have exactly one of customizedMetricSpecification and predefinedMetricSpecification", kinds
        )
    predefined = tracking.get("predefinedMetricSpecification")
    if is_object(predefined):
        metric = predefined.get("predefinedMetricType")
        if metric not in PREDEFINED and metric != UNKNOWN:
            yield wrong(
                f"{path}.predefinedMetricSpecification.predefinedMetricType",
                f"must be one of an ECS service: {', '.join(sorted(PREDEFINED))}",
                metric,
            )
    customized = tracking.get("customizedMetricSpecification")
    if is_object(customized):
        metrics = customized.get("metrics")
        if is_list(metrics):
            yield from metric_math(metrics, f"{path}.customizedMetricSpecification.metrics", returned=True)


def metric_math(queries: Sequence[Any], path: str, *, returned: bool) -> Iterator[str]:
    """Metrics and expressions over them: unique ids, each defined that is used, exactly one that is the result.

    `returned` is what a query that does not say counts as.
    """
    ids = [mapping(query).get("id") for query in queries]
    results = 0
    for index, query in enumerate(queries):
        if not is_object(query):
            continue
        where, name = f"{path}[{index}]", query.get("id")
        if isinstance(name, str) and name != UNKNOWN and not re.fullmatch(r"[a-z][a-zA-Z0-9_]*", name):
            yield wrong(
                f"{where}.id", "must start with a lower-case letter and have letters, digits and underscores", name
            )
        if name != UNKNOWN and name in ids[:index]:
            yield wrong(f"{where}.id", "must be another one for each metric", name)
        expression = query.get("expression")
        if isinstance(expression, str) and expression != UNKNOWN:
            words = re.findall(r"\b[a-z]\w*\b(?!\s*\()", re.sub(r"'[^']*'|\"[^\"]*\"", "", expression))
            for word in words:
                if word not in ids:
                    yield wrong(f"{where}.expression", f"must use ids of its metrics, {word} is none", expression)
            if expression.count("(") != expression.count(")"):
                yield wrong(f"{where}.expression", "must close every parenthesis", expression)
        metric = query.get("metric", query.get("metricStat"))
        if (expression is None) == (metric is None):
            yield wrong(where, "must have either an expression or a metric", name)
        results += bool(query.get("returnData", returned))
    if results != 1:
        yield wrong(path, "must have exactly one with returnData true", results)


CHECKS: Mapping[str, Checks] = {
    "aws:ecs/cluster:Cluster": Checks(
        api=("ecs", "CreateCluster"),
        rename={"name": "clusterName"},
        values=(one_of("settings[].value", "enabled", "enhanced", "disabled"),),
        limits=(matching("name", NAME_PATTERN, NAME),),
    ),
    "aws:ecs/clusterCapacityProviders:ClusterCapacityProviders": Checks(
        api=("ecs", "PutClusterCapacityProviders"),
        rename={"clusterName": "cluster"},
        values=(
            # any other provider is one of the account's own, which this stack does not make
            one_of(
                "capacityProviders[]",
                "FARGATE",
                "FARGATE_SPOT",
                words="The specified capacity provider was not found. Specify a valid name and try again.",
            ),
            within("defaultCapacityProviderStrategies[].weight", 0, 1000),
            within("defaultCapacityProviderStrategies[].base", 0, 100_000),
        ),
        limits=(at_most("capacityProviders", 20, "capacity providers"),),
    ),
    "aws:ecs/taskDefinition:TaskDefinition": Checks(
        api=("ecs", "RegisterTaskDefinition"),
        documents={"containerDefinitions": api.list_of("ecs", "ContainerDefinition")},
        values=(within("ephemeralStorage.sizeInGib", 21, 200), _task),
        limits=(
            matching("family", NAME_PATTERN, NAME),
            at_most("containerDefinitions", LARGEST_DEFINITION_BYTES, "bytes"),
        ),
    ),
    SERVICE: Checks(
        api=("ecs", "CreateService"),
        rename={"name": "serviceName", "networkConfiguration": "networkConfiguration.awsvpcConfiguration"},
        values=(
            within("desiredCount", 0, 5000),
            within("capacityProviderStrategies[].weight", 0, 1000),
            within("capacityProviderStrategies[].base", 0, 100_000),
            one_of(
                "capacityProviderStrategies[].capacityProvider",
                "FARGATE",
                "FARGATE_SPOT",
                words="The specified capacity provider was not found. Specify a valid name and try again.",
            ),
            within("deploymentMinimumHealthyPercent", 0, 100),
            within("deploymentMaximumPercent", 100, 200),
            within("healthCheckGracePeriodSeconds", 0, 2**31 - 1),
            _service,
        ),
        limits=(
            matching("name", NAME_PATTERN, NAME),
            at_most("networkConfiguration.subnets", 16, "subnets"),
            at_most("networkConfiguration.securityGroups", 5, "security groups"),
        ),
    ),
    TARGET: Checks(
        api=("application-autoscaling", "RegisterScalableTarget"),
        values=(
            within("minCapacity", 0, 2**31 - 1),
            ordered("minCapacity", "maxCapacity", "Maximum capacity cannot be less than minimum capacity ({limit})"),
        ),
    ),
    "aws:appautoscaling/policy:Policy": Checks(
        api=("application-autoscaling", "PutScalingPolicy"),
        rename={"name": "PolicyName"},
        values=(_policy, conflicting("stepScalingPolicyConfiguration", ("targetTrackingScalingPolicyConfiguration",))),
        limits=(at_most("stepScalingPolicyConfiguration.stepAdjustments", 20, "step adjustments"),),
    ),
}
