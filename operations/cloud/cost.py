"""`make cost STACK=`: a stack's cost now, its cost after an `up`, and the difference; net, in EUR."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

import model.cost
from model.cost import Invoice, Price, Prices, Rented, invoice
from model.problem import Problem, refuse
from model.urn import resource_name
from operations.stack import PROJECT, Stack
from operations.table import table

FALLBACK = PROJECT / "prices.yaml"
State = Mapping[str, Any]


def cost(stack: Stack, limit: Decimal | None = None) -> None:
    """Print both invoices; refuse a plan that costs more than `limit` EUR a month."""
    listed = prices(os.environ.get("HCLOUD_TOKEN", ""))
    deployed = json.loads(stack.pulumi("stack", "export"))["deployment"].get("resources", [])
    now = invoice(rented(deployed), listed)
    planned = invoice(rented(after(deployed, json.loads(stack.pulumi("preview", "--json"))["steps"])), listed)
    print(shown(planned, listed))
    print(f"\nnow {now.monthly:.2f}, after an up {planned.monthly:.2f}: {planned.monthly - now.monthly:+.2f} EUR a month")
    if limit is not None:
        refuse(over(planned, limit))


def over(planned: Invoice, limit: Decimal) -> Iterator[Problem]:
    """Problems of a plan whose cost is above `limit`, or unknown."""
    if planned.monthly > limit:
        yield Problem(
            what=f"the stack would cost {planned.monthly:.2f} EUR a month, the limit is {limit:.2f}",
            why="somebody pays that every month, also for servers that are switched off",
            fix="take smaller types, fewer servers or no backups, or raise the limit",
            example=f"make cost LIMIT={planned.monthly:.0f}",
        )
    for thing in planned.unknown:
        yield Problem(
            what=f"{thing.kind} {thing.name} ({thing.type or 'no type'}) has no price",
            why="the sum leaves it out, so nobody can say that the limit holds",
            fix="ask the API with a token, or write the price with its date into prices.yaml",
            example="HCLOUD_TOKEN=... make cost",
        )


def after(deployed: Iterable[State], steps: Iterable[Mapping[str, Any]]) -> list[State]:
    """The resources after a previewed `up`."""
    left = {state["urn"]: state for state in deployed}
    for step in steps:
        if step["op"] in ("delete", "delete-replaced", "discard"):
            if step["op"] == "delete":
                left.pop(step["urn"], None)
        elif step.get("newState"):
            left[step["urn"]] = step["newState"]
    return list(left.values())


def rented(states: Iterable[State]) -> Iterator[Rented]:
    """The resources of a stack that are paid for."""
    for state in states:
        yield from model.cost.rented(str(state["type"]), resource_name(state), state.get("inputs") or {})


def prices(token: str) -> Prices:
    """Today's prices when there is a token, else those of prices.yaml. The API has no price for object storage."""
    fallback = committed(FALLBACK)
    if not token:
        return fallback
    from components.hetzner import api  # its import takes as long as most operations do

    try:
        listed: Mapping[str, Any] = api.client(token).request("GET", "/pricing")["pricing"]
    except api.NO_ANSWER as refused:
        refuse(
            [
                Problem(
                    what=f"Hetzner gives no prices: {refused}",
                    why="the cost would be guessed",
                    fix="try again, correct HCLOUD_TOKEN, or unset it to use prices.yaml",
                    example="env -u HCLOUD_TOKEN make cost",
                )
            ]
        )
        raise
    return today(listed, fallback)


def today(listed: Mapping[str, Any], fallback: Prices) -> Prices:
    """Prices of the answer to `GET /pricing`; `fallback` supplies the ones that it lacks."""
    servers = {
        (kind["name"], price["location"]): _price(price["price_monthly"], price["price_hourly"])
        for kind in listed["server_types"]
        for price in kind["prices"]
    }
    traffic = [price["price_per_tb_traffic"]["net"] for kind in listed["server_types"] for price in kind["prices"]]
    (ipv4,) = [kind["prices"][0] for kind in listed["primary_ips"] if kind["type"] == "ipv4"]
    return Prices(
        source="GET /v1/pricing; object storage, which it does not know, from prices.yaml",
        date="today",
        servers=servers,
        ipv4=_price(ipv4["price_monthly"], ipv4["price_hourly"]),
        volume_gib=Price(monthly=Decimal(listed["volume"]["price_per_gb_month"]["net"]), hourly=None),
        object_storage=fallback.object_storage,
        backup_share=Decimal(listed["server_backup"]["percentage"]) / 100,
        traffic_tb=Decimal(traffic[0]) if traffic else None,
    )


def committed(path: Path) -> Prices:
    """The prices in a file."""
    return Prices.written(yaml.safe_load(path.read_text()))


def shown(of: Invoice, listed: Prices) -> str:
    """The invoice as a table, with the prices' source below."""
    rows = [
        (
            str(line.rented.kind),
            line.rented.name,
            _described(line.rented),
            _amount(line.price.hourly, 4),
            _amount(line.price.monthly, 3),
        )
        for line in of.lines
    ]
    rows.append(("total", "", "", _amount(of.hourly, 4), _amount(of.monthly, 3)))
    extra = f"; outgoing traffic beyond the included: {listed.traffic_tb} a TB" if listed.traffic_tb is not None else ""
    text = table(("what", "name", "type", "EUR/hour", "EUR/month"), rows)
    return f"{text}\nnet, without VAT{extra}\nprices of {listed.date}: {listed.source}"


def _described(thing: Rented) -> str:
    return f"{thing.gib} GiB" if thing.gib else " ".join(filter(None, (thing.type, thing.location)))


def _amount(value: Decimal | None, digits: int) -> str:
    return "unknown" if value is None else f"{value:.{digits}f}"


def _price(monthly: Mapping[str, str], hourly: Mapping[str, str]) -> Price:
    return Price(monthly=Decimal(monthly["net"]), hourly=Decimal(hourly["net"]))
