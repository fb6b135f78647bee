"""Files that Grafana reads at its start: rules, contact points, dashboards."""

import json
from collections.abc import Iterable, Sequence

from model.secret import Secret, json_text
from model.service import File, Service
from services import telegram
from services.grafana.sources import METRICS
from services.monitoring.alerts import Alert, known_uids

# Grafana reads the subdirectories that it knows; the password is beside them.
DIRECTORY = "/etc/grafana/provisioning"
_RECEIVER = "telegram"


SECRETS: tuple[Secret, ...] = (telegram.MONITORING_TOKEN, telegram.MONITORING_CHAT)
"""Token and chat of the monitoring bot."""


def files(alerts: Sequence[Alert], services: Iterable[Service], *, backed_up: bool) -> tuple[File, ...]:
    """The files below Grafana's provisioning directory, without datasources, for the existing services and backups."""
    # Imported here, so that only this function waits for the builders.
    from services.grafana import dashboards

    boards = dashboards.of(services, backed_up=backed_up)
    current = {alert.uid for alert in alerts}
    retired = [uid for uid in known_uids() if uid not in current]
    return (
        File(path="alerting/rules.yaml", content=rules(alerts, retired)),
        File(path="alerting/contact.yaml", content=_contact()),
        File(path="dashboards/dashboards.yaml", content=_provider()),
        *(File(path=f"dashboards/{board.uid}.json", content=dashboards.text(board)) for board in boards),
    )


def rules(of: Iterable[Alert], retired: Iterable[str]) -> str:
    """The same alerts as for Prometheus. A rule that only vanishes from the file lives on: `retired` names those to delete."""
    groups: dict[str, list[object]] = {}
    for alert in of:
        groups.setdefault(alert.host, []).append(_rule(alert))
    return json.dumps(
        {
            "apiVersion": 1,
            "groups": [
                {"orgId": 1, "name": host, "folder": "Alerts", "interval": "1m", "rules": group} for host, group in groups.items()
            ],
            "deleteRules": [{"orgId": 1, "uid": uid} for uid in retired],
        },
        indent=1,
    )


def _rule(alert: Alert) -> object:
    sign, threshold = ("gt", alert.above) if alert.above is not None else ("lt", alert.below)
    return {
        "uid": alert.uid,
        "title": alert.uid,
        "condition": "beyond",
        "data": [
            {
                "refId": "measure",
                "datasourceUid": METRICS,
                "relativeTimeRange": {"from": 600, "to": 0},
                "model": {"refId": "measure", "expr": alert.measure, "instant": True},
            },
            {
                "refId": "beyond",
                "datasourceUid": "__expr__",
                "model": {
                    "refId": "beyond",
                    "type": "threshold",
                    "expression": "measure",
                    "conditions": [{"evaluator": {"type": sign, "params": [threshold]}}],
                },
            },
        ],
        "noDataState": "OK",
        "execErrState": "Error",
        "for": f"{alert.seconds}s",
        "labels": dict(alert.labels),
        "annotations": {"summary": alert.summary, "runbook": alert.runbook},
    }


def _contact() -> str:
    return json_text(
        {
            "apiVersion": 1,
            "contactPoints": [
                {
                    "orgId": 1,
                    "name": _RECEIVER,
                    "receivers": [
                        {
                            "uid": _RECEIVER,
                            "type": "telegram",
                            "settings": {
                                "bottoken": f"{telegram.MONITORING_TOKEN}",
                                "chatid": f"{telegram.MONITORING_CHAT}",
                                # Plain text: Telegram refuses a message with unclosed markup, and the message is lost.
                                "parse_mode": "None",
                                "message": MESSAGE,
                            },
                        }
                    ],
                }
            ],
            "policies": [
                {
                    "orgId": 1,
                    "receiver": _RECEIVER,
                    # A service that is down is unhealthy too: both go into one message.
                    "group_by": ["host", "service"],
                    "group_wait": "30s",
                    "group_interval": "5m",
                    "repeat_interval": "4h",
                }
            ],
        },
        indent=1,
    )


MESSAGE = """{{ range .Alerts }}{{ if eq .Status "firing" }}FIRING{{ else }}RESOLVED{{ end }} [{{ .Labels.severity }}] \
{{ .Annotations.summary }}
{{ if eq .Status "firing" }}{{ .Annotations.runbook }}
{{ end }}{{ end }}"""
"""Alertmanager's template language, which Grafana shares."""


def _provider() -> str:
    return json_text(
        {
            "apiVersion": 1,
            "providers": [
                {
                    "name": "catalogue",
                    "type": "file",
                    "folder": "VPAI",
                    "editable": False,
                    "disableDeletion": False,
                    "options": {"path": f"{DIRECTORY}/dashboards"},
                }
            ],
        },
        indent=1,
    )
