"""What asks Batch about the job queues: what it tells of them, when it is started, and what it may do."""

import ast
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from components.observability import job_queue_probe_handler as handler
from components.observability.job_queue_probe import PROBE_MINUTES
from components.observability.job_queue_probe_handler import INVALID, WAITED, WAITED_IN_IDLE
from local import api
from local.aws import Aws
from local.run import Run
from tests.conftest import RunStack
from tests.observability.batch import Batch, fits
from tests.support import all_of, one_of

FUNCTION = "aws:lambda/function:Function"
NAME = "alerts-job-queues"
NOW = 1_800_000_000


class CloudWatch:
    """The points that were put: queue and metric -> value."""

    def __init__(self) -> None:
        self.points: dict[tuple[str, str], float] = {}

    def put_metric_data(self, **given: Any) -> None:
        fits(given, api.parameters("cloudwatch", "PutMetricData"))
        assert given["Namespace"] == "DistributedTraining/Batch"
        for point in given["MetricData"]:
            (dimension,) = point["Dimensions"]
            assert dimension["Name"] == "JobQueue"
            self.points[dimension["Value"], point["MetricName"]] = point["Value"]


def told(batch: Batch, *queues: str) -> Mapping[tuple[str, str], float]:
    cloudwatch = CloudWatch()
    handler.probe(batch.client, cloudwatch, queues, NOW)
    return cloudwatch.points


@pytest.fixture
def batch() -> Batch:
    """Two job queues that share no environment, and nothing to do."""
    batch = Batch()
    batch.environments = {"one": {"spot": "VALID", "onDemand": "VALID"}, "two": {"other": "VALID"}}
    return batch


def test_nothing_is_put_while_all_is_valid_and_nothing_waits(batch: Batch) -> None:
    batch.runs("one")
    assert told(batch, "one", "two") == {}
    assert "ListJobs" not in batch.calls


def test_an_invalid_environment_is_told_beside_a_valid_one_and_of_its_queue_alone(
    batch: Batch, capsys: pytest.CaptureFixture[str]
) -> None:
    batch.environments["one"]["spot"] = "INVALID"
    assert told(batch, "one", "two") == {("one", INVALID): 1}
    assert capsys.readouterr().out == "spot is INVALID: CLIENT_ERROR\n"
    batch.environments["one"]["onDemand"] = "INVALID"
    assert told(batch, "one", "two") == {("one", INVALID): 2}


@pytest.mark.parametrize("status", ["CREATING", "UPDATING", "DELETING"])
def test_an_environment_that_changes_is_not_invalid(status: str, batch: Batch) -> None:
    batch.environments["one"]["spot"] = status
    assert told(batch, "one") == {}


def test_a_job_that_waits_is_told_and_whether_anything_of_its_queue_runs(batch: Batch) -> None:
    batch.first_since["one"] = NOW - 3000
    # jobs of another queue, and those that have not been dispatched, are no jobs that run
    batch.runs("two")
    batch.runs("one", "SUBMITTED")
    batch.runs("one", "PENDING")
    batch.runs_array("one", RUNNABLE=3, SUCCEEDED=2)
    assert told(batch, "one", "two") == {("one", WAITED): 3000, ("one", WAITED_IN_IDLE): 3000}


@pytest.mark.parametrize("status", ["STARTING", "RUNNING"])
def test_a_job_or_one_of_an_array_that_runs_is_seen_also_on_a_later_page(status: str, batch: Batch) -> None:
    busy = {("one", WAITED): 3000, ("one", WAITED_IN_IDLE): 0}
    batch.first_since["one"] = NOW - 3000
    for _ in range(120):
        batch.runs_array("one", RUNNABLE=1)
    assert told(batch, "one")["one", WAITED_IN_IDLE] == 3000
    batch.runs_array("one", **{status: 1})
    assert told(batch, "one") == busy
    batch.jobs.clear()
    batch.runs("one", status)
    assert told(batch, "one") == busy


def test_a_clock_that_is_behind_batchs_makes_no_negative_wait(batch: Batch) -> None:
    batch.first_since["one"] = NOW + 2
    assert told(batch, "one")["one", WAITED] == 0


def test_a_queue_that_is_gone_is_not_asked_about(batch: Batch) -> None:
    assert told(batch, "gone") == {}
    assert batch.calls == ["DescribeJobQueues"]


def test_an_error_about_one_queue_is_raised_after_all_that_is_known_was_told(batch: Batch) -> None:
    batch.environments["one"]["spot"] = "INVALID"
    batch.first_since = {"one": NOW - 60, "two": NOW - 60}
    batch.refuses = lambda operation, parameters: operation == "GetJobQueueSnapshot" and parameters["jobQueue"] == "one"
    cloudwatch = CloudWatch()
    with pytest.raises(ExceptionGroup) as raised:
        handler.probe(batch.client, cloudwatch, ["one", "two"], NOW)
    (error,) = raised.value.exceptions
    assert isinstance(error, ClientError)
    assert error.__notes__ == ["job queue one"]
    assert set(cloudwatch.points) == {("one", INVALID), ("two", WAITED), ("two", WAITED_IN_IDLE)}


def test_an_error_about_all_of_them_is_raised(batch: Batch) -> None:
    batch.refuses = lambda operation, _parameters: operation == "DescribeComputeEnvironments"
    with pytest.raises(ClientError, match="AccessDenied"):
        told(batch, "one")


def test_the_function_asks_the_batch_and_tells_the_cloudwatch_of_its_region(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloudwatch = CloudWatch()
    clients: dict[str, Any] = {"batch": batch.client, "cloudwatch": cloudwatch}
    monkeypatch.setattr("boto3.client", clients.__getitem__)
    batch.environments["two"]["other"] = "INVALID"
    handler.handler({"queues": ["one", "two"]}, None)
    assert cloudwatch.points == {("two", INVALID): 1}


def test_it_is_started_with_the_names_of_the_queues_before_it_could_still_run(deployed: Run, aws: Aws) -> None:
    rule = one_of(deployed, "aws:cloudwatch/eventRule:EventRule", NAME)
    target = one_of(deployed, "aws:cloudwatch/eventTarget:EventTarget", NAME)
    function = deployed.created[one_of(deployed, FUNCTION, NAME).urn].outputs
    permission = one_of(deployed, "aws:lambda/permission:Permission", NAME)
    assert rule.inputs["scheduleExpression"] == "rate(5 minutes)"
    assert function["timeout"] < PROBE_MINUTES * 60
    assert target.inputs["arn"] == function["arn"]
    assert permission.urn in target.dependencies, "what is started too early fails"
    (queue,) = aws.client("batch").describe_job_queues(jobQueues=json.loads(target.inputs["input"])["queues"])[
        "jobQueues"
    ]
    assert queue["jobQueueArn"] == deployed.exports["batch_job_queue_arns"]["single"]
    policy = json.loads(aws.client("lambda").get_policy(FunctionName=function["name"])["Policy"])
    (statement,) = policy["Statement"]
    log_group = deployed.created[one_of(deployed, "aws:cloudwatch/logGroup:LogGroup", NAME).urn].outputs
    assert function["loggingConfig"]["logGroup"] == log_group["name"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Condition"] == {"ArnLike": {"AWS:SourceArn": deployed.created[rule.urn].outputs["arn"]}}


def test_its_code_is_this_text_and_nothing_of_the_machine(deployed: Run, aws: Aws) -> None:
    function = deployed.created[one_of(deployed, FUNCTION, NAME).urn].outputs
    archive = function["code"]
    (asset,) = archive["assets"].values()
    text = Path(handler.__file__).read_text(encoding="utf-8")
    assert asset["text"] == text
    assert "path" not in archive
    assert set(archive["assets"]) == {"index.py"}
    assert function["handler"] == f"index.{handler.handler.__name__}"
    imported = {name for node in ast.walk(ast.parse(text)) for name in modules(node)}
    assert imported - sys.stdlib_module_names == {"boto3"}
    assert aws.client("lambda").get_function_configuration(FunctionName=function["name"])["Runtime"] == "python3.14"


def modules(node: ast.AST) -> set[str]:
    """The packages that a statement imports."""
    match node:
        case ast.Import(names=names):
            return {one.name.split(".")[0] for one in names}
        case ast.ImportFrom(module=str(name), level=0):
            return {name.split(".")[0]}
        case ast.ImportFrom():
            return {"a module beside it"}
        case _:
            return set()


def test_without_job_queues_there_is_none(run_sections: RunStack) -> None:
    assert all_of(run_sections({"queues": {"tasks": {}}}), FUNCTION) == {}
