"""What containers, members and the workstation cannot reach, tried from inside, against listeners that would answer.

`reached` is always compared with everything that may be reached. Each forbidden address is first reached from somewhere else: a
listener that does not run would prove nothing.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from components.docker.docker_host import LABEL_SERVICE
from lab import Lab, Machine
from model.network import MAGIC_DNS
from model.placement import Placement
from services.networks import EGRESS, FRONTEND, HUB, MONITORING, NETWORKS, UPLINK
from tests.lab.deployment import Deployment
from tests.lab.reach import Target, listener, reached
from tests.support.fleets import inputs

SSH = (22, 804)
LISTENER = 8099
"""A port that no rule opens; a listener answers on it."""
METADATA = "169.254.169.254"
PRIVATE = ("10.99.0.1", "172.31.99.1", "192.168.99.1")
"""Neighbours in a provider's or a home's network, played by the cloud, which is every host's default gateway."""

DEFAULT_BRIDGE = "bridge"
NETWORKS_OF = {"sese": NETWORKS, "seko": (HUB, MONITORING, EGRESS, UPLINK), "waza": (MONITORING, UPLINK)}
INSIDE = (*((host, network.name) for host, networks in NETWORKS_OF.items() for network in networks),)
WITH_A_WAY_OUT = (FRONTEND.name, EGRESS.name, UPLINK.name, DEFAULT_BRIDGE)
WITH_WGET = {"sese": "caddy", "seko": "caddy", "waza": "node-exporter"}
"""Service whose image a test's container uses."""


@dataclass(frozen=True)
class Inside:
    """A test's container on one network of a host."""

    machine: Machine
    id: str
    namespace: tuple[str, ...]
    """Prefix that runs a command of the host in the container's network namespace."""

    def reached(self, *targets: Target) -> set[Target]:
        return reached(self.machine, targets, within=self.namespace)

    def answer(self, url: str) -> str:
        """The output of the container's own HTTP client for `url`; the container resolves the name."""
        done = self.machine.run(["docker", "exec", self.id, "wget", "-T", "3", "-O", "/dev/null", url], check=False)
        return done.stderr.strip()


@pytest.fixture(scope="module")
def mesh(lab: Lab) -> dict[str, str]:
    """Mesh addresses by host name."""
    machines = (*lab.hosts, lab.operator)
    return {machine.name: machine.run(["tailscale", "ip", "-4"]).stdout.strip() for machine in machines}


@pytest.fixture(scope="module")
def listeners(lab: Lab, _deployment: Deployment) -> Iterator[None]:
    """Listeners on `LISTENER` on every machine, and on the cloud's private addresses."""
    with ExitStack() as stack:
        for machine in (*lab.hosts, lab.operator, lab.cloud):
            stack.enter_context(listener(machine, LISTENER))
        for address in (METADATA, *PRIVATE):
            stack.enter_context(_address(lab.cloud, address))
        yield


@pytest.fixture(scope="module")
def containers(lab: Lab, _deployment: Deployment) -> Iterator[dict[tuple[str, str], Inside]]:
    """A container on every network, by host and network."""
    with ExitStack() as stack:
        places = [*INSIDE, ("sese", DEFAULT_BRIDGE)]
        yield {(host, network): stack.enter_context(_container(lab, host, network)) for host, network in places}


@pytest.mark.parametrize(("host", "network"), [*INSIDE, ("sese", DEFAULT_BRIDGE)])
def test_a_container_reaches_no_host_no_member_and_no_private_address(
    lab: Lab,
    listeners: None,
    containers: dict[tuple[str, str], Inside],
    mesh: dict[str, str],
    host: str,
    network: str,
) -> None:
    own = {(address, port) for address in _own_addresses(lab, host, mesh) for port in (*SSH, LISTENER)}
    others = [machine.name for machine in (*lab.hosts, lab.operator) if machine.name != host]
    members = {(mesh[other], port) for other in others for port in (*SSH, 80, 443, LISTENER)}
    private = {(address, LISTENER) for address in (METADATA, *PRIVATE)}
    public_ssh = {(lab.addresses.on_internet(other.name), port) for other in lab.hosts for port in SSH}
    headscale = {(address, port) for address in (mesh["seko"], lab.addresses.on_internet("seko")) for port in (9090, 50443)}
    internet = {(lab.addresses.on_internet("cloud"), 443)}
    names = {(str(MAGIC_DNS), 53)}
    # Allowed by UPLINK. The mesh's policy lets a host reach the sites of all others, and port 443 serves sites alone.
    linked = names | {(mesh[other], 443) for other in ("sese", "seko") if other != host}

    found = containers[host, network].reached(*own, *members, *private, *public_ssh, *headscale, *internet, *names)
    assert found == (internet if network in WITH_A_WAY_OUT else set()) | (linked if network == UPLINK.name else set())


@pytest.mark.parametrize("host", ["sese", "seko"])
def test_the_hosts_themselves_reach_what_their_containers_must_not(
    lab: Lab, listeners: None, mesh: dict[str, str], host: str
) -> None:
    """This shows that the targets of the test above exist."""
    machine = lab.sese if host == "sese" else lab.seko
    own = {(address, port) for address in _own_addresses(lab, host, mesh) for port in (804, LISTENER)}
    other = "seko" if host == "sese" else "sese"
    elsewhere = {(address, LISTENER) for address in (METADATA, *PRIVATE)} | {(mesh[other], 443)}
    assert reached(machine, own | elsewhere) == own | elsewhere


@pytest.mark.parametrize(
    ("rule", "target"),
    [
        ("-d 169.254.0.0/16 -i br-+ -j DROP", (METADATA, LISTENER)),
        ("-d 192.168.0.0/16 -i br-+ -j DROP", ("192.168.99.1", LISTENER)),
        ("-d 100.64.0.0/10 -i br-+ -j DROP", ("seko in the mesh", 443)),
    ],
)
def test_without_its_rule_the_same_probe_succeeds(
    lab: Lab,
    listeners: None,
    containers: dict[tuple[str, str], Inside],
    mesh: dict[str, str],
    rule: str,
    target: Target,
) -> None:
    address, port = target
    wanted = (mesh["seko"] if address.startswith("seko") else address, port)
    container = containers["sese", EGRESS.name]
    assert not container.reached(wanted)
    lab.sese.run(["iptables", "-D", "DOCKER-USER", *rule.split()])
    try:
        assert container.reached(wanted) == {wanted}
    finally:
        lab.sese.run(["vpai-forward"])
    lab.sese.run(["vpai-forward", "check"])
    assert not container.reached(wanted)


@pytest.mark.parametrize(("host", "network"), [("sese", EGRESS.name), ("sese", FRONTEND.name), ("seko", EGRESS.name)])
def test_a_container_with_a_way_out_resolves_and_reaches_a_provider(
    containers: dict[tuple[str, str], Inside], host: str, network: str
) -> None:
    assert "401" in containers[host, network].answer("https://api.openai.com/v1/models"), "the stand-in asks for a key"


def test_a_container_without_a_way_out_reaches_no_provider(containers: dict[tuple[str, str], Inside]) -> None:
    assert "401" not in containers["sese", "backend"].answer("https://api.openai.com/v1/models")


def test_headscales_api_is_served_to_nobody(lab: Lab, containers: dict[tuple[str, str], Inside]) -> None:
    api = "https://singa.vpai.test/api/v1/node"
    assert "404" in containers["sese", EGRESS.name].answer(api)
    # On the hub's own host not even a refusal: Docker drops packets from one bridge to another through the host.
    assert "timed out" in containers["seko", EGRESS.name].answer(api)
    for machine in (lab.operator, lab.outsider, lab.waza):
        asked = machine.run(["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", api])
        assert asked.stdout == "404"


def test_the_workstation_reaches_sites_and_no_database(lab: Lab, mesh: dict[str, str]) -> None:
    sese = lab.addresses.on_internet("sese")
    databases = {
        (_container_address(lab, "postgresql"), 5432),
        (_container_address(lab, "redis"), 6379),
    }
    assert reached(lab.sese, databases) == databases, "the host itself reaches them"
    asked = {*databases, *((address, port) for address in (sese, mesh["sese"]) for port in (5432, 6379, 804, 80, 443))}
    route = ("172.20.0.0/16", "via", sese)
    lab.waza.run(["ip", "route", "add", *route])  # a neighbour in the provider's network can set any route
    try:
        found = reached(lab.waza, asked)
    finally:
        lab.waza.run(["ip", "route", "del", *route])
    assert found == {(address, port) for address in (sese, mesh["sese"]) for port in (80, 443)}


def test_the_operator_reaches_ssh_and_sites_over_the_mesh_and_nothing_else(
    lab: Lab, listeners: None, mesh: dict[str, str]
) -> None:
    ports = {*range(1, 513), 804, 2375, 2376, 3000, 4000, 5432, 5678, 6379, 8080, LISTENER, 9090, 9100, 50443}
    asked = {(mesh[host], port) for host in ("sese", "seko", "waza") for port in ports}
    sites = {(mesh[host], port) for host in ("sese", "seko") for port in (80, 443)}
    assert reached(lab.operator, asked) == sites | {(mesh[host], 804) for host in ("sese", "seko", "waza")}


@pytest.mark.parametrize("host", ["sese", "seko", "waza"])
def test_nobody_reaches_the_operator_over_the_mesh(lab: Lab, listeners: None, mesh: dict[str, str], host: str) -> None:
    [machine] = [machine for machine in lab.hosts if machine.name == host]
    public = lab.addresses.on_internet("operator")
    assert reached(machine, {(mesh["operator"], LISTENER), (public, LISTENER)}) == {(public, LISTENER)}


def _own_addresses(lab: Lab, host: str, mesh: dict[str, str]) -> tuple[str, ...]:
    """Every IPv4 address by which a container could reach its own host."""
    gateways = [network.gateway for network in _placement(host).networks]
    return (*gateways, lab.addresses.on_internet(host), mesh[host])


def _placement(host: str) -> Placement:
    return next(placement for placement in inputs("prod").fleet.placements if placement.host.name == host)


def _container_address(lab: Lab, service: str) -> str:
    container = lab.sese.run(["docker", "ps", "-q", "--filter", f"label={LABEL_SERVICE}={service}"]).stdout.strip()
    shown = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
    return lab.sese.run(["docker", "inspect", "-f", shown, container]).stdout.split()[0]


@contextmanager
def _container(lab: Lab, host: str, network: str) -> Iterator[Inside]:
    """An idle container: the host's programs test in its network namespace."""
    [machine] = [machine for machine in lab.hosts if machine.name == host]
    other = machine.run(["docker", "ps", "-q", "--filter", f"label={LABEL_SERVICE}={WITH_WGET[host]}"]).stdout.strip()
    image = machine.run(["docker", "inspect", "-f", "{{.Image}}", other]).stdout.strip()
    joined = network if network == DEFAULT_BRIDGE else f"javisi_{network}"
    command = ["docker", "run", "-d", "--rm", "--network", joined, "--entrypoint", "sleep", image, "900"]
    container = machine.run(command).stdout.strip()
    try:
        pid = machine.run(["docker", "inspect", "-f", "{{.State.Pid}}", container]).stdout.strip()
        yield Inside(machine, container, ("nsenter", "--net", "--target", pid))
    finally:
        machine.run(["docker", "rm", "-f", container])


@contextmanager
def _address(machine: Machine, address: str) -> Iterator[None]:
    machine.run(["ip", "address", "add", f"{address}/32", "dev", "lo"])
    try:
        yield
    finally:
        machine.run(["ip", "address", "del", f"{address}/32", "dev", "lo"])
