"""Uptime Kuma's monitors, on the hub, for all other hosts: their sites as a member of the mesh sees them, and their reports.

The hub itself is watched from Grafana's host: Grafana and Uptime Kuma watch each other.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources

from model.credential import Unverifiable
from model.overview import Overview
from model.placement import Placement
from model.route import ALL, Access, Route
from model.secret import Generated, Secret, json_text
from model.service import Configuration, File, Link, Service, Task
from services import telegram

ADMIN = "admin"
ADMIN_PASSWORD = Secret(
    name="uptime_kuma_admin_password",
    source=Generated(),
    irreplaceable="Uptime Kuma keeps it in its own database, and only its interface changes it there",
)
DIRECTORY = "/etc/uptime-kuma"
PORT = 3001
_BACKUP_SECONDS = 26 * 3600
"""The longest interval between two reports of a host that is backed up: once a day, plus two hours of delay."""
_TIMEOUT_SECONDS = 15
_MARK = "(from the catalogue)"
_ROOT = "root.crt"


def completed(service: Service, of: Overview) -> Service:
    """Uptime Kuma with its links, and with the task that seeds it."""
    authority, asked = of.authority, _asked(of.placements, service, of.names.domain)
    backups = {
        placement.host.name: placement.backup.heartbeat_token
        for placement in of.placements
        if placement.backup and placement.backup.heartbeat_token
    }
    tokens = tuple(backups.values())
    # A site that is public altogether is checked over the Internet, where everybody finds it.
    names = dict.fromkeys(
        name
        for site in asked
        if any(route.access is Access.VPN or route.relayed for route in site.routes)
        for name in site.services
    )
    return replace(
        service,
        links=tuple(Link(service=name, reason="whether it answers is asked from another host") for name in names),
        configuration=Configuration(directory=DIRECTORY, files=(File(path=_ROOT, content=authority),) if authority else ()),
        environment={
            **service.environment,
            **({"NODE_EXTRA_CA_CERTS": f"{DIRECTORY}/{_ROOT}"} if authority else {}),
        },
        credentials=(
            *service.credentials,
            *(
                Unverifiable(secret=token, reason="the last part of an address: any other path finds no monitor")
                for token in tokens
            ),
        ),
        secrets=(*service.secrets, telegram.MONITORING_TOKEN, telegram.MONITORING_CHAT, *tokens),
        tasks=(
            Task(
                name="uptime-kuma-monitors",
                service=service.name,
                command=("node", "-e", resources.files(__package__).joinpath("outside.js").read_text()),
                stdin=_wanted(asked, backups),
            ),
        ),
    )


@dataclass
class _Site:
    """One address that is checked, whatever the number of its routes."""

    name: str
    url: str
    on: str
    services: list[str] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)


def _asked(placements: Iterable[Placement], kuma: Service, domain: str) -> list[_Site]:
    found: dict[str, _Site] = {}
    for placement in placements:
        if kuma.name not in {service.name for service in placement.services}:
            for service in placement.services:
                for route in service.routes:
                    host = route.host(domain)
                    site = found.setdefault(host, _Site(route.subdomain or host, f"https://{host}/", placement.host.name))
                    site.services.append(service.name)
                    site.routes.append(route)
    return list(found.values())


def _wanted(asked: Iterable[_Site], backups: Mapping[str, Secret]) -> str:
    """The input of the seeding task, in the terms of Kuma's own API; the names of monitors never change."""
    return json_text(
        {
            "url": f"http://127.0.0.1:{PORT}",
            "username": ADMIN,
            "password": f"{ADMIN_PASSWORD}",
            "notification": {
                "name": "Telegram",
                "type": "telegram",
                "telegramBotToken": f"{telegram.MONITORING_TOKEN}",
                "telegramChatID": f"{telegram.MONITORING_CHAT}",
                "isDefault": True,
                "applyExisting": False,
            },
            "mark": _MARK,
            "monitors": [*(_site(site) for site in asked), *_heartbeats(backups)],
        }
    )


def _site(site: _Site) -> Mapping[str, object]:
    paths = {path for route in site.routes for path in route.paths}
    return {
        **_COMMON,
        "name": site.name,
        "type": "http",
        "method": "GET",
        "url": site.url,
        "description": f"{', '.join(dict.fromkeys(site.services))} on {site.on} {_MARK}",
        "interval": 60 if any(route.access is Access.PUBLIC for route in site.routes) else 120,
        "maxretries": 2,
        "timeout": _TIMEOUT_SECONDS,
        "maxredirects": 0,
        # Up means that the service answers, even with a login page or a refusal; a gateway's error does not count.
        # A site that serves one call only has no page: the monitor checks that the site refuses all else.
        "accepted_statuscodes": ["404"] if not paths & {ALL, "/"} else ["200-299", "300-399", "401", "403", "404"],
        "expiryNotification": True,
    }


def _heartbeats(backups: Mapping[str, Secret]) -> Iterator[Mapping[str, object]]:
    for host, token in backups.items():
        yield {
            **_COMMON,
            "name": f"backup-{host}",
            "type": "push",
            "description": f"the nightly backup of {host} {_MARK}",
            "interval": _BACKUP_SECONDS,
            "maxretries": 0,
            "pushToken": f"{token}",
            "accepted_statuscodes": ["200-299"],
        }


# Without the first three fields Kuma's database refuses every monitor (louislam/uptime-kuma#5360). Without the last it accepts a
# monitor but no change of it: the column's default, 0, is less than Kuma's own check allows (2.1.3, server/model/monitor.js).
_COMMON: Mapping[str, object] = {
    "conditions": [],
    "kafkaProducerBrokers": [],
    "kafkaProducerSaslOptions": {"mechanism": "None"},
    "retryInterval": 60,
}
