"""Monitoring follows from the catalogue: nothing goes unwatched, and every rule fires when it must and only then."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import yaml

from model.dashboard import Dashboard
from model.endpoint import Endpoint
from model.placement import Placement
from model.route import Access, Route
from model.service import About, Metrics, NotCollected, Service
from operations.reference import catalogue as reference
from services import backups, caddy, monitoring, node_exporter
from services.grafana import dashboards
from services.monitoring.alert_reference import page
from services.monitoring.alerts import Alert, known_uids, prometheus_rules
from tests.support.fleets import NAMES, PROJECT, stack_services
from tests.support.whole import DOMAIN, placements

WHOLE = placements()
WATCHED = monitoring.with_monitoring(WHOLE, NAMES, "")
ALERTS = monitoring.alerts(WHOLE)
EVERY = [(placement, service) for placement in WHOLE for service in placement.services]
IDS = [f"{placement.host.name}-{service.name}" for placement, service in EVERY]


def file_of(host: str, service: str, path: str) -> str:
    placement = next(placement for placement in WATCHED if placement.host.name == host)
    configuration = next(candidate.configuration for candidate in placement.services if candidate.name == service)
    assert configuration
    return next(file.content for file in configuration.files if file.path == path)


def alert(uid: str) -> Alert:
    return next(alert for alert in ALERTS if alert.uid == uid)


@pytest.mark.parametrize(("placement", "service"), EVERY, ids=IDS)
def test_a_service_is_told_of_when_down_unhealthy_or_near_its_limit(placement: Placement, service: Service) -> None:
    names = {alert.name for alert in ALERTS if alert.host == placement.host.name and alert.service == service.name}
    assert names >= {"down", "unhealthy", "memory"}
    if isinstance(service.metrics, Metrics) and not service.tells_of(About.SERVICES):
        assert "metrics" in names


def test_a_service_that_is_added_is_watched_without_a_line_here() -> None:
    added = replace(node_exporter.service(), name="added")
    more = replace(WHOLE[0], services=(*WHOLE[0].services, added))
    new = {alert.uid for alert in monitoring.alerts((more,))} - {alert.uid for alert in ALERTS}
    assert new == {"sese-added-down", "sese-added-unhealthy", "sese-added-memory", "sese-added-metrics"}


@pytest.mark.parametrize("placement", WHOLE, ids=lambda placement: placement.host.name)
def test_a_host_is_told_of(placement: Placement) -> None:
    names = {alert.name for alert in ALERTS if alert.host == placement.host.name and not alert.service}
    own = {"silent", "disk", "memory", "processor", "containers-unseen"}
    assert {name for name in names if not name.startswith("backup-")} == own
    assert ("backup-late" in names) == bool(placement.backup)


def test_every_alert_has_a_name_of_its_own_that_grafana_takes() -> None:
    uids = [alert.uid for alert in ALERTS]
    assert len(set(uids)) == len(uids)
    for uid in uids:
        assert re.fullmatch(r"[a-z0-9-]{1,40}", uid), uid


@pytest.mark.parametrize("each", ALERTS, ids=lambda each: each.uid)
def test_an_alert_says_what_it_means_and_what_to_do(each: Alert) -> None:
    assert (each.above is None) != (each.below is None)
    assert len(each.summary) > 20
    assert len(each.runbook) > 10
    # Both engines would expand templates, and Grafana environment variables as well.
    assert not re.search(r"\$|\{\{", each.expression + each.summary + each.runbook)


def test_grafana_forgets_no_rule_that_it_ever_had() -> None:
    """It keeps what merely vanishes from the files, so that a uid stays on the list for ever."""
    unknown = {alert.uid for alert in ALERTS} - set(known_uids())
    assert not unknown, f"run `make docs`: services/monitoring/uids.txt lacks {sorted(unknown)}"
    fewer = monitoring.with_monitoring(
        [replace(WHOLE[0], services=tuple(s for s in WHOLE[0].services if s.name != "n8n")), *WHOLE[1:]], NAMES, ""
    )
    configuration = next(service.configuration for service in fewer[0].services if service.name == "grafana")
    assert configuration
    rules = json.loads(next(file.content for file in configuration.files if file.path == "alerting/rules.yaml"))
    assert {"orgId": 1, "uid": "sese-n8n-down"} in rules["deleteRules"]


def test_grafana_gets_the_same_rules_as_prometheus() -> None:
    groups = json.loads(file_of("sese", "grafana", "alerting/rules.yaml"))["groups"]
    rules = {rule["uid"]: rule for group in groups for rule in group["rules"]}
    prometheus = {rule["alert"]: rule for group in json.loads(prometheus_rules(ALERTS))["groups"] for rule in group["rules"]}
    assert rules.keys() == prometheus.keys()
    for uid, rule in rules.items():
        measure, beyond = rule["data"]
        sign = {"gt": ">", "lt": "<"}[beyond["model"]["conditions"][0]["evaluator"]["type"]]
        threshold = beyond["model"]["conditions"][0]["evaluator"]["params"][0]
        assert prometheus[uid]["expr"] == f"({measure['model']['expr']}) {sign} {threshold:.12g}"
        assert prometheus[uid]["for"] == rule["for"]
        assert rule["noDataState"] == "OK"


def test_alloy_scrapes_whatever_shows_metrics_and_nothing_else() -> None:
    for placement in WATCHED:
        scraped = set(re.findall(r'job_name        = "([^"]+)"', file_of(placement.host.name, "alloy", "config.alloy"))) - {
            "node"
        }
        assert scraped == {service.name for service in placement.services if isinstance(service.metrics, Metrics)}


def test_alloy_shows_a_bearer_where_one_is_asked_for_and_declares_it() -> None:
    text = file_of("sese", "alloy", "config.alloy")
    placement = WATCHED[0]
    alloy = next(service for service in placement.services if service.name == "alloy")
    wanted = {service.metrics.bearer for service in placement.services if isinstance(service.metrics, Metrics)} - {None}
    assert wanted
    for bearer in wanted:
        assert bearer in alloy.secrets
        assert f'bearer_token_file = "/etc/alloy/{bearer.name}.token"' in text
        assert file_of("sese", "alloy", f"{bearer.name}.token") == str(bearer)


def test_the_other_hosts_push_through_the_door_of_the_stores() -> None:
    text = file_of("waza", "alloy", "config.alloy")
    assert f'url = "https://metrics.{DOMAIN}/api/v1/write"' in text
    assert f'url = "https://logs.{DOMAIN}/loki/api/v1/push"' in text
    assert "ca_pem" not in text
    own = monitoring.with_monitoring(WHOLE, NAMES, "-----BEGIN CERTIFICATE-----\n")
    alloy = next(service.configuration for service in own[2].services if service.name == "alloy")
    assert alloy
    assert alloy.files[0].content.count(r'ca_pem = "-----BEGIN CERTIFICATE-----\n"') == 2


def test_a_host_is_measured_once() -> None:
    assert "prometheus.exporter.unix" in file_of("seko", "alloy", "config.alloy")
    assert "prometheus.exporter.unix" not in file_of("waza", "alloy", "config.alloy"), "node-exporter stands there"


def test_of_whom_metrics_tell_is_said_by_the_service_whatever_its_name() -> None:
    renamed = tuple(
        replace(service, name="other") if service.tells_of(About.SERVICES) else service for service in WHOLE[0].services
    )
    [down] = (alert for alert in monitoring.alerts((replace(WHOLE[0], services=renamed),)) if alert.uid == "sese-redis-down")
    assert 'service="other"' in down.measure
    [reported] = monitoring.with_monitoring((replace(WHOLE[0], services=renamed),), NAMES, "")
    alloy = next(service.configuration for service in reported.services if service.name == "alloy")
    assert alloy
    [scrape] = re.findall(r"[^{}]*honor_labels", alloy.files[0].content)
    assert 'job_name        = "other"' in scrape


def test_logs_of_a_silent_service_are_dropped() -> None:
    quiet = tuple(
        replace(service, logs=NotCollected(reason="tells secrets")) if service.name in ("redis", "diun") else service
        for service in WHOLE[0].services
    )
    reported = monitoring.with_monitoring((replace(WHOLE[0], services=quiet),), NAMES, "")
    alloy = next(service.configuration for service in reported[0].services if service.name == "alloy")
    assert alloy
    dropped = re.search(r'regex         = "([^"]+)"\n\t\taction        = "drop"', alloy.files[0].content)
    assert dropped and set(dropped[1].split("|")) == {"redis", "diun"}


def test_dashboards_ask_datasources_that_exist() -> None:
    sources = {source["uid"] for source in json.loads(file_of("sese", "grafana", "datasources/datasources.yaml"))["datasources"]}
    for uid in ("fleet", "containers", "litellm", "postgresql", "caddy", "hosts"):
        dashboard = json.loads(file_of("sese", "grafana", f"dashboards/{uid}.json"))
        assert dashboard["uid"] == uid
        for panel in dashboard["panels"]:
            assert panel["datasource"]["uid"] in sources
            assert panel["targets"], panel["title"]


def test_the_messages_go_to_the_monitoring_bot() -> None:
    contact = json.loads(file_of("sese", "grafana", "alerting/contact.yaml"))
    settings = contact["contactPoints"][0]["receivers"][0]["settings"]
    assert settings["bottoken"] == "${secret:telegram_monitoring_bot_token|json}"
    assert settings["chatid"] == "${secret:telegram_monitoring_chat_id|json}"
    assert contact["policies"][0]["receiver"] == contact["contactPoints"][0]["name"]


def test_the_committed_page_is_what_make_docs_writes() -> None:
    assert reference.ALERTS.read_text() == page(monitoring.alerts(reference.example_fleet().placements)), "run `make docs`"


PROMTOOL = Path(sys.executable).with_name("promtool")


def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(prometheus_rules(ALERTS))
    run = subprocess.run([PROMTOOL, "check", "rules", rules], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{len(ALERTS)} rules found" in run.stdout


MIB = 1024 * 1024
FINE = {
    'vpai_service_running{host="sese",service="redis"}': "1+0x60",
    'vpai_service_healthy{host="sese",service="redis"}': "1+0x60",
    'up{host="sese",service="docker-proxy"}': "1+0x60",
    'container_memory_working_set_bytes{host="sese",service="redis"}': f"{100 * MIB}+0x60",
    'litellm_budget_spent_usd{host="sese",service="litellm"}': "4.6+0x60",
    'litellm_budget_limit_usd{host="sese",service="litellm"}': "5+0x60",
}
REDIS = 'host="sese",service="redis"'
CASES: list[tuple[str, Mapping[str, str], set[str]]] = [
    ("all is well", {}, set()),
    (
        "it stopped",
        {f"vpai_service_running{{{REDIS}}}": "0+0x60", f"vpai_service_healthy{{{REDIS}}}": "0+0x60"},
        {"down", "unhealthy"},
    ),
    ("its container is gone", {f"vpai_service_running{{{REDIS}}}": "_x60", f"vpai_service_healthy{{{REDIS}}}": "_x60"}, {"down"}),
    ("it fails its check", {f"vpai_service_healthy{{{REDIS}}}": "0+0x60"}, {"unhealthy"}),
    (
        "it restarts for ever",
        {f"vpai_service_running{{{REDIS}}}": "0 1 0 1+0x57", f"vpai_service_healthy{{{REDIS}}}": "0+0x60"},
        {"unhealthy"},
    ),
    ("a replacement is healthy", {f'vpai_service_healthy{{{REDIS},x="old"}}': "0+0x60"}, set()),
    ("it grows", {f"container_memory_working_set_bytes{{{REDIS}}}": f"{700 * MIB}+0x60"}, {"memory"}),
    ("the day's budget is spent", {'litellm_budget_spent_usd{host="sese",service="litellm"}': "4.98+0x60"}, {"spend"}),
    ("the host is silent", dict.fromkeys(FINE, "_x60"), {"silent"}),
    ("it came back", {f"vpai_service_running{{{REDIS}}}": "0+0x20 1+0x39"}, set()),
]


@pytest.mark.parametrize(("change", "fires"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_rules_of_a_service_fire_when_they_must(change: Mapping[str, str], fires: set[str], tmp_path: Path) -> None:
    about = ("sese-silent", "sese-redis-down", "sese-redis-unhealthy", "sese-redis-memory", "sese-litellm-spend")
    rules = tmp_path / "rules.yaml"
    rules.write_text(prometheus_rules(map(alert, about)))
    expected = [
        {
            "eval_time": "1h",
            "alertname": uid,
            "exp_alerts": [
                {
                    "exp_labels": dict(alert(uid).labels),
                    "exp_annotations": {"summary": alert(uid).summary, "runbook": alert(uid).runbook},
                }
            ]
            if alert(uid).name in fires
            else [],
        }
        for uid in about
    ]
    series = [{"series": name, "values": values} for name, values in {**FINE, **change}.items()]
    document = {
        "rule_files": [str(rules)],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "alert_rule_test": expected}],
    }
    case = tmp_path / "case.yaml"
    case.write_text(yaml.safe_dump(document))
    run = subprocess.run([PROMTOOL, "test", "rules", case], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("host", "reported"),
    [("sese", {"url": f"https://beats.{DOMAIN}/api/push/"}), ("seko", {"service": "other", "port": 1})],
)
def test_a_backup_tells_whoever_waits_for_it_by_whatever_name(host: str, reported: Mapping[str, object]) -> None:
    placement = next(placement for placement in WHOLE if placement.host.name == host)
    waits = Endpoint(service="other", port=1, network="monitoring", site="beats")
    services = [replace(service, name="other") if service.heartbeats else service for service in placement.services]
    to = backups.of(host, services, placement.networks, "example-org", NAMES, heartbeats=waits)
    assert to and to.heartbeat == reported
    assert to.heartbeat_token and to.heartbeat_token.name == f"other_backup_{host}_token"


def test_every_site_of_the_other_hosts_and_every_heartbeat_is_asked_for_from_the_hub() -> None:
    kuma = next(service for service in WATCHED[1].services if service.name == "uptime-kuma")
    [task] = kuma.tasks
    asked = {monitor["name"]: monitor for monitor in json.loads(task.stdin)["monitors"]}
    others = [service for placement, service in EVERY if placement.host.name != "seko"]
    sites = {route.subdomain or DOMAIN for service in others for route in service.routes}
    assert asked.keys() == sites | {"backup-sese", "backup-seko"}
    assert {link.service for link in kuma.links} == {service.name for service in others if service.routes}
    assert asked["grafana"]["url"] == f"https://grafana.{DOMAIN}/"
    assert "502" not in json.dumps(asked)
    assert "200-299" in asked[DOMAIN]["accepted_statuscodes"], "the front page is one"
    assert asked["metrics"]["accepted_statuscodes"] == ["404"], "it serves nothing but one call"
    assert (asked["backup-sese"]["type"], asked["backup-sese"]["interval"]) == ("push", 93600)
    assert asked["backup-sese"]["pushToken"] == "${secret:uptime_kuma_backup_sese_token|json}"


@pytest.mark.parametrize("placement", WATCHED, ids=lambda placement: placement.host.name)
def test_host_is_ours_on_every_number_whatever_a_program_calls_its_own(placement: Placement) -> None:
    """An external label is set only where a series has none of the name, and Caddy's have one: the site."""
    text = file_of(placement.host.name, "alloy", "config.alloy")
    scraped = re.findall(r"targets         = \[(\{.*\})\]", text)
    assert len(scraped) == sum(isinstance(service.metrics, Metrics) for service in placement.services)
    for target in scraped:
        assert f'"host" = "{placement.host.name}"' in target


def test_a_probe_of_a_service_is_not_taken_for_the_service() -> None:
    """`up` of a probe is Alloy's own and always 1: with Caddy's name on it, Caddy's metrics could not be missing."""
    for host in ("sese", "seko"):
        probes = re.findall(r"\ttarget \{\n(.*?)\n\t\}", file_of(host, "alloy", "config.alloy"), re.DOTALL)
        assert probes
        for probe in probes:
            assert '"site" = ' in probe and '"service"' not in probe
    assert alert("sese-caddy-metrics").measure == 'max(up{host="sese",service="caddy"})'
    assert "service" not in alert("sese-caddy-certificate").measure


def test_what_a_service_draws_of_itself_is_shown_once_under_a_name_of_its_own() -> None:
    drawn = replace(node_exporter.service(), name="added", dashboard=Dashboard("added", "Added", ()))
    services = [*(service for _, service in EVERY), drawn, drawn]
    uids = [board.uid for board in dashboards.of(services, backed_up=True)]
    assert sorted(uids) == sorted({*uids}) and "added" in uids
    assert {service.dashboard.uid: service.name for service in services if service.dashboard} == {
        name: name for name in ("litellm", "postgresql", "caddy", "added")
    }


def test_no_panel_asks_for_what_cadvisor_cannot_know() -> None:
    """It counts kills for memory from /dev/kmsg, which it does not get: 0 for ever."""
    cadvisor = next(service for service in WATCHED[0].services if service.name == "cadvisor")
    [off] = [word for word in cadvisor.command if word.startswith("--disable_metrics=")]
    assert "oom_event" in off.partition("=")[2].split(",")
    boards = dashboards.of((service for _, service in EVERY), backed_up=True)
    for panel in (panel for board in boards for panel in board.panels):
        assert "oom" not in json.dumps(dict(panel.queries)), panel.title


@pytest.mark.parametrize(("scale", "grafana_mib", "alloy_mib"), [(1.0, 768, 320), (0.5, 512, 256)])
def test_what_a_program_needs_is_not_scaled_away(scale: float, grafana_mib: int, alloy_mib: int) -> None:
    services = {service.name: service for service in stack_services(scale=scale)}
    assert services["grafana"].limits.memory_mib >= grafana_mib
    assert services["alloy"].limits.memory_mib >= alloy_mib
    others = {service.name: service for placement in WHOLE[1:] for service in placement.services}
    assert others["alloy"].limits.memory_mib >= 256


def test_grafana_downloads_no_plugin_of_its_own_choosing() -> None:
    grafana = next(service for service in WHOLE[0].services if service.name == "grafana")
    assert grafana.environment["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"


def test_caddys_tag_is_the_version_that_is_built() -> None:
    built = re.search(r"github.com/caddyserver/caddy/v2 v(\S+)", (PROJECT / "toolchain/caddy/go.mod").read_text())
    assert built and caddy.IMAGE.endswith(f":{built[1]}")


FOREIGN = sorted({service.image for _, service in EVERY if "/mobutoo/" not in service.image})


def diuns_images() -> Mapping[str, dict[str, object]]:
    return {entry["name"]: entry for entry in json.loads(file_of("sese", "diun", "images.yml"))}


def test_diun_watches_every_image_of_the_fleet_but_our_own_by_its_tag() -> None:
    """Not Docker's containers: they are of images by digest, which have no tag, and so nothing was ever told."""
    settings = json.loads(file_of("sese", "diun", "diun.yml"))
    assert settings["providers"] == {"file": {"filename": "/etc/diun/images.yml"}}
    assert sorted(diuns_images()) == FOREIGN
    assert all(re.search(r":[^/]+$", image) for image in FOREIGN)


@pytest.mark.parametrize("image", FOREIGN)
def test_diun_counts_the_tag_that_runs_among_those_it_watches(image: str) -> None:
    entry, tag = diuns_images()[image], image.rpartition(":")[2]
    assert entry["watch_repo"] == bool(re.search("[0-9]", tag))
    includes = entry.get("include_tags", [])
    assert isinstance(includes, list)
    assert all(re.search(pattern, tag) for pattern in includes)


@pytest.mark.parametrize(
    ("image", "newer", "not_of_the_kind"),
    [
        (
            "docker.io/library/postgres:18.1-bookworm",
            ("18.6-bookworm", "19.0-trixie"),
            ("18.6-alpine", "18-bookworm", "17.9-bookworm"),
        ),
        ("docker.io/library/redis:8.0-bookworm", ("8.2-bookworm", "8.10-trixie"), ("8.4-alpine", "7.4-bookworm")),
        ("ghcr.io/berriai/litellm:v1.81.3-stable", ("v1.82.0-stable",), ("v1.82.0-nightly", "v1.82.0")),
        ("docker.io/grafana/grafana:12.3.2", ("13.0.0",), ("13.0.0-ubuntu", "12.4", "latest")),
    ],
)
def test_diun_tells_of_a_newer_tag_of_the_same_kind_alone(
    image: str, newer: tuple[str, ...], not_of_the_kind: tuple[str, ...]
) -> None:
    entry = diuns_images()[image]
    [pattern] = cast(list[str], entry["include_tags"])
    assert all(re.search(pattern, tag) for tag in newer)
    assert not any(re.search(pattern, tag) for tag in not_of_the_kind)
    # Sorted as semantic versions, "18.1-bookworm", which is none, comes with the oldest first.
    assert ("max_tags" in entry) == bool(re.search(r"\d+\.\d+\.\d+", image))


def monitors(placements: Sequence[Placement]) -> list[dict[str, object]]:
    watched = monitoring.with_monitoring(placements, NAMES, "")
    kuma = next(service for placement in watched for service in placement.services if service.name == "uptime-kuma")
    found: list[dict[str, object]] = json.loads(kuma.tasks[0].stdin)["monitors"]
    return found


def test_every_site_has_one_monitor_however_many_routes_it_has() -> None:
    names = [monitor["name"] for monitor in monitors(WHOLE)]
    assert len(names) == len(set(names)) and "hook" in names


def test_a_site_at_the_domain_itself_is_asked_at_the_domain() -> None:
    route = Route(subdomain="", port=80, access=Access.VPN)
    home = replace(WHOLE[0], services=(*WHOLE[0].services, replace(node_exporter.service(), name="home", routes=(route,))))
    urls = {monitor["name"]: monitor.get("url") for monitor in monitors((home, *WHOLE[1:]))}
    assert urls[DOMAIN] == f"https://{DOMAIN}/"
    assert "" not in urls and "https://." not in json.dumps(urls)


def test_a_monitor_can_be_changed_after_it_was_made() -> None:
    """Uptime Kuma refuses a change of one whose retry interval is its column's default, 0."""
    for monitor in monitors(WHOLE):
        assert isinstance(monitor["retryInterval"], int) and monitor["retryInterval"] >= 1, monitor["name"]
