"""docker-proxy: our own door to a host's Docker socket (images/docker-proxy), for collectors: it only answers questions.

The other half of the program, which takes OpenClaw's orders, stands before another Docker (services/sandboxes.py).
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
"""Docker's own interface, as far as it answers questions."""
# What ten thousand strangers made it hold was 22 MiB (images/docker-proxy/siege_test.go).
_LIMITS = Limits(memory_mib=32, cpus=0.25)


def services(of: Context) -> Iterator[Service]:
    """It alone."""
    yield service(*((BACKEND.name,) if Role.STACK in of.roles else ()), MONITORING.name)


def service(*networks: str) -> Service:
    """The proxy on `networks`."""
    return Service(
        name=NAME,
        image="ghcr.io/mobutoo/vpai-docker-proxy:1.0.0",
        networks=networks,
        limits=_LIMITS,
        # Go collects its garbage before the container's limit is reached.
        environment={"GOMEMLIMIT": f"{_LIMITS.memory_mib * 3 // 4}MiB"},
        replacement=Replacement.START_FIRST,
        # The pinned cAdvisor shows a container's health as it was when it first saw it, for ever (google/cadvisor#3760, merged
        # later).
        metrics=Metrics(port=READ_PORT, about=About.SERVICES),
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
