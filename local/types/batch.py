"""AWS Batch: compute environments, job queues, job definitions and scheduling policies."""

from typing import Any

from local.aws import Aws
from local.parameters import call, complete, only
from local.record import ResourceType, tag_actions
from local.run import Created, Resource
from local.types.iam import service_linked_role


class ComputeEnvironment(ResourceType, token="aws:batch/computeEnvironment:ComputeEnvironment"):
    """A compute environment; the update policy goes in a call of its own, as the creation does not take it."""

    name = "name"
    needs = (
        "batch:CreateComputeEnvironment batch:DeleteComputeEnvironment batch:DescribeComputeEnvironments"
        " batch:UpdateComputeEnvironment ec2:DescribeLaunchTemplateVersions iam:CreateServiceLinkedRole iam:PassRole"
        f" {tag_actions('batch')}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        batch = aws.client("batch")
        inputs = complete(aws, new)
        inputs.setdefault("state", "ENABLED")
        name = inputs["name"]
        # moto wants the service role that AWS fills in when none is given
        inputs.setdefault("serviceRole", service_linked_role(aws, "batch.amazonaws.com"))
        made = call(
            batch,
            "create_compute_environment",
            inputs,
            rename={"name": "computeEnvironmentName"},
            leave=("updatePolicy",),
            computeResources=_compute_resources(aws, inputs.get("computeResources")),
        )
        arn = made["computeEnvironmentArn"]
        if "updatePolicy" in inputs:
            call(batch, "update_compute_environment", only(inputs, "updatePolicy"), computeEnvironment=arn)
        described = batch.describe_compute_environments(computeEnvironments=[arn])["computeEnvironments"][0]
        return Created(
            id=name,
            outputs=inputs
            | {
                "arn": arn,
                "ecsClusterArn": described["ecsClusterArn"],
                "status": described["status"],
                "statusReason": described.get("statusReason", ""),
            },
        )


class SchedulingPolicy(ResourceType, token="aws:batch/schedulingPolicy:SchedulingPolicy"):
    """A fair-share scheduling policy."""

    name = "name"
    needs = (
        "batch:CreateSchedulingPolicy batch:DeleteSchedulingPolicy batch:DescribeSchedulingPolicies"
        f" batch:UpdateSchedulingPolicy {tag_actions('batch')}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        arn = call(aws.client("batch"), "create_scheduling_policy", inputs)["arn"]
        return Created(id=arn, outputs=inputs | {"arn": arn})


class JobQueue(ResourceType, token="aws:batch/jobQueue:JobQueue"):
    """A job queue."""

    name = "name"
    needs = (
        f"batch:CreateJobQueue batch:DeleteJobQueue batch:DescribeJobQueues batch:UpdateJobQueue {tag_actions('batch')}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        names = {"name": "jobQueueName"}
        arn = call(aws.client("batch"), "create_job_queue", inputs, rename=names, leave=("timeouts",))["jobQueueArn"]
        return Created(id=arn, outputs=inputs | {"arn": arn})


class JobDefinition(ResourceType, token="aws:batch/jobDefinition:JobDefinition"):
    """A revision of a job definition."""

    name = "name"
    needs = (
        "batch:DeregisterJobDefinition batch:DescribeJobDefinitions batch:RegisterJobDefinition iam:PassRole"
        f" {tag_actions('batch')}"
    )

    def create(self, aws: Aws, new: Resource) -> Created:
        inputs = complete(aws, new)
        made = call(
            aws.client("batch"),
            "register_job_definition",
            inputs,
            rename={"name": "jobDefinitionName"},
            leave=("deregisterOnNewRevision",),
        )
        arn = made["jobDefinitionArn"]
        return Created(
            id=arn, outputs=inputs | {"arn": arn, "arnPrefix": arn.rpartition(":")[0], "revision": made["revision"]}
        )


def _compute_resources(aws: Aws, given: dict[str, Any] | None) -> dict[str, Any] | None:
    if given is None or given["type"].startswith("FARGATE"):
        return given
    # moto wants what AWS does without: a minimum of vCPUs, and security groups beside those of a launch template
    defaults: dict[str, Any] = {"minVcpus": 0}
    given = {key: value for key, value in given.items() if value is not None}
    if "securityGroupIds" not in given and (template := given.get("launchTemplate")):
        defaults["securityGroupIds"] = _security_groups(aws, template)
    return defaults | given


def _security_groups(aws: Aws, template: dict[str, Any]) -> list[str]:
    found = call(
        aws.client("ec2"),
        "describe_launch_template_versions",
        {key: template[key] for key in ("launchTemplateId", "launchTemplateName") if key in template},
        versions=[template.get("version", "$Default")],
    )["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    interfaces = found.get("NetworkInterfaces", [])
    groups = [group for interface in interfaces for group in interface.get("Groups", [])]
    return list(dict.fromkeys([*found.get("SecurityGroupIds", []), *groups]))
