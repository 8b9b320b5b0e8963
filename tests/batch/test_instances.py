"""The instances of a job queue: what they start with, and where."""

import base64
import json
from typing import Any

import pytest

from components.batch.user_data import user_data
from local.aws import Aws
from local.run import Run
from tests.batch.support import BLOCK, JOB_DEFINITION, LAUNCH_TEMPLATE, MULTI, PLACEMENT_GROUP, SINGLE, environments
from tests.conftest import RunStack
from tests.support import all_of, one_of

REFERENCED = "referencedSecurityGroupId"


def compute_resources(run: Run, name: str) -> dict[str, Any]:
    return environments(run)[name].inputs["computeResources"]


def test_a_multi_node_queue_runs_on_demand_close_together_in_one_zone(stable: Run) -> None:
    assert {name for name in environments(stable) if "multi" in name} == {"multi-on-demand"}
    resources = compute_resources(stable, "multi-on-demand")
    assert resources["subnets"] == ["network-us-west-2a-private-Subnet"]
    assert resources["placementGroup"] == "multi-PlacementGroup"
    assert one_of(stable, PLACEMENT_GROUP, "multi").inputs == {"strategy": "cluster"}
    # they stand on the interfaces of the launch template, and here they would lie over those
    assert "securityGroupIds" not in resources


def test_what_instances_run_at_their_start_is_in_the_launch_template(stable: Run) -> None:
    for name in ("single", "multi"):
        text = base64.b64decode(one_of(stable, LAUNCH_TEMPLATE, name).inputs["userData"]).decode("ascii")
        measured = {"BatchJobQueue": f"distributed-training-test-{name}"}
        assert text == user_data(own_interfaces=name == "multi", scratch=True, file_system=None, measured=measured)


def test_instances_without_disks_of_their_own_make_no_scratch(run_stably: RunStack) -> None:
    of_cpus = {"instanceTypes": ["c7i.48xlarge"], "gpus": 0}
    run = run_stably(
        {
            "batch": {
                "cpu": SINGLE | of_cpus,
                "mixed": SINGLE | of_cpus | {"instanceTypes": ["m7i.48xlarge", "m6id.32xlarge"]},
            }
        }
    )
    for name, scratch in (("cpu", False), ("mixed", True)):
        text = base64.b64decode(one_of(run, LAUNCH_TEMPLATE, name).inputs["userData"]).decode("ascii")
        assert text == user_data(own_interfaces=False, scratch=scratch, file_system=None, measured=None)
        container = json.loads(one_of(run, JOB_DEFINITION, name).inputs["containerProperties"])
        assert ("volumes" in container, "mountPoints" in container) == (scratch, scratch)


def test_instances_have_an_encrypted_disk_imdsv2_and_the_tags_of_the_stack(stable: Run, aws: Aws) -> None:
    tags = {**aws.default_tags, "Name": "single", "BatchJobQueue": "single"}
    assert one_of(stable, LAUNCH_TEMPLATE, "single").inputs == {
        "updateDefaultVersion": True,
        "metadataOptions": {"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1},
        "blockDeviceMappings": [
            {
                "deviceName": "/dev/xvda",
                "ebs": {
                    "volumeSize": 200,
                    "volumeType": "gp3",
                    "iops": 6000,
                    "throughput": 500,
                    "encrypted": "true",
                    "deleteOnTermination": "true",
                },
            }
        ],
        "tagSpecifications": [{"resourceType": kind, "tags": tags} for kind in ("instance", "volume")],
        "userData": one_of(stable, LAUNCH_TEMPLATE, "single").inputs["userData"],
    }
    assert tags["Project"] == "distributed-training"


def test_efa_has_an_interface_on_every_card_and_a_group_that_names_itself_both_ways(stable: Run) -> None:
    interfaces = one_of(stable, LAUNCH_TEMPLATE, "multi").inputs["networkInterfaces"]
    assert len(interfaces) == 32
    assert {tuple(one["securityGroups"]) for one in interfaces} == {("multi-SecurityGroup",)}
    for direction in ("Ingress", "Egress"):
        rule = one_of(stable, f"aws:vpc/securityGroup{direction}Rule:SecurityGroup{direction}Rule", "multi.nodes")
        assert rule.inputs["securityGroupId"] == rule.inputs["referencedSecurityGroupId"] == "multi-SecurityGroup"
        assert rule.inputs["ipProtocol"] == "-1"


def test_nodes_without_efa_have_the_environments_group_which_lets_them_talk_and_go_anywhere(
    run_stably: RunStack,
) -> None:
    run = run_stably({"batch": {"multi": MULTI | {"efa": False}}})
    assert compute_resources(run, "multi-on-demand")["securityGroupIds"] == ["multi-SecurityGroup"]
    assert "networkInterfaces" not in one_of(run, LAUNCH_TEMPLATE, "multi").inputs
    rules = [
        (direction, rule.name, rule.inputs["ipProtocol"], rule.inputs.get("cidrIpv4"), rule.inputs.get(REFERENCED))
        for direction in ("Ingress", "Egress")
        for rule in all_of(run, f"aws:vpc/securityGroup{direction}Rule:SecurityGroup{direction}Rule").values()
        if rule.inputs["securityGroupId"] == "multi-SecurityGroup"
    ]
    assert sorted(rules, key=str) == [
        ("Egress", "multi", "-1", "0.0.0.0/0", None),
        ("Egress", "multi.nodes", "-1", None, "multi-SecurityGroup"),
        ("Ingress", "multi.nodes", "-1", None, "multi-SecurityGroup"),
    ]


@pytest.mark.parametrize(
    ("settings", "market"),
    [(MULTI | {"capacityReservationId": "cr-01234567"}, None), (BLOCK, {"marketType": "capacity-block"})],
)
def test_a_reservation_is_targeted_and_has_no_placement_group_beside_it(
    settings: dict[str, Any], market: dict[str, str] | None, run_stably: RunStack
) -> None:
    run = run_stably({"batch": {"multi": settings}})
    template = one_of(run, LAUNCH_TEMPLATE, "multi").inputs
    assert template["capacityReservationSpecification"] == {
        "capacityReservationTarget": {"capacityReservationId": settings["capacityReservationId"]}
    }
    assert template.get("instanceMarketOptions") == market
    assert all_of(run, PLACEMENT_GROUP) == {}
    ((name, environment),) = environments(run).items()
    assert name == ("multi-capacity-block" if market else "multi-on-demand")
    assert "placementGroup" not in environment.inputs["computeResources"]
    assert environment.inputs["computeResources"]["type"] == "EC2"
