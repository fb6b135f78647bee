"""The dashboards: those of the fleet, and each service's own; Grafana's builders make the JSON.

No dashboard names a service or a host of ours: variables query which there are.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import chain

from grafana_foundation_sdk.builders import dashboard, logs, loki, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LogsSortOrder
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh
from grafana_foundation_sdk.models.dashboard import Panel as Built

from model.dashboard import HERE, Dashboard, Form, Panel
from model.service import Service
from services.grafana.sources import LINES, METRICS

_METRICS = DataSourceRef(type_val="prometheus", uid=METRICS)
_LINES = DataSourceRef(type_val="loki", uid=LINES)
_ALL = ".*"
_BOTH = f'{HERE},service=~"$service"'


def _since(what: str) -> str:
    return f"time() - max by (host) (vpai_backup_{what}_timestamp_seconds{{{HERE}}})"


_OF_THE_FLEET = (
    Dashboard(
        "fleet",
        "Fleet",
        (
            Panel("Services that run", {"{{host}}": "sum by (host) (vpai_service_running)"}, form=Form.NUMBER),
            Panel("Services that are not healthy", {"{{host}}": "sum by (host) (1 - vpai_service_healthy)"}, form=Form.NUMBER),
            Panel("Alerts", {"": 'sum(grafana_alerting_alerts{state="alerting"}) or vector(0)'}, form=Form.NUMBER),
            Panel("Health", {"{{host}} {{service}}": f"vpai_service_healthy{{{HERE}}}"}),
            Panel("Targets that answer", {"{{host}} {{service}}": f'up{{{HERE},service!=""}}'}),
            Panel(
                "Days until certificates run out",
                {"{{site}}": f"(probe_ssl_earliest_cert_expiry{{{HERE}}} - time()) / 86400"},
                unit="d",
            ),
        ),
    ),
    Dashboard(
        "containers",
        "Containers",
        (
            Panel(
                "Memory",
                {"{{host}} {{service}}": f"max by (host, service) (container_memory_working_set_bytes{{{_BOTH}}})"},
                unit="bytes",
            ),
            Panel(
                "Memory of the limit",
                {
                    "{{host}} {{service}}": f"max by (host, service) (container_memory_working_set_bytes{{{_BOTH}}}"
                    f" / (container_spec_memory_limit_bytes{{{_BOTH}}} > 0))"
                },
                unit="percentunit",
            ),
            Panel(
                "Processors",
                {"{{host}} {{service}}": f"sum by (host, service) (rate(container_cpu_usage_seconds_total{{{_BOTH}}}[5m]))"},
            ),
            Panel("Log", {"": f"{{{_BOTH}}}"}, form=Form.LOG),
        ),
        variables=("host", "service"),
    ),
    Dashboard(
        "hosts",
        "Hosts",
        (
            Panel(
                "Processors busy",
                {"{{host}}": f'1 - avg by (host) (rate(node_cpu_seconds_total{{{HERE},mode="idle"}}[5m]))'},
                "percentunit",
            ),
            Panel("Load", {"{{host}}": f"node_load5{{{HERE}}}"}),
            Panel(
                "Memory available",
                {"{{host}}": f"node_memory_MemAvailable_bytes{{{HERE}}} / node_memory_MemTotal_bytes{{{HERE}}}"},
                "percentunit",
            ),
            Panel(
                "Disk free",
                {
                    "{{host}} {{mountpoint}}": f'node_filesystem_avail_bytes{{{HERE},fstype!~"tmpfs|overlay"}}'
                    f' / node_filesystem_size_bytes{{{HERE},fstype!~"tmpfs|overlay"}}'
                },
                "percentunit",
            ),
            Panel("Disk busy", {"{{host}} {{device}}": f"rate(node_disk_io_time_seconds_total{{{HERE}}}[5m])"}, "percentunit"),
        ),
    ),
)
_BACKUPS = Dashboard(
    "backups",
    "Backups",
    (
        Panel("Age of the last complete one", {"{{host}}": _since("last_success")}, "s", Form.NUMBER),
        Panel("Checked from outside", {"{{host}}": _since("checked")}, "s", Form.NUMBER),
        Panel("Items that failed", {"{{host}}": f"max by (host) (vpai_backup_failed_items{{{HERE}}})"}, form=Form.NUMBER),
        Panel("Size", {"{{host}} {{item}}": f"max by (host, item) (vpai_backup_bytes{{{HERE}}})"}, "bytes"),
        Panel("Added to the bucket", {"{{host}}": f"max by (host) (vpai_backup_added_bytes{{{HERE}}})"}, "bytes"),
        Panel("Time that it took", {"{{host}}": f"max by (host) (vpai_backup_seconds{{{HERE}}})"}, "s"),
        Panel("Free after a run", {"{{host}}": f"min by (host) (vpai_backup_spare_bytes{{{HERE}}})"}, "bytes"),
    ),
)


def of(services: Iterable[Service], *, backed_up: bool) -> tuple[Dashboard, ...]:
    """The fleet's dashboards, those of its services, each once, and the one of backups where there are any."""
    own = {service.dashboard.uid: service.dashboard for service in services if service.dashboard}
    return (*_OF_THE_FLEET, *own.values(), *((_BACKUPS,) if backed_up else ()))


def text(of: Dashboard) -> str:
    """The dashboard as JSON for Grafana."""
    return json.dumps(_dashboard(of).build(), cls=JSONEncoder, indent=1, sort_keys=True)


def _dashboard(of: Dashboard) -> dashboard.Dashboard:
    builder = dashboard.Dashboard(of.title).uid(of.uid).readonly().refresh("1m").time("now-6h", "now").timezone("browser")
    for variable in of.variables:
        builder.with_variable(
            dashboard.QueryVariable(variable)
            .datasource(_METRICS)
            .query(f"label_values(up, {variable})")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .all_value(_ALL)
        )
    for panel in of.panels:
        builder.with_panel(_panel(panel))
    return builder


def _panel(panel: Panel) -> Builder[Built]:
    match panel.form:
        case Form.LOG:
            shown = logs.Panel().sort_order(LogsSortOrder.DESCENDING).span(24).height(10).datasource(_LINES)
            for query in panel.queries.values():
                shown.with_target(loki.Dataquery().expr(query).ref_id("A"))
            return shown.title(panel.title)
        case Form.NUMBER:
            number = stat.Panel().title(panel.title).unit(panel.unit).span(8).height(5).datasource(_METRICS)
            for target in _targets(panel):
                number.with_target(target.instant())
            return number
        case Form.CURVES:
            curves = timeseries.Panel().title(panel.title).unit(panel.unit).span(12).height(8).min(0).datasource(_source(panel))
            for target in chain(_targets(panel)):
                curves.with_target(target)
            return curves


def _source(panel: Panel) -> DataSourceRef:
    return _LINES if any("count_over_time" in query for query in panel.queries.values()) else _METRICS


def _targets(panel: Panel) -> Iterator[prometheus.Dataquery]:
    for letter, (legend, query) in zip("ABCDEF", panel.queries.items(), strict=False):
        yield prometheus.Dataquery().expr(query).legend_format(legend or panel.title).ref_id(letter)
