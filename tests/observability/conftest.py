"""A run of the program that the tests of alarms, events and the dashboard share."""

import pytest

from local.run import Run
from tests.conftest import RunStack
from tests.support import WHOLE


@pytest.fixture(scope="session")
def deployed(run_sections: RunStack) -> Run:
    alerts = {"emails": ["ops@example.com"], "monthlyBudgetUsd": 5000}
    return run_sections(WHOLE | {"alerts": alerts}, preview=False)
