"""The server of our own applications: rented, prepared like every host, and no business of the others."""

import json
from dataclasses import replace

import pytest

from model.cost import invoice
from model.host import Role
from model.laws import broken_laws
from model.placement import Placement
from model.problem import Refused
from model.service import Database
from operations.cloud.cost import FALLBACK, committed, rented
from services import catalogue
from services.apps import APPS
from services.networks import BACKEND, FRONTEND, MONITORING, UPLINK
from tests.graph.program import Graph, build, built
from tests.support.fleets import DOOR, HOST, RENTED_HOST, context, host_config, inputs, placement
from tests.support.hetzner import TOKEN
from tests.unit.model.test_cost import documented

APPLICATIONS_HOST = "app-prod-01"

SERVER = "server:Server"


@pytest.fixture(scope="module")
def graph() -> Graph:
    return built("prod", **RENTED_HOST)


def test_the_server_is_rented_and_prepared_like_every_host(graph: Graph) -> None:
    [server] = graph.of_type(SERVER)
    wanted = {"name": APPLICATIONS_HOST, "image": "ubuntu-24.04", "serverType": "cx23", "location": "fsn1"}
    assert wanted.items() <= server.inputs.items()
    assert server.protect
    [key] = graph.of_type("sshKey:SshKey")
    assert key.inputs["name"] == "javisi-prod-deploy"
    mine = {resource.name.removeprefix(f"{APPLICATIONS_HOST}-") for resource in graph.resources}
    assert {"contact", "baseline", "in-mesh", "mesh-only", "hello-healthy", "caddy-healthy", "node-exporter-healthy"} <= mine
    [firewall] = graph.of_type("firewall:Firewall")
    assert {(rule["protocol"], rule["port"]) for rule in firewall.inputs["rules"]} >= {("tcp", "443"), ("tcp", "804")}


def test_the_other_hosts_stay_as_they_are(graph: Graph) -> None:
    without = {resource.urn: resource for resource in built("prod", trustedAddresses=RENTED_HOST["trustedAddresses"]).resources}
    changed = {
        resource.name
        for resource in graph.resources
        if resource.name.startswith(("sese-", "seko-", "waza-", "operator-", "mesh-"))
        and (resource.urn not in without or resource.inputs != without[resource.urn].inputs)
    }
    # Who watches is told of the new host, and the mesh lets it in.
    watching = {"sese-grafana", "sese-grafana-configuration", "seko-uptime-kuma-monitors", "seko-backup-plan"}
    watching.add("sese-caddy-configuration")  # the front page shows it
    assert changed == {"mesh-part", "seko-direct-path", *watching}


@pytest.mark.parametrize(("stack", "heading"), [("prod", "Production"), ("preprod", "Preprod")])
def test_what_the_program_rents_costs_what_the_worked_invoice_says(stack: str, heading: str) -> None:
    if stack == "prod":
        server = {"type": "cx23", "backups": True, "keepsAddress": True}
        hosts = json.dumps({**json.loads(host_config("prod")), APPLICATIONS_HOST: {"server": server, "roles": ["applications"]}})
        settings = inputs("prod", **{**RENTED_HOST, "hosts": hosts})
    else:
        settings = inputs(
            "preprod",
            hosts='{"preprod": {"server": {}, "roles": ["stack"]}}',
            services='["litellm"]',
            bucketPrefix="",
            hcloud_token=TOKEN,
        )
    registered = [
        {"type": resource.type, "urn": resource.urn, "inputs": resource.inputs} for resource in build(settings).resources
    ]
    found = invoice(rented(registered), committed(FALLBACK))
    assert [*(f"{line.price.monthly:.3f}" for line in found.lines), f"{found.monthly:.3f}"] == documented(heading)
    assert str(settings.fleet.invoice) == f"{found.monthly:.2f} EUR a month net", "what a preview shows among the outputs"


def test_an_application_is_given_its_database_and_nobody_elses() -> None:
    database = Database(name="shop", user="shop")
    shop = replace(APPS[0], name="shop", database=database, entrypoint=("caddy",), command=("version",))
    services = catalogue.on({Role.APPLICATIONS}, context(applications=(shop,)), DOOR)
    by_name = {service.name: service for service in services}
    assert by_name["postgresql"].databases == (database,)
    assert by_name["shop"].secret_environment == {"DATABASE_URL": f"postgresql://shop:{database.password}@postgresql:5432/shop"}
    assert by_name["shop"].needs == ("postgresql",)
    networks = (FRONTEND, BACKEND, MONITORING, UPLINK)
    host = replace(HOST, name="shops", address="203.0.113.12")
    assert not broken_laws([placement(), Placement(host=host, networks=networks, services=services)])
    assert "postgresql" not in {service.name for service in catalogue.on({Role.APPLICATIONS}, context(), DOOR)}


def test_a_server_that_nobody_could_log_in_to_is_not_rented() -> None:
    with pytest.raises(Refused, match="vpai:trustedAddresses is empty"):
        inputs("prod", **{**RENTED_HOST, "trustedAddresses": "[]"})
