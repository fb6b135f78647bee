"""Networks: those that a container joins, and their ranges."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from itertools import combinations

from model.network import DOCKER_POOL, MESH, MESH_V6
from policy.meaning.ranges import ranges
from policy.program import CLOUD_NETWORK, CONTAINER, DOCKER_NETWORK, Program, Resource
from policy.rule import Finding, ProgramRule, ResourceRule, Severity

_DEFAULTS = ("bridge", "default", "host", "none")


def _explicit(container: Resource, _: Program) -> Iterator[Finding]:
    if not container.list("networksAdvanced"):
        yield Finding(what=f"{container.name} stands on Docker's default bridge")
    for network in container.list("networksAdvanced"):
        if network["name"] in _DEFAULTS:
            yield Finding(what=f"{container.name} joins Docker's own network {network['name']}", subject=str(network["name"]))


def _stated(network: Resource, _: Program) -> Iterator[Finding]:
    if (driver := network.text("driver")) not in ("", "bridge"):
        yield Finding(what=f"{network.name} is a {driver}: its packets pass no rule of the host", subject="driver")
    if network.text("ipamDriver") not in ("", "default"):
        yield Finding(what=f"{network.name} has its addresses from {network.text('ipamDriver')}", subject="ipamDriver")
    ranges = network.list("ipamConfigs")
    if not ranges or not all(config.get("subnet") and config.get("gateway") for config in ranges):
        yield Finding(what=f"{network.name} leaves its range or its gateway to Docker")


def _disjoint(program: Program) -> Iterator[Finding]:
    taken = [(resource, network) for resource in program.of_type(DOCKER_NETWORK, CLOUD_NETWORK) for network in _ranges(resource)]
    for resource, network in taken:
        for name, reserved in (("the mesh", MESH), ("the mesh", MESH_V6), ("Docker's own pool", DOCKER_POOL)):
            if _meet(network, reserved):
                yield Finding(what=f"{resource.name} ({network}) overlaps {name} ({reserved})", resource=resource)
    for (one, network), (other, other_network) in combinations(taken, 2):
        # Ranges of two hosts may be equal; a cloud's network is routed on every host.
        meet = one.host == other.host or CLOUD_NETWORK in (one.type, other.type)
        if meet and _meet(network, other_network):
            what = f"{one.name} ({network}) overlaps {other.name} ({other_network})"
            yield Finding(what=what, resource=other)


def _meet(one: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def _ranges(resource: Resource) -> list[IPv4Network | IPv6Network]:
    if resource.type == CLOUD_NETWORK:
        texts = [resource.text("ipRange")]
    else:
        texts = [str(config["subnet"]) for config in resource.list("ipamConfigs") if config.get("subnet")]
    return ranges(texts)


EXPLICIT = ResourceRule(
    name="networks-explicit",
    asks="A container names the networks it joins, none of them Docker's own.",
    severity=Severity.HIGH,
    decides=("CIS-5.30", "KICS-networks_not_set"),
    why="on docker0 everything reaches everything, and names do not resolve",
    fix="name one of the five networks",
    example='networks=("backend",)',
    types=(CONTAINER,),
    check=_explicit,
)
STATED = ResourceRule(
    name="networks-range-stated",
    asks="A Docker network is a bridge that states its range and its gateway.",
    severity=Severity.MEDIUM,
    decides=(),
    why="access lists and firewall rules name ranges; one that Docker chose is in none of them, and differs at every run",
    fix="declare it in services/networks.py",
    example='Network(name="frontend", cidr=IPv4Network("172.20.1.0/24"), internal=False)',
    types=(DOCKER_NETWORK,),
    check=_stated,
)
DISJOINT = ProgramRule(
    name="networks-disjoint",
    asks="No range overlaps another on its host, Docker's pool or the mesh.",
    severity=Severity.HIGH,
    decides=("H9",),
    why="packets for one would be routed to the other, and access lists by range would let the wrong side in",
    fix="choose a range that nobody has",
    example='Network(name="frontend", cidr=IPv4Network("172.20.1.0/24"), internal=False)',
    check=_disjoint,
)

RULES = (EXPLICIT, STATED, DISJOINT)
