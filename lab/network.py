"""The lab's two networks, on an address range that nothing else on the machine uses."""

import ipaddress
import json
from collections.abc import Iterable
from pathlib import Path

from lab.engine import docker
from lab.errors import LabError
from lab.layout import LABEL, Addresses, Layout

INTERNET, MESH = "internet", "mesh"


def ensure(layout: Layout) -> Addresses:
    """The networks' addresses; what is missing of the networks is made."""
    existing = _networks(f"{LABEL}={layout.id}")
    if len(existing) == 2:
        return Addresses(_number(existing))
    if existing:  # half-made by a run that was interrupted
        addresses = Addresses(_number(existing))
        if _create(layout, addresses, skip=existing):
            return addresses
        remove(layout)
    taken = _taken()
    for offset in range(254):
        addresses = Addresses((layout.first_number + offset - 1) % 254 + 1)
        if _free(addresses, taken) and _create(layout, addresses):
            return addresses
        remove(layout)
    raise LabError(
        "no address range of 198.18.0.0/16 and 100.64.0.0/16 is free for the lab's networks; see what uses them with "
        "`docker network ls` and `ip route`, and remove old labs with `python3 -m lab down` in their checkouts"
    )


def remove(layout: Layout) -> None:
    """Remove both networks."""
    for name in _networks(f"{LABEL}={layout.id}"):
        docker("network", "rm", name)


def _create(layout: Layout, addresses: Addresses, skip: Iterable[str] = ()) -> bool:
    """Internal bridges: the lab's Internet ends at its own cloud, and a test never depends on the real one."""
    for kind, subnet in ((INTERNET, addresses.internet), (MESH, addresses.mesh)):
        name = layout.named(kind)
        if name in skip:
            continue
        options = ("--internal", "--subnet", subnet, "--label", f"{LABEL}={layout.id}")
        if docker("network", "create", *options, name, check=False).returncode:
            return False
    return True


def _networks(label: str) -> dict[str, str]:
    """Names and subnets of the networks with this label."""
    names = docker("network", "ls", "--filter", f"label={label}", "--format", "{{.Name}}").stdout.split()
    if not names:
        return {}
    found = json.loads(docker("network", "inspect", *names).stdout)
    return {network["Name"]: network["IPAM"]["Config"][0]["Subnet"] for network in found}


def _number(networks: dict[str, str]) -> int:
    return int(next(iter(networks.values())).split(".")[2])


def _taken() -> list[ipaddress.IPv4Network]:
    """The machine's routes, Docker's networks among them."""
    routes = []
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        _, destination, _, _, _, _, _, mask, *_ = line.split()
        address, netmask = (int.from_bytes(bytes.fromhex(word), "little") for word in (destination, mask))
        if netmask:  # the default route takes nothing
            routes.append(ipaddress.IPv4Network((address, str(ipaddress.IPv4Address(netmask)))))
    return routes


def _free(addresses: Addresses, taken: list[ipaddress.IPv4Network]) -> bool:
    wanted = [ipaddress.IPv4Network(subnet) for subnet in (addresses.internet, addresses.mesh)]
    return not any(network.overlaps(other) for network in wanted for other in taken)
