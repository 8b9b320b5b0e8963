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

FAULTS = "gpu_faults"
"""The metric of errors after which a GPU is not to be used any more; it has points only when there are any."""
FAULT_XIDS = (46, 48, 54, 62, 63, 64, 74, 79, 95, 109, 110, 119, 120, 136, 140, 142, 143, 151, 155, 156, 158)
"""Numbers of the driver's errors (XID) for which AWS's agent on EKS takes a node out of use
(aws/eks-node-monitoring-agent v1.7.0, `monitors/nvidia/dcgm/dcgm_policies.go`); most others are those of a program."""
LISTENS_AT = ("127.0.0.1", 8125)
"""Address and UDP port of the agent for what others count."""

CONFIGURATION = "/etc/gpu-metrics.json"
SCRIPT = "/etc/gpu-metrics.sh"
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
                },
                # each count with the instance and the number of the error, and all of a queue together
                "statsd": {"service_address": ":".join(map(str, LISTENS_AT))},
            },
        }
    }


def start_agent(named: Mapping[str, str]) -> str:
    """A script that has the agent installed and started, again and again until it is: jobs do not wait for it."""
    configuration = json.dumps(agent(named), sort_keys=True)
    return (
        f"#!/bin/bash\ncat > {CONFIGURATION} <<'END'\n{configuration}\nEND\n"
        f"cat > {SCRIPT} <<'END'\n{_run_agent(named)}END\n"
        "systemd-run --unit=gpu-metrics --property=Restart=on-failure"
        f" --property=RestartSec={RETRY_SECONDS} bash {SCRIPT}\n"
    )


def _run_agent(named: Mapping[str, str]) -> str:
    """The script that starts the agent, and then counts what the driver says in the kernel's log.

    A line as `NVRM: Xid (PCI:0000:01:00): 79, pid=7062, GPU has fallen off the bus` becomes a count with the number as
    a tag (CloudWatch user guide, "Retrieve custom metrics with StatsD").
    """
    numbers = "|".join(map(str, FAULT_XIDS))
    host, port = LISTENS_AT
    tags = ",".join(f"{name}:{value}" for name, value in named.items())
    return (
        "set -euo pipefail\n"
        "dnf install -y amazon-cloudwatch-agent\n"
        f"{CONTROL} -a fetch-config -m ec2 -s -c file:{CONFIGURATION}\n"
        "journalctl --dmesg --follow --lines=all --output=cat |\n"
        f"    sed --unbuffered --quiet --regexp-extended 's/.*NVRM: Xid \\(.*\\): ({numbers}),.*/\\1/p' |\n"
        "    while read -r xid; do\n"
        f'        echo "{FAULTS}:1|c|#{tags},xid:$xid" > /dev/udp/{host}/{port}\n'
        "    done\n"
    )
