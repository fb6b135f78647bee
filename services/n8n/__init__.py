"""n8n 2.7: workflows. It calls LiteLLM, OpenClaw and NocoDB on its host, and the Internet over egress."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from model.backup import Files
from model.credential import Credential, Login, Request, StoredSecret
from model.proof import Found, Restored
from model.route import Access, Route
from model.secret import Generated, Secret, json_text
from model.service import (
    Configuration,
    Database,
    File,
    Healthcheck,
    Limits,
    Logs,
    May,
    Metrics,
    Replacement,
    Service,
    Task,
    Volume,
)
from model.waiver import Waiver
from services import auto_fix, nocodb, openclaw, telegram, webhook_gate
from services.context import Context
from services.litellm import MASTER_KEY as LITELLM_KEY
from services.n8n.workflows import GATE, workflows
from services.networks import BACKEND, EGRESS

ENCRYPTION_KEY = Secret(
    name="n8n_encryption_key",
    source=Generated(length=64, hexadecimal=True),
    irreplaceable="n8n encrypts every stored credential with it",
)
DATABASE = Database(name="n8n", user="n8n", extensions=("uuid-ossp",), keys=(ENCRYPTION_KEY,))
OWNER_PASSWORD = Secret(
    name="n8n_owner_password",
    source=Generated(prefix="N8n-"),
    irreplaceable="n8n keeps it in its database, and only its interface changes it there",
)
DIRECTORY = "/etc/n8n"
PORT = webhook_gate.N8N.port
SITE = webhook_gate.N8N.site


def services(of: Context) -> Iterator[Service]:
    """The module's only service."""
    yield service(of)


def service(of: Context) -> Service:
    """n8n behind the site of its name."""
    keys = {
        "litellm": ("LITELLM_API_KEY", LITELLM_KEY),
        "nocodb": ("NOCODB_API_TOKEN", nocodb.API_TOKEN),
        "openclaw": ("OPENCLAW_HOOKS_TOKEN", openclaw.HOOKS_TOKEN),
    }
    others = dict(key for name, key in keys.items() if of.runs(name))
    address, domain = f"https://{of.names.host(SITE)}/", of.names.domain
    return Service(
        name="n8n",
        image="docker.n8n.io/n8nio/n8n:2.7.3",
        networks=(BACKEND.name, EGRESS.name),
        # 300 MiB at rest, the code runner included; a workflow that has files in memory needs the rest.
        limits=Limits(memory_mib=1024, cpus=1.0).scaled(of.scale),
        replacement=Replacement.STOP_FIRST,
        metrics=Metrics(port=PORT),
        logs=Logs.PLAIN,
        # As in the image (n8n-io/n8n, docker/images/n8n/Dockerfile).
        entrypoint=("tini", "--", "/docker-entrypoint.sh"),
        environment={
            "DB_TYPE": "postgresdb",
            "DB_POSTGRESDB_HOST": "postgresql",
            "DB_POSTGRESDB_PORT": "5432",
            "DB_POSTGRESDB_DATABASE": DATABASE.name,
            "DB_POSTGRESDB_USER": DATABASE.user,
            "DB_POSTGRESDB_PASSWORD_FILE": f"{DIRECTORY}/database-password",
            # From a file, because a workflow may read the environment.
            "N8N_ENCRYPTION_KEY_FILE": f"{DIRECTORY}/encryption-key",
            "N8N_HOST": "0.0.0.0",
            "N8N_PORT": str(PORT),
            "N8N_PROTOCOL": "https",
            "N8N_PROXY_HOPS": "1",
            "N8N_EDITOR_BASE_URL": address,
            "WEBHOOK_URL": address,
            # In MiB. As large as any other body: n8n keeps a form in /tmp before it checks the caller.
            "N8N_FORMDATA_FILE_SIZE_MAX": "16",
            "N8N_METRICS": "true",
            "N8N_DIAGNOSTICS_ENABLED": "false",
            "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
            "N8N_TEMPLATES_ENABLED": "false",
            "N8N_RUNNERS_MODE": "internal",
            # Never child_process or fs: everybody who edits a workflow could run any program.
            "NODE_FUNCTION_ALLOW_BUILTIN": "crypto,path",
            "NODE_FUNCTION_ALLOW_EXTERNAL": "pg",
            # Workflows take the tokens below from $env.
            "N8N_BLOCK_ENV_ACCESS_IN_NODE": "false",
            "GENERIC_TIMEZONE": of.timezone,
            "TZ": of.timezone,
            "EXECUTIONS_DATA_PRUNE": "true",
            "EXECUTIONS_DATA_MAX_AGE": "168",
            **({"LITELLM_BASE_URL": "http://litellm:4000/v1"} if of.runs("litellm") else {}),
            **({"NOCODB_BASE_URL": f"http://nocodb:{nocodb.PORT}"} if of.runs("nocodb") else {}),
            **({"OPENCLAW_GATEWAY_URL": f"http://openclaw:{openclaw.PORT}"} if of.runs("openclaw") else {}),
            "AUTO_FIX_JOBS_URL": f"{webhook_gate.JOBS.beside}/jobs",
            "AUTO_FIX_REPOSITORIES": ",".join(auto_fix.REPOSITORIES),
            "AUTO_FIX_LABEL": auto_fix.LABEL,
            "AUTO_FIX_REFUSED_LABEL": auto_fix.REFUSED_LABEL,
        },
        secret_environment={
            **{variable: f"{secret}" for variable, secret in others.items()},
            "WEBHOOK_GATE_SECRET": f"{webhook_gate.SIGNING_SECRET}",
            "AUTO_FIX_TOKEN": f"{webhook_gate.JOBS_TOKEN}",
            "TELEGRAM_MONITORING_BOT_TOKEN": f"{telegram.MONITORING_TOKEN}",
            "TELEGRAM_MONITORING_CHAT_ID": f"{telegram.MONITORING_CHAT}",
        },
        configuration=Configuration(
            directory=DIRECTORY,
            owner="1000:1000",
            files=(
                File(path="database-password", content=f"{DATABASE.password}"),
                File(path="encryption-key", content=f"{ENCRYPTION_KEY}"),
            ),
        ),
        secrets=(
            ENCRYPTION_KEY,
            OWNER_PASSWORD,
            *others.values(),
            webhook_gate.SIGNING_SECRET,
            webhook_gate.JOBS_TOKEN,
            telegram.MONITORING_TOKEN,
            telegram.MONITORING_CHAT,
        ),
        credentials=_credentials(domain),
        volumes=(
            Volume(
                path="/home/node/.n8n",
                directory="n8n",
                owner="1000:1000",
                mode=0o755,
                # Since n8n 2 the binary data of workflows is beside the database.
                backup=Files(keys=(ENCRYPTION_KEY,)),
            ),
        ),
        tasks=(_provisioning(domain, of),),
        proof=_credentials_open,
        routes=(Route(subdomain=SITE, port=PORT, access=Access.VPN, upgrades=True),),
        needs=("postgresql",),
        keeps=DATABASE,
        brings=("webhook-gate",),
        may=May(share_uid=1000),
        healthcheck=Healthcheck(
            command=("wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{PORT}/"),
            interval=30,
            timeout=10,
            retries=5,
            start_period=120,
        ),
        image_uid=1000,
        read_only_root=False,
        waivers=(
            Waiver(
                rule="containers-read-only-root",
                reason="at each start it compiles its pages into /home/node/.cache: 52 MB, too much for memory",
                until=date(2027, 9, 13),
            ),
        ),
        stop_timeout=30,
    )


def _credentials_open(restored: Restored) -> Found:
    """Proof: every credential in the database can be decrypted."""
    query = ("-d", DATABASE.name, "-c", "SELECT count(*) FROM credentials_entity")
    kept = int(restored.inside("postgresql", "psql", "-XAtqU", "postgres", *query))
    if not kept:
        return Found(words="no credential is kept")
    said = restored.inside("n8n", "n8n", "export:credentials", "--all", "--decrypted")
    found = json.loads(said[said.index("[") : said.rindex("]") + 1])
    # A credential that was not decrypted is a string.
    opened = sum(isinstance(credential["data"], dict) and bool(credential["data"]) for credential in found)
    return Found(words=f"{opened} of {kept} credentials decrypt with the kit's {ENCRYPTION_KEY.name}", right=opened == kept)


def _owner(domain: str) -> str:
    return f"owner@{domain}"


def _provisioning(domain: str, of: Context) -> Task:
    """The task that creates the owner, if there is none yet, and our workflows."""
    owner = {"email": _owner(domain), "firstName": "VPAI", "lastName": "Owner", "password": f"{OWNER_PASSWORD}"}
    script = Path(__file__).with_name("provision.mjs").read_text()
    documents = json.dumps([workflow.document() for workflow in workflows(of)], indent=1)
    arguments = f"{json_text(owner)}, {json.dumps(GATE)}, {documents}"
    return Task(
        name="n8n-workflows",
        service="n8n",
        command=("node", "--input-type=module"),
        stdin=f"{script}\nawait provision({arguments});\n",
    )


def _credentials(domain: str) -> tuple[Credential, ...]:
    return (
        Credential(
            secret=OWNER_PASSWORD,
            holder="the owner",
            proof=Request(
                port=PORT,
                method="POST",
                path="/rest/login",
                place=Login(others={"emailOrLdapLoginId": _owner(domain)}, json=True),
                refused=(400, 401),
            ),
            note="none at all: 400, a field is missing",
        ),
        Credential(
            secret=ENCRYPTION_KEY,
            holder="n8n itself: it encrypts stored credentials with it",
            proof=StoredSecret(file=f"{DIRECTORY}/encryption-key"),
        ),
    )
