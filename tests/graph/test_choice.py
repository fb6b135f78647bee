"""A choice of services brings what they need, takes nothing of the others along, and fits the machine that it is for."""

import json
import re
from collections.abc import Mapping
from functools import cache

import pytest

from model.problem import Refused
from services import catalogue, monitoring
from stacks.inputs import Inputs
from tests.graph.program import build
from tests.support.fleets import inputs

BACKUPS: Mapping[str, str] = {f"s3_backups_box_{half}_key": f"preview0value0of0{half}" for half in ("access", "secret")} | {
    "bucketPrefix": "example-org"
}
CHOICES: Mapping[int, tuple[str, ...]] = {
    4096: ("n8n", "couchdb", "diun"),
    8192: ("n8n", "litellm", "nocodb", "couchdb", "diun", "grafana", "uptime-kuma"),
    12288: tuple(
        name for name in catalogue.names_of_services() if name not in ("zerobyte", "auto-fix", "node-exporter", "hello")
    ),
}
"""For one machine of so many MiB, which is stack and hub and is backed up."""


def chosen(*services: str, memory_mib: int = 16384, **changes: str) -> Inputs:
    hosts = {"box": {"address": "203.0.113.50", "memoryMib": memory_mib}}
    settings = {"subdomains": "{}", "hosts": json.dumps(hosts), "services": json.dumps(services), **BACKUPS, **changes}
    return inputs("alone", like="prod", **settings)


def running(of: Inputs) -> set[str]:
    return {service.name for _, service in of.fleet.services()}


@pytest.mark.parametrize("memory_mib", list(CHOICES))
def test_a_choice_fits_the_machine_that_it_is_for(memory_mib: int) -> None:
    wanted = CHOICES[memory_mib]
    assert set(wanted) <= running(chosen(*wanted, memory_mib=memory_mib))


def test_a_larger_machine_has_more_of_them() -> None:
    small, middle, large = (set(CHOICES[size]) for size in sorted(CHOICES))
    assert small < middle < large


@pytest.mark.parametrize("name", sorted({*catalogue.names_of_services()} - {"auto-fix", "node-exporter", "hello"}))
def test_each_service_may_be_chosen_alone_and_knows_of_no_other(name: str) -> None:
    found = chosen(name)
    running_services = running(found)
    assert name in running_services
    absent = set(catalogue.names_of_services()) - running_services
    for _, service in found.fleet.services():
        texts = " ".join((*service.texts, *service.command))
        called = set(re.findall(r"(?:://|@)([a-z0-9-]+):\d+", texts))
        assert not called & absent, service.name
    opened = {secret.name for secret in found.fleet.secrets() if _openers().get(secret.name, running_services) <= absent}
    assert not opened, "keys to what is not there"


@cache
def _openers() -> Mapping[str, set[str]]:
    """By secret, the services that it opens something of."""
    openers: dict[str, set[str]] = {}
    for _, service in chosen().fleet.services():
        for credential in service.credentials:
            openers.setdefault(credential.secret.name, set()).add(service.name)
    return openers


def test_what_is_left_out_takes_secrets_routes_names_alerts_and_panels_with_it() -> None:
    found = chosen("grafana")
    assert running(found) == {
        *("grafana", "victoriametrics", "loki", "alloy", "docker-proxy", "cadvisor"),
        *("caddy", "headscale"),
    }
    secrets = {secret.name for secret in found.fleet.secrets()}
    assert not [name for name in secrets if name.startswith(("n8n_", "openclaw_", "litellm_", "postgresql_", "qdrant_"))]
    sites = {site.host.removesuffix(found.fleet.domain) for site in found.fleet.sites()}
    assert sites == {"", "grafana.", "metrics.", "logs.", "mesh."}
    alerts = monitoring.alerts(found.fleet.placements)
    assert {alert.service for alert in alerts} <= {"", *running(found)}
    [grafana] = [resource for resource in build(found).resources if resource.name == "box-grafana-configuration"]
    files = set(grafana.inputs["files"])
    assert {"dashboards/litellm.json", "dashboards/postgresql.json"}.isdisjoint(files)
    assert {"dashboards/fleet.json", "dashboards/caddy.json", "dashboards/hosts.json"} <= files
    assert "n8n" not in grafana.inputs["files"]["datasources/datasources.yaml"]["content"]


def test_a_database_and_a_user_stand_for_those_who_keep_something_there() -> None:
    by_name = {service.name: service for _, service in chosen("nocodb", "sure-web").fleet.services()}
    assert [database.user for database in by_name["postgresql"].databases] == ["nocodb", "sure"]
    assert "redis_litellm_password" not in {secret.name for secret in by_name["redis"].secrets}


def test_a_required_key_is_asked_for_where_something_reads_it() -> None:
    with pytest.raises(Refused) as refused:
        chosen("litellm", anthropic_api_key="")
    assert "the secret anthropic_api_key is missing" in str(refused.value)
    assert chosen("couchdb", anthropic_api_key="")


def test_no_hub_watches_what_nobody_collects() -> None:
    hosts = {
        "alpha": {"address": "203.0.113.50", "memoryMib": 8192, "roles": ["stack"]},
        "beta": {"address": "203.0.113.51", "memoryMib": 2048, "roles": ["hub"]},
        "gamma": {"address": "203.0.113.52", "memoryMib": 2048, "roles": ["workstation"]},
    }
    found = chosen("n8n", hosts=json.dumps(hosts), bucketPrefix="")
    services = {placement.host.name: [service.name for service in placement.services] for placement in found.fleet.placements}
    assert services["beta"] == ["headscale", "caddy"] and services["gamma"] == []
    assert set(services["alpha"]) == {"postgresql", "n8n", "webhook-gate", "caddy"}


def test_too_little_memory_is_told_with_what_would_fit() -> None:
    with pytest.raises(Refused) as refused:
        chosen("n8n", "litellm", "openclaw", memory_mib=6144)
    reported = str(refused.value)
    assert "without sandboxes, openclaw (2336 MiB) it fits" in reported
    assert chosen("n8n", "litellm", memory_mib=6144)


@pytest.mark.parametrize("name", ["hello", "auto-fix"])
def test_a_service_whose_role_nobody_plays_is_told(name: str) -> None:
    with pytest.raises(Refused, match=f"names '{name}', and no host has a role that brings it"):
        chosen(name)


def test_an_unknown_service_is_told_with_those_that_there_are() -> None:
    with pytest.raises(Refused, match=r"vpai:services names 'wordpress', which is no service"):
        chosen("wordpress")
