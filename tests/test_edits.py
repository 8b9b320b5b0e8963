"""What becomes of running work by an edit of a resource, as its record says."""

from collections.abc import Mapping
from typing import Any

import pytest

from local import types
from local.edits import WORK, Edit, Effect, Operation, at

ENVIRONMENT = "aws:batch/computeEnvironment:ComputeEnvironment"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
CLUSTER = "aws:eks/cluster:Cluster"
QUEUE = "aws:sqs/queue:Queue"
SERVICE = "aws:ecs/service:Service"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
TAINTED = {"taints": [{"key": "nvidia.com/gpu"}]}


def edit(
    type_: str,
    operation: Operation,
    *changed: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    ignored: tuple[str, ...] = (),
) -> Edit:
    return Edit(
        urn=f"urn:pulumi:test::test::{type_}::it",
        type=type_,
        name="it",
        operation=operation,
        changed=changed,
        ignored=ignored,
        before=before or {},
        after=after or {},
    )


def effects(one: Edit) -> list[Effect]:
    record = types.of(one.type)
    assert record is not None
    return list(record.work(one))


def work(one: Edit) -> list[str]:
    found = effects(one)
    for effect in found:
        assert effect.work in WORK
        assert effect.first or effect.work in ("nothing", "waits"), effect
    return [effect.work for effect in found]


@pytest.mark.parametrize(
    ("type_", "ends"),
    [
        ("aws:batch/jobQueue:JobQueue", "stopped"),
        (ENVIRONMENT, "stopped"),
        ("aws:batch/jobDefinition:JobDefinition", "nothing"),
        (SERVICE, "stopped"),
        (QUEUE, "lost"),
        ("aws:fsx/lustreFileSystem:LustreFileSystem", "stopped"),
        (CLUSTER, "stopped"),
        ("aws:kms/key:Key", "stopped"),
        ("aws:cloudwatch/logGroup:LogGroup", "lost"),
        ("aws:s3/bucket:Bucket", "refused"),
        ("aws:ecr/repository:Repository", "refused"),
        ("aws:ec2/vpc:Vpc", "refused"),
        ("aws:ec2/subnet:Subnet", "refused"),
        ("aws:ec2/natGateway:NatGateway", "waits"),
        ("aws:ec2/route:Route", "waits"),
        ("aws:ec2/vpcEndpoint:VpcEndpoint", "waits"),
        ("kubernetes:helm.sh/v3:Release", "waits"),
        ("kubernetes:core/v1:Namespace", "stopped"),
        ("kubernetes:kueue.x-k8s.io/v1beta2:LocalQueue", "waits"),
    ],
)
def test_the_end_of_a_resource_is_that_of_what_needs_it(type_: str, ends: str) -> None:
    assert work(edit(type_, "delete")) == work(edit(type_, "replace")) == [ends]
    assert work(edit(type_, "create")) == work(edit(type_, "update", "tags")) == []


@pytest.mark.parametrize("type_", ["aws:s3/bucket:Bucket", "aws:ecr/repository:Repository"])
def test_what_may_be_deleted_with_its_content_is(type_: str) -> None:
    assert work(edit(type_, "delete", before={"forceDestroy": True, "forceDelete": True})) == ["stopped"]


def test_a_role_under_another_name_is_no_longer_that_of_what_runs() -> None:
    assert work(edit("aws:iam/role:Role", "replace", "name")) == ["stopped"]
    assert work(edit("aws:iam/role:Role", "delete")) == []


def test_other_instances_leave_running_jobs_a_while_and_fewer_all_of_it() -> None:
    policy = {"updatePolicy": {"jobExecutionTimeoutMinutes": 360}}
    [effect] = effects(edit(ENVIRONMENT, "update", "computeResources.instanceTypes", after=policy))
    assert (effect.work, "360 minutes" in effect.what) == ("goes on", True)
    fewer = [{"computeResources": {"maxVcpus": count}} for count in (96, 48)]
    assert work(edit(ENVIRONMENT, "update", "computeResources.maxVcpus", before=fewer[0], after=fewer[1])) == ["waits"]
    assert work(edit(ENVIRONMENT, "update", "computeResources.maxVcpus", before=fewer[1], after=fewer[0])) == []
    assert work(edit(ENVIRONMENT, "update", "updatePolicy")) == []


def test_a_compute_environment_that_takes_no_jobs_ends_none() -> None:
    off = {"state": "DISABLED"}
    assert work(edit(ENVIRONMENT, "update", "state", after=off)) == ["nothing"]
    assert work(edit(ENVIRONMENT, "delete", before=off)) == ["nothing"]


def test_a_deployment_leaves_busy_workers_their_tasks() -> None:
    assert work(edit(SERVICE, "update", "taskDefinition")) == ["nothing"]
    assert work(edit(SERVICE, "update", "desiredCount")) == []


def test_messages_are_lost_by_a_shorter_retention_and_locked_by_another_key() -> None:
    longer, shorter = {"messageRetentionSeconds": 86_400 * 7}, {"messageRetentionSeconds": 86_400}
    assert work(edit(QUEUE, "update", "messageRetentionSeconds", before=longer, after=shorter)) == ["lost"]
    assert work(edit(QUEUE, "update", "messageRetentionSeconds", before=shorter, after=longer)) == []
    assert work(edit(QUEUE, "update", "kmsMasterKeyId", after={"kmsMasterKeyId": "key"})) == []
    assert work(edit(QUEUE, "update", "kmsMasterKeyId", before={"kmsMasterKeyId": "key"})) == ["waits"]


def test_checkpoints_are_lost_by_fewer_days_alone() -> None:
    def rules(days: int | None) -> dict[str, Any]:
        expiration = {"expiredObjectDeleteMarker": True} if days is None else {"days": days}
        return {"rules": [{"id": "checkpoints", "expiration": expiration}]}

    for before, after, lost in ((30, 7, ["lost"]), (7, 30, []), (None, 7, ["lost"]), (7, None, [])):
        changed = edit(LIFECYCLE, "update", "rules.expiration.days", before=rules(before), after=rules(after))
        assert work(changed) == lost


def test_logs_are_lost_by_a_shorter_retention() -> None:
    group = "aws:cloudwatch/logGroup:LogGroup"
    assert work(
        edit(group, "update", "retentionInDays", before={"retentionInDays": 30}, after={"retentionInDays": 7})
    ) == ["lost"]


def test_a_file_system_answers_again_after_another_throughput() -> None:
    assert work(edit("aws:fsx/lustreFileSystem:LustreFileSystem", "update", "perUnitStorageThroughput")) == ["waits"]


@pytest.mark.parametrize(
    ("before", "after", "becomes"),
    [("1.34", "1.35", "nothing"), ("1.34", "1.36", "refused"), ("1.35", "1.34", "refused")],
)
def test_a_cluster_goes_up_one_version_at_a_time(before: str, after: str, becomes: str) -> None:
    assert work(edit(CLUSTER, "update", "version", before={"version": before}, after={"version": after})) == [becomes]


def test_a_cluster_stays_in_its_zones() -> None:
    assert work(edit(CLUSTER, "update", "vpcConfig.subnetIds")) == ["refused"]


def test_nodes_that_train_are_not_taken_away_and_others_move_controllers() -> None:
    assert work(edit(NODE_GROUP, "delete", before=TAINTED)) == ["refused"]
    assert work(edit(NODE_GROUP, "replace", "instanceTypes", before=TAINTED)) == ["refused"]
    assert work(edit(NODE_GROUP, "update", "launchTemplate.version", before=TAINTED)) == ["goes on"]
    assert work(edit(NODE_GROUP, "update", "version")) == work(edit(NODE_GROUP, "replace")) == ["nothing"]
    assert work(edit(NODE_GROUP, "update", "labels", before=TAINTED)) == []


@pytest.mark.parametrize(
    ("least", "desired", "most", "becomes"), [(0, 0, 12, "stopped"), (1, 0, 8, "refused"), (0, 9, 8, "refused")]
)
def test_other_sizes_of_a_group_set_the_number_of_its_nodes(least: int, desired: int, most: int, becomes: str) -> None:
    after = TAINTED | {"scalingConfig": {"minSize": least, "desiredSize": desired, "maxSize": most}}
    size = "scalingConfig.maxSize"
    as_it_was = ("scalingConfig.desiredSize",)
    assert work(edit(NODE_GROUP, "update", size, before=TAINTED, after=after, ignored=as_it_was)) == [becomes]
    # the program says how many run
    asked = [] if becomes == "stopped" else [becomes]
    assert work(edit(NODE_GROUP, "update", size, before=TAINTED, after=after)) == asked


def test_a_connection_through_another_gateway_breaks_off() -> None:
    assert work(edit("aws:ec2/route:Route", "update", "natGatewayId")) == ["waits"]


def test_a_place_is_found_or_nothing() -> None:
    assert at({"a": {"b": 1}}, "a.b") == 1
    assert at({"a": 1}, "a.b") is None
    assert at({}, "a.b") is None
