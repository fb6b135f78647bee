"""One lab for all tests of this directory, deployed once; each test starts and ends with the committed stack."""

import os
from collections.abc import Iterator

import pytest

from lab import Lab
from lab.rehearsal import back_up, deploy, rehearse
from tests.lab.deployment import Deployment, further_lab
from tests.support.fleets import PROJECT
from tests.support.scheduling import FIRST


@pytest.fixture(scope="session")
def lab(pytestconfig: pytest.Config) -> Iterator[Lab]:
    """Start the lab and deploy its stack, with progress shown. The first worker uses this checkout's own lab, which stays up."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", FIRST)
    raised = Lab.of_checkout(PROJECT) if worker == FIRST else further_lab(worker)
    with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        os.dup2(2, 1)  # a worker's own stdout is discarded
        if worker == FIRST:
            rehearse(raised)
        else:
            # The live checks have passed on the first worker's lab.
            deploy(raised)
            back_up(raised)
    yield raised
    if worker != FIRST:
        raised.down()


@pytest.fixture(scope="session")
def _deployment(lab: Lab) -> Deployment:
    return Deployment(lab)


@pytest.fixture
def stack(_deployment: Deployment) -> Iterator[Deployment]:
    """The deployed stack; a test's changes are undone."""
    yield _deployment
    _deployment.put_back()


@pytest.fixture
def deployed(_deployment: Deployment) -> Deployment:
    """The deployed stack, for a test that only reads or that undoes its own changes: no preview follows."""
    return _deployment
