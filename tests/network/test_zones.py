"""The zones of the network: which they are, where training is, and that both stay."""

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from components.deployed import PART_TAG, Deployed
from components.iam import Account
from components.network import DeployedNetwork, NetworkSettings, Zones
from components.network.deployed import TRAINING_ZONE_TAG
from components.network.existing import ExistingNetwork
from local import engine
from local.aws import Aws
from local.provider import Provider
from local.run import Run
from tests.batch.support import COMPUTE_ENVIRONMENT, MULTI, environments
from tests.conftest import DEFAULT_TAGS, REGION, RunStack, run_config
from tests.support import all_of, one_of
from tests.test_network import make_vpc

MistakesIn = Callable[[dict[str, Any]], list[str]]
KNOWN = [f"us-west-2{letter}" for letter in "abcd"]
A, B, C, D = KNOWN
P5E: dict[str, Any] = MULTI | {"instanceTypes": ["p5e.48xlarge"]}
"""Only us-west-2c offers it."""
P5EN: dict[str, Any] = MULTI | {"instanceTypes": ["p5en.48xlarge"]}
"""All zones but us-west-2b offer it."""
LUSTRE_STAYS = (
    f"must stay {C} with artifacts.lustre, which FSx moves to no other zone: take lustre out and deploy first; what is"
    " in the bucket is there again in another one"
)


def chosen(
    there: DeployedNetwork | None = None, *, needs: Mapping[str, frozenset[str]] | None = None, **network: Any
) -> Zones:
    return NetworkSettings(**network).choose(KNOWN, there or DeployedNetwork(), needs or {})


def deployed(*zones: str, training: str | None) -> DeployedNetwork:
    places = {zone: place for place, zone in enumerate(zones)}
    return DeployedNetwork(vpcs={"vpc-1": "10.0.0.0/16"}, places=places, training_zone=training)


def test_a_new_network_has_the_first_zones_of_the_region_and_trains_in_the_first_that_offers_all() -> None:
    assert chosen() == Zones(places={A: 0, B: 1}, training=A)
    needs = {"batch.a": frozenset({B, C}), "batch.b": frozenset({B, D})}
    # its subnets come first, and with them the one NAT gateway
    assert chosen(needs=needs) == Zones(places={B: 0, A: 1}, training=B)
    assert chosen(zones=(D, B), needs=needs).names == [B, D]


def test_a_training_zone_that_is_named_is_among_the_first() -> None:
    assert chosen(training_zone=D) == Zones(places={D: 0, A: 1}, training=D)
    assert chosen(zones=(C, D), training_zone=D) == Zones(places={D: 0, C: 1}, training=D)


def test_zones_that_are_there_stay_whatever_zones_aws_adds() -> None:
    there = deployed(B, D, training=D)
    assert chosen(there) == Zones(places={B: 0, D: 1}, training=D)
    assert chosen(there, availability_zones=3) == Zones(places={B: 0, D: 1, A: 2}, training=D)


def test_training_stays_when_other_types_are_wanted_until_another_zone_is_named() -> None:
    there = deployed(A, B, training=A)
    assert chosen(there, needs={"batch.a": frozenset({B})}).training == A
    assert chosen(there, training_zone=B) == Zones(places={A: 0, B: 1}, training=B)


def test_of_fewer_zones_the_training_zone_is_the_last_to_go() -> None:
    there = deployed(A, B, C, training=C)
    assert chosen(there).names == [A, C]
    assert chosen(there, training_zone=B).names == [A, B]


def test_a_zone_never_takes_the_ranges_of_one_that_goes_in_the_same_deployment() -> None:
    there = deployed(A, B, C, training=A)
    assert chosen(there, zones=(A, B, D)).places == {A: 0, B: 1, D: 3}
    small = NetworkSettings(zones=(A, B, D), cidr=ipaddress.IPv4Network("10.0.0.0/19"))
    lines = [str(one) for one in small.preflight("network", REGION, KNOWN, there, [])]
    assert lines == [
        (
            "network.zones: must lose a zone in one deployment and get another in the next, as their ranges are all in"
            f" use, got '{D}'"
        )
    ]


@pytest.mark.parametrize(
    ("sections", "lines"),
    [
        ({"zones": [B]}, ["zones: must hold at least 2, got ['us-west-2b']"]),
        ({"zones": [B, B]}, ["zones: must name each once, got ['us-west-2b', 'us-west-2b']"]),
        ({"zones": [B, "b"]}, ["zones.1: must be the name of an availability zone, such as us-west-2b, got 'b'"]),
        ({"zones": [B, C], "availabilityZones": 2}, ["availabilityZones: cannot be set together with zones, got 2"]),
        (
            {"zones": [B, "us-west-2e"]},
            [
                (
                    f"zones: must be zones of us-west-2 that hold every part ({', '.join(KNOWN)}), got 'us-west-2e'; "
                    "did you mean us-west-2a?"
                )
            ],
        ),
        (
            {"zones": [B, C], "trainingZone": A},
            [f"trainingZone: must be a zone of the network ({B}, {C}), got '{A}'; did you mean {B}?"],
        ),
        (
            {"zones": KNOWN, "cidr": "10.0.0.0/19"},
            ["cidr: must be a /16 to /18 with zones over 3, got '10.0.0.0/19'"],
        ),
    ],
)
def test_zones_that_cannot_be_are_refused(sections: dict[str, Any], lines: list[str], mistakes_in: MistakesIn) -> None:
    assert mistakes_in({"network": sections}) == [f"network.{line}" for line in lines]


def test_where_no_zone_has_the_types_of_all_that_is_close_together_one_line_says_which_does(
    mistakes_in: MistakesIn,
) -> None:
    assert mistakes_in({"batch": {"q": P5E}}) == [
        (
            f"network.trainingZone: must offer the instance types of all that is close together, and none of {A}, {B} "
            f"does; name {C}, got {{'batch.q': ['{C}']}}"
        )
    ]


def ranges(run: Run) -> dict[str, str]:
    return {name: one.inputs["cidrBlock"] for name, one in all_of(run, "aws:ec2/subnet:Subnet").items()}


def run(aws: Aws, sections: Mapping[str, Any], *, preview: bool = True) -> Run:
    config = {f"distributed-training:{key}": value for key, value in sections.items()}
    return run_config(aws, config, preview=preview, provider=Provider(aws))


SECTIONS: dict[str, Any] = {
    "network": {"zones": [B, C, D]},
    "batch": {
        "multi": P5EN,
        "plain": {},
        "reserved": {"capacity": ["onDemand"], "capacityReservationId": "cr-01234567"},
    },
    "artifacts": {"lustre": {}},
    "eks": {"gpuNodeGroups": {"fast": {"instanceTypes": ["p5en.48xlarge"], "efa": True}, "any": {}}},
}


@pytest.fixture(scope="module")
def own_aws() -> Iterator[Aws]:
    with Aws(REGION, DEFAULT_TAGS) as aws:
        yield aws


@pytest.fixture(scope="module")
def first(own_aws: Aws) -> Run:
    found = run(own_aws, SECTIONS, preview=False)
    assert found.error is None
    return found


def test_efa_reservations_and_lustre_are_in_the_training_zone_and_the_rest_everywhere(first: Run) -> None:
    training, *others = first.exports["private_subnet_ids"]
    assert first.exports["training_subnet_id"] == training
    assert one_of(first, "aws:ec2/subnet:Subnet", f"network-{C}-private").inputs["cidrBlock"] == "10.0.0.0/18"
    subnets = {name: one.inputs["computeResources"]["subnets"] for name, one in environments(first).items()}
    assert subnets == {
        "multi-on-demand": [training],
        "reserved-on-demand": [training],
        "plain-on-demand": [training, *others],
        "plain-spot": [training, *others],
    }
    assert one_of(first, "aws:fsx/lustreFileSystem:LustreFileSystem", "artifacts").inputs["subnetIds"] == training
    groups = all_of(first, "aws:eks/nodeGroup:NodeGroup")
    assert [groups[f"training-{name}"].inputs["subnetIds"] for name in ("fast", "any")] == [[training], [training]]


def test_a_second_deployment_finds_the_zones_and_leaves_all_where_it_is(first: Run, own_aws: Aws) -> None:
    other_type = SECTIONS["batch"] | {"multi": MULTI}
    for sections in (SECTIONS, SECTIONS | {"batch": other_type, "network": {"availabilityZones": 3}}):
        again = run(own_aws, sections)
        assert again.error is None
        assert ranges(again) == ranges(first)
        assert one_of(again, "aws:ec2/vpc:Vpc", "network").inputs["tags"][TRAINING_ZONE_TAG] == C
        same = {one.name for one in environments(again).values()} & {one.name for one in environments(first).values()}
        assert len(same) == (4 if sections is SECTIONS else 3)


@pytest.mark.usefixtures("first")
def test_a_file_system_is_left_behind_by_no_training_zone(own_aws: Aws) -> None:
    moved = SECTIONS | {"network": {"zones": [B, C, D], "trainingZone": D}}
    found = run(own_aws, moved)
    assert str(found.error).splitlines() == [f"network.trainingZone: {LUSTRE_STAYS}, got '{D}'"]


def test_a_training_zone_that_moves_takes_jobs_and_leaves_groups_that_are_there(first: Run, own_aws: Aws) -> None:
    moved = SECTIONS | {"network": {"zones": [B, C, D], "trainingZone": D}, "artifacts": {}}
    found = run(own_aws, moved)
    assert found.error is None
    assert one_of(found, "aws:ec2/vpc:Vpc", "network").inputs["tags"][TRAINING_ZONE_TAG] == D
    assert ranges(found) == ranges(first)
    before, now = ({kind: one.name for kind, one in environments(each).items()} for each in (first, found))
    # all had mounted the file system, which goes: each has another environment beside its own, which drains
    assert {kind for kind in before if before[kind] != now[kind]} == set(before)
    drain = {one.name for one in all_of(found, COMPUTE_ENVIRONMENT).values() if one.inputs["state"] == "DISABLED"}
    assert drain == set(before.values())
    _, where_it_was, _ = found.exports["private_subnet_ids"]
    assert one_of(found, "aws:eks/nodeGroup:NodeGroup", "training-fast").inputs["subnetIds"] == [where_it_was]


@pytest.mark.usefixtures("first")
def test_a_queue_whose_types_the_training_zone_lacks_is_told_which_zone_that_is(own_aws: Aws) -> None:
    more = SECTIONS["batch"] | {"more": MULTI | {"instanceTypes": ["p6-b200.48xlarge"]}}
    found = run(own_aws, SECTIONS | {"batch": more})
    assert str(found.error).splitlines() == [
        (
            f"batch.more.instanceTypes: must be offered in {C}, where the instances would be (network.trainingZone), "
            f"got {{'p6-b200.48xlarge': ['{A}', '{B}', '{D}']}}"
        )
    ]


@pytest.mark.parametrize("preview", [True, False])
def test_a_vpc_that_is_there_trains_in_the_first_zone_that_offers_all(
    preview: bool, aws: Aws, run_sections: RunStack
) -> None:
    vpc_id, (first, second) = make_vpc(aws, "10.9.0.0/16", B, C)
    existing = {"existing": {"vpcId": vpc_id, "privateSubnetIds": [first, second]}}
    batch = {"multi": P5E | {"efa": False}}
    found = run_sections({"network": existing, "batch": batch}, preview=preview)
    assert found.exports["training_subnet_id"] == second
    assert found.exports["private_subnet_ids"] == [second, first]
    note = one_of(found, "aws:s3/bucket:Bucket", "artifacts").inputs["tags"]["distributed-training:part"]
    assert note == f"test/network.existing/{vpc_id}/{C}"
    named = run_sections({"network": existing | {"trainingZone": C}, "batch": {}}, preview=preview)
    assert named.exports["training_subnet_id"] == second


def test_a_vpc_that_was_adopted_before_its_training_zone_was_noted_trains_in_its_first_subnet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = {B: "subnet-12345678", C: "subnet-87654321"}

    def zones_of(_: ExistingNetwork) -> dict[str, str]:
        return ids

    monkeypatch.setattr(ExistingNetwork, "zones", zones_of)
    existing = {"vpc_id": "vpc-12345678", "private_subnet_ids": [*ids.values()]}
    needs = {"batch.a": frozenset({C})}
    zones = chosen(DeployedNetwork(adopted=["vpc-12345678"]), needs=needs, existing=existing)
    assert zones == Zones(places={B: 0, C: 1}, training=B, adopted=ids)
    assert chosen(needs=needs, existing=existing).training == C
    noted = DeployedNetwork(adopted=["vpc-12345678"], training_zone=C)
    assert chosen(noted, existing=existing).training == C


def test_a_vpc_of_release_0_1_0_is_found_by_name_and_default_tags_and_trains_in_its_first_zone(
    first: Run, own_aws: Aws
) -> None:
    ec2, vpc_id = own_aws.client("ec2"), first.exports["vpc_id"]
    account = Account(id="123456789012", partition="aws", region=REGION, tags=DEFAULT_TAGS)
    cidr = ipaddress.IPv4Network("10.0.0.0/16")
    found: list[DeployedNetwork] = []

    def program() -> None:
        found.append(DeployedNetwork.ask(Deployed(stack="other"), account=account, cidr=cidr))

    def ask() -> DeployedNetwork:
        config = {"aws:region": REGION}
        assert engine.run(program, Provider(own_aws), preview=True, config=config).error is None
        return found.pop()

    # it carries the tag of another stack
    assert ask() == DeployedNetwork()
    tags = [{"Key": PART_TAG, "Value": "test/network"}, {"Key": TRAINING_ZONE_TAG, "Value": C}]
    ec2.delete_tags(Resources=[vpc_id], Tags=tags)
    try:
        assert ask() == DeployedNetwork(vpcs={vpc_id: "10.0.0.0/16"}, places={C: 0, B: 1, D: 2}, training_zone=C)
        ec2.create_tags(Resources=[vpc_id], Tags=[{"Key": "Environment", "Value": "prod"}])
        assert ask() == DeployedNetwork()
    finally:
        ec2.create_tags(Resources=[vpc_id], Tags=[*tags, {"Key": "Environment", "Value": "test"}])
