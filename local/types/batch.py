"""AWS Batch: compute environments, job queues, job definitions and scheduling policies."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from local import api
from local.aws import Aws
from local.costs import Line, Priced
from local.edits import Edit, Effect, at
from local.parameters import call, complete, only
from local.properties import Property
from local.record import answers, tag_actions
from local.run import Created, Resource, State
from local.tags import Tagged
from local.types.iam import service_linked_role

COMPUTE_ENVIRONMENT = "aws:batch/computeEnvironment:ComputeEnvironment"
SCHEDULING_POLICY = "aws:batch/schedulingPolicy:SchedulingPolicy"
LARGEST_INTEGER = 2**31 - 1
LARGEST_DEFINITION_BYTES = 24 * 1024
"""Batch user guide, "AWS Batch service quotas"."""
SHORTEST_TIMEOUT_SECONDS = 60
"""Batch API, `JobTimeout`."""
MOST_SHARES = 500
"""Batch API, `FairsharePolicy`."""
MOST_SUBNETS = 16
"""Batch API, `ComputeResource`."""
SCALING = {"desiredVcpus", "maxVcpus", "minVcpus"}
"""Inputs of compute resources whose change replaces no instance (Batch user guide, "Perform scaling updates")."""
DISABLED = "DISABLED"
UPDATE_MINUTES = 30
"""How long an update waits for running jobs by default (Batch API, `UpdatePolicy`)."""


class _Batch(Tagged):
    """A type that Batch tags."""

    service = "batch"
    name = "name"


class ComputeEnvironment(_Batch, token=COMPUTE_ENVIRONMENT):
    """A compute environment; the update policy needs a call of its own, because the creation does not accept it."""

    takes = ("batch", "CreateComputeEnvironment")
    rename = {"name": "computeEnvironmentName"}
    refers = {
        "computeResources.instanceRole": "aws:iam/instanceProfile:InstanceProfile",
        "computeResources.launchTemplate.launchTemplateId": "aws:ec2/launchTemplate:LaunchTemplate",
        "computeResources.placementGroup": "aws:ec2/placementGroup:PlacementGroup",
        "computeResources.securityGroupIds[]": "aws:ec2/securityGroup:SecurityGroup",
        "computeResources.subnets[]": "aws:ec2/subnet:Subnet",
    }
    needs = (
        "batch:CreateComputeEnvironment batch:DeleteComputeEnvironment batch:DescribeComputeEnvironments"
        " batch:UpdateComputeEnvironment ec2:DescribeLaunchTemplateVersions iam:CreateServiceLinkedRole iam:PassRole"
        f" {tag_actions('batch')}"
    )

    ended = Effect(
        work="stopped",
        what="its instances end, and the jobs on them",
        first="disable it (aws batch update-compute-environment --state DISABLED) and deploy when no job runs on it",
    )

    def work(self, edit: Edit) -> Iterator[Effect]:
        """With new instances running jobs get a limited time to finish; with fewer vCPUs all of them finish."""
        if edit.ends and edit.before.get("state") == DISABLED:
            yield Effect(work="nothing", what="it accepts no more jobs, and is deleted when none is left")
        else:
            yield from super().work(edit)
        if edit.touches("state") and edit.after.get("state") == DISABLED:
            yield Effect(work="nothing", what="it accepts no more jobs; those that run on it finish")
        if edit.operation == "update" and any(map(_exchanges, edit.changed)):
            minutes = at(edit.after, "updatePolicy.jobExecutionTimeoutMinutes") or UPDATE_MINUTES
            yield Effect(
                work="goes on",
                what=(
                    "jobs start on new instances; one that runs has"
                    f" {minutes} minutes to finish, and then starts"
                    " again from its last checkpoint if it has attempts left"
                ),
                first="deploy when no long job runs, or make sure that those that run write checkpoints",
            )
        if edit.lowers("computeResources.maxVcpus"):
            yield Effect(work="waits", what="running jobs finish; others wait until fewer vCPUs are in use")

    def refused(self, given: Property) -> Iterator[str]:
        """More vCPUs than the API's numbers allow, and too many subnets."""
        yield from given.within("computeResources.maxVcpus", 1, LARGEST_INTEGER)
        yield from given.at_most("computeResources.subnets", MOST_SUBNETS, "subnets")

    def create(self, aws: Aws, new: Resource) -> Created:
        """Create it with the service role that AWS uses when none is given, because moto requires one."""
        batch = aws.client("batch")
        role = service_linked_role(aws, "batch.amazonaws.com")
        inputs: dict[str, Any] = {"state": "ENABLED", "serviceRole": role} | complete(aws, new)
        arn = call(
            batch,
            "create_compute_environment",
            inputs,
            rename=self.rename,
            leave=["updatePolicy"],
            computeResources=_with_security_groups(aws, inputs["computeResources"]),
        )["computeEnvironmentArn"]
        if "updatePolicy" in inputs:
            call(batch, "update_compute_environment", only(inputs, "updatePolicy"), computeEnvironment=arn)
        made = batch.describe_compute_environments(computeEnvironments=[arn])["computeEnvironments"][0]
        return Created(
            id=inputs["name"],
            outputs=inputs | {"arn": arn} | only(made, "ecsClusterArn", "status", "statusReason"),
        )

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """All but its update policy, which moto does not keep."""
        batch = aws.client("batch")
        found = batch.describe_compute_environments(computeEnvironments=[there.outputs["arn"]])["computeEnvironments"]
        return next(iter(found), None)

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Change its resources in place.

        A change of its instances fails while a task runs: the provider does not wait as long as a task may take.
        """
        if _instances(there.outputs) != _instances(new.inputs) and _tasks(aws, there.outputs["ecsClusterArn"]):
            raise ValueError(
                "timeout while waiting for state to become 'VALID' (last state: 'UPDATING', timeout: 20m0s)"
            )
        call(
            aws.client("batch"),
            "update_compute_environment",
            new.inputs,
            leave=["name", "tags", "type"],
            computeEnvironment=there.outputs["arn"],
        )
        return {}

    def delete(self, aws: Aws, there: State) -> None:
        """Disable it first: Batch deletes only what is disabled."""
        batch, arn = aws.client("batch"), there.outputs["arn"]
        batch.update_compute_environment(computeEnvironment=arn, state=DISABLED)
        batch.delete_compute_environment(computeEnvironment=arn)

    def paid(self, one: Priced) -> Iterator[Line]:
        """The instances that its minimum and maximum of vCPUs need."""
        compute: dict[str, Any] = one.resource.inputs["computeResources"]
        vcpus = {instance_type: one.vcpus_of(instance_type) for instance_type in compute["instanceTypes"]}
        yield from one.instances(
            {
                instance_type: (math.ceil(compute["minVcpus"] / count), math.ceil(compute["maxVcpus"] / count))
                for instance_type, count in vcpus.items()
            }
        )


class SchedulingPolicy(_Batch, token=SCHEDULING_POLICY):
    """A fair-share scheduling policy."""

    needs = (
        "batch:CreateSchedulingPolicy batch:DeleteSchedulingPolicy batch:DescribeSchedulingPolicies"
        f" batch:UpdateSchedulingPolicy {tag_actions('batch')}"
    )

    def refused(self, given: Property) -> Iterator[str]:
        """Too many shares."""
        yield from given.at_most("fairSharePolicy.shareDistributions", MOST_SHARES, "share identifiers")

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        arn = call(aws.client("batch"), "create_scheduling_policy", inputs)["arn"]
        return Created(id=arn, outputs=inputs | {"arn": arn})

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        return next(iter(aws.client("batch").describe_scheduling_policies(arns=[there.id])["schedulingPolicies"]), None)

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Update its shares."""
        call(aws.client("batch"), "update_scheduling_policy", new.inputs, leave=["name", "tags"], arn=there.id)
        return {}

    def delete(self, aws: Aws, there: State) -> None:
        aws.client("batch").delete_scheduling_policy(arn=there.id)


class JobQueue(_Batch, token="aws:batch/jobQueue:JobQueue"):
    """A job queue."""

    rename = {"name": "jobQueueName"}
    refers = {
        "computeEnvironmentOrders[].computeEnvironment": COMPUTE_ENVIRONMENT,
        "schedulingPolicyArn": SCHEDULING_POLICY,
    }
    needs = (
        f"batch:CreateJobQueue batch:DeleteJobQueue batch:DescribeJobQueues batch:UpdateJobQueue {tag_actions('batch')}"
    )
    # Batch API, `DeleteJobQueue`
    ended = Effect(
        work="stopped",
        what="all its jobs are ended, those that run and those that wait",
        first="disable it (aws batch update-job-queue --state DISABLED) and deploy when its jobs have ended",
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        arn = call(aws.client("batch"), "create_job_queue", inputs, rename=self.rename)["jobQueueArn"]
        return Created(id=arn, outputs=inputs | {"arn": arn})

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """All but its time limits, which moto does not keep."""
        return next(iter(aws.client("batch").describe_job_queues(jobQueues=[there.id])["jobQueues"]), None)

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Change its priority, its state or its compute environments."""
        call(aws.client("batch"), "update_job_queue", new.inputs, leave=["name", "tags"], jobQueue=there.id)
        return {}

    def delete(self, aws: Aws, there: State) -> None:
        """Disable it first: Batch deletes only what is disabled."""
        batch = aws.client("batch")
        batch.update_job_queue(jobQueue=there.id, state=DISABLED)
        batch.delete_job_queue(jobQueue=there.id)


class JobDefinition(_Batch, token="aws:batch/jobDefinition:JobDefinition"):
    """A job definition, as its latest revision."""

    takes = ("batch", "RegisterJobDefinition")
    rename = {"name": "jobDefinitionName"}
    documents = {
        "containerProperties": api.document("batch", "ContainerProperties"),
        "nodeProperties": api.document("batch", "NodeProperties"),
    }
    refers = {
        f"{container}.{key}": type_
        for container in ("containerProperties", "nodeProperties.nodeRangeProperties[].container")
        for key, type_ in (
            ("executionRoleArn", "aws:iam/role:Role"),
            ("jobRoleArn", "aws:iam/role:Role"),
            ("logConfiguration.options.awslogs-group", "aws:cloudwatch/logGroup:LogGroup"),
        )
    }
    ended = Effect(
        work="nothing",
        what="its jobs go on, also those that wait; a new job that names it is refused",
        first="let submitters take the definition from the stack's outputs",
    )
    needs = (
        "batch:DeregisterJobDefinition batch:DescribeJobDefinitions batch:RegisterJobDefinition iam:PassRole"
        f" {tag_actions('batch')}"
    )

    def refused(self, given: Property) -> Iterator[str]:
        """No image, a definition that is too large, and a timeout out of range."""
        nodes = given.parsed("nodeProperties").select("nodeRangeProperties[].container")
        for container in (given.parsed("containerProperties"), *nodes):
            if container.is_known:
                yield from container.required("image")
        for properties in ("containerProperties", "nodeProperties"):
            yield from given.at_most(properties, LARGEST_DEFINITION_BYTES, "bytes")
        yield from given.within("timeout.attemptDurationSeconds", SHORTEST_TIMEOUT_SECONDS, LARGEST_INTEGER)

    def create(self, aws: Aws, new: Resource) -> Created:
        """Register a revision."""
        inputs = complete(aws, new)
        made = call(
            aws.client("batch"),
            "register_job_definition",
            inputs,
            rename=self.rename,
            leave=["deregisterOnNewRevision"],
        )
        arn = made["jobDefinitionArn"]
        return Created(
            id=arn, outputs=inputs | {"arn": arn, "arnPrefix": arn.rpartition(":")[0], "revision": made["revision"]}
        )

    def describe(self, aws: Aws, there: State) -> Mapping[str, Any] | None:
        """The revision, as long as it is active."""
        found = aws.client("batch").describe_job_definitions(jobDefinitions=[there.outputs["arn"]])["jobDefinitions"]
        for one in found:
            for rule in one["retryStrategy"].get("evaluateOnExit", []):
                # the API returns it in lower case, however it was given
                rule["action"] = rule["action"].upper()
        return next((one for one in found if one["status"] == "ACTIVE"), None)

    def update(self, aws: Aws, there: State, new: Resource) -> Mapping[str, Any]:
        """Register another revision, and deregister the one before unless that is to be kept."""
        outputs = self.create(aws, new).outputs
        if new.inputs.get("deregisterOnNewRevision", True):
            aws.client("batch").deregister_job_definition(jobDefinition=there.outputs["arn"])
        return outputs

    def delete(self, aws: Aws, there: State) -> None:
        """Deregister all its revisions."""
        batch, name = aws.client("batch"), there.outputs["name"]
        for one in batch.describe_job_definitions(jobDefinitionName=name, status="ACTIVE")["jobDefinitions"]:
            batch.deregister_job_definition(jobDefinition=one["jobDefinitionArn"])


@answers(
    "aws:batch/getComputeEnvironment:getComputeEnvironment",
    needs="batch:DescribeComputeEnvironments batch:ListTagsForResource",
)
def get_compute_environment(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """A compute environment by its name, with the properties that the program uses."""
    listed = aws.client("batch").describe_compute_environments(computeEnvironments=[inputs["name"]])
    one = _only("Compute Environment", inputs["name"], listed["computeEnvironments"])
    return {
        "id": one["computeEnvironmentArn"],
        "arn": one["computeEnvironmentArn"],
        "name": one["computeEnvironmentName"],
        **only(one, "ecsClusterArn", "state", "status", "statusReason", "tags", "type"),
    }


@answers("aws:batch/getJobQueue:getJobQueue", needs="batch:DescribeJobQueues batch:ListTagsForResource")
def get_job_queue(aws: Aws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """A job queue by its name."""
    listed = aws.client("batch").describe_job_queues(jobQueues=[inputs["name"]])
    one = _only("Job Queue", inputs["name"], listed["jobQueues"])
    return {
        "id": one["jobQueueArn"],
        "arn": one["jobQueueArn"],
        "name": one["jobQueueName"],
        "computeEnvironmentOrders": one["computeEnvironmentOrder"],
        **only(one, "priority", "schedulingPolicyArn", "state", "status", "statusReason", "tags"),
    }


def _exchanges(place: str) -> bool:
    """Whether a change of an input needs new instances (Batch user guide, "Infrastructure updates")."""
    top, key, *_ = [*place.split("."), ""]
    return top == "computeResources" and bool(key) and key not in SCALING


def _instances(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs that describe a compute environment's instances; to the provider lists of texts are sets."""
    resources: dict[str, Any] = properties["computeResources"]
    return {
        key: sorted(resources[key]) if key in ("instanceTypes", "securityGroupIds", "subnets") else resources[key]
        for key in resources.keys() - SCALING
    }


def _only(kind: str, name: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    if not found:
        raise ValueError(f"reading Batch {kind} ({name}): couldn't find resource")
    return found[0]


def _tasks(aws: Aws, cluster: str) -> list[str]:
    return aws.client("ecs").list_tasks(cluster=cluster, desiredStatus="RUNNING")["taskArns"]


def _with_security_groups(aws: Aws, given: dict[str, Any]) -> dict[str, Any]:
    """The compute resources, with the security groups of the launch template: moto requires them here, too."""
    if given.get("securityGroupIds"):
        return given
    template = given["launchTemplate"]
    versions = aws.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=template["launchTemplateId"], Versions=[template["version"]]
    )
    interfaces = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]["NetworkInterfaces"]
    return {**given, "securityGroupIds": list(dict.fromkeys(group for one in interfaces for group in one["Groups"]))}
