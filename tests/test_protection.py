"""That a destroy of a protected stack is refused before anything is gone."""

from typing import Any

import pytest

from local.run import Run
from tests.cluster.support import needs
from tests.conftest import RunStack
from tests.support import WHOLE, one_of

PROTECTION = "distributed-training:index:Protection"
SERVICE_ACCOUNT = "kubernetes:core/v1:ServiceAccount"


@pytest.fixture(scope="module")
def whole(run_sections: RunStack) -> Run:
    eks = WHOLE["eks"] | {"kueue": True, "trainer": True}
    artifacts: dict[str, Any] = {"lustre": {}}
    return run_sections({**WHOLE, "eks": eks, "artifacts": artifacts, "protect": True}, preview=False)


def test_the_stack_is_taken_down_after_something_that_is_protected(whole: Run) -> None:
    first = [one_of(whole, PROTECTION, "protection"), one_of(whole, SERVICE_ACCOUNT, "training-trainer")]
    assert all(one.protect for one in first)
    after = {urn for one in first for urn in needs(whole, one)}
    left = {
        urn
        for urn, one in whole.registrations.items()
        # a component is taken down after what is in it
        if one.provided and urn not in after and not one.protect
    }
    assert left == set()


def test_protection_is_of_nothing_that_goes_through_the_kubernetes_api(whole: Run) -> None:
    assert [urn for urn in needs(whole, one_of(whole, PROTECTION, "protection")) if "$kubernetes:" in urn] == []


def test_a_stack_that_is_not_protected_can_be_destroyed(run_sections: RunStack) -> None:
    run = run_sections(WHOLE)
    assert [urn for urn, one in run.registrations.items() if one.protect] == []
