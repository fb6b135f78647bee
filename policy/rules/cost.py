"""Cost: the monthly price of what a stack rents is known and below a limit."""

from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path

import yaml

from model.cost import Kind, Prices, invoice, rented
from policy.program import Program
from policy.rule import Finding, ProgramRule, Severity

LIMIT_PRODUCTION, LIMIT_OTHER = Decimal(40), Decimal(25)
"""EUR per month, net."""


def _limit(program: Program) -> Iterator[Finding]:
    resources = {resource.name: resource for resource in program.resources.values() if "hcloud:" in resource.type}
    things = [thing for resource in program.resources.values() for thing in rented(resource.type, resource.name, resource.inputs)]
    bill = invoice(things, _prices())
    for thing in bill.unknown:
        if thing.kind is Kind.SERVER:
            what = f"{thing.name}: nobody has looked up what a {thing.type} in {thing.location or 'no location'} costs"
            yield Finding(what=what, subject=thing.type, resource=resources.get(thing.name))
    limit = LIMIT_PRODUCTION if program.is_production else LIMIT_OTHER
    if bill.monthly > limit:
        dearest = max(bill.lines, key=lambda line: line.price.monthly or 0).rented.name
        what = f"{program.stack} costs {bill.monthly:.2f} EUR a month, most of it {dearest}; its limit is {limit}"
        yield Finding(what=what, resource=resources.get(dearest))


@cache
def _prices() -> Prices:
    return Prices.written(yaml.safe_load((Path(__file__).parents[2] / "prices.yaml").read_text()))


LIMIT = ProgramRule(
    name="cost-limit",
    asks="What a stack rents costs less than its limit, each server at a known price.",
    severity=Severity.MEDIUM,
    decides=("COST-1",),
    why="a typing error in a server's type is noticed on the invoice",
    fix="take a smaller type, or raise the limit in policy/rules/cost.py; a price goes into prices.yaml with its date",
    example='server_type="cx23"',
    check=_limit,
)

RULES = (LIMIT,)
