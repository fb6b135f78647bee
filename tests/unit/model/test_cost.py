"""The cost of a stack equals the invoices that docs/costs.md works out, line by line."""

import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from model.cloud import CloudServer
from model.cost import Kind, Price, Prices, Rented, invoice, of_server
from model.cost import rented as things
from operations.cloud.cost import FALLBACK, after, committed, over, prices, rented, shown
from tests.support.fleets import PROJECT
from tests.support.hetzner import TOKEN, running


def state(kind: str, name: str, **inputs: Any) -> dict[str, Any]:
    return {"urn": f"urn:pulumi:prod::vpai::{kind}::{name}", "type": kind, "inputs": inputs}


SERVER, ADDRESS, BUCKET = "hcloud:index/server:Server", "hcloud:index/primaryIp:PrimaryIp", "pulumi-python:dynamic/s3:Bucket"
VOLUME = "hcloud:index/volume:Volume"
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
    with running() as running_cloud:
        monkeypatch.setenv("HCLOUD_ENDPOINT", running_cloud.endpoint)
        listed = prices(TOKEN)
    assert listed.date == "today"
    found, fallback = invoice(rented(PRODUCTION), listed), invoice(rented(PRODUCTION), committed(FALLBACK))
    assert found.monthly == fallback.monthly, "the lab's cloud has the same prices"


def test_the_file_says_where_its_prices_are_from() -> None:
    listed = committed(FALLBACK)
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", listed.date)
    assert "GET /v1" in listed.source


WRITTEN: dict[str, Any] = {
    "source": "a table",
    "date": "2026-11-01",
    "locations": ["fsn1", "nbg1"],
    "servers": {"cx23": {"monthly": "4.00", "hourly": "0.0080"}, "cx99": None},
    "ipv4": {"monthly": "0.50", "hourly": "0.0010"},
    "volume_gib": {"monthly": "0.05", "hourly": "0.0001"},
    "object_storage": {"monthly": "5.00", "hourly": None},
    "backup_share": "0.2",
    "traffic_tb": "1.20",
}


@pytest.fixture
def listed() -> Prices:
    """Read in each test, so that what reads it is judged by them."""
    return Prices.written(WRITTEN)


def test_a_server_that_is_still_to_be_made_costs_what_it_will() -> None:
    wanted = CloudServer(name="app-01", type="cx23", location="nbg1", backups=True)
    server = Rented(kind=Kind.SERVER, name="app-01", type="cx23", location="nbg1")
    backups, address = replace(server, kind=Kind.BACKUPS), Rented(kind=Kind.IPV4, name="app-01")
    assert list(of_server(wanted)) == [server, backups, address]
    assert list(of_server(replace(wanted, backups=False))) == [server, address]
    kept = Rented(kind=Kind.IPV4, name="app-01-address")
    assert list(of_server(replace(wanted, keeps_address=True))) == [server, backups, kept]


@pytest.mark.parametrize(
    ("kind", "inputs", "paid"),
    [
        (SERVER, {"serverType": "cx23", "location": "fsn1"}, [Kind.SERVER, Kind.IPV4]),
        (SERVER, {"serverType": "cx23", "location": "fsn1", "publicNets": []}, [Kind.SERVER, Kind.IPV4]),
        (SERVER, {"serverType": "cx23", "location": "fsn1", "publicNets": [{"ipv4Enabled": True}]}, [Kind.SERVER, Kind.IPV4]),
        (SERVER, {"serverType": "cx23", "location": "fsn1", "publicNets": [{"ipv4Enabled": False}]}, [Kind.SERVER]),
        (
            SERVER,
            {"serverType": "cx23", "location": "fsn1", "publicNets": [{"ipv4": 42}], "backups": True},
            [Kind.SERVER, Kind.BACKUPS],
        ),
        (ADDRESS, {"type": "ipv4"}, [Kind.IPV4]),
        (ADDRESS, {"type": "ipv6"}, []),
        ("hcloud:index/network:Network", {"type": "ipv4"}, []),
        (VOLUME, {"size": 40}, [Kind.VOLUME]),
        (BUCKET, {}, [Kind.OBJECT_STORAGE]),
    ],
)
def test_what_is_paid_for(kind: str, inputs: dict[str, Any], paid: list[Kind]) -> None:
    found = list(things(kind, "it", inputs))
    assert [thing.kind for thing in found] == paid
    assert {thing.name for thing in found} <= {"it"}
    assert {thing.location for thing in found if thing.kind in (Kind.SERVER, Kind.BACKUPS)} <= {"fsn1"}


def test_a_server_whose_location_is_not_said_yet_has_no_price_by_it(listed: Prices) -> None:
    [server, _] = things(SERVER, "it", {"serverType": "cx23"})
    assert server.location == ""
    assert listed.of(server) == Price(monthly=None, hourly=None)


def test_each_kind_has_its_price_by_the_month_and_by_the_hour(listed: Prices) -> None:
    server = Rented(kind=Kind.SERVER, name="it", type="cx23", location="nbg1")
    assert listed.of(server) == Price(monthly=Decimal("4.00"), hourly=Decimal("0.0080"))
    assert listed.of(replace(server, kind=Kind.BACKUPS)) == Price(monthly=Decimal("0.800"), hourly=Decimal("0.00160"))
    [volume] = things(VOLUME, "it", {"size": 40})
    assert listed.of(volume) == Price(monthly=Decimal("2.00"), hourly=Decimal("0.0040"))
    assert listed.of(Rented(kind=Kind.IPV4, name="it")).hourly == Decimal("0.0010")
    assert listed.of(Rented(kind=Kind.OBJECT_STORAGE, name="it")) == Price(monthly=Decimal("5.00"), hourly=None)
    assert listed.traffic_tb == Decimal("1.20")


@pytest.mark.parametrize("kind", [Kind.SERVER, Kind.BACKUPS])
def test_a_type_whose_price_nobody_knows_has_none_and_neither_have_its_backups(kind: Kind, listed: Prices) -> None:
    unknown = Price(monthly=None, hourly=None)
    assert listed.of(Rented(kind=kind, name="it", type="cx99", location="fsn1")) == unknown
    assert listed.of(Rented(kind=kind, name="it", type="cx77", location="fsn1")) == unknown
    assert replace(listed, backup_share=None).of(Rented(kind=Kind.BACKUPS, name="it", type="cx23", location="fsn1")) == unknown


def test_an_invoice_says_its_sum_and_names_what_has_no_price(listed: Prices) -> None:
    known = [Rented(kind=Kind.SERVER, name="app", type="cx23", location="fsn1"), Rented(kind=Kind.IPV4, name="app")]
    assert str(invoice(known, listed)) == "4.50 EUR a month net"
    missing = [Rented(kind=Kind.SERVER, name=name, type="cx99", location="fsn1") for name in ("b", "a")]
    said = str(invoice([*known, *missing], listed))
    assert said == f"4.50 EUR a month net, and without a known price: {Kind.SERVER} a, {Kind.SERVER} b"


def test_buckets_share_one_price_and_nothing_after_them_is_left_out(listed: Prices) -> None:
    buckets = [Rented(kind=Kind.OBJECT_STORAGE, name=name) for name in ("a", "b", "c")]
    volumes = [Rented(kind=Kind.VOLUME, name=name, gib=10) for name in ("a", "b")]
    assert invoice([*buckets, *volumes], listed).monthly == Decimal("6.00")
