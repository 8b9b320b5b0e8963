"""AWS Batch in moto: what is made, seen, changed and ended."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.aws import Aws, hex_digits
from local.provider import Provider
from local.run import RefusedError
from tests.batch.support import start_task
from tests.support import Life

CONTAINER = {
    "image": "one",
    "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "2048"}],
}
DEFINITION: dict[str, Any] = {
    "type": "container",
    "containerProperties": json.dumps(CONTAINER),
    "retryStrategy": {"attempts": 3, "evaluateOnExits": [{"onReason": "*", "action": "EXIT"}]},
}
OTHER_CONTAINER = json.dumps({**CONTAINER, "image": "two"})


def environment(aws: Aws, **more: Any) -> Life:
    """A compute environment in the default VPC."""
    iam, ec2 = aws.client("iam"), aws.client("ec2")
    profile = iam.create_instance_profile(InstanceProfileName=f"batch-{hex_digits(8)}")["InstanceProfile"]["Arn"]
    subnets = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"][:2]]
    group = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"]
    resources = {
        "type": "EC2",
        "minVcpus": 0,
        "maxVcpus": 64,
        "instanceTypes": ["g6.12xlarge"],
        "instanceRole": profile,
        "subnets": subnets,
        "securityGroupIds": [group],
        **more,
    }
    return Life(
        aws,
        "aws:batch/computeEnvironment:ComputeEnvironment",
        {
            "type": "MANAGED",
            "computeResources": resources,
            "updatePolicy": {"terminateJobsOnUpdate": False, "jobExecutionTimeoutMinutes": 30},
            "tags": {"Name": "one"},
        },
    )


@pytest.fixture
def queue(aws: Aws) -> Iterator[Life]:
    """A job queue over one compute environment."""
    below = environment(aws)
    orders = [{"order": 1, "computeEnvironment": below.outputs["arn"]}]
    above = Life(
        aws,
        "aws:batch/jobQueue:JobQueue",
        {"state": "ENABLED", "priority": 10, "computeEnvironmentOrders": orders},
    )
    yield above
    above.delete()
    below.delete()


def test_a_compute_environment_takes_larger_limits_and_other_tags_in_place(aws: Aws) -> None:
    one = environment(aws)
    cluster = one.outputs["ecsClusterArn"]
    resources = one.resource.inputs["computeResources"]
    one.update(computeResources={**resources, "maxVcpus": 128, "instanceTypes": ["g6e.12xlarge"]}, tags={"Kind": "gpu"})
    [there] = aws.client("batch").describe_compute_environments(computeEnvironments=[one.state.id])[
        "computeEnvironments"
    ]
    assert there["computeResources"]["maxvCpus"] == 128
    assert there["computeResources"]["instanceTypes"] == ["g6e.12xlarge"]
    assert there["tags"] == {**aws.default_tags, "Kind": "gpu"}
    assert (there["state"], there["ecsClusterArn"]) == ("ENABLED", cluster)
    one.delete()
    assert aws.client("ecs").describe_clusters(clusters=[cluster])["clusters"][0]["status"] == "INACTIVE"


def test_a_compute_environment_with_a_task_keeps_its_instances_and_takes_other_limits(aws: Aws) -> None:
    one = environment(aws)
    resources = one.resource.inputs["computeResources"]
    one.update(tags={"distributed-training:name": "busy"})
    cluster, task = start_task(aws, "busy")
    one.update(state="DISABLED", computeResources={**resources, "maxVcpus": 128})
    with pytest.raises(RefusedError, match="last state: 'UPDATING', timeout: 20m0s"):
        one.change(computeResources={**resources, "instanceTypes": ["g6e.12xlarge"]})
    aws.client("ecs").stop_task(cluster=cluster, task=task)
    one.change(computeResources={**resources, "instanceTypes": ["g6e.12xlarge"]})
    one.delete()


def test_a_compute_environment_in_a_queue_is_not_deleted(aws: Aws, queue: Life) -> None:
    (order,) = queue.resource.inputs["computeEnvironmentOrders"]
    batch = aws.client("batch")
    with pytest.raises(batch.exceptions.ClientException, match="still in ENABLED state"):
        batch.delete_compute_environment(computeEnvironment=order["computeEnvironment"])
    batch.update_compute_environment(computeEnvironment=order["computeEnvironment"], state="DISABLED")
    with pytest.raises(batch.exceptions.ClientException, match="found existing JobQueue relationship"):
        batch.delete_compute_environment(computeEnvironment=order["computeEnvironment"])


def test_what_is_not_there_is_said_so(aws: Aws) -> None:
    provider = Provider(aws)
    for asked in (
        ("aws:batch/getComputeEnvironment:getComputeEnvironment", {"name": "gone"}),
        ("aws:batch/getJobQueue:getJobQueue", {"name": "gone"}),
        ("aws:ecs/getCluster:getCluster", {"clusterName": "gone"}),
    ):
        with pytest.raises(RefusedError, match="couldn't find resource"):
            provider.invoke(*asked)


def test_a_compute_environment_has_the_groups_of_its_launch_template(aws: Aws) -> None:
    ec2 = aws.client("ec2")
    group = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"]
    interfaces = [{"DeviceIndex": 0, "Groups": [group]}, {"DeviceIndex": 1, "Groups": [group]}]
    template = ec2.create_launch_template(
        LaunchTemplateName=f"efa-{hex_digits(8)}", LaunchTemplateData={"NetworkInterfaces": interfaces}
    )["LaunchTemplate"]["LaunchTemplateId"]
    one = environment(aws, securityGroupIds=None, launchTemplate={"launchTemplateId": template, "version": "1"})
    [there] = aws.client("batch").describe_compute_environments(computeEnvironments=[one.state.id])[
        "computeEnvironments"
    ]
    assert there["computeResources"]["securityGroupIds"] == [group]
    one.delete()


def test_a_queue_that_somebody_disabled_is_seen_and_enabled_again(queue: Life, aws: Aws) -> None:
    batch = aws.client("batch")
    batch.update_job_queue(jobQueue=queue.state.id, state="DISABLED", priority=1)
    assert (queue.seen()["state"], queue.seen()["priority"]) == ("DISABLED", 1)
    queue.update(priority=20)
    [there] = batch.describe_job_queues(jobQueues=[queue.state.id])["jobQueues"]
    assert (there["state"], there["priority"]) == ("ENABLED", 20)


def test_shares_change_in_place(aws: Aws) -> None:
    shares = [{"shareIdentifier": "a", "weightFactor": 0.5}]
    one = Life(aws, "aws:batch/schedulingPolicy:SchedulingPolicy", {"fairSharePolicy": {"shareDistributions": shares}})
    one.update(fairSharePolicy={"shareDistributions": [*shares, {"shareIdentifier": "b", "weightFactor": 1}]})
    [there] = aws.client("batch").describe_scheduling_policies(arns=[one.state.id])["schedulingPolicies"]
    assert [share["shareIdentifier"] for share in there["fairsharePolicy"]["shareDistribution"]] == ["a", "b"]
    one.delete()


@pytest.mark.parametrize(("more", "status"), [({}, "INACTIVE"), ({"deregisterOnNewRevision": False}, "ACTIVE")])
def test_another_image_is_another_revision(aws: Aws, more: dict[str, Any], status: str) -> None:
    one = Life(aws, "aws:batch/jobDefinition:JobDefinition", DEFINITION | more)
    first = one.outputs["arn"]
    one.update(containerProperties=OTHER_CONTAINER)
    assert (one.outputs["revision"], one.outputs["arn"]) == (2, f"{one.outputs['arnPrefix']}:2")
    batch = aws.client("batch")
    [before] = batch.describe_job_definitions(jobDefinitions=[first])["jobDefinitions"]
    assert before["status"] == status
    one.delete()
    left = batch.describe_job_definitions(jobDefinitionName=one.outputs["name"], status="ACTIVE")["jobDefinitions"]
    assert left == []


def test_a_definition_that_somebody_deregistered_is_gone(aws: Aws) -> None:
    one = Life(aws, "aws:batch/jobDefinition:JobDefinition", DEFINITION)
    assert one.read() == one.state
    aws.client("batch").deregister_job_definition(jobDefinition=one.outputs["arn"])
    assert one.read() is None
