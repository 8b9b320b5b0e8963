"""What all roles of a stack have: a boundary, a path; and what an edit of them may not do."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from components.deployed import PART_TAG, Deployed
from components.iam import ROLE_PATH, RolesSettings
from local.aws import Aws
from local.run import Run
from local.types.resourcegroupstaggingapi import get_resources
from tests.conftest import RunStack
from tests.support import WHOLE, Life, all_of

MistakesIn = Callable[[Mapping[str, Any]], list[str]]

BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"
ROLE = "aws:iam/role:Role"


@pytest.fixture(scope="module")
def bounded(run_sections: RunStack) -> Run:
    roles = {"permissionsBoundaryArn": BOUNDARY, "rolePath": "/ml/training/"}
    return run_sections({**WHOLE, "network": {"flowLogs": True}, "iam": roles})


def test_every_role_of_the_stack_has_the_boundary_and_the_path(bounded: Run) -> None:
    roles = all_of(bounded, ROLE)
    assert {"training-eksRole-role", "training-node", "single-job", "workers-task", "network-flow-logs"} <= set(roles)
    for name, one in roles.items():
        assert (one.inputs["permissionsBoundary"], one.inputs["path"]) == (BOUNDARY, "/ml/training/"), name


def test_the_eks_component_makes_no_role_of_its_own(bounded: Run) -> None:
    assert [
        one.type for one in bounded.registrations.values() if "eks:index:Cluster" in one.urn and ROLE in one.type
    ] == []
    (role,) = [
        one for one in bounded.registrations.values() if one.name == "training-eksRole-role" and one.type == ROLE
    ]
    cluster = all_of(bounded, "aws:eks/cluster:Cluster")["training-eksCluster"]
    assert cluster.property_dependencies["roleArn"] == {role.urn}


def test_without_the_section_roles_say_nothing_of_either(run_sections: RunStack) -> None:
    run = run_sections(WHOLE)
    assert all_of(run, ROLE)
    assert [one.name for one in all_of(run, ROLE).values() if {"permissionsBoundary", "path"} & set(one.inputs)] == []
    assert "tags" not in all_of(run, "aws:ecr/repository:Repository")["artifacts"].inputs


@pytest.mark.parametrize(
    "path", ["training", "/training", "training/", "/", "//", "/aws-service-role/x/", "/two words/"]
)
def test_a_path_that_iam_does_not_take_is_refused(path: str, mistakes_in: MistakesIn) -> None:
    (line,) = mistakes_in({"iam": {"rolePath": path}})
    assert line.startswith("iam.rolePath: must be a path between two slashes, such as /training/, ")
    assert line.endswith(f", got '{path}'")


def test_a_boundary_of_another_account_is_refused(mistakes_in: MistakesIn) -> None:
    other = BOUNDARY.replace("123456789012", "210987654321")
    assert mistakes_in({"iam": {"permissionsBoundaryArn": other}}) == [
        f"iam.permissionsBoundaryArn: must be a policy of the account 123456789012, got '{other}'"
    ]
    (line,) = mistakes_in({"iam": {"permissionsBoundaryArn": "arn:aws:iam::123456789012:role/boundary"}})
    assert line.startswith("iam.permissionsBoundaryArn: must be the ARN of a managed policy, such as ")


def test_the_path_is_found_again_and_may_not_change(bounded: Run) -> None:
    note = all_of(bounded, "aws:ecr/repository:Repository")["artifacts"].inputs["tags"]
    deployed = Deployed(stack="test")
    path = f"{ROLE_PATH}/ml/training"
    assert deployed.path(note) == path
    there = Deployed(stack="test", arns={path: ["arn:aws:ecr:us-west-2:123456789012:repository/artifacts"]})
    assert list(RolesSettings(role_path="/ml/training/").losses("iam", there)) == []
    for other in (None, "/ml/"):
        (mistake,) = RolesSettings(role_path=other).losses("iam", there)
        assert str(mistake).startswith("iam.rolePath: must stay /ml/training/: a role under another path is another")
    without = Deployed(stack="test", arns={"network": ["arn:aws:ec2:us-west-2:123456789012:vpc/vpc-1"]})
    assert list(RolesSettings().losses("iam", without)) == []
    (mistake,) = RolesSettings(role_path="/ml/").losses("iam", without)
    assert str(mistake).startswith("iam.rolePath: must be left out: ")


def test_the_tag_of_the_path_is_among_what_the_stack_has(aws: Aws) -> None:
    tag = Deployed(stack="path").tag(f"{ROLE_PATH}/ml")
    one = Life(aws, "aws:ecr/repository:Repository", {"tags": tag})
    found = get_resources(aws, {"tagFilters": [{"key": PART_TAG}]})["resourceTagMappingLists"]
    assert [each["resourceArn"] for each in found if each["tags"].get(PART_TAG) == tag[PART_TAG]] == [
        one.outputs["arn"]
    ]
    one.delete()


def test_a_new_stack_may_choose_its_path() -> None:
    assert list(RolesSettings(role_path="/ml/").losses("iam", Deployed(stack="test"))) == []
