"""NocoDB 0.301: tables over PostgreSQL; attachments are in the shared bucket, or beside NocoDB's own files without one."""

from collections.abc import Iterator
from datetime import date

from model.backup import Files
from model.credential import Credential, Header, Request, StoredSecret
from model.names import Names
from model.route import Access, Route
from model.secret import External, Generated, Secret
from model.service import Configuration, Database, Healthcheck, Limits, Logs, May, NotCollected, Replacement, Service, Volume
from model.waiver import Waiver
from services import storage
from services.context import Context
from services.networks import BACKEND, FRONTEND

DATABASE = Database(name="nocodb", user="nocodb")
JWT_SECRET = Secret(name="nocodb_jwt_secret", source=Generated())
API_TOKEN = Secret(
    name="nocodb_api_token",
    source=External(obtain="NocoDB, after its first start: Account > Tokens > Add new token", optional=True),
)
DIRECTORY = "/etc/nocodb"
PORT = 8080
SITE = "nocodb"


def services(of: Context) -> Iterator[Service]:
    """The module's only service."""
    yield service(of.names, of.scale, storage.shared_name(of.buckets))


def service(names: Names, scale: float = 1.0, bucket: str = "") -> Service:
    """NocoDB behind the site of its name; attachments are in `bucket`."""
    database = f"pg://postgresql:5432?u={DATABASE.user}&p={DATABASE.password}&d={DATABASE.name}"
    return Service(
        name="nocodb",
        image="docker.io/nocodb/nocodb:0.301.2",
        networks=(BACKEND.name, FRONTEND.name),
        # 384 MiB were too little for the predecessor, whose last values were these two.
        # Half of them leaves 12 MiB at rest (0.301.3, measured): NocoDB would end with the first import.
        limits=Limits(memory_mib=512, cpus=0.5).scaled(scale, least_mib=512),
        replacement=Replacement.STOP_FIRST,
        metrics=NotCollected(reason="shows none; cAdvisor sees the container, smoke asks its API"),
        logs=Logs.PLAIN,
        # As in the image (nocodb/nocodb, packages/nocodb/Dockerfile).
        entrypoint=("/usr/bin/dumb-init", "--"),
        command=("/usr/src/appEntry/start.sh",),
        environment={
            "NC_PUBLIC_URL": f"https://{names.host(SITE)}",
            "NC_TOOL_DIR": "/data",
            "NC_DISABLE_TELE": "true",
            **(_bucket(bucket) if bucket else {}),
            "NODE_OPTIONS": "--max-old-space-size=430",
        },
        secret_environment={
            "NC_DB": database,
            "NC_AUTH_JWT_SECRET": f"{JWT_SECRET}",
            **(_BUCKET_KEYS if bucket else {}),
        },
        configuration=Configuration(directory=DIRECTORY, files=()),
        secrets=(JWT_SECRET, API_TOKEN, *((storage.SHARED_ACCESS_KEY, storage.SHARED_SECRET_KEY) if bucket else ())),
        credentials=(
            # nocodb/nocodb, global.guard.ts and authtoken.strategy.ts: an unknown caller is a guest, whom the ACL refuses.
            Credential(
                secret=API_TOKEN,
                holder="n8n",
                proof=Request(port=PORT, path="/api/v2/meta/bases", place=Header(name="xc-token", scheme=""), refused=(401, 403)),
            ),
            Credential(
                secret=JWT_SECRET,
                holder="NocoDB itself: it signs sessions with it",
                proof=StoredSecret(variable="NC_AUTH_JWT_SECRET"),
            ),
        ),
        volumes=(
            Volume(
                path="/data",
                directory="nocodb",
                owner="0:0",
                mode=0o755,
                backup=Files(),
            ),
        ),
        routes=(Route(subdomain=SITE, port=PORT, access=Access.VPN),),
        needs=("postgresql",),
        keeps=DATABASE,
        may=May(share_uid=0),
        healthcheck=Healthcheck(
            command=("wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{PORT}/api/v1/health"),
            interval=30,
            timeout=10,
            retries=5,
            start_period=60,
        ),
        capabilities=("CHOWN", "SETGID", "SETUID", "DAC_OVERRIDE", "FOWNER"),
        read_only_root=False,
        waivers=(
            Waiver(
                rule="containers-read-only-root",
                reason="it unpacks itself below /usr/src/app at its start",
                until=date(2027, 9, 27),
            ),
        ),
    )


_BUCKET_KEYS = {
    "NC_S3_ACCESS_KEY": f"{storage.SHARED_ACCESS_KEY}",
    "NC_S3_ACCESS_SECRET": f"{storage.SHARED_SECRET_KEY}",
}


def _bucket(name: str) -> dict[str, str]:
    return {
        "NC_S3_BUCKET_NAME": name,
        "NC_S3_REGION": storage.REGION,
        "NC_S3_ENDPOINT": storage.ENDPOINT,
        "NC_S3_FORCE_PATH_STYLE": "true",
    }
