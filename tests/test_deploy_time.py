"""How long a deployment on AWS takes, by the model of the benchmarks."""

from benchmarks import deploy_time
from tests.conftest import RunStack


def test_nothing_of_the_dev_stack_waits_that_need_not(run_stack: RunStack) -> None:
    assert deploy_time.figure(run_stack("dev", preview=True)).holds
