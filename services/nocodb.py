"""NocoDB 0.301: tables over PostgreSQL; attachments lie in the shared bucket."""

from datetime import date

from model.credential import Credential, Header, Held, Request
from model.route import Access, Route
from model.secret import External, Generated, Secret
from model.service import Configuration, Database, Healthcheck, Limits, Logs, Replacement, Service, Silent, Volume
from model.waiver import Waiver
from services.networks import BACKEND, FRONTEND

DATABASE = Database(name="nocodb", user="nocodb")
JWT_SECRET = Secret(name="nocodb_jwt_secret", source=Generated())
API_TOKEN = Secret(
    name="nocodb_api_token",
    source=External(obtain="NocoDB, after its first start: Account > Tokens > Add new token", optional=True),
)
_S3 = "Hetzner console > Object Storage > S3 credentials"
S3_ACCESS_KEY = Secret(name="s3_access_key", source=External(obtain=_S3, optional=True))
S3_SECRET_KEY = Secret(name="s3_secret_key", source=External(obtain=_S3, optional=True))
SHARED_BUCKET = "vpai-shared"
# Where NocoDB puts attachments in it. The specification says nc-attachments/, but NocoDB has no setting for it
# (nocodb/nocodb, src/plugins/s3/S3.ts). An endpoint with a path would do for uploads and break the clean-up, which lists.
ATTACHMENTS = ("nc/uploads/", "nc/thumbnails/")
S3_ENDPOINT = "https://fsn1.your-objectstorage.com"
DIRECTORY = "/etc/nocodb"
PORT = 8080


def service(domain: str, scale: float = 1.0) -> Service:
    """NocoDB behind `hq.<domain>`."""
    database = f"pg://postgresql:5432?u={DATABASE.user}&p={DATABASE.password}&d={DATABASE.name}"
    return Service(
        name="nocodb",
        image="docker.io/nocodb/nocodb:0.301.2",
        networks=(BACKEND.name, FRONTEND.name),
        # 384 was too little for the predecessor, which ended with these two numbers (lesson 58).
        limits=Limits(memory_mib=512, cpus=0.5).scaled(scale),
        replacement=Replacement.STOP_FIRST,
        metrics=Silent(reason="shows none; cAdvisor sees the container, smoke asks its API"),
        logs=Logs.PLAIN,
        # As in the image (nocodb/nocodb, packages/nocodb/Dockerfile).
        entrypoint=("/usr/bin/dumb-init", "--"),
        command=("/usr/src/appEntry/start.sh",),
        environment={
            "NC_PUBLIC_URL": f"https://hq.{domain}",
            "NC_TOOL_DIR": "/data",
            "NC_DISABLE_TELE": "true",
            "NC_S3_BUCKET_NAME": SHARED_BUCKET,
            "NC_S3_REGION": "fsn1",
            "NC_S3_ENDPOINT": S3_ENDPOINT,
            "NC_S3_FORCE_PATH_STYLE": "true",
            "NODE_OPTIONS": f"--max-old-space-size={int(430 * scale)}",
        },
        secret_environment={
            "NC_DB": database,
            "NC_AUTH_JWT_SECRET": f"{JWT_SECRET}",
            "NC_API_TOKEN": f"{API_TOKEN}",
            "NC_S3_ACCESS_KEY": f"{S3_ACCESS_KEY}",
            "NC_S3_ACCESS_SECRET": f"{S3_SECRET_KEY}",
        },
        configuration=Configuration(directory=DIRECTORY, files=()),
        secrets=(JWT_SECRET, API_TOKEN, S3_ACCESS_KEY, S3_SECRET_KEY),
        credentials=(
            # nocodb/nocodb, global.guard.ts and authtoken.strategy.ts: whoever is not known is a guest, whom the ACL refuses.
            Credential(
                secret=API_TOKEN,
                holder="n8n, OpenClaw",
                proof=Request(port=PORT, path="/api/v2/meta/bases", place=Header(name="xc-token", scheme=""), refused=(401, 403)),
            ),
            Credential(
                secret=JWT_SECRET, holder="NocoDB itself: it signs sessions with it", proof=Held(variable="NC_AUTH_JWT_SECRET")
            ),
        ),
        volumes=(
            Volume(
                path="/data",
                directory="nocodb",
                owner="1000:1000",
                mode=0o755,
                backup="the whole directory, daily; the tables are in the database",
            ),
        ),
        routes=(Route(subdomain="hq", port=PORT, access=Access.VPN),),
        needs=("postgresql",),
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
                until=date(2027, 5, 31),
            ),
        ),
    )
