"""Waivers end: not all on one day, and not without a warning."""

from datetime import timedelta

import pytest

from model.waiver import WARNED, Waiver
from operations.reference.policy import in_force
from policy.judge import ENDING
from tests.policy.cases import CASES
from tests.policy.planted import TODAY, tell, with_waiver
from tests.support.fleets import inputs


@pytest.mark.parametrize("days", [0, 1, WARNED.days])
def test_a_run_warns_before_a_waiver_ends(days: int) -> None:
    reported = tell(with_waiver(CASES["containers-user"].breaks[0], _waiver(days)))
    [message] = reported.broken[ENDING]
    assert f"in {days} days" in message
    assert "containers-user" in message
    assert ENDING in reported.advisory


def test_a_run_does_not_warn_earlier() -> None:
    assert ENDING not in tell(with_waiver(CASES["containers-user"].breaks[0], _waiver(WARNED.days + 1))).broken


def _waiver(days: int) -> Waiver:

    return Waiver(rule="containers-user", reason="it is looked at", until=TODAY + timedelta(days=days), subject="root")


def test_what_ends_on_one_day_is_looked_at_together() -> None:
    """Else a day comes on which nothing can be deployed before every reason of the catalogue was looked at."""
    ends: dict[object, set[str]] = {}
    for where, waiver in in_force(inputs("prod").fleet):
        program = where.rpartition("/")[2].partition("-")[0]
        ends.setdefault(waiver.until, set()).add(program)
    assert all(len(programs) == 1 for programs in ends.values()), ends
