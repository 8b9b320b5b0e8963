"""The metrics of a queue's GPUs: what is sent, by whom, and where none are."""

import base64
import json
from typing import Any

import pytest

from components.batch.gpu_metrics import agent, metric
from local.run import Run
from tests.batch.support import LAUNCH_TEMPLATE, ROLE_POLICY, SINGLE
from tests.conftest import RunStack
from tests.support import all_of, one_of

NAMESPACE = "DistributedTraining/Gpu"


def sent(run: Run) -> list[dict[str, Any]]:
    """What the role of the queue's instances may do with metrics."""
    document = json.loads(one_of(run, ROLE_POLICY, "single-instance").inputs["policy"])
    return [one for one in document["Statement"] if "cloudwatch:PutMetricData" in one["Action"]]


def test_one_series_is_sent_for_each_measure_of_a_queue_and_none_for_each_gpu() -> None:
    metrics = agent({"BatchJobQueue": "stack-single"})["metrics"]
    assert metrics["namespace"] == NAMESPACE
    assert metrics["aggregation_dimensions"] == [["BatchJobQueue"]]
    section = metrics["metrics_collected"]["nvidia_gpu"]
    assert section["append_dimensions"] == {"BatchJobQueue": "stack-single"}
    assert section["drop_original_metrics"] == section["measurement"]
    assert "utilization_gpu" in section["measurement"]
    assert metric("utilization_gpu") == "nvidia_smi_utilization_gpu"


def test_instances_may_send_these_metrics_and_no_others(stable: Run) -> None:
    (statement,) = sent(stable)
    assert statement["Action"] == ["cloudwatch:PutMetricData"]
    assert statement["Condition"] == {"StringEquals": {"cloudwatch:namespace": NAMESPACE}}


@pytest.mark.parametrize("without", [{"gpuMetrics": False}, {"gpus": 0}])
def test_instances_send_none_where_none_are_wanted_or_jobs_have_no_gpu(
    without: dict[str, Any], run_stably: RunStack
) -> None:
    run = run_stably({"batch": {"single": SINGLE | without}})
    text = base64.b64decode(one_of(run, LAUNCH_TEMPLATE, "single").inputs["userData"]).decode()
    assert "cloudwatch" not in text
    assert sent(run) == []
    assert [name for name in all_of(run, "aws:cloudwatch/metricAlarm:MetricAlarm") if "gpu" in name] == []
