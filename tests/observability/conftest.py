"""A run of the program that the tests of alarms, events and the dashboard share."""

import pytest

from local.run import Run
from tests.conftest import RunStack
from tests.support import WHOLE


@pytest.fixture(scope="session")
def deployed(run_sections: RunStack) -> Run:
    alerts = {"emails": ["ops@example.com"], "monthlyBudgetUsd": 5000, "anomalyUsd": 200}
    return run_sections(WHOLE | {"alerts": alerts}, preview=False)


@pytest.fixture(scope="session")
def teams(run_sections: RunStack) -> Run:
    """A standard queue, whose message groups are teams."""
    queues = {"tasks": {"fifo": False}, "results": {}}
    return run_sections({"queues": queues, "workers": {"workers": {"maxTaskSeconds": 7200}}}, preview=False)
