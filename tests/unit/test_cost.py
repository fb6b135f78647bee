"""The cost of a stack equals the invoices that docs/costs.md works out, line by line."""

import re
from decimal import Decimal
from typing import Any

import pytest

from model.cost import Kind, Rented, invoice
from operations.cost import FALLBACK, after, committed, over, prices, rented, shown
from tests.fleets import PROJECT
from tests.hetzner import TOKEN, running


def state(kind: str, name: str, **inputs: Any) -> dict[str, Any]:
    return {"urn": f"urn:pulumi:prod::vpai::{kind}::{name}", "type": kind, "inputs": inputs}


SERVER, ADDRESS, BUCKET = "hcloud:index/server:Server", "hcloud:index/primaryIp:PrimaryIp", "pulumi-python:dynamic/s3:Bucket"
PRODUCTION = [
    state(SERVER, "app-prod-01", serverType="cx23", location="fsn1", backups=True, publicNets=[{"ipv4": 42}]),
    state(ADDRESS, "app-prod-01-address", type="ipv4"),
    state(BUCKET, "backups"),
    state(BUCKET, "shared"),
    state("docker:index/container:Container", "sese-redis"),
]
PREPROD = [state(SERVER, "preprod", serverType="cx23", location="fsn1")]


def documented(heading: str) -> list[str]:
    """The last column of a table of docs/costs.md."""
    text = (PROJECT / "docs/costs.md").read_text().partition(f"\n{heading}:")[2]
    rows = text.lstrip().partition("\n\n")[2].partition("\n\n")[0].splitlines()[2:]
    return [row.strip("| ").rpartition("|")[2].strip() for row in rows]


@pytest.mark.parametrize(("states", "heading"), [(PRODUCTION, "Production"), (PREPROD, "Preprod")])
def test_the_invoice_is_the_documented_one(states: list[dict[str, Any]], heading: str) -> None:
    found = invoice(rented(states), committed(FALLBACK))
    assert [*(f"{line.price.monthly:.3f}" for line in found.lines), f"{found.monthly:.3f}"] == documented(heading)
    assert not found.unknown


def test_an_hour_of_preprod() -> None:
    assert invoice(rented(PREPROD), committed(FALLBACK)).hourly == Decimal("0.0096")


def test_what_has_no_price_is_named_and_never_guessed() -> None:
    found = invoice([Rented(kind=Kind.SERVER, name="big", type="cx99", location="fsn1")], committed(FALLBACK))
    assert [thing.name for thing in found.unknown] == ["big"]
    assert "unknown" in shown(found, committed(FALLBACK))
    assert "has no price" in str(next(over(found, Decimal(100))))


def test_a_plan_above_the_limit_is_refused() -> None:
    found = invoice(rented(PRODUCTION), committed(FALLBACK))
    assert list(over(found, Decimal(14))) == []
    (problem,) = over(found, Decimal(13))
    assert "13.58 EUR a month, the limit is 13.00" in problem.what


def test_what_an_up_would_leave_is_priced() -> None:
    bigger = {**PRODUCTION[0], "inputs": {**PRODUCTION[0]["inputs"], "serverType": "cx33"}}
    steps = [
        {"op": "update", "urn": bigger["urn"], "newState": bigger},
        {"op": "delete", "urn": PRODUCTION[2]["urn"]},
        {"op": "delete", "urn": PRODUCTION[3]["urn"]},
    ]
    planned = invoice(rented(after(PRODUCTION, steps)), committed(FALLBACK))
    assert planned.monthly == Decimal("8.49") * Decimal("1.2") + Decimal("0.50")


def test_todays_prices_come_from_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    with running() as there:
        monkeypatch.setenv("HCLOUD_ENDPOINT", there.endpoint)
        listed = prices(TOKEN)
    assert listed.date == "today"
    found, fallback = invoice(rented(PRODUCTION), listed), invoice(rented(PRODUCTION), committed(FALLBACK))
    assert found.monthly == fallback.monthly, "the lab's cloud has the same prices"


def test_the_file_says_where_its_prices_are_from() -> None:
    listed = committed(FALLBACK)
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", listed.date)
    assert "GET /v1" in listed.source
