"""Who reaches what, computed from the fleet alone: containers, hosts, members of the mesh, and strangers.

What is not in the table is closed: a container reaches no host (its own included), no member of the mesh, no metadata service
and no private address unless a row says so. `components/host/firewall.py` and Caddy's access lists enforce it; tests/lab
checks it.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from model.firewall import Target, firewall
from model.fleet import Fleet
from model.mesh import OPERATOR_TAG, grants, tag
from model.network import Network
from model.placement import Placement
from model.route import Access, Route

INTERNET = "the Internet"
"""As a target: every public address."""
ANYONE = "anyone"
"""As a source: whoever has an Internet connection."""
MEMBER = "VPN client"
"""As a source: a member of the mesh to which the mesh's policy opens the sites."""


class Reach(NamedTuple):
    """`source` may open a connection to `target`; `by` is a network, a port, or the paths of a site."""

    source: str
    target: str
    by: str


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What a change opens and closes, sorted."""

    opened: tuple[Reach, ...]
    closed: tuple[Reach, ...]


def reachability(fleet: Fleet) -> tuple[Reach, ...]:
    """Every possible connection once, sorted."""
    return tuple(sorted({row for placement in fleet.placements for row in _of_host(fleet, placement)} | set(_in_mesh(fleet))))


def difference(before: Collection[Reach], after: Collection[Reach]) -> Difference:
    """The connections that only `after` has (opened), and those that only `before` has (closed)."""
    return Difference(
        opened=tuple(sorted(set(after) - set(before))),
        closed=tuple(sorted(set(before) - set(after))),
    )


def _of_host(fleet: Fleet, placement: Placement) -> Iterator[Reach]:
    host = placement.host.name
    for network in placement.networks:
        yield from _on_network(placement, network)
    for service in placement.services:
        for link in service.links:
            for other in fleet.placements:
                if other is not placement and other.door and other.answers_links_to(link.service):
                    yield Reach(f"{host}/{service.name}", f"{other.host.name}/{other.door.name}", "the mesh, 443/tcp")
    yield from _ports(placement)
    yield from _sites(placement)


def _on_network(placement: Placement, network: Network) -> Iterator[Reach]:
    """Members of a network reach each other on every port. So do containers that a service itself starts on that network."""
    host = placement.host.name
    members = sorted(placement.members(network.name))
    # Sandboxes join networks too, and are not declared as services.
    for source in (*(f"{host}/{name}" for name in members), f"any container on {host} {network.name}"):
        for name in members:
            if source != f"{host}/{name}":
                yield Reach(source, f"{host}/{name}", network.name)
        if not network.internal:
            yield Reach(source, INTERNET, network.name)


def _ports(placement: Placement) -> Iterator[Reach]:
    plan = firewall(placement)
    for opening in plan.all_openings(ssh_public=False):
        source = ANYONE if opening.access is Access.PUBLIC else MEMBER
        # SSH over the mesh is left out: the mesh's policy, narrower than the firewall, opens it to the operator alone.
        if opening == plan.ssh and opening.access is Access.VPN:
            continue
        on = placement.host.name
        behind = f"the host {on}" if opening.target is Target.HOST else f"{on}/{_owner(placement, opening.port)}"
        yield Reach(source, behind, f"{opening.port}/{opening.protocol}")


def _owner(placement: Placement, port: int) -> str:
    return next(service.name for service in placement.services for service_port in service.ports if service_port.number == port)


def _sites(placement: Placement) -> Iterator[Reach]:
    for site in placement.sites():
        for led in site.routes:
            behind = str(led.upstream) if led.upstream else "Caddy's own answer"
            sources = (MEMBER, ANYONE) if led.route.access is Access.PUBLIC else (MEMBER,)
            for source in sources:
                yield Reach(source, f"https://{site.host} on {placement.host.name}", f"{_paths(led.route)} -> {behind}")


def _paths(route: Route) -> str:
    paths = " ".join(route.paths) + (f" but {' '.join(route.refused_paths)}" if route.refused_paths else "")
    return f"{' '.join(route.methods)} {paths}" if route.methods else paths


def _in_mesh(fleet: Fleet) -> Iterator[Reach]:
    """What the mesh's policy lets its members do, by host."""
    if not fleet.mesh:
        return
    names = {tag(placement.host.name): f"the host {placement.host.name}" for placement in fleet.placements}
    for grant in grants(fleet.placements):
        for source in grant.sources:
            for port in grant.ports:
                yield Reach({OPERATOR_TAG: "the operator", **names}[source], names[grant.destination], f"the mesh, {port}/tcp")
