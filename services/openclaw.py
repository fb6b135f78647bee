"""OpenClaw 2026.2: ten agents over LiteLLM. Their commands run in sandboxes (services/sandboxes.py).

docs/adr/0040-agents-in-sandboxes.md says why each agent has its whole sandbox block, and how results reach n8n.
"""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from model.backup import Files
from model.credential import Credential, Header, Request, Unverifiable
from model.route import Access, Route
from model.secret import Generated, Secret, json_text
from model.service import (
    Configuration,
    File,
    Healthcheck,
    HostMount,
    Limits,
    Logs,
    May,
    NotCollected,
    Replacement,
    Service,
    Volume,
)
from model.waiver import Waiver
from services import sandboxes, telegram, webhook_gate
from services.context import Context
from services.litellm import MASTER_KEY as LITELLM_KEY
from services.litellm.models import BRAVE_KEY, MODELS
from services.networks import BACKEND, EGRESS, SANDBOX

API_KEY = Secret(name="openclaw_api_key", source=Generated(length=64, hexadecimal=True))
GATEWAY_TOKEN = API_KEY
"""Specification: the token defaults to the API key."""
# OpenClaw refuses to start when the hooks' token is the gateway's (openclaw/openclaw, src/gateway/startup-auth.ts).
HOOKS_TOKEN = Secret(name="openclaw_hooks_token", source=Generated(length=64, hexadecimal=True))
"""n8n sends it when it hands a task to an agent."""
DIRECTORY = "/etc/openclaw"
PORT = 18789
SITE = "openclaw"
_MESSENGER = "messenger"
_PLUGIN = Path(__file__).with_name("openclaw_plugin")
_HEAP_MIB = 768
"""At its start OpenClaw compiles its extensions: 384 ended in "Reached heap limit" (2026.2.23, measured), on any host."""
_RUNS = {"chats": 2, "hooks": 1, "subagents": 1}
"""The most concurrent runs of each kind; OpenClaw queues the others. Each run may need a sandbox of its own."""
_SANDBOX_TOOLS = (
    *("exec", "process", "read", "write", "edit", "apply_patch", "image", "sessions_list", "sessions_history"),
    *("sessions_send", "sessions_spawn", "subagents", "session_status"),
)
"""DEFAULT_TOOL_ALLOW of openclaw 2026.2.23 (npm, dist/sandbox-*.js), which a configured list replaces."""


@dataclass(frozen=True, kw_only=True)
class Agent:
    """One of OpenClaw's agents: its model, and the network of its sandbox where that is not the internal one."""

    name: str
    model: str
    network: str = SANDBOX.name
    tools: tuple[str, ...] = ()
    """Tools besides those that OpenClaw allows in every sandbox."""


# The predecessor's ten agents. explorer calls the Internet, messenger calls n8n and NocoDB.
AGENTS = (
    Agent(name="concierge", model="kimi-k2"),
    Agent(name="builder", model="glm-5"),
    Agent(name="writer", model="claude-sonnet"),
    Agent(name="artist", model="kimi-k2"),
    Agent(name="tutor", model="claude-sonnet"),
    Agent(name="explorer", model="grok-search", network=EGRESS.name, tools=("web_search", "web_fetch")),
    Agent(name="marketer", model="deepseek-v3"),
    Agent(name="cfo", model="deepseek-v3"),
    Agent(name="maintainer", model="glm-5"),
    Agent(name=_MESSENGER, model="qwen3-coder", network=BACKEND.name),
)


def workspace(project: str) -> str:
    """The directory whose subdirectories sandboxes may mount; they may mount nothing else."""
    return sandboxes.workspaces(project).path


def sandbox() -> sandboxes.Sandbox:
    """The sandboxes: one for each concurrent run. The plugin removes the longest idle one when one more agent begins."""
    return sandboxes.Sandbox(memory_mib=224, at_most=sum(_RUNS.values()))


def services(of: Context) -> Iterator[Service]:
    """The sandboxes of the agents, and OpenClaw itself."""
    yield sandboxes.service(of.project, sandbox())
    yield service(of)


def service(of: Context) -> Service:
    """OpenClaw's gateway behind the site of its name."""
    home, called = f"/opt/{of.project}/data/openclaw", of.runs("webhook-gate")
    system = f"{home}/system"
    return Service(
        name="openclaw",
        image="ghcr.io/openclaw/openclaw:2026.2.23",
        networks=(BACKEND.name, EGRESS.name),
        # The heap and the memory that Node needs besides: 875 MiB at its start (measured).
        limits=Limits(memory_mib=1280, cpus=1.0).scaled(of.scale, least_mib=1280),
        replacement=Replacement.STOP_FIRST,
        metrics=NotCollected(reason="shows none; cAdvisor sees the container"),
        logs=Logs.PLAIN,
        init_process=True,
        # As in the image: node's own entrypoint, then the gateway (openclaw/openclaw, Dockerfile).
        entrypoint=("docker-entrypoint.sh",),
        command=("node", "openclaw.mjs", "gateway", "--allow-unconfigured"),
        environment={
            "HOME": "/home/node",
            "OPENCLAW_STATE_DIR": system,
            "OPENCLAW_CONFIG_PATH": f"{DIRECTORY}/openclaw.json",
            "NODE_OPTIONS": f"--max-old-space-size={_HEAP_MIB}",
            "DOCKER_HOST": f"tcp://sandboxes:{sandboxes.PORT}",
            "DOCKER_CONFIG": f"{DIRECTORY}/docker",
            **({"N8N_WEBHOOK_BASE_URL": f"http://webhook-gate:{webhook_gate.CALLS_PORT}"} if called else {}),
            "TZ": of.timezone,
        },
        secret_environment={
            "OPENCLAW_GATEWAY_TOKEN": f"{GATEWAY_TOKEN}",
            "OPENCLAW_HOOKS_TOKEN": f"{HOOKS_TOKEN}",
            "LITELLM_API_KEY": f"{LITELLM_KEY}",
            "TELEGRAM_BOT_TOKEN": f"{telegram.OPENCLAW_TOKEN}",
            **({"N8N_WEBHOOK_SECRET": f"{webhook_gate.CALLS_SECRET}"} if called else {}),
            "BRAVE_API_KEY": f"{BRAVE_KEY}",
        },
        configuration=Configuration(
            directory=DIRECTORY,
            owner="1000:1000",
            files=(
                File(path="openclaw.json", content=_settings(of)),
                *(
                    File(path=f"plugins/vpai/{name}", content=(_PLUGIN / name).read_text())
                    for name in ("index.js", "openclaw.plugin.json")
                ),
                # Docker's client sends these headers with every request: docker-proxy recognizes OpenClaw by them.
                File(
                    path="docker/config.json",
                    content=json_text({"HttpHeaders": {"X-Docker-Proxy-Token": str(sandboxes.TOKEN)}}),
                ),
            ),
        ),
        secrets=(
            API_KEY,
            HOOKS_TOKEN,
            *((webhook_gate.CALLS_SECRET,) if called else ()),
            BRAVE_KEY,
            LITELLM_KEY,
            sandboxes.TOKEN,
            telegram.OPENCLAW_TOKEN,
            telegram.OPENCLAW_CHAT,
        ),
        credentials=(*_CREDENTIALS, *((_CALLS,) if called else ())),
        volumes=(
            Volume(path=home, directory="openclaw", owner="1000:1000", mode=0o755, backup=Files()),
            sandboxes.workspaces(of.project),
        ),
        host_mounts=(
            HostMount(
                path="/usr/bin/docker",
                container_path="/usr/local/bin/docker",
                reason="OpenClaw starts sandboxes with Docker's client, which its image lacks; it speaks to docker-proxy",
                until=date(2027, 3, 1),
            ),
        ),
        routes=(Route(subdomain=SITE, port=PORT, access=Access.VPN, upgrades=True, upstream_http="1.1"),),
        needs=("litellm", "sandboxes"),
        # GET / is always 200: only a WebSocket that opens shows a working gateway.
        may=May(mount=("/usr/bin/docker",), share_uid=1000),
        healthcheck=Healthcheck(command=("node", "-e", _PROBE), interval=30, timeout=10, retries=5, start_period=60),
        image_uid=1000,
        read_only_root=False,
        waivers=(
            Waiver(
                rule="containers-read-only-root",
                reason="it rewrites files below /app and /home/node at its start",
                until=date(2027, 3, 1),
            ),
            Waiver(
                rule="containers-own-data",
                subject=workspace(of.project),
                reason="OpenClaw and its sandboxes work on the same files: an agent's tools run in either",
                until=date(2027, 3, 1),
            ),
        ),
        stop_timeout=30,
    )


# 16 bytes in base64, as RFC 6455 requires: ws, OpenClaw's server, answers 400 to any other number.
_KEY = b64encode(b"vpai-healthcheck").decode()
_PROBE = (
    "require('http').get({host:'127.0.0.1',port:" + str(PORT) + ",headers:{Connection:'Upgrade',Upgrade:'websocket',"
    "'Sec-WebSocket-Version':'13','Sec-WebSocket-Key':'" + _KEY + "'}},()=>process.exit(1))"
    ".on('upgrade',()=>process.exit(0)).on('error',()=>process.exit(1))"
)


# docs.openclaw.ai, "Tools Invoke (HTTP)": the path always exists, needs the gateway's token, and answers 401 without it.
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
        # Without a message it starts nothing, and reports that only after the right token (openclaw docs/automation/webhook.md).
        proof=Request(
            port=PORT, method="POST", path="/hooks/agent", place=Header(), body={"name": "authentication"}, accepted=(400,)
        ),
        note="400: let in, and told that there is no message",
    ),
)
_CALLS = Unverifiable(
    secret=webhook_gate.CALLS_SECRET, reason="OpenClaw's plugin signs what agents give back to n8n; the gate checks it"
)


def _settings(of: Context) -> str:
    """openclaw.json. OpenClaw refuses unknown keys, and its keys change with its releases."""
    settings = {
        "gateway": {
            "mode": "local",
            "port": PORT,
            "bind": "lan",
            "auth": {"mode": "token", "token": "${OPENCLAW_GATEWAY_TOKEN}"},
            "trustedProxies": [str(BACKEND.cidr)],
            "controlUi": {"enabled": True, "basePath": "/", "allowedOrigins": [f"https://{of.names.host(SITE)}"]},
        },
        "hooks": {
            "enabled": True,
            "token": "${OPENCLAW_HOOKS_TOKEN}",
            "allowedAgentIds": [agent.name for agent in AGENTS],
            # n8n names the session of a run by its own execution, and so recognizes the result. "hook:" is the prefix that
            # OpenClaw gives to sessions without a name.
            "allowRequestSessionKey": True,
            "allowedSessionKeyPrefixes": ["hook:", "n8n:"],
        },
        "cron": {"maxConcurrentRuns": _RUNS["hooks"]},
        "agents": {
            "defaults": {
                "workspace": f"{workspace(of.project)}/{AGENTS[0].name}",
                "maxConcurrent": _RUNS["chats"],
                "subagents": {"maxConcurrent": _RUNS["subagents"]},
                "userTimezone": of.timezone,
                "model": {"primary": f"custom-litellm/{AGENTS[0].model}"},
                "sandbox": _sandbox(of.project, SANDBOX.name),
            },
            "list": [_agent(agent, of.project) for agent in AGENTS],
        },
        "models": {
            "mode": "merge",
            "providers": {
                "custom-litellm": {
                    "baseUrl": "http://litellm:4000/v1",
                    "apiKey": "${LITELLM_API_KEY}",
                    "api": "openai-completions",
                    # Without the last two fields OpenClaw assumes 200000 and 8192 for every model.
                    "models": [
                        {
                            "id": model.name,
                            "name": model.name,
                            "contextWindow": model.context_tokens,
                            "maxTokens": model.maximum_tokens,
                        }
                        for model in MODELS
                        if model.maximum_tokens
                    ],
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
        "plugins": {
            # An explicit list, so that no other plugin is loaded that happens to be in a workspace.
            "allow": ["memory-core", "telegram", "vpai"],
            "load": {"paths": [f"{DIRECTORY}/plugins/vpai"]},
            "entries": {"telegram": {"enabled": True}, "vpai": {"enabled": True, "config": {"sandboxes": sandbox().at_most}}},
        },
        "bindings": [{"agentId": AGENTS[0].name, "match": {"channel": "telegram"}}],
        "logging": {"level": "info"},
        # This program decides about versions; OpenClaw would ask npm at each start.
        "update": {"checkOnStart": False},
    }
    return json_text(settings, indent=2)


def _sandbox(project: str, network: str) -> dict[str, object]:
    spawned = sandbox()
    return {
        # Chats too: a command that runs beside the gateway can read its secrets.
        "mode": "all",
        "scope": "agent",
        # The file tools write only with "rw". The mount is the agent's own workspace, and it outlives the sandbox.
        "workspaceAccess": "rw",
        "workspaceRoot": workspace(project),
        "docker": {
            "image": sandboxes.IMAGE,
            "containerPrefix": sandboxes.PREFIX,
            "readOnlyRoot": True,
            "tmpfs": ["/tmp", "/var/tmp", "/run"],
            "network": f"{project}_{network}",
            "user": sandboxes.USER,
            "capDrop": ["ALL"],
            "pidsLimit": 256,
            "memory": f"{spawned.memory_mib}m",
            "cpus": 1,
        },
        "prune": {"idleHours": 1, "maxAgeDays": 7},
    }


def _agent(agent: Agent, project: str) -> dict[str, object]:
    """An agent with its whole sandbox block: a hook's run takes the agent's block instead of the defaults', and without a block
    it has none at all (2026.2.23, runCronIsolatedAgentTurn)."""
    first = agent is AGENTS[0]
    others = [other.name for other in AGENTS[1:]] if first else [_MESSENGER]
    return {
        "id": agent.name,
        **({"default": True} if first else {}),
        "model": {"primary": f"custom-litellm/{agent.model}"},
        "workspace": f"{workspace(project)}/{agent.name}",
        **({"subagents": {"allowAgents": others}} if agent.name != _MESSENGER else {}),
        "sandbox": _sandbox(project, agent.network),
        **({"tools": {"sandbox": {"tools": {"allow": [*_SANDBOX_TOOLS, *agent.tools]}}}} if agent.tools else {}),
    }
