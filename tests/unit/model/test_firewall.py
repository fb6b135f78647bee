"""One plan of who may come in, and what each of the three firewalls makes of it."""

from dataclasses import replace

import pytest

from components.host.firewall import CloudRule, cloud_rules, forward_rules, public_ports, spoof_rules, tables, ufw_rules
from model.firewall import MESH_SSH, PUBLIC_SSH, Firewall, IngressRule, Target, firewall
from model.network import MAGIC_DNS, MESH, MESH_V6
from model.route import Access
from model.service import Port
from tests.support.fleets import inputs

FLEET = {placement.host.name: placement for placement in inputs("prod").fleet.placements}
HOST_VPN = IngressRule(port=9100, protocol="tcp", access=Access.VPN, target=Target.HOST, reason="the host's own metrics")
HOST_PUBLIC = IngressRule(port=41641, protocol="udp", access=Access.PUBLIC, target=Target.HOST, reason="members' tunnels")
CONTAINER_VPN = IngressRule(port=5432, protocol="tcp", access=Access.VPN, target=Target.CONTAINER, reason="databases")
CONTAINER_PUBLIC = IngressRule(port=443, protocol="udp", access=Access.PUBLIC, target=Target.CONTAINER, reason="HTTP/3")
ANYWHERE = ("0.0.0.0/0", "::/0")


def _plan(*openings: IngressRule, ssh: IngressRule = MESH_SSH) -> Firewall:
    return Firewall(ssh=ssh, openings=openings, has_mesh=True, has_containers=True)


def _forwarded(opening: IngressRule) -> list[str]:
    """What an opening adds to the rules of a host without any."""
    return [rule for rule in forward_rules(_plan(opening)) if rule not in forward_rules(_plan())]


@pytest.mark.parametrize(
    ("opening", "ufw", "forward", "cloud"),
    [
        (HOST_VPN, ["allow in on tailscale0 to any port 9100 proto tcp comment 'the hosts own metrics'"], [], []),
        (
            HOST_PUBLIC,
            ["allow 41641/udp comment 'members tunnels'"],
            [],
            [CloudRule(protocol="udp", port=41641, sources=ANYWHERE, description="members' tunnels")],
        ),
        (
            CONTAINER_VPN,
            [],
            ["-A DOCKER-USER -i tailscale0 -o br-+ -p tcp -m conntrack --ctorigdstport 5432 -j RETURN"],
            [],
        ),
        (
            CONTAINER_PUBLIC,
            [],
            ["-A DOCKER-USER -o br-+ -p udp -m conntrack --ctorigdstport 443 -j RETURN"],
            [CloudRule(protocol="udp", port=443, sources=ANYWHERE, description="HTTP/3")],
        ),
    ],
    ids=["host, mesh", "host, public", "container, mesh", "container, public"],
)
def test_an_opening_is_one_rule_wherever_its_packets_pass(
    opening: IngressRule, ufw: list[str], forward: list[str], cloud: list[CloudRule]
) -> None:
    ssh, *others = ufw_rules(_plan(opening), ssh_public=False)
    assert ssh == "allow in on tailscale0 to any port 804 proto tcp comment 'SSH over the mesh'"
    assert others == ufw
    assert _forwarded(opening) == forward
    assert list(cloud_rules(_plan(opening), ssh_from=())) == cloud


def test_ssh_is_public_only_while_it_is_asked_for_or_without_a_mesh() -> None:
    public = "allow 804/tcp comment 'SSH until the mesh is proven'"
    assert public not in ufw_rules(_plan(), ssh_public=False)
    assert cloud_rules(_plan(), ssh_from=()) == ()
    assert public in ufw_rules(_plan(), ssh_public=True)
    assert [rule.port for rule in cloud_rules(_plan(), ssh_from=["203.0.113.7/32"])] == [804]
    # Without a mesh there is no other way in, and the rule stands once.
    without_mesh = _plan(ssh=PUBLIC_SSH)
    assert ufw_rules(without_mesh, ssh_public=False) == ufw_rules(without_mesh, ssh_public=True) == (public,)


def test_containers_are_refused_before_anything_is_let_through() -> None:
    rules = forward_rules(_plan(CONTAINER_PUBLIC))
    first_drop = next(rule for rule in rules if rule.endswith("DROP"))
    assert first_drop == "-A DOCKER-USER -d 100.64.0.0/10 -i br-+ -j DROP"
    for forbidden in (str(MESH), "169.254.0.0/16", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"):
        for bridge in ("br-+", "docker0"):
            drop = rules.index(f"-A DOCKER-USER -d {forbidden} -i {bridge} -j DROP")
            assert drop < rules.index(f"-A DOCKER-USER -i {bridge} -j RETURN")


@pytest.mark.parametrize("host", ["seko", "waza"])
def test_a_link_lets_its_network_alone_ask_names_and_call_sites_in_the_mesh(host: str) -> None:
    rules = forward_rules(firewall(FLEET[host]))
    before = rules[: rules.index("-A DOCKER-USER -d 100.64.0.0/10 -i br-+ -j DROP")]
    assert [rule.removeprefix("-A DOCKER-USER ") for rule in before[2:]] == [
        f"-s 172.20.7.0/24 -d {MAGIC_DNS}/32 -i br-+ -p udp -m udp --dport 53 -j RETURN",
        f"-s 172.20.7.0/24 -d {MAGIC_DNS}/32 -i br-+ -p tcp -m tcp --dport 53 -j RETURN",
        f"-s 172.20.7.0/24 -d {MESH} -i br-+ -p tcp -m tcp --dport 443 -j RETURN",
    ]
    assert FLEET[host].members("uplink") == {service.name for service in FLEET[host].services if service.links}


def test_without_a_link_no_container_enters_the_mesh() -> None:
    assert firewall(FLEET["sese"]).exits == ()


def test_what_no_opening_names_is_dropped_on_its_way_to_a_container() -> None:
    rules = forward_rules(_plan(CONTAINER_PUBLIC))
    assert rules[-3:] == ("-A DOCKER-USER -o br-+ -j DROP", "-A DOCKER-USER -o docker0 -j DROP", "-A DOCKER-USER -j RETURN")


def test_a_mesh_address_that_does_not_come_out_of_the_tunnel_is_dropped_in_both_families() -> None:
    for family in (MESH, MESH_V6):
        assert spoof_rules(_plan(), str(family))[-1] == f"-A VPAI-MESH -s {family} -j DROP"
    v4, v6 = tables(_plan())
    assert v4.startswith("*filter\n:DOCKER-USER - [0:0]\n")
    assert (
        f"*raw\n:VPAI-MESH - [0:0]\n-A VPAI-MESH -i tailscale0 -j RETURN\n-A VPAI-MESH -i lo -j RETURN\n-A VPAI-MESH -s {MESH}"
        in v4
    )
    assert v6.startswith("*raw\n")
    assert "DOCKER-USER" not in v6, "nothing is published over IPv6"


def test_a_host_without_containers_or_mesh_gets_no_table_for_them() -> None:
    bare = Firewall(ssh=PUBLIC_SSH, openings=(), has_mesh=False, has_containers=False)
    assert tables(bare) == ("", "")


PUBLISHED = [(name, port) for name, placement in FLEET.items() for service in placement.services for port in service.ports]


@pytest.mark.parametrize(("host", "port"), PUBLISHED, ids=lambda each: str(getattr(each, "number", each)))
def test_every_published_port_of_the_fleet_is_in_all_three_firewalls(host: str, port: Port) -> None:
    plan = firewall(FLEET[host])
    [opening] = [candidate for candidate in plan.openings if (candidate.port, candidate.protocol) == (port.number, port.protocol)]
    assert (opening.access, opening.target, opening.reason) == (port.access, Target.CONTAINER, port.reason)
    assert sum(f"-p {port.protocol} -m conntrack --ctorigdstport {port.number} " in r for r in forward_rules(plan)) == 1
    in_cloud = [rule for rule in cloud_rules(plan, ssh_from=()) if (rule.port, rule.protocol) == (port.number, port.protocol)]
    assert len(in_cloud) == (port.access is Access.PUBLIC)


@pytest.mark.parametrize(("host", "count"), [("sese", 3), ("seko", 4), ("waza", 0)])
def test_nothing_but_what_is_published_is_forwarded_and_ufw_allows_ssh_and_the_tunnel(host: str, count: int) -> None:
    plan = firewall(FLEET[host])
    assert plan.has_containers
    assert sum(name == host for name, _ in PUBLISHED) == count
    assert sum("--ctorigdstport" in rule for rule in forward_rules(plan)) == count
    assert len(ufw_rules(plan, ssh_public=False)) == len(plan.all_openings(ssh_public=False)) - count


@pytest.mark.parametrize(
    ("host", "open_"),
    [
        ("sese", {(80, "tcp"), (443, "tcp"), (443, "udp"), (41641, "udp")}),
        ("seko", {(80, "tcp"), (443, "tcp"), (443, "udp"), (41641, "udp"), (3478, "udp")}),
        ("waza", {(41641, "udp")}),
    ],
)
def test_what_a_stranger_may_reach(host: str, open_: set[tuple[int, str]]) -> None:
    """The reviewed list: whoever opens a port to the public changes it here too."""
    assert {(opening.port, opening.protocol) for opening in public_ports(firewall(FLEET[host]))} == open_


@pytest.mark.parametrize(("domain", "ssh"), [("na.vpai.test", MESH_SSH), ("", PUBLIC_SSH)])
def test_a_host_outside_of_any_mesh_keeps_its_ssh_public_and_opens_no_tunnel(domain: str, ssh: IngressRule) -> None:
    here = FLEET["waza"]
    plan = firewall(replace(here, host=replace(here.host, mesh_domain=domain)))
    assert plan.ssh == ssh
    assert plan.has_mesh == bool(domain)
    assert [opening.port for opening in plan.openings] == ([41641] if domain else [])
