"""What the GPUs of a queue's instances do, in CloudWatch: the metrics, and the agent that sends them.

One series for each measure and queue, over all of its GPUs: CloudWatch is paid by the series and the hour in which it
gets points, so a queue without instances costs nothing.
"""

import json
from collections.abc import Mapping
from typing import Any

import pulumi

from components import iam

GPU_METRICS = "DistributedTraining/Gpu"
"""Namespace of the metrics."""
QUEUE = "BatchJobQueue"
"""The dimension that names the queue, as its instances' tag does."""

MEASURES = ("utilization_gpu", "memory_used", "temperature_gpu")
"""What is measured of each GPU, as the agent calls it: in percent, in MiB, in degrees Celsius."""
INTERVAL_SECONDS = 60

CONFIGURATION = "/etc/gpu-metrics.json"
CONTROL = "/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl"
RETRY_SECONDS = 30


def metric(measure: str) -> str:
    """Name of the metric of a measure: the agent puts the tool's name before it."""
    return f"nvidia_smi_{measure}"


def dimensions(queue: str) -> dict[str, str]:
    """What names the series of a queue, among those of all stacks in the account and region."""
    return {QUEUE: f"{pulumi.get_project()}-{pulumi.get_stack()}-{queue}"}


def send_metrics() -> iam.Statement:
    """A statement that allows sending them, and no metrics of anything else."""
    # AWS knows no resource for it
    return iam.allow(["cloudwatch:PutMetricData"], ["*"], {"StringEquals": {"cloudwatch:namespace": GPU_METRICS}})


def agent(named: Mapping[str, str]) -> dict[str, Any]:
    """The configuration of the CloudWatch agent (aws/amazon-cloudwatch-agent, `translator/config/schema.json`)."""
    return {
        "metrics": {
            "namespace": GPU_METRICS,
            "aggregation_dimensions": [[*named]],
            "metrics_collected": {
                "nvidia_gpu": {
                    "measurement": list(MEASURES),
                    "metrics_collection_interval": INTERVAL_SECONDS,
                    "append_dimensions": dict(named),
                    # those of each GPU of each instance, a series each (same place, `drop_origin_linux.json`)
                    "drop_original_metrics": list(MEASURES),
                }
            },
        }
    }


def start_agent(named: Mapping[str, str]) -> str:
    """A script that has the agent installed and started, again and again until it is: jobs do not wait for it."""
    configuration = json.dumps(agent(named), sort_keys=True)
    install = f"dnf install -y amazon-cloudwatch-agent && {CONTROL} -a fetch-config -m ec2 -s -c file:{CONFIGURATION}"
    return (
        f"#!/bin/bash\ncat > {CONFIGURATION} <<'END'\n{configuration}\nEND\n"
        "systemd-run --unit=gpu-metrics --property=Restart=on-failure"
        f" --property=RestartSec={RETRY_SECONDS} \\\n"
        f"    bash -c '{install}'\n"
    )
