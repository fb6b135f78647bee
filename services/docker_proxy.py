"""docker-proxy: our own door to the Docker socket (images/docker-proxy). Who reaches it is not root on the host.

One port takes OpenClaw's orders for sandboxes and checks the body of each; the other only answers questions.
"""

import json
from dataclasses import replace
from datetime import date

from model.credential import Credential, Header, Request
from model.secret import Generated, Secret
from model.service import (
    Configuration,
    File,
    Healthcheck,
    HostMount,
    Limits,
    Logs,
    Metrics,
    Replacement,
    Service,
    Spawned,
)
from model.waiver import Waiver
from services.networks import BACKEND, EGRESS, MONITORING, SANDBOX

SANDBOX_TOKEN = Secret(name="docker_proxy_token", source=Generated(length=48))
SANDBOX_PORT = 2375
READ_PORT = 2376
SANDBOX_PREFIX = "openclaw-sbx-"
DIRECTORY = "/etc/docker-proxy"
_LIMITS = Limits(memory_mib=64, cpus=0.25)
# What ten thousand strangers made it hold was 22 MiB (images/docker-proxy/siege_test.go).
_LIMITS_OF_QUESTIONS = Limits(memory_mib=32, cpus=0.25)


def service(project: str, data: str, workspace: str, sandbox: Spawned, scale: float = 1.0) -> Service:
    """The proxy with both ports: sandboxes are of one image, on our networks, and mount directories of `workspace` only.

    `data`: a directory above it that root alone may replace.
    """
    return replace(
        questions(BACKEND.name, MONITORING.name),
        limits=_LIMITS.scaled(scale),
        environment=_memory(_LIMITS.scaled(scale)),
        command=(),
        configuration=Configuration(
            directory=DIRECTORY,
            files=(
                File(path="policy.json", content=_policy(project, data, workspace, sandbox)),
                File(path="token", content=f"{SANDBOX_TOKEN}"),
            ),
        ),
        secrets=(SANDBOX_TOKEN,),
        credentials=(
            # images/docker-proxy/proxy.go
            Credential(
                secret=SANDBOX_TOKEN,
                holder="OpenClaw",
                proof=Request(
                    port=SANDBOX_PORT,
                    path="/_ping",
                    place=Header(name="X-Docker-Proxy-Token", scheme=""),
                    refused=(403,),
                ),
            ),
        ),
    )


def questions(*networks: str) -> Service:
    """The proxy for collectors alone, on `networks`."""
    return Service(
        name="docker-proxy",
        image="ghcr.io/mobutoo/vpai-docker-proxy:1.0.0",
        networks=networks,
        limits=_LIMITS_OF_QUESTIONS,
        environment=_memory(_LIMITS_OF_QUESTIONS),
        replacement=Replacement.START_FIRST,
        command=("-questions-only",),
        # Which services run and which are healthy (services/monitoring/alerts.py).
        metrics=Metrics(port=READ_PORT),
        logs=Logs.JSON,
        host_mounts=(
            HostMount(
                # The directory: a socket that an upgrade of Docker makes anew would leave a mount of the old one dead.
                path="/run",
                container_path="/var/run",
                reason="Docker's socket: it is the one that may talk to Docker, so that nobody else has to",
                until=date(2027, 2, 15),
            ),
        ),
        healthcheck=Healthcheck(command=("/docker-proxy", "-health"), interval=15, timeout=5, retries=3, start_period=10),
        user="0:0",
        waivers=(
            Waiver(
                rule="containers-user",
                subject="root",
                reason="root without any capability: the socket's owner may open it, and that is all this root can do",
                until=date(2027, 2, 15),
            ),
        ),
    )


def _memory(limits: Limits) -> dict[str, str]:
    """Go collects its garbage before the container's limit is reached."""
    return {"GOMEMLIMIT": f"{limits.memory_mib * 3 // 4}MiB"}


def _policy(project: str, data: str, workspace: str, sandbox: Spawned) -> str:
    return json.dumps(
        {
            "images": [sandbox.image],
            "name_prefix": SANDBOX_PREFIX,
            # The agents of services/openclaw.py: most stay in sandbox, one searches the Internet, one messages.
            "networks": [f"{project}_{network.name}" for network in (SANDBOX, EGRESS, BACKEND)],
            "data": data,
            "binds_below": workspace,
            "at_most": sandbox.at_most,
            "max_memory_mib": sandbox.memory_mib,
            "max_cpus": 1,
            "max_pids": 256,
            "user": "1000:1000",
        },
        indent=2,
    )
