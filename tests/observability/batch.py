"""AWS Batch as it answers about job queues: moto has no snapshot of a queue, and its jobs never wait."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, cast

import boto3
from botocore import awsrequest, validate

ARN = "arn:aws:batch:us-west-2:123456789012"
PAGE = 2
"""Jobs of a page of a list."""


class Batch:
    """Job queues with their compute environments and jobs; what is asked and answered fits the API's model."""

    def __init__(self) -> None:
        self.environments: dict[str, dict[str, str]] = {}
        """Job queue -> status of each of its compute environments."""
        self.first_since: dict[str, float] = {}
        """Job queue -> since when its first job is its first, of those where one waits."""
        self.jobs: list[Mapping[str, Any]] = []
        """All jobs but those that are RUNNABLE, as descriptions with their queue."""
        self.refuses: Callable[[str, Mapping[str, Any]], bool] = lambda _operation, _parameters: False
        """Whether a call is refused."""
        self.calls: list[str] = []

    @property
    def client(self) -> Any:
        """A client of it; there is one, which the newest Batch answers."""
        client = _client()
        client.meta.events.unregister("before-call.batch", unique_id="answers")
        client.meta.events.register("before-call.batch", self._answers, unique_id="answers")
        return client

    def runs(self, queue: str, status: str = "RUNNING") -> None:
        """Let a job be in this status."""
        self.jobs.append({"queue": queue, "status": status})

    def runs_array(self, queue: str, **children: int) -> None:
        """Let an array have so many children in each status."""
        self.jobs.append({"queue": queue, "status": "PENDING", "children": children})

    def _answers(self, model: Any, params: Mapping[str, Any], **_: object) -> tuple[Any, dict[str, Any]]:
        parameters = json.loads(params["body"])
        self.calls.append(model.name)
        if self.refuses(model.name, parameters):
            error = {"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}, "ResponseMetadata": {}}
            return _response(403), error
        answer: dict[str, Any] = getattr(self, f"_{model.name}")(parameters)
        fits(answer, model.output_shape)
        return _response(200), answer

    def _DescribeJobQueues(self, parameters: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {
            "jobQueues": [
                {
                    "jobQueueName": name,
                    "jobQueueArn": f"{ARN}:job-queue/{name}",
                    "state": "ENABLED",
                    "priority": 1,
                    "computeEnvironmentOrder": [
                        {"order": order, "computeEnvironment": f"{ARN}:compute-environment/{one}"}
                        for order, one in enumerate(self.environments[name], start=1)
                    ],
                }
                for name in parameters["jobQueues"]
                if name in self.environments
            ]
        }

    def _DescribeComputeEnvironments(self, parameters: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {
            "computeEnvironments": [
                {
                    "computeEnvironmentName": name,
                    "computeEnvironmentArn": f"{ARN}:compute-environment/{name}",
                    "status": status,
                    "statusReason": "CLIENT_ERROR" if status == "INVALID" else "ComputeEnvironment Healthy",
                }
                for environments in self.environments.values()
                for name, status in environments.items()
                if f"{ARN}:compute-environment/{name}" in parameters["computeEnvironments"]
            ]
        }

    def _GetJobQueueSnapshot(self, parameters: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        since = self.first_since.get(parameters["jobQueue"])
        jobs = [] if since is None else [{"jobArn": f"{ARN}:job/1", "earliestTimeAtPosition": round(since * 1000)}]
        return {"frontOfQueue": {"jobs": jobs}}

    def _ListJobs(self, parameters: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        found = [
            {"jobId": str(number), "jobName": "it"} | ({"arrayProperties": {"size": 10}} if "children" in job else {})
            for number, job in enumerate(self.jobs)
            if (job["queue"], job["status"]) == (parameters["jobQueue"], parameters["jobStatus"])
        ]
        first = int(parameters.get("nextToken", 0))
        more = {"nextToken": str(first + PAGE)} if len(found) > first + PAGE else {}
        return {"jobSummaryList": found[first : first + PAGE], **more}

    def _DescribeJobs(self, parameters: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        ids: Sequence[str] = parameters["jobs"]
        assert len(ids) <= 100
        return {
            "jobs": [
                {
                    "jobId": one,
                    "jobName": "it",
                    "jobQueue": self.jobs[int(one)]["queue"],
                    "status": "PENDING",
                    "startedAt": 0,
                    "jobDefinition": "it:1",
                    "arrayProperties": {"size": 10, "statusSummary": self.jobs[int(one)]["children"]},
                }
                for one in ids
            ]
        }


def fits(value: Mapping[str, Any], shape: Any) -> None:
    """Raise unless a value is of a shape of the API."""
    cast("Any", validate).validate_parameters(value, shape)


def _response(status: int) -> Any:
    return cast("Any", awsrequest).AWSResponse("", status, {}, None)


@cache
def _client() -> Any:
    return cast("Any", boto3).client(
        "batch", region_name="us-west-2", aws_access_key_id="local", aws_secret_access_key="local"
    )
