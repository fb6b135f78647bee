"""The dashboards: what is on each, in one small vocabulary; Grafana's own builders make the JSON.

Nothing here names a service or a host of ours but where the dashboard is about that one: variables ask what there is.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain

from grafana_foundation_sdk.builders import dashboard, logs, loki, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LogsSortOrder
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh
from grafana_foundation_sdk.models.dashboard import Panel as Built

from services.grafana.provisioning import LINES, METRICS

_METRICS = DataSourceRef(type_val="prometheus", uid=METRICS)
_LINES = DataSourceRef(type_val="loki", uid=LINES)
_ALL = ".*"
_ABOUT = ("litellm", "postgresql", "caddy")
"""Dashboards of one service, whose name is theirs."""


class Form(Enum):
    """How a panel shows its numbers."""

    CURVES = auto()
    NUMBER = auto()
    LOG = auto()


@dataclass(frozen=True)
class Panel:
    """Queries by legend; for `LOG` one LogQL query."""

    title: str
    queries: Mapping[str, str]
    unit: str = "short"
    form: Form = Form.CURVES


@dataclass(frozen=True)
class Dashboard:
    """`variables` are labels that the viewer chooses values of."""

    uid: str
    title: str
    panels: tuple[Panel, ...]
    variables: tuple[str, ...] = ("host",)


_HOST = 'host=~"$host"'
_BOTH = f'{_HOST},service=~"$service"'
_POSTGRESQL = f'{_HOST},service="postgresql"'
_LITELLM = f'{_HOST},service="litellm"'
_REQUESTS = f"caddy_http_request_duration_seconds_count{{{_HOST}}}"


def _since(what: str) -> str:
    return f"time() - max by (host) (vpai_backup_{what}_timestamp_seconds{{{_HOST}}})"


DASHBOARDS = (
    Dashboard(
        "fleet",
        "Fleet",
        (
            Panel("Services that run", {"{{host}}": "sum by (host) (vpai_service_running)"}, form=Form.NUMBER),
            Panel("Services that are not healthy", {"{{host}}": "sum by (host) (1 - vpai_service_healthy)"}, form=Form.NUMBER),
            Panel("Alerts", {"": 'sum(grafana_alerting_alerts{state="alerting"}) or vector(0)'}, form=Form.NUMBER),
            Panel("Health", {"{{host}} {{service}}": f"vpai_service_healthy{{{_HOST}}}"}),
            Panel("Targets that answer", {"{{host}} {{service}}": f'up{{{_HOST},service!=""}}'}),
            Panel(
                "Days until certificates run out",
                {"{{site}}": f"(probe_ssl_earliest_cert_expiry{{{_HOST}}} - time()) / 86400"},
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
        "litellm",
        "LiteLLM",
        (
            Panel("Spent today (UTC)", {"": f"max(litellm_budget_spent_usd{{{_LITELLM}}})"}, "currencyUSD", Form.NUMBER),
            Panel(
                "Spent this month",
                {"{{provider}}": f"max by (provider) (litellm_budget_month_spent_usd{{{_LITELLM}}})"},
                "currencyUSD",
            ),
            Panel(
                "Spend an hour",
                {"{{model}}": f"sum by (model) (increase(litellm_spend_metric_total{{{_LITELLM}}}[1h]))"},
                "currencyUSD",
            ),
            Panel("Requests", {"{{model}}": f"sum by (model) (rate(litellm_requests_metric_total{{{_LITELLM}}}[5m]))"}, "reqps"),
            Panel("Tokens", {"{{model}}": f"sum by (model) (rate(litellm_total_tokens_metric_total{{{_LITELLM}}}[5m]))"}),
            Panel("Memory", {"": f"max(container_memory_working_set_bytes{{{_LITELLM}}})"}, "bytes"),
            Panel("Log", {"": f"{{{_LITELLM}}}"}, form=Form.LOG),
        ),
    ),
    Dashboard(
        "postgresql",
        "PostgreSQL",
        (
            Panel("Memory", {"": f"max(container_memory_working_set_bytes{{{_POSTGRESQL}}})"}, "bytes"),
            Panel("Processors", {"": f"sum(rate(container_cpu_usage_seconds_total{{{_POSTGRESQL}}}[5m]))"}),
            Panel("Errors a minute", {"": f'sum(count_over_time({{{_POSTGRESQL}}} |= "ERROR" [1m]))'}),
            Panel("Log", {"": f"{{{_POSTGRESQL}}}"}, form=Form.LOG),
        ),
    ),
    Dashboard(
        "caddy",
        "Caddy",
        (
            Panel("Requests", {"{{host}} {{code}}": f"sum by (host, code) (rate({_REQUESTS}[5m]))"}, "reqps"),
            Panel(
                "Slowest twentieth",
                {
                    "{{host}}": "histogram_quantile(0.95, sum by (host, le) "
                    f"(rate(caddy_http_request_duration_seconds_bucket{{{_HOST}}}[5m])))"
                },
                "s",
            ),
            Panel("Requests in flight", {"{{host}}": f"sum by (host) (caddy_http_requests_in_flight{{{_HOST}}})"}),
            Panel("Log", {"": f'{{{_HOST},service="caddy"}}'}, form=Form.LOG),
        ),
    ),
    Dashboard(
        "hosts",
        "Hosts",
        (
            Panel(
                "Processors busy",
                {"{{host}}": f'1 - avg by (host) (rate(node_cpu_seconds_total{{{_HOST},mode="idle"}}[5m]))'},
                "percentunit",
            ),
            Panel("Load", {"{{host}}": f"node_load5{{{_HOST}}}"}),
            Panel(
                "Memory available",
                {"{{host}}": f"node_memory_MemAvailable_bytes{{{_HOST}}} / node_memory_MemTotal_bytes{{{_HOST}}}"},
                "percentunit",
            ),
            Panel(
                "Disk free",
                {
                    "{{host}} {{mountpoint}}": f'node_filesystem_avail_bytes{{{_HOST},fstype!~"tmpfs|overlay"}}'
                    f' / node_filesystem_size_bytes{{{_HOST},fstype!~"tmpfs|overlay"}}'
                },
                "percentunit",
            ),
            Panel("Disk busy", {"{{host}} {{device}}": f"rate(node_disk_io_time_seconds_total{{{_HOST}}}[5m])"}, "percentunit"),
        ),
    ),
    Dashboard(
        "backups",
        "Backups",
        (
            Panel("Age of the last complete one", {"{{host}}": _since("last_success")}, "s", Form.NUMBER),
            Panel("Checked from outside", {"{{host}}": _since("checked")}, "s", Form.NUMBER),
            Panel("Items that failed", {"{{host}}": f"max by (host) (vpai_backup_failed_items{{{_HOST}}})"}, form=Form.NUMBER),
            Panel("Size", {"{{host}} {{item}}": f"max by (host, item) (vpai_backup_bytes{{{_HOST}}})"}, "bytes"),
            Panel("Added to the bucket", {"{{host}}": f"max by (host) (vpai_backup_added_bytes{{{_HOST}}})"}, "bytes"),
            Panel("Time that it took", {"{{host}}": f"max by (host) (vpai_backup_seconds{{{_HOST}}})"}, "s"),
            Panel("Free after a run", {"{{host}}": f"min by (host) (vpai_backup_spare_bytes{{{_HOST}}})"}, "bytes"),
        ),
    ),
)


def texts(services: Collection[str], *, backed_up: bool) -> Iterator[tuple[str, str]]:
    """Uid and JSON of each dashboard that is about something that there is."""
    for each in DASHBOARDS:
        if (each.uid in _ABOUT and each.uid not in services) or (each.uid == "backups" and not backed_up):
            continue
        yield each.uid, json.dumps(_dashboard(each).build(), cls=JSONEncoder, indent=1, sort_keys=True)


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
