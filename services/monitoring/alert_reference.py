"""Writes the reference page of all alerts, for `make docs`."""

from collections.abc import Iterable, Iterator

from services.monitoring.alerts import Alert

_HEAD = """# Alerts

Written by `make docs` from services/monitoring/alerts.py. Each is rendered for Grafana, which sends it to the monitoring bot,
and for Prometheus. Without data an alert stays quiet: `silent` tells that a whole host has gone.

| Alert | Fires when | For | Severity | First |
| --- | --- | --- | --- | --- |
"""


def page(alerts: Iterable[Alert]) -> str:
    """The whole page in Markdown."""
    return _HEAD + "".join(f"{line}\n" for line in _rows(alerts))


def _rows(alerts: Iterable[Alert]) -> Iterator[str]:
    for alert in sorted(alerts, key=lambda alert: alert.uid):
        duration = f"{alert.seconds // 60} min"
        runbook = alert.runbook.replace("|", "\\|")
        yield f"| `{alert.uid}` | {alert.summary} | {duration} | {alert.severity} | {runbook} |"
