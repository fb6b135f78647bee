"""Waivers: their rule, reason and last day are judged too."""

from collections.abc import Iterator, Sequence
from functools import partial

from policy.program import Program, Resource
from policy.rule import Finding, ResourceRule, Rule, Severity

_NAME = "hygiene-waivers"


def rule(others: Sequence[Rule]) -> ResourceRule:
    """The rule about waivers of `others` and of itself."""
    return ResourceRule(
        name=_NAME,
        asks="A waiver names a rule, has a reason, and ends within a year.",
        severity=Severity.HIGH,
        decides=(),
        why="an exception that nobody looks at again is a hole",
        fix="fix what it is for, or look at the reason again and set a later day, at most a year ahead",
        example='Waiver(rule="containers-read-only-root", reason="it writes beside its program", until=date(2027, 5, 31))',
        types=(),
        check=partial(_found, frozenset((_NAME, *(rule.name for rule in others)))),
    )


def _found(known: frozenset[str], component: Resource, program: Program) -> Iterator[Finding]:
    for waiver in component.waivers:
        if waiver.until < program.today:
            what = f"{component.name}: the waiver of {waiver.rule} ended on {waiver.until}: {waiver.reason}"
            yield Finding(what=what, subject=waiver.rule)
        elif not waiver.holds(program.today):
            what = f"{component.name} waives {waiver.rule} until {waiver.until}, more than a year ahead: it covers nothing"
            yield Finding(what=what, subject=waiver.rule)
        if waiver.rule not in known:
            yield Finding(what=f"{component.name} waives {waiver.rule!r}, which is no rule", subject=waiver.rule)
        if not waiver.reason.strip():
            yield Finding(what=f"{component.name} waives {waiver.rule} without a reason", subject=waiver.rule)
