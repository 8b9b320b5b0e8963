"""What things cost: the page docs/costs.md, and the prices that `train` carries."""

import json
from collections.abc import Mapping

from local.costs import HOURS_PER_MONTH, PRICES, REGION, Estimate, Line

DOCUMENT = """\
# What it costs

Made by `make pages` from the prices in local/costs.py and what each record in local/types/ is paid for; a test keeps
it so. *Idle* is a month of {hours} hours with nothing to do. *At most* is one hour with everything at its maximum at
once, on demand: spot costs less.

Not counted: traffic, requests, stored data, logs, the metrics of Container Insights, of the workers' log and of
job queues, which are paid by use; the alarms that Application Auto Scaling makes itself; what the rotation of a KMS key
adds, a dollar a month after each of the first two; free tiers and discounts.

Outside of this: Savings Plans and Reserved Instances, which lower what is paid for the same hours; Capacity
Reservations and Capacity Blocks, which are paid whether something runs in them or not. An account or an organization
buys them, not a stack. What was paid is in AWS Cost Explorer.
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


def prices() -> str:
    """What an hour of each thing costs, as `train` reads it."""
    hourly = {name: price.usd / (1 if price.per == "hour" else HOURS_PER_MONTH) for name, price in PRICES.items()}
    return json.dumps({"region": REGION, "usdPerHour": hourly}, indent=2, sort_keys=True) + "\n"
