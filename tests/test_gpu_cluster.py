"""The EKS cluster: what is asked of AWS, in which order, and what is installed on it."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from components.cluster_software import AUTOSCALER_IMAGES, CHARTS
from components.gpu_cluster import STANDARD_SUPPORT_ENDS
from local import stack_files
from local.aws import Aws
from local.engine import Registration, Run
from tests.conftest import ROOT, RunStack
from tests.support import all_of, one_of

CLUSTER, NODE_GROUP, TEMPLATE = (
    "eks:index:Cluster",
    "aws:eks/nodeGroup:NodeGroup",
    "aws:ec2/launchTemplate:LaunchTemplate",
)
RELEASE, ADDON = "kubernetes:helm.sh/v3:Release", "aws:eks/addon:Addon"
TAG = "aws:autoscaling/tag:Tag"
KUEUE = "kubernetes:kueue.x-k8s.io/v1beta2"
GROUPS: dict[str, Any] = {
    "gpu": {"instanceTypes": ["g6.12xlarge", "g5.12xlarge"], "capacity": "spot", "maxSize": 4},
    "fast": {"instanceTypes": ["p5.48xlarge"], "efa": True, "maxSize": 2},
    "block": {
        "instanceTypes": ["p5.48xlarge"],
        "efa": True,
        "capacity": "capacityBlock",
        "capacityReservationId": "cr-0123456789abcdef0",
    },
    "reserved": {"instanceTypes": ["g6.12xlarge"], "capacityReservationId": "cr-0123456789abcdef1"},
    "neuron": {"instanceTypes": ["trn1.32xlarge"], "maxSize": 1},
}
SECTIONS: dict[str, Any] = {
    "network": {"natGateways": "perZone", "interfaceEndpoints": ["ecr.api"]},
    "queues": {"tasks": {}},
    "eks": {
        "adminPrincipalArns": ["arn:aws:iam::111122223333:role/team/admin", "arn:aws:iam::111122223333:user/eve"],
        "gpuNodeGroups": GROUPS,
        "kueue": True,
        "trainer": True,
    },
}
EXAMPLES = sorted((ROOT / "examples" / "eks").glob("*.yaml"))


@pytest.fixture(scope="module")
def deployed(run_sections: RunStack) -> Run:
    return run_sections(SECTIONS, preview=False)


@pytest.fixture(scope="module")
def plain(run_sections: RunStack) -> Run:
    return run_sections({"eks": {"publicAccessCidrs": ["52.94.76.0/24"]}})


def outputs(run: Run, one: Registration) -> dict[str, Any]:
    return {**one.inputs, **run.created[one.urn].outputs}


def needs(run: Run, one: Registration) -> set[str]:
    """URNs of all that must exist before a resource, whether it names them or what they need."""
    found: set[str] = set()
    todo = [one.urn]
    while todo:
        next_one = run.registrations[todo.pop()]
        # what the EKS plugin makes is there when the component is
        within = {next_one.parent} if f"${CLUSTER}$" in next_one.urn else set[str]()
        fresh = ({*next_one.dependencies, *within} & set(run.registrations)) - found
        found |= fresh
        todo += fresh
    return found


def types(urns: set[str]) -> set[str]:
    return {urn.split("::")[2].rpartition("$")[2] for urn in urns}


def test_the_control_plane_is_private_encrypted_logged_and_in_standard_support(deployed: Run) -> None:
    cluster = one_of(deployed, CLUSTER, "training")
    key = all_of(deployed, "aws:kms/key:Key")["training"]
    assert {
        name: value
        for name, value in cluster.inputs.items()
        if name not in {"accessEntries", "kubeProxyAddonOptions", "name", "vpcCniOptions", "vpcId"}
    } == {
        "version": "1.35",
        "privateSubnetIds": deployed.exports["private_subnet_ids"],
        "endpointPrivateAccess": True,
        "endpointPublicAccess": False,
        "authenticationMode": "API",
        "enabledClusterLogTypes": ["api", "audit", "authenticator", "controllerManager", "scheduler"],
        "encryptionConfigKeyArn": deployed.created[key.urn].outputs["arn"],
        "upgradePolicy": {"supportType": "STANDARD"},
        "deletionProtection": False,
        "bootstrapSelfManagedAddons": False,
        "skipDefaultNodeGroup": True,
        "skipDefaultSecurityGroups": True,
        "createInstanceRole": False,
    }
    assert key.inputs["enableKeyRotation"] is True


def test_the_api_is_public_only_to_the_ranges_that_are_named(plain: Run) -> None:
    inputs = one_of(plain, CLUSTER, "training").inputs
    assert (inputs["endpointPublicAccess"], inputs["publicAccessCidrs"]) == (True, ["52.94.76.0/24"])
    assert inputs["endpointPrivateAccess"] is True


def test_the_api_answers_the_whole_vpc(deployed: Run) -> None:
    rule = one_of(deployed, "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "training").inputs
    (control_plane,) = all_of(deployed, "aws:eks/cluster:Cluster").values()
    group = deployed.created[control_plane.urn].outputs["vpcConfig"]["clusterSecurityGroupId"]
    assert (rule["securityGroupId"], rule["cidrIpv4"]) == (group, "10.0.0.0/16")
    assert (rule["ipProtocol"], rule["fromPort"], rule["toPort"]) == ("tcp", 443, 443)


def test_named_principals_administer_the_cluster(deployed: Run) -> None:
    entries = one_of(deployed, CLUSTER, "training").inputs["accessEntries"]
    admin = {
        "accessScope": {"type": "cluster"},
        "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
    }
    assert entries == {
        f"111122223333-{name}": {
            "principalArn": f"arn:aws:iam::111122223333:{name}",
            "accessPolicies": {"admin": admin},
        }
        for name in ("role/team/admin", "user/eve")
    }


def test_control_plane_logs_go_to_a_group_that_forgets(deployed: Run) -> None:
    log_group = one_of(deployed, "aws:cloudwatch/logGroup:LogGroup", "training")
    assert log_group.inputs["name"] == f"/aws/eks/{deployed.exports['eks_cluster_name']}/cluster"
    assert log_group.inputs["retentionInDays"] == 90
    # EKS would make it first otherwise
    assert log_group.urn in one_of(deployed, CLUSTER, "training").dependencies


def test_two_stacks_in_an_account_have_clusters_of_different_names(run_sections: RunStack, deployed: Run) -> None:
    other = run_sections({"eks": {}}, preview=False)
    assert re.fullmatch(r"training-[0-9a-f]{8}", other.exports["eks_cluster_name"])
    assert other.exports["eks_cluster_name"] != deployed.exports["eks_cluster_name"]


def test_every_add_on_is_there_once_at_the_version_that_aws_names(deployed: Run) -> None:
    addons = [outputs(deployed, one) for one in deployed.registrations.values() if one.type == ADDON]
    assert sorted((one["addonName"], one["addonVersion"]) for one in addons) == [
        ("aws-ebs-csi-driver", "v1.0.0-eksbuild.1"),
        ("coredns", "v1.0.0-eksbuild.1"),
        ("eks-node-monitoring-agent", "v1.0.0-eksbuild.1"),
        ("eks-pod-identity-agent", "v1.0.0-eksbuild.1"),
        ("kube-proxy", "v1.35.0-eksbuild.1"),
        ("metrics-server", "v1.0.0-eksbuild.1"),
        ("vpc-cni", "v1.0.0-eksbuild.1"),
    ]


def test_the_volume_driver_has_a_role_of_its_own(deployed: Run) -> None:
    (association,) = one_of(deployed, ADDON, "training-aws-ebs-csi-driver").inputs["podIdentityAssociations"]
    role = one_of(deployed, "aws:iam/role:Role", "training-volumes")
    assert association == {
        "serviceAccount": "ebs-csi-controller-sa",
        "roleArn": deployed.created[role.urn].outputs["arn"],
    }


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


def test_a_gpu_group_rests_at_zero_behind_a_taint(deployed: Run) -> None:
    group = one_of(deployed, NODE_GROUP, "training-gpu")
    assert {
        key: group.inputs[key] for key in group.inputs if key not in {"clusterName", "launchTemplate", "nodeRoleArn"}
    } == {
        "amiType": "AL2023_x86_64_NVIDIA",
        "version": "1.35",
        "capacityType": "SPOT",
        "instanceTypes": ["g6.12xlarge", "g5.12xlarge"],
        "subnetIds": deployed.exports["private_subnet_ids"],
        "scalingConfig": {"minSize": 0, "desiredSize": 0, "maxSize": 4},
        "labels": {
            "node-group": "gpu",
            "workload": "training",
            "k8s.amazonaws.com/accelerator": "nvidia",
            "nvidia.com/gpu.present": "true",
        },
        "taints": [{"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}],
        "updateConfig": {"maxUnavailable": 1, "updateStrategy": "MINIMAL"},
        "nodeRepairConfig": {"enabled": True},
    }


def test_the_autoscaler_owns_the_size_of_every_group(deployed: Run) -> None:
    for group in all_of(deployed, NODE_GROUP).values():
        assert group.ignore_changes == ("scalingConfig.desiredSize",)


def test_the_autoscaler_knows_a_node_before_there_is_one(deployed: Run) -> None:
    prefix = "k8s.io/cluster-autoscaler/node-template/"
    for name, nodes in {
        "gpu": {"taint/nvidia.com/gpu": "true:NoSchedule", "resources/nvidia.com/gpu": "4"},
        "fast": {
            "taint/nvidia.com/gpu": "true:NoSchedule",
            "resources/nvidia.com/gpu": "8",
            "resources/vpc.amazonaws.com/efa": "32",
        },
        "neuron": {"taint/aws.amazon.com/neuron": "true:NoSchedule", "resources/aws.amazon.com/neuron": "16"},
    }.items():
        group = one_of(deployed, NODE_GROUP, f"training-{name}")
        (own,) = deployed.created[group.urn].outputs["resources"][0]["autoscalingGroups"]
        tags = [
            one.inputs for one in all_of(deployed, TAG).values() if one.inputs["autoscalingGroupName"] == own["name"]
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


def test_trainium_has_its_own_image_taint_label_and_plugin(deployed: Run) -> None:
    nodes = one_of(deployed, NODE_GROUP, "training-neuron").inputs
    assert nodes["amiType"] == "AL2023_x86_64_NEURON"
    assert nodes["taints"] == [{"key": "aws.amazon.com/neuron", "value": "true", "effect": "NO_SCHEDULE"}]
    assert "nvidia.com/gpu.present" not in nodes["labels"]
    assert one_of(deployed, RELEASE, "training-neuron-device-plugin").inputs["values"] == {"npd": {"enabled": False}}


def test_each_release_is_of_the_pinned_chart(deployed: Run) -> None:
    releases = {name.removeprefix("training-"): one.inputs for name, one in all_of(deployed, RELEASE).items()}
    assert set(releases) == set(CHARTS)
    for name, inputs in releases.items():
        chart = CHARTS[name]
        assert (inputs["name"], inputs["chart"], inputs["version"]) == (name, chart.chart, chart.version)
        assert inputs.get("repositoryOpts", {}).get("repo") == chart.repository
        # the two ways of naming a chart exclude each other
        assert chart.chart.startswith("oci://") is (chart.repository is None)


def test_only_what_a_stack_needs_is_installed(plain: Run, run_sections: RunStack) -> None:
    assert set(all_of(plain, RELEASE)) == {"training-cluster-autoscaler", "training-device-plugin"}
    assert not all_of(plain, f"{KUEUE}:ClusterQueue")
    without_gpus: dict[str, Any] = {"gpuNodeGroups": {}}
    for eks in (without_gpus, {"devicePlugin": False}):
        assert set(all_of(run_sections({"eks": eks}), RELEASE)) == {"training-cluster-autoscaler"}


def test_device_plugins_run_behind_the_taints(deployed: Run) -> None:
    nvidia = one_of(deployed, RELEASE, "training-device-plugin").inputs["values"]
    assert nvidia == {"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]}
    efa = one_of(deployed, RELEASE, "training-efa-device-plugin").inputs["values"]
    assert efa["nodeSelector"] == {"vpc.amazonaws.com/efa.present": "true"}
    assert nvidia["tolerations"][0] in efa["tolerations"]


def test_the_autoscaler_is_of_the_clusters_version_and_scales_its_groups_and_no_other(deployed: Run) -> None:
    cluster = deployed.exports["eks_cluster_name"]
    values = one_of(deployed, RELEASE, "training-cluster-autoscaler").inputs["values"]
    assert values["autoDiscovery"] == {"clusterName": cluster}
    assert values["awsRegion"] == "us-west-2"
    assert values["image"]["tag"].startswith("v1.35.")
    policy = json.loads(one_of(deployed, "aws:iam/rolePolicy:RolePolicy", "training-autoscaler").inputs["policy"])
    scale, describe_nodes, describe = policy["Statement"]
    assert scale["Action"] == ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
    assert scale["Condition"] == {"StringEquals": {f"aws:ResourceTag/k8s.io/cluster-autoscaler/{cluster}": "owned"}}
    assert describe_nodes["Resource"] == [f"arn:aws:eks:us-west-2:123456789012:nodegroup/{cluster}/*/*"]
    assert all(re.match(r"\w+:(Describe|Get)", action) for action in describe["Action"])
    assert identity_of(deployed, "training-autoscaler") == (
        "kube-system",
        values["rbac"]["serviceAccount"]["name"],
    )


def test_a_training_job_may_use_artifacts_and_queues(deployed: Run) -> None:
    policy = json.loads(one_of(deployed, "aws:iam/rolePolicy:RolePolicy", "training-trainer").inputs["policy"])
    allowed = {action: one["Resource"] for one in policy["Statement"] for action in one["Action"]}
    assert allowed["s3:PutObject"] == [f"arn:aws:s3:::{deployed.exports['artifacts_bucket']}/*"]
    assert allowed["sqs:SendMessage"] == [deployed.exports["queue_arns"]["tasks"]]
    assert "s3:DeleteObject" not in allowed
    account = one_of(deployed, "kubernetes:core/v1:ServiceAccount", "training-trainer").inputs["metadata"]
    assert (
        identity_of(deployed, "training-trainer") == (account["namespace"], account["name"]) == ("training", "trainer")
    )


def identity_of(run: Run, name: str) -> tuple[str, str]:
    """The service account that a role is for, by its association and by its trust."""
    role = one_of(run, "aws:iam/role:Role", name)
    association = one_of(run, "aws:eks/podIdentityAssociation:PodIdentityAssociation", name).inputs
    assert association["roleArn"] == run.created[role.urn].outputs["arn"]
    (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert trust["Action"] == ["sts:AssumeRole", "sts:TagSession"]
    tags = trust["Condition"]["StringEquals"]
    found = tags["aws:RequestTag/kubernetes-namespace"], tags["aws:RequestTag/kubernetes-service-account"]
    assert found == (association["namespace"], association["serviceAccount"])
    return found


def test_kueue_has_a_queue_for_each_group_with_all_that_its_nodes_offer(deployed: Run) -> None:
    flavors, queues, locals_ = (
        all_of(deployed, f"{KUEUE}:{kind}") for kind in ("ResourceFlavor", "ClusterQueue", "LocalQueue")
    )
    assert {one.inputs["metadata"]["name"] for one in queues.values()} == set(GROUPS)
    assert {one.inputs["metadata"]["name"] for one in flavors.values()} == set(GROUPS)
    for one in locals_.values():
        assert one.inputs["metadata"]["namespace"] == "training"
        assert one.inputs["spec"]["clusterQueue"] == one.inputs["metadata"]["name"]
    assert {one.inputs["metadata"]["name"] for one in locals_.values()} == set(GROUPS)
    spec = queues["training-fast-queue"].inputs["spec"]
    (resources,) = spec["resourceGroups"]
    assert set(resources["coveredResources"]) == {"cpu", "memory", "nvidia.com/gpu", "vpc.amazonaws.com/efa"}
    (flavor,) = resources["flavors"]
    assert {one["name"]: one["nominalQuota"] for one in flavor["resources"]} == {
        "cpu": "384",
        "memory": "4096Gi",
        "nvidia.com/gpu": "16",
        "vpc.amazonaws.com/efa": "64",
    }
    assert flavors["training-fast-flavor"].inputs["spec"]["nodeLabels"] == {"node-group": "fast"}


def test_the_control_plane_waits_for_its_subnets_and_no_more_of_the_network(deployed: Run) -> None:
    assert types(needs(deployed, one_of(deployed, CLUSTER, "training"))) == {
        "aws:ec2/vpc:Vpc",
        "aws:ec2/subnet:Subnet",
        "aws:kms/key:Key",
        "aws:cloudwatch/logGroup:LogGroup",
    }


def test_nodes_wait_for_their_way_out_of_the_network(deployed: Run) -> None:
    for group in all_of(deployed, NODE_GROUP).values():
        assert {"aws:ec2/natGateway:NatGateway", "aws:ec2/route:Route", "aws:ec2/vpcEndpoint:VpcEndpoint"} <= types(
            needs(deployed, group)
        ), group.urn
        assert not {"aws:s3/bucket:Bucket", "aws:ecr/repository:Repository"} & types(needs(deployed, group))


def test_no_release_outlives_the_nodes_that_it_runs_on(deployed: Run) -> None:
    groups = {one.urn for one in all_of(deployed, NODE_GROUP).values()}
    for release in all_of(deployed, RELEASE).values():
        assert groups <= needs(deployed, release), release.urn
    for addon in ("coredns", "metrics-server"):
        assert one_of(deployed, NODE_GROUP, "training-system").urn in needs(
            deployed, one_of(deployed, ADDON, f"training-{addon}")
        )


def test_jobs_go_before_what_ends_them(deployed: Run) -> None:
    namespace = one_of(deployed, "kubernetes:core/v1:Namespace", "training")
    kueue, trainer = (one_of(deployed, RELEASE, f"training-{name}") for name in ("kueue", "trainer"))
    queues = all_of(deployed, f"{KUEUE}:ClusterQueue").values()
    # what needs another is deleted before it
    assert {kueue.urn, trainer.urn, *(one.urn for one in queues)} <= needs(deployed, namespace)
    for queue in queues:
        assert kueue.urn in needs(deployed, queue)
    for kind in (f"{KUEUE}:LocalQueue", "kubernetes:core/v1:ServiceAccount"):
        for one in all_of(deployed, kind).values():
            assert namespace.urn in one.dependencies


def test_nothing_of_the_cluster_is_left_that_holds_the_network(deployed: Run) -> None:
    (control_plane,) = all_of(deployed, "aws:eks/cluster:Cluster").values()
    subnets = {one.urn for one in all_of(deployed, "aws:ec2/subnet:Subnet").values() if one.name.endswith("private")}
    for group in all_of(deployed, NODE_GROUP).values():
        # nodes go before the control plane, their security group and their subnets
        assert {control_plane.urn, *(subnets & set(group.dependencies))} <= needs(deployed, group)
        assert subnets & set(group.dependencies), group.urn
    fast = needs(deployed, one_of(deployed, NODE_GROUP, "training-fast"))
    assert one_of(deployed, "aws:ec2/securityGroup:SecurityGroup", "training-fast").urn in fast
    assert subnets <= needs(deployed, one_of(deployed, CLUSTER, "training"))
    # no load balancer, whose network interfaces Pulumi would not know of
    assert {one.type for one in deployed.registrations.values() if one.type.startswith("kubernetes:core/")} == {
        "kubernetes:core/v1:Namespace",
        "kubernetes:core/v1:ServiceAccount",
    }


def test_protect_guards_the_cluster_and_the_key_of_its_secrets(run_sections: RunStack) -> None:
    run = run_sections({"eks": {"publicAccessCidrs": ["52.94.76.0/24"]}, "protect": True})
    cluster = one_of(run, CLUSTER, "training")
    assert cluster.protect
    assert cluster.inputs["deletionProtection"] is True
    assert one_of(run, "aws:kms/key:Key", "training").protect
    assert not one_of(run, NODE_GROUP, "training-gpu").protect


def notices(run: Run) -> list[str]:
    return [message for message in run.messages if message.startswith("eks.")]


def test_a_preview_says_what_a_private_cluster_asks_of_the_deployer(run_sections: RunStack, plain: Run) -> None:
    (notice,) = notices(run_sections({"eks": {}}))
    assert notice.startswith("eks.publicAccessCidrs: empty, so the Kubernetes API answers inside the VPC only; ")
    assert notice.endswith("must be deployed from there, see docs/eks.md")
    assert (ROOT / "docs" / "eks.md").is_file()
    assert notices(plain) == []


@pytest.mark.parametrize(
    ("version", "notice"),
    [
        ("1.34", "leaves standard support on 2026-12-02, when EKS upgrades the cluster by itself; the default is 1.35"),
        ("1.36", "is newer than 1.35, for which what is installed was chosen"),
    ],
)
def test_a_preview_warns_of_versions_beside_the_default(version: str, notice: str, run_sections: RunStack) -> None:
    run = run_sections({"eks": {"version": version, "publicAccessCidrs": ["52.94.76.0/24"]}})
    assert notices(run) == [f"eks.version: {version} {notice}"]
    values = one_of(run, RELEASE, "training-cluster-autoscaler").inputs["values"]
    assert values["image"]["tag"].startswith(f"v{version}.")


def test_every_supported_version_has_an_autoscaler() -> None:
    assert set(AUTOSCALER_IMAGES) == set(STANDARD_SUPPORT_ENDS)


@pytest.mark.parametrize(
    ("eks", "line"),
    [
        (
            {"systemNodes": {"minSize": 0}},
            "eks.systemNodes.minSize: must be greater than or equal to 1, got 0",
        ),
        (
            {"systemNodes": {"instanceTypes": ["g6.12xlarge"]}},
            "eks.systemNodes.instanceTypes: must be types without accelerator, got 'g6.12xlarge'",
        ),
        (
            {"systemNodes": {"instanceTypes": ["m7i.large", "m7g.large"]}},
            (
                "eks.systemNodes.instanceTypes: must share one kind of AMI, got"
                " {'m7i.large': 'AL2023_x86_64_STANDARD', 'm7g.large': 'AL2023_ARM_64_STANDARD'}"
            ),
        ),
        (
            {"systemNodes": {"minSize": 5}},
            "eks.systemNodes.minSize: must be at most maxSize (4), got 5",
        ),
        (
            {"gpuNodeGroups": {"gpu": {"minSize": 9}}},
            "eks.gpuNodeGroups.gpu.minSize: must be at most maxSize (8), got 9",
        ),
        (
            {"gpuNodeGroups": {"gpu": {"instanceTypes": ["g6.12xlarge", "g6.48xlarge"]}}},
            (
                "eks.gpuNodeGroups.gpu.instanceTypes: must have the same number of accelerators, from which the group"
                " scales, got {'g6.12xlarge': 4, 'g6.48xlarge': 8}"
            ),
        ),
        (
            {"gpuNodeGroups": {"gpu": {"instanceTypes": ["g6.xlarge"], "efa": True}}},
            "eks.gpuNodeGroups.gpu.efa: must be false, because g6.xlarge has no EFA, got true",
        ),
        (
            {"gpuNodeGroups": {"gpu": {"capacity": "spot", "capacityReservationId": "cr-0123456789abcdef0"}}},
            "eks.gpuNodeGroups.gpu.capacity: must be onDemand or capacityBlock with capacityReservationId, got 'spot'",
        ),
        (
            {"publicAccessCidrs": ["10.0.0.0/8"]},
            "eks.publicAccessCidrs: must be public ranges: private ones reach the private endpoint, got ['10.0.0.0/8']",
        ),
        (
            {"publicAccessCidrs": ["203.0.113.256/24"]},
            "eks.publicAccessCidrs.0: octet 256 (> 255) not permitted in '203.0.113.256', got '203.0.113.256/24'",
        ),
        (
            {"adminPrincipalArns": ["arn:aws:sts::111122223333:assumed-role/admin/eve"]},
            (
                r"eks.adminPrincipalArns.0: must match pattern '^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/\S+$',"
                " got 'arn:aws:sts::111122223333:assumed-role/admin/eve'"
            ),
        ),
        (
            {"adminPrincipalArns": ["arn:aws:iam::111122223333:role/a"] * 2},
            (
                "eks.adminPrincipalArns: must name each principal once, got"
                " ['arn:aws:iam::111122223333:role/a', 'arn:aws:iam::111122223333:role/a']"
            ),
        ),
        (
            {"gpuNodeGroups": {f"g{'x' * 32}": {}}},
            f"eks.gpuNodeGroups.g{'x' * 32}: must have at most 32 characters, got 'g{'x' * 32}'",
        ),
    ],
)
def test_what_can_never_run_is_one_line(
    eks: dict[str, Any], line: str, mistakes_in: Callable[[Mapping[str, Any]], list[str]]
) -> None:
    assert mistakes_in({"eks": eks}) == [line]


def test_an_existing_network_must_have_two_zones(
    aws: Aws, run_sections: RunStack, mistakes_in: Callable[[Mapping[str, Any]], list[str]]
) -> None:
    ec2 = aws.client("ec2")
    vpc_id = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    first, second, third = (
        ec2.create_subnet(VpcId=vpc_id, CidrBlock=f"10.9.{index}.0/24", AvailabilityZone=f"us-west-2{zone}")["Subnet"][
            "SubnetId"
        ]
        for index, zone in enumerate("aab")
    )
    assert mistakes_in(
        {"eks": {}, "network": {"existing": {"vpcId": vpc_id, "privateSubnetIds": [first, second]}}}
    ) == [f"network.existing.privateSubnetIds: must be one per zone, us-west-2a has {first}, got '{second}'"]
    run = run_sections(
        {"eks": {}, "network": {"existing": {"vpcId": vpc_id, "privateSubnetIds": [first, third]}}}, preview=False
    )
    assert one_of(run, CLUSTER, "training").inputs["privateSubnetIds"] == [first, third]
    rule = one_of(run, "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "training")
    assert rule.inputs["cidrIpv4"] == "10.9.0.0/16"


def manifests(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def lost(given: Any, kept: Any, path: str = "") -> list[str]:
    """Paths of what a model did not keep, because it knows no such key."""
    if isinstance(given, dict):
        mapping = cast("dict[str, Any]", given)
        return [
            line
            for key, one in mapping.items()
            for line in (lost(one, kept[key], f"{path}.{key}") if key in kept else [f"{path}.{key}"])
        ]
    if isinstance(given, list):
        pairs = zip(cast("list[Any]", given), kept, strict=True)
        return [line for one, other in pairs for line in lost(one, other, f"{path}[]")]
    return [] if given == kept else [path]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_what_kubernetes_and_trainer_take(path: Path) -> None:
    import kubernetes_validate
    from kubeflow_trainer_api.models.trainer_v1alpha1_train_job import TrainerV1alpha1TrainJob

    for manifest in manifests(path):
        assert manifest["metadata"]["namespace"] == "training"
        if manifest["kind"] == "TrainJob":
            # Trainer's own models know the types, and drop what they do not know
            model = TrainerV1alpha1TrainJob.from_dict(manifest)
            assert model is not None
            assert lost(manifest, model.to_dict()) == []
        else:
            cast("Any", kubernetes_validate).validate(manifest, "1.35", strict=True)


def test_the_trainer_whose_models_check_the_example_is_the_one_installed() -> None:
    from importlib.metadata import version

    assert version("kubeflow-trainer-api") == CHARTS["trainer"].version


def jobs() -> dict[str, tuple[int, dict[str, Any], dict[str, Any], str]]:
    """File -> nodes, pod's spec, resources of its container, queue."""
    plain = {
        path: manifest
        for path in ("job.yaml", "job-efa.yaml")
        for manifest in manifests(ROOT / "examples" / "eks" / path)
    }
    found = {
        path: (
            manifest["spec"]["completions"],
            manifest["spec"]["template"]["spec"],
            manifest["spec"]["template"]["spec"]["containers"][0]["resources"],
            manifest["metadata"]["labels"]["kueue.x-k8s.io/queue-name"],
        )
        for path, manifest in plain.items()
    }
    (train_job,) = manifests(ROOT / "examples" / "eks" / "trainjob.yaml")
    (patch,) = train_job["spec"]["runtimePatches"]
    (node,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    trainer = train_job["spec"]["trainer"]
    found["trainjob.yaml"] = (
        trainer["numNodes"],
        node["template"]["spec"]["template"]["spec"],
        trainer["resourcesPerNode"],
        train_job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"],
    )
    return found


@pytest.mark.parametrize("path", ["job.yaml", "job-efa.yaml", "trainjob.yaml"])
def test_an_example_is_the_training_identity_on_two_gpu_nodes(path: str) -> None:
    nodes, pod, resources, _ = jobs()[path]
    assert nodes == 2
    assert pod["serviceAccountName"] == "trainer"
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod["tolerations"]
    assert resources["limits"]["nvidia.com/gpu"] > 0
    assert ("vpc.amazonaws.com/efa" in resources["limits"]) is (path == "job-efa.yaml")


@pytest.mark.parametrize("path", ["job.yaml", "trainjob.yaml"])
def test_an_example_fits_the_nodes_of_the_dev_stack(path: str, run_sections: RunStack) -> None:
    eks = json.loads(stack_files.read(ROOT, "dev").config["distributed-training:eks"])
    fits(jobs()[path], eks["gpuNodeGroups"], run_sections)


def test_the_efa_example_fits_the_group_that_it_names(run_sections: RunStack) -> None:
    text = (ROOT / "examples" / "eks" / "job-efa.yaml").read_text()
    named = re.search(r"^#   (efa: .*)$", text, re.MULTILINE)
    assert named is not None
    fits(jobs()["job-efa.yaml"], yaml.safe_load(named[1]), run_sections)


def fits(job: tuple[int, dict[str, Any], dict[str, Any], str], groups: Any, run_sections: RunStack) -> None:
    nodes, _, resources, queue = job
    run = run_sections({"eks": {"gpuNodeGroups": groups, "kueue": True}})
    (group,) = one_of(run, f"{KUEUE}:ClusterQueue", f"training-{queue}-queue").inputs["spec"]["resourceGroups"]
    quotas = {one["name"]: one["nominalQuota"] for one in group["flavors"][0]["resources"]}
    asked = [*resources["requests"].items(), *resources["limits"].items()]
    assert {resource for resource, _ in asked} == set(quotas)
    for resource, amount in asked:
        per_node = number(quotas[resource]) / groups[queue]["maxSize"]
        # the node keeps some processor and memory for itself
        assert nodes <= groups[queue]["maxSize"]
        assert number(amount) <= per_node * (0.9 if resource in {"cpu", "memory"} else 1), resource


def number(quantity: str | int) -> int:
    return int(str(quantity).removesuffix("Gi"))


def test_the_training_script_is_python() -> None:
    config, _ = manifests(ROOT / "examples" / "eks" / "common.yaml")
    compile(config["data"]["train.py"], "train.py", "exec")


def test_the_nodes_of_an_example_find_the_first_by_the_services_name() -> None:
    _, service = manifests(ROOT / "examples" / "eks" / "common.yaml")
    for path in ("job.yaml", "job-efa.yaml"):
        (job,) = manifests(ROOT / "examples" / "eks" / path)
        template = job["spec"]["template"]
        assert template["spec"]["subdomain"] == service["metadata"]["name"]
        assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
        (script,) = template["spec"]["containers"][0]["args"]
        assert f"--master-addr {job['metadata']['name']}-0.{service['metadata']['name']} " in script
        assert (
            f"--nproc-per-node {template['spec']['containers'][0]['resources']['limits']['nvidia.com/gpu']} " in script
        )
