"""Alerts, derived from the placements: one typed alert, rendered for Prometheus here.

An alert compares a measure with a threshold. Its measure has a value while all is well: an expression that is empty when
healthy would mean the opposite as soon as missing data alarms.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from math import ceil
from string import Template

from model.alert import Severity, Watch
from model.placement import Placement
from model.service import About, Metrics, Service

MUCH_MEMORY = 0.9
"""Share of a service's memory limit above which it is near its end."""
_MIB = 1024 * 1024
_HOUR = 3600


@dataclass(frozen=True, kw_only=True)
class Alert(Watch):
    """A watch of one host, or of one service on it. Without data it does not fire: the alert `silent` does."""

    host: str
    service: str
    """Empty for an alert of the host itself."""

    @property
    def uid(self) -> str:
        """The alert's permanent id in Grafana."""
        return "-".join(part for part in (self.host, self.service, self.name) if part)

    @property
    def expression(self) -> str:
        """PromQL that has a value exactly while the alert fires."""
        sign, threshold = (">", self.above) if self.above is not None else ("<", self.below)
        return f"({self.measure}) {sign} {threshold:.12g}"

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels by which a notification is grouped and routed."""
        labels = {"host": self.host, "service": self.service, "severity": str(self.severity)}
        return {name: value for name, value in labels.items() if value}


def known_uids() -> tuple[str, ...]:
    """Ids of all alerts that ever existed: Grafana keeps a rule that vanished from the files until it is told to delete it.

    `make docs` adds new ids; no id leaves the list.
    """
    return tuple(resources.files(__package__).joinpath("uids.txt").read_text().split())


def alerts(placements: Iterable[Placement]) -> tuple[Alert, ...]:
    """Every alert of every host with services, and of every service. A host that is declared offline has no alerts."""
    watched = (placement for placement in placements if placement.services and not placement.host.offline)
    return tuple(alert for placement in watched for alert in _of_placement(placement))


def _of_placement(placement: Placement) -> Iterator[Alert]:
    host = placement.host.name
    yield from _of_host(host)
    if placement.backup:
        yield from _of_backup(host, hourly=placement.backup.hourly)
    reporter = next((service.name for service in placement.services if service.tells_of(About.SERVICES)), "")
    for service in placement.services:
        yield from _of_service(host, service, reporter)
        yield from (_own(host, service, watch) for watch in service.alerts)


def _of_host(host: str) -> Iterator[Alert]:
    here = f'host="{host}"'
    root = f'{here},mountpoint="/"'

    def alert(
        name: str, measure: str, severity: Severity, summary: str, runbook: str, seconds: int = 300, **bound: float
    ) -> Alert:
        return Alert(
            host=host,
            service="",
            name=name,
            measure=measure,
            seconds=seconds,
            severity=severity,
            summary=summary,
            runbook=runbook,
            above=bound.get("above"),
            below=bound.get("below"),
        )

    yield alert(
        "silent",
        f"max(up{{{here}}}) or vector(0)",
        Severity.CRITICAL,
        f"{host} sends no metrics: it is down, out of the mesh, or its Alloy is",
        f"tailscale status; ssh {host}; make status",
        seconds=180,
        below=1,
    )
    yield alert(
        "disk",
        f"min(node_filesystem_avail_bytes{{{root}}} / node_filesystem_size_bytes{{{root}}})",
        Severity.CRITICAL,
        f"less than 15 % of {host}'s disk is free",
        "docker system df; du -xh --max-depth=2 /opt /var | sort -h | tail",
        below=0.15,
    )
    yield alert(
        "memory",
        f"min(node_memory_MemAvailable_bytes{{{here}}} / node_memory_MemTotal_bytes{{{here}}})",
        Severity.WARNING,
        f"less than 15 % of {host}'s memory is available",
        "docker stats --no-stream; then lower a limit in services/ or take a larger host",
        below=0.15,
    )
    yield alert(
        "processor",
        f'1 - avg(rate(node_cpu_seconds_total{{{here},mode="idle"}}[5m]))',
        Severity.WARNING,
        f"{host}'s processors are busy more than 80 % of the time",
        "docker stats --no-stream; top",
        above=0.8,
    )
    seen = f'count(count by (service) (container_last_seen{{{here},service!=""}}))'
    running = f"count(vpai_service_running{{{here}}} == 1)"
    yield alert(
        "containers-unseen",
        # The predecessor's cAdvisor showed no container for five months, and nobody noticed.
        f"({seen} or vector(0)) / ({running})",
        Severity.WARNING,
        f"cAdvisor on {host} sees fewer services than Docker runs",
        "the log of cadvisor; its mounts and its control groups (services/cadvisor.py)",
        seconds=600,
        below=1,
    )


def _of_backup(host: str, *, hourly: bool) -> Iterator[Alert]:
    """Alerts on the metrics that the host's backup program writes (components/scripts/installed/vpai-backup.py)."""

    def alert(name: str, measure: str, severity: Severity, summary: str, *, above: float) -> Alert:
        return Alert(
            host=host,
            service="",
            name=name,
            measure=measure.replace("HERE", f'host="{host}"'),
            above=above,
            seconds=600,
            severity=severity,
            summary=summary,
            runbook=f"make backups HOST={host}; make backup HOST={host} shows what fails",
        )

    late = "no complete backup of the last 26 hours"
    age = "time() - max(vpai_backup_last_success_timestamp_seconds{HERE})"
    yield alert("backup-late", age, Severity.CRITICAL, f"{host} has {late}", above=26 * _HOUR)
    failed = "1 - min(vpai_backup_complete{HERE})"
    yield alert("backup-failed", failed, Severity.WARNING, f"the last backup of {host} is not complete", above=0)
    warned = "max(vpai_backup_warnings{HERE})"
    yield alert("backup-warned", warned, Severity.WARNING, f"{host} holds a database that no service declares", above=0)
    size = "sum(vpai_backup_bytes{HERE})"
    usual = "sum(avg_over_time(vpai_backup_bytes{HERE}[7d]))"
    less = f"{usual} / {size}"
    yield alert("backup-shrunk", less, Severity.WARNING, f"{host}'s backup is half of what it was in the last week", above=2)
    yield alert("backup-grown", f"{size} / {usual}", Severity.WARNING, f"{host}'s backup is twice what it was", above=2)
    added = "max(vpai_backup_added_bytes{HERE})"
    # The damage that a thief with the host's key can do to the bill.
    yield alert(
        "backup-growth", added, Severity.WARNING, f"one night of {host} added more than 20 GiB to the bucket", above=20 * 2**30
    )
    unchecked = "time() - max(vpai_backup_checked_timestamp_seconds{HERE})"
    overdue = f"{host}'s backups have not been pruned and read from outside for 8 days"
    yield alert("backup-unchecked", unchecked, Severity.WARNING, overdue, above=8 * 24 * _HOUR)
    lacking = "0 - min(vpai_backup_spare_bytes{HERE})"
    yield alert("backup-room", lacking, Severity.WARNING, f"{host}'s disk may be too small for the next backup", above=0)
    if hourly:
        since = "time() - max(vpai_backup_databases_last_success_timestamp_seconds{HERE})"
        missed = f"{host}'s databases had no hourly backup for 3 hours"
        yield alert("backup-databases", since, Severity.CRITICAL, missed, above=3 * _HOUR)


def _of_service(host: str, service: Service, reporter: str) -> Iterator[Alert]:
    """Alerts of one service. `reporter` is the service that reports which services of the host run and are healthy."""
    labels = f'host="{host}",service="{service.name}"'
    # 0 if the host reports but this service is not in the report: its container is gone. No value if the host is silent.
    reporting = f'0 * max(up{{host="{host}",service="{reporter}"}} == 1)'
    logs = f"make logs SERVICE={service.name}"
    # The reporter itself runs if it answers.
    running = f"up{{{labels}}}" if service.name == reporter else f"vpai_service_running{{{labels}}}"
    yield Alert(
        host=host,
        service=service.name,
        name="down",
        measure=f"max({running}) or {reporting}",
        below=1,
        seconds=60,
        severity=Severity.CRITICAL,
        summary=f"{service.name} on {host} does not run",
        runbook=f"{logs}; docker ps -a; make up brings back a removed container",
    )
    yield Alert(
        host=host,
        service=service.name,
        name="unhealthy",
        measure=f"max(vpai_service_healthy{{{labels}}})",
        below=1,
        # The longest time that a start takes; a container that restarts again and again never becomes healthy.
        seconds=_minutes(service.healthcheck.deadline),
        severity=Severity.CRITICAL,
        summary=f"{service.name} on {host} fails its healthcheck",
        runbook=f"{logs}; docker inspect shows what the check said, under State.Health",
    )
    yield Alert(
        host=host,
        service=service.name,
        name="memory",
        measure=f"max(container_memory_working_set_bytes{{{labels}}}) / {service.limits.memory_mib * _MIB}",
        above=MUCH_MEMORY,
        seconds=300,
        severity=Severity.WARNING,
        summary=f"{service.name} on {host} uses more than 90 % of its {service.limits.memory_mib} MiB",
        runbook=f"at 100 % the kernel kills it: raise memory_mib of {service.name} in services/, or find the leak",
    )
    if isinstance(service.metrics, Metrics) and service.name != reporter:
        yield Alert(
            host=host,
            service=service.name,
            name="metrics",
            measure=f"max(up{{{labels}}})",
            below=1,
            seconds=300,
            severity=Severity.WARNING,
            summary=f"{service.name} on {host} shows no metrics",
            runbook=f"{logs}; the log of alloy says what it got instead",
        )


def _own(host: str, service: Service, watch: Watch) -> Alert:
    """An alert that the service itself declares."""
    here = f'host="{host}"'
    labels = {"here": f'{here},service="{service.name}"', "on": here, "host": host}
    texts = {name: Template(getattr(watch, name)).substitute(labels) for name in ("measure", "summary")}
    return Alert(**{**vars(watch), **texts}, host=host, service=service.name)


def _minutes(seconds: int) -> int:
    return 60 * ceil(seconds / 60)


def prometheus_rules(of: Iterable[Alert]) -> str:
    """A rule file for Prometheus or vmalert (JSON is YAML), one group a host."""
    groups: dict[str, list[object]] = {}
    for alert in of:
        groups.setdefault(alert.host, []).append(
            {
                "alert": alert.uid,
                "expr": alert.expression,
                "for": f"{alert.seconds}s",
                "labels": dict(alert.labels),
                "annotations": {"summary": alert.summary, "runbook": alert.runbook},
            }
        )
    return json.dumps({"groups": [{"name": host, "rules": rules} for host, rules in groups.items()]}, indent=1)
