"""Which worker runs which test file."""

from tests.support.scheduling import FIRST, LAB_MIB, RAISING_SECONDS, choose

LONG, SHORT = "tests/lab/test_long.py", "tests/lab/test_short.py"
ITSELF, UNIT = "tests/lab_itself/test_lab.py", "tests/unit/test_a.py"
WAITING = {UNIT: 1.0, SHORT: 10.0, LONG: 3.0 * RAISING_SECONDS, ITSELF: 400.0}


def test_the_first_worker_runs_the_labs_own_tests_then_the_longest_that_use_it_and_the_rest_last() -> None:
    order, waiting = [], dict(WAITING)
    while (file := choose(FIRST, waiting, has_lab=True, free_mib=LAB_MIB)) is not None:
        order.append(file)
        del waiting[file]
    assert order == [ITSELF, LONG, SHORT, UNIT]


def test_another_worker_comes_to_the_lab_last_and_never_to_its_own_tests() -> None:
    order, waiting = [], dict(WAITING)
    while (file := choose("gw1", waiting, has_lab=UNIT not in waiting, free_mib=LAB_MIB)) is not None:
        order.append(file)
        del waiting[file]
    assert order == [UNIT, LONG, SHORT]


def test_a_further_lab_is_raised_when_what_is_left_is_worth_it_and_there_is_memory_for_it() -> None:
    assert choose("gw1", {SHORT: 10.0, ITSELF: 4.0 * RAISING_SECONDS}, has_lab=False, free_mib=LAB_MIB) is None
    assert choose("gw1", {SHORT: 10.0, LONG: 3.0 * RAISING_SECONDS}, has_lab=False, free_mib=LAB_MIB) == LONG
    assert choose("gw1", {SHORT: 10.0, LONG: 3.0 * RAISING_SECONDS}, has_lab=False, free_mib=LAB_MIB - 1) is None
