"""A stack with every part and every option that adds a resource; no stack file has all of them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local import engine
from local.provider import Provider
from local.run import Run
from local.stack_files import StackFile

PROJECT = Path(__file__).parents[1]
REGION = "us-west-2"
ANY_NAME = "any"
"""Name in the sections for every name that a stack file can choose."""
MULTI_NODE = {"instanceTypes": ["p5.48xlarge"], "efa": True}
SECTIONS: Mapping[str, Any] = {
    "network": {"flowLogs": True, "interfaceEndpoints": ["ecr.api"], "natGateways": "perZone"},
    "artifacts": {"lustre": {}},
    "queues": {ANY_NAME: {}, "results": {}},
    "batch": {
        ANY_NAME: {"fairShare": {"team": 1.0}},
        f"{ANY_NAME}-multi": {
            **MULTI_NODE,
            "nodes": 2,
            "capacity": ["onDemand"],
            "maxVcpus": 384,
        },
    },
    "workers": {
        ANY_NAME: {"queue": ANY_NAME, "sendTo": ["results"], "submitTo": [ANY_NAME], "sharesQueue": True},
        f"{ANY_NAME}-multi": {"queue": ANY_NAME, "sharesQueue": True, "gpu": 1},
    },
    "eks": {
        "adminPrincipalArns": ["arn:aws:iam::123456789012:role/administrator"],
        "gpuNodeGroups": {"gpu": MULTI_NODE | {"capacity": "onDemand"}},
        "kueue": True,
        "trainer": True,
    },
    "alerts": {"emails": ["somebody@example.com"], "monthlyBudgetUsd": 1000, "anomalyUsd": 100},
    "protect": True,
}
"""The stack file, without its namespace."""


def deployed(provider: Provider) -> Run:
    """Deploy the whole stack with this provider.

    Raises:
        RunError: when the sections have mistakes.

    """
    stack = StackFile(
        project="distributed-training",
        stack="whole",
        config={
            "aws:region": provider.aws.region,
            **{f"distributed-training:{key}": json.dumps(section) for key, section in SECTIONS.items()},
        },
        program=PROJECT,
    )
    run = engine.run(stack, provider, preview=False)
    if run.error is not None:
        raise run.error
    return run
