"""Metrics, memory and logs arrive from every host, and a stopped service sends an alert.

All queries go through Grafana's proxy for datasources, like a user's. Grafana itself is a stand-in, so vmalert evaluates its
rules and Alertmanager sends the alerts; both are real.
"""

import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from components.docker.docker_host import LABEL_SERVICE
from lab import Lab
from lab.engine import docker
from lab.layout import LABEL
from model.dashboard import Form
from model.secret import resolve
from model.service import Metrics, NotCollected
from services import monitoring
from services.grafana import dashboards
from services.grafana.provisioning import MESSAGE
from services.monitoring.alerts import Alert, prometheus_rules
from tests.lab.deployment import Deployment
from tests.support.fleets import inputs
from tests.support.selectors import Selector, selectors
from tests.support.waiting import until

PLACEMENTS = inputs("prod").fleet.placements
EVERY = [(placement.host.name, service) for placement in PLACEMENTS for service in placement.services]
MEASURED = {(host, service.name) for host, service in EVERY if isinstance(service.metrics, Metrics)}
BOARDS = dashboards.of((service for _, service in EVERY), backed_up=True)
SCRAPED = 180
"""Seconds until a service that is healthy again is scraped again, on a busy machine."""
TELEGRAM = "https://api.telegram.org/__lab/messages"


@dataclass(frozen=True)
class Grafana:
    """Grafana's API, called from the operator over the mesh."""

    lab: Lab
    password: str

    def ask(self, path: str, **query: str) -> Any:
        """The answer as JSON; raises with its text when the status is no success."""
        url = f"https://tala.vpai.test{path}" + (f"?{urlencode(query)}" if query else "")
        return json.loads(curl(self.lab, url, f'user = "admin:{self.password}"\nfail-with-body'))

    def metric(self, expression: str) -> dict[tuple[str, str], float]:
        """The value of each series by host and service."""
        shown = self.ask(f"{_PROXY}/victoriametrics/api/v1/query", query=expression, latency_offset="1ms")
        return {
            (series["metric"].get("host", ""), series["metric"].get("service", "")): float(series["value"][1])
            for series in shown["data"]["result"]
        }

    def series(self, names: set[str]) -> list[Mapping[str, str]]:
        """Labels of every series of these names with a value in the last ten minutes."""
        query = f'last_over_time({{__name__=~"{"|".join(sorted(names))}"}}[10m])'
        shown = self.ask(f"{_PROXY}/victoriametrics/api/v1/query", query=query, latency_offset="1ms")
        return [series["metric"] for series in shown["data"]["result"]]

    def streams(self, selector: str) -> list[Mapping[str, str]]:
        """Labels of the log streams that `selector` matches."""
        shown = self.ask(f"{_PROXY}/loki/loki/api/v1/query_range", query=selector, limit="500")
        return [stream["stream"] for stream in shown["data"]["result"]]

    def lines(self, host: str, service: str) -> list[str]:
        """The last stored log lines of a service."""
        query = f'{{host="{host}",service="{service}"}}'
        shown = self.ask(f"{_PROXY}/loki/loki/api/v1/query_range", query=query, limit="500")
        return [line for stream in shown["data"]["result"] for _, line in stream["values"]]


_PROXY = "/api/datasources/proxy/uid"


@pytest.fixture
def grafana(deployed: Deployment) -> Grafana:
    return Grafana(deployed.lab, deployed.secrets["grafana_admin_password"])


def test_every_service_with_metrics_is_scraped_and_its_numbers_arrive_from_every_host(grafana: Grafana) -> None:
    def up() -> set[tuple[str, str]]:
        return {where for where, value in grafana.metric('last_over_time(up{service!=""}[2m]) == 1').items() if value == 1}

    until(
        lambda: up() == MEASURED,
        SCRAPED,
        every=1.0,
        describe=lambda: f"without metrics: {MEASURED - up()}, unknown: {up() - MEASURED}",
    )
    assert {host for host, _ in MEASURED} == {"sese", "seko", "waza"}
    assert {host for host, _ in grafana.metric("node_memory_MemAvailable_bytes")} == {"sese", "seko", "waza"}


UNSEEN: Mapping[str, str] = {
    r"grafana_alerting_alerts\{.*": "the lab's Grafana is a stand-in, which evaluates no rule",
    r'caddy_http_request_duration_seconds_count\{.*code=~"5\.\."\}': "none has failed; tests/prove/test_alerts.py lets some",
    r'node_filesystem_(avail|size)_bytes\{host="waza",mountpoint="/"\}': "node_exporter leaves out overlay, the hosts' root here",
}
"""Selectors that match nothing in the lab, with the reason."""


def test_every_selector_of_an_alert_or_a_panel_matches_a_series(deployed: Deployment, grafana: Grafana) -> None:
    """At commit 42be7a5 no selector for Caddy matched: its alerts could not fire and its panels were empty."""
    asked = {
        *(selector for alert in monitoring.alerts(PLACEMENTS) for selector in selectors(alert.measure)),
        *(
            selector
            for dashboard in BOARDS
            for panel in dashboard.panels
            for query in panel.queries.values()
            if panel.form is not Form.LOG and "count_over_time" not in query
            for selector in selectors(query)
        ),
    }
    wanted = {selector for selector in asked if not any(re.fullmatch(pattern, str(selector)) for pattern in UNSEEN)}
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"a series of mine {time.time_ns()}"}]}
    headers = (f"Authorization: Bearer {deployed.secrets['litellm_master_key']}", "Content-Type: application/json")
    options = [*(f'header = "{header}"' for header in headers), f"data = {json.dumps(json.dumps(body))}"]
    # Any answer counts, also one for a spent budget.
    curl(deployed.lab, "https://llm.vpai.test/v1/chat/completions", "\n".join(options))

    def unmatched() -> set[Selector]:
        series = grafana.series({selector.name for selector in wanted})
        return {selector for selector in wanted if not any(selector.means(one) for one in series)}

    until(lambda: not unmatched(), SCRAPED, every=5.0, describe=lambda: f"nothing matches {sorted(map(str, unmatched()))}")


def test_every_log_panel_matches_a_line(grafana: Grafana) -> None:
    asked = [query for dashboard in BOARDS for panel in dashboard.panels for query in panel.queries.values()]
    for query in (query for query in asked if query.startswith("{") or "count_over_time" in query):
        [stream] = re.findall(r"\{[^}]*\}", re.sub(r"\$\w+", ".*", query))
        assert grafana.streams(stream), query


def test_the_memory_of_every_container_is_seen_and_its_health_too(grafana: Grafana) -> None:
    everything = {(host, service.name) for host, service in EVERY}

    def unseen() -> set[tuple[str, str]]:
        used = grafana.metric('container_memory_working_set_bytes{service!=""}')
        healthy = grafana.metric("vpai_service_healthy == 1")
        return everything - {where for where, value in used.items() if value > 0} | everything - healthy.keys()

    until(lambda: not unseen(), SCRAPED, every=1.0, describe=lambda: f"unseen: {unseen()}")


def test_the_last_log_line_of_every_container_is_found(deployed: Deployment, grafana: Grafana) -> None:
    found = set()
    for host, service in EVERY:
        if isinstance(service.logs, NotCollected):
            continue
        if last := last_line(deployed.lab, host, service.name):
            until(
                lambda: last in grafana.lines(host, service.name),  # noqa: B023
                30,
                every=1.0,
                describe=lambda: f"{host}/{service.name}: {last!r}",  # noqa: B023
            )
            found.add(host)
    assert found == {"sese", "seko", "waza"}


def test_grafana_shows_what_it_was_provisioned_with_and_its_datasources_work(grafana: Grafana) -> None:
    sources = {source["uid"]: source for source in grafana.ask("/api/datasources")}
    assert sources.keys() == {"victoriametrics", "loki", "postgresql-n8n"}
    assert all(source["readOnly"] for source in sources.values())
    for uid in sources:
        assert grafana.ask(f"/api/datasources/uid/{uid}/health")["status"] == "OK"
    shown = {dashboard["uid"] for dashboard in grafana.ask("/api/search", type="dash-db")}
    assert shown == {board.uid for board in BOARDS}
    for uid in shown:
        assert grafana.ask(f"/api/dashboards/uid/{uid}")["dashboard"]["panels"]
    rules = {rule["uid"] for rule in grafana.ask("/api/v1/provisioning/alert-rules")}
    assert rules == {alert.uid for alert in monitoring.alerts(PLACEMENTS)}
    assert grafana.ask("/api/v1/provisioning/contact-points") == [{"name": "telegram", "type": "telegram"}]


def test_a_rotated_password_counts_where_the_database_has_the_old_one(stack: Deployment, grafana: Grafana) -> None:
    stack.configure("rotations.grafana_admin_password", "1")
    assert "sese-grafana-admin-password" in stack.changes()
    stack.up()
    new = Grafana(stack.lab, stack.secrets["grafana_admin_password"])
    assert new.password != grafana.password
    assert new.ask("/api/org")
    with pytest.raises(subprocess.CalledProcessError, match="22"):
        grafana.ask("/api/org")


def test_uptime_kuma_asks_the_sites_of_the_other_hosts_and_hears_of_jobs(deployed: Deployment) -> None:
    def status() -> Mapping[str, str]:
        shown = json.loads(curl(deployed.lab, "https://misu.vpai.test/__lab/status"))["status"]
        return {name: monitor["status"] for name, monitor in shown.items()}

    sites = {route.subdomain or "vpai.test" for host, service in EVERY if host != "seko" for route in service.routes}
    until(
        lambda: {name: status().get(name) for name in sites} == dict.fromkeys(sites, "UP"),
        150,
        every=1.0,
        describe=lambda: str(status()),
    )
    push = "https://misu.vpai.test/api/push"
    assert json.loads(curl(deployed.lab, f"{push}/{deployed.secrets['uptime_kuma_backup_sese_token']}?status=up&msg=done")) == {
        "ok": True
    }
    assert status()["backup-sese"] == "UP"
    assert json.loads(curl(deployed.lab, f"{push}/nobody"))["ok"] is False
    assert seeded(deployed) == "", "a second time there is nothing to do"


# The expected texts are the contract's (lab/images/rule-engine/contract.json); here the real programs print them.
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("vmalert", "-dryRun", "-rule=/r/rules.yml"), 'bad prometheus expr: "up ="'),
        (("vmalert", "-wish"), "flag provided but not defined: -wish"),
        (("prometheus-alertmanager", "--wish"), "unknown long flag '--wish'"),
        (
            ("prometheus-alertmanager", "--config.file=/r/wrong.yml", "--storage.path=/tmp/a", "--cluster.listen-address="),
            "failed to parse templates",
        ),
    ],
)
def test_the_rule_engine_refuses_what_its_programs_do(
    deployed: Deployment, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "a", "rules": [{"alert": "A", "expr": "up ="}]}]}))
    wrong = {"route": {"receiver": "a"}, "receivers": [{"name": "a"}], "templates": ["/r/*.tmpl"]}
    (tmp_path / "wrong.yml").write_text(json.dumps(wrong))
    (tmp_path / "wrong.tmpl").write_text('{{ define "a" }}{{ range .Alerts }}')
    command = (
        "run",
        "--rm",
        f"--volume={tmp_path}:/r:ro",
        "--entrypoint",
        words[0],
        deployed.lab.image("rule-engine"),
        *words[1:],
    )
    done = docker(*command, check=False)
    assert done.returncode and said in (done.stdout + done.stderr).replace('\\"', '"')


def test_a_stopped_service_is_told_of_and_so_is_its_return(deployed: Deployment, grafana: Grafana, tmp_path: Path) -> None:
    stopped = "diun"
    with rule_engine(deployed, grafana, rule(f"sese-{stopped}-down"), tmp_path):
        curl(deployed.lab, TELEGRAM, 'request = "DELETE"')
        deployed.on_host("docker", "stop", deployed.container(stopped))
        try:
            until(lambda: messages(deployed) != [], SCRAPED, every=1.0, describe=lambda: "nobody was told")
            first = messages(deployed)[0]
            assert first["text"].startswith(f"FIRING [critical] {stopped} on sese does not run")
            assert f"make logs SERVICE={stopped}" in first["text"]
            assert first["chat"] == deployed.secrets["telegram_monitoring_chat_id"]
            assert deployed.secrets["telegram_monitoring_bot_token"].startswith(f"{first['bot']}:")
        finally:
            deployed.on_host("docker", "start", deployed.container(stopped))
        back = f"RESOLVED [critical] {stopped} on sese"
        until(
            lambda: messages(deployed)[-1]["text"].startswith(back),
            SCRAPED,
            every=1.0,
            describe=lambda: "nobody was told of its return",
        )


def rule(uid: str) -> list[Alert]:
    """The alert with this uid."""
    return [alert for alert in monitoring.alerts(PLACEMENTS) if alert.uid == uid]


@contextmanager
def rule_engine(stack: Deployment, grafana: Grafana, alerts: Sequence[Alert], directory: Path) -> Iterator[None]:
    """Run vmalert on the operator, over Grafana's datasource with these rules, which fire at once, and Alertmanager with
    Grafana's contact point."""
    rules = json.loads(prometheus_rules(replace(alert, seconds=2) for alert in alerts))
    for group in rules["groups"]:
        group["interval"] = "5s" if len(alerts) == 1 else "15s"
        # An option of VictoriaMetrics, which otherwise hides data of the last half minute.
        group["params"] = {"latency_offset": ["1ms"]}
    receiver = {
        "bot_token": stack.secrets["telegram_monitoring_bot_token"],
        "chat_id": int(stack.secrets["telegram_monitoring_chat_id"]),
        "parse_mode": "",
        "message": MESSAGE,
        "send_resolved": True,
    }
    files = {
        "rules.yml": json.dumps(rules),
        "alertmanager.yml": json.dumps(
            {
                "route": {"receiver": "telegram", "group_by": ["host", "service"], "group_wait": "1s", "group_interval": "2s"},
                "receivers": [{"name": "telegram", "telegram_configs": [receiver]}],
            }
        ),
        "user": "admin",
        "password": grafana.password,
        "resolv.conf": stack.lab.operator.run(["cat", "/etc/resolv.conf"]).stdout,
    }
    for name, text in files.items():
        (directory / name).write_text(text)
    image = stack.lab.image("rule-engine")
    words = ["--label", f"{LABEL}.test=monitoring", "--network", f"container:{stack.lab.operator.container}"]
    words += [f"--volume={directory}:/rules:ro", f"--volume={directory / 'resolv.conf'}:/etc/resolv.conf:ro"]
    id = docker("run", "--detach", *words, image, f"https://tala.vpai.test{_PROXY}/victoriametrics").stdout.strip()
    try:
        time.sleep(5)
        running = docker("inspect", "--format", "{{.State.Running}}", id).stdout.strip()
        assert running == "true", docker("logs", id).stderr
        yield
    finally:
        docker("rm", "--force", id)


def messages(stack: Deployment) -> list[Any]:
    """The rule engine's messages to the monitoring bot."""
    shown = json.loads(curl(stack.lab, TELEGRAM))
    return [message for message in shown if re.match("FIRING|RESOLVED", message["text"])]


def seeded(stack: Deployment) -> str:
    """The output of the seeding task, run once more."""
    [kuma] = [service for _, service in EVERY if service.name == "uptime-kuma"]
    [task] = kuma.tasks
    text = resolve(task.stdin, stack.secrets).replace(inputs("prod").fleet.domain, "vpai.test")
    container = f"label={LABEL_SERVICE}={kuma.name}"
    id = stack.lab.seko.run(["docker", "ps", "-q", "--filter", container]).stdout.strip()
    return stack.lab.seko.run(["docker", "exec", "-i", id, *task.command], input=text).stdout


def last_line(lab: Lab, host: str, service: str) -> str:
    [machine] = [machine for machine in lab.hosts if machine.name == host]
    id = machine.run(["docker", "ps", "-q", "--filter", f"label={LABEL_SERVICE}={service}"]).stdout.split()[0]
    return machine.run(["sh", "-c", f"docker logs --tail 1 {id} 2>&1"]).stdout.strip("\n")


def curl(lab: Lab, url: str, options: str = "") -> str:
    """The answer of `url` to the operator; `options` is a curl config file, which `ps` does not show."""
    config = f'silent\nshow-error\nmax-time = 20\ncacert = ".lab/ca/root.crt"\nurl = "{url}"\n{options}\n'
    return lab.operator.run(["curl", "--config", "-"], input=config, directory=str(lab.layout.checkout)).stdout
