"""Who may talk to whom in the mesh, and which names lead into it, as values."""

import json
from dataclasses import replace

import pytest

from model.mesh import OPERATOR_TAG, grants, policy, records, tag
from model.route import Access, Route
from tests.support.fleets import inputs, placement, with_service

FLEET = inputs("prod").fleet
HOSTS = tuple(tag(placement.host.name) for placement in FLEET.placements)


def test_the_operator_alone_may_ssh_and_everywhere() -> None:
    ssh = [grant for grant in grants(FLEET.placements) if 804 in grant.ports]
    assert [grant.destination for grant in ssh] == list(HOSTS)
    assert {grant.sources for grant in ssh} == {(OPERATOR_TAG,)}
    assert {grant.ports for grant in ssh} == {(804,)}


def test_members_reach_sites_and_nothing_else() -> None:
    for grant in grants(FLEET.placements):
        if grant.sources != (OPERATOR_TAG,):
            assert grant.ports == (80, 443)
            assert grant.destination not in grant.sources
            assert set(grant.sources) == {OPERATOR_TAG, *HOSTS} - {grant.destination}


def test_only_hosts_with_sites_are_reached_for_them_and_nobody_reaches_the_operator() -> None:
    sites = {grant.destination for grant in grants(FLEET.placements) if 443 in grant.ports}
    assert sites == {"tag:sese", "tag:seko"}
    assert OPERATOR_TAG not in {grant.destination for grant in grants(FLEET.placements)}


def test_every_link_is_granted() -> None:
    links = [(machine, link) for machine in FLEET.placements for service in machine.services for link in service.links]
    assert {machine.host.name for machine, _ in links} == {"seko", "waza"}
    for source, link in links:
        [target] = [placement for placement in FLEET.placements if placement.answers_links_to(link.service)]
        assert any(
            tag(source.host.name) in grant.sources and grant.destination == tag(target.host.name) and 443 in grant.ports
            for grant in grants(FLEET.placements)
        ), link


def test_every_grant_says_why() -> None:
    assert all(grant.reason for grant in grants(FLEET.placements))


def test_the_policy_names_tags_only_and_declares_each_of_them() -> None:
    shown = json.loads(policy(FLEET.placements))
    used = {word for rule in shown["acls"] for word in (*rule["src"], *(to.rpartition(":")[0] for to in rule["dst"]))}
    assert used <= shown["tagOwners"].keys() == {OPERATOR_TAG, *HOSTS}
    assert set(map(tuple, shown["tagOwners"].values())) == {()}, "whoever owns a tag could give it to a machine of their own"
    assert {rule["action"] for rule in shown["acls"]} == {"accept"}
    assert "*" not in json.dumps(shown)


def test_the_policy_accepts_what_is_granted_and_nothing_else() -> None:
    shown = json.loads(policy(FLEET.placements))
    assert shown["acls"] == [
        {"action": "accept", "src": list(grant.sources), "dst": [f"{grant.destination}:{','.join(map(str, grant.ports))}"]}
        for grant in grants(FLEET.placements)
    ]
    assert {"action": "accept", "src": ["tag:operator"], "dst": ["tag:sese:804"]} in shown["acls"]
    assert {"action": "accept", "src": ["tag:operator", "tag:seko", "tag:waza"], "dst": ["tag:sese:80,443"]} in shown["acls"]


def test_every_vpn_route_has_a_record_and_no_public_one_has() -> None:
    expected = {
        route.host(FLEET.domain): machine.host.name
        for machine in FLEET.placements
        for service in machine.services
        for route in service.routes
        if route.access is Access.VPN or route.relayed
    }
    found = records(FLEET.domain, FLEET.placements)
    assert found == expected
    assert found, "a fleet without VPN sites would show nothing"
    public = {route.host(FLEET.domain) for _, service in FLEET.services() for route in service.routes} - expected.keys()
    assert FLEET.mesh
    assert FLEET.mesh.server in public
    assert not public & found.keys()


@pytest.mark.parametrize(("access", "reason", "leads_there"), [(Access.VPN, "", True), (Access.PUBLIC, "for all", False)])
def test_a_route_that_changes_its_access_changes_its_record(access: Access, reason: str, leads_there: bool) -> None:
    route = Route(subdomain="new", port=4000, access=access, reason=reason)
    changed = with_service("litellm", routes=(route,))
    assert ("new.vpai.test" in records("vpai.test", [changed])) == leads_there


def test_a_host_without_services_offers_no_sites() -> None:
    waza = replace(placement(), services=(), networks=())
    assert [grant.ports for grant in grants([waza])] == [(804,)]
