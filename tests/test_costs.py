"""What a stack costs, worked out by hand for small stacks, and the page that says so."""

from collections.abc import Callable
from typing import Any

import pytest

from local import command_line
from local.aws import Aws
from local.costs import PRICES, Estimate
from local.provider import Provider
from local.record import TYPES, ResourceType
from tests.conftest import ROOT, RunStack

Estimated = Callable[[dict[str, Any]], Estimate]

HOURS = 730
GROUND_PER_MONTH = 0.045 * HOURS + 0.005 * HOURS + 1 + 3
"""A NAT gateway with its address, the topic's key, the dashboard."""
VOLUME_PER_MONTH = 200 * 0.08 + (6000 - 3000) * 0.005 + (500 - 125) * 0.04
"""A Batch instance's root volume."""
FREE = (
    *(
        f"aws:{service}/"
        for service in ("appautoscaling", "autoscaling", "ecr", "iam", "lambda", "s3", "sns", "sqs", "ssm", "vpc")
    ),
    *(f"aws:batch/{kind}:" for kind in ("jobDefinition", "jobQueue", "schedulingPolicy")),
    "aws:budgets/budget:",
    "aws:costexplorer/",
    *(f"aws:cloudwatch/{kind}" for kind in ("event", "log")),
    *(f"aws:ec2/{kind}:" for kind in ("defaultSecurityGroup", "flowLog", "internetGateway")),
    *(f"aws:ec2/{kind}" for kind in ("placementGroup:", "route", "securityGroup", "subnet:", "vpc:")),
    *(f"aws:ecs/{kind}" for kind in ("capacityProvider:", "cluster", "taskDefinition:")),
    *(f"aws:eks/{kind}" for kind in ("access", "podIdentityAssociation:")),
    "aws:fsx/dataRepositoryAssociation:",
    "aws:kms/alias:",
    "kubernetes:",
)
"""Beginnings of the types that cost nothing, or nothing while they are not used."""


@pytest.fixture
def estimated(run_sections: RunStack, aws: Aws) -> Estimated:
    return lambda sections: Provider(aws).estimate(run_sections(sections))


def test_the_ground_costs_a_nat_gateway_a_key_and_a_dashboard(estimated: Estimated) -> None:
    found = estimated({})
    assert found.idle_usd_per_month == pytest.approx(GROUND_PER_MONTH) == pytest.approx(40.5)
    assert found.busiest_usd_per_hour == pytest.approx(GROUND_PER_MONTH / HOURS)
    assert found.without_price == []


def test_nat_costs_by_the_zone_and_an_interface_endpoint_too(estimated: Estimated) -> None:
    network = {"availabilityZones": 3, "natGateways": "perZone", "interfaceEndpoints": ["logs", "sqs"]}
    more = 2 * (0.045 + 0.005) + 2 * 3 * 0.01
    assert estimated({"network": network}).idle_usd_per_month == pytest.approx(GROUND_PER_MONTH + more * HOURS)


def test_an_alarm_costs_by_the_metric(estimated: Estimated) -> None:
    # dead letters, too old, and unconsumed, which reads three
    assert estimated({"queues": {"tasks": {}}}).idle_usd_per_month == pytest.approx(GROUND_PER_MONTH + 5 * 0.10)


def test_batch_costs_its_alarms_idle_and_at_most_the_dearest_type_in_every_environment(estimated: Estimated) -> None:
    batch = {"instanceTypes": ["g6.12xlarge", "g6e.12xlarge"], "capacity": ["spot", "onDemand"], "maxVcpus": 192}
    found = estimated({"batch": {"single": batch}})
    # GPUs that are idle and broken, an invalid environment, jobs that wait, and the function that asks for these
    alarms = (2 + 3 + 1) * 0.10
    assert found.idle_usd_per_month == pytest.approx(GROUND_PER_MONTH + alarms)
    instances, series = 2 * 192 // 48, 3
    assert found.busiest_usd_per_hour == pytest.approx(
        instances * 10.49264 + (instances * VOLUME_PER_MONTH + GROUND_PER_MONTH + alarms + series * 0.30) / HOURS
    )


def test_metrics_of_gpus_cost_idle_only_where_an_instance_always_runs(estimated: Estimated) -> None:
    def idle(**settings: Any) -> float:
        (line,) = [one for one in estimated({"batch": {"single": settings}}).lines if "metric" in one.price]
        return line.at_rest

    assert (idle(), idle(minVcpus=48)) == (0, 3)
    assert all("metric" not in one.price for one in estimated({"batch": {"single": {"gpuMetrics": False}}}).lines)


def test_workers_cost_from_their_least_to_their_most(estimated: Estimated) -> None:
    queue: dict[str, Any] = {"queues": {"tasks": {}}}
    without = estimated(queue)
    workers = {"queue": "tasks", "image": "mine:1", "cpu": 2048, "memory": 4096, "minTasks": 1, "maxTasks": 10}
    found = estimated(queue | {"workers": {"workers": workers}})
    task = 2 * 0.04048 + 4 * 0.004445
    alarms = found.idle_usd_per_month - without.idle_usd_per_month - task * HOURS
    assert alarms == pytest.approx(0.10 * round(alarms / 0.10))
    assert 0 < alarms < 1
    assert found.busiest_usd_per_hour - without.busiest_usd_per_hour == pytest.approx(10 * task + alarms / HOURS)


def test_a_cluster_costs_its_control_plane_its_key_and_its_system_nodes_idle(estimated: Estimated) -> None:
    groups = {"gpu": {"instanceTypes": ["p5.48xlarge"], "maxSize": 3, "diskGib": 500}}
    found = estimated({"eks": {"systemNodes": {"minSize": 2, "maxSize": 5}, "gpuNodeGroups": groups}})
    paid = {(line.resource, line.price): (line.at_rest, line.at_most) for line in found.lines}
    assert paid["training-eksCluster", "EKS control plane"] == (1, 1)
    assert paid["training-system", "m7i.large"] == (2, 5)
    assert paid["training-gpu", "p5.48xlarge"] == (0, 3)
    assert paid["training-gpu", "gp3 storage"] == (0, 1500)
    assert found.busiest_usd_per_hour > 3 * 55.04
    assert found.instance_prices == {"m7i.large": 0.1008, "p5.48xlarge": 55.04}


def test_of_several_types_the_most_expensive_counts_and_each_has_its_price_said(estimated: Estimated) -> None:
    found = estimated({"batch": {"q": {"instanceTypes": ["g6.12xlarge", "g6e.12xlarge", "g5.xlarge"], "maxVcpus": 48}}})
    assert {line.price for line in found.lines if line.resource.startswith("q-")} > {"g6e.12xlarge", "g5.xlarge"}
    assert "g6.12xlarge" not in {line.price for line in found.lines}
    assert str(found).splitlines()[1:] == [
        "an hour of g6.12xlarge $4.60, g6e.12xlarge $10.49",
        "no price is known for: g5.xlarge",
    ]


def test_what_has_no_price_is_named_and_not_in_the_sums(estimated: Estimated) -> None:
    found = estimated(
        {
            "artifacts": {"lustre": {}},
            "batch": {"small": {"instanceTypes": ["g5.xlarge"], "maxVcpus": 8, "gpuMetrics": False}},
        }
    )
    assert found.without_price == ["aws:fsx/lustreFileSystem:LustreFileSystem", "g5.xlarge"]
    # four alarms
    assert found.idle_usd_per_month == pytest.approx(GROUND_PER_MONTH + 0.40)
    assert str(found).splitlines() == [
        (
            f"idle about $41 a month, at most about ${found.busiest_usd_per_hour:,.0f} an hour "
            "(on-demand prices of us-west-2, without traffic and storage; see docs/costs.md)"
        ),
        "no price is known for: aws:fsx/lustreFileSystem:LustreFileSystem, g5.xlarge",
    ]


def test_what_no_record_has_a_price_of_is_known_to_be_free() -> None:
    unpaid = {token for token, record in TYPES.items() if type(record).paid is ResourceType.paid}
    assert unpaid
    assert {token for token in unpaid if not token.startswith(FREE)} == set()


def test_every_price_says_where_it_is_from_and_of_when() -> None:
    for name, price in PRICES.items():
        assert price.usd > 0, name
        assert price.source.startswith("https://aws.amazon.com/"), name
        assert "202" in price.as_of, name


def test_preview_says_what_the_stack_costs(capfd: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["preview", "--stack", "dev"]) == 0
    page = (ROOT / "docs" / "costs.md").read_text()
    (line,) = [one for one in capfd.readouterr().out.splitlines() if one.startswith("idle about $")]
    assert f"**{line.split(' (')[0].capitalize()}**" in page.splitlines()
