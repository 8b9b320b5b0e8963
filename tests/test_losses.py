"""Edits that would lose what a stack has already."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from local.aws import Aws
from local.provider import Provider
from local.run import Run
from tests.conftest import DEFAULT_TAGS, REGION, RunStack, run_config
from tests.support import WHOLE, all_of, one_of
from tests.test_network import make_vpc

DEPLOYED: dict[str, Any] = {
    "network": {"cidr": "10.0.0.0/16"},
    "artifacts": {"lustre": {"storageGib": 2400}},
    "queues": {"tasks": {}, "plain": {"fifo": False}},
    "eks": WHOLE["eks"],
}
ELSEWHERE = {"vpcId": "vpc-0123456789abcdef0", "privateSubnetIds": ["subnet-0123456789abcdef0"]}
MOVE = "a control plane and a file system cannot move to another VPC: make a second stack, and move to it"
OTHER_KIND = (
    "another kind is another queue, and what waits in this one would be lost; add a queue beside it, move its "
    "producers, let it drain, then take it out"
)


def run(aws: Aws, sections: Mapping[str, Any], *, preview: bool = True) -> Run:
    config = {f"distributed-training:{key}": value for key, value in sections.items()}
    return run_config(aws, config, preview=preview, provider=Provider(aws))


def refused(aws: Aws, sections: Mapping[str, Any]) -> list[str]:
    ended = run(aws, sections)
    assert ended.error is not None
    assert ended.registrations == {}
    return str(ended.error).splitlines()


@pytest.fixture(scope="module")
def own_aws() -> Iterator[Aws]:
    with Aws(REGION, DEFAULT_TAGS) as aws:
        yield aws


@pytest.fixture(scope="module")
def vpc_id(own_aws: Aws) -> str:
    deployed = run(own_aws, DEPLOYED, preview=False)
    assert deployed.error is None
    return deployed.exports["vpc_id"]


@pytest.mark.usefixtures("vpc_id")
def test_the_same_stack_file_and_one_that_only_grows_lose_nothing(own_aws: Aws) -> None:
    assert run(own_aws, DEPLOYED).error is None
    more: dict[str, Any] = {"artifacts": {"lustre": {"storageGib": 4800}}, "network": {"availabilityZones": 3}}
    queues: dict[str, Any] = {"queues": {**DEPLOYED["queues"], "more": {"fifo": False}}}
    grown = run(own_aws, DEPLOYED | more | queues)
    assert grown.error is None
    assert not [one for one in grown.messages if one.startswith("queues.")]


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (
            {"queues": {"tasks": {"fifo": False}, "plain": {"fifo": False}}},
            f"queues.tasks.fifo: must stay true: {OTHER_KIND}, got false",
        ),
        ({"queues": {"tasks": {}, "plain": {}}}, f"queues.plain.fifo: must stay false: {OTHER_KIND}, got true"),
        ({"network": {"cidr": "10.1.0.0/16"}}, f"network.cidr: must stay 10.0.0.0/16; {MOVE}, got '10.1.0.0/16'"),
        (
            {"artifacts": {"lustre": {"storageGib": 1200}}},
            (
                "artifacts.lustre.storageGib: must be 2400 or more: FSx only grows a file system, and a smaller one "
                "would be another, without what is not in the bucket; take lustre out and deploy first if that may go, "
                "got 1200"
            ),
        ),
        (
            {"artifacts": {"lustre": {"storageGib": 2400, "deployment": "scratch"}}},
            (
                "artifacts.lustre.deployment: must stay persistent: another one is another file system, without what is"
                " not in the bucket; take lustre out and deploy first if that may go, got 'scratch'"
            ),
        ),
    ],
)
@pytest.mark.usefixtures("vpc_id")
def test_an_edit_that_loses_data_is_refused_with_what_to_do(edit: dict[str, Any], line: str, own_aws: Aws) -> None:
    assert refused(own_aws, DEPLOYED | edit) == [line]


def test_a_stack_with_a_vpc_of_its_own_cannot_move_to_another(own_aws: Aws, vpc_id: str) -> None:
    elsewhere, subnet_ids = make_vpc(own_aws, "10.9.0.0/16", "us-west-2a", "us-west-2b")
    existing = {"vpcId": elsewhere, "privateSubnetIds": subnet_ids}
    (line,) = refused(own_aws, DEPLOYED | {"network": {"existing": existing}})
    assert line.startswith(f"network.existing: must be left out: the stack has a VPC of its own, {vpc_id}; {MOVE}, got")


@pytest.mark.usefixtures("vpc_id")
def test_a_queue_that_leaves_the_stack_file_is_told_of(own_aws: Aws) -> None:
    without: dict[str, Any] = DEPLOYED | {"queues": {"tasks": {}}}
    goes = (
        "queues.plain: is no longer in the stack file, so its queue and dead-letter queue are deleted with all that "
        "waits in them"
    )
    assert goes in run(own_aws, without).messages
    refuses = "; Pulumi refuses that while they are protected: docs/operations.md says how they go"
    assert f"{goes}{refuses}" in run(own_aws, without | {"protect": True}).messages


@pytest.mark.usefixtures("vpc_id")
def test_a_cluster_leaves_the_stack_file_only_once_it_is_not_protected(own_aws: Aws) -> None:
    without = {key: value for key, value in DEPLOYED.items() if key != "eks"}
    assert run(own_aws, without).error is None
    (line,) = refused(own_aws, without | {"protect": True})
    assert line.startswith("eks: must stay in the stack file while protect is true, because of the cluster training-")


def test_a_queue_of_another_kind_may_follow_once_the_first_is_gone(own_aws: Aws, vpc_id: str) -> None:
    assert vpc_id
    sqs = own_aws.client("sqs")
    for url in sqs.list_queues(QueueNamePrefix="plain")["QueueUrls"]:
        sqs.delete_queue(QueueUrl=url)
    assert run(own_aws, DEPLOYED | {"queues": {"tasks": {}, "plain": {}}}).error is None


def test_a_stack_stays_in_the_vpc_that_it_adopted() -> None:
    with Aws(REGION, DEFAULT_TAGS) as aws:
        first, second = (
            dict(zip(("vpcId", "privateSubnetIds"), make_vpc(aws, cidr, "us-west-2a"), strict=True))
            for cidr in ("10.8.0.0/16", "10.9.0.0/16")
        )
        assert run(aws, {"network": {"existing": first}}, preview=False).error is None
        assert run(aws, {"network": {"existing": first}}).error is None
        here = first["vpcId"]
        assert refused(aws, {"network": {"existing": second}}) == [
            f"network.existing.vpcId: must stay {here}; {MOVE}, got '{second['vpcId']}'"
        ]
        assert refused(aws, {}) == [f"network.existing: must stay, with the VPC {here}; {MOVE}, got null"]


def test_what_waits_in_a_protected_stack_is_protected(run_sections: RunStack) -> None:
    protected = run_sections({"queues": {"tasks": {}}, "artifacts": {"lustre": {}}, "protect": True})
    for name in ("tasks", "tasks-dlq"):
        assert one_of(protected, "aws:sqs/queue:Queue", name).protect


def test_another_description_makes_no_other_security_group(run_sections: RunStack) -> None:
    sections: dict[str, Any] = {**WHOLE, "network": {"interfaceEndpoints": ["sqs"]}, "artifacts": {"lustre": {}}}
    groups = all_of(run_sections(sections), "aws:ec2/securityGroup:SecurityGroup")
    assert len(groups) >= 4
    assert {name: one.ignore_changes for name, one in groups.items()} == dict.fromkeys(groups, ("description",))


def test_a_file_system_stays_in_its_subnet(run_sections: RunStack) -> None:
    run = run_sections({"artifacts": {"lustre": {}}})
    assert one_of(run, "aws:fsx/lustreFileSystem:LustreFileSystem", "artifacts").ignore_changes == ("subnetIds",)
