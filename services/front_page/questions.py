"""The front page's queries to VictoriaMetrics, in MetricsQL, all of them known before anybody opens the page."""

from collections.abc import Iterable

from services.monitoring.alerts import Alert

SERVICES, ALERTS = "services", "alerts"
"""The names of the two questions."""


def services_question(reporters: Iterable[str]) -> str:
    """The state of every service and host, as series whose label `what` says which value it is.

    `running` and `healthy` are 0 or 1. `deployed` is when a service's container was made and `backup` when a host's last complete
    backup ended (Unix seconds). `reports` is 1 where one of the `reporters`, which report about all services, answers.
    """
    by_service = "max by (host, service)"
    asked = {
        "running": f"{by_service} (vpai_service_running)",
        "healthy": f"{by_service} (vpai_service_healthy)",
        # cAdvisor's name for the time of creation: a restart does not change it (its container/docker/handler.go: `Created`).
        "deployed": f'{by_service} (container_start_time_seconds{{service!=""}})',
        "backup": "max by (host) (vpai_backup_last_success_timestamp_seconds)",
        "reports": f'max by (host) (up{{service=~"{"|".join(sorted(set(reporters)))}"}})',
    }
    return _union(f'label_set({expression}, "what", "{what}")' for what, expression in asked.items())


def alerts_question(of: Iterable[Alert]) -> str:
    """One series for each alert whose measure is beyond its limit now; the label `alert` is the alert's name.

    Grafana sends an alert only when this has lasted for the alert's time: the front page shows it at once.
    """
    return _union(f'label_set(max({alert.expression}), "alert", "{alert.uid}")' for alert in of)


def _union(expressions: Iterable[str]) -> str:
    return "union(\n" + ",\n".join(expressions) + "\n)\n"
