"""Uptime Kuma 2.1: checks the other hosts from the hub; backups report to it."""

from collections.abc import Iterator
from datetime import date

from model.backup import Files
from model.credential import Unverifiable
from model.endpoint import Endpoint
from model.host import TIMEZONE
from model.route import Access, Route
from model.service import Healthcheck, Limits, Logs, May, NotCollected, Replacement, Service, Volume
from model.waiver import Waiver
from services.context import Context
from services.networks import MONITORING, UPLINK
from services.uptime_kuma.outside import ADMIN_PASSWORD, PORT, completed

HEARTBEATS = Endpoint(service="uptime-kuma", port=PORT, network=MONITORING.name, site="status")


def services(of: Context) -> Iterator[Service]:
    """The module's only service."""
    yield service(timezone=of.timezone)


def service(scale: float = 1.0, *, timezone: str = TIMEZONE) -> Service:
    """Uptime Kuma, the site `status`. Its monitors are added last, when all services are known."""
    return Service(
        name=HEARTBEATS.service,
        # The predecessor followed `latest`.
        image="docker.io/louislam/uptime-kuma:2.1.3",
        networks=(MONITORING.name, UPLINK.name),
        limits=Limits(memory_mib=256, cpus=0.5).scaled(scale),
        replacement=Replacement.STOP_FIRST,
        metrics=NotCollected(reason="wants an API key that is made by hand in its interface"),
        logs=Logs.PLAIN,
        # Skips the page on which the first visitor would choose a database.
        environment={"UPTIME_KUMA_DB_TYPE": "sqlite", "TZ": timezone},
        volumes=(Volume(path="/app/data", directory="uptime-kuma", owner="0:0", mode=0o700, backup=Files(sqlite=("kuma.db",))),),
        secrets=(ADMIN_PASSWORD,),
        completed_last=completed,
        credentials=(
            Unverifiable(
                secret=ADMIN_PASSWORD, reason="its interface logs in over a WebSocket; the task that seeds its monitors does so"
            ),
        ),
        routes=(Route(subdomain=HEARTBEATS.site, port=PORT, access=Access.VPN, upgrades=True),),
        heartbeats=HEARTBEATS,
        may=May(share_uid=0),
        healthcheck=Healthcheck(command=("node", "-e", _PROBE), interval=30, timeout=10, retries=5, start_period=120),
        read_only_root=False,
        waivers=(Waiver(rule="containers-read-only-root", reason="it writes beside its program", until=date(2027, 8, 2)),),
    )


_PROBE = (
    f"require('http').get('http://127.0.0.1:{PORT}/',(r)=>process.exit(r.statusCode<500?0:1)).on('error',()=>process.exit(1))"
)
