"""This checkout's lab, raised if it is not up; perhaps a stack is deployed on it."""

import pytest

from lab import Lab
from tests.support.fleets import PROJECT


@pytest.fixture(scope="session")
def lab() -> Lab:
    raised = Lab.of_checkout(PROJECT)
    raised.up()
    return raised
