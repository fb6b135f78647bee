"""Alloy 1.13: collects the metrics and logs of a host's services, for VictoriaMetrics and Loki."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date

from model.backup import Nothing
from model.host import Role
from model.overview import Overview
from model.service import (
    Configuration,
    File,
    Healthcheck,
    HostMount,
    Limits,
    Link,
    Logs,
    May,
    Metrics,
    Replacement,
    Service,
    Volume,
)
from model.waiver import Waiver
from services import docker_proxy, loki, networks, victoriametrics
from services.alloy.collection import DIRECTORY, Store, bearers, configuration, token_file
from services.context import Context
from services.networks import BACKEND, MONITORING

PORT = 12345


def services(of: Context) -> Iterator[Service]:
    """The module's only service."""
    ways = (
        of.way(victoriametrics.ENDPOINT, "metrics are written where Grafana asks for them"),
        of.way(loki.ENDPOINT, "so are logs"),
    )
    needs = (*(name for way in ways for name in way.needs), docker_proxy.NAME)
    links = tuple(link for way in ways for link in way.links)
    if Role.STACK in of.roles:
        yield service((BACKEND.name, MONITORING.name), needs, links, scale=of.scale)
    else:
        yield service((MONITORING.name,), needs, links, memory_mib=256)


def _meeting(service: Service, others: Sequence[Service]) -> Service:
    """`service` on a network of each service that has metrics."""
    return replace(service, networks=networks.joined(service, (other for other in others if isinstance(other.metrics, Metrics))))


def _completed(service: Service, of: Overview) -> Service:
    """`service` with the configuration that collects from every service of the host."""
    secrets = bearers(of.here.services)
    store = Store.of(service.links, of.names, of.authority)
    completed = service.with_files(
        File(path="config.alloy", content=configuration(of.here.host.name, of.here.services, store)),
        *(File(path=token_file(bearer), content=f"{bearer}") for bearer in secrets),
    )
    return replace(completed, secrets=(*service.secrets, *secrets))


def service(
    joined: tuple[str, ...],
    needs: tuple[str, ...],
    links: tuple[Link, ...] = (),
    memory_mib: int = 320,
    scale: float = 1.0,
) -> Service:
    """Alloy on the networks `joined`. Its configuration is added last.

    On the predecessor's Sese-AI, with twice the containers, 256 MiB were too little and 512 enough. Below 256 MiB its data evicts
    its program, some 160 MiB of which are in use, from memory: 50 page faults a second at 192, no kill (measured, v1.13.0).
    """
    return Service(
        name="alloy",
        image="docker.io/grafana/alloy:v1.13.0",
        networks=joined,
        limits=Limits(memory_mib=memory_mib, cpus=0.5).scaled(scale, least_mib=256),
        replacement=Replacement.STOP_FIRST,
        metrics=Metrics(port=PORT),
        logs=Logs.LOGFMT,
        command=(
            "run",
            f"--server.http.listen-addr=0.0.0.0:{PORT}",
            "--storage.path=/var/lib/alloy/data",
            "--disable-reporting",
            f"{DIRECTORY}/config.alloy",
        ),
        configuration=Configuration(directory=DIRECTORY, files=()),
        volumes=(
            Volume(
                path="/var/lib/alloy/data",
                directory="alloy",
                owner="0:0",
                mode=0o700,
                backup=Nothing(reason="how far each log was read; lost, a few lines come twice"),
            ),
        ),
        host_mounts=(
            HostMount(
                path="/",
                container_path="/host",
                reason="the host's processor, memory and disks",
                until=date(2027, 3, 29),
            ),
            HostMount(
                path="/var/lib/docker/containers",
                container_path="/var/lib/docker/containers",
                reason="the logs of the containers",
                until=date(2027, 3, 29),
            ),
        ),
        needs=needs,
        links=links,
        completed=_meeting,
        completed_last=_completed,
        brings=("cadvisor", "node-exporter"),
        # The image has neither curl nor wget. Grafana's alert on missing series is the check from outside.
        may=May(mount=("/", "/var/lib/docker/containers"), share_uid=0),
        healthcheck=Healthcheck(command=("sh", "-c", "kill -0 1"), interval=30, timeout=5, retries=3, start_period=30),
        capabilities=("DAC_READ_SEARCH",),
        waivers=(
            Waiver(
                rule="containers-capabilities",
                subject="DAC_READ_SEARCH",
                reason="it reads the logs of other users' containers",
                until=date(2027, 3, 29),
            ),
        ),
        # Covers the host's /run: a process that opens a socket there as root (Docker, D-Bus, tailscaled) is root on the host.
        tmpfs=("/tmp", "/host/run"),
    )
