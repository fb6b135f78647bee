"""What a recovery refuses to take for the leftovers of a killed run."""

import pytest

from operations.deploy.recover import of_another_state


@pytest.mark.parametrize(("unknown", "all_of_them"), [(20, 20), (11, 20), (2, 3)])
def test_a_state_that_does_not_know_most_of_a_host_removes_nothing_there(unknown: int, all_of_them: int) -> None:
    (problem,) = of_another_state("prod", "sese", unknown, all_of_them)
    assert f"does not know {unknown} of the {all_of_them} containers on sese" in problem.what
    assert "PULUMI_BACKEND_URL" in problem.fix


@pytest.mark.parametrize(("unknown", "all_of_them"), [(0, 0), (0, 20), (1, 1), (1, 2), (10, 20), (-1, 3)])
def test_what_a_killed_run_leaves_is_removed(unknown: int, all_of_them: int) -> None:
    assert list(of_another_state("prod", "sese", unknown, all_of_them)) == []
