"""The nodes of the EKS cluster: what they are, how they scale, what they wait for."""

from local.run import Run
from tests.cluster.support import ADDON, CLUSTER, NODE_GROUP, RELEASE, TAG, TEMPLATE, needs, types
from tests.support import all_of, one_of


def test_nodes_join_when_network_and_identity_are_there_and_dns_follows_them(deployed: Run) -> None:
    first = {one_of(deployed, CLUSTER, "training").urn, one_of(deployed, ADDON, "training-eks-pod-identity-agent").urn}
    for group in all_of(deployed, NODE_GROUP).values():
        assert first <= group.dependencies, group.urn
    system = one_of(deployed, NODE_GROUP, "training-system")
    for addon in ("coredns", "metrics-server", "aws-ebs-csi-driver", "eks-node-monitoring-agent"):
        assert system.urn in one_of(deployed, ADDON, f"training-{addon}").dependencies


def test_system_nodes_are_on_demand_and_untainted(deployed: Run) -> None:
    system = one_of(deployed, NODE_GROUP, "training-system").inputs
    assert (system["amiType"], system["capacityType"]) == ("AL2023_x86_64_STANDARD", "ON_DEMAND")
    assert system["scalingConfig"] == {"minSize": 2, "desiredSize": 2, "maxSize": 4}
    assert "taints" not in system


def test_a_gpu_group_rests_at_zero_behind_its_taints(deployed: Run) -> None:
    group = one_of(deployed, NODE_GROUP, "training-gpu")
    assert {
        key: group.inputs[key] for key in group.inputs if key not in {"clusterName", "launchTemplate", "nodeRoleArn"}
    } == {
        "amiType": "AL2023_x86_64_NVIDIA",
        "version": "1.35",
        "capacityType": "SPOT",
        "instanceTypes": ["g6.12xlarge", "g5.12xlarge"],
        "subnetIds": deployed.exports["private_subnet_ids"][:1],
        "scalingConfig": {"minSize": 0, "desiredSize": 0, "maxSize": 4},
        "labels": {
            "node-group": "gpu",
            "workload": "training",
            "k8s.amazonaws.com/accelerator": "nvidia",
            "nvidia.com/gpu.present": "true",
        },
        "taints": [
            {"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"},
            {"key": "node-group", "value": "gpu", "effect": "NO_SCHEDULE"},
        ],
        "updateConfig": {"maxUnavailablePercentage": 33, "updateStrategy": "MINIMAL"},
        "nodeRepairConfig": {"enabled": True},
        "tags": {"distributed-training:part": "test/eks.gpuNodeGroups.gpu"},
    }


def test_a_pod_that_names_no_group_starts_none_of_them(deployed: Run) -> None:
    ordinary = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    for name in ("gpu", "fast", "block", "reserved"):
        taints = one_of(deployed, NODE_GROUP, f"training-{name}").inputs["taints"]
        assert [name] == [one["value"] for one in taints if one["key"] not in {each["key"] for each in ordinary}]


def test_launchers_find_the_gpu_of_a_group_that_has_one_kind(deployed: Run) -> None:
    labels = {name: one_of(deployed, NODE_GROUP, f"training-{name}").inputs["labels"] for name in ("fast", "neuron")}
    assert {name: one.get("skypilot.co/accelerator") for name, one in labels.items()} == {
        "fast": "h100",
        "neuron": None,
    }


def test_the_autoscaler_owns_the_size_of_every_group(deployed: Run) -> None:
    for group in all_of(deployed, NODE_GROUP).values():
        assert "scalingConfig.desiredSize" in group.ignore_changes


def test_the_autoscaler_knows_a_node_before_there_is_one(deployed: Run) -> None:
    prefix = "k8s.io/cluster-autoscaler/node-template/"
    for name, nodes in {
        "gpu": {
            "taint/nvidia.com/gpu": "true:NoSchedule",
            "taint/node-group": "gpu:NoSchedule",
            "resources/nvidia.com/gpu": "4",
        },
        "fast": {
            "taint/nvidia.com/gpu": "true:NoSchedule",
            "taint/node-group": "fast:NoSchedule",
            "resources/nvidia.com/gpu": "8",
            "resources/vpc.amazonaws.com/efa": "32",
        },
        "neuron": {
            "taint/aws.amazon.com/neuron": "true:NoSchedule",
            "taint/node-group": "neuron:NoSchedule",
            "resources/aws.amazon.com/neuron": "16",
        },
    }.items():
        group = one_of(deployed, NODE_GROUP, f"training-{name}")
        (own,) = deployed.created[group.urn].outputs["resources"][0]["autoscalingGroups"]
        tags = [
            one.inputs
            for one in all_of(deployed, TAG).values()
            if one.inputs["autoscalingGroupName"] == own["name"] and not one.inputs["tag"]["propagateAtLaunch"]
        ]
        assert {one["tag"]["key"]: one["tag"]["value"] for one in tags} == {
            f"{prefix}{key}": value
            for key, value in {**nodes, **{f"label/{key}": one for key, one in group.inputs["labels"].items()}}.items()
        }


def test_nodes_with_efa_share_a_zone_a_place_and_a_security_group(deployed: Run) -> None:
    template = one_of(deployed, TEMPLATE, "training-fast").inputs
    group = one_of(deployed, "aws:ec2/securityGroup:SecurityGroup", "training-fast")
    group_id = deployed.created[group.urn].id
    (control_plane,) = all_of(deployed, "aws:eks/cluster:Cluster").values()
    clusters = deployed.created[control_plane.urn].outputs["vpcConfig"]["clusterSecurityGroupId"]
    for interface in template["networkInterfaces"]:
        assert interface["securityGroups"] == [clusters, group_id]
        assert "subnetId" not in interface
    for direction in ("Ingress", "Egress"):
        rule = one_of(
            deployed, f"aws:vpc/securityGroup{direction}Rule:SecurityGroup{direction}Rule", "training-fast"
        ).inputs
        assert rule["securityGroupId"] == rule["referencedSecurityGroupId"] == group_id
        assert rule["ipProtocol"] == "-1"
    placement = one_of(deployed, "aws:ec2/placementGroup:PlacementGroup", "training-fast")
    assert template["placement"] == {"groupName": deployed.created[placement.urn].outputs["name"]}
    assert placement.inputs["strategy"] == "cluster"
    nodes = one_of(deployed, NODE_GROUP, "training-fast").inputs
    assert nodes["subnetIds"] == deployed.exports["private_subnet_ids"][:1]
    assert nodes["labels"]["vpc.amazonaws.com/efa.present"] == "true"


def test_a_capacity_block_names_its_type_in_the_template_and_has_its_own_place(deployed: Run) -> None:
    template = one_of(deployed, TEMPLATE, "training-block").inputs
    assert template["instanceType"] == "p5.48xlarge"
    assert template["instanceMarketOptions"] == {"marketType": "capacity-block"}
    assert template["capacityReservationSpecification"] == {
        "capacityReservationTarget": {"capacityReservationId": "cr-0123456789abcdef0"}
    }
    assert "placement" not in template
    nodes = one_of(deployed, NODE_GROUP, "training-block").inputs
    assert nodes["capacityType"] == "CAPACITY_BLOCK"
    assert "instanceTypes" not in nodes
    assert nodes["subnetIds"] == deployed.exports["private_subnet_ids"][:1]


def test_a_reservation_is_used_in_its_zone(deployed: Run) -> None:
    template = one_of(deployed, TEMPLATE, "training-reserved").inputs
    assert template["capacityReservationSpecification"] == {
        "capacityReservationTarget": {"capacityReservationId": "cr-0123456789abcdef1"}
    }
    assert not {"instanceMarketOptions", "instanceType", "placement", "networkInterfaces"} & set(template)
    nodes = one_of(deployed, NODE_GROUP, "training-reserved").inputs
    assert (nodes["capacityType"], nodes["instanceTypes"]) == ("ON_DEMAND", ["g6.12xlarge"])
    assert nodes["subnetIds"] == deployed.exports["private_subnet_ids"][:1]


def test_a_group_is_in_the_first_zone_that_has_its_types(deployed: Run) -> None:
    (first, second) = deployed.exports["private_subnet_ids"]
    subnets = {name: one.inputs["subnetIds"] for name, one in all_of(deployed, NODE_GROUP).items()}
    assert subnets == {
        "training-system": [first, second],
        **{f"training-{name}": [first] for name in ("gpu", "fast", "block", "reserved")},
        # of the two only the second has trn1.32xlarge
        "training-neuron": [second],
    }


def test_trainium_has_its_own_image_taint_label_and_plugin(deployed: Run) -> None:
    nodes = one_of(deployed, NODE_GROUP, "training-neuron").inputs
    assert nodes["amiType"] == "AL2023_x86_64_NEURON"
    assert nodes["taints"][0] == {"key": "aws.amazon.com/neuron", "value": "true", "effect": "NO_SCHEDULE"}
    assert "nvidia.com/gpu.present" not in nodes["labels"]
    values = one_of(deployed, RELEASE, "training-neuron-device-plugin").inputs["values"]
    assert values["npd"] == {"enabled": False}
    assert values["devicePlugin"]["image"]["repository"].endswith("/public/neuron/neuron-device-plugin")


def test_nodes_wait_for_their_way_out_of_the_network(deployed: Run) -> None:
    for group in all_of(deployed, NODE_GROUP).values():
        assert {"aws:ec2/natGateway:NatGateway", "aws:ec2/route:Route", "aws:ec2/vpcEndpoint:VpcEndpoint"} <= types(
            needs(deployed, group)
        ), group.urn
        # the repository they wait for: the nodes may have it cache images
        assert "aws:s3/bucket:Bucket" not in types(needs(deployed, group))
