"""What AWS asks for an hour of something, by the list prices in `prices.json`.

The file is made of the prices of `local/costs.py` by `make pages`.
"""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

NAT_GATEWAY, PUBLIC_ADDRESS, CONTROL_PLANE = "NAT gateway", "public IPv4 address", "EKS control plane"
FARGATE_VCPU, FARGATE_MEMORY = "Fargate vCPU", "Fargate memory"


@cache
def _table() -> dict[str, Any]:
    return json.loads(Path(__file__).with_name("prices.json").read_text(encoding="utf-8"))


def region() -> str:
    """Whose prices they are."""
    return _table()["region"]


def hourly(what: str) -> float | None:
    """US dollars for an hour; None where no price is known."""
    return _table()["usdPerHour"].get(what)


def dearest(instance_types: Iterable[str]) -> float | None:
    """The highest price of several instance types; None where one has none."""
    prices = [hourly(one) for one in instance_types]
    known = [one for one in prices if one is not None]
    return max(known) if known and len(known) == len(prices) else None
