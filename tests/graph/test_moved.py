"""A service that stands elsewhere than its role's host, by one line of configuration, and what cannot."""

import json

import pytest

from model.firewall import firewall
from model.placement import Placement
from model.problem import Refused
from model.reachability import reachability
from model.service import Link, Service
from model.settings import Settings
from services import catalogue
from services.networks import EGRESS, UPLINK
from stacks import moved
from stacks.inputs import Inputs
from tests.graph.program import Graph, Registered, build, built
from tests.support.fleets import inputs

QDRANT = {"qdrant": "seko"}


def placed(**placement: str) -> Inputs:
    return inputs("prod", placement=json.dumps(placement))


def on(of: Inputs, host: str) -> Placement:
    [found] = (placement for placement in of.fleet.placements if placement.host.name == host)
    return found


def service(of: Inputs, host: str, name: str) -> Service:
    [found] = (service for service in on(of, host).services if service.name == name)
    return found


@pytest.fixture(scope="module")
def apart() -> Inputs:
    return placed(**QDRANT)


def hook(of: Inputs) -> dict[str, str]:
    litellm = service(of, "sese", "litellm")
    assert litellm.configuration
    [file] = (file for file in litellm.configuration.files if file.path.endswith("hook.json"))
    return {key: value for key, value in json.loads(file.content).items() if key.startswith("qdrant")}


def own(graph: Graph) -> list[Registered]:
    """What is registered, but for the stack itself."""
    return [resource for resource in graph.resources if resource.type != "pulumi:pulumi:Stack"]


def test_who_calls_it_does_so_by_its_site_over_the_mesh(apart: Inputs) -> None:
    assert hook(inputs("prod"))["qdrant_url"] == "http://qdrant:6333"
    assert hook(apart)["qdrant_url"] == "https://qd.vpai.example.org"
    assert hook(apart)["qdrant_key"] == "${secret:qdrant_api_key|json}"
    [site] = (site for site in on(apart, "seko").sites() if site.host == "qd.vpai.example.org")
    assert {str(led.upstream) for led in site.routes} == {"qdrant:6333"}
    assert "qd.vpai.example.org" not in {site.host for site in on(apart, "sese").sites()}


def test_the_link_is_told_and_the_firewall_opens_for_it_alone(apart: Inputs) -> None:
    assert service(apart, "sese", "litellm").links == (
        Link(service="qdrant", reason="answers to similar questions are kept there"),
    )
    assert on(apart, "sese").members(UPLINK.name) == {"litellm"}
    assert {str(rule.source) for rule in firewall(on(apart, "sese")).exits} == {str(UPLINK.cidr)}
    assert firewall(on(inputs("prod"), "sese")).exits == ()


def test_who_has_a_link_has_its_way_out_by_the_same_network(apart: Inputs) -> None:
    litellm = service(apart, "sese", "litellm")
    assert [network.name for network in on(apart, "sese").ways_out(litellm)] == [UPLINK.name]
    assert EGRESS.name in service(inputs("prod"), "sese", "litellm").networks
    rows = {(row.source, row.target, row.by) for row in reachability(apart.fleet)}
    assert ("sese/litellm", "the Internet", "uplink") in rows
    assert ("sese/litellm", "seko/caddy", "the mesh, 443/tcp") in rows
    assert not [row for row in rows if row[0].startswith("sese/") and row[1].endswith("/qdrant")]


def test_the_caddy_and_the_collector_of_its_host_meet_it(apart: Inputs) -> None:
    theirs = set(service(apart, "seko", "qdrant").networks)
    for name in ("caddy", "alloy"):
        assert theirs & set(service(apart, "seko", name).networks), name
    alloy = service(apart, "seko", "alloy").configuration
    assert alloy and any("qdrant:6333" in file.content for file in alloy.files)


def test_its_data_is_backed_up_where_it_stands(apart: Inputs) -> None:
    for host, stands in (("seko", True), ("sese", False)):
        backup = on(apart, host).backup
        assert backup and backup.network in {network.name for network in on(apart, host).networks}
        assert (
            "qdrant/storage" in {volume.directory for owner in on(apart, host).services for volume in owner.volumes}
        ) is stands


def test_nothing_of_other_services_changes_but_of_those_that_call_or_watch_it(apart: Inputs) -> None:
    before, after = ({resource.urn: resource for resource in own(graph)} for graph in (built("prod"), build(apart)))
    changed = {
        found[urn].name
        for found, others in ((before, after), (after, before))
        for urn in found
        if urn not in others or found[urn].inputs != others[urn].inputs
    }
    about = ("qdrant", "collection-", "litellm", "caddy", "alloy", "grafana", "uptime-kuma", "backup", "access", "direct-path")
    rest = {name for name in changed if not any(word in name for word in about)}
    assert rest <= {"sese-uplink", "seko-backend", "mesh-part", "sese-mesh-only"}
    [container] = (
        resource
        for resource in after.values()
        if resource.name == "sese-litellm" and resource.type.endswith("container:Container")
    )
    assert container.inputs["dns"] == ["100.100.100.100"]


def test_where_its_role_puts_it_a_service_may_be_put_too() -> None:
    before, after = (
        {resource.urn: resource.inputs for resource in own(graph)} for graph in (built("prod"), build(placed(qdrant="sese")))
    )
    assert before == after


@pytest.mark.parametrize(
    ("name", "reported"),
    [
        ("litellm", "vpai:placement puts litellm on seko, and it calls postgresql and redis on sese; openclaw and n8n and"),
        ("nocodb", "vpai:placement puts nocodb on seko, and it calls postgresql on sese; n8n on sese calls it"),
        ("redis", "vpai:placement puts redis on seko, and litellm and sure-web and sure-worker on sese call it"),
        ("webhook-gate", "vpai:placement puts webhook-gate on seko, and it calls n8n on sese; openclaw and n8n on sese call it"),
        ("victoriametrics", "vpai:placement puts victoriametrics on seko, and grafana on sese calls it"),
        ("hello", "vpai:placement puts hello on seko, where Caddy hands on over the mesh"),
        ("alloy", "vpai:placement names alloy, which stands on sese and seko and waza"),
        ("caddy", "vpai:placement names 'caddy', which is no service"),
    ],
)
def test_what_cannot_stand_there_is_told_with_the_reason(name: str, reported: str) -> None:
    with pytest.raises(Refused) as refused:
        placed(**{name: "seko"})
    assert reported in str(refused.value)
    for problem in refused.value.problems:
        assert problem.why and problem.fix and problem.example.startswith("pulumi config ")


def test_all_that_is_wrong_is_told_at_once() -> None:
    for placement, count in (
        ({"litellm": "seko", "redis": "waza"}, 2),
        ({"wordpress": "seko", "qdrant": "mars", "alloy": "sese"}, 3),
    ):
        with pytest.raises(Refused) as refused:
            placed(**placement)
        assert len(refused.value.problems) == count, str(refused.value)


def test_what_is_left_out_is_not_placed() -> None:
    with pytest.raises(Refused, match="vpai:placement names qdrant, which vpai:services leaves out"):
        inputs("prod", services='["n8n"]', placement=json.dumps(QDRANT))


def test_a_copy_is_one_server() -> None:
    with pytest.raises(Refused, match="vpai:placement names qdrant, and a copy is one server"):
        inputs("preprod", placement='{"qdrant": "preprod"}')


def test_who_could_not_check_the_certificate_is_told(apart: Inputs) -> None:
    root = "-----BEGIN CERTIFICATE-----\nroot\n-----END CERTIFICATE-----\n"

    def reported(of: Inputs) -> list[str]:
        settings: Settings = of.settings
        return [problem.what for problem in moved.unverified(settings, "prod", of.fleet.placements, root)]

    assert ["where litellm calls it over the mesh" in what for what in reported(apart)] == [True]
    assert reported(inputs("prod")) == []
    assert [*moved.unverified(apart.settings, "prod", apart.fleet.placements, "")] == []


@pytest.mark.parametrize("name", catalogue.names_of_services())
def test_each_service_either_stands_there_with_all_that_it_calls_or_is_refused(name: str) -> None:
    hosts = {
        host: {"address": f"203.0.113.{n}", "memoryMib": 32768, "roles": [role]}
        for n, (host, role) in enumerate({"sese": "stack", "seko": "hub", "waza": "workstation"}.items(), 10)
    }
    keys = {f"s3_backups_waza_{half}_key": f"preview0value0of0{half}" for half in ("access", "secret")}
    placement = {name: "waza"}
    try:
        found = inputs("prod", hosts=json.dumps(hosts), placement=json.dumps(placement), **keys)
    except Refused as refused:
        assert all(problem.what.startswith("vpai:placement ") for problem in refused.problems), str(refused)
        return
    assert name in {service.name for service in on(found, "waza").services}
    assert not [*moved.apart(found.settings, "prod", found.fleet.placements)]


def test_several_services_that_belong_together_move_together() -> None:
    hosts = {
        "alpha": {"address": "203.0.113.40", "memoryMib": 4096, "roles": ["stack"]},
        "beta": {"address": "203.0.113.41", "memoryMib": 4096, "roles": ["hub"]},
    }
    together = dict.fromkeys(("grafana", "victoriametrics", "loki"), "beta")
    found = inputs(
        "second",
        like="prod",
        hosts=json.dumps(hosts),
        bucketPrefix="",
        services='["grafana", "couchdb"]',
        placement=json.dumps(together),
    )
    assert together.keys() <= {service.name for service in on(found, "beta").services}
    [alloy] = (service for service in on(found, "alpha").services if service.name == "alloy")
    assert {link.service for link in alloy.links} == {"victoriametrics", "loki"}
    [own] = (service for service in on(found, "beta").services if service.name == "alloy")
    assert own.links == () and {"victoriametrics", "loki"} <= set(own.needs)


def test_a_hub_whose_caddy_hands_nothing_on_leaves_by_another_network_than_those_with_links() -> None:
    hosts = {
        "alpha": {"address": "203.0.113.40", "memoryMib": 4096, "roles": ["stack"]},
        "beta": {"address": "203.0.113.41", "memoryMib": 2048, "roles": ["hub"]},
    }
    found = inputs("second", like="prod", hosts=json.dumps(hosts), bucketPrefix="", services='["grafana", "couchdb"]')
    assert on(found, "beta").members(UPLINK.name) == {"alloy"}
