"""`python -m operations.reference.policy`: writes docs/reference/policy.md: every control with its rule and its test."""

import sys
from collections.abc import Iterator
from pathlib import Path

from components.docker.service_container import STANDING_WAIVERS
from components.hetzner import server
from components.host import docker_daemon
from model.fleet import Fleet
from model.waiver import Waiver
from operations.reference.catalogue import example_fleet
from operations.table import markdown
from policy.benchmarks import BENCHMARKS, WITHOUT_RULE, Benchmark, Inherent, Waived, deciding
from policy.known import JUDGED, KNOWN
from policy.rules import RULES

PAGE = Path(__file__).parent.parent.parent / "docs/reference/policy.md"


def main() -> int:
    PAGE.write_text(page(example_fleet()))
    return 0


def page(fleet: Fleet) -> str:
    """The page in Markdown."""
    sections = "\n\n".join(_benchmark(benchmark, fleet) for benchmark in BENCHMARKS)
    rules = ((f"`{rule.name}`", str(rule.severity.value), rule.asks, rule.why) for rule in RULES)
    return f"""# Reference: the policy pack

Written by `make docs` from `policy/` and the waivers in `services/` and `components/`; do not edit. A test fails when it is
stale. {len(RULES)} rules; `pulumi preview --policy-pack policy` asks them of a program before anything is made,
`pulumi policy analyze --policy-pack policy` of what stands.

A rule's tests (what obeys it, breaks it, is unknown, is waived): `pytest tests/policy/test_rules.py -k NAME`. The same
programs are planted into a preview by the engine: `tests/engine/test_policy_pack.py`. compose-lint's opinion of the same
containers: `docs/reference/compose-lint.md`.

## Counts

{markdown(("benchmark", "controls", "by a rule", "by construction", "waived", "open"), map(_counts, BENCHMARKS))}

A control that a rule decides may be waived for some services: those are listed beside it, and below with their reasons.

{sections}

## Rules

{markdown(("rule", "severity", "asks", "because"), rules)}

## What no rule judges, and why

Of the types that are known (`policy/known.py`); any other type, and any other input, is a finding.

{markdown(("type", "input", "because"), _harmless())}

## Waivers

{markdown(("until", "rule", "of", "where", "reason"), _waivers(fleet))}
"""


def _counts(benchmark: Benchmark) -> tuple[str, ...]:
    kinds = [_kind(control) for control in benchmark.controls]
    return (benchmark.title, str(len(kinds)), *(str(kinds.count(kind)) for kind in ("rule", "construction", "waived", "open")))


def _kind(control: str) -> str:
    match WITHOUT_RULE.get(control):
        case Inherent():
            return "construction"
        case Waived():
            return "waived"
        case _:
            return "rule" if deciding(control) else "open"


def _benchmark(benchmark: Benchmark, fleet: Fleet) -> str:
    rows = (
        (control, asks, _decision(control), _test(control), _exceptions(control, fleet))
        for control, asks in benchmark.controls.items()
    )
    table = markdown(("id", "asks", "rule", "test", "waived for"), rows)
    return f"## {benchmark.title}\n\n{benchmark.source}\n\n{table}"


def _decision(control: str) -> str:
    match WITHOUT_RULE.get(control):
        case Inherent(reason=reason):
            return f"by construction: {reason}"
        case Waived(reason=reason, until=until, instead=instead):
            return f"waived until {until}: {reason} (`{instead}`)"
        case _:
            return ", ".join(f"`{rule.name}`" for rule in deciding(control)) or "open"


def _test(control: str) -> str:
    answer = WITHOUT_RULE.get(control)
    if isinstance(answer, Inherent):
        return "`test_benchmarks.py`"
    names = [answer.instead] if isinstance(answer, Waived) else [rule.name for rule in deciding(control)]
    return ", ".join(f"`-k {name}`" for name in names) or "-"


def _exceptions(control: str, fleet: Fleet) -> str:
    names = {rule.name for rule in deciding(control)}
    return ", ".join(sorted({where for where, waiver in in_force(fleet) if waiver.rule in names})) or "-"


def _harmless() -> Iterator[tuple[str, ...]]:
    for kind, inputs in KNOWN.items():
        reasons: dict[str, list[str]] = {}
        for key, reason in inputs.items():
            if reason != JUDGED:
                reasons.setdefault(reason, []).append(f"`{key}`")
        yield from ((f"`{kind}`", ", ".join(keys), reason) for reason, keys in reasons.items())


def _waivers(fleet: Fleet) -> Iterator[tuple[str, ...]]:
    places: dict[Waiver, list[str]] = {}
    for where, waiver in in_force(fleet):
        places.setdefault(waiver, []).append(where)
    for waiver, found in sorted(places.items(), key=lambda item: (item[0].until, item[0].rule, item[0].subject, item[1])):
        yield str(waiver.until), f"`{waiver.rule}`", waiver.subject or "-", ", ".join(found), waiver.reason


def in_force(fleet: Fleet) -> Iterator[tuple[str, Waiver]]:
    """Every waiver of a fleet, with its place."""
    yield from (("every service", waiver) for waiver in STANDING_WAIVERS)
    yield from (("every host", waiver) for waiver in docker_daemon.WAIVERS)
    yield from (("every server of Hetzner's", waiver) for waiver in server.WAIVERS)
    for placement, service in fleet.services():
        yield from ((f"{placement.host.name}/{service.name}", waiver) for waiver in service.all_waivers)


if __name__ == "__main__":
    sys.exit(main())
