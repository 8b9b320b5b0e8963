"""A run of the program that the tests of alarms, events and the dashboard share."""

import pytest

from local import engine
from tests.conftest import RunStack
from tests.support import WHOLE


@pytest.fixture(scope="session")
def deployed(run_sections: RunStack) -> engine.Run:
    alerts = {"emails": ["ops@example.com"], "monthlyBudgetUsd": 5000}
    return run_sections(WHOLE | {"alerts": alerts}, preview=False)
