"""A cluster whose nodes run: what an edit of the stack file does, keeps and is refused."""

import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from components.cluster.control_plane import ControlPlaneSettings
from components.cluster.nodes import GpuNodeGroupSettings
from components.cluster.running import RunningCluster, RunningNodes
from local import engine
from local.aws import Aws
from local.provider import Provider
from local.run import Registration, Run
from tests.cluster.support import ADDON, CLUSTER, NODE_GROUP, TAG, TEMPLATE
from tests.conftest import DEFAULT_TAGS, REGION, run_config, shaped, stack_of
from tests.support import all_of, one_of

GPU: dict[str, Any] = {"instanceTypes": ["g6.12xlarge"], "minSize": 0, "maxSize": 4}
BLOCK: dict[str, Any] = {
    "instanceTypes": ["p5.48xlarge"],
    "efa": True,
    "capacity": "capacityBlock",
    "capacityReservationId": "cr-0123456789abcdef0",
}
IDLE: dict[str, Any] = {"instanceTypes": ["g5.12xlarge"], "maxSize": 2}
BUSY, BUSY_BLOCK = 3, 2
FIRST = "let their jobs end first, or add another group for new jobs, see docs/eks.md"


class InUse:
    """A stack that is deployed, and whose GPU groups have nodes."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.deployed = self.run()
        assert self.deployed.error is None
        for name, size in {"gpu": BUSY, "block": BUSY_BLOCK, "system": 3}.items():
            self.resize(name, size)

    def run(
        self,
        *,
        preview: bool = False,
        network: Mapping[str, Any] | None = None,
        provider: Provider | None = None,
        **eks: Any,
    ) -> Run:
        """The program with the stack file of the deployment, but for these keys."""
        groups = {"gpu": GPU, "block": BLOCK, "idle": IDLE, **eks.pop("gpuNodeGroups", {})}
        section = {
            "publicAccessCidrs": ["52.94.76.0/24"],
            "gpuNodeGroups": {name: group for name, group in groups.items() if group is not None},
            **eks,
        }
        sections: dict[str, Any] = {"eks": section, "network": network or {}}
        config = {f"distributed-training:{key}": value for key, value in sections.items()}
        return shaped(engine.run(stack_of(config), provider or Provider(self.aws), preview=preview))

    def preview(self, **edit: Any) -> Run:
        """A preview of an edit, which is right."""
        run = self.run(preview=True, **edit)
        if run.error is not None:
            raise run.error
        return run

    def refused(self, **edit: Any) -> list[str]:
        """The lines that an edit is refused with."""
        run = self.run(preview=True, **edit)
        assert run.error is not None
        assert run.registrations == {}
        return str(run.error).splitlines()

    def resize(self, name: str, size: int) -> None:
        """Do as the autoscaler does."""
        group = self.deployed.created[one_of(self.deployed, NODE_GROUP, f"training-{name}").urn].outputs
        self.aws.client("eks").update_nodegroup_config(
            clusterName=group["clusterName"],
            nodegroupName=group["nodeGroupName"],
            scalingConfig={**group["scalingConfig"], "desiredSize": size},
        )


@pytest.fixture(scope="module")
def in_use() -> Iterator[InUse]:
    with Aws(REGION, DEFAULT_TAGS) as aws:
        yield InUse(aws)


def group(run: Run, name: str = "gpu") -> Registration:
    return one_of(run, NODE_GROUP, f"training-{name}")


def subnets(run: Run, name: str) -> list[str]:
    return group(run, name).inputs["subnetIds"]


def test_a_cluster_whose_api_does_not_answer_is_said_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as api:
        there = RunningCluster(name="training", endpoint=f"https://127.0.0.1:{api.getsockname()[1]}")
        assert [*ControlPlaneSettings().notices(there)] == []
    (notice,) = ControlPlaneSettings().notices(there)
    assert notice.startswith("eks: the Kubernetes API of training does not answer from this machine, so Helm releases")
    # nobody here knows what a proxy reaches
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert [*ControlPlaneSettings().notices(there)] == []


class LaterProvider(Provider):
    """The provider months later, when AWS has newer defaults for add-ons, and the cluster has what it had."""

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        answer = dict(super().invoke(token, arguments))
        if token == "aws:eks/getAddonVersion:getAddonVersion":
            answer["version"] = "v2.0.0-eksbuild.1"
        return answer


@pytest.mark.parametrize(
    ("edit", "coredns"),
    [
        ({}, "v1.0.0-eksbuild.1"),
        ({"addonVersions": {"1.35": {"coredns": "v1.1.0-eksbuild.1"}}}, "v1.1.0-eksbuild.1"),
    ],
)
def test_an_add_on_keeps_its_version_until_somebody_names_another(
    edit: dict[str, Any], coredns: str, in_use: InUse
) -> None:
    run = in_use.run(preview=True, provider=LaterProvider(in_use.aws), **edit)
    versions = {one.inputs["addonName"]: one.inputs["addonVersion"] for one in all_of(run, ADDON).values()}
    assert versions["coredns"] == coredns
    assert versions["vpc-cni"] == "v1.0.0-eksbuild.1"


def test_an_add_on_has_no_version_to_keep_for_another_kubernetes() -> None:
    # without a GPU group: while nodes of a capacity block run, EKS is not upgraded
    section: dict[str, Any] = {"publicAccessCidrs": ["52.94.76.0/24"], "gpuNodeGroups": {}}
    with Aws(REGION, DEFAULT_TAGS) as aws:
        made = run_config(aws, {"distributed-training:eks": section}, preview=False, provider=Provider(aws))
        assert made.error is None
        for version, coredns in {"1.35": "v1.0.0-eksbuild.1", "1.36": "v2.0.0-eksbuild.1"}.items():
            edited = {"distributed-training:eks": section | {"version": version}}
            run = run_config(aws, edited, preview=True, provider=LaterProvider(aws))
            assert run.error is None
            assert one_of(run, ADDON, "training-coredns").inputs["addonVersion"] == coredns


def test_a_deployment_that_changes_no_size_leaves_the_nodes_to_the_autoscaler(in_use: InUse) -> None:
    run = in_use.preview()
    assert {one.ignore_changes for one in all_of(run, NODE_GROUP).values()} == {("scalingConfig.desiredSize",)}
    assert not [one for one in run.messages if one.startswith("eks")]


@pytest.mark.parametrize(
    ("sizes", "desired"),
    [
        ({"maxSize": 8}, BUSY),
        ({"maxSize": BUSY}, BUSY),
        ({"minSize": 1}, BUSY),
        # EKS refuses a minimum above the number of nodes that are wanted
        ({"minSize": 4}, 4),
    ],
)
def test_an_edit_of_the_sizes_ends_no_node(sizes: dict[str, int], desired: int, in_use: InUse) -> None:
    edited = group(in_use.preview(gpuNodeGroups={"gpu": GPU | sizes}))
    assert edited.inputs["scalingConfig"] == {"minSize": 0, "maxSize": 4, "desiredSize": desired} | sizes
    assert edited.ignore_changes == ()


def test_the_system_nodes_keep_their_number_too(in_use: InUse) -> None:
    edited = group(in_use.preview(systemNodes={"minSize": 1, "maxSize": 5}), "system")
    assert edited.inputs["scalingConfig"] == {"minSize": 1, "maxSize": 5, "desiredSize": 3}
    assert in_use.refused(systemNodes={"minSize": 1, "maxSize": 2}) == [
        "eks.systemNodes.maxSize: must be at least 3, the nodes that run, until jobs have ended, got 2"
    ]


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (
            {"maxSize": 2},
            "eks.gpuNodeGroups.gpu.maxSize: must be at least 3, the nodes that run, until jobs have ended, got 2",
        ),
        (
            {"instanceTypes": ["g5.12xlarge"]},
            f"eks.gpuNodeGroups.gpu.instanceTypes: cannot change while 3 nodes of it run: {FIRST}, got ['g5.12xlarge']",
        ),
        (
            {"capacity": "spot"},
            f"eks.gpuNodeGroups.gpu.capacity: cannot change while 3 nodes of it run: {FIRST}, got 'spot'",
        ),
        ({"efa": True}, f"eks.gpuNodeGroups.gpu.efa: cannot change while 3 nodes of it run: {FIRST}, got true"),
        (
            {"capacityReservationId": "cr-0123456789abcdef0"},
            (
                f"eks.gpuNodeGroups.gpu.capacityReservationId: cannot change while 3 nodes of it run: {FIRST},"
                " got 'cr-0123456789abcdef0'"
            ),
        ),
        (
            {"zone": "us-west-2b"},
            f"eks.gpuNodeGroups.gpu.zone: cannot change while 3 nodes of it run: {FIRST}, got 'us-west-2b'",
        ),
    ],
)
def test_what_would_end_nodes_that_run_is_refused_with_what_to_do(
    edit: dict[str, Any], line: str, in_use: InUse
) -> None:
    assert line in in_use.refused(gpuNodeGroups={"gpu": GPU | edit})


def test_a_group_whose_nodes_run_stays_in_the_stack_file(in_use: InUse) -> None:
    assert in_use.refused(gpuNodeGroups={"gpu": None}) == [
        f"eks.gpuNodeGroups.gpu: must stay in the stack file while 3 of its nodes run: {FIRST}"
    ]
    assert "training-idle" not in all_of(in_use.preview(gpuNodeGroups={"idle": None}), NODE_GROUP)


def test_a_group_without_nodes_is_made_anew(in_use: InUse) -> None:
    edited = group(in_use.preview(gpuNodeGroups={"idle": IDLE | {"instanceTypes": ["g6.12xlarge"]}}), "idle")
    assert edited.inputs["scalingConfig"]["desiredSize"] == 0
    # the engine would start it with the number of nodes that the last edit of its sizes found
    assert edited.ignore_changes == ()


def test_what_exchanges_nodes_that_run_is_said_in_words(in_use: InUse) -> None:
    run = in_use.preview(gpuNodeGroups={"gpu": GPU | {"diskGib": 300}, "idle": IDLE | {"diskGib": 300}})
    assert [one for one in run.messages if one.startswith("eks")] == [
        (
            "eks.gpuNodeGroups.gpu.diskGib: 200 becomes 300, so the 3 nodes of eks.gpuNodeGroups.gpu that run are"
            f" exchanged, a third at once, and what runs on them is stopped: {FIRST}"
        )
    ]


def test_a_new_version_is_one_of_them_and_a_capacity_block_must_be_empty_for_it(in_use: InUse) -> None:
    assert in_use.refused(version="1.36") == [
        f"eks.version: cannot change while 2 nodes of eks.gpuNodeGroups.block run: {FIRST}, got '1.36'"
    ]
    in_use.resize("block", 0)
    run = in_use.preview(version="1.36")
    in_use.resize("block", BUSY_BLOCK)
    exchanged = [one for one in run.messages if "exchanged" in one]
    assert [one.partition(",")[0] for one in exchanged] == ["eks.version: 1.35 becomes 1.36"]


def test_another_zone_moves_neither_the_control_plane_nor_a_node(in_use: InUse) -> None:
    wider = in_use.preview(network={"availabilityZones": 3})
    zones = [
        one.inputs["availabilityZone"]
        for one in all_of(wider, "aws:ec2/subnet:Subnet").values()
        if one.name.endswith("private")
    ]
    assert zones == ["us-west-2a", "us-west-2b", "us-west-2c"]
    # in a preview what is to be made has no id: only the first two zones are there
    names = {
        urn.rpartition("::")[2] for urn in one_of(wider, CLUSTER, "training").property_dependencies["privateSubnetIds"]
    }
    assert names == {"network-us-west-2a-private", "network-us-west-2b-private"}
    for name, one in all_of(wider, NODE_GROUP).items():
        there = {urn.rpartition("::")[2] for urn in one.property_dependencies["subnetIds"]}
        assert there == names if name == "training-system" else there == {"network-us-west-2a-private"}


def test_a_zone_of_the_control_plane_stays() -> None:
    wide: dict[str, Any] = {
        "distributed-training:eks": {"gpuNodeGroups": {}},
        "distributed-training:network": {"availabilityZones": 3},
    }
    narrow = wide | {"distributed-training:network": {"availabilityZones": 2}}
    with Aws(REGION, DEFAULT_TAGS) as aws:
        assert engine.run(stack_of(wide), Provider(aws), preview=False).error is None
        assert str(engine.run(stack_of(narrow), Provider(aws), preview=True).error) == (
            "network: must keep us-west-2c, because EKS never moves a control plane, got ['us-west-2a', 'us-west-2b']"
        )


def test_the_cluster_keeps_its_name_whatever_its_key(in_use: InUse) -> None:
    cluster = one_of(in_use.preview(), CLUSTER, "training")
    assert cluster.inputs["name"] == in_use.deployed.exports["eks_cluster_name"]
    assert not cluster.property_dependencies.get("name")


def test_the_providers_own_tags_reach_nodes_that_start_later_without_another_template(in_use: InUse) -> None:
    assert {one.ignore_changes for one in all_of(in_use.deployed, TEMPLATE).values()} == {("tagSpecifications",)}
    given = [one.inputs for one in all_of(in_use.deployed, TAG).values() if one.inputs["tag"]["propagateAtLaunch"]]
    groups = {
        in_use.deployed.created[one.urn].outputs["resources"][0]["autoscalingGroups"][0]["name"]
        for one in all_of(in_use.deployed, NODE_GROUP).values()
    }
    assert {one["autoscalingGroupName"] for one in given} == groups
    for name in groups:
        own = [one["tag"] for one in given if one["autoscalingGroupName"] == name]
        assert {one["key"]: one["value"] for one in own} == DEFAULT_TAGS


def test_a_group_of_release_0_1_0_keeps_its_zones_until_it_is_made_anew() -> None:
    running = RunningNodes(
        path="eks.gpuNodeGroups.gpu",
        size=0,
        min_size=0,
        max_size=8,
        instance_types=("g6.12xlarge",),
        capacity="onDemand",
        efa=False,
        capacity_reservation_id=None,
        zones=frozenset({"us-west-2a", "us-west-2b"}),
        disk_gib=200,
        version="1.35",
    )
    group, network = GpuNodeGroupSettings(), ["us-west-2a", "us-west-2b"]
    assert group.made_anew(running, network) == {}
    assert GpuNodeGroupSettings(zone="us-west-2b").made_anew(running, network) == {"zone": "us-west-2b"}
    # a zone that left the network
    assert group.made_anew(replace(running, zones=frozenset({"us-west-2c"})), network) == {"zone": None}
