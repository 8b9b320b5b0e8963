"""Every region and partition: what the program makes there, and what it refuses."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from client import outputs
from local import engine, stack_files
from local.aws import Aws
from local.provider import Provider
from local.run import Run
from tests.conftest import DEFAULT_TAGS, ROOT, shaped
from tests.support import one_of

HERE = "us-west-2"
"""The region of the stack files."""
REGIONS = {
    "us-east-1": "aws",
    "eu-central-1": "aws",
    "ap-northeast-1": "aws",
    "us-gov-west-1": "aws-us-gov",
    "cn-north-1": "aws-cn",
}
OF_PARTITION = {
    "aws": ("arn:aws:", "amazonaws.com", "console.aws.amazon.com"),
    "aws-us-gov": ("arn:aws-us-gov:", "amazonaws.com", "console.amazonaws-us-gov.com"),
    "aws-cn": ("arn:aws-cn:", "amazonaws.com.cn", "console.amazonaws.cn"),
}
"""Partition -> how ARNs begin, the domain of services, that of the console."""
PRINCIPAL = re.compile(r'"[a-z.-]+\.amazonaws\.com"')
"""A service as roles and policies name it, in all partitions alike but for EC2 in China."""
LABEL = re.compile(r"(k8s|vpc)\.amazonaws\.com/|https://[\w.-]+\.eks\.amazonaws\.com")
"""Words of Kubernetes, which are no addresses, and the address of a control plane, which is moto's."""


TYPES = {
    "eu-central-1": {"p5.48xlarge": "p4d.24xlarge"},
    "us-gov-west-1": {"p5.48xlarge": "p4d.24xlarge", "g6.12xlarge": "g5.12xlarge", "g6e.12xlarge": "g4dn.12xlarge"},
    "cn-north-1": {"p5.48xlarge": "g5.48xlarge", "g6.12xlarge": "g5.12xlarge", "g6e.12xlarge": "g4dn.12xlarge"},
}
"""Region -> type of the stack files -> one that the region has."""
NO_BUDGET = (
    "alerts.monthlyBudgetUsd: must be left out in GovCloud, which has no AWS Budgets: set it in the account that pays"
)
NO_EFA = "batch.multi.efa: must be false in China, where Batch has no EFA, got true"


@pytest.fixture(scope="module", params=REGIONS)
def there(request: pytest.FixtureRequest) -> Iterator[Aws]:
    with Aws(request.param, DEFAULT_TAGS) as aws:
        yield aws


def renamed(value: Any, types: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: renamed(one, types) for key, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return list(dict.fromkeys(renamed(one, types) for one in cast("list[str]", value)))
    return types.get(value, value) if isinstance(value, str) else value


def moved(name: str, region: str, *, fits: bool) -> stack_files.StackFile:
    """A stack file of the project in another region, with types that it offers; as it `fits` what the region has."""
    stack = stack_files.read(ROOT, name)
    prefix = f"{stack.project}:"
    sections = {
        key.removeprefix(prefix): renamed(json.loads(value), TYPES.get(region, {}))
        for key, value in stack.config.items()
        if key.startswith(prefix)
    }
    sections["network"]["availabilityZones"] = 2
    if fits and REGIONS[region] == "aws-us-gov":
        sections["alerts"].pop("monthlyBudgetUsd", None)
    if fits and REGIONS[region] == "aws-cn" and "multi" in sections["batch"]:
        sections["batch"]["multi"]["efa"] = False
    config = {f"{prefix}{key}": json.dumps(value) for key, value in sections.items()}
    return replace(stack, config={**stack.config, **config, "aws:region": region})


def run(aws: Aws, name: str, *, preview: bool) -> Run:
    found = engine.run(moved(name, aws.region, fits=True), Provider(aws), preview=preview)
    if found.error is not None:
        raise found.error
    return shaped(found)


def foreign(run: Run, partition: str) -> list[str]:
    """What a run says in words of another partition."""
    arn, domain, _ = OF_PARTITION[partition]
    found: list[str] = []
    for urn, one in run.registrations.items():
        text = json.dumps(dict(one.inputs), default=str).replace('\\"', '"')
        text = LABEL.sub("", PRINCIPAL.sub("", text))
        arns, domains = re.findall(r"arn:aws[a-z-]*:", text), re.findall(r"amazonaws\.com(?:\.cn)?", text)
        found += [f"{urn}: {word}" for word in (*arns, *domains) if word not in (arn, domain)]
    return found


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_a_stack_is_previewed_and_deployed_in_every_region_in_the_words_of_its_partition(
    name: str, there: Aws, thorough: bool
) -> None:
    partition = REGIONS[there.region]
    previewed = run(there, name, preview=True)
    assert foreign(previewed, partition) == []
    trust = one_of(previewed, "aws:iam/role:Role", "training-node").inputs["assumeRolePolicy"]
    assert ("ec2.amazonaws.com.cn" in trust) == (partition == "aws-cn")
    # whoever previews it sees what it costs as far as there are prices
    assert "on-demand prices of us-west-2" in str(Provider(there).estimate(previewed))
    if name == "prod" or thorough:
        deployed = run(there, name, preview=False)
        assert set(deployed.registrations) == set(previewed.registrations)
        assert foreign(deployed, partition) == []
        assert f"https://{there.region}.{OF_PARTITION[partition][2]}/" in deployed.exports["dashboard_url"]
        # as who uses the stack reads them
        outputs.parse(json.dumps(dict(deployed.exports)).encode())


def test_what_a_partition_lacks_is_refused_in_one_line(there: Aws) -> None:
    found = engine.run(moved("prod", there.region, fits=False), Provider(there), preview=True)
    refused = {"aws-us-gov": NO_BUDGET, "aws-cn": NO_EFA}.get(REGIONS[there.region])
    if refused is None:
        assert found.error is None
    else:
        (line,) = [one for one in str(found.error).splitlines() if "must be" in one]
        assert refused in line
