"""OpenClaw 2026.2: ten agents over LiteLLM. What they run, they run in sandboxes that docker-proxy lets them start."""

import json
from dataclasses import dataclass
from datetime import date

from model.backup import Files
from model.credential import Credential, Header, Request, Unproven
from model.route import Access, Route
from model.secret import Generated, Secret
from model.service import Configuration, File, Healthcheck, HostMount, Limits, Logs, Replacement, Service, Silent, Spawned, Volume
from model.waiver import Waiver
from services import docker_proxy, nocodb, qdrant, telegram
from services.litellm import MASTER_KEY as LITELLM_KEY
from services.litellm.models import BRAVE_KEY, MODELS
from services.networks import BACKEND, EGRESS, SANDBOX

API_KEY = Secret(name="openclaw_api_key", source=Generated(length=64, hexadecimal=True))
GATEWAY_TOKEN = API_KEY
"""The specification: it defaults to the API key."""
# OpenClaw refuses to start when this is the gateway's token (openclaw/openclaw, src/gateway/startup-auth.ts).
HOOKS_TOKEN = Secret(name="openclaw_hooks_token", source=Generated(length=64, hexadecimal=True))
"""Whoever hands a task to an agent shows it: n8n."""
WEBHOOK_SECRET = Secret(name="n8n_webhook_secret", source=Generated(length=64, hexadecimal=True))
"""OpenClaw signs its calls of n8n's webhooks with it."""
DIRECTORY = "/etc/openclaw"
PORT = 18789
_MESSENGER = "messenger"


@dataclass(frozen=True, kw_only=True)
class Agent:
    """One of OpenClaw's agents: its model, and the network of its sandbox where that is not the closed one."""

    name: str
    model: str
    network: str = SANDBOX.name
    always_in_sandbox: bool = False


# The predecessor's ten. explorer fetches from the Internet, messenger talks to n8n and NocoDB.
AGENTS = (
    Agent(name="concierge", model="kimi-k2"),
    Agent(name="builder", model="glm-5"),
    Agent(name="writer", model="claude-sonnet"),
    Agent(name="artist", model="kimi-k2"),
    Agent(name="tutor", model="claude-sonnet"),
    Agent(name="explorer", model="grok-search", network=EGRESS.name, always_in_sandbox=True),
    Agent(name="marketer", model="deepseek-v3"),
    Agent(name="cfo", model="deepseek-v3"),
    Agent(name="maintainer", model="glm-5"),
    Agent(name=_MESSENGER, model="qwen3-coder", network=BACKEND.name, always_in_sandbox=True),
)


def home(project: str) -> str:
    """OpenClaw's data under the same path inside and on the host: it asks the host's Docker to mount parts of it."""
    return f"/opt/{project}/data/openclaw"


_SANDBOXES = "system/sandboxes"


def workspace(project: str) -> str:
    """Below it, and nowhere else, sandboxes may mount."""
    return f"{home(project)}/{_SANDBOXES}"


def sandbox(scale: float = 1.0) -> Spawned:
    """A sandbox, as often as its memory is reserved for."""
    return Spawned(image="ghcr.io/mobutoo/vpai-openclaw-sandbox:2026.2.23", memory_mib=int(512 * scale), at_most=2)


def service(domain: str, project: str, scale: float = 1.0) -> Service:
    """OpenClaw's gateway behind `javisi.<domain>`."""
    system = f"{home(project)}/system"
    return Service(
        name="openclaw",
        image="ghcr.io/openclaw/openclaw:2026.2.23",
        networks=(BACKEND.name, EGRESS.name),
        # A heap of 768 and what Node needs beside it (predecessor lesson 121).
        limits=Limits(memory_mib=1280, cpus=1.0).scaled(scale),
        spawned=(sandbox(scale),),
        replacement=Replacement.STOP_FIRST,
        metrics=Silent(reason="shows none; cAdvisor sees the container and its sandboxes"),
        logs=Logs.PLAIN,
        reaper=True,
        # As in the image: node's own entrypoint, then the gateway (openclaw/openclaw, Dockerfile).
        entrypoint=("docker-entrypoint.sh",),
        command=("node", "openclaw.mjs", "gateway", "--allow-unconfigured"),
        environment={
            "HOME": "/home/node",
            "OPENCLAW_STATE_DIR": system,
            "OPENCLAW_CONFIG_PATH": f"{DIRECTORY}/openclaw.json",
            "NODE_OPTIONS": f"--max-old-space-size={int(768 * scale)}",
            "DOCKER_HOST": f"tcp://docker-proxy:{docker_proxy.SANDBOX_PORT}",
            "DOCKER_CONFIG": f"{DIRECTORY}/docker",
            "N8N_WEBHOOK_BASE_URL": "http://n8n:5678",
            "NOCODB_BASE_URL": f"http://nocodb:{nocodb.PORT}",
            "QDRANT_URL": f"http://qdrant:{qdrant.PORT}",
            "QDRANT_RAG_COLLECTION": qdrant.CONTENT_INDEX.name,
            "TZ": "Europe/Paris",
        },
        secret_environment={
            "OPENCLAW_GATEWAY_TOKEN": f"{GATEWAY_TOKEN}",
            "OPENCLAW_HOOKS_TOKEN": f"{HOOKS_TOKEN}",
            "LITELLM_API_KEY": f"{LITELLM_KEY}",
            "TELEGRAM_BOT_TOKEN": f"{telegram.OPENCLAW_TOKEN}",
            "N8N_WEBHOOK_SECRET": f"{WEBHOOK_SECRET}",
            "NOCODB_API_TOKEN": f"{nocodb.API_TOKEN}",
            "QDRANT_API_KEY": f"{qdrant.API_KEY}",
            "BRAVE_API_KEY": f"{BRAVE_KEY}",
        },
        configuration=Configuration(
            directory=DIRECTORY,
            owner="1000:1000",
            files=(
                File(path="openclaw.json", content=_settings(domain, project, scale)),
                # Docker's client sends these headers with every request: so docker-proxy knows OpenClaw.
                File(
                    path="docker/config.json",
                    content=json.dumps({"HttpHeaders": {"X-Docker-Proxy-Token": str(docker_proxy.SANDBOX_TOKEN)}}),
                ),
            ),
        ),
        secrets=(
            API_KEY,
            HOOKS_TOKEN,
            WEBHOOK_SECRET,
            BRAVE_KEY,
            LITELLM_KEY,
            nocodb.API_TOKEN,
            qdrant.API_KEY,
            docker_proxy.SANDBOX_TOKEN,
            telegram.OPENCLAW_TOKEN,
            telegram.OPENCLAW_CHAT,
        ),
        credentials=_CREDENTIALS,
        volumes=(
            Volume(
                path=home(project),
                directory="openclaw",
                owner="1000:1000",
                mode=0o755,
                backup=Files(exclude=(_SANDBOXES,)),
            ),
        ),
        host_mounts=(
            HostMount(
                path="/usr/bin/docker",
                container_path="/usr/local/bin/docker",
                reason="OpenClaw starts sandboxes with Docker's client, which its image lacks; it speaks to docker-proxy",
                until=date(2027, 5, 31),
            ),
        ),
        routes=(Route(subdomain="javisi", port=PORT, access=Access.VPN, upgrades=True, upstream_http="1.1"),),
        needs=("litellm", "docker-proxy", "qdrant"),
        # GET / is 200 whatever happens behind it: only a WebSocket that opens shows a working gateway (lesson 26).
        healthcheck=Healthcheck(command=("node", "-e", _PROBE), interval=30, timeout=10, retries=5, start_period=60),
        read_only_root=False,
        waivers=(
            Waiver(
                rule="containers-read-only-root",
                reason="it rewrites files below /app and /home/node at its start",
                until=date(2027, 5, 31),
            ),
        ),
        stop_timeout=30,
    )


_PROBE = (
    "require('http').get({host:'127.0.0.1',port:" + str(PORT) + ",headers:{Connection:'Upgrade',Upgrade:'websocket',"
    "'Sec-WebSocket-Version':'13','Sec-WebSocket-Key':'dnBhaS1oZWFsdGgtY2hlY2s='}},()=>process.exit(1))"
    ".on('upgrade',()=>process.exit(0)).on('error',()=>process.exit(1))"
)


# docs.openclaw.ai, "Tools Invoke (HTTP)": always there, asks for the gateway's token, answers 401 without it.
_CREDENTIALS = (
    Credential(
        secret=GATEWAY_TOKEN,
        holder="whoever opens the gateway's page",
        proof=Request(
            port=PORT,
            method="POST",
            path="/tools/invoke",
            place=Header(),
            body={"tool": "sessions_list", "action": "json", "args": {}},
        ),
    ),
    Credential(
        secret=HOOKS_TOKEN,
        holder="n8n",
        # Without a message it starts nothing, and says so after the token was right (openclaw docs/automation/webhook.md).
        proof=Request(
            port=PORT, method="POST", path="/hooks/agent", place=Header(), body={"name": "authentication"}, accepted=(400,)
        ),
        note="400: let in, and told that there is no message",
    ),
    Unproven(secret=WEBHOOK_SECRET, reason="OpenClaw signs its calls of n8n's webhooks with it; a workflow of n8n checks them"),
)


def _settings(domain: str, project: str, scale: float) -> str:
    """openclaw.json. OpenClaw refuses keys it does not know, and they change with its releases (lesson 120)."""
    work = f"{home(project)}/workspace"
    settings = {
        "gateway": {
            "mode": "local",
            "port": PORT,
            "bind": "lan",
            "auth": {"mode": "token", "token": "${OPENCLAW_GATEWAY_TOKEN}"},
            "trustedProxies": [str(BACKEND.cidr)],
            "controlUi": {"enabled": True, "basePath": "/", "allowedOrigins": [f"https://javisi.{domain}"]},
        },
        "hooks": {
            "enabled": True,
            "token": "${OPENCLAW_HOOKS_TOKEN}",
            "allowedAgentIds": [agent.name for agent in AGENTS],
        },
        "agents": {
            "defaults": {
                "workspace": work,
                "userTimezone": "Europe/Paris",
                "model": {"primary": f"custom-litellm/{AGENTS[0].model}"},
                "sandbox": _sandbox(project, scale),
            },
            "list": [_agent(agent, work, project) for agent in AGENTS],
        },
        "models": {
            "mode": "merge",
            "providers": {
                "custom-litellm": {
                    "baseUrl": "http://litellm:4000/v1",
                    "apiKey": "${LITELLM_API_KEY}",
                    "api": "openai-completions",
                    "models": [{"id": model.name, "name": model.name} for model in MODELS if model.name != "embedding"],
                }
            },
        },
        "tools": {"elevated": {"enabled": False}, "web": {"search": {"enabled": True, "provider": "brave"}}},
        "channels": {
            "telegram": {
                "enabled": True,
                "botToken": "${TELEGRAM_BOT_TOKEN}",
                "dmPolicy": "allowlist",
                "allowFrom": [str(telegram.OPENCLAW_CHAT)],
            }
        },
        "plugins": {"entries": {"telegram": {"enabled": True}}},
        "bindings": [{"agentId": AGENTS[0].name, "match": {"channel": "telegram"}}],
        "logging": {"level": "info"},
    }
    return json.dumps(settings, indent=2)


def _sandbox(project: str, scale: float) -> dict[str, object]:
    spawned = sandbox(scale)
    return {
        "mode": "non-main",
        "scope": "agent",
        "workspaceAccess": "none",
        "workspaceRoot": workspace(project),
        "docker": {
            "image": spawned.image,
            "containerPrefix": docker_proxy.SANDBOX_PREFIX,
            "readOnlyRoot": True,
            "tmpfs": ["/tmp", "/var/tmp", "/run"],
            "network": f"{project}_{SANDBOX.name}",
            "user": "1000:1000",
            "capDrop": ["ALL"],
            "pidsLimit": 256,
            "memory": f"{spawned.memory_mib}m",
            "cpus": 1,
        },
        "prune": {"idleHours": 24, "maxAgeDays": 7},
    }


def _agent(agent: Agent, work: str, project: str) -> dict[str, object]:
    first = agent is AGENTS[0]
    others = [other.name for other in AGENTS[1:]] if first else [_MESSENGER]
    return {
        "id": agent.name,
        **({"default": True} if first else {}),
        "model": {"primary": f"custom-litellm/{agent.model}"},
        "workspace": work if first else f"{work}/{agent.name}",
        **({"subagents": {"allowAgents": others}} if agent.name != _MESSENGER else {}),
        **({"sandbox": {"mode": "all", "docker": {"network": f"{project}_{agent.network}"}}} if agent.always_in_sandbox else {}),
    }
