"""Sure, personal finance: a Rails server and its Sidekiq worker, with one image, one database, one Redis database."""

from collections.abc import Iterator
from datetime import date

from model.backup import Files
from model.credential import Credential, Header, Request, StoredSecret, Unverifiable
from model.route import Access, Route
from model.secret import External, Generated, Secret
from model.service import (
    CacheUser,
    Configuration,
    Database,
    Healthcheck,
    Limits,
    Logs,
    May,
    NotCollected,
    Replacement,
    Service,
    Volume,
)
from model.waiver import Waiver
from services.context import Context
from services.litellm import MASTER_KEY as LITELLM_KEY
from services.networks import BACKEND, EGRESS, FRONTEND

REDIS_PASSWORD = Secret(name="redis_sure_password", source=Generated())
SECRET_KEY_BASE = Secret(
    name="sure_secret_key_base",
    source=Generated(length=128, hexadecimal=True),
    irreplaceable="Rails encrypts columns of Sure's database with it",
)
# Rails expects this name.
DATABASE = Database(name="sure_production", user="sure", extensions=("uuid-ossp", "pgcrypto"), keys=(SECRET_KEY_BASE,))
API_KEY = Secret(
    name="sure_api_key", source=External(obtain="Sure, after its first user: Settings > API key > Create", optional=True)
)
# The tag moves: the digest in the image lock pins the image.
IMAGE = "ghcr.io/we-promise/sure:nightly"
DIRECTORY = "/etc/sure"
PORT = 3000
_BASE = Credential(
    secret=SECRET_KEY_BASE, holder="Rails itself: it signs and encrypts with it", proof=StoredSecret(variable="SECRET_KEY_BASE")
)


def services(of: Context) -> Iterator[Service]:
    """Server and worker."""
    yield web(of)
    yield worker(of)


def web(of: Context) -> Service:
    """The server behind the site `sure`. It migrates the database at its start."""
    return _service(
        "sure-web",
        timezone=of.timezone,
        models=of.runs("litellm"),
        networks=(BACKEND.name, FRONTEND.name),
        # The predecessor ran it with 384 MiB (preprod) and 768; a start with 288 was never seen.
        limits=Limits(memory_mib=576, cpus=1.0).scaled(of.scale, least_mib=384),
        command=("./bin/rails", "server"),
        routes=(Route(subdomain="sure", port=PORT, access=Access.VPN),),
        needs=("postgresql", "redis"),
        keeps=DATABASE,
        caches=CacheUser(user="sure", password=REDIS_PASSWORD, holder="Sure"),
        healthcheck=Healthcheck(
            command=("curl", "-fsS", "-o", "/dev/null", f"http://127.0.0.1:{PORT}/"),
            interval=30,
            timeout=10,
            retries=5,
            start_period=120,
        ),
        credentials=(
            # we-promise/sure, app/controllers/api/v1/base_controller.rb: 401 for an unknown key, and for none.
            Credential(
                secret=API_KEY,
                holder="clients of the API",
                proof=Request(port=PORT, path="/api/v1/accounts", place=Header(name="X-Api-Key", scheme="")),
            ),
            _BASE,
        ),
    )


def worker(of: Context) -> Service:
    """The worker; it waits for the server, whose start migrates the database."""
    return _service(
        "sure-worker",
        timezone=of.timezone,
        models=of.runs("litellm"),
        # Egress, to ask banks and exchange rates: backend has no way to the Internet.
        networks=(BACKEND.name, EGRESS.name),
        # 256 is what upstream's chart asks for (we-promise/sure, charts/sure).
        limits=Limits(memory_mib=320, cpus=0.5).scaled(of.scale, least_mib=256),
        command=("bundle", "exec", "sidekiq"),
        routes=(),
        needs=("sure-web",),
        # A worker has no port; Sidekiq ends when Redis or the database stays away.
        healthcheck=Healthcheck(command=("sh", "-c", "kill -0 1"), interval=30, timeout=5, retries=3, start_period=60),
        credentials=(_BASE,),
    )


def _service(
    name: str,
    *,
    timezone: str,
    models: bool,
    networks: tuple[str, ...],
    keeps: Database | None = None,
    caches: CacheUser | None = None,
    limits: Limits,
    command: tuple[str, ...],
    routes: tuple[Route, ...],
    needs: tuple[str, ...],
    healthcheck: Healthcheck,
    credentials: tuple[Credential | Unverifiable, ...],
) -> Service:
    database = f"postgresql://{DATABASE.user}:{DATABASE.password}@postgresql:5432/{DATABASE.name}"
    return Service(
        name=name,
        image=IMAGE,
        networks=networks,
        limits=limits,
        replacement=Replacement.STOP_FIRST,
        metrics=NotCollected(reason="shows none; cAdvisor sees the container"),
        logs=Logs.PLAIN,
        # As in the image (we-promise/sure, Dockerfile).
        entrypoint=("/rails/bin/docker-entrypoint",),
        command=command,
        environment={
            "RAILS_ENV": "production",
            "RACK_ENV": "production",
            "RAILS_LOG_TO_STDOUT": "true",
            "SELF_HOSTED": "true",
            **({"OPENAI_URI_BASE": "http://litellm:4000/v1/", "OPENAI_MODEL": "gpt-4o-mini"} if models else {}),
            "TZ": timezone,
        },
        secret_environment={
            "SECRET_KEY_BASE": f"{SECRET_KEY_BASE}",
            "DATABASE_URL": database,
            "REDIS_URL": f"redis://sure:{REDIS_PASSWORD}@redis:6379/1",
            **({"OPENAI_ACCESS_TOKEN": f"{LITELLM_KEY}"} if models else {}),
        },
        configuration=Configuration(directory=DIRECTORY, files=(), owner="1000:1000"),
        secrets=(SECRET_KEY_BASE, API_KEY, REDIS_PASSWORD, *((LITELLM_KEY,) if models else ())),
        credentials=credentials,
        volumes=(
            Volume(
                path="/rails/storage",
                directory="sure",
                owner="1000:1000",
                mode=0o755,
                backup=Files(),
                shared=True,
            ),
        ),
        routes=routes,
        needs=needs,
        keeps=keeps,
        caches=caches,
        may=May(share_uid=1000),
        healthcheck=healthcheck,
        image_uid=1000,
        read_only_root=False,
        waivers=(
            Waiver(
                rule="containers-read-only-root", reason="Rails writes below /rails/tmp and /rails/log", until=date(2027, 10, 11)
            ),
            Waiver(
                rule="containers-own-data",
                reason="web and worker are one program; both write uploads to /rails/storage",
                until=date(2027, 10, 11),
            ),
        ),
        stop_timeout=30,
    )
