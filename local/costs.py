"""What a stack costs, from one table of prices: idle per month, and at most per hour.

At most means that everything runs at its maximum at once, on demand: spot costs less and is not predictable. Traffic,
requests and stored data are paid by use and not counted; nor are free tiers and discounts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from local.run import Registration, Run

HOURS_PER_MONTH = 730
"""Length of a month in AWS's price examples."""

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
    """One of what the price is for."""
    source: str
    """Address of the page with the price."""
    as_of: str
    """When the price was valid, as exactly as the source says."""


EC2 = "https://aws.amazon.com/ec2/pricing/on-demand/"
VPC = "https://aws.amazon.com/vpc/pricing/"
EBS = "https://aws.amazon.com/ebs/pricing/"
CLOUDWATCH = "https://aws.amazon.com/cloudwatch/pricing/"
FARGATE = "https://aws.amazon.com/fargate/pricing/"

# all read from public pages that quote AWS's price list of the region; where no page quoted a price for this region, it
# is missing here, and reported as missing for the resources that need it
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
    # of one's own, of the first 10,000; paid for the hours with points
    "CloudWatch metric": Price(usd=0.30, per="month", unit="metric", source=CLOUDWATCH, as_of="after 2022"),
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
"""What is paid for -> its price."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One item of a resource's cost, and how many of it."""

    resource: str
    """Logical name; `alarms` for all alarms together."""
    price: str
    """What is paid for: a key of `PRICES`, or a name without a price."""
    at_rest: float
    """How many when the stack is idle."""
    at_most: float
    """How many when everything runs."""

    def hourly(self, count: float) -> float:
        """What this many cost per hour, in dollars; 0 when there is no price."""
        price = PRICES.get(self.price)
        if price is None:
            return 0
        return count * price.usd / (1 if price.per == "hour" else HOURS_PER_MONTH)

    def with_more(self, other: "Line") -> "Line":
        """The sum of two lines for the same item."""
        return replace(self, at_rest=self.at_rest + other.at_rest, at_most=self.at_most + other.at_most)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a stack costs."""

    lines: Sequence[Line]
    """What is paid for, resource by resource."""
    without_price: Sequence[str]
    """Types of resources and instances that have no price here, and are not in the sums."""
    instance_prices: Mapping[str, float]
    """Instance type -> US dollars for an hour of one, of all that may run."""

    @property
    def idle_usd_per_hour(self) -> float:
        """What an idle hour costs."""
        return sum(line.hourly(line.at_rest) for line in self.lines)

    @property
    def idle_usd_per_month(self) -> float:
        """What an idle month costs."""
        return self.idle_usd_per_hour * HOURS_PER_MONTH

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
        """The sums, the price of each instance type, and what has no price, a line each."""
        said = [f"{self.totals} (on-demand prices of {REGION}, without traffic and storage; see docs/costs.md)"]
        if self.instance_prices:
            said.append("an hour of " + ", ".join(f"{one} ${usd:,.2f}" for one, usd in self.instance_prices.items()))
        if self.without_price:
            said.append(f"no price is known for: {', '.join(self.without_price)}")
        return "\n".join(said)


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a stack costs, whole and by its parts."""

    whole: Estimate
    parts: Mapping[str, Estimate]
    """URN of each direct child of the stack -> the cost of everything in it."""


@dataclass(frozen=True, kw_only=True)
class Priced:
    """A resource whose cost is estimated, and the run that registered it."""

    resource: Registration
    run: Run
    vcpus_of: Callable[[str], int]
    """How many vCPUs an instance type has."""

    def line(self, price: str, at_rest: float = 1, at_most: float | None = None) -> Line:
        """An item of this resource's cost; at most as many as at rest unless said."""
        return Line(
            resource=self.resource.name, price=price, at_rest=at_rest, at_most=at_rest if at_most is None else at_most
        )

    def needed(self, type_: str) -> Iterator[Registration]:
        """The resources of a type that it depends on."""
        found = (self.run.registrations.get(urn) for urn in sorted(self.resource.dependencies))
        return (one for one in found if one is not None and one.type == type_)

    def needing(self, type_: str) -> Iterator[Registration]:
        """The resources of a type that depend on it."""
        return (
            one
            for one in self.run.registrations.values()
            if one.type == type_ and self.resource.urn in one.dependencies
        )

    def instances(self, counts: Mapping[str, tuple[int, int]]) -> Iterator[Line]:
        """The most expensive of several instance types, each with its minimum and maximum number; with its volumes."""
        lines = [self.line(one, at_rest, at_most) for one, (at_rest, at_most) in counts.items()]
        yield from (line for line in lines if line.price not in PRICES)
        dearest = max(lines, key=lambda line: line.hourly(line.at_most))
        # the others with a price are named with it, and run no instance beside the most expensive
        for line in lines:
            if line.price in PRICES:
                yield line if line is dearest else replace(line, at_rest=0, at_most=0)
        for template in self.needed("aws:ec2/launchTemplate:LaunchTemplate"):
            for device in template.inputs.get("blockDeviceMappings", []):
                volume = device["ebs"]
                for price, amount in (
                    ("gp3 storage", volume["volumeSize"]),
                    ("gp3 IOPS over 3000", volume.get("iops", 0) - GP3_FREE_IOPS),
                    ("gp3 throughput over 125 MiB/s", volume.get("throughput", 0) - GP3_FREE_MIB_PER_SECOND),
                ):
                    if amount > 0:
                        yield self.line(price, dearest.at_rest * amount, dearest.at_most * amount)


def estimate(lines: Iterator[Line]) -> Estimate:
    """The estimate of these lines, the most expensive first; lines of one resource for the same item are added."""
    together: dict[tuple[str, str], Line] = {}
    for line in lines:
        before = together.get(key := (line.resource, line.price))
        together[key] = line if before is None else before.with_more(line)
    of_instances = {name for name, price in PRICES.items() if price.unit == "instance"}
    dearest_first = sorted(
        (one for one in together.values() if one.at_most or one.price not in of_instances),
        key=lambda line: (-line.hourly(line.at_most), line.resource, line.price),
    )
    return Estimate(
        lines=dearest_first,
        without_price=sorted({one.price for one in dearest_first} - set(PRICES)),
        instance_prices={
            one: PRICES[one].usd for one in sorted({line.price for line in together.values()} & of_instances)
        },
    )
