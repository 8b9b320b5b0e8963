"""What the program finds of its own on AWS."""

from collections.abc import Iterator
from typing import Any

import pytest

from components.deployed import Deployed
from local import engine
from local.aws import Aws
from local.provider import Provider
from tests.conftest import DEFAULT_TAGS, REGION, run_config
from tests.support import WHOLE


@pytest.fixture(scope="module")
def own_aws() -> Iterator[Aws]:
    with Aws(REGION, DEFAULT_TAGS) as aws:
        yield aws


def ask(aws: Aws, stack: str) -> Deployed:
    found: list[Deployed] = []
    run = engine.run(lambda: found.append(Deployed.ask(stack)), Provider(aws), preview=True)
    assert run.error is None
    return found[0]


def test_an_account_without_the_stack_has_nothing_of_it(own_aws: Aws) -> None:
    assert ask(own_aws, "test").arns == {}


def test_a_deployed_stack_finds_its_network_queues_environments_and_cluster(own_aws: Aws) -> None:
    sections: dict[str, Any] = WHOLE
    config = {f"distributed-training:{key}": value for key, value in sections.items()}
    run = run_config(own_aws, config, preview=False, provider=Provider(own_aws))
    assert run.error is None
    deployed = ask(own_aws, "test")
    environments = run.exports["batch_compute_environment_arns"]["single"]
    assert deployed.of("batch.single", "batch:compute-environment") == sorted(environments)
    assert deployed.of("queues.tasks", "sqs:") == sorted(
        run.exports[key]["tasks"] for key in ("queue_arns", "dead_letter_queue_arns")
    )
    assert deployed.of("eks", "eks:cluster") == [run.exports["eks_cluster_arn"]]
    (vpc,) = deployed.of("network", "ec2:vpc")
    assert vpc.endswith(run.exports["vpc_id"])
    assert deployed.of("batch.single", "sqs:") == []


def test_a_stack_of_another_name_finds_nothing_of_this_one(own_aws: Aws) -> None:
    assert ask(own_aws, "other").arns == {}
