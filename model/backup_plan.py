"""The two JSON texts that components/scripts/installed/vpai-backup.py reads on a host: its plan, and the plan's secrets."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from model.backup import Files, Nothing, PostgresDump, QdrantExport, RedisDump
from model.placement import Placement
from model.secret import Secret, json_text
from model.service import Service, Volume

PATIENCE_SECONDS = 60
"""Wait for the bucket's first answer."""
UPLOAD_SECONDS = 3 * 3600
"""Limit of one upload, and of one download of a run: restic itself retries for long when a bucket is full or slow."""
METRICS = "/var/lib/vpai/metrics"
"""Directory of node_exporter's textfile collector."""
FORMAT = 1
"""Version of the format of the plan, and of the manifests made by it."""


def plan(placement: Placement, *, stack: str, project: str, image: str) -> str:
    """The plan as JSON, without secrets. `image` is restic's image as the host's Docker names it."""
    to = placement.backup
    assert to
    document = {
        "format": FORMAT,
        "stack": stack,
        "host": placement.host.name,
        "base": f"/opt/{project}",
        "metrics": METRICS,
        "restic": {
            "image": image,
            "memory_mib": to.memory_mib,
            "network": f"{project}_{to.network}",
            "repository": to.repository,
            "region": to.region,
            "patience_seconds": PATIENCE_SECONDS,
            "upload_seconds": UPLOAD_SECONDS,
        },
        "heartbeat": to.heartbeat,
        "hourly": to.hourly,
        "items": list(_items(placement.services)),
        # Dependencies decide which services a restore stops, and in which order they start again.
        "services": [
            {"name": service.name, "needs": list(service.needs), "deadline": service.healthcheck.deadline}
            for service in placement.in_order()
        ],
    }
    return json.dumps(document, indent=2)


def secrets(placement: Placement) -> str:
    """The plan's secrets as JSON; its strings refer to secrets."""
    to = placement.backup
    assert to
    document = {
        "access_key": f"{to.access_key}",
        "secret_key": f"{to.secret_key}",
        "password": f"{to.password}",
        "heartbeat": f"{to.heartbeat_token}" if to.heartbeat_token else "",
        "passwords": {
            service.name: f"{backup.password if isinstance(backup, RedisDump) else backup.key}"
            for service, _, backup in _asked(placement.services)
        },
        # Keys are random values of 256 bits: a hash does not reveal a key, and shows whether it is the same one.
        "fingerprints": {
            service.name: {key.name: key.sha256 for key in keys}
            for service in placement.services
            if (keys := _keys(service, placement.services))
        },
        # Tasks run again after a restore: a restored database has its old content, old passwords too.
        "tasks": {
            service.name: [{"name": task.name, "command": list(task.command), "stdin": task.stdin} for task in service.tasks]
            for service in placement.services
            if service.tasks
        },
    }
    return json_text(document, indent=2)


def items(placement: Placement) -> tuple[str, ...]:
    """The services of a host whose data is backed up, once each."""
    return tuple(str(item["service"]) for item in _items(placement.services))


def _items(services: Sequence[Service]) -> Iterator[Mapping[str, Any]]:
    """One item per service with data. A volume that several services share belongs to the first; `also` names the others."""
    taken: dict[str, str] = {}
    found: dict[str, dict[str, Any]] = {}
    for service in services:
        for volume in service.volumes:
            if isinstance(volume.backup, Nothing):
                continue
            owner = taken.setdefault(volume.directory, service.name)
            if owner != service.name:
                found[owner]["also"].append(service.name)
                continue
            item = found.setdefault(service.name, {"service": service.name, "also": [], "volumes": [], **_asks(service, volume)})
            item["volumes"].append({"directory": volume.directory, "owner": volume.owner, "mode": volume.mode, **_files(volume)})
    yield from found.values()


def _asks(service: Service, volume: Volume) -> Mapping[str, Any]:
    match volume.backup:
        case PostgresDump():
            return {"kind": "postgresql", "databases": [database.name for database in service.databases]}
        case RedisDump(user=user):
            return {"kind": "redis", "user": user}
        case QdrantExport() as backup:
            return {"kind": "qdrant", "port": backup.port, "collections": list(backup.collections)}
        case _:
            return {"kind": "files"}


def _files(volume: Volume) -> Mapping[str, Any]:
    backup = volume.backup
    if not isinstance(backup, Files):
        return {}
    return {"sqlite": list(backup.sqlite), "exclude": list(backup.exclude), "pause": backup.pause}


def _asked(services: Sequence[Service]) -> Iterator[tuple[Service, Volume, RedisDump | QdrantExport]]:
    for service in services:
        for volume in service.volumes:
            if isinstance(volume.backup, RedisDump | QdrantExport):
                yield service, volume, volume.backup


def _keys(service: Service, services: Sequence[Service]) -> tuple[Secret, ...]:
    """Secrets without which the data of `service` is unreadable."""
    found = [key for volume in service.volumes if isinstance(volume.backup, Files) for key in volume.backup.keys]
    found += [key for database in service.databases for key in database.keys]
    return tuple(dict.fromkeys(found))
