"""The cluster's life on Pulumi's real engine: a protected stack is edited while its nodes run."""

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from local.aws import Aws
from local.kept import FOLDER, Kept
from tests.cluster.support import ACCESS_ENTRY, NODE_GROUP, TEMPLATE
from tests.engine_support import RealEngine

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="there is no Pulumi CLI on the PATH"),
]
STACK = "life"
UP = ("up", "-s", STACK, "--yes", "--skip-preview")
EVE, ADA = "arn:aws:iam::123456789012:role/eve", "arn:aws:iam::123456789012:role/ada"


class InUse:
    """A deployed stack with nodes."""

    def __init__(self, real: RealEngine) -> None:
        self.real = real
        self.tags = {"Environment": "life"}
        self.group: dict[str, Any] = {"instanceTypes": ["g6.12xlarge"], "maxSize": 8}
        self.admins = [EVE, ADA]
        self.zones = 2
        self.write()
        real.pulumi(*UP)

    @property
    def aws(self) -> Aws:
        """Its AWS."""
        return Kept(self.real.project / FOLDER).there()

    def write(self) -> None:
        """Write the stack file."""
        sections = {
            "network": {"availabilityZones": self.zones},
            "eks": {
                "publicAccessCidrs": ["52.94.76.0/24"],
                "adminPrincipalArns": self.admins,
                "gpuNodeGroups": {"gpu": self.group},
            },
            "protect": True,
        }
        config = {f"distributed-training:{key}": value for key, value in sections.items()}
        content = {"config": {"aws:region": "us-west-2", "aws:defaultTags": {"tags": self.tags}, **config}}
        (self.real.project / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump(content))

    def state(self, type_: str) -> dict[str, dict[str, Any]]:
        """Logical name -> resource in the state, of the resources of a type."""
        return {one["urn"].rpartition("::")[2]: one for one in self.real.resources(STACK) if one["type"] == type_}

    def names(self) -> dict[str, str]:
        """What names the GPU group in EKS."""
        cluster, _, group = self.state(NODE_GROUP)["training-gpu"]["id"].partition(":")
        return {"clusterName": cluster, "nodegroupName": group}

    def sizes(self) -> dict[str, int]:
        """The sizes of the GPU group as EKS has them."""
        return self.aws.client("eks").describe_nodegroup(**self.names())["nodegroup"]["scalingConfig"]

    def resize(self, size: int) -> None:
        """Do as the autoscaler does."""
        self.aws.client("eks").update_nodegroup_config(
            **self.names(), scalingConfig=self.sizes() | {"desiredSize": size}
        )


@pytest.fixture(scope="module")
def in_use(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InUse]:
    real = RealEngine(tmp_path_factory.mktemp("engine") / "project")
    yield InUse(real)
    real.stop()


def test_a_cluster_in_use_is_edited_and_no_node_of_it_ends(in_use: InUse) -> None:
    groups, templates = (
        {one: found["id"] for one, found in in_use.state(kind).items()} for kind in (NODE_GROUP, TEMPLATE)
    )
    in_use.resize(3)
    in_use.real.pulumi(*UP, "--expect-no-changes")
    in_use.group |= {"minSize": 1, "maxSize": 10}
    in_use.tags |= {"Team": "vision"}
    in_use.admins, in_use.zones = [EVE], 3
    in_use.write()
    in_use.real.pulumi(*UP)
    assert in_use.sizes() == {"minSize": 1, "maxSize": 10, "desiredSize": 3}
    assert {one: found["id"] for one, found in in_use.state(NODE_GROUP).items()} == groups
    now = in_use.state(TEMPLATE)
    assert {one: found["id"] for one, found in now.items()} == templates
    assert {found["outputs"]["latestVersion"] for found in now.values()} == {1}
    assert [one["inputs"]["principalArn"] for one in in_use.state(ACCESS_ENTRY).values()] == [EVE]
    in_use.resize(5)
    in_use.real.pulumi(*UP, "--expect-no-changes")
    assert in_use.sizes()["desiredSize"] == 5


def test_a_group_is_made_anew_once_it_has_no_node_and_the_new_one_comes_first(in_use: InUse) -> None:
    in_use.resize(2)
    in_use.group |= {"instanceTypes": ["g5.12xlarge"], "minSize": 0}
    in_use.write()
    refused = in_use.real.pulumi("preview", "-s", STACK, status=1)
    assert "eks.gpuNodeGroups.gpu.instanceTypes: cannot change while 2 nodes of it run: let their jobs end" in refused
    in_use.resize(0)
    before = in_use.names()["nodegroupName"]
    said = in_use.real.pulumi(*UP)
    assert said.index("training-gpu created replacement") < said.index("training-gpu deleting original")
    assert in_use.sizes() == {"minSize": 0, "maxSize": 10, "desiredSize": 0}
    after = in_use.names()["nodegroupName"]
    exported = json.loads(in_use.real.pulumi("stack", "output", "-s", STACK, "eks_node_group_arns", "--json"))
    assert before != after == exported["gpu"].split("/")[2]
    assert sorted(
        in_use.aws.client("eks").list_nodegroups(clusterName=in_use.names()["clusterName"])["nodegroups"]
    ) == [
        after,
        in_use.state(NODE_GROUP)["training-system"]["id"].partition(":")[2],
    ]
