"""Runs of the program that the tests of Batch job queues share."""

from collections.abc import Mapping
from typing import Any

import pytest

from local.aws import Aws
from local.run import Run
from tests.batch.support import MULTI, SINGLE, StableProvider
from tests.conftest import RunStack, run_config


@pytest.fixture(scope="session")
def run_stably(aws: Aws) -> RunStack:
    """Run the real program with these sections; the same sections give the same inputs."""

    def run(sections: Mapping[str, Any]) -> Run:
        config = {f"distributed-training:{key}": value for key, value in sections.items()}
        result = run_config(aws, config, False, StableProvider(aws))
        if result.error is not None:
            raise result.error
        return result

    return run


@pytest.fixture(scope="session")
def stable(run_stably: RunStack) -> Run:
    return run_stably({"batch": {"single": SINGLE, "multi": MULTI}})
