"""The backups of each host: its repository in the bucket of backups, with its own key and password."""

from collections.abc import Iterable, Mapping, Sequence

from model.backup import HostBackup, Nothing, PostgresDump
from model.endpoint import Endpoint
from model.names import Names
from model.network import Network
from model.secret import Generated, Secret
from model.service import Service
from services import storage
from services.networks import EGRESS, FRONTEND

IMAGE = "docker.io/restic/restic:0.19.1"
# Used: 80 MB for a backup of 0.9 GiB of incompressible data, 121 MB for its restore (/usr/bin/time, restic 0.19.1, GOGC=20
# GOMEMLIMIT=90MiB GOMAXPROCS=1, 2026-11-29).
MEMORY_MIB = 128


def of(
    host: str,
    services: Sequence[Service],
    networks: Iterable[Network],
    prefix: str,
    names: Names,
    *,
    hourly: bool = False,
    heartbeats: Endpoint | None,
) -> HostBackup | None:
    """The backup of a host; None without a bucket or data to keep. `heartbeats`: the endpoint that waits for its reports."""
    kept = any(not isinstance(volume.backup, Nothing) for service in services for volume in service.volumes)
    if not prefix or not kept:
        return None
    joined = {network.name for network in networks}
    access_key, secret_key = storage.backup_keys(host)
    return HostBackup(
        image=IMAGE,
        memory_mib=MEMORY_MIB,
        network=EGRESS.name if EGRESS.name in joined else FRONTEND.name,
        endpoint=storage.ENDPOINT,
        region=storage.REGION,
        bucket=storage.backups_name(prefix),
        prefix=host,
        access_key=access_key,
        secret_key=secret_key,
        password=password(host),
        heartbeat=_heartbeat(heartbeats, services, names) if heartbeats else {},
        heartbeat_token=Secret(
            name=f"{_identifier(heartbeats.service)}_backup_{_identifier(host)}_token", source=Generated(length=32)
        )
        if heartbeats
        else None,
        hourly=hourly and any(isinstance(volume.backup, PostgresDump) for service in services for volume in service.volumes),
    )


def _heartbeat(to: Endpoint, services: Iterable[Service], names: Names) -> Mapping[str, str | int]:
    if any(service.name == to.service for service in services):
        return {"service": to.service, "port": to.port}
    return {"url": f"{to.across(names)}/api/push/"}


def password(host: str) -> Secret:
    """The password of the host's repository."""
    return Secret(
        name=f"backup_{_identifier(host)}_password",
        source=Generated(),
        irreplaceable=f"the backups of {host} are encrypted with it",
    )


def _identifier(host: str) -> str:
    return host.replace("-", "_")
