"""What a stack file may say, and how a wrong one is refused."""

from collections.abc import Callable
from typing import Any

import pytest

MistakesIn = Callable[[dict[str, Any]], list[str]]


@pytest.mark.parametrize(
    ("sections", "line"),
    [
        ({"queues": {"tasks": {"fifoo": True}}}, "queues.tasks.fifoo: is no key of a stack file, got true"),
        (
            {"bacth": {}},
            (
                "bacth: is no section of a stack file, must be one of "
                "alerts, artifacts, batch, eks, network, protect, queues, workers"
            ),
        ),
        ({"queues": {"tasks": {"fifo": "yes"}}}, "queues.tasks.fifo: must be a valid boolean, got 'yes'"),
        ({"queues": ["tasks"]}, "queues: must be an object, got ['tasks']"),
        ({"queues": {"tasks": 3}}, "queues.tasks: must be an object, got 3"),
        (
            {"queues": {"tasks": {"visibilityTimeoutSeconds": 43_201}}},
            "queues.tasks.visibilityTimeoutSeconds: must be less than or equal to 43200, got 43201",
        ),
        (
            {"queues": {"tasks": {"maxReceiveCount": 0}}},
            "queues.tasks.maxReceiveCount: must be greater than or equal to 1, got 0",
        ),
        (
            {"queues": {"tasks": {"fifo": False, "highThroughput": True}}},
            "queues.tasks.highThroughput: must be left out or false on a standard queue (fifo: false), got true",
        ),
        ({"queues": {"Tasks": {}}}, "queues.Tasks: must match pattern '^[a-z]([a-z0-9-]*[a-z0-9])?$', got 'Tasks'"),
        (
            {"queues": {"tasks-dlq": {}}},
            "queues.tasks-dlq: must not end in -dlq, the name of a dead-letter queue, got 'tasks-dlq'",
        ),
        (
            {"workers": {"f": {"queue": "q"}}, "queues": {"q": {"visibilityTimeoutSeconds": 59}, "results": {}}},
            (
                "queues.q.visibilityTimeoutSeconds: must be at least 60 for workers, "
                "whose heartbeat comes at a third of it, got 59"
            ),
        ),
        (
            {"workers": {"f": {"queue": "q"}}, "queues": {"q": {}}},
            "queues.results: is required by the reference worker, which answers there, got nothing",
        ),
        (
            {"workers": {"f": {"queue": "results"}}, "queues": {"results": {}}},
            "workers.f.queue: must not be the queue that the reference worker answers on, got 'results'",
        ),
        (
            {"workers": {"f": {"queue": "nowhere", "image": "mine:1"}}},
            "workers.f.queue: must name a queue under queues, got 'nowhere'",
        ),
        (
            {"workers": {"queue": "q", "maxTasks": 4}, "queues": {"q": {}, "results": {}}},
            (
                "workers: must be fleets by name, which for the one that there was is"
                """ `workers: {"workers": {"queue": "q", "maxTasks": 4}}`, got {'queue': 'q', 'maxTasks': 4}"""
            ),
        ),
        (
            {"workers": {}, "queues": {"tasks": {}, "results": {}}},
            (
                "workers: must be fleets by name, which for the one that there was is"
                """ `workers: {"workers": {}}`, got {}"""
            ),
        ),
        (
            {"workers": {"secrets": {"TOKEN": "arn"}}, "queues": {"tasks": {}, "results": {}}},
            (
                "workers: must be fleets by name, which for the one that there was is"
                """ `workers: {"workers": {"secrets": {"TOKEN": "arn"}}}`, got {'secrets': {'TOKEN': 'arn'}}"""
            ),
        ),
        (
            {"workers": {"a": {"sharesQueue": True}, "b": {}}, "queues": {"tasks": {}, "results": {}}},
            "workers.b.queue: must be another queue than that of a, or sharesQueue true in all of them, got 'tasks'",
        ),
        (
            {"workers": {"f": {"image": "mine:1", "imageTag": "mine"}}, "queues": {"tasks": {}}},
            "workers.f.imageTag: must be left out with image, which is no reference worker, got 'mine'",
        ),
        (
            {"workers": {"f": {"sendTo": ["nowhere"]}}, "queues": {"tasks": {}, "results": {}}},
            "workers.f.sendTo: must name what is under queues, got 'nowhere'",
        ),
        (
            {"workers": {"f": {"submitTo": ["nowhere"]}}, "queues": {"tasks": {}, "results": {}}},
            "workers.f.submitTo: must name what is under batch, got 'nowhere'",
        ),
        (
            {
                "batch": {f"b{number}": {"capacity": ["spot"]} for number in range(9)},
                "queues": {"tasks": {}, "results": {}},
                "workers": {"f": {"sendTo": ["tasks"] * 20, "submitTo": [f"b{number}" for number in range(9)]}},
            },
            (
                "workers.f.submitTo: must be at most 8 beside 20 under sendTo, because a role has no room for more,"
                " got 9"
            ),
        ),
        (
            {"batch": {"single": {"sendTo": ["nowhere"]}}, "queues": {"tasks": {}}},
            "batch.single.sendTo: must name what is under queues, got 'nowhere'",
        ),
        ({"eks": {"sendTo": ["nowhere"]}}, "eks.sendTo: must name what is under queues, got 'nowhere'"),
        (
            {"workers": {"f": {"queue": "q", "cpu": 256, "memory": 4096}}, "queues": {"q": {}, "results": {}}},
            "workers.f.memory: must be a size that Fargate offers with cpu 256: 512 to 2048, got 4096",
        ),
        (
            {"batch": {"multi": {"nodes": 2, "instanceTypes": ["p5.48xlarge"]}}},
            (
                "batch.multi.capacity: must be without spot with nodes over 1, "
                "because Batch runs no multi-node job there, got ['spot', 'onDemand']"
            ),
        ),
        (
            {"batch": {"single": {"vcpus": 8, "maxVcpus": 4}}},
            "batch.single.maxVcpus: must be at least nodes x vcpus (8), or no job ever starts, got 4",
        ),
        (
            {"batch": {"single": {"gpus": 5}}},
            "batch.single.gpus: must be at most 4, what g6.12xlarge, g6e.12xlarge can give, got 5",
        ),
        (
            {
                "batch": {
                    "single": {"instanceTypes": ["g5.xlarge"], "gpus": 1, "vcpus": 3, "memoryMib": 12_000, "efa": True}
                }
            },
            "batch.single.efa: must be false, because g5.xlarge has no EFA, got true",
        ),
        (
            {"batch": {"single": {"instanceTypes": ["g5.12xlarge", "g5g.16xlarge"], "gpus": 2}}},
            (
                "batch.single.instanceTypes: must share one processor architecture, "
                "got {'g5.12xlarge': 'x86_64', 'g5g.16xlarge': 'arm64'}"
            ),
        ),
        (
            {"eks": {"version": "1.30"}},
            (
                "eks.version: must be one in EKS's standard support: 1.34 (to 2026-12-02), 1.35 (to 2027-03-27),"
                " 1.36 (to 2027-08-02), got '1.30'"
            ),
        ),
        (
            {"eks": {"gpuNodeGroups": {"gpu": {"capacity": "capacityBlock"}}}},
            "eks.gpuNodeGroups.gpu.capacityReservationId: is required with capacity capacityBlock, got null",
        ),
        (
            {"eks": {"gpuNodeGroups": {"cpu": {"instanceTypes": ["m7i.large"]}}}},
            "eks.gpuNodeGroups.cpu.instanceTypes: must be types with an accelerator, got 'm7i.large'",
        ),
        (
            {"eks": {"publicAccessCidrs": ["0.0.0.0/0"]}, "protect": True},
            "eks.publicAccessCidrs: must not hold 0.0.0.0/0 together with protect, got '0.0.0.0/0'",
        ),
        (
            {"protect": True, "artifacts": {"forceDestroy": True}},
            "artifacts.forceDestroy: must be false together with protect, got true",
        ),
        ({"network": {"cidr": "8.8.0.0/16"}}, "network.cidr: must be a private range (RFC 1918), got '8.8.0.0/16'"),
        ({"network": {"cidr": "10.0.0.0/24"}}, "network.cidr: must be a /16 to /20, got '10.0.0.0/24'"),
        ({"network": {"cidr": "10.0.0.1/16"}}, "network.cidr: 10.0.0.1/16 has host bits set, got '10.0.0.1/16'"),
        (
            {"network": {"availabilityZones": 7}},
            "network.availabilityZones: must be less than or equal to 6, got 7",
        ),
        (
            {"network": {"existing": {"vpcId": "vpc-12345678"}}},
            "network.existing.privateSubnetIds: is required, got nothing",
        ),
        (
            {"alerts": {"emails": ["somebody"]}},
            "alerts.emails.0: must match pattern '^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$', got 'somebody'",
        ),
    ],
)
def test_a_mistake_is_one_line(sections: dict[str, Any], line: str, mistakes_in: MistakesIn) -> None:
    assert mistakes_in(sections) == [line]


def test_all_mistakes_are_reported_at_once(mistakes_in: MistakesIn) -> None:
    lines = mistakes_in(
        {
            "queues": {"tasks": {"maxReceiveCount": 0, "fifoo": 1}, "results": {"retentionDays": 15}},
            "network": {"natGateways": "many"},
            "workers": {"f": {"queue": "nowhere", "spotShare": 0.5}},
            "nonsense": 1,
        }
    )
    assert [line.split(":")[0] for line in lines] == [
        "network.natGateways",
        "nonsense",
        "queues.tasks.maxReceiveCount",
        "queues.tasks.fifoo",
        "queues.results.retentionDays",
        "workers.f.queue",
    ]
