"""What the records say that an input refers to, held against what Pulumi itself says that the input is made of."""

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest

from local import stack_files, types
from local.aws import Aws
from local.properties import Property
from local.record import TYPES
from local.run import Registration, Run
from tests.conftest import ROOT, NewStackProvider, RunStack
from tests.support import STACKS
from tools import whole

MADE_WITH = {
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": "aws:ec2/securityGroup:SecurityGroup",
    "aws:eks/cluster:Cluster": "aws:ec2/securityGroup:SecurityGroup",
}
"""Resource type -> what it is as well, or what AWS makes with it, which is no resource of its own."""


@pytest.fixture(scope="module")
def runs(run_stack: RunStack, aws: Aws) -> dict[str, tuple[Run, set[str]]]:
    """Every stack file, and the whole stack, deployed; with every text that stands in it."""
    stacks = {
        stack: (run_stack(stack, preview=False), texts(as_data(dict(stack_files.read(ROOT, stack).config))))
        for stack in STACKS
    }
    return stacks | {"whole": (whole.deployed(NewStackProvider(aws)), texts(whole.SECTIONS))}


def as_data(value: Any) -> Any:
    """A value with each JSON text in it as what it says."""
    match value:
        case dict():
            return {key: as_data(one) for key, one in cast("dict[str, Any]", value).items()}
        case list():
            return [as_data(one) for one in cast("list[Any]", value)]
        case str() if value.startswith(("{", "[")):
            return as_data(json.loads(value))
        case _:
            return value


def texts(value: Any) -> set[str]:
    """Every text in a value."""
    match value:
        case dict():
            return {text for one in cast("dict[str, Any]", value).values() for text in texts(one)}
        case list():
            return {text for one in cast("list[Any]", value) for text in texts(one)}
        case _:
            return {value} if isinstance(value, str) else set()


def references(run: Run) -> Iterator[tuple[Registration, str, str, set[str]]]:
    """Each input that refers to something: its resource and path, the type of what it should be, the texts in it."""
    for one in run.registrations.values():
        record = types.of(one.type)
        for path, type_ in record.refers.items() if record is not None else ():
            found = [value.value for value in Property("", as_data(dict(one.inputs))).select(path)]
            if found:
                yield one, path, type_, texts(found)


def made_of(run: Run, one: Registration, path: str) -> set[str]:
    """Types of the resources, and of those in the components, that an input is made of."""
    urns = one.property_dependencies.get(path.split(".")[0].removesuffix("[]"), frozenset())
    found = {other.type for other in run.registrations.values() if urns & {other.urn, *ancestors(run, other)}}
    return found | {MADE_WITH[type_] for type_ in found & MADE_WITH.keys()}


def ancestors(run: Run, one: Registration) -> set[str]:
    parent = run.registrations.get(one.parent)
    return set() if parent is None else {parent.urn, *ancestors(run, parent)}


@pytest.mark.parametrize("stack", [*STACKS, "whole"])
def test_what_refers_to_a_resource_is_made_of_one_of_its_type(
    stack: str, runs: dict[str, tuple[Run, set[str]]]
) -> None:
    run, given = runs[stack]
    found = list(references(run))
    assert found
    assert [
        f"{one.urn}: {path}: must be made of {type_}, got {sorted(made_of(run, one, path))}"
        for one, path, type_, named in found
        if type_ not in made_of(run, one, path) and not named <= given
    ] == []


def test_everything_that_a_record_refers_to_is_referred_to_somewhere(runs: dict[str, tuple[Run, set[str]]]) -> None:
    seen = {(one.type, path) for run, _ in runs.values() for one, path, _, _ in references(run)}
    said = {(token, path) for token, record in TYPES.items() for path in record.refers}
    assert ("aws:sqs/queue:Queue", "redrivePolicy") in seen
    # a key of one's own is a choice of the stack file
    assert said - seen <= {("aws:sqs/queue:Queue", "kmsMasterKeyId")}
