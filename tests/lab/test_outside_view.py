"""What an outsider on the Internet sees of each host over IPv4 and IPv6: exactly the planned ports."""

import json
import re
import secrets
import subprocess
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Address, IPv6Network

import pytest

from components.host.firewall import public_ports
from lab import Lab, Machine
from model.firewall import firewall
from model.network import MESH, MESH_V6
from tests.lab.deployment import Deployment
from tests.lab.reach import listener
from tests.support.fleets import inputs

FLEET = inputs("prod").fleet
HOSTS = tuple(placement.host.name for placement in FLEET.placements)
CLOSED_UDP = (53, 123, 161, 3478, 8125, 51820)
"""Checked on waza, which does not even serve STUN."""
FORGED = "100.64.99.77"

_ASK_UDP = """
import socket, sys
host, port, packet = sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3])
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
    asking.settimeout(2)
    asking.sendto(packet, (host, port))
    try:
        print(asking.recv(2048).hex())
    except TimeoutError:
        pass
"""

_HEAR_UDP = """
import json, select, socket, sys, time
*ports, seconds = map(int, sys.argv[1:])
sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in ports]
for each, port in zip(sockets, ports):
    each.bind(("", port))
print("listening", flush=True)
heard, end = [], time.monotonic() + seconds
while (left := end - time.monotonic()) > 0:
    for each in select.select(sockets, [], [], left)[0]:
        heard.append([each.getsockname()[1], each.recvfrom(64)[1][0]])
print(json.dumps(heard))
"""


@pytest.fixture(autouse=True, scope="module")
def deployed(_deployment: Deployment) -> Deployment:
    return _deployment


def test_of_all_tcp_ports_exactly_the_planned_ones_are_open(lab: Lab) -> None:
    assert scan(lab, HOSTS) == planned(lab, HOSTS)


def test_the_scan_sees_a_port_that_somebody_opened(lab: Lab) -> None:
    port = 48321
    rules = [[program, "-I", "INPUT", "-p", "tcp", "--dport", str(port), "-j", "ACCEPT"] for program in ("iptables", "ip6tables")]
    with listener(lab.waza, port):
        for rule in rules:
            lab.waza.run(rule)
        try:
            found = scan(lab, ["waza"])
        finally:
            for rule in rules:
                lab.waza.run(["-D" if word == "-I" else word for word in rule])
    addresses = lab.addresses
    assert found == {addresses.on_internet("waza"): {port}, addresses.on_internet_v6("waza"): {port}}


def test_no_public_name_has_an_ipv6_address(lab: Lab) -> None:
    names = [*(site.host for site in FLEET.sites()), *(f"{host}.{FLEET.domain}" for host in HOSTS)]
    names = [name.replace(FLEET.domain, "vpai.test") for name in names]
    for name in names:
        assert _resolve(lab.outsider, name, "A"), name
        assert not _resolve(lab.outsider, name, "AAAA"), name
    assert not _resolve(lab.outsider, "sese.na.vpai.test", "A"), "the mesh's own names are nobody else's"


def test_quic_is_answered_by_caddy(lab: Lab) -> None:
    # RFC 9000, 6.1: a server answers an unknown version with the versions that it supports.
    unknown = b"\xc0\x1a\x2a\x3a\x4a" + b"\x08" + secrets.token_bytes(8) + b"\x00" + bytes(1200)
    for host in ("sese", "seko"):
        answer = _ask_udp(lab, host, 443, unknown)
        assert answer[1:5] == bytes(4), f"{host}: no version negotiation"
    assert not _ask_udp(lab, "waza", 443, unknown)


def test_stun_tells_the_strangers_own_address(lab: Lab) -> None:
    request = _stun_request()
    answer = _ask_udp(lab, "seko", 3478, request)
    assert answer[:2] == b"\x01\x01", "a binding response"
    # RFC 8489, 14.2: XOR-MAPPED-ADDRESS, here IPv6 with the IPv4 address in its last bytes, XORed with cookie and transaction id.
    mapped = bytes(a ^ b for a, b in zip(answer[-16:], request[4:20], strict=True))
    assert str(IPv6Address(mapped).ipv4_mapped) == lab.addresses.on_internet("outsider")


@pytest.mark.parametrize("host", HOSTS)
def test_wireguard_lets_packets_in_although_it_answers_no_stranger(lab: Lab, host: str) -> None:
    machine = _machine(lab, host)
    before = _packets(machine, "ufw-user-input", "--dport 41641")
    assert not _ask_udp(lab, host, 41641, b"hello")
    assert _packets(machine, "ufw-user-input", "--dport 41641") > before


def test_udp_that_no_rule_names_is_never_heard(lab: Lab) -> None:
    address = lab.addresses.on_internet("waza")
    command = [*lab.waza.exec_command(), "python3", "-c", _HEAR_UDP, *map(str, CLOSED_UDP), "4"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as hearing:
        assert hearing.stdout
        assert hearing.stdout.readline() == "listening\n"
        send = f"for port in {' '.join(map(str, CLOSED_UDP))}; do echo hello >/dev/udp/{address}/$port; done"
        for machine in (lab.outsider, lab.waza):
            machine.run(["bash", "-c", send])
        heard = json.loads(hearing.stdout.readline())
    assert sorted(heard) == [[port, address] for port in CLOSED_UDP], "waza hears itself, and nobody else"


@pytest.mark.parametrize(("program", "network"), [("iptables", MESH), ("ip6tables", MESH_V6)])
def test_a_forged_mesh_address_is_dropped(lab: Lab, program: str, network: IPv4Network | IPv6Network) -> None:
    forged, flag, place = (
        (FORGED, "-4", lab.addresses.on_internet)
        if network == MESH
        else ("fd7a:115c:a1e0::77:77", "-6", lab.addresses.on_internet_v6)
    )
    with _address(lab.outsider, forged, flag):
        for host in HOSTS:
            before = _packets(_machine(lab, host), "VPAI-MESH", "-j DROP", program, "raw")
            _knock(lab, forged, place(host))
            assert _packets(_machine(lab, host), "VPAI-MESH", "-j DROP", program, "raw") > before, host


def test_without_that_rule_a_forger_would_be_served_as_a_member(lab: Lab) -> None:
    """The rule's reason: the answer to a forged address follows the next route, here back to the forger."""
    ask = ["curl", "-sk", "--interface", FORGED, "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "3"]
    ask += ["https://llm.vpai.test/v1/models"]
    back = ("route", "add", FORGED, "via", lab.addresses.on_internet("outsider"))
    with _address(lab.outsider, FORGED, "-4"):
        lab.sese.run(["ip", *back])
        try:
            assert lab.outsider.run(ask, check=False).stdout == "000"
            lab.sese.run(["iptables", "-t", "raw", "-D", "PREROUTING", "-j", "VPAI-MESH"])
            assert lab.outsider.run(ask, check=False).stdout == "401", "LiteLLM itself asks for a key: Caddy took it for a member"
        finally:
            lab.sese.run(["vpai-forward"])
            lab.sese.run(["ip", "route", "del", *back[2:]])


def test_a_restart_of_docker_changes_nothing_of_it(lab: Lab) -> None:
    before = rules(lab.sese)
    lab.sese.run(["systemctl", "restart", "docker"])
    assert rules(lab.sese) == before
    lab.sese.run(["vpai-forward", "check"])
    assert scan(lab, ["sese"]) == planned(lab, ["sese"])
    ask = ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "10", "https://llm.vpai.test/v1/models"]
    assert lab.operator.run(ask).stdout == "401", "a member is served: LiteLLM itself asks for a key"
    assert lab.outsider.run(ask).stdout == "403"


def test_after_a_restart_of_docker_nobody_answers_for_a_container_that_has_ended(deployed: Deployment) -> None:
    """Docker then forgets the interface; without a fix an ended container answers at its successor's address forever (ADR 27)."""
    own, reached = json.loads(
        deployed.on_host("bash", "-c", _SUCCESSOR, "bash", deployed.container("webhook-gate"), deployed.container("caddy"))
    )
    assert own, "the successor has another address: this shows nothing"
    assert reached < 5000


_SUCCESSOR = r"""
set -euo pipefail
of() { docker inspect -f "$2" "$1"; }
network=$(of "$1" '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}')
image=$(of "$2" '{{.Image}}')
run() { docker run -d "$@" --entrypoint caddy "$image" respond --listen :9999; }
address() { of "$1" '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'; }
answers() { docker exec "$caddy" wget -q -T 1 -O /dev/null "http://$address:9999"; }
caddy=$2
first=$(run --network "$network")
# As whoever measures the host, it sees all of it, and so holds every network namespace that there is.
sees=$(run --network none --volume /:/host:ro)
trap 'docker rm -f "$first" "$sees" "${second:-}" >/dev/null 2>&1 || true' EXIT
systemctl restart docker
address=$(address "$first")
until answers; do sleep 0.2; done
docker rm -f "$first" >/dev/null
second=$(run --network "$network")
since=$(date +%s%N)
for _ in {1..100}; do
	if answers; then break; fi
	sleep 0.2
done 2>/dev/null
jq -nc --arg first "$address" --arg second "$(address "$second")" --argjson ms "$((($(date +%s%N) - since) / 1000000))" \
	'[$first == $second, $ms]'
"""
"""Prints whether a container's successor has its address, and after how many ms Caddy reaches it there. Both containers are on
the network of the first argument, and run the image of the second."""


def scan(lab: Lab, hosts: Sequence[str]) -> dict[str, set[int]]:
    """Every open TCP port of `hosts`, by address, scanned from the outsider."""
    v4 = [lab.addresses.on_internet(host) for host in hosts]
    v6 = [lab.addresses.on_internet_v6(host) for host in hosts]
    with ThreadPoolExecutor() as pool:
        v4_found, v6_found = pool.map(lambda wanted: _nmap(lab.outsider, *wanted), ((v4, "-4"), (v6, "-6")))
    return {**v4_found, **v6_found}


def planned(lab: Lab, hosts: Sequence[str]) -> dict[str, set[int]]:
    """The planned open TCP ports by address; none over IPv6, where Docker publishes nothing."""
    by_name = {placement.host.name: placement for placement in FLEET.placements}
    opened = {
        lab.addresses.on_internet(host): {
            opening.port for opening in public_ports(firewall(by_name[host])) if opening.protocol == "tcp"
        }
        for host in hosts
    }
    return {**opened, **{lab.addresses.on_internet_v6(host): set() for host in hosts}}


def rules(machine: Machine) -> str:
    """The loaded rules for forwarded and for forged packets."""
    return machine.run(["sh", "-c", "iptables -S DOCKER-USER; iptables -t raw -S; ip6tables -t raw -S"]).stdout


def _nmap(machine: Machine, addresses: Sequence[str], family: str) -> dict[str, set[int]]:
    """A SYN scan of all 65535 ports, repeated for silent ones, since nearly all ports are silent."""
    speed = ("-T5", "--min-rate", "50000", "--max-retries", "1")
    shown = machine.run(
        ["nmap", *(("-6",) if family == "-6" else ()), "-n", "-Pn", "-sS", "-p-", *speed, "-oG", "-", *addresses], timeout=120
    ).stdout
    found: dict[str, set[int]] = {address: set() for address in addresses}
    for address, ports in re.findall(r"^Host: (\S+) .*Ports: (.*?)(?:\t|$)", shown, re.MULTILINE):
        found[address] |= {int(port) for port in re.findall(r"(\d+)/open/", ports)}
    assert shown.count("Status: Up") == len(addresses), shown
    return found


def _resolve(machine: Machine, name: str, kind: str) -> list[str]:
    return machine.run(["dig", "+short", name, kind]).stdout.split()


def _ask_udp(lab: Lab, host: str, port: int, packet: bytes) -> bytes:
    address = lab.addresses.on_internet(host)
    return bytes.fromhex(lab.outsider.run(["python3", "-c", _ASK_UDP, address, str(port), packet.hex()]).stdout.strip())


def _stun_request() -> bytes:
    """A binding request in the form of Tailscale's clients: its STUN server answers no other."""
    software = b"\x80\x22\x00\x08tailnode"
    cookie, transaction = bytes.fromhex("2112a442"), secrets.token_bytes(12)
    body = b"\x00\x01" + (len(software) + 8).to_bytes(2, "big") + cookie + transaction + software
    return body + b"\x80\x28\x00\x04" + (zlib.crc32(body) ^ 0x5354554E).to_bytes(4, "big")


def _packets(machine: Machine, chain: str, rule: str, program: str = "iptables", table: str = "filter") -> int:
    """Packet count of the single rule of `chain` that contains `rule`."""
    shown = machine.run([program, "-t", table, "-v", "-S", chain]).stdout
    [line] = [line for line in shown.splitlines() if line.startswith("-A") and rule in line.replace(" -c", "")]
    return int(line.split(" -c ")[1].split()[0])


def _knock(lab: Lab, source: str, target: str) -> None:
    ask = ["curl", "-sk", "--interface", source, "--max-time", "1", f"https://{f'[{target}]' if ':' in target else target}/"]
    lab.outsider.run(ask, check=False)


def _machine(lab: Lab, name: str) -> Machine:
    machines: Mapping[str, Machine] = {machine.name: machine for machine in lab.hosts}
    return machines[name]


@contextmanager
def _address(machine: Machine, address: str, family: str) -> Iterator[None]:
    flags = ("nodad",) if family == "-6" else ()
    machine.run(["ip", family, "address", "add", address, "dev", "eth0", *flags])
    try:
        yield
    finally:
        machine.run(["ip", family, "address", "del", address, "dev", "eth0"])
