"""LiteLLM: one OpenAI-shaped door to every model provider, with a budget for each."""

from model.secret import Generated, Secret
from model.service import Access, Configuration, Database, File, Healthcheck, Limits, Replacement, Route, Service
from services.litellm.configuration import render
from services.litellm.models import PROVIDERS
from services.networks import BACKEND, EGRESS, SANDBOX

DATABASE = Database(name="litellm", user="litellm", extensions=("uuid-ossp",))
REDIS_PASSWORD = Secret(name="redis_litellm_password", source=Generated())
MASTER_KEY = Secret(name="litellm_master_key", source=Generated(length=48, prefix="sk-", hexadecimal=True))
SALT_KEY = Secret(
    name="litellm_salt_key",
    source=Generated(),
    irreplaceable="LiteLLM encrypts the keys in its database with it",
)
UI_PASSWORD = Secret(name="litellm_ui_password", source=Generated())
DIRECTORY = "/app/configuration"
PORT = 4000


def service(scale: float = 1.0) -> Service:
    """The proxy; without data of its own, so that a new version starts beside the old."""
    return Service(
        name="litellm",
        image="ghcr.io/berriai/litellm:v1.81.3-stable",
        networks=(BACKEND.name, EGRESS.name, SANDBOX.name),
        limits=Limits(memory_mib=1024, cpus=1.0).scaled(scale),
        replacement=Replacement.START_FIRST,
        # As in the image's Dockerfile (BerriAI/litellm, WORKDIR /app).
        entrypoint=("docker/prod_entrypoint.sh",),
        command=("--config", f"{DIRECTORY}/config.yaml", "--port", str(PORT)),
        environment={"STORE_MODEL_IN_DB": "False"},
        secret_environment={
            "LITELLM_MASTER_KEY": f"{MASTER_KEY}",
            "LITELLM_SALT_KEY": f"{SALT_KEY}",
            "DATABASE_URL": f"postgresql://{DATABASE.user}:{DATABASE.password}@postgresql:5432/{DATABASE.name}",
            "REDIS_URL": f"redis://litellm:{REDIS_PASSWORD}@redis:6379/0",
            "UI_USERNAME": "admin",
            "UI_PASSWORD": f"{UI_PASSWORD}",
            **{provider.key_variable: f"{provider.key}" for provider in PROVIDERS},
        },
        configuration=Configuration(
            directory=DIRECTORY,
            files=(
                File(path="config.yaml", content=render()),
                File(path="master-key", content=f"{MASTER_KEY}"),
            ),
        ),
        secrets=(REDIS_PASSWORD, MASTER_KEY, SALT_KEY, UI_PASSWORD, *(provider.key for provider in PROVIDERS)),
        routes=(Route(subdomain="llm", port=PORT, access=Access.VPN),),
        needs=("postgresql", "redis"),
        healthcheck=Healthcheck(
            # GET /health would call, and pay, every model (predecessor lesson 27).
            command=("python3", "-c", _PROBE),
            interval=15,
            timeout=10,
            retries=5,
            start_period=90,
        ),
        capabilities=("CHOWN", "SETGID", "SETUID"),
        read_only_root=False,  # Prisma writes its client below the package (predecessor lesson 35).
        stop_timeout=30,
    )


_PROBE = (
    "import urllib.request as r; "
    f"k=open('{DIRECTORY}/master-key').read(); "
    f"r.urlopen(r.Request('http://127.0.0.1:{PORT}/v1/models', headers={{'Authorization': 'Bearer '+k}}), timeout=8)"
)
