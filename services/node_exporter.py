"""node_exporter 1.9: the workstation's processor, memory and disks."""

from collections.abc import Iterator
from datetime import date

from model.service import About, Healthcheck, HostMount, Limits, Logs, May, Metrics, Replacement, Service
from services.context import Context
from services.networks import MONITORING

PORT = 9100


def services(of: Context) -> Iterator[Service]:
    """The module's only service."""
    yield service()


def service() -> Service:
    """node_exporter in a container: it shows all metrics of the host except the network counters."""
    return Service(
        name="node-exporter",
        image="quay.io/prometheus/node-exporter:v1.9.1",
        networks=(MONITORING.name,),
        limits=Limits(memory_mib=64, cpus=0.25),
        replacement=Replacement.START_FIRST,
        metrics=Metrics(port=PORT, about=About.HOST),
        logs=Logs.LOGFMT,
        command=(
            "--path.rootfs=/host",
            "--path.procfs=/host/proc",
            "--path.sysfs=/host/sys",
            "--no-collector.netdev",
            "--no-collector.netclass",
        ),
        host_mounts=(
            HostMount(path="/", container_path="/host", reason="the host's processor, memory and disks", until=date(2027, 4, 12)),
        ),
        # busybox's wget, of the image's base (prometheus/node_exporter, Dockerfile).
        may=May(mount=("/",)),
        healthcheck=Healthcheck(
            command=("wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{PORT}/"),
            interval=30,
            timeout=5,
            retries=3,
            start_period=15,
        ),
        user="20005:20005",
        # Covers the host's /run: sockets are no metrics.
        tmpfs=("/host/run",),
    )
