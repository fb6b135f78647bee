"""Each rule: what obeys it, what breaks it, what is unknown, what is waived; asked of the pack's own server."""

import re
from dataclasses import replace
from datetime import date, timedelta

import pytest

from model.waiver import Waiver
from policy.rule import Rule
from policy.rules import RULES
from tests.policy.cases import CASES, Program
from tests.policy.planted import TODAY, UNKNOWN, Reported, tell, with_waiver

IN_PREPROD = ("hetzner-ephemeral-small",)
"""Asked of stacks that are thrown away."""


def _tell(rule: Rule, program: Program, **how: object) -> Reported:
    return tell(program, "preprod" if rule.name in IN_PREPROD else "prod", **how)  # type: ignore[arg-type]


@pytest.fixture(params=RULES, ids=lambda rule: rule.name)
def rule(request: pytest.FixtureRequest) -> Rule:
    found: Rule = request.param
    return found


def test_every_rule_has_a_case_and_a_name_of_its_own() -> None:
    assert set(CASES) == {rule.name for rule in RULES}
    assert len(RULES) == len({rule.name for rule in RULES})


def test_what_obeys_it_passes(rule: Rule) -> None:
    reported = _tell(rule, CASES[rule.name].obeys)
    assert rule.name not in reported.broken
    assert f"{rule.name}, by" not in reported.undecided


def test_what_breaks_it_is_told_with_its_remedy(rule: Rule) -> None:
    for program in CASES[rule.name].breaks:
        messages = _tell(rule, program, preview=False).broken.get(rule.name, [])
        assert messages, program
        assert all(rule.asks in message and rule.fix in message and rule.example in message for message in messages)
        assert rule.name not in _tell(rule, program, preview=False).advisory


@pytest.mark.parametrize("rule", [rule for rule in RULES if CASES[rule.name].unknown], ids=lambda rule: rule.name)
def test_what_is_unknown_in_a_preview_is_left_to_the_up(rule: Rule) -> None:
    case = CASES[rule.name]
    *others, subject = case.obeys
    reported = _tell(rule, (*others, subject.with_inputs(**{case.unknown: UNKNOWN})))
    assert rule.name not in reported.broken
    assert f"{rule.name}, by `{case.unknown}`" in reported.undecided


def test_a_waiver_beside_it_covers_it_until_its_day(rule: Rule) -> None:
    case = CASES[rule.name]
    waiver = Waiver(rule=rule.name, reason="it is looked at", until=TODAY, subject=case.subject)
    program = tuple(with_waiver(case.breaks[0], waiver))
    reported = _tell(rule, program)
    assert rule.name not in reported.broken
    [covered] = re.findall(rf"^until {TODAY}: {rule.name}(?: \(.+\))?: (.+): it is looked at$", reported.waived, re.MULTILINE)
    assert set(covered.split(", ")) <= {resource.name for resource in program} | {"the stack"}
    ended = _tell(rule, program, today=TODAY + timedelta(days=1))
    assert rule.name in ended.broken
    assert any("ended on" in message for message in ended.broken["hygiene-waivers"])


def test_a_waiver_covers_nothing_but_its_subject() -> None:
    for rule in RULES:
        if CASES[rule.name].subject:
            waiver = Waiver(rule=rule.name, reason="it is looked at", until=date(2027, 5, 31), subject="something else")
            assert rule.name in _tell(rule, tuple(with_waiver(CASES[rule.name].breaks[0], waiver))).broken, rule.name


def test_what_nobody_could_look_up_is_only_warned_of_in_a_preview() -> None:
    reported = tell(CASES["images-pinned"].breaks[0] * 2, preview=True)
    assert "images-pinned" in reported.advisory
    [message] = reported.broken["images-pinned"]
    assert message.count("is not pinned by digest") == 2


def test_what_is_asked_of_production_alone_lets_others_be_removed() -> None:
    for name in ("hygiene-data-protected", "hetzner-backups", "hetzner-ssh-closed", "buckets-protected"):
        program = CASES[name].breaks[-1]
        assert name in tell(program, "prod").broken
        assert name not in tell(program, "pr-7").broken


def test_production_is_what_its_kind_says_and_not_its_name() -> None:
    program = CASES["hygiene-data-protected"].breaks[-1]
    assert "hygiene-data-protected" in tell(program, "second", kind="production").broken
    assert "hygiene-data-protected" not in tell(program, "prod", kind="copy").broken


def test_a_server_that_is_thrown_away_says_when() -> None:
    [server] = CASES["hetzner-labels"].obeys
    assert any("'ttl'" in message for message in tell([server], "pr-7").broken["hetzner-labels"])
    assert "hetzner-labels" not in tell([replace(server)], "prod").broken
