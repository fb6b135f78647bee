"""LiteLLM: one OpenAI-compatible endpoint for every model provider, with a budget for each."""

import json
from collections.abc import Iterator
from datetime import date

from model.alert import Severity, Watch
from model.check import AtSite
from model.credential import Credential, Header, Login, Request, StoredSecret
from model.dashboard import Dashboard, Form, Panel, of_service
from model.route import Access, Route
from model.secret import Generated, Secret
from model.service import CacheUser, Configuration, Database, File, Healthcheck, Limits, Logs, May, Metrics, Replacement, Service
from model.waiver import Waiver
from services import qdrant, telegram
from services.context import Context
from services.litellm.configuration import hook, render
from services.litellm.models import BRAVE_KEY, BYTEPLUS_KEY, DAILY_LIMIT, PROVIDERS
from services.networks import BACKEND, EGRESS, SANDBOX

REDIS_PASSWORD = Secret(name="redis_litellm_password", source=Generated())
MASTER_KEY = Secret(name="litellm_master_key", source=Generated(length=48, prefix="sk-", hexadecimal=True))
SALT_KEY = Secret(
    name="litellm_salt_key",
    source=Generated(),
    irreplaceable="LiteLLM encrypts the keys in its database with it",
)
DATABASE = Database(name="litellm", user="litellm", extensions=("uuid-ossp",), keys=(SALT_KEY,))
UI_USER = "admin"
UI_PASSWORD = Secret(name="litellm_ui_password", source=Generated())
DIRECTORY = "/app/configuration"
PORT = 4000
_REDIS_URL = f"redis://litellm:{REDIS_PASSWORD}@redis:6379/0"


def services(of: Context) -> Iterator[Service]:
    """The module's only service."""
    yield service(of)


def service(of: Context) -> Service:
    """The proxy. It has no data of its own, so that a new version starts beside the old."""
    index = of.way(qdrant.ENDPOINT, "answers to similar questions are kept there") if of.runs("qdrant") else None
    return Service(
        name="litellm",
        image="ghcr.io/berriai/litellm:v1.81.3-stable",
        networks=(BACKEND.name, EGRESS.name, SANDBOX.name),
        limits=Limits(memory_mib=960, cpus=1.0).scaled(of.scale),
        replacement=Replacement.START_FIRST,
        metrics=Metrics(port=PORT, path="/budget/metrics"),
        logs=Logs.PLAIN,
        # As in the image's Dockerfile (BerriAI/litellm, WORKDIR /app).
        entrypoint=("docker/prod_entrypoint.sh",),
        command=("--config", f"{DIRECTORY}/config.yaml", "--port", str(PORT)),
        environment={"STORE_MODEL_IN_DB": "False"},
        secret_environment={
            "LITELLM_MASTER_KEY": f"{MASTER_KEY}",
            "LITELLM_SALT_KEY": f"{SALT_KEY}",
            "DATABASE_URL": f"postgresql://{DATABASE.user}:{DATABASE.password}@postgresql:5432/{DATABASE.name}",
            "REDIS_URL": _REDIS_URL,
            "UI_USERNAME": UI_USER,
            "UI_PASSWORD": f"{UI_PASSWORD}",
            **{provider.key_variable: f"{provider.key}" for provider in PROVIDERS},
            "BRAVE_API_KEY": f"{BRAVE_KEY}",
        },
        configuration=Configuration(
            directory=DIRECTORY,
            files=(
                File(path="config.yaml", content=render()),
                File(path="master-key", content=f"{MASTER_KEY}"),
                *hook(
                    redis_url=_REDIS_URL,
                    qdrant_url=index.url if index else "",
                    qdrant_key=f"{qdrant.API_KEY}" if index else "",
                    films_key=f"{BYTEPLUS_KEY}",
                    telegram_token=f"{telegram.MONITORING_TOKEN}",
                    telegram_chat=f"{telegram.MONITORING_CHAT}",
                ),
            ),
        ),
        secrets=(
            *(REDIS_PASSWORD, MASTER_KEY, SALT_KEY, UI_PASSWORD),
            *((qdrant.API_KEY,) if index else ()),
            *(telegram.MONITORING_TOKEN, telegram.MONITORING_CHAT),
            *(BRAVE_KEY, BYTEPLUS_KEY),
            *(provider.key for provider in PROVIDERS),
        ),
        credentials=_CREDENTIALS,
        routes=(Route(subdomain="litellm", port=PORT, access=Access.VPN),),
        needs=("postgresql", "redis"),
        keeps=DATABASE,
        caches=CacheUser(user="litellm", password=REDIS_PASSWORD, holder="LiteLLM"),
        # `needs` does not name Qdrant even on the same host: LiteLLM starts and answers without it.
        links=index.links if index else (),
        alerts=(_SPEND,),
        dashboard=_DASHBOARD,
        checks=_CHECKS,
        may=May(share_uid=0),
        healthcheck=Healthcheck(
            # GET /health would call, and pay for, every model.
            command=("python3", "-c", _PROBE),
            interval=15,
            timeout=10,
            retries=5,
            start_period=90,
        ),
        capabilities=("CHOWN", "SETGID", "SETUID"),
        read_only_root=False,
        waivers=(
            Waiver(
                rule="containers-read-only-root",
                reason="Prisma writes its client below the package",
                until=date(2027, 8, 30),
            ),
        ),
        stop_timeout=30,
    )


_SPEND = Watch(
    name="spend",
    # The account by which requests are refused (services/litellm/proxy/metrics.py), since the UTC day began.
    measure="max(litellm_budget_spent_usd{$here} / litellm_budget_limit_usd{$here})",
    above=0.99,
    seconds=60,
    severity=Severity.CRITICAL,
    summary=f"the day's {DAILY_LIMIT:.2f} USD are spent: models refuse until midnight (UTC)",
    runbook="dashboard LiteLLM: which model; to go on today raise DAILY_LIMIT in services/litellm/models.py and deploy",
)
_HERE = of_service("litellm")
_DASHBOARD = Dashboard(
    "litellm",
    "LiteLLM",
    (
        Panel("Spent today (UTC)", {"": f"max(litellm_budget_spent_usd{{{_HERE}}})"}, "currencyUSD", Form.NUMBER),
        Panel(
            "Spent this month",
            {"{{provider}}": f"max by (provider) (litellm_budget_month_spent_usd{{{_HERE}}})"},
            "currencyUSD",
        ),
        Panel(
            "Spend an hour",
            {"{{model}}": f"sum by (model) (increase(litellm_spend_metric_total{{{_HERE}}}[1h]))"},
            "currencyUSD",
        ),
        Panel("Requests", {"{{model}}": f"sum by (model) (rate(litellm_requests_metric_total{{{_HERE}}}[5m]))"}, "reqps"),
        Panel("Tokens", {"{{model}}": f"sum by (model) (rate(litellm_total_tokens_metric_total{{{_HERE}}}[5m]))"}),
        Panel("Memory", {"": f"max(container_memory_working_set_bytes{{{_HERE}}})"}, "bytes"),
        Panel("Log", {"": f"{{{_HERE}}}"}, form=Form.LOG),
    ),
)


def _has_answer(body: bytes) -> bool:
    return bool(json.loads(body)["choices"][0]["message"]["content"])


_CHECKS = (
    AtSite(path="/v1/models", about=" with its key", bearer=MASTER_KEY),
    AtSite(path="/v1/models", about=" without", expected="refused", accepted=(400, 401, 500)),
    AtSite(
        path="/v1/chat/completions",
        about=": gpt-4o-mini",
        expected="200, an answer",
        bearer=MASTER_KEY,
        body={"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "smoke"}]},
        answers=_has_answer,
        billed=True,
    ),
)
_PROBE = (
    "import urllib.request as r; "
    f"k=open('{DIRECTORY}/master-key').read(); "
    f"r.urlopen(r.Request('http://127.0.0.1:{PORT}/v1/models', headers={{'Authorization': 'Bearer '+k}}), timeout=8)"
)

# Read in litellm 1.106.2: proxy/auth/user_api_key_auth.py and login_utils.py.
_CREDENTIALS = (
    Credential(
        secret=MASTER_KEY,
        holder="every client",
        proof=Request(port=PORT, path="/v1/models", place=Header(), refused=(401, 400)),
        note="a wrong one: 400 where LiteLLM has no database to look it up in",
    ),
    Credential(
        secret=UI_PASSWORD,
        holder="the interface's user",
        proof=Request(port=PORT, method="POST", path="/login", place=Login(others={"username": UI_USER}), accepted=(303, 400)),
        note="400 where LiteLLM has no database: it tells so after the password was right",
    ),
    Credential(secret=SALT_KEY, holder="LiteLLM itself: it encrypts with it", proof=StoredSecret(variable="LITELLM_SALT_KEY")),
)
