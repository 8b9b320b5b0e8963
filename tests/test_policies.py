"""Every policy that the whole stack renders: lint, who assumes each role, and what each grant allows and denies."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from components.deployed import PART_TAG
from local.run import Registration, Run
from tests.conftest import RunStack
from tests.support import Allowed, all_of, policy_documents
from tools import iam_reference

ASSUMED_BY = {
    ("aws:batch/jobDefinition:JobDefinition", "jobRoleArn"): "ecs-tasks.amazonaws.com",
    ("aws:batch/jobDefinition:JobDefinition", "executionRoleArn"): "ecs-tasks.amazonaws.com",
    ("aws:ec2/flowLog:FlowLog", "iamRoleArn"): "vpc-flow-logs.amazonaws.com",
    ("aws:ecs/taskDefinition:TaskDefinition", "executionRoleArn"): "ecs-tasks.amazonaws.com",
    ("aws:ecs/taskDefinition:TaskDefinition", "taskRoleArn"): "ecs-tasks.amazonaws.com",
    ("aws:eks/cluster:Cluster", "roleArn"): "eks.amazonaws.com",
    ("aws:eks/nodeGroup:NodeGroup", "nodeRoleArn"): "ec2.amazonaws.com",
    ("aws:iam/instanceProfile:InstanceProfile", "role"): "ec2.amazonaws.com",
    ("aws:lambda/function:Function", "role"): "lambda.amazonaws.com",
}
"""Resource type and the property that names a role -> the service that will assume it."""

SECRET = "arn:aws:secretsmanager:us-west-2:123456789012:secret:token-AbCdEf"
PARAMETER = "arn:aws:ssm:us-west-2:123456789012:parameter/other"
KEY = "arn:aws:kms:us-west-2:123456789012:key/11111111-2222-3333-4444-555555555555"
OTHER_IMAGE = "210987654321.dkr.ecr.us-west-2.amazonaws.com/team/train"
SECRETS = {"secrets": {"TOKEN": f"{SECRET}:key::", "OTHER": PARAMETER}, "secretKeyArns": [KEY]}


@pytest.fixture(scope="module")
def whole(run_sections: RunStack) -> Run:
    return run_sections(
        {
            "network": {"flowLogs": True},
            "queues": {"tasks": {}, "results": {}, "given": {}, "other": {}},
            "batch": {"single": {"sendTo": ["given"], **SECRETS}, "multi": {"image": f"{OTHER_IMAGE}:2.8"}},
            "workers": {"workers": {"sendTo": ["given"], "submitTo": ["single"], **SECRETS}},
            "eks": {"gpuNodeGroups": {"gpu": {}}, "kueue": True, "sendTo": ["given"]},
            "teams": {"vision": {}},
        },
        preview=False,
    )


def test_every_policy_names_actions_and_resources_that_exist_and_fit(whole: Run) -> None:
    for urn, document in policy_documents(whole):
        if "aws:iam/role:Role" not in urn:
            told = iam_reference.lint(document)
            if "aws:kms/key:Key" in urn:
                # in a key's own policy every resource is that key
                told = [one for one in told if not one.startswith("RESOURCE_STAR")]
            assert told == [], urn


def test_every_role_is_assumed_by_the_service_that_uses_it(whole: Run) -> None:
    trusted: dict[str, str] = {}
    for urn, document in policy_documents(whole):
        if "aws:iam/role:Role" in urn:
            (statement,) = document["Statement"]
            created = whole.created[urn]
            trusted[created.outputs["arn"]] = trusted[created.outputs["name"]] = statement["Principal"]["Service"]
    used = [
        (one.type, key, value)
        for one in whole.registrations.values()
        for key, value in _texts(one)
        if isinstance(value, str) and value in trusted and (one.type, key) in ASSUMED_BY
    ]
    assert {(type_, key) for type_, key, _ in used} == set(ASSUMED_BY)
    assert [(type_, key, trusted[value]) for type_, key, value in used] == [
        (type_, key, ASSUMED_BY[type_, key]) for type_, key, _ in used
    ]


def test_services_are_no_deputies_of_other_accounts(whole: Run) -> None:
    for urn, document in policy_documents(whole):
        if "aws:iam/role:Role" in urn:
            (statement,) = document["Statement"]
            match statement["Principal"]["Service"]:
                case "ec2.amazonaws.com" | "eks.amazonaws.com":
                    pass  # these name no source
                case "pods.eks.amazonaws.com":
                    assert set(statement["Condition"]["StringEquals"]) >= {
                        "aws:RequestTag/kubernetes-namespace",
                        "aws:RequestTag/kubernetes-service-account",
                    }, urn
                case _:
                    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}, urn


def allowed(run: Run, role: str) -> Allowed:
    inline = all_of(run, "aws:iam/rolePolicy:RolePolicy").values()
    return Allowed(one.inputs["policy"] for one in inline if one.name == role)


def test_workers_consume_their_queue_answer_send_and_submit_where_they_may_and_no_more(whole: Run) -> None:
    may, queues, exports = allowed(whole, "workers-task"), whole.exports["queue_arns"], whole.exports
    bucket = f"arn:aws:s3:::{exports['artifacts_bucket']}"
    for action in ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes"):
        assert may(f"sqs:{action}", queues["tasks"])
        assert not may(f"sqs:{action}", queues["other"])
        assert not may(f"sqs:{action}", exports["dead_letter_queue_arns"]["tasks"])
    assert {name for name, queue in queues.items() if may("sqs:SendMessage", queue)} == {"given", "results"}
    assert not any(may("sqs:PurgeQueue", queue) for queue in queues.values())
    assert not may("sqs:SendMessage", exports["dead_letter_queue_arns"]["tasks"])
    assert may("s3:PutObject", f"{bucket}/checkpoints/1")
    assert not may("s3:DeleteObject", f"{bucket}/checkpoints/1")
    assert not may("s3:PutObject", "arn:aws:s3:::somebody-elses/checkpoints/1")
    assert may("batch:SubmitJob", exports["batch_job_queue_arns"]["single"])
    assert may("batch:SubmitJob", exports["batch_job_definition_arns"]["single"])
    assert not may("batch:SubmitJob", exports["batch_job_queue_arns"]["multi"])
    assert not may("batch:SubmitJob", exports["batch_job_definition_arns"]["multi"])
    assert not may("batch:DeregisterJobDefinition", exports["batch_job_definition_arns"]["single"])
    job, own = "arn:aws:batch:us-west-2:123456789012:job/1", exports["ecs_cluster_names"]["workers"]
    for action in ("CancelJob", "TerminateJob"):
        assert may(f"batch:{action}", job, **{"aws:ResourceTag/SubmittedBy": own})
        assert not may(f"batch:{action}", job, **{"aws:ResourceTag/SubmittedBy": "another"})
    assert not may("batch:TagResource", job, **{"aws:RequestTag/SubmittedBy": own, "aws:TagKeys": "SubmittedBy"})
    task = f"arn:aws:ecs:us-west-2:123456789012:task/{own}/1"
    assert may("ecs:UpdateTaskProtection", task)
    assert not may("ecs:UpdateTaskProtection", "arn:aws:ecs:us-west-2:123456789012:task/other/1")
    assert not may("ecs:StopTask", task)


def test_a_job_reads_and_writes_artifacts_and_sends_tasks_and_no_more(whole: Run) -> None:
    may, exports = allowed(whole, "single-job"), whole.exports
    bucket = f"arn:aws:s3:::{exports['artifacts_bucket']}"
    assert may("s3:GetObject", f"{bucket}/data/1")
    assert may("s3:ListBucket", bucket)
    assert not may("s3:DeleteObject", f"{bucket}/data/1")
    assert not may("s3:PutBucketPolicy", bucket)
    assert may("sqs:SendMessage", exports["queue_arns"]["given"])
    assert not may("sqs:SendMessage", exports["queue_arns"]["other"])
    assert not may("sqs:ReceiveMessage", exports["queue_arns"]["given"])
    assert not may("batch:SubmitJob", exports["batch_job_queue_arns"]["single"])


def test_an_instance_serves_the_clusters_of_its_queue_pulls_the_stacks_images_and_does_no_more(whole: Run) -> None:
    may, ecs = allowed(whole, "single-instance"), "arn:aws:ecs:us-west-2:123456789012"
    own, other = "AWSBatch-single-spot-820d5c89-0123456-5a1b", "AWSBatch-multi-on-demand-0123456-5a1b"
    for action in ("RegisterContainerInstance", "DeregisterContainerInstance", "SubmitTaskStateChange"):
        assert may(f"ecs:{action}", f"{ecs}:cluster/{own}")
        assert may(f"ecs:{action}", f"{ecs}:cluster/single-on-demand-0123456_Batch_5a1b")
        assert not may(f"ecs:{action}", f"{ecs}:cluster/{other}")
        assert not may(f"ecs:{action}", f"{ecs}:cluster/{whole.exports['ecs_cluster_names']['workers']}")
    for action in ("Poll", "StartTelemetrySession", "UpdateContainerInstancesState"):
        assert may(f"ecs:{action}", f"{ecs}:container-instance/{own}/1")
        assert not may(f"ecs:{action}", f"{ecs}:container-instance/{other}/1")
    for action in ("CreateCluster", "RunTask", "StopTask", "RegisterTaskDefinition"):
        assert not may(f"ecs:{action}", f"{ecs}:cluster/{own}")
    assert may("ecs:DiscoverPollEndpoint", "*")
    repository = f"arn:aws:ecr:us-west-2:123456789012:repository/{whole.exports['image_repository_url'].split('/')[1]}"
    assert may("ecr:BatchGetImage", repository)
    assert not may("ecr:BatchGetImage", "arn:aws:ecr:us-west-2:123456789012:repository/other")
    assert not may("logs:PutLogEvents", "arn:aws:logs:us-west-2:123456789012:log-group:other:log-stream:1")
    assert not may("s3:GetObject", f"arn:aws:s3:::{whole.exports['artifacts_bucket']}/1")
    assert not may("secretsmanager:GetSecretValue", SECRET)
    attached = [one.inputs for one in all_of(whole, "aws:iam/rolePolicyAttachment:RolePolicyAttachment").values()]
    assert [one for one in attached if "EC2Container" in one["policyArn"] and "Registry" not in one["policyArn"]] == []


@pytest.mark.parametrize("end", ["execution", "instance"])
def test_an_image_that_a_stack_file_names_in_another_repository_is_pulled_and_no_other(whole: Run, end: str) -> None:
    other = "arn:aws:ecr:us-west-2:210987654321:repository/team/train"
    for action in ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer"):
        assert allowed(whole, f"multi-{end}")(f"ecr:{action}", other)
        assert not allowed(whole, f"multi-{end}")(f"ecr:{action}", f"{other}-2")
        assert not allowed(whole, f"single-{end}")(f"ecr:{action}", other)


@pytest.mark.parametrize("role", ["single-execution", "workers-execution"])
def test_an_execution_role_pulls_the_stacks_images_and_writes_its_own_logs_and_no_more(whole: Run, role: str) -> None:
    may = allowed(whole, role)
    repository = f"arn:aws:ecr:us-west-2:123456789012:repository/{whole.exports['image_repository_url'].split('/')[1]}"
    log_group = all_of(whole, "aws:cloudwatch/logGroup:LogGroup")[role.removesuffix("-execution")]
    logs = whole.created[log_group.urn].outputs["arn"].removesuffix(":*")
    assert may("ecr:BatchGetImage", repository)
    assert may("ecr:GetAuthorizationToken", "*")
    assert not may("ecr:PutImage", repository)
    assert not may("ecr:BatchGetImage", "arn:aws:ecr:us-west-2:123456789012:repository/other")
    assert may("logs:PutLogEvents", f"{logs}:log-stream:job/1")
    assert not may("logs:PutLogEvents", "arn:aws:logs:us-west-2:123456789012:log-group:other:log-stream:1")
    assert not may("logs:DeleteLogGroup", logs)
    assert not may("s3:GetObject", f"arn:aws:s3:::{whole.exports['artifacts_bucket']}/1")


@pytest.mark.parametrize("role", ["single-execution", "single-instance", "training-node", "workers-execution"])
def test_who_pulls_through_the_cache_makes_repositories_of_the_stack_alone(whole: Run, role: str) -> None:
    may = allowed(whole, role)
    repository = f"arn:aws:ecr:us-west-2:123456789012:repository/{whole.exports['image_repository_url'].split('/')[1]}"
    for action in ("CreateRepository", "BatchImportUpstreamImage"):
        assert may(f"ecr:{action}", f"{repository}/public/deep-learning-containers/pytorch")
        assert not may(f"ecr:{action}", repository)
        assert not may(f"ecr:{action}", "arn:aws:ecr:us-west-2:123456789012:repository/other/public/pytorch")
    assert not may("ecr:DeleteRepository", f"{repository}/public/deep-learning-containers/pytorch")
    assert not may("ecr:PutImage", f"{repository}/public/deep-learning-containers/pytorch")


@pytest.mark.parametrize("role", ["single-execution", "workers-execution"])
def test_an_execution_role_decrypts_with_the_named_key_what_is_secret_and_nothing_else(whole: Run, role: str) -> None:
    may = allowed(whole, role)
    assert may("secretsmanager:GetSecretValue", SECRET)
    assert may("ssm:GetParameters", PARAMETER)
    assert not may("secretsmanager:GetSecretValue", SECRET.replace("token", "other"))
    for service in ("secretsmanager", "ssm"):
        assert may("kms:Decrypt", KEY, **{"kms:ViaService": f"{service}.us-west-2.amazonaws.com"})
        assert not may("kms:Decrypt", f"{KEY}6", **{"kms:ViaService": f"{service}.us-west-2.amazonaws.com"})
        assert not may("kms:Decrypt", KEY, **{"kms:ViaService": f"{service}.eu-west-1.amazonaws.com"})
    assert not may("kms:Decrypt", KEY, **{"kms:ViaService": "s3.us-west-2.amazonaws.com"})
    assert not may("kms:Encrypt", KEY, **{"kms:ViaService": "ssm.us-west-2.amazonaws.com"})


def test_a_container_itself_reads_no_secret_and_uses_no_key(whole: Run) -> None:
    for role in ("single-job", "workers-task"):
        may = allowed(whole, role)
        assert not may("secretsmanager:GetSecretValue", SECRET)
        assert not may("kms:Decrypt", KEY, **{"kms:ViaService": "secretsmanager.us-west-2.amazonaws.com"})


def test_flow_logs_are_written_to_their_own_group_and_no_other(whole: Run) -> None:
    may = allowed(whole, "network-flow-logs")
    log_group = all_of(whole, "aws:cloudwatch/logGroup:LogGroup")["network-flow"]
    arn = whole.created[log_group.urn].outputs["arn"].removesuffix(":*")
    assert may("logs:PutLogEvents", f"{arn}:log-stream:eni")
    assert not may("logs:PutLogEvents", "arn:aws:logs:us-west-2:123456789012:log-group:other:log-stream:1")


def test_a_training_pod_reads_and_writes_artifacts_and_sends_tasks_and_no_more(whole: Run) -> None:
    may, exports = allowed(whole, "training-trainer"), whole.exports
    bucket = f"arn:aws:s3:::{exports['artifacts_bucket']}"
    assert may("s3:PutObject", f"{bucket}/checkpoints/1")
    assert not may("s3:DeleteObject", f"{bucket}/checkpoints/1")
    assert not may("s3:PutObject", "arn:aws:s3:::somebody-elses/checkpoints/1")
    assert may("sqs:SendMessage", exports["queue_arns"]["given"])
    assert not may("sqs:SendMessage", exports["queue_arns"]["other"])
    assert not may("sqs:ReceiveMessage", exports["queue_arns"]["given"])
    assert not may("batch:SubmitJob", exports["batch_job_queue_arns"]["single"])


def people(run: Run) -> Allowed:
    """What those may do who have the policies that the stack exports for them."""
    return Allowed(one.inputs["policy"] for one in all_of(run, "aws:iam/policy:Policy").values())


def test_people_send_read_and_redrive_the_queues_of_their_stack_and_no_more(whole: Run) -> None:
    may, exports = people(whole), whole.exports
    for name in exports["queue_arns"]:
        for url, arn in (
            (exports["queue_urls"][name], exports["queue_arns"][name]),
            (exports["dead_letter_queue_urls"][name], exports["dead_letter_queue_arns"][name]),
        ):
            tags = next(one.outputs["tags"] for one in whole.created.values() if one.outputs.get("url") == url)
            tag = {f"aws:ResourceTag/{PART_TAG}": tags[PART_TAG]}
            for action in ("SendMessage", "ReceiveMessage", "DeleteMessage", "StartMessageMoveTask"):
                assert may(f"sqs:{action}", arn, **tag)
            assert not may("sqs:SendMessage", arn, **{f"aws:ResourceTag/{PART_TAG}": "another/queues.tasks"})
            assert not may("sqs:SendMessage", arn, **{f"aws:ResourceTag/{PART_TAG}": "test/batch.tasks"})
            assert not may("sqs:PurgeQueue", arn, **tag)
            assert not may("sqs:DeleteQueue", arn, **tag)


def test_people_submit_to_the_job_queues_of_their_stack_and_stop_its_jobs_and_no_others(whole: Run) -> None:
    may, exports = people(whole), whole.exports
    key, own, job = "SubmittedBy", exports["train_submitted_by"], "arn:aws:batch:us-west-2:123456789012:job/1"
    assert own == "train-test"
    mark = {f"aws:RequestTag/{key}": own, "aws:TagKeys": key}
    for name, definition in exports["batch_job_definition_arns"].items():
        for arn in (exports["batch_job_queue_arns"][name], definition, definition.rpartition(":")[0], job):
            assert may("batch:SubmitJob", arn, **mark)
            assert not may("batch:SubmitJob", arn, **{**mark, f"aws:RequestTag/{key}": "another"})
        assert may("batch:TagResource", definition, **mark)
        assert may("batch:GetJobQueueSnapshot", exports["batch_job_queue_arns"][name])
        assert not may("batch:UpdateJobQueue", exports["batch_job_queue_arns"][name])
        assert not may("batch:DeregisterJobDefinition", definition)
    for arn in ("job-queue/another", "job-definition/another:1"):
        assert not may("batch:SubmitJob", f"arn:aws:batch:us-west-2:123456789012:{arn}", **mark)
    # else the job of anybody could be marked, and then stopped
    assert not may("batch:TagResource", job, **mark)
    for submitter in (own, exports["ecs_cluster_names"]["workers"]):
        for action in ("CancelJob", "TerminateJob"):
            assert may(f"batch:{action}", job, **{f"aws:ResourceTag/{key}": submitter})
            assert not may(f"batch:{action}", job, **{f"aws:ResourceTag/{key}": "another"})
    assert may("batch:DescribeJobs", "*")


def test_people_read_the_logs_of_jobs_and_workers_and_no_others(whole: Run) -> None:
    may, groups = people(whole), all_of(whole, "aws:cloudwatch/logGroup:LogGroup")
    for name in ("single", "multi", "workers"):
        arn = whole.created[groups[name].urn].outputs["arn"].removesuffix(":*")
        assert may("logs:FilterLogEvents", f"{arn}:log-stream:job/1")
        assert may("logs:GetLogEvents", f"{arn}:log-stream:job/1")
        assert not may("logs:DeleteLogGroup", arn)
    flows = whole.created[groups["network-flow"].urn].outputs["arn"].removesuffix(":*")
    assert not may("logs:GetLogEvents", f"{flows}:log-stream:eni")


def test_people_see_how_the_stack_stands_and_what_it_costs_and_change_nothing(whole: Run) -> None:
    may, exports = people(whole), whole.exports
    for action in (
        "batch:DescribeComputeEnvironments",
        "batch:DescribeSchedulingPolicies",
        "batch:ListJobs",
        "ec2:DescribeInstances",
        "ec2:DescribeNatGateways",
        "ecs:DescribeTaskDefinition",
    ):
        assert may(action, "*")
    for arn in exports["batch_job_queue_arns"].values():
        assert may("batch:GetJobQueueSnapshot", arn)
        assert not may("batch:UpdateJobQueue", arn)
    for arn in exports["ecs_service_arns"].values():
        assert may("ecs:DescribeServices", arn)
        assert not may("ecs:UpdateService", arn)
    assert may(
        "cloudwatch:DescribeAlarms", f"arn:aws:cloudwatch:us-west-2:{exports['alerts_topic_arn'].split(':')[4]}:alarm:*"
    )
    assert not may("ec2:TerminateInstances", "*")


def test_people_push_images_and_read_the_outputs_and_no_more(whole: Run) -> None:
    may = people(whole)
    repository = f"arn:aws:ecr:us-west-2:123456789012:repository/{whole.exports['image_repository_url'].split('/')[1]}"
    for action in ("PutImage", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "BatchGetImage"):
        assert may(f"ecr:{action}", repository)
        assert not may(f"ecr:{action}", "arn:aws:ecr:us-west-2:123456789012:repository/other")
    assert not may("ecr:BatchDeleteImage", repository)
    outputs = "arn:aws:ssm:us-west-2:123456789012:parameter/distributed-training/test/outputs"
    assert may("ssm:GetParametersByPath", outputs)
    assert not may("ssm:GetParametersByPath", outputs.replace("test", "another"))
    assert not may("ssm:PutParameter", f"{outputs}/1")
    (service,) = whole.exports["ecs_service_arns"].values()
    assert may("ecs:DescribeServices", service)
    assert not may("ecs:UpdateService", service)


def test_the_jobs_and_the_people_of_a_team_have_its_prefix_alone(whole: Run) -> None:
    people_of_it = Allowed([all_of(whole, "aws:iam/policy:Policy")["train-team-vision"].inputs["policy"]])
    jobs, bucket = allowed(whole, "training-vision-trainer"), f"arn:aws:s3:::{whole.exports['artifacts_bucket']}"
    for may in (jobs, people_of_it):
        assert may("s3:PutObject", f"{bucket}/teams/vision/model")
        assert not may("s3:GetObject", f"{bucket}/teams/language/model")
        assert not may("s3:DeleteObject", f"{bucket}/teams/vision/model")
        assert may("s3:ListBucket", bucket, **{"s3:prefix": "teams/vision/"})
        assert not may("s3:ListBucket", bucket, **{"s3:prefix": "teams/"})
        assert not may("s3:ListBucket", bucket)
    queues = whole.exports["queue_arns"]
    assert jobs("sqs:SendMessage", queues["given"])
    assert not jobs("sqs:SendMessage", queues["other"])
    assert not people_of_it("sqs:SendMessage", queues["given"])


def test_the_autoscaler_sizes_the_groups_of_its_own_cluster_and_no_other(whole: Run) -> None:
    may, cluster = allowed(whole, "training-autoscaler"), whole.exports["eks_cluster_name"]
    group = "arn:aws:autoscaling:us-west-2:123456789012:autoScalingGroup:1:autoScalingGroupName/eks-gpu-1"
    own = {f"aws:ResourceTag/k8s.io/cluster-autoscaler/{cluster}": "owned"}
    assert may("autoscaling:SetDesiredCapacity", group, **own)
    assert not may("autoscaling:SetDesiredCapacity", group, **{next(iter(own)): "shared"})
    assert not may("autoscaling:SetDesiredCapacity", group.replace("eks-gpu", "web"), **own)
    assert not may("autoscaling:DeleteAutoScalingGroup", group, **own)
    assert not may("ec2:TerminateInstances", "arn:aws:ec2:us-west-2:123456789012:instance/i-1", **own)


def test_the_probe_of_job_queues_asks_about_these_tells_of_them_writes_its_log_and_does_no_more(whole: Run) -> None:
    may, queues = allowed(whole, "alerts-job-queues"), whole.exports["batch_job_queue_arns"]
    for queue in queues.values():
        assert may("batch:GetJobQueueSnapshot", queue)
        assert not may("batch:GetJobQueueSnapshot", f"{queue}-other")
    for action in ("DescribeComputeEnvironments", "DescribeJobQueues", "DescribeJobs", "ListJobs"):
        assert may(f"batch:{action}", "*")
    for action in ("SubmitJob", "TerminateJob", "UpdateJobQueue"):
        assert not may(f"batch:{action}", queues["single"])
    assert may("cloudwatch:PutMetricData", "*", **{"cloudwatch:namespace": "DistributedTraining/Batch"})
    assert not may("cloudwatch:PutMetricData", "*", **{"cloudwatch:namespace": "DistributedTraining/Gpu"})
    logs = "arn:aws:logs:us-west-2:123456789012:log-group"
    group = whole.created[all_of(whole, "aws:cloudwatch/logGroup:LogGroup")["alerts-job-queues"].urn].outputs["name"]
    assert may("logs:PutLogEvents", f"{logs}:{group}:log-stream:1")
    assert not may("logs:PutLogEvents", f"{logs}:{whole.exports['batch_log_groups']['single']}:log-stream:1")
    assert not may("logs:CreateLogGroup", f"{logs}:{group}")


def test_every_role_with_permissions_of_its_own_is_proved_here(whole: Run) -> None:
    assert set(all_of(whole, "aws:iam/rolePolicy:RolePolicy")) == {
        "alerts-job-queues",
        "multi-execution",
        "multi-instance",
        "multi-job",
        "network-flow-logs",
        "single-execution",
        "single-instance",
        "single-job",
        "training-autoscaler",
        "training-node",
        "training-trainer",
        "training-vision-trainer",
        "workers-execution",
        "workers-task",
    }


@pytest.mark.parametrize("type_", ["aws:sqs/queuePolicy:QueuePolicy", "aws:s3/bucketPolicy:BucketPolicy"])
def test_what_stores_refuses_everybody_without_tls(whole: Run, type_: str) -> None:
    for one in all_of(whole, type_).values():
        (statement,) = json.loads(one.inputs["policy"])["Statement"]
        assert statement["Effect"] == "Deny"
        assert statement["Principal"] == {"AWS": "*"}
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def _texts(one: Registration) -> Iterator[tuple[str, Any]]:
    yield from one.inputs.items()
    for key in ("containerProperties", "nodeProperties"):
        if isinstance(text := one.inputs.get(key), str):
            yield from json.loads(text).items()
