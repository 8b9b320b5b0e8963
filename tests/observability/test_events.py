"""Events: that those of this stack are heard of, and no others."""

import json
from typing import Any

from moto.events.models import EventPattern

from local.aws import Aws
from local.run import Run
from tests.observability.support import RULE
from tests.support import all_of, one_of


def batch_event(detail_type: str, queue: str, status: str) -> dict[str, Any]:
    """AWS Batch user guide, "Job state change events" and "Job queue blocked events"."""
    job = "arn:aws:batch:us-west-2:123456789012:job/4c7599ae-0a82-49aa-ba5a-4727fcce14a8"
    return {
        "version": "0",
        "id": "c8f9c4b5-76e5-d76a-f980-7011e206042b",
        "detail-type": detail_type,
        "source": "aws.batch",
        "account": "123456789012",
        "time": "2022-01-11T23:36:40Z",
        "region": "us-west-2",
        "resources": [job, queue],
        "detail": {
            "jobArn": job,
            "jobName": "event-test",
            "jobId": "4c7599ae-0a82-49aa-ba5a-4727fcce14a8",
            "jobQueue": queue,
            "status": status,
            "attempts": [],
            "createdAt": 1641944200058,
        },
    }


def spot_event() -> dict[str, Any]:
    """EC2 user guide, "Spot Instance interruption notices"."""
    return {
        "version": "0",
        "id": "12345678-1234-1234-1234-123456789012",
        "detail-type": "EC2 Spot Instance Interruption Warning",
        "source": "aws.ec2",
        "account": "123456789012",
        "time": "2022-01-11T23:36:40Z",
        "region": "us-west-2",
        "resources": ["arn:aws:ec2:us-west-2b:instance/i-1234567890abcdef0"],
        "detail": {"instance-id": "i-1234567890abcdef0", "instance-action": "terminate"},
    }


def task_event(cluster: str, last_status: str = "RUNNING", stop_code: str = "SpotInterruption") -> dict[str, Any]:
    """ECS developer guide, "Amazon ECS clusters for Fargate workloads", termination notices."""
    task = "arn:aws:ecs:us-west-2:123456789012:task/b99d40b3-5176-4f71-9a52-9dbd6f1cebef"
    return {
        "version": "0",
        "id": "9bcdac79-b31f-4d3d-9410-fbd727c29fab",
        "detail-type": "ECS Task State Change",
        "source": "aws.ecs",
        "account": "123456789012",
        "resources": [task],
        "detail": {
            "clusterArn": cluster,
            "createdAt": "2016-12-06T16:41:05.702Z",
            "desiredStatus": "STOPPED",
            "lastStatus": last_status,
            "stoppedReason": "Your Spot Task was interrupted.",
            "stopCode": stop_code,
            "taskArn": task,
        },
    }


def deployment_event(service: str, name: str = "SERVICE_DEPLOYMENT_FAILED") -> dict[str, Any]:
    """ECS developer guide, "Amazon ECS service deployment state change events"."""
    return {
        "version": "0",
        "id": "ddca6449-b258-46c0-8653-e0e3aEXAMPLE",
        "detail-type": "ECS Deployment State Change",
        "source": "aws.ecs",
        "account": "123456789012",
        "time": "2020-05-23T12:31:14Z",
        "region": "us-west-2",
        "resources": [service],
        "detail": {
            "eventType": "ERROR",
            "eventName": name,
            "deploymentId": "ecs-svc/123",
            "updatedAt": "2020-05-23T11:11:11Z",
            "reason": "ECS deployment circuit breaker: task failed to start.",
        },
    }


def scan_event(repository: str, status: str = "COMPLETE", **counts: int) -> dict[str, Any]:
    """ECR user guide, "Amazon ECR events and EventBridge", "Event for a completed image scan"."""
    return {
        "version": "0",
        "id": "85fc3613-e913-7fc4-a80c-a3753e4aa9ae",
        "detail-type": "ECR Image Scan",
        "source": "aws.ecr",
        "account": "123456789012",
        "time": "2019-10-29T02:36:48Z",
        "region": "us-west-2",
        "resources": [f"arn:aws:ecr:us-west-2:123456789012:repository/{repository}"],
        "detail": {
            "scan-status": status,
            "repository-name": repository,
            "finding-severity-counts": counts,
            "image-digest": "sha256:7f5b2640fe6fb4f46592dfd3410c4a79dac4f89e4782432e0378abcd1234",
            "image-tags": [],
        },
    }


def inspector_event(repository: str, **counts: int) -> dict[str, Any]:
    """ECR user guide, "EventBridge events sent for enhanced scanning in Amazon ECR"."""
    event = scan_event(repository, "INITIAL_SCAN_COMPLETE", **counts)
    detail = event["detail"] | {"repository-name": event["resources"][0]}
    return event | {"detail-type": "Inspector2 Scan", "source": "aws.inspector2", "detail": detail}


def test_events_of_this_stack_reach_the_topic_and_others_do_not(deployed: Run) -> None:
    queue = deployed.exports["batch_job_queue_arns"]["single"]
    cluster, service = deployed.exports["ecs_cluster_arns"]["workers"], deployed.exports["ecs_service_arns"]["workers"]
    repository = deployed.exports["image_repository_url"].partition("/")[2]
    blocked, changed = "Batch Job Queue Blocked", "Batch Job State Change"
    samples: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
        "alerts-image-findings": (
            [
                scan_event(repository, CRITICAL=10, MEDIUM=9),
                scan_event(repository, HIGH=1),
                inspector_event(repository, HIGH=61, TOTAL=158),
            ],
            [
                scan_event(repository),
                scan_event(repository, MEDIUM=9, LOW=3),
                scan_event(repository, HIGH=0),
                scan_event(repository, "FAILED", HIGH=1),
                scan_event(f"{repository}-other", CRITICAL=1),
                inspector_event(f"{repository}-other", CRITICAL=1),
                inspector_event(repository, MEDIUM=62),
            ],
        ),
        "alerts-job-failed": (
            [batch_event(changed, queue, "FAILED")],
            [batch_event(changed, queue, "SUCCEEDED"), batch_event(changed, f"{queue}-other", "FAILED")],
        ),
        "alerts-job-queue-blocked": (
            [batch_event(blocked, queue, "RUNNABLE")],
            [batch_event(changed, queue, "RUNNABLE"), batch_event(blocked, f"{queue}-other", "RUNNABLE")],
        ),
        "alerts-job-events": (
            [batch_event(changed, queue, status) for status in ("SUBMITTED", "RUNNING", "FAILED")],
            [batch_event(changed, f"{queue}-other", "RUNNING"), batch_event(blocked, queue, "RUNNABLE")],
        ),
        "alerts-spot-reclaimed": ([spot_event()], [task_event(cluster)]),
        "alerts-worker-reclaimed": (
            [task_event(cluster)],
            [
                task_event(f"{cluster}-other"),
                task_event(cluster, last_status="STOPPED"),
                task_event(cluster, stop_code="ServiceSchedulerInitiated"),
            ],
        ),
        "alerts-deployment-failed": (
            [deployment_event(service)],
            [deployment_event(f"{service}-other"), deployment_event(service, "SERVICE_DEPLOYMENT_COMPLETED")],
        ),
    }
    rules = all_of(deployed, RULE)
    assert set(rules) == {*samples, "alerts-job-queues"}
    for name, (matching, others) in samples.items():
        pattern: Any = EventPattern(None, json.loads(rules[name].inputs["eventPattern"]))
        assert all(pattern.matches_event(event) for event in matching), name
        assert not any(pattern.matches_event(event) for event in others), name


def test_every_rule_has_a_target_that_exists(deployed: Run, aws: Aws) -> None:
    log_group = one_of(deployed, "aws:cloudwatch/eventTarget:EventTarget", "alerts-job-events").inputs["arn"]
    found = aws.client("logs").describe_log_groups(logGroupNamePrefix="/aws/events/alerts-job-events-")["logGroups"]
    assert log_group in {one["arn"].removesuffix(":*") for one in found}
    function = deployed.created[one_of(deployed, "aws:lambda/function:Function", "alerts-job-queues").urn]
    others = {"alerts-job-events": log_group, "alerts-job-queues": function.outputs["arn"]}
    for name, target in all_of(deployed, "aws:cloudwatch/eventTarget:EventTarget").items():
        expected = others.get(name, deployed.exports["alerts_topic_arn"])
        assert target.inputs["arn"] == expected
        assert "roleArn" not in target.inputs, "with a role EventBridge fails on an encrypted topic"
