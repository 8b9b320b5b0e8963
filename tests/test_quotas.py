"""What AWS lets the account have, beside what a stack file asks for."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from components import quotas
from components.iam import Account
from local.aws import Aws
from local.provider import Provider
from local.run import RefusedError, Run
from tests.conftest import DEFAULT_TAGS, REGION, NewStackProvider, run_config

ACCOUNT = Account(id="123456789012", partition="aws", region=REGION)


class LessProvider(Provider):
    """The provider for an account that may have less, or whose quotas are not told."""

    def __init__(self, aws: Aws, **values: float | None) -> None:
        super().__init__(aws)
        self.values = {f"L-{code}": value for code, value in values.items()}

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        code = arguments.get("quotaCode", "")
        if code in self.values:
            if (value := self.values[code]) is None:
                raise RefusedError(f"{token}: AccessDeniedException")
            return {**super().invoke(token, arguments), "value": value}
        return super().invoke(token, arguments)


class PoorProvider(LessProvider, NewStackProvider):
    """The same for a new stack, beside what others have."""

    there: Mapping[str, dict[str, Any]] = {}

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        # of other stacks none has the name and the range of this one's
        if token in self.there and not (token == "aws:ec2/getVpcs:getVpcs" and "filters" in arguments):
            return self.there[token]
        return super().invoke(token, arguments)


@pytest.fixture
def preview(aws: Aws) -> Callable[..., Run]:
    def run(sections: Mapping[str, Any], provider: NewStackProvider) -> Run:
        return run_config(aws, {f"distributed-training:{key}": one for key, one in sections.items()}, True, provider)

    return run


def lines(run: Run) -> list[str]:
    return [line for line in run.messages if line.startswith("quota")]


def test_a_new_account_without_gpus_is_told_what_waits_and_where_to_ask(aws: Aws, preview: Callable[..., Run]) -> None:
    provider = PoorProvider(aws, DB2E81BA=0, **{"3819A6DF": 64})
    run = preview(
        {
            "batch": {"single": {"maxVcpus": 192}, "other": {"capacity": ["onDemand"], "maxVcpus": 96}},
            "eks": {"gpuNodeGroups": {"gpu": {"maxSize": 2}}, "publicAccessCidrs": ["52.94.76.0/24"]},
        },
        provider,
    )
    assert run.error is None
    console = f"https://{REGION}.console.aws.amazon.com/servicequotas/home/services/ec2/quotas"
    assert lines(run) == [
        (
            "quota L-3819A6DF (All G and VT Spot Instance Requests): the account may run 64 vCPUs, and"
            f" batch.single.maxVcpus (192) ask for 192 at most: what is over waits; more: {console}/L-3819A6DF"
        ),
        (
            "quota L-DB2E81BA (Running On-Demand G and VT instances): the account may run 0 vCPUs, and"
            " batch.other.maxVcpus (96), batch.single.maxVcpus (192), eks.gpuNodeGroups.gpu.maxSize (96) ask for 384 at"
            f" most: what is over waits; more: {console}/L-DB2E81BA"
        ),
    ]


def test_workers_are_held_against_fargates_quotas_on_demand_and_on_spot(aws: Aws, preview: Callable[..., Run]) -> None:
    provider = PoorProvider(aws, **{"3032A538": 6, "36FBB829": 6})
    sections: dict[str, Any] = {
        "queues": {"tasks": {}, "results": {}},
        "workers": {"prepare": {"maxTasks": 20, "cpu": 1024, "spotShare": 0.75}},
    }
    (line,) = lines(preview(sections, provider))
    assert line.startswith("quota L-36FBB829 (Fargate Spot vCPU resource count): the account may run 6 vCPUs, and ")


def test_an_account_with_room_hears_nothing(aws: Aws, preview: Callable[..., Run]) -> None:
    run = preview({"batch": {"single": {}}}, NewStackProvider(aws))
    assert run.error is None
    assert lines(run) == []


def test_a_caller_who_may_not_ask_is_told_so_once(aws: Aws, preview: Callable[..., Run]) -> None:
    provider = PoorProvider(aws, DB2E81BA=None, **{"3819A6DF": None})
    assert lines(preview({"batch": {"single": {}}}, provider)) == [
        "quotas L-3819A6DF, L-DB2E81BA: AWS does not tell them to this caller (servicequotas:GetServiceQuota)"
    ]


@pytest.mark.parametrize(
    ("code", "there", "line"),
    [
        (
            "F678F1CE",
            {"aws:ec2/getVpcs:getVpcs": {"ids": ["vpc-1"] * 5}},
            (
                "network.cidr: the account has 5 of 5 VPCs, and 1 more would be needed (quota L-F678F1CE); ask for more"
                f" at https://{REGION}.console.aws.amazon.com/servicequotas/home/services/vpc/quotas/L-F678F1CE,"
                " got '10.0.0.0/16'"
            ),
        ),
        (
            "0263D0A3",
            {"aws:ec2/getEips:getEips": {"allocationIds": ["e"] * 3, "publicIps": []}},
            (
                "network.natGateways: the account has 3 of 5 elastic IP addresses, and 3 more would be needed (quota"
                f" L-0263D0A3); ask for more at https://{REGION}.console.aws.amazon.com/servicequotas/home/services/ec2"
                "/quotas/L-0263D0A3, got 'perZone'"
            ),
        ),
    ],
)
def test_a_network_that_the_account_has_no_room_for_is_refused_before_anything_is_made(
    code: str, there: dict[str, dict[str, Any]], line: str, aws: Aws, preview: Callable[..., Run]
) -> None:
    provider = PoorProvider(aws, **{code: 5})
    provider.there = there
    run = preview({"network": {"availabilityZones": 3, "natGateways": "perZone"}}, provider)
    assert run.registrations == {}
    assert str(run.error) == line


def test_a_deployed_network_needs_room_only_for_what_is_new() -> None:
    with Aws(REGION, DEFAULT_TAGS) as aws:
        config = {"distributed-training:network": {"natGateways": "single"}}
        first = run_config(aws, config, False, NewStackProvider(aws))
        assert first.error is None
        provider = LessProvider(aws, **{"F678F1CE": 1, "0263D0A3": 1, "FE5A380F": 1})
        assert run_config(aws, config, True, provider).error is None
        more = run_config(aws, {"distributed-training:network": {"natGateways": "perZone"}}, True, provider)
        assert str(more.error).startswith(
            "network.natGateways: the account has 1 of 1 elastic IP addresses, and 1 more"
        )


@pytest.mark.parametrize(
    ("instance_type", "usage_class", "code"),
    [
        ("p5en.48xlarge", "on-demand", "L-417A185B"),
        ("p5.48xlarge", "spot", "L-C4BD4855"),
        ("p4d.24xlarge", "spot", "L-7212CCBC"),
        ("p6-b200.48xlarge", "spot", None),
        ("g6e.12xlarge", "spot", "L-3819A6DF"),
        ("trn1.32xlarge", "on-demand", "L-2C3B7624"),
        ("inf2.48xlarge", "on-demand", "L-1945791B"),
        ("m7i.large", "on-demand", "L-1216C47A"),
        ("im4gn.large", "spot", "L-34B43A08"),
        ("hpc7g.4xlarge", "on-demand", None),
        ("p5.48xlarge", "capacity-block", None),
    ],
)
def test_each_family_and_kind_of_capacity_has_a_quota_of_its_own(
    instance_type: str, usage_class: str, code: str | None
) -> None:
    found = [one.code for one in quotas.of_instances("x", [instance_type], usage_class, 8)]
    assert found == ([] if code is None else [code])


def test_a_page_of_the_console_is_that_of_the_partition() -> None:
    china = Account(id="123456789012", partition="aws-cn", region="cn-north-1")
    assert quotas.page(china, "ec2", "L-1").startswith("https://cn-north-1.console.amazonaws.cn/servicequotas/")
    assert quotas.page(ACCOUNT, "ec2", "L-1").startswith(f"https://{REGION}.console.aws.amazon.com/")


def test_a_zone_in_which_the_account_has_no_subnet_has_room_and_nothing_is_asked_of_it(
    aws: Aws, preview: Callable[..., Run]
) -> None:
    asked: list[Mapping[str, Any]] = []

    class Asked(PoorProvider):
        def invoke(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
            if token == "aws:ec2/getNatGateways:getNatGateways":
                asked.append(arguments)
            return super().invoke(token, arguments)

    provider = Asked(aws)
    provider.there = {"aws:ec2/getSubnets:getSubnets": {"id": REGION, "ids": []}}
    assert preview({"network": {"natGateways": "perZone"}}, provider).error is None
    assert asked == []
