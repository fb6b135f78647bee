"""One lab for all tests of this directory, deployed once; each test finds and leaves the committed stack."""

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
    """Raised and deployed, its progress shown as it comes. The first worker's is this checkout's own and stays."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", FIRST)
    raised = Lab.of_checkout(PROJECT) if worker == FIRST else further_lab(worker)
    with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        os.dup2(2, 1)  # a worker's own stdout leads nowhere
        if worker == FIRST:
            rehearse(raised)
        else:
            # The live checks have passed on the first one.
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
    """The deployed stack; what a test changed is put back."""
    yield _deployment
    _deployment.put_back()


@pytest.fixture
def deployed(_deployment: Deployment) -> Deployment:
    """The deployed stack, for a test that looks at it, or puts back itself what it changes: no preview afterwards."""
    return _deployment
