"""The cost of rented servers and buckets: Hetzner's prices, line by line as on its invoice. Net, in EUR."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

from model.cloud import CloudServer


class Kind(StrEnum):
    """Kinds of lines on an invoice."""

    SERVER = "server"
    BACKUPS = "backups"
    IPV4 = "primary IPv4"
    VOLUME = "volume"
    OBJECT_STORAGE = "object storage"


@dataclass(frozen=True, kw_only=True)
class Rented:
    """One billed thing. `type` and `location` are a server's, `gib` a volume's."""

    kind: Kind
    name: str
    type: str = ""
    location: str = ""
    gib: int = 0


def of_server(server: CloudServer) -> Iterator[Rented]:
    """What is billed for a server that does not exist yet."""
    yield from _server(server.name, server.type, server.location, backups=server.backups, address=not server.keeps_address)
    if server.keeps_address:
        yield Rented(kind=Kind.IPV4, name=f"{server.name}-address")


def _server(name: str, kind: str, location: str, *, backups: bool, address: bool) -> Iterator[Rented]:
    server = Rented(kind=Kind.SERVER, name=name, type=kind, location=location)
    yield server
    if backups:
        yield replace(server, kind=Kind.BACKUPS)
    if address:
        yield Rented(kind=Kind.IPV4, name=name)


def rented(kind: str, name: str, inputs: Mapping[str, Any]) -> Iterator[Rented]:
    """What is billed for a resource of Pulumi's type `kind`."""
    if kind == "hcloud:index/server:Server":
        # A primary IP under `ipv4` is a resource of its own, and billed there.
        nets = inputs.get("publicNets") or [{}]
        address = nets[0].get("ipv4Enabled", True) and "ipv4" not in nets[0]
        place, backups = str(inputs.get("location", "")), bool(inputs.get("backups"))
        yield from _server(name, str(inputs["serverType"]), place, backups=backups, address=address)
    elif kind == "hcloud:index/primaryIp:PrimaryIp" and inputs.get("type") == "ipv4":
        yield Rented(kind=Kind.IPV4, name=name)
    elif kind == "hcloud:index/volume:Volume":
        yield Rented(kind=Kind.VOLUME, name=name, gib=int(inputs["size"]))
    elif kind == "pulumi-python:dynamic/s3:Bucket":
        yield Rented(kind=Kind.OBJECT_STORAGE, name=name)


@dataclass(frozen=True, kw_only=True)
class Price:
    """Price per hour, up to a cap per month; None where nobody could look it up."""

    monthly: Decimal | None
    hourly: Decimal | None

    def times(self, factor: Decimal) -> "Price":
        return Price(
            monthly=None if self.monthly is None else self.monthly * factor,
            hourly=None if self.hourly is None else self.hourly * factor,
        )

    @classmethod
    def written(cls, price: Mapping[str, str | None] | None) -> "Price":
        """A price from an entry of a price list; null means that nobody could look it up."""
        return cls(monthly=_decimal(price["monthly"]), hourly=_decimal(price["hourly"])) if price else UNKNOWN


UNKNOWN = Price(monthly=None, hourly=None)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


@dataclass(frozen=True, kw_only=True)
class Prices:
    """A price list and its source. Servers by (type, location)."""

    source: str
    date: str
    servers: Mapping[tuple[str, str], Price]
    ipv4: Price
    volume_gib: Price
    object_storage: Price
    """Base price of an account with any bucket; it includes 1 TB of storage and 1 TB of traffic."""
    backup_share: Decimal | None
    """Price of a server's backups, as a share of the server's price."""
    traffic_tb: Decimal | None
    """Price per TB of outgoing traffic beyond what the server's price includes."""

    @classmethod
    def written(cls, known: Mapping[str, Any]) -> "Prices":
        """The price list from the content of prices.yaml."""
        return cls(
            source=known["source"],
            date=known["date"],
            servers={
                (name, place): Price.written(price) for name, price in known["servers"].items() for place in known["locations"]
            },
            ipv4=Price.written(known["ipv4"]),
            volume_gib=Price.written(known["volume_gib"]),
            object_storage=Price.written(known["object_storage"]),
            backup_share=_decimal(known["backup_share"]),
            traffic_tb=_decimal(known["traffic_tb"]),
        )

    def of(self, rented: Rented) -> Price:
        """The price of one billed thing."""
        if rented.kind is Kind.SERVER:
            return self.servers.get((rented.type, rented.location), UNKNOWN)
        if rented.kind is Kind.BACKUPS:
            server = self.servers.get((rented.type, rented.location), UNKNOWN)
            return UNKNOWN if self.backup_share is None else server.times(self.backup_share)
        if rented.kind is Kind.VOLUME:
            return self.volume_gib.times(Decimal(rented.gib))
        return self.ipv4 if rented.kind is Kind.IPV4 else self.object_storage


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of the invoice."""

    rented: Rented
    price: Price


@dataclass(frozen=True, kw_only=True)
class Invoice:
    """All lines. The sums leave out lines without a price; `unknown` names these."""

    lines: Sequence[Line]

    @property
    def monthly(self) -> Decimal:
        return sum((line.price.monthly or Decimal(0) for line in self.lines), Decimal(0))

    @property
    def hourly(self) -> Decimal:
        return sum((line.price.hourly or Decimal(0) for line in self.lines), Decimal(0))

    @property
    def unknown(self) -> Sequence[Rented]:
        """Billed things without a monthly price."""
        return [line.rented for line in self.lines if line.price.monthly is None]

    def __str__(self) -> str:
        missing = ", ".join(f"{thing.kind} {thing.name}" for thing in self.unknown)
        return f"{self.monthly:.2f} EUR a month net" + (f", and without a known price: {missing}" if missing else "")


def invoice(rented: Iterable[Rented], prices: Prices) -> Invoice:
    """The invoice for `rented`; buckets share one base price, however many there are."""
    lines: list[Line] = []
    for thing in sorted(rented, key=lambda thing: (list(Kind).index(thing.kind), thing.name)):
        if thing.kind is Kind.OBJECT_STORAGE and any(line.rented.kind is Kind.OBJECT_STORAGE for line in lines):
            continue
        lines.append(Line(rented=thing, price=prices.of(thing)))
    return Invoice(lines=lines)
