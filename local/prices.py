"""What a stack costs, from one table of prices: at rest by the month, and at most by the hour.

At most means that everything runs at its maximum at once, on demand: spot costs less and is not predictable. Traffic,
requests and what is stored are paid by use and not counted; neither are free tiers and discounts.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from local.cloud import LocalCloud
from local.engine import Registration, Run

PROJECT = Path(__file__).parents[1]
HOURS_PER_MONTH = 730
"""As AWS counts a month in its price examples."""

REGION = "us-west-2"
"""The region of every price below."""

GP3_FREE_IOPS = 3000
GP3_FREE_MIB_PER_SECOND = 125


@dataclass(frozen=True, kw_only=True)
class Price:
    """A list price in US dollars, in `REGION`."""

    usd: float
    per: Literal["hour", "month"]
    unit: str
    """What is counted."""
    source: str
    """The page of the price."""
    as_of: str
    """When the price was in force, as far as it could be read."""


EC2 = "https://aws.amazon.com/ec2/pricing/on-demand/"
VPC = "https://aws.amazon.com/vpc/pricing/"
EBS = "https://aws.amazon.com/ebs/pricing/"
CLOUDWATCH = "https://aws.amazon.com/cloudwatch/pricing/"
FARGATE = "https://aws.amazon.com/fargate/pricing/"

# each read at second hand, from public pages that quote AWS's price list of the region; a price that could not be read
# for this region is not here, and what needs it is said to have none
PRICES: Mapping[str, Price] = {
    "NAT gateway": Price(usd=0.045, per="hour", unit="gateway", source=VPC, as_of="2026-10-04"),
    "public IPv4 address": Price(usd=0.005, per="hour", unit="address", source=VPC, as_of="2026-10-04"),
    "interface endpoint": Price(
        usd=0.01, per="hour", unit="zone", source="https://aws.amazon.com/privatelink/pricing/", as_of="2026-10-06"
    ),
    "EKS control plane": Price(
        usd=0.10, per="hour", unit="cluster", source="https://aws.amazon.com/eks/pricing/", as_of="2026-10-04"
    ),
    "KMS key": Price(usd=1.00, per="month", unit="key", source="https://aws.amazon.com/kms/pricing/", as_of="2026-09"),
    "CloudWatch alarm": Price(usd=0.10, per="month", unit="metric", source=CLOUDWATCH, as_of="2026-09"),
    "CloudWatch dashboard": Price(usd=3.00, per="month", unit="dashboard", source=CLOUDWATCH, as_of="2026-06-13"),
    "gp3 storage": Price(usd=0.08, per="month", unit="GiB", source=EBS, as_of="2026-10-04"),
    "gp3 IOPS over 3000": Price(usd=0.005, per="month", unit="IOPS", source=EBS, as_of="2026-09"),
    "gp3 throughput over 125 MiB/s": Price(usd=0.04, per="month", unit="MiB/s", source=EBS, as_of="2026-09"),
    "Fargate vCPU": Price(usd=0.04048, per="hour", unit="vCPU", source=FARGATE, as_of="2026-06-17"),
    "Fargate memory": Price(usd=0.004445, per="hour", unit="GB", source=FARGATE, as_of="2026-06-17"),
    **{
        instance_type: Price(usd=usd, per="hour", unit="instance", source=EC2, as_of=as_of)
        for instance_type, usd, as_of in (
            ("g5.12xlarge", 5.672, "2025-03-14"),
            ("g6.12xlarge", 4.6016, "2025-03-14"),
            ("g6e.12xlarge", 10.49264, "2025-03-14"),
            # AWS cut the prices of p4 and p5 in June 2025; these are from after that
            ("g6e.24xlarge", 15.06559, "after 2025-06"),
            ("g6e.48xlarge", 30.13118, "after 2025-06"),
            ("m7i.large", 0.1008, "after 2025-06"),
            ("p4d.24xlarge", 21.95764, "after 2025-06"),
            ("p4de.24xlarge", 27.44705, "after 2025-06"),
            ("p5.48xlarge", 55.04, "2026-09-01"),
        )
    },
}
"""Name of what is paid for -> its price."""

UNCOUNTED = (
    # paid by use, or free
    "aws:appautoscaling/",
    "aws:batch/jobDefinition:",
    "aws:batch/jobQueue:",
    "aws:batch/schedulingPolicy:",
    "aws:autoscaling/tag:",
    "aws:budgets/",
    "aws:cloudwatch/eventRule:",
    "aws:cloudwatch/eventTarget:",
    "aws:cloudwatch/log",
    "aws:ec2/defaultSecurityGroup:",
    "aws:ec2/flowLog:",
    "aws:ec2/internetGateway:",
    "aws:ec2/launchTemplate:",
    "aws:ec2/placementGroup:",
    "aws:ec2/route",
    "aws:ec2/securityGroup",
    "aws:ec2/subnet:",
    "aws:ec2/vpc:",
    "aws:ecr/",
    "aws:ecs/cluster",
    "aws:ecs/taskDefinition:",
    "aws:eks/accessEntry:",
    "aws:eks/accessPolicyAssociation:",
    "aws:eks/addon:",
    "aws:eks/podIdentityAssociation:",
    "aws:fsx/dataRepositoryAssociation:",
    "aws:iam/",
    "aws:kms/alias:",
    "aws:s3/",
    "aws:sns/",
    "aws:sqs/",
    "aws:vpc/",
    "kubernetes:",
    "pulumi:",
)
"""Beginnings of the resource types that cost nothing while they are not used."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """So much of one thing that one resource is paid for."""

    resource: str
    """Logical name; alarms are one."""
    price: str
    """What is paid for: a name that may have a price."""
    at_rest: float
    """How many while there is nothing to do."""
    at_most: float
    """How many when everything runs."""

    def hourly(self, count: float) -> float:
        """What so many cost an hour, in dollars; nothing when there is no price."""
        price = PRICES.get(self.price)
        if price is None:
            return 0
        return count * price.usd / (1 if price.per == "hour" else HOURS_PER_MONTH)

    def with_more(self, other: "Line") -> "Line":
        """Two lines of the same thing as one."""
        return replace(self, at_rest=self.at_rest + other.at_rest, at_most=self.at_most + other.at_most)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a stack costs."""

    lines: Sequence[Line]
    """What is paid for, resource by resource."""
    without_price: Sequence[str]
    """Types of resources and instances that have no price here, and are not in the sums."""

    @property
    def idle_usd_per_month(self) -> float:
        """What a month costs with nothing to do."""
        return sum(line.hourly(line.at_rest) for line in self.lines) * HOURS_PER_MONTH

    @property
    def busiest_usd_per_hour(self) -> float:
        """What an hour costs with everything at its maximum."""
        return sum(line.hourly(line.at_most) for line in self.lines)

    @property
    def totals(self) -> str:
        """Both sums, in words."""
        idle, busiest = self.idle_usd_per_month, self.busiest_usd_per_hour
        return f"idle about ${idle:,.0f} a month, at most about ${busiest:,.0f} an hour"

    def __str__(self) -> str:
        """One line, and one more for what has no price."""
        said = f"{self.totals} (on-demand prices of {REGION}, without traffic and storage; see docs/costs.md)"
        return said if not self.without_price else f"{said}\nno price is known for: {', '.join(self.without_price)}"


def estimate(run: Run, cloud: LocalCloud) -> Estimate:
    """What the stack that a run registered costs; `cloud` knows how large an instance type is."""
    lines: dict[tuple[str, str], Line] = {}
    unknown: set[str] = set()
    for one in run.registrations.values():
        if (paid := PAID.get(one.type)) is not None:
            for line in paid(one, run, cloud):
                before = lines.get(key := (line.resource, line.price))
                lines[key] = line if before is None else before.with_more(line)
                unknown |= {line.price} - set(PRICES)
        elif one.provided and not one.type.startswith(UNCOUNTED):
            unknown.add(one.type)
    dearest_first = sorted(lines.values(), key=lambda line: (-line.hourly(line.at_most), line.resource, line.price))
    return Estimate(lines=dearest_first, without_price=sorted(unknown))


def _one(price: str) -> Callable[[Registration, Run, LocalCloud], Iterator[Line]]:
    def paid(resource: Registration, _run: Run, _cloud: LocalCloud) -> Iterator[Line]:
        yield Line(resource=resource.name, price=price, at_rest=1, at_most=1)

    return paid


def _endpoint(resource: Registration, _run: Run, _cloud: LocalCloud) -> Iterator[Line]:
    """An interface endpoint is paid in each of its zones; a gateway endpoint is free."""
    if resource.inputs["vpcEndpointType"] == "Interface":
        zones = len(resource.inputs["subnetIds"])
        yield Line(resource=resource.name, price="interface endpoint", at_rest=zones, at_most=zones)


def _alarm(resource: Registration, _run: Run, _cloud: LocalCloud) -> Iterator[Line]:
    """An alarm is paid by the metrics that it reads."""
    metrics = sum("metric" in query for query in resource.inputs.get("metricQueries", [])) or 1
    yield Line(resource="alarms", price="CloudWatch alarm", at_rest=metrics, at_most=metrics)


def _node_group(resource: Registration, run: Run, _cloud: LocalCloud) -> Iterator[Line]:
    """Nodes between the group's least and most; of several types the dearest."""
    sizes = resource.inputs["scalingConfig"]
    # a capacity block has its type in the template, and is paid when it is bought
    types = resource.inputs.get("instanceTypes") or ["capacity block"]
    yield from _instances(resource, run, dict.fromkeys(types, (sizes["minSize"], sizes["maxSize"])))


def _compute_environment(resource: Registration, run: Run, cloud: LocalCloud) -> Iterator[Line]:
    """As many instances as the least and the most vCPUs ask for; of several types those that cost most."""
    compute: dict[str, Any] = resource.inputs["computeResources"]
    vcpus = {
        one: cloud.answer("aws:ec2/getInstanceType:getInstanceType", {"instanceType": one})["defaultVcpus"]
        for one in compute["instanceTypes"]
    }
    counts = {
        one: tuple(math.ceil(compute[bound] / vcpus[one]) for bound in ("minVcpus", "maxVcpus"))
        for one in compute["instanceTypes"]
    }
    yield from _instances(resource, run, counts)


def _instances(resource: Registration, run: Run, counts: Mapping[str, tuple[int, ...]]) -> Iterator[Line]:
    """The type that costs most at its count, with the volumes of the launch template."""
    lines = [
        Line(resource=resource.name, price=one, at_rest=at_rest, at_most=at_most)
        for one, (at_rest, at_most) in counts.items()
    ]
    yield from (line for line in lines if line.price not in PRICES)
    dearest = max(lines, key=lambda line: line.hourly(line.at_most))
    if dearest.price in PRICES:
        yield dearest
    for template in _dependencies(resource, run, "aws:ec2/launchTemplate:LaunchTemplate"):
        for device in template.inputs.get("blockDeviceMappings", []):
            volume = device["ebs"]
            for price, amount in (
                ("gp3 storage", volume["volumeSize"]),
                ("gp3 IOPS over 3000", volume.get("iops", 0) - GP3_FREE_IOPS),
                ("gp3 throughput over 125 MiB/s", volume.get("throughput", 0) - GP3_FREE_MIB_PER_SECOND),
            ):
                if amount > 0:
                    yield Line(
                        resource=resource.name,
                        price=price,
                        at_rest=dearest.at_rest * amount,
                        at_most=dearest.at_most * amount,
                    )


def _service(resource: Registration, run: Run, _cloud: LocalCloud) -> Iterator[Line]:
    """Fargate tasks between what the service starts with and what scaling may ask for."""
    at_rest = resource.inputs["desiredCount"]
    at_most = max(
        (
            one.inputs["maxCapacity"]
            for one in run.registrations.values()
            if one.type == "aws:appautoscaling/target:Target" and resource.urn in one.dependencies
        ),
        default=at_rest,
    )
    for task in _dependencies(resource, run, "aws:ecs/taskDefinition:TaskDefinition"):
        arm = task.inputs.get("runtimePlatform", {}).get("cpuArchitecture") == "ARM64"
        for what, amount in (("vCPU", int(task.inputs["cpu"]) / 1024), ("memory", int(task.inputs["memory"]) / 1024)):
            yield Line(
                resource=resource.name,
                price=f"Fargate {what}{' on ARM64' if arm else ''}",
                at_rest=at_rest * amount,
                at_most=at_most * amount,
            )


def _dependencies(resource: Registration, run: Run, type_: str) -> Iterator[Registration]:
    return (one for urn in sorted(resource.dependencies) if (one := run.registrations.get(urn)) and one.type == type_)


PAID: Mapping[str, Callable[[Registration, Run, LocalCloud], Iterator[Line]]] = {
    "aws:batch/computeEnvironment:ComputeEnvironment": _compute_environment,
    "aws:cloudwatch/dashboard:Dashboard": _one("CloudWatch dashboard"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": _alarm,
    "aws:ec2/eip:Eip": _one("public IPv4 address"),
    "aws:ec2/natGateway:NatGateway": _one("NAT gateway"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": _endpoint,
    "aws:ecs/service:Service": _service,
    "aws:eks/nodeGroup:NodeGroup": _node_group,
    "aws:kms/key:Key": _one("KMS key"),
    "eks:index:Cluster": _one("EKS control plane"),
}
"""Resource type -> what it is paid for."""


DOCUMENT = """\
# What it costs

Made by `make pages` from the table in local/prices.py; a test keeps it so. *Idle* is a month of {hours} hours
with nothing to do. *At most* is one hour with everything at its maximum at once, on demand: spot costs less.

Not counted: traffic, requests, stored data, logs and the metrics of Container Insights, which are paid by use; the
alarms that Application Auto Scaling makes itself; what the rotation of a KMS key adds, a dollar a month after each of
the first two; free tiers and discounts.
{sections}
## Prices

US dollars in {region}, on demand, Linux: list prices of AWS as public pages quoted them at that date. Look at the
source before you rely on one.

| what | price | as of | source |
| --- | --- | --- | --- |
{prices}
"""

SECTION = """
## Pulumi.{name}.yaml

**{totals}**

| resource | paid for | idle | at most | idle a month | at most an hour |
| --- | --- | --- | --- | --- | --- |
{lines}
| | **sum** | | | **${idle:,.2f}** | **${busiest:,.3f}** |
"""


def document(estimates: Mapping[str, Estimate]) -> str:
    """docs/costs.md: a table for each stack file, then the prices that it was made from."""
    used = sorted({line.price for one in estimates.values() for line in one.lines if line.price in PRICES})
    return DOCUMENT.format(
        hours=HOURS_PER_MONTH,
        region=REGION,
        sections="".join(_section(name, one) for name, one in estimates.items()),
        prices="\n".join(
            f"| {name} | ${price.usd} per {price.unit} and {price.per} | {price.as_of} | {price.source} |"
            for name, price in ((name, PRICES[name]) for name in used)
        ),
    )


def _section(name: str, one: Estimate) -> str:
    section = SECTION.format(
        name=name,
        totals=one.totals.capitalize(),
        lines="\n".join(_row(line) for line in one.lines),
        idle=one.idle_usd_per_month,
        busiest=one.busiest_usd_per_hour,
    )
    return f"{section}\nNo price is known for: {', '.join(one.without_price)}.\n" if one.without_price else section


def _row(line: Line) -> str:
    idle, busiest = line.hourly(line.at_rest) * HOURS_PER_MONTH, line.hourly(line.at_most)
    money = f"${idle:,.2f} | ${busiest:,.3f}" if line.price in PRICES else "no price | no price"
    return f"| {line.resource} | {line.price} | {line.at_rest:g} | {line.at_most:g} | {money} |"
