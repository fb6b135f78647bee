"""The lab's Hetzner cloud, asked by Hetzner's own client: what works there works here, what is refused there is refused here."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hcloud import APIException, Client
from hcloud.actions import ActionFailedException
from hcloud.firewalls import FirewallResource, FirewallResourceLabelSelector, FirewallRule
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.networks import NetworkRoute, NetworkSubnet
from hcloud.server_types import ServerType
from hcloud.servers import Server, ServerCreatePublicNetwork

from tests.support.hetzner import OTHER_KEY, PUBLIC_KEY, TOKEN, RunningCloud, running

Api = Any
"""hcloud.Client: its fields are all optional, and here they are there or the test fails."""


@pytest.fixture
def there() -> Iterator[RunningCloud]:
    with running() as cloud:
        yield cloud


@pytest.fixture
def client(there: RunningCloud) -> Api:
    return Client(token=TOKEN, api_endpoint=there.endpoint, poll_interval=0.001)


def make(client: Api, name: str = "app", kind: str = "cx23", **more: Any) -> Any:
    """A server; waits until it is made."""
    wanted = {"location": Location(name="fsn1"), **more}
    creation = client.servers.create(name=name, server_type=ServerType(name=kind), image=Image(name="debian-13"), **wanted)
    creation.action.wait_until_finished()
    return client.servers.get_by_id(creation.server.id)


RULE = FirewallRule(direction="in", protocol="tcp", port="443", source_ips=["0.0.0.0/0", "::/0"], description="web")


def test_a_server_lives_and_leaves_nothing_behind(there: RunningCloud, client: Api) -> None:
    key = client.ssh_keys.create("deploy", PUBLIC_KEY)
    server = make(client, ssh_keys=[key], labels={"env": "test"}, user_data="#cloud-config\n")
    assert (server.status, server.image.name, server.location.name) == ("running", "debian-13", "fsn1")
    assert server.public_net.ipv4.ip.startswith("203.0.113.")
    assert server.public_net.ipv6.ip.endswith("/64")
    assert [found.name for found in client.servers.get_all(label_selector="env=test")] == ["app"]
    server.power_off().wait_until_finished()
    assert client.servers.get_by_name("app").status == "off"
    server.enable_backup().wait_until_finished()
    server.change_protection(delete=True, rebuild=True).wait_until_finished()
    assert client.servers.get_by_name("app").protection == {"delete": True, "rebuild": True}
    server.change_protection(delete=False, rebuild=False).wait_until_finished()
    server.delete().wait_until_finished()
    key.delete()
    assert there.cloud.inventory(TOKEN) == {}


def test_an_address_of_its_own_outlives_the_server(there: RunningCloud, client: Api) -> None:
    kept = client.primary_ips.create(type="ipv4", name="kept", location=Location(name="fsn1"), auto_delete=False).primary_ip
    server = make(client, public_net=ServerCreatePublicNetwork(ipv4=kept, enable_ipv6=False))
    assert server.public_net.ipv4.ip == kept.ip
    assert server.public_net.ipv6 is None
    server.delete()
    assert there.cloud.inventory(TOKEN) == {"primary_ips": ["kept"]}
    again = client.primary_ips.get_by_id(kept.id)
    assert again.assignee_id is None
    again.change_dns_ptr(kept.ip, "app.example.org")
    assert client.primary_ips.get_by_name("kept").dns_ptr[0]["dns_ptr"] == "app.example.org"


def test_a_firewall_follows_servers_and_labels(client: Api) -> None:
    by_label = FirewallResource("label_selector", label_selector=FirewallResourceLabelSelector("role=web"))
    firewall = client.firewalls.create("web", rules=[RULE], resources=[by_label]).firewall
    server = make(client, labels={"role": "web"})
    assert [entry.firewall.id for entry in server.public_net.firewalls] == [firewall.id]
    client.firewalls.set_rules(firewall, [RULE, FirewallRule("in", "icmp", ["0.0.0.0/0"])])
    assert len(client.firewalls.get_by_name("web").rules) == 2
    client.firewalls.update(firewall, name="renamed")
    assert len(client.firewalls.get_by_name("renamed").rules) == 2, "a new name keeps the rules"
    client.firewalls.remove_from_resources(firewall, [by_label])
    client.firewalls.delete(firewall)
    assert client.firewalls.get_all() == []


def test_networks_give_addresses_out_of_their_subnets(client: Api) -> None:
    subnet = NetworkSubnet(ip_range="10.0.1.0/24", type="cloud", network_zone="eu-central")
    network = client.networks.create("inside", "10.0.0.0/16", subnets=[subnet])
    server = make(client, networks=[network])
    assert server.private_net[0].ip == "10.0.1.2", "the first address is the gateway's"
    client.networks.add_route(network, NetworkRoute(destination="10.100.0.0/24", gateway="10.0.1.2"))
    client.networks.delete(network)
    assert client.servers.get_by_id(server.id).private_net == []


def test_volumes_and_placement_groups(there: RunningCloud, client: Api) -> None:
    group = client.placement_groups.create("apart", "spread").placement_group
    server = make(client, placement_group=group)
    volume = client.volumes.create(10, "data", location=Location(name="fsn1"), format="ext4").volume
    client.volumes.attach(volume, server).wait_until_finished()
    assert [attached.id for attached in client.servers.get_by_id(server.id).volumes] == [volume.id]
    assert client.placement_groups.get_by_id(group.id).servers == [server.id]
    client.volumes.resize(volume, 20).wait_until_finished()
    server.delete()
    assert there.cloud.inventory(TOKEN) == {"placement_groups": ["apart"], "volumes": ["data"]}


def test_lists_come_in_pages(client: Api) -> None:
    for number in range(60):
        client.placement_groups.create(f"group-{number:02}", "spread")
    page = client.placement_groups.get_list(page=2, per_page=25)
    assert (page.meta.pagination.next_page, page.meta.pagination.total_entries, len(page.placement_groups)) == (3, 60, 25)
    assert len(client.placement_groups.get_all()) == 60


def test_what_is_on_offer_and_what_it_costs(client: Api) -> None:
    assert [location.name for location in client.locations.get_all()] == ["fsn1", "nbg1", "hel1"]
    assert client.images.get_by_name_and_architecture("ubuntu-24.04", "arm") is not None
    assert client.server_types.get_by_name("cax11").architecture == "arm"
    prices = {price["location"]: price["price_monthly"]["net"] for price in client.server_types.get_by_name("cx23").prices}
    assert prices["fsn1"] == "5.4900000000"


def server_with(**more: Any) -> Callable[[Api], object]:
    return lambda client: make(client, **more)


def firewall_with(**rule: Any) -> Callable[[Api], object]:
    wanted = {"direction": "in", "protocol": "tcp", "port": "80", "source_ips": ["0.0.0.0/0"], **rule}
    return lambda client: client.firewalls.create("broken", rules=[FirewallRule(**wanted)])


def network_with(ip_range: str, *subnets: str) -> Callable[[Api], object]:
    wanted = [NetworkSubnet(ip_range=subnet, type="cloud", network_zone="eu-central") for subnet in subnets]
    return lambda client: client.networks.create("broken", ip_range, subnets=wanted)


def twice(create: Callable[[Api], object]) -> Callable[[Api], object]:
    return lambda client: (create(client), create(client))


def applied_firewall_is_deleted(client: Api) -> object:
    server = make(client)
    target = FirewallResource("server", server=server)
    firewall = client.firewalls.create("used", resources=[target]).firewall
    return client.firewalls.delete(firewall)


def protected_server_is_deleted(client: Api) -> object:
    server = make(client)
    client.servers.change_protection(server, delete=True, rebuild=True)
    return client.servers.delete(server)


def address_of_a_running_server_is_deleted(client: Api) -> object:
    return client.primary_ips.delete(make(client).public_net.primary_ipv4)


def address_of_elsewhere_is_used(client: Api) -> object:
    address = client.primary_ips.create(type="ipv4", name="elsewhere", location=Location(name="hel1")).primary_ip
    return make(client, public_net=ServerCreatePublicNetwork(ipv4=address))


def running_server_changes_its_type(client: Api) -> object:
    return client.servers.change_type(make(client), ServerType(name="cx33"), upgrade_disk=False)


def arm_image_on_x86(client: Api) -> object:
    arm = client.images.get_by_name_and_architecture("debian-13", "arm")
    assert arm
    return client.servers.create("app", ServerType(name="cx23"), arm)


def eleven_servers(client: Api) -> object:
    return [make(client, name=f"server-{number}") for number in range(11)]


REFUSED: dict[str, tuple[int, str, Callable[[Api], object]]] = {
    "server name": (422, "invalid_input", server_with(name="not_a_hostname")),
    "server name taken": (409, "uniqueness_error", twice(server_with())),
    "server type unknown": (422, "invalid_input", server_with(kind="cx99")),
    "server type retired": (422, "invalid_server_type", server_with(kind="cx22")),
    "image of another architecture": (422, "invalid_input", arm_image_on_x86),
    "location unknown": (422, "invalid_input", server_with(location=Location(name="mars1"))),
    "label key": (422, "invalid_input", server_with(labels={"-env": "prod"})),
    "label value": (422, "invalid_input", server_with(labels={"env": "not a value"})),
    "label value too long": (422, "invalid_input", server_with(labels={"env": "x" * 64})),
    "user data too long": (422, "invalid_input", server_with(user_data="x" * 32769)),
    "server without any net": (
        422,
        "invalid_input",
        server_with(public_net=ServerCreatePublicNetwork(enable_ipv4=False, enable_ipv6=False)),
    ),
    "too many servers": (403, "resource_limit_exceeded", eleven_servers),
    "protected server": (403, "protected", protected_server_is_deleted),
    "server that is not there": (404, "not_found", lambda client: client.servers.get_by_id(1)),
    "type of a running server": (422, "server_not_stopped", running_server_changes_its_type),
    "key that is none": (422, "invalid_input", lambda client: client.ssh_keys.create("broken", "ssh-ed25519 nonsense")),
    "key under a second name": (
        409,
        "uniqueness_error",
        lambda client: [client.ssh_keys.create(name, PUBLIC_KEY) for name in ("one", "two")],
    ),
    "second key under a name": (
        409,
        "uniqueness_error",
        lambda client: [client.ssh_keys.create("one", key) for key in (PUBLIC_KEY, OTHER_KEY)],
    ),
    "rule without a port": (422, "invalid_input", firewall_with(port=None)),
    "rule with a port too high": (422, "invalid_input", firewall_with(port="65536")),
    "rule with a backward range": (422, "invalid_input", firewall_with(port="90-80")),
    "rule with a port for icmp": (422, "invalid_input", firewall_with(protocol="icmp")),
    "rule of an unknown protocol": (422, "invalid_input", firewall_with(protocol="sctp")),
    "rule from nowhere": (422, "invalid_input", firewall_with(source_ips=[])),
    "rule with host bits": (422, "invalid_input", firewall_with(source_ips=["10.0.0.1/8"])),
    "rule with a long description": (422, "invalid_input", firewall_with(description="x" * 256)),
    "firewall in use": (409, "resource_in_use", applied_firewall_is_deleted),
    "public network range": (422, "invalid_input", network_with("8.8.8.0/24")),
    "subnet outside": (422, "invalid_input", network_with("10.0.0.0/16", "10.1.0.0/24")),
    "subnets that overlap": (422, "invalid_input", network_with("10.0.0.0/16", "10.0.0.0/24", "10.0.0.0/25")),
    "address of a running server": (422, "server_not_stopped", address_of_a_running_server_is_deleted),
    "address of elsewhere": (422, "primary_ip_datacenter_mismatch", address_of_elsewhere_is_used),
    "group of another kind": (422, "invalid_input", lambda client: client.placement_groups.create("g", "pile")),
    "volume too small": (422, "invalid_input", lambda client: client.volumes.create(1, "v", location=Location(name="fsn1"))),
    "label selector": (422, "invalid_input", lambda client: client.servers.get_all(label_selector="a==b==c")),
    "page too long": (422, "invalid_input", lambda client: client.servers.get_list(per_page=51)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_api_refuses(case: str, there: RunningCloud, client: Api) -> None:
    status, code, request = REFUSED[case]
    with pytest.raises(APIException) as refused:
        request(client)
    assert refused.value.code == code
    assert there.cloud.statuses[-1] == status


def test_strangers_and_nonsense_are_refused(there: RunningCloud) -> None:
    with pytest.raises(APIException, match="unable to authenticate"):
        Client(token="short", api_endpoint=there.endpoint).servers.get_all()
    broken = there.cloud.answer("POST", "/v1/ssh_keys", {}, {"authorization": f"Bearer {TOKEN}"}, b"{")
    assert (broken.status, broken.document and broken.document["error"]["code"]) == (400, "json_error")
    assert there.cloud.inventory(TOKEN) == {}


def test_projects_do_not_see_each_other(there: RunningCloud, client: Api) -> None:
    make(client)
    other = Client(token="u" * 64, api_endpoint=there.endpoint)
    assert other.servers.get_all() == []
    assert make(other).public_net.ipv4.ip != client.servers.get_by_name("app").public_net.ipv4.ip


def test_a_resource_is_locked_while_an_action_runs() -> None:
    with running(action_seconds=0.3) as running_cloud:
        client: Api = Client(token=TOKEN, api_endpoint=running_cloud.endpoint, poll_interval=0.02)
        creation = client.servers.create("app", ServerType(name="cx23"), Image(name="debian-13"))
        assert client.servers.get_by_id(creation.server.id).status == "initializing"
        with pytest.raises(APIException, match="locked"):
            creation.server.power_off()
        creation.action.wait_until_finished()
        assert client.servers.get_by_id(creation.server.id).status == Server.STATUS_RUNNING


def test_faults_on_demand(there: RunningCloud, client: Api) -> None:
    there.cloud.sold_out.add(("cx23", "fsn1"))
    with pytest.raises(APIException, match="error during placement") as refused:
        make(client)
    assert refused.value.code == "resource_unavailable"
    there.cloud.failing_actions["stop_server"] = "action_failed"
    with pytest.raises(ActionFailedException):
        make(client, location=Location(name="nbg1")).power_off().wait_until_finished()


def test_the_hourly_rate_is_limited(there: RunningCloud, client: Api) -> None:
    there.cloud._tokens_left[TOKEN] = (0.0, time.monotonic())
    client._client._retry_max_retries = 0
    with pytest.raises(APIException, match="limit of 3600") as refused:
        client.servers.get_all()
    assert refused.value.code == "rate_limit_exceeded"
