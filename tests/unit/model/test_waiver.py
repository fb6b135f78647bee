"""A waiver travels with what it is for."""

from datetime import date

from model.waiver import Waiver


def test_a_waiver_comes_back_from_an_input_as_it_went_in() -> None:
    waiver = Waiver(rule="containers-user", reason="root reads the socket", until=date(2027, 5, 31), subject="/run")
    assert waiver.as_input() == {
        "rule": "containers-user",
        "reason": "root reads the socket",
        "until": "2027-05-31",
        "subject": "/run",
    }
    assert Waiver.from_input(waiver.as_input()) == waiver


def test_a_waiver_without_a_subject_is_for_whatever_the_rule_finds() -> None:
    assert Waiver.from_input({"rule": "a", "reason": "b", "until": "2027-05-31"}).subject == ""
