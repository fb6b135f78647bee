"""Sandboxes of OpenClaw's agents: their own Docker, rootless (images/sandboxes), behind docker-proxy.

docs/adr/0045-rootless-sandboxes.md says why, and what each barrier stops.
"""

import json
from dataclasses import dataclass
from ipaddress import IPv4Network

from model.backup import Nothing
from model.credential import Credential, Header, Request
from model.network import Network
from model.secret import Generated, Secret
from model.service import Configuration, File, Healthcheck, Limits, Logs, May, NotCollected, Replacement, Service, Volume
from services.networks import BACKEND, EGRESS, SANDBOX

TOKEN = Secret(name="docker_proxy_token", source=Generated(length=48))
PORT = 2375
IMAGE = "openclaw-sandbox:2026.2.23"
"""The image of a sandbox, as the sandboxes' Docker names it. The service's own image contains it."""
PREFIX = "openclaw-sbx-"
USER = "1000:1000"
"""OpenClaw's user: OpenClaw and the sandboxes write the workspaces."""
NETWORKS = (SANDBOX, EGRESS, BACKEND)
"""Networks of the host; only the sandboxes of a network reach it. Most agents use the first, one searches the Internet, one sends
messages (services/openclaw.py)."""
DIRECTORY = "/etc/docker-proxy"
_UID = "20007:20007"
# Memory of Docker, its helpers, the proxy and the shims of sandboxes (docs/adr/0045-rootless-sandboxes.md).
_ENGINE_MIB = 160


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """Memory of one sandbox, and the most sandboxes that exist, running or not."""

    memory_mib: int
    at_most: int


def workspaces(project: str) -> Volume:
    """The directories of the agents, under the same path in OpenClaw, in the sandboxes' Docker and on the host. Only root may
    replace this one: OpenClaw could turn a directory of its own into a link to anything."""
    return Volume(
        path=f"/opt/{project}/data/openclaw-workspaces",
        directory="openclaw-workspaces",
        owner=USER,
        mode=0o755,
        backup=Nothing(reason="what agents work on; what is to last they hand on"),
        shared=True,
    )


def service(project: str, sandbox: Sandbox) -> Service:
    """The Docker of the sandboxes. Its limits hold for all sandboxes together, which are its children."""
    return Service(
        name="sandboxes",
        image="ghcr.io/mobutoo/vpai-sandboxes:1.0.0",
        networks=tuple(network.name for network in NETWORKS),
        limits=Limits(memory_mib=_ENGINE_MIB + sandbox.at_most * sandbox.memory_mib, cpus=2.0),
        command=tuple(_reached(project, network) for network in NETWORKS),
        replacement=Replacement.STOP_FIRST,
        metrics=NotCollected(reason="shows none; cAdvisor sees the container with all of its sandboxes"),
        logs=Logs.PLAIN,
        init_process=True,
        user_namespaces=True,
        configuration=Configuration(
            directory=DIRECTORY,
            owner=_UID,
            files=(
                File(path="policy.json", content=_policy(project, sandbox)),
                File(path="token", content=f"{TOKEN}"),
            ),
        ),
        volumes=(workspaces(project),),
        secrets=(TOKEN,),
        credentials=(
            # images/docker-proxy/proxy.go
            Credential(
                secret=TOKEN,
                holder="OpenClaw",
                proof=Request(port=PORT, path="/_ping", place=Header(name="X-Docker-Proxy-Token", scheme=""), refused=(403,)),
            ),
        ),
        # Docker unpacks the image of the sandboxes at each start.
        may=May(make_namespaces=True, share_uid=1000),
        healthcheck=Healthcheck(
            command=("docker-proxy", "-orders", "-health"), interval=15, timeout=5, retries=3, start_period=90
        ),
        user=_UID,
        other_users=(USER,),
        # Two programs of its image may map users into a namespace; no other program has this right (images/sandboxes/install.sh).
        capabilities=("SETUID", "SETGID"),
        tmpfs=("/run", "/tmp"),
        stop_timeout=30,
    )


def _own(network: Network) -> IPv4Network:
    """The addresses of the network's sandboxes; they are visible only inside their Docker."""
    return IPv4Network(f"10.117.{NETWORKS.index(network)}.0/24")


def _reached(project: str, network: Network) -> str:
    return f"{project}_{network.name}={network.name},{_own(network)},{network.cidr}{'' if network.internal else ',out'}"


def _policy(project: str, sandbox: Sandbox) -> str:
    return json.dumps(
        {
            "image": IMAGE,
            "archive": "/usr/local/share/sandbox.tar",
            "name_prefix": PREFIX,
            "networks": [
                {
                    "name": f"{project}_{network.name}",
                    "bridge": network.name,
                    "range": str(_own(network)),
                    "gateway": str(_own(network)[1]),
                    "closed": network.internal,
                }
                for network in NETWORKS
            ],
            "workspaces": workspaces(project).path,
            "at_most": sandbox.at_most,
            "max_memory_mib": sandbox.memory_mib,
            "max_cpus": 1,
            "max_pids": 256,
            "user": USER,
        },
        indent=2,
    )
