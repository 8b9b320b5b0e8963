"""Runs of the program that the tests of the EKS cluster share."""

import pytest

from local.run import Run
from tests.cluster.support import SECTIONS
from tests.conftest import RunStack


@pytest.fixture(scope="session")
def deployed(run_sections: RunStack) -> Run:
    return run_sections(SECTIONS, preview=False)


@pytest.fixture(scope="session")
def plain(run_sections: RunStack) -> Run:
    return run_sections({"eks": {"publicAccessCidrs": ["52.94.76.0/24"]}})
