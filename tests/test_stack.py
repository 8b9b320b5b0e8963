"""The real program with real and made-up stack files."""

import itertools
import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from local import engine, stack_files
from local.aws import Aws
from local.provider import Provider
from local.run import RefusedError, Run
from tests.conftest import DEFAULT_TAGS, ROOT, RunStack
from tests.support import STACKS, WHOLE, all_of, shape

ALWAYS_EXPORTED = {
    "vpc_id",
    "private_subnet_ids",
    "training_subnet_id",
    "artifacts_bucket",
    "image_repository_url",
    "alerts_topic_arn",
    "dashboard_url",
    "train_policy_arns",
    "train_submitted_by",
}
EXPORTED_WITH = {
    "queues": {"queue_urls", "queue_arns", "dead_letter_queue_urls", "dead_letter_queue_arns"},
    "batch": {
        "image_cache_urls",
        "batch_compute_environment_arns",
        "batch_job_queue_arns",
        "batch_job_definition_arns",
        "batch_job_role_arns",
        "batch_execution_role_arns",
        "batch_log_groups",
        "batch_security_group_ids",
    },
    "workers": {
        "ecs_cluster_names",
        "ecs_cluster_arns",
        "ecs_service_names",
        "ecs_service_arns",
        "ecs_task_definition_arns",
    },
    "eks": {
        "image_cache_urls",
        "eks_cluster_name",
        "eks_cluster_arn",
        "eks_node_group_arns",
        "eks_pod_resources",
        "eks_pod_shared_memory",
        "eks_pod_environment",
        "kubeconfig",
    },
}
COMBINATIONS = [
    {name: WHOLE[name] for name in names}
    for count in range(len(WHOLE) + 1)
    for names in itertools.combinations(WHOLE, count)
    if "workers" not in names or "queues" in names
]


def expected_exports(sections: Mapping[str, Any]) -> set[str]:
    return ALWAYS_EXPORTED.union(*(EXPORTED_WITH[name] for name in sections))


@pytest.fixture(scope="module", params=STACKS)
def deployed(request: pytest.FixtureRequest, run_stack: RunStack) -> Run:
    return run_stack(request.param, preview=False)


@pytest.mark.parametrize("sections", COMBINATIONS, ids=lambda sections: "+".join(sections) or "nothing")
def test_any_part_can_be_left_out(sections: dict[str, Any], run_sections: RunStack) -> None:
    previewed = run_sections(sections, preview=True)
    deployed = run_sections(sections, preview=False)
    assert set(previewed.exports) == set(deployed.exports) == expected_exports(sections)
    assert None not in deployed.exports.values()


@pytest.mark.parametrize("stack", STACKS)
def test_a_preview_registers_what_a_deployment_registers(stack: str, run_stack: RunStack) -> None:
    previewed, deployed = (run_stack(stack, preview=preview) for preview in (True, False))
    assert shape(previewed) == shape(deployed)


def test_the_same_stack_file_gives_the_same_resources(run_sections: RunStack) -> None:
    first, second = (run_sections(WHOLE) for _ in range(2))
    assert set(first.registrations) == set(second.registrations)


def test_the_dev_stack_holds_the_five_things_the_project_is_for(run_stack: RunStack) -> None:
    run = run_stack("dev", preview=False)
    for type_ in (
        "aws:batch/computeEnvironment:ComputeEnvironment",
        "aws:batch/jobQueue:JobQueue",
        "aws:batch/jobDefinition:JobDefinition",
        "aws:sqs/queue:Queue",
        "aws:ecs/service:Service",
        "eks:index:Cluster",
        "aws:eks/nodeGroup:NodeGroup",
    ):
        assert all_of(run, type_), type_
    assert set(run.exports) == expected_exports(WHOLE)


def test_nothing_that_is_used_is_deprecated(deployed: Run) -> None:
    # what a stack's own settings have to say is no fault
    assert [message for message in deployed.messages if not message.startswith("eks.")] == []


def test_every_resource_has_a_component_above_it(deployed: Run) -> None:
    orphans = [
        one.urn for one in deployed.registrations.values() if one.provided and "pulumi:pulumi:Stack" in one.parent
    ]
    assert orphans == []


def test_nothing_takes_traffic_from_everywhere(deployed: Run) -> None:
    for rule in all_of(deployed, "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule").values():
        assert rule.inputs.get("cidrIpv4") != "0.0.0.0/0", rule.urn
        assert "cidrIpv6" not in rule.inputs, rule.urn
    for group in all_of(deployed, "aws:ec2/securityGroup:SecurityGroup").values():
        assert "ingress" not in group.inputs, group.urn
    for group in all_of(deployed, "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup").values():
        assert not {"ingress", "egress"} & set(group.inputs), group.urn


def test_everything_that_stores_is_encrypted(deployed: Run) -> None:
    for queue in all_of(deployed, "aws:sqs/queue:Queue").values():
        assert queue.inputs.get("sqsManagedSseEnabled") or queue.inputs.get("kmsMasterKeyId"), queue.urn
    for template in all_of(deployed, "aws:ec2/launchTemplate:LaunchTemplate").values():
        assert [one["ebs"]["encrypted"] for one in template.inputs["blockDeviceMappings"]] == ["true"], template.urn
    buckets = all_of(deployed, "aws:s3/bucket:Bucket")
    assert set(buckets) == set(
        all_of(deployed, "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration")
    )
    for cluster in all_of(deployed, "eks:index:Cluster").values():
        assert cluster.inputs["encryptionConfigKeyArn"], cluster.urn


def test_every_instance_demands_imdsv2(deployed: Run) -> None:
    for template in all_of(deployed, "aws:ec2/launchTemplate:LaunchTemplate").values():
        assert template.inputs["metadataOptions"]["httpTokens"] == "required", template.urn
        assert template.inputs["metadataOptions"]["httpPutResponseHopLimit"] == 1, template.urn


def test_nothing_that_computes_has_a_public_address(deployed: Run) -> None:
    for subnet in all_of(deployed, "aws:ec2/subnet:Subnet").values():
        assert not subnet.inputs.get("mapPublicIpOnLaunch"), subnet.urn
    for service in all_of(deployed, "aws:ecs/service:Service").values():
        assert service.inputs["networkConfiguration"]["assignPublicIp"] is False, service.urn


def test_nothing_runs_while_there_is_nothing_to_do(run_stack: RunStack) -> None:
    run = run_stack("dev", preview=False)
    for environment in all_of(run, "aws:batch/computeEnvironment:ComputeEnvironment").values():
        assert environment.inputs["computeResources"]["minVcpus"] == 0
        assert "desiredVcpus" not in environment.inputs["computeResources"]
    for service in all_of(run, "aws:ecs/service:Service").values():
        assert service.inputs["desiredCount"] == 0
    gpu = all_of(run, "aws:eks/nodeGroup:NodeGroup")["training-gpu"]
    assert gpu.inputs["scalingConfig"] == {"minSize": 0, "desiredSize": 0, "maxSize": 2}


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_file_tags_everything_with_project_environment_and_tool(stack: str) -> None:
    assert stack_files.read(ROOT, stack).default_tags == DEFAULT_TAGS | {"Environment": stack}


def test_default_tags_reach_aws_and_instances_that_others_start_have_a_name(deployed: Run, aws: Aws) -> None:
    for url in deployed.exports["queue_urls"].values():
        assert aws.client("sqs").list_queue_tags(QueueUrl=url)["Tags"].items() >= DEFAULT_TAGS.items()
    for template in all_of(deployed, "aws:ec2/launchTemplate:LaunchTemplate").values():
        tagged = {one["resourceType"]: one["tags"] for one in template.inputs["tagSpecifications"]}
        assert set(tagged) == {"instance", "volume"}
        assert all(tags.items() >= {**DEFAULT_TAGS, "Name": template.name}.items() for tags in tagged.values())


def test_a_kubeconfig_comes_out_that_holds_no_credential(deployed: Run) -> None:
    kubeconfig = json.loads(deployed.exports["kubeconfig"])
    (user,) = kubeconfig["users"]
    assert set(user["user"]) == {"exec"}
    assert user["user"]["exec"]["command"] == "aws"
    assert deployed.exports["eks_cluster_name"] in user["user"]["exec"]["args"]


def test_an_error_of_aws_names_the_resource_the_call_and_the_message(aws: Aws) -> None:
    def program() -> None:
        from pulumi_aws import sqs

        taken = sqs.Queue("works", name="taken")
        sqs.Queue("broken", name="taken", receive_wait_time_seconds=3, opts=pulumi.ResourceOptions(depends_on=[taken]))

    run = engine.run(program, Provider(aws), preview=False)
    assert isinstance(run.error, RefusedError)
    assert str(run.error).startswith(
        "urn:pulumi:stack::project::aws:sqs/queue:Queue::broken: CreateQueue: QueueAlreadyExists: "
    )
    assert [one.name for urn, one in run.registrations.items() if urn in run.created] == ["works"]
