"""Grafana 12.3: dashboards over VictoriaMetrics, Loki and n8n's database."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

from model.backup import Files
from model.credential import Basic, Credential, Request
from model.overview import Overview
from model.route import Access, Route
from model.secret import Generated, Secret, json_text
from model.service import Configuration, File, Healthcheck, Limits, Logs, Metrics, Replacement, Service, Task, Volume
from model.waiver import Waiver
from services import loki, n8n, victoriametrics
from services.context import Context
from services.grafana import provisioning
from services.grafana.provisioning import DIRECTORY
from services.grafana.sources import LINES, METRICS
from services.monitoring.alerts import alerts
from services.networks import BACKEND, FRONTEND, MONITORING

ADMIN = "admin"
ADMIN_PASSWORD = Secret(name="grafana_admin_password", source=Generated())
PORT = 3000
SITE = "grafana"


def services(of: Context) -> Iterator[Service]:
    """The module's only service."""
    yield service(of)


def service(of: Context) -> Service:
    """Grafana behind the site of its name."""
    return Service(
        name="grafana",
        image="docker.io/grafana/grafana:12.3.2",
        # Frontend is also Grafana's egress to Telegram.
        networks=(FRONTEND.name, BACKEND.name, MONITORING.name),
        # Grafana asks for 512 at least (its documentation, Installation, Hardware recommendations). The task below runs a second
        # Grafana program in the same control group.
        limits=Limits(memory_mib=768, cpus=0.5).scaled(of.scale, least_mib=512),
        replacement=Replacement.STOP_FIRST,
        metrics=Metrics(port=PORT),
        logs=Logs.LOGFMT,
        environment={
            "GF_SECURITY_ADMIN_USER": ADMIN,
            # For the first start; afterwards the task below sets the password.
            "GF_SECURITY_ADMIN_PASSWORD__FILE": f"{DIRECTORY}/admin-password",
            "GF_USERS_ALLOW_SIGN_UP": "false",
            "GF_SERVER_ROOT_URL": f"https://{of.names.host(SITE)}/",
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
            "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
            # Otherwise Grafana downloads four apps at each fresh start, in their newest versions. In Grafana 13 the data sources
            # themselves are on that list (pkg/setting/setting_plugins.go): they have to be in the image before that bump.
            "GF_PLUGINS_PREINSTALL_DISABLED": "true",
        },
        configuration=Configuration(
            directory=DIRECTORY,
            owner="472:0",
            files=(
                File(path="datasources/datasources.yaml", content=_datasources(of)),
                File(path="admin-password", content=f"{ADMIN_PASSWORD}"),
            ),
        ),
        secrets=(ADMIN_PASSWORD,),
        completed_last=_completed,
        credentials=(
            Credential(
                secret=ADMIN_PASSWORD,
                holder="the administrator",
                proof=Request(port=PORT, path="/api/org", place=Basic(user=ADMIN)),
            ),
        ),
        volumes=(
            Volume(
                path="/var/lib/grafana",
                directory="grafana",
                owner="472:0",
                mode=0o755,
                backup=Files(sqlite=("grafana.db",)),
            ),
        ),
        tasks=(
            # An existing database keeps the password that it was created with.
            Task(
                name="grafana-admin-password",
                service="grafana",
                command=(
                    *("grafana", "cli", "--homepath", "/usr/share/grafana"),
                    *("admin", "reset-admin-password", "--password-from-stdin"),
                ),
                stdin=f"{ADMIN_PASSWORD}\n",
            ),
        ),
        routes=(Route(subdomain=SITE, port=PORT, access=Access.VPN, upgrades=True),),
        needs=(METRICS, LINES, *(("postgresql",) if of.runs("n8n") else ())),
        brings=("alloy",),
        healthcheck=Healthcheck(
            command=("wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{PORT}/api/health"),
            interval=30,
            timeout=5,
            retries=3,
            start_period=60,
        ),
        user="472:0",
        read_only_root=False,
        waivers=(
            Waiver(
                rule="containers-read-only-root",
                reason="run.sh and plugins write below /usr/share/grafana",
                until=date(2027, 8, 16),
            ),
        ),
    )


def _completed(service: Service, of: Overview) -> Service:
    """`service` with the rules and the dashboards of all services."""
    placed_services = (placed_service for placement in of.placements for placed_service in placement.services)
    kept = any(placement.backup for placement in of.placements)
    completed = service.with_files(*provisioning.files(alerts(of.placements), placed_services, backed_up=kept))
    return replace(completed, secrets=(*service.secrets, *provisioning.SECRETS))


def _datasources(of: Context) -> str:
    """The data sources in JSON, which is YAML too. Their uids are fixed, because dashboards refer to them."""
    return json_text(
        {
            "apiVersion": 1,
            "prune": True,
            "datasources": [
                {
                    "name": "VictoriaMetrics",
                    "uid": METRICS,
                    "type": "prometheus",
                    "access": "proxy",
                    "url": victoriametrics.ENDPOINT.beside,
                    "isDefault": True,
                    "editable": False,
                    "jsonData": {"httpMethod": "POST", "timeInterval": "30s"},
                },
                {
                    "name": "Loki",
                    "uid": LINES,
                    "type": "loki",
                    "access": "proxy",
                    "url": loki.ENDPOINT.beside,
                    "editable": False,
                    "jsonData": {"maxLines": 1000},
                },
                *([_of_n8n()] if of.runs("n8n") else []),
            ],
        },
        indent=2,
    )


def _of_n8n() -> dict[str, object]:
    return {
        "name": "PostgreSQL-n8n",
        "uid": "postgresql-n8n",
        "type": "postgres",
        "access": "proxy",
        "url": "postgresql:5432",
        # At the top level, not in jsonData.
        "user": n8n.DATABASE.user,
        "editable": False,
        "jsonData": {
            "database": n8n.DATABASE.name,
            "sslmode": "disable",
            "postgresVersion": 1800,
            "maxOpenConns": 5,
            "maxIdleConns": 2,
        },
        "secureJsonData": {"password": str(n8n.DATABASE.password)},
    }
