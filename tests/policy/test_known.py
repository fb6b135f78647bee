"""The table of known inputs is true: what it calls judged is read by a rule, and what it calls harmless by none."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from policy.known import JUDGED, KNOWN, OFF
from policy.program import Program, Resource
from policy.rule import ResourceRule
from policy.rules import RULES
from tests.policy.cases import CASES
from tests.policy.planted import TODAY, Planted, tell

_READ_ALL = ("coverage-types", "coverage-inputs", "secrets-plain-inputs", "hygiene-waivers")
"""Rules that look into every input there is."""


class Noted(Mapping[str, Any]):
    """Inputs that say which of them were asked for."""

    def __init__(self, inputs: Mapping[str, Any], read: set[str]) -> None:
        self._inputs, self._read = inputs, read

    def __getitem__(self, key: str) -> Any:
        self._read.add(key)
        return self._inputs[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._inputs)

    def __len__(self) -> int:
        return len(self._inputs)


@pytest.fixture(scope="module")
def read() -> Mapping[str, set[str]]:
    """Inputs by type that some rule asks for, in the programs of all cases."""
    found: dict[str, set[str]] = {}
    for case in CASES.values():
        for planted in (case.obeys, *case.breaks):
            program = Program(stack="prod", kind="production", today=TODAY)
            resources = [_noted(item, planted, found.setdefault(item.type, set())) for item in planted]
            for resource in resources:
                program.learn(resource)
            for rule in RULES:
                if rule.name in _READ_ALL:
                    continue
                asked = (
                    rule.check(resource, program)
                    for resource in resources
                    if isinstance(rule, ResourceRule) and resource.type in rule.types
                )
                for findings in asked if isinstance(rule, ResourceRule) else [rule.check(program)]:  # type: ignore[attr-defined]
                    list(findings)
    return found


def _noted(each: Planted, program: tuple[Planted, ...], read: set[str]) -> Resource:
    parent = next((other.urn for other in program if other.name == each.parent), "")
    inputs = Noted(each.inputs, read)
    return Resource(
        urn=each.urn, type=each.type, name=each.name, inputs=inputs, host=each.host, parent=parent, protect=each.protect
    )


@pytest.mark.parametrize("kind", sorted(KNOWN))
def test_an_input_that_is_called_judged_is_read_by_a_rule(kind: str, read: Mapping[str, set[str]]) -> None:
    judged = {key for key, reason in KNOWN[kind].items() if reason == JUDGED}
    if kind in read:
        assert judged <= read[kind], sorted(judged - read[kind])
    else:
        assert not judged, "no case has such a resource"


@pytest.mark.parametrize("kind", sorted(KNOWN))
def test_an_input_that_is_called_harmless_has_a_reason_and_no_rule(kind: str, read: Mapping[str, set[str]]) -> None:
    harmless = {key: reason for key, reason in KNOWN[kind].items() if reason not in (JUDGED, OFF)}
    assert all(len(reason.split()) > 1 for reason in harmless.values())
    assert not set(harmless) & read.get(kind, set())


def test_a_switch_that_stays_off_is_found_when_it_is_on() -> None:
    server = CASES["hetzner-image"].obeys[0]
    assert "coverage-inputs" in tell([server.with_inputs(ignoreRemoteFirewallIds=True)]).broken
    assert "coverage-inputs" not in tell([server.with_inputs(ignoreRemoteFirewallIds=False)]).broken
