"""Zerobyte 0.26: restic repositories in the bucket, with schedules and an interface."""

from collections.abc import Iterator
from datetime import date

from model.backup import Files
from model.credential import Credential, StoredSecret
from model.host import TIMEZONE
from model.names import Names
from model.route import Access, Route
from model.secret import Generated, Secret
from model.service import Configuration, Healthcheck, Limits, Logs, May, NotCollected, Replacement, Service, Volume
from model.waiver import Waiver
from services import storage
from services.context import Context
from services.networks import EGRESS, HUB

APP_SECRET = Secret(
    name="zerobyte_app_secret",
    source=Generated(length=64, hexadecimal=True),
    irreplaceable="Zerobyte encrypts the passwords of its repositories with it",
)
DIRECTORY = "/etc/zerobyte"
PORT = 4096
SITE = "backups"


def services(of: Context) -> Iterator[Service]:
    """The module's only service."""
    yield service(of.names, bucket=storage.backups_name(of.buckets), timezone=of.timezone)


def service(names: Names, scale: float = 1.0, bucket: str = "", *, timezone: str = TIMEZONE) -> Service:
    """Zerobyte behind the site `backups`; with a `bucket` it has the key of the backups.

    Repositories are configured in its interface (docs/runbooks/buckets.md). There `env://S3_BACKUPS_SECRET_KEY` stands for the
    key (nicotsx/zerobyte, examples/secrets-placeholders), so that the database does not contain it.
    """
    return Service(
        name="zerobyte",
        image="ghcr.io/nicotsx/zerobyte:v0.26.0",
        networks=(HUB.name, EGRESS.name),
        limits=Limits(memory_mib=256, cpus=0.5).scaled(scale),
        replacement=Replacement.STOP_FIRST,
        metrics=NotCollected(reason="shows none; each backup reports to Uptime Kuma"),
        logs=Logs.PLAIN,
        # As in the image (nicotsx/zerobyte v0.26.0, Dockerfile); the path there differs with every minor version.
        entrypoint=("/sbin/tini", "-s", "--"),
        command=("bun", "run", "start"),
        environment={
            "BASE_URL": f"https://{names.host(SITE)}",
            "PORT": str(PORT),
            "SERVER_IP": "0.0.0.0",
            "TZ": timezone,
        },
        secret_environment={"APP_SECRET": f"{APP_SECRET}", **(_BUCKET_KEYS if bucket else {})},
        configuration=Configuration(directory=DIRECTORY, files=()),
        secrets=(APP_SECRET, *((storage.BACKUPS_ACCESS_KEY, storage.BACKUPS_SECRET_KEY) if bucket else ())),
        credentials=(
            Credential(
                secret=APP_SECRET, holder="Zerobyte itself: it encrypts with it", proof=StoredSecret(variable="APP_SECRET")
            ),
        ),
        volumes=(
            Volume(
                path="/var/lib/zerobyte",
                directory="zerobyte",
                owner="0:0",
                mode=0o700,
                backup=Files(keys=(APP_SECRET,)),
            ),
        ),
        routes=(Route(subdomain=SITE, port=PORT, access=Access.VPN),),
        may=May(share_uid=0),
        healthcheck=Healthcheck(
            command=("wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{PORT}/"),
            interval=30,
            timeout=10,
            retries=5,
            start_period=60,
        ),
        # Zerobyte mounts nothing: no FUSE, no SYS_ADMIN. It gets what it backs up as files and over S3.
        read_only_root=False,
        waivers=(
            Waiver(
                rule="containers-read-only-root",
                reason="nobody has shown yet that it writes only below its data directory",
                until=date(2027, 4, 26),
            ),
        ),
    )


_BUCKET_KEYS = {
    "S3_BACKUPS_ACCESS_KEY": f"{storage.BACKUPS_ACCESS_KEY}",
    "S3_BACKUPS_SECRET_KEY": f"{storage.BACKUPS_SECRET_KEY}",
}
