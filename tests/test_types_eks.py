"""Amazon EKS in moto: what is made, seen, changed and ended."""

from collections.abc import Iterator
from typing import Any

import pytest

from local.aws import Aws
from local.moto_process import ACCOUNT_ID
from local.run import RefusedError
from tests.support import Life

CLUSTER = "aws:eks/cluster:Cluster"
ROLE = f"arn:aws:iam::{ACCOUNT_ID}:role/nodes"


def subnets(aws: Aws, *zones: str) -> list[str]:
    """Subnets of the default VPC in these zones."""
    filters = [{"Name": "availability-zone", "Values": [f"{aws.region}{zone}" for zone in zones]}]
    return [one["SubnetId"] for one in aws.client("ec2").describe_subnets(Filters=filters)["Subnets"]]


@pytest.fixture
def cluster(aws: Aws) -> Iterator[Life]:
    """A control plane that says which logs it keeps."""
    network = {"subnetIds": subnets(aws, "a", "b"), "endpointPublicAccess": False, "endpointPrivateAccess": True}
    inputs = {"roleArn": ROLE, "version": "1.34", "enabledClusterLogTypes": ["api", "audit"], "vpcConfig": network}
    one = Life(aws, CLUSTER, inputs | {"tags": {"Name": "training"}})
    yield one
    one.delete()


@pytest.fixture
def nodes(aws: Aws, cluster: Life) -> Iterator[Life]:
    """A node group of that cluster."""
    one = Life(
        aws,
        "aws:eks/nodeGroup:NodeGroup",
        {
            "clusterName": cluster.outputs["name"],
            "nodeRoleArn": ROLE,
            "subnetIds": subnets(aws, "a"),
            "version": "1.34",
            "instanceTypes": ["g6.12xlarge"],
            "labels": {"workload": "training", "node-group": "gpu"},
            "launchTemplate": {"id": "lt-0123456789abcdef0", "version": "1"},
            "scalingConfig": {"minSize": 0, "desiredSize": 0, "maxSize": 2},
            "taints": [{"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}],
            "updateConfig": {"maxUnavailable": 1},
        },
    )
    yield one
    one.delete()


def described(aws: Aws, cluster: Life) -> dict[str, Any]:
    return aws.client("eks").describe_cluster(name=cluster.state.id)["cluster"]


def test_a_cluster_takes_another_version_logs_and_address_ranges_in_place(aws: Aws, cluster: Life) -> None:
    ranges = ["9.9.9.0/24"]
    network = cluster.resource.inputs["vpcConfig"] | {"endpointPublicAccess": True, "publicAccessCidrs": ranges}
    cluster.update(version="1.35", enabledClusterLogTypes=["api"], vpcConfig=network, tags={"Kind": "training"})
    there = described(aws, cluster)
    assert there["version"] == "1.35"
    assert there["resourcesVpcConfig"]["publicAccessCidrs"] == ranges
    assert [one["types"] for one in there["logging"]["clusterLogging"] if one["enabled"]] == [["api"]]
    assert there["tags"] == {**aws.default_tags, "Kind": "training"}


def test_what_eks_adds_to_a_clusters_network_stays_when_that_changes(cluster: Life) -> None:
    group = cluster.outputs["vpcConfig"]["clusterSecurityGroupId"]
    cluster.update(tags={"Kind": "training"})
    cluster.update(vpcConfig=cluster.resource.inputs["vpcConfig"] | {"endpointPublicAccess": True})
    assert cluster.outputs["vpcConfig"]["clusterSecurityGroupId"] == group
    assert cluster.outputs["vpcConfig"]["endpointPublicAccess"] is True


def test_an_endpoint_that_somebody_opened_is_seen(aws: Aws, cluster: Life) -> None:
    network = {"subnetIds": subnets(aws, "a", "b"), "endpointPublicAccess": True, "endpointPrivateAccess": True}
    aws.client("eks").update_cluster_config(name=cluster.state.id, resourcesVpcConfig=network)
    assert cluster.seen()["vpcConfig"]["endpointPublicAccess"] is True


def test_a_cluster_ends_with_its_security_group_but_not_while_it_is_protected(aws: Aws) -> None:
    one = Life(
        aws,
        CLUSTER,
        {"roleArn": ROLE, "deletionProtection": True, "vpcConfig": {"subnetIds": subnets(aws, "a", "b")}},
    )
    with pytest.raises(RefusedError, match="deletionProtection: must be false before the cluster is deleted, got true"):
        one.delete()
    one.change(deletionProtection=False)
    one.delete()
    filters = [{"Name": "group-id", "Values": [one.outputs["vpcConfig"]["clusterSecurityGroupId"]]}]
    assert aws.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"] == []


def test_a_control_plane_in_one_zone_is_refused(aws: Aws) -> None:
    with pytest.raises(RefusedError, match="subnetIds: must be in at least two different AZs, got us-west-2a"):
        Life(aws, CLUSTER, {"roleArn": ROLE, "vpcConfig": {"subnetIds": subnets(aws, "a")}})


def test_a_control_plane_never_leaves_its_zones(aws: Aws, cluster: Life) -> None:
    wider = cluster.resource.inputs["vpcConfig"] | {"subnetIds": subnets(aws, "a", "b", "c")}
    says = "must be in the AZs of the creation, us-west-2a, us-west-2b, got us-west-2a, us-west-2b, us-west-2c"
    with pytest.raises(RefusedError, match=says):
        cluster.change(vpcConfig=wider)


def test_an_update_of_a_node_group_leaves_the_nodes_to_the_autoscaler_but_one_of_its_sizes(
    aws: Aws, nodes: Life
) -> None:
    names = {"clusterName": nodes.outputs["clusterName"], "nodegroupName": nodes.outputs["nodeGroupName"]}
    eks = aws.client("eks")
    eks.update_nodegroup_config(**names, scalingConfig={"minSize": 0, "desiredSize": 2, "maxSize": 2})
    nodes.change(updateConfig={"maxUnavailablePercentage": 33}, labels={"workload": "inference"})
    assert eks.describe_nodegroup(**names)["nodegroup"]["scalingConfig"]["desiredSize"] == 2
    nodes.change(scalingConfig={"minSize": 0, "desiredSize": 0, "maxSize": 4})
    assert eks.describe_nodegroup(**names)["nodegroup"]["scalingConfig"]["desiredSize"] == 0


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ((1, 0, 2), "Minimum capacity 1 can't be greater than desired size 0"),
        ((0, 2, 1), "desired capacity 2 can't be greater than max size 1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes: tuple[int, int, int], says: str, nodes: Life) -> None:
    with pytest.raises(RefusedError, match=says):
        nodes.change(scalingConfig=dict(zip(("minSize", "desiredSize", "maxSize"), sizes, strict=True)))


def test_a_node_group_takes_other_sizes_labels_and_versions_in_place(aws: Aws, nodes: Life) -> None:
    nodes.update(
        version="1.35",
        labels={"workload": "inference"},
        launchTemplate={"id": "lt-0123456789abcdef0", "version": "2"},
        scalingConfig={"minSize": 1, "desiredSize": 1, "maxSize": 4},
        taints=[{"key": "aws.amazon.com/neuron", "value": "true", "effect": "NO_SCHEDULE"}],
        tags={"Kind": "training"},
    )
    names = {"clusterName": nodes.outputs["clusterName"], "nodegroupName": nodes.outputs["nodeGroupName"]}
    there = aws.client("eks").describe_nodegroup(**names)["nodegroup"]
    assert (there["version"], there["launchTemplate"]["version"]) == ("1.35", "2")
    assert there["labels"] == {"workload": "inference"}
    assert there["scalingConfig"] == {"minSize": 1, "desiredSize": 1, "maxSize": 4}
    assert [one["key"] for one in there["taints"]] == ["aws.amazon.com/neuron"]
    assert there["tags"] == {**aws.default_tags, "Kind": "training"}


def test_a_label_that_somebody_added_is_seen(aws: Aws, nodes: Life) -> None:
    names = {"clusterName": nodes.outputs["clusterName"], "nodegroupName": nodes.outputs["nodeGroupName"]}
    aws.client("eks").update_nodegroup_config(**names, labels={"addOrUpdateLabels": {"more": "1"}})
    assert nodes.seen()["labels"] == {"workload": "training", "node-group": "gpu", "more": "1"}


def test_a_cluster_with_nodes_is_not_deleted(cluster: Life, nodes: Life) -> None:
    with pytest.raises(RefusedError, match="Cluster has nodegroups attached"):
        cluster.delete()
    assert nodes.read() == nodes.state


def test_an_add_on_keeps_its_arn_when_its_version_changes(aws: Aws, cluster: Life) -> None:
    one = Life(aws, "aws:eks/addon:Addon", {"clusterName": cluster.outputs["name"], "addonName": "coredns"})
    arn = one.outputs["arn"]
    one.change(addonVersion="v2.0.0-eksbuild.1", tags={"Kind": "dns"})
    assert (one.outputs["arn"], one.outputs["addonVersion"]) == (arn, "v2.0.0-eksbuild.1")
    assert one.outputs["tagsAll"] == {**aws.default_tags, "Kind": "dns"}


def test_what_belongs_to_no_cluster_is_refused(aws: Aws) -> None:
    with pytest.raises(RefusedError, match="No cluster found for name: nobody"):
        Life(aws, "aws:eks/addon:Addon", {"clusterName": "nobody", "addonName": "coredns"})
