"""What Uptime Kuma asks from the hub, of all other hosts: their sites as a member of the mesh sees them, and who reports to it.

The hub itself is watched from where Grafana stands: each tells of the other.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from importlib import resources

from model.credential import Unproven
from model.placement import Placement
from model.route import ALL, Access, Route
from model.secret import Secret
from model.service import Configuration, File, Link, Service, Task
from services import telegram, uptime_kuma

_BACKUP_SECONDS = 26 * 3600
"""A host that is backed up must report at least that often: once a day, and two hours for it to be late."""
_TIMEOUT_SECONDS = 15
_MARK = "(from the catalogue)"
_ROOT = "root.crt"


def told(service: Service, placements: Iterable[Placement], domain: str, authority: str) -> Service:
    """Uptime Kuma with its links, and with the task that seeds it."""
    asked = [(placement, each, route) for placement, each, route in _routes(placements, service)]
    backups = {placement.host.name: placement.backup.heartbeat for placement in placements if placement.backup}
    tokens = tuple(backups.values())
    names = dict.fromkeys(each.name for _, each, _ in asked)
    return replace(
        service,
        links=tuple(Link(service=name, reason="whether it answers is asked from another host") for name in names),
        configuration=Configuration(
            directory=uptime_kuma.DIRECTORY, files=(File(path=_ROOT, content=authority),) if authority else ()
        ),
        environment={
            **service.environment,
            **({"NODE_EXTRA_CA_CERTS": f"{uptime_kuma.DIRECTORY}/{_ROOT}"} if authority else {}),
        },
        credentials=(
            *service.credentials,
            *(Unproven(secret=token, reason="the last part of an address: any other path finds no monitor") for token in tokens),
        ),
        secrets=(*service.secrets, telegram.MONITORING_TOKEN, telegram.MONITORING_CHAT, *tokens),
        tasks=(
            Task(
                name="uptime-kuma-monitors",
                service=service.name,
                command=("node", "-e", resources.files(__package__).joinpath("outside.js").read_text()),
                stdin=_wanted(asked, backups, domain),
            ),
        ),
    )


Asked = tuple[Placement, Service, Route]


def _routes(placements: Iterable[Placement], kuma: Service) -> Iterator[Asked]:
    for placement in placements:
        if kuma.name not in {service.name for service in placement.services}:
            for service in placement.services:
                yield from ((placement, service, route) for route in service.routes)


def _wanted(asked: Iterable[Asked], backups: Mapping[str, Secret], domain: str) -> str:
    """Everything that the seeding task reads, in the words of Kuma's own API; the names of monitors are lasting."""
    return json.dumps(
        {
            "url": f"http://127.0.0.1:{uptime_kuma.PORT}",
            "username": uptime_kuma.ADMIN,
            "password": f"{uptime_kuma.ADMIN_PASSWORD}",
            "notification": {
                "name": "Telegram",
                "type": "telegram",
                "telegramBotToken": f"{telegram.MONITORING_TOKEN}",
                "telegramChatID": f"{telegram.MONITORING_CHAT}",
                "isDefault": True,
                "applyExisting": False,
            },
            "mark": _MARK,
            "monitors": [*(_site(*each, domain) for each in asked), *_heartbeats(backups)],
        }
    )


def _site(placement: Placement, service: Service, route: Route, domain: str) -> Mapping[str, object]:
    return {
        **_COMMON,
        "name": route.subdomain,
        "type": "http",
        "method": "GET",
        "url": f"https://{route.subdomain}.{domain}/",
        "description": f"{service.name} on {placement.host.name} {_MARK}",
        "interval": 60 if route.access is Access.PUBLIC else 120,
        "retryInterval": 60,
        "maxretries": 2,
        "timeout": _TIMEOUT_SECONDS,
        "maxredirects": 0,
        # Up means that the service answers, a login page or a refusal included; a gateway's error does not.
        # A door that serves one call only has no page to show: that it refuses all else is what can be asked.
        "accepted_statuscodes": ["404"] if ALL not in route.paths else ["200-299", "300-399", "401", "403", "404"],
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


# Without these columns its database refuses a monitor of whatever kind (louislam/uptime-kuma#5360).
_COMMON: Mapping[str, object] = {"conditions": [], "kafkaProducerBrokers": [], "kafkaProducerSaslOptions": {"mechanism": "None"}}
