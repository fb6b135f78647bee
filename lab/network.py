"""The lab's network, on an address range that nothing else on the machine uses."""

import ipaddress
import json
from pathlib import Path
from typing import Any

from lab.engine import docker
from lab.errors import LabError
from lab.layout import LABEL, Addresses, Layout

INTERNET = "internet"

_RECIPE = f"{LABEL}.recipe"
_OPTIONS = ("--ipv6", "--opt", "com.docker.network.bridge.inhibit_ipv4=true")
"""The machine itself has no address on the bridge. The lab's cloud is the gateway and answers for public resolvers, so that no
test depends on the real Internet."""


def outdated(layout: Layout) -> bool:
    """Whether another version of this program made the networks of this lab."""
    return any(network["Labels"].get(_RECIPE) != " ".join(_OPTIONS) for network in _networks(layout))


def ensure(layout: Layout) -> Addresses:
    """The network's addresses; the network is created if missing."""
    for network in _networks(layout):
        return Addresses(int(network["IPAM"]["Config"][0]["Subnet"].split(".")[2]))
    taken = _taken()
    for offset in range(254):
        addresses = Addresses((layout.first_number + offset - 1) % 254 + 1)
        if _free(addresses, taken) and _create(layout, addresses):
            return addresses
    raise LabError(
        "no address range of 198.18.0.0/16 is free for the lab's network; see what uses them with `docker network ls` and "
        "`ip route`, and remove old labs with `python3 -m lab down` in their checkouts"
    )


def remove(layout: Layout) -> None:
    """Remove the networks with this lab's label."""
    for network in _networks(layout):
        docker("network", "rm", network["Name"])


def _create(layout: Layout, addresses: Addresses) -> bool:
    labels = (f"--label={LABEL}={layout.id}", f"--label={_RECIPE}={' '.join(_OPTIONS)}")
    subnets = ("--subnet", addresses.internet, "--subnet", addresses.internet_v6)
    create = docker("network", "create", *labels, *_OPTIONS, *subnets, layout.named(INTERNET), check=False)
    return create.returncode == 0


def _networks(layout: Layout) -> list[dict[str, Any]]:
    """`docker network inspect` of each network with this lab's label."""
    names = docker("network", "ls", "--filter", f"label={LABEL}={layout.id}", "--format", "{{.Name}}").stdout.split()
    return json.loads(docker("network", "inspect", *names).stdout) if names else []


def _taken() -> list[ipaddress.IPv4Network]:
    """The subnets of the machine's routes, Docker's networks included."""
    routes = []
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        _, destination, _, _, _, _, _, mask, *_ = line.split()
        address, netmask = (int.from_bytes(bytes.fromhex(word), "little") for word in (destination, mask))
        if netmask:  # the default route occupies no range
            routes.append(ipaddress.IPv4Network((address, str(ipaddress.IPv4Address(netmask)))))
    return routes


def _free(addresses: Addresses, taken: list[ipaddress.IPv4Network]) -> bool:
    wanted = ipaddress.IPv4Network(addresses.internet)
    return not any(wanted.overlaps(other) for other in taken)
