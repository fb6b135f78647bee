"""Fleets of other operators, by configuration alone: another production, one machine, a mesh that another stack keeps."""

import json
from collections.abc import Mapping

import pytest

from model import backup_plan
from model.kind import DESTROY_GUARD as GUARD
from model.laws.fleet import host_names_are_distinct
from model.network import MESH
from model.problem import Refused
from model.reachability import reachability
from operations.mesh.dns import zone
from stacks.inputs import Inputs
from tests.graph.program import Graph, build
from tests.support.fleets import OTHERS, host_config, inputs

CONTAINER = "container:Container"


def other(name: str, **changes: str) -> Inputs:
    return inputs(name, like="prod", **{**OTHERS[name], **changes})


@pytest.fixture(scope="module", params=list(OTHERS))
def fleet(request: pytest.FixtureRequest) -> Inputs:
    return other(request.param)


@pytest.fixture(scope="module")
def graph(fleet: Inputs) -> Graph:
    return build(fleet)


def test_nothing_of_it_is_called_like_todays_fleet(fleet: Inputs, graph: Graph) -> None:
    of_ours = {"sese", "waza"} | ({"seko"} if fleet.stack != "joining" else set())
    names = {resource.name for resource in graph.resources}
    assert not {name for name in names if name.partition("-")[0] in of_ours}
    texts = {resource.name: json.dumps(resource.inputs, default=str) for resource in graph.resources}
    assert not [(name, ours) for name, text in texts.items() for ours in ("mayi.", "tala.", "nzimbu.") if ours in text]


def test_ssh_of_each_of_its_hosts_is_closed_when_all_are_in_the_mesh(fleet: Inputs, graph: Graph) -> None:
    own = {placement.host.name for placement in fleet.fleet.placements}
    members = {f"{name}-in-mesh" for name in (*own, "operator")}
    assert {resource.name for resource in graph.resources if resource.name.endswith("-in-mesh")} == members
    closed = {resource.name: resource for resource in graph.resources if resource.name.endswith("-mesh-only")}
    assert set(closed) == {f"{name}-mesh-only" for name in own}
    for resource in closed.values():
        assert members <= set(resource.dependencies), resource.name


def test_its_data_is_guarded_as_any_productions(graph: Graph) -> None:
    data = [resource for resource in graph.resources if resource.name.endswith("-data")]
    assert data and all(resource.protect for resource in data)
    assert [resource.protect for resource in graph.resources if resource.name == GUARD] == [True]


class TestASingleMachine:
    """Stack and hub at once, which is what the only host of a stack is where it does not say."""

    @pytest.fixture(scope="class")
    def box(self) -> Inputs:
        return other("alone")

    def test_it_is_stack_and_hub_with_each_service_once(self, box: Inputs) -> None:
        [placement] = box.fleet.placements
        names = [service.name for service in placement.services]
        assert len(names) == len(set(names))
        assert {"caddy", "alloy", "docker-proxy", "cadvisor", "headscale", "n8n", "couchdb"} <= set(names)
        assert box.fleet.mesh and box.fleet.mesh.hub == "box"
        assert len([port for service in placement.services for port in service.ports if port.number == 443]) == 2

    def test_its_one_caddy_leads_to_the_sites_of_both(self, box: Inputs) -> None:
        [placement] = box.fleet.placements
        sites = {site.host.partition(".")[0] for site in placement.sites()}
        assert {"mesh", "n8n", "grafana", "obsidian", "status", "hook"} <= sites
        [hook] = [site for site in placement.sites() if site.host.startswith("hook.")]
        assert {str(led.route.access) for led in hook.routes} == {"public"}, "nobody relays: the machine answers itself"

    def test_no_container_of_it_enters_the_mesh(self, box: Inputs) -> None:
        [placement] = box.fleet.placements
        assert not [service.name for service in placement.services if service.links]
        assert box.host_plans["box"].access.firewall.exits == ()
        assert not [row for row in reachability(box.fleet) if row.by.startswith("the mesh") and "/" in row.source]

    def test_the_mesh_is_there_before_its_member_and_ssh_is_closed_last(self, box: Inputs) -> None:
        graph = build(box)
        by_name = {resource.name: resource for resource in graph.resources}
        assert {"box-headscale-healthy", "box-caddy-healthy"} <= set(by_name["box-in-mesh"].dependencies)
        assert "mesh-part" in by_name["box-headscale"].dependencies
        gates = {f"box-{service.name}-healthy" for service in box.fleet.placements[0].services}
        assert gates | {"box-in-mesh", "operator-in-mesh"} <= set(by_name["box-mesh-only"].dependencies)

    @pytest.mark.parametrize("roles", [["stack"], ["hub"], ["workstation"]])
    def test_a_role_that_nobody_plays_is_told(self, roles: list[str]) -> None:
        with pytest.raises(Refused) as refused:
            other("alone", hosts=json.dumps({"box": {"address": "203.0.113.50", "memoryMib": 12288, "roles": roles}}))
        missing = {"stack", "hub"} - set(roles)
        reported = [problem.what for problem in refused.value.problems]
        assert reported == [f"no host of vpai:hosts is the {role}" for role in ("stack", "hub") if role in missing]

    def test_it_may_be_workstation_and_have_the_applications_too(self) -> None:
        roles = ["stack", "hub", "workstation", "applications"]
        hosts = {"box": {"address": "203.0.113.50", "memoryMib": 16384, "roles": roles}}
        [placement] = other("alone", hosts=json.dumps(hosts)).fleet.placements
        by_name = {service.name: service for service in placement.services}
        assert "hello" in by_name and not by_name["auto-fix"].links
        assert "-jobs=http://webhook-gate:8081/jobs" in by_name["auto-fix"].command


class TestAnotherStacksHub:
    """A fleet that joins a Headscale which it does not own."""

    @pytest.fixture(scope="class")
    def joining(self) -> Inputs:
        return other("joining")

    def test_it_adds_its_part_there_and_places_nothing(self, joining: Inputs) -> None:
        assert [placement.host.name for placement in joining.fleet.placements] == ["gamma"]
        names = {resource.name for resource in build(joining).resources}
        assert {name for name in names if name.startswith("seko")} == set()
        assert {"mesh-part", "gamma-in-mesh"} <= names

    def test_it_is_a_member_of_that_mesh_under_a_domain_of_its_own(self, joining: Inputs) -> None:
        mesh = joining.fleet.mesh
        assert mesh and (mesh.server, mesh.domain) == ("singa.vpai.example.org", "na.vpai.example.org")
        assert all(site.host.endswith("third.example.net") for site in joining.fleet.sites())

    def test_its_names_are_in_the_public_dns_and_what_strangers_ask_it_answers_itself(self, joining: Inputs) -> None:
        records = {record.name for record in zone(joining.fleet, lambda address: address) if record.kind == "A" and record.values}
        assert "hook.third.example.net" in records
        [hook] = [site for site in joining.fleet.sites() if site.host.startswith("hook.")]
        assert {str(led.route.access) for led in hook.routes} == {"public"}

    def test_no_backup_waits_for_a_monitor_that_is_not_there(self) -> None:
        keys = {f"s3_backups_gamma_{half}_key": f"preview0value0of0{half}" for half in ("access", "secret")}
        [placement] = other("joining", bucketPrefix="third", **keys).fleet.placements
        backup = placement.backup
        assert backup and (backup.heartbeat, backup.heartbeat_token) == ({}, None)
        assert json.loads(backup_plan.secrets(placement))["heartbeat"] == ""

    def test_a_hub_of_another_stack_is_that_and_nothing_else(self) -> None:
        hosts = json.loads(OTHERS["joining"]["hosts"])
        hosts["seko"]["roles"] = ["hub", "workstation"]
        with pytest.raises(Refused, match="has a mesh of another stack, and is hub, workstation"):
            other("joining", hosts=json.dumps(hosts))


def _hosts(**roles: list[str]) -> str:
    return json.dumps(
        {name: {"address": f"203.0.113.{n}", "memoryMib": 12288, "roles": of} for n, (name, of) in enumerate(roles.items(), 70)}
    )


def test_no_host_is_called_like_the_machine_that_deploys() -> None:
    with pytest.raises(Refused, match="vpai:runner is 'alpha', which is a host too"):
        other("second", runner="alpha")


@pytest.mark.parametrize(
    ("hosts", "reported"),
    [
        (_hosts(alpha=["stack"], beta=["hub"], gamma=[]), "vpai:hosts.gamma says no roles"),
        (_hosts(alpha=["stack", "hub"], beta=["stack"]), "alpha and beta are both stack"),
        (_hosts(alpha=["stack"], beta=["hub", "applications"]), "vpai:hosts.beta is hub and has the applications"),
        (_hosts(alpha=["stack"], beta=["workstation"]), "no host of vpai:hosts is the hub"),
        (_hosts(alpha=["stack", "kitchen"]), "vpai:hosts.alpha.roles.1"),
    ],
)
def test_roles_that_cannot_be_are_told(hosts: str, reported: str) -> None:
    with pytest.raises(Refused) as refused:
        other("second", hosts=hosts, services="[]")
    assert reported in str(refused.value)


def test_hosts_of_any_name_whose_resources_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(Refused, match="the host box-redis is called like redis on box"):
        other("second", hosts=json.dumps({**json.loads(_hosts(box=["stack"])), **_renamed("box-redis", "hub")}), services="[]")
    assert not list(host_names_are_distinct(other("second").fleet.placements))


def _renamed(name: str, role: str) -> Mapping[str, object]:
    return {name: {"address": "203.0.113.90", "memoryMib": 2048, "roles": [role]}}


def test_a_fleet_says_its_mesh_by_its_own_names() -> None:
    second = other("second").fleet
    assert second.mesh and (second.mesh.server, second.mesh.domain) == ("vpn.second.example.net", "hosts.second.example.net")
    assert MESH in other("second").settings.vpn_cidrs


def test_todays_hosts_have_their_roles_by_configuration() -> None:
    assert {name: of["roles"] for name, of in json.loads(host_config("prod")).items()} == {
        "sese": ["stack"],
        "seko": ["hub"],
        "waza": ["workstation"],
    }
