"""One lab for all tests of this directory, deployed once; each test finds and leaves the committed stack."""

import os
from collections.abc import Iterator

import pytest

from lab import Lab
from lab.rehearsal import rehearse
from tests.fleets import PROJECT
from tests.lab.deployment import Deployment


@pytest.fixture(scope="session")
def lab(pytestconfig: pytest.Config) -> Lab:
    """Raised and deployed while the other worker tests what needs no lab; its progress is shown as it comes."""
    raised = Lab.of_checkout(PROJECT)
    with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        os.dup2(2, 1)  # a worker's own stdout leads nowhere
        rehearse(raised)
    return raised


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
