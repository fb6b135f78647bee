"""docker-proxy: our read-only proxy for a host's Docker socket (images/docker-proxy), for collectors.

The program's other part, which accepts OpenClaw's commands, runs before another Docker (services/sandboxes.py).
"""

from collections.abc import Iterator
from datetime import date

from model.host import Role
from model.service import About, Healthcheck, HostMount, Limits, Logs, May, Metrics, Replacement, Service
from model.waiver import Waiver
from services.context import Context
from services.networks import BACKEND, MONITORING

NAME = "docker-proxy"
READ_PORT = 2376
URL = f"tcp://{NAME}:{READ_PORT}"
"""Docker's API, read-only."""
# Ten thousand unknown clients made it use 22 MiB (images/docker-proxy/siege_test.go).
_LIMITS = Limits(memory_mib=32, cpus=0.25)


def services(of: Context) -> Iterator[Service]:
    """The module's only service."""
    yield service(*((BACKEND.name,) if Role.STACK in of.roles else ()), MONITORING.name)


def service(*networks: str) -> Service:
    """The proxy on `networks`."""
    return Service(
        name=NAME,
        image="ghcr.io/mobutoo/vpai-docker-proxy:1.0.0",
        networks=networks,
        limits=_LIMITS,
        # Go collects its garbage before it reaches the container's limit.
        environment={"GOMEMLIMIT": f"{_LIMITS.memory_mib * 3 // 4}MiB"},
        replacement=Replacement.START_FIRST,
        # The pinned cAdvisor shows for ever the health that a container had when cAdvisor first saw it (google/cadvisor#3760,
        # merged later).
        metrics=Metrics(port=READ_PORT, about=About.SERVICES),
        logs=Logs.JSON,
        host_mounts=(
            HostMount(
                # The directory, not the socket: an upgrade of Docker makes a new socket, and a mount of the old would be dead.
                path="/run",
                container_path="/var/run",
                reason="Docker's socket: it is the one that may talk to Docker, so that nobody else has to",
                until=date(2027, 2, 15),
            ),
        ),
        may=May(mount=("/run",), share_uid=0),
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
