"""Every container, as its own user, reaches exactly what docs/security.md says.

The host's Python enters a container's namespaces, takes its user and capabilities, and tries; so images without a shell are
tested too.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from ipaddress import IPv4Address
from typing import Any

import pytest

from components.docker.docker_host import LABEL_SERVICE
from lab import Lab, Machine
from model.network import MAGIC_DNS
from model.placement import Placement
from model.service import Service
from services.networks import EGRESS, FRONTEND, UPLINK
from tests.lab import test_mesh
from tests.lab.deployment import Deployment
from tests.lab.reach import Target, listener
from tests.lab.test_isolation import LISTENER, METADATA, PRIVATE
from tests.support.fleets import inputs

HOSTS = ("sese", "seko", "waza")
SOCKETS = ("/run/docker.sock", "/run/containerd/containerd.sock", "/run/dbus/system_bus_socket", "/run/tailscale/tailscaled.sock")
"""Sockets of a host; root in a container that can open one of them is root on the host."""
FLEET = inputs("lab").fleet
VICTIM = "/etc/vpai-victim"
_MARKER = "/var/lib/vpai-marker"
NAMES = (
    *("parts", "current", ".current", "policy.json", "records.json", ".policy.json", ".records.json"),
    *(".lab.old", ".lab.draft", "lab.part", ".planted.old", ".planted.draft", "planted.part", "environment"),
)
"""Names that a script of root's writes, or used to write."""

_INSIDE = """
import asyncio, ctypes, json, os, platform, socket, sys
asked = json.load(sys.stdin)
pid = asked["pid"]
said = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status") if ":" in line)
uid, gid = (int(said[name].split()[1]) for name in ("Uid", "Gid"))
groups = [int(group) for group in said["Groups"].split()]
able = int(said["CapEff"], 16)
if asked["user"]:
    uid, gid = map(int, asked["user"].split(":"))
    groups, able = [], 0
namespaces = [os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY) for name in ("net", "mnt")]
libc = ctypes.CDLL(None, use_errno=True)
loop = asyncio.new_event_loop()
for namespace in namespaces:
    os.setns(namespace)
os.setgroups(groups)
os.setgid(gid)
os.setuid(uid)
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
low, high = able & 0xFFFFFFFF, able >> 32
sets = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
assert uid or libc.syscall({"x86_64": 126, "aarch64": 91}[platform.machine()], header, sets) == 0, ctypes.get_errno()

def opens(path):
    with socket.socket(socket.AF_UNIX) as tried:
        try:
            tried.connect(path)
        except OSError:
            return False
    return True

async def answers(address, port, slots):
    async with slots:
        tried = socket.socket()
        tried.setblocking(False)
        try:
            await asyncio.wait_for(loop.sock_connect(tried, (address, port)), 2.5)
        except (OSError, asyncio.TimeoutError):
            return False
        finally:
            tried.close()
        return True

async def main():
    slots = asyncio.Semaphore(200)
    return await asyncio.gather(*(answers(*target, slots) for target in asked["targets"]))

planted = []
for directory in asked["plant"]:
    for name in asked["names"]:
        try:
            os.symlink(asked["victim"], f"{directory}/{name}")
        except (FileExistsError, PermissionError):
            continue
        planted.append(f"{directory}/{name}")
reached = loop.run_until_complete(main())
print(json.dumps({
    "user": uid,
    "reached": [target for target, answered in zip(asked["targets"], reached) if answered],
    "opened": [path for path in asked["sockets"] if opens(path)],
    "planted": planted,
}))
"""


class Inside:
    """The container of a service."""

    def __init__(self, machine: Machine, service: Service) -> None:
        self.machine, self.service = machine, service
        label = f"label={LABEL_SERVICE}={service.name}"
        self.id = machine.run(["docker", "ps", "-q", "--filter", label]).stdout.split()[0]
        self.pid = int(machine.run(["docker", "inspect", "-f", "{{.State.Pid}}", self.id]).stdout)

    def tries(self, targets: Collection[Target] = (), *, plant: bool = False, user: str = "") -> Mapping[str, Any]:
        """The `targets` that it reaches, the host's sockets that it opens, and the links that it can leave in its data.

        `user` (uid:gid) is one of the users that the container runs a part as; empty: the user of its first process.
        """
        mounts = [("/", ""), *((mount.path, mount.container_path) for mount in self.service.host_mounts)]
        sockets = {
            f"{inside.rstrip('/')}/{socket.removeprefix(path).lstrip('/')}"
            for path, inside in mounts
            for socket in SOCKETS
            if socket.startswith(path)
        }
        asked = {
            "pid": self.pid,
            "user": user,
            "targets": sorted(targets),
            "sockets": sorted({*sockets, *(f"/var{socket}" for socket in SOCKETS)}),
            "plant": [volume.path for volume in self.service.volumes if not volume.read_only] if plant else [],
            "names": NAMES,
            "victim": VICTIM,
        }
        done = self.machine.run(["python3", "-c", _INSIDE], input=json.dumps(asked), check=False, timeout=90)
        assert done.returncode == 0, f"{self.service.name}: {done.stderr}"
        found: Mapping[str, Any] = json.loads(done.stdout)
        return found

    @property
    def listens(self) -> set[Target]:
        """The container's addresses with its open ports."""
        shown = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        addresses = self.machine.run(["docker", "inspect", "-f", shown, self.id]).stdout.split()
        within = ["nsenter", "--net", "--target", str(self.pid), "ss", "-Hltn"]
        local = [line.split()[3].rpartition(":") for line in self.machine.run(within).stdout.splitlines()]
        everywhere = {int(port) for address, _, port in local if address in ("0.0.0.0", "*", "[::]")}
        return {(address, port) for address in addresses for port in everywhere} | {
            (address, int(port)) for address, _, port in local if address in addresses
        }


@pytest.fixture(scope="module")
def mesh(lab: Lab, _deployment: Deployment) -> dict[str, str]:
    return {machine.name: machine.run(["tailscale", "ip", "-4"]).stdout.strip() for machine in (*lab.hosts, lab.operator)}


@pytest.fixture(scope="module")
def _listeners(lab: Lab, _deployment: Deployment) -> Iterator[None]:
    """Listeners on all machines: a forbidden target would answer."""
    with ExitStack() as stack:
        for machine in (*lab.hosts, lab.operator, lab.cloud):
            stack.enter_context(listener(machine, LISTENER))
        for address in (METADATA, *PRIVATE):
            lab.cloud.run(["ip", "address", "add", f"{address}/32", "dev", "lo"])
            stack.callback(lab.cloud.run, ["ip", "address", "del", f"{address}/32", "dev", "lo"])
        yield


@pytest.mark.parametrize("host", HOSTS)
def test_each_container_reaches_what_is_computed_and_opens_no_socket_of_its_host(
    lab: Lab, _listeners: None, mesh: dict[str, str], host: str
) -> None:
    placement, machine = _placement(host), getattr(lab, host)
    inside = {service.name: Inside(machine, service) for service in placement.services}
    listens = {name: container.listens for name, container in inside.items()}
    members = {(mesh[other], port) for other in mesh if other != host for port in (22, 804, 80, 443, LISTENER)}
    gateways = [str(network.gateway) for network in placement.networks]
    own = {(address, port) for address in (*gateways, mesh[host]) for port in (22, 804, LISTENER)}
    outside = {(address, LISTENER) for address in (METADATA, *PRIVATE)} | {(lab.addresses.on_internet("cloud"), 443)}
    wrong = {}
    for service in placement.services:
        others = set().union(*(ports for name, ports in listens.items() if name != service.name))
        allowed = _allowed(lab, placement, service, listens, mesh)
        for user, uid in zip(("", *service.other_users), service.uids, strict=True):
            tried = inside[service.name].tries(others | members | own | outside | {(str(MAGIC_DNS), 53)}, user=user)
            reached = {(str(target[0]), int(target[1])) for target in tried["reached"]}
            opened = {path for path in tried["opened"] if not service.opens_docker}
            if reached != allowed or opened or tried["user"] != uid:
                wrong[service.name] = (reached - allowed, allowed - reached, opened, tried["user"])
    assert wrong == {}, "service: (reached and not allowed, allowed and not reached, sockets, user)"


def test_links_that_a_container_plants_in_its_data_lead_no_script_of_roots_anywhere(lab: Lab, stack: Deployment) -> None:
    make = f"umask 077; echo mine >{VICTIM}; touch -d 2020-01-01 {VICTIM}; touch {_MARKER}"
    looks = f"cat {VICTIM}; stat -c '%a %u %Y' {VICTIM}"
    # tailscaled rewrites resolv.conf when names change.
    directories = "/etc /usr/local /root /home/deploy /var/spool"
    changed = rf"find {directories} -xdev -newer {_MARKER} ! -path /etc/resolv.conf \( -type f -o -type l \)"
    before = {}
    planted: dict[str, list[str]] = {}
    for host in HOSTS:
        machine = getattr(lab, host)
        machine.run(["sh", "-c", make])
        before[host] = machine.run(["sh", "-c", looks]).stdout
        for service in _placement(host).services:
            inside_of = Inside(machine, service)
            left = [link for user in ("", *service.other_users) for link in inside_of.tries(plant=True, user=user)["planted"]]
            inside = {volume.path: f"/opt/javisi/data/{volume.directory}" for volume in service.volumes}
            for link in left:
                path, _, name = link.rpartition("/")
                planted.setdefault(host, []).append(f"{inside[path]}/{name}")
    try:
        assert {host: len(links) for host, links in planted.items()}.keys() == set(HOSTS)
        stack.up("--refresh")
        stack.operate("drift")
        part = {"policy": {"tagOwners": {}, "acls": []}, "records": {"planted.vpai.test": "waza"}}
        try:
            test_mesh._publish(lab, stack, "planted", part)
            test_mesh._publish(lab, stack, "planted", part)
        finally:
            test_mesh._hub_script(lab, stack, "withdraw", "planted")
        for host in HOSTS:
            machine = getattr(lab, host)
            assert machine.run(["sh", "-c", looks]).stdout == before[host], host
            assert machine.run(["sh", "-c", changed]).stdout == "", host
    finally:
        for host, links in planted.items():
            getattr(lab, host).run(["rm", "-f", *links])
        for host in HOSTS:
            getattr(lab, host).run(["rm", "-f", VICTIM, _MARKER])


def _allowed(
    lab: Lab, placement: Placement, service: Service, listens: Mapping[str, set[Target]], mesh: Mapping[str, str]
) -> set[Target]:
    ranges = {network.name: network.cidr for network in placement.networks}
    near = {
        (address, port)
        for name, targets in listens.items()
        if name != service.name
        for address, port in targets
        if any(IPv4Address(address) in ranges[network] for network in service.networks)
    }
    way_out = set(service.networks) & {FRONTEND.name, EGRESS.name, UPLINK.name}
    internet = {(lab.addresses.on_internet("cloud"), 443)} if way_out else set()
    linked = {(str(MAGIC_DNS), 53)} | {(mesh[other], 443) for other in ("sese", "seko") if other != placement.host.name}
    return near | internet | (linked if UPLINK.name in service.networks else set())


def _placement(host: str) -> Placement:
    return next(placement for placement in FLEET.placements if placement.host.name == host)
