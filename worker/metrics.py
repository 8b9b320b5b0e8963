"""Numbers in the log that CloudWatch takes as metrics of the queue, without another call or permission.

Format: Amazon CloudWatch user guide, "Specification: Embedded metric format".
"""

from __future__ import annotations

import time

NAMESPACE = "DistributedTraining/Worker"


def measured(queue_url: str, **numbers: float) -> dict[str, object]:
    """Fields of a line of the log that make these numbers metrics; those that begin with Seconds are seconds."""
    metrics = [{"Name": name, "Unit": "Seconds" if name.startswith("Seconds") else "Count"} for name in numbers]
    described = {"Namespace": NAMESPACE, "Dimensions": [["QueueName"]], "Metrics": metrics}
    return {
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [described]},
        "QueueName": queue_url.rpartition("/")[2],
        **{name: number + 0 for name, number in numbers.items()},  # true and false are no numbers in JSON
    }
