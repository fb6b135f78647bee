"""cAdvisor 0.55: resource usage of each container."""

from collections.abc import Iterator
from datetime import date

from model.host import Role
from model.service import About, Healthcheck, HostMount, Limits, Logs, May, Metrics, Replacement, Service
from model.waiver import Waiver
from services.context import Context
from services.networks import MONITORING

PORT = 8080
# oom_event is off too: cAdvisor reads it from /dev/kmsg, the whole kernel's log, which is not mounted; it would stay 0.
_OFF = "advtcp,cpu_topology,cpuset,hugetlb,memory_numa,oom_event,process,referenced_memory,resctrl,sched,tcp,udp"


def services(of: Context) -> Iterator[Service]:
    """The module's only service."""
    yield service(scale=of.scale) if Role.STACK in of.roles else service(memory_mib=64)


def service(memory_mib: int = 96, scale: float = 1.0) -> Service:
    """cAdvisor, on the monitoring network alone. Its mounts of the host are the source of its metrics."""
    return Service(
        name="cadvisor",
        image="ghcr.io/google/cadvisor:0.55.1",
        networks=(MONITORING.name,),
        limits=Limits(memory_mib=memory_mib, cpus=0.25).scaled(scale),
        replacement=Replacement.START_FIRST,
        metrics=Metrics(port=PORT, about=About.CONTAINERS),
        logs=Logs.PLAIN,
        command=(
            "--docker_only=true",
            "--housekeeping_interval=30s",
            "--store_container_labels=false",
            "--whitelisted_container_labels=vpai.service",
            f"--disable_metrics={_OFF}",
        ),
        # Without these the predecessor's cAdvisor, behind a proxy, lost every container's series for five months.
        host_cgroups=True,
        host_mounts=(
            HostMount(path="/", container_path="/rootfs", reason="the file systems whose use it counts", until=date(2027, 3, 15)),
            HostMount(path="/sys", container_path="/sys", reason="the control groups", until=date(2027, 3, 15)),
            HostMount(
                path="/var/lib/docker",
                container_path="/var/lib/docker",
                reason="the layers that containers write",
                until=date(2027, 3, 15),
            ),
            HostMount(
                path="/run",
                container_path="/var/run",
                reason="Docker's socket, which tells which control group is which container; it publishes nothing",
                until=date(2027, 3, 15),
            ),
        ),
        may=May(mount=("/", "/sys", "/var/lib/docker", "/run"), see_control_groups=True, share_uid=0),
        healthcheck=Healthcheck(
            command=("wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{PORT}/healthz"),
            interval=30,
            timeout=10,
            retries=5,
            start_period=30,
        ),
        capabilities=("DAC_OVERRIDE", "FOWNER"),
        read_only_root=False,
        waivers=(
            Waiver(
                rule="containers-read-only-root", reason="nobody has shown yet that it writes nothing", until=date(2027, 3, 15)
            ),
            Waiver(
                rule="containers-own-cgroup",
                subject="host",
                reason="it measures the control groups of all containers; in its own it would see itself",
                until=date(2027, 3, 15),
            ),
        ),
    )
