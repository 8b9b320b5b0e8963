"""What AWS lets the account have (its quotas), compared with what the stack file asks for at most.

A new account may have no GPU at all. Batch, ECS and EKS say nothing of it: jobs, tasks and pods wait.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pulumi_aws import servicequotas

from components.iam import Account

VCPU_QUOTAS: Mapping[str, tuple[str, str | None]] = {
    "p": ("L-417A185B", None),
    "g": ("L-DB2E81BA", "L-3819A6DF"),
    "vt": ("L-DB2E81BA", "L-3819A6DF"),
    "trn": ("L-2C3B7624", "L-6B0D517C"),
    "inf": ("L-1945791B", "L-B5D1601B"),
    "dl": ("L-6E869C2A", "L-85EED4F7"),
    **dict.fromkeys(("a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"), ("L-1216C47A", "L-34B43A08")),
}
"""Letters that an instance type begins with -> codes of its quotas, on demand and on spot (EC2 user guide, "Amazon EC2
instance type quotas")."""
SPOT_P_QUOTAS = {**dict.fromkeys("234", "L-7212CCBC"), "5": "L-C4BD4855"}
"""Generation of a P type -> code of its quota on spot; no document names one for P6."""
FARGATE_QUOTAS = ("L-3032A538", "L-36FBB829")
"""Codes of the quotas of Fargate, on demand and on spot, in vCPUs."""
ADDRESSES, VPCS, NAT_GATEWAYS = ("ec2", "L-0263D0A3"), ("vpc", "L-F678F1CE"), ("vpc", "L-FE5A380F")
"""Service and code of the quotas of what a network takes; NAT gateways are counted by the zone."""


@dataclass(frozen=True, kw_only=True)
class Demand:
    """The vCPUs that a setting asks for at most."""

    path: str
    service: str
    code: str
    vcpus: float


def of_instances(path: str, instance_types: Iterable[str], usage_class: str, vcpus: int) -> Iterator[Demand]:
    """Demands of instances of some of these types; none for what has no quota, such as a capacity block."""
    for code in sorted({code for one in instance_types if (code := _code(one, usage_class))}):
        yield Demand(path=path, service="ec2", code=code, vcpus=vcpus)


def of_fargate(path: str, on_demand_vcpus: float, spot_vcpus: float) -> Iterator[Demand]:
    """Demands of tasks on Fargate."""
    for code, vcpus in zip(FARGATE_QUOTAS, (on_demand_vcpus, spot_vcpus), strict=True):
        if vcpus:
            yield Demand(path=path, service="fargate", code=code, vcpus=vcpus)


def notices(account: Account, demands: Iterable[Demand]) -> Iterator[str]:
    """A line for every quota that is lower than what is asked for at most, and one for those that cannot be read."""
    asked = defaultdict[tuple[str, str], list[Demand]](list)
    for one in demands:
        asked[one.service, one.code].append(one)
    unknown: list[str] = []
    for (service, code), listed in sorted(asked.items()):
        quota = ask(service, code)
        if quota is None:
            unknown.append(code)
        elif quota.value < (most := sum(one.vcpus for one in listed)):
            parts = ", ".join(f"{one.path} ({one.vcpus:g})" for one in sorted(listed, key=lambda one: one.path))
            yield (
                f"quota {code} ({quota.quota_name}): the account may run {quota.value:g} vCPUs, and {parts} ask for"
                f" {most:g} at most: what is over waits; more: {page(account, service, code)}"
            )
    if unknown:
        yield f"quotas {', '.join(unknown)}: AWS does not tell them to this caller (servicequotas:GetServiceQuota)"


def ask(service: str, code: str) -> servicequotas.GetServiceQuotaResult | None:
    """What a quota is called and how much AWS lets the account have; None when it does not say."""
    try:
        return servicequotas.get_service_quota(service_code=service, quota_code=code)
    except Exception:
        return None


def page(account: Account, service: str, code: str) -> str:
    """The page of the console where more is asked for."""
    return f"{account.console}/servicequotas/home/services/{service}/quotas/{code}"


def _code(instance_type: str, usage_class: str) -> str | None:
    family = re.match(r"([a-z]+)(\d?)", instance_type)
    letters, generation = family.groups() if family else ("", "")
    on_demand, spot = VCPU_QUOTAS.get(letters, (None, None))
    match usage_class:
        case "on-demand":
            return on_demand
        case "spot":
            return SPOT_P_QUOTAS.get(generation) if letters == "p" else spot
        case _:
            return None
