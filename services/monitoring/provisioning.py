"""What Grafana reads at its start: rules, whom they tell, dashboards."""

from collections.abc import Collection, Sequence
from importlib import resources

from model.secret import Secret, json_text
from model.service import File
from services import grafana, telegram
from services.monitoring.alerts import Alert, grafana_rules

_RECEIVER = "telegram"


def grafana_secrets() -> tuple[Secret, ...]:
    """The monitoring bot and where it writes."""
    return telegram.MONITORING_TOKEN, telegram.MONITORING_CHAT


def grafana_files(alerts: Sequence[Alert], services: Collection[str], *, backed_up: bool) -> tuple[File, ...]:
    """The files below Grafana's provisioning directory, datasources apart, for what there is: services by name, and backups."""
    # Here, so that only what makes Grafana's files waits for the builders.
    from services.monitoring import dashboards

    current = {alert.uid for alert in alerts}
    retired = [uid for uid in known_uids() if uid not in current]
    return (
        File(path="alerting/rules.yaml", content=grafana_rules(alerts, retired)),
        File(path="alerting/contact.yaml", content=_contact()),
        File(path="dashboards/dashboards.yaml", content=_provider()),
        *(File(path=f"dashboards/{uid}.json", content=text) for uid, text in dashboards.texts(services, backed_up=backed_up)),
    )


def known_uids() -> tuple[str, ...]:
    """Every alert that ever was: Grafana keeps a rule that vanished from the files until it is told to delete it.

    `make docs` adds what is new; nothing leaves the list.
    """
    return tuple(resources.files(__package__).joinpath("uids.txt").read_text().split())


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
                                # Plain: a message with markup that does not close is refused, and lost.
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
                    # A service that is down is unhealthy too: one message.
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
                    "options": {"path": f"{grafana.DIRECTORY}/dashboards"},
                }
            ],
        },
        indent=1,
    )
