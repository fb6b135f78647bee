"""What Hetzner offers, as far as the lab needs it.

Locations: docs.hetzner.com/cloud/general/locations. Types and net prices per month: GET /v1/server_types as of 2026-09-08
(several public projects quote the same numbers); CX22 has not been sold since 2026-01 (docs.hetzner.cloud/changelog).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

Json = dict[str, Any]
EPOCH = "2026-01-01T00:00:00+00:00"
VAT_RATE = Decimal("19.000000")

LOCATIONS: tuple[Json, ...] = tuple(
    {
        "id": number,
        "name": name,
        "description": f"{city} DC Park 1",
        "country": country,
        "city": city,
        "latitude": latitude,
        "longitude": longitude,
        "network_zone": "eu-central",
    }
    for number, (name, city, country, latitude, longitude) in enumerate(
        (
            ("fsn1", "Falkenstein", "DE", 50.47612, 12.370071),
            ("nbg1", "Nuremberg", "DE", 49.452102, 11.076665),
            ("hel1", "Helsinki", "FI", 60.169855, 24.938379),
        ),
        1,
    )
)


@dataclass(frozen=True)
class _Type:
    name: str
    cores: int
    memory: int
    disk: int
    monthly: str | None
    hourly: str | None = None
    architecture: str = "x86"
    cpu_type: str = "shared"
    retired: str = ""


_TYPES = (
    _Type("cx22", 2, 4, 40, None, retired="2026-01-01T00:00:00+00:00"),
    _Type("cx23", 2, 4, 40, "5.49", "0.0088"),
    _Type("cx33", 4, 8, 80, "8.49"),
    _Type("cx43", 8, 16, 160, "15.99"),
    _Type("cx53", 16, 32, 320, "29.49"),
    _Type("cax11", 2, 4, 40, "5.99", "0.0096", architecture="arm"),
    _Type("cax21", 4, 8, 80, None, architecture="arm"),
    _Type("cax31", 8, 16, 160, None, architecture="arm"),
    _Type("cpx22", 2, 4, 80, "19.49"),
    _Type("ccx13", 2, 8, 80, "42.99", cpu_type="dedicated"),
)


def price(net: str) -> Json:
    """An amount as the API writes it: ten digits after the point, with and without tax."""
    amount = Decimal(net)
    return {"net": f"{amount:.10f}", "gross": f"{amount * (100 + VAT_RATE) / 100:.16f}"}


def _prices(of: _Type) -> Iterator[Json]:
    for location in LOCATIONS:
        if of.monthly:
            yield {
                "location": location["name"],
                # A month's cap is reached after 624 hours: 5.49 and 0.0088, 5.99 and 0.0096, 6.49 and 0.0104 were all quoted.
                "price_hourly": price(of.hourly or f"{Decimal(of.monthly) / 624:.4f}"),
                "price_monthly": price(of.monthly),
                "included_traffic": 20 * 1024**4,
                "price_per_tb_traffic": price("1.00"),
            }


def _deprecation(of: _Type) -> Json | None:
    return {"announced": "2025-10-16T00:00:00+00:00", "unavailable_after": of.retired} if of.retired else None


SERVER_TYPES: tuple[Json, ...] = tuple(
    {
        "id": number,
        "name": kind.name,
        "description": kind.name.upper(),
        "category": {"cx": "cost_optimized", "ca": "cost_optimized", "cp": "regular_purpose"}.get(
            kind.name[:2], "general_purpose"
        ),
        "cores": kind.cores,
        "memory": kind.memory,
        "disk": kind.disk,
        "storage_type": "local",
        "cpu_type": kind.cpu_type,
        "architecture": kind.architecture,
        "deprecated": bool(kind.retired),
        "deprecation": _deprecation(kind),
        "prices": list(_prices(kind)),
        "locations": [
            {
                "id": location["id"],
                "name": location["name"],
                "recommended": not kind.retired,
                "available": not kind.retired,
                "deprecation": _deprecation(kind),
            }
            for location in LOCATIONS
        ],
    }
    for number, kind in enumerate(_TYPES, 101)
)

IMAGES: tuple[Json, ...] = tuple(
    {
        "id": number,
        "type": "system",
        "status": "available",
        "name": name,
        "description": description,
        "image_size": None,
        "disk_size": 5,
        "created": EPOCH,
        "created_from": None,
        "bound_to": None,
        "os_flavor": name.partition("-")[0],
        "os_version": name.partition("-")[2],
        "architecture": architecture,
        "rapid_deploy": True,
        "protection": {"delete": False},
        "deprecated": None,
        "deleted": None,
        "labels": {},
    }
    for number, (name, description, architecture) in enumerate(
        (
            (name, description, architecture)
            for name, description in (("debian-13", "Debian 13"), ("ubuntu-24.04", "Ubuntu 24.04"))
            for architecture in ("x86", "arm")
        ),
        201,
    )
)

_PRIMARY_IPV4 = "0.50"
_VOLUME = "0.0572"


def pricing() -> Json:
    """What `GET /pricing` answers. The primary IPv4 and the volume: docs/costs.md names where they were read."""
    return {
        "currency": "EUR",
        "vat_rate": f"{VAT_RATE}",
        "floating_ips": [],
        "primary_ips": [
            {
                "type": kind,
                "prices": [
                    {
                        "location": location["name"],
                        "price_hourly": price(f"{Decimal(monthly) / 624:.4f}"),
                        "price_monthly": price(monthly),
                    }
                    for location in LOCATIONS
                ],
            }
            for kind, monthly in (("ipv4", _PRIMARY_IPV4), ("ipv6", "0"))
        ],
        "server_backup": {"percentage": "20.0000000000"},
        "server_types": [{key: kind[key] for key in ("id", "name", "prices")} for kind in SERVER_TYPES if kind["prices"]],
        "load_balancer_types": [],
        "volume": {"price_per_gb_month": price(_VOLUME)},
    }


def now() -> str:
    """The time as the API writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
