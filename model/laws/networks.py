"""Networks, published ports and egress."""

from collections.abc import Iterator
from itertools import combinations

from model.network import DOCKER_POOL, MESH
from model.placement import Placement
from model.problem import Problem


def networks_do_not_overlap(placement: Placement) -> Iterator[Problem]:
    """No CIDR overlaps another, Docker's pool or the mesh."""
    taken = [(network.name, network.cidr) for network in placement.networks]
    reserved = [("Docker's own address pool", DOCKER_POOL), ("the mesh", MESH)]
    for (name, cidr), (other, other_cidr) in [
        *combinations(taken, 2),
        *((mine, theirs) for mine in taken for theirs in reserved),
    ]:
        if cidr.overlaps(other_cidr):
            yield Problem(
                what=f"{placement.host.name}: network {name!r} ({cidr}) overlaps {other} ({other_cidr})",
                why="packets for one would be routed to the other, and access lists by CIDR would let the wrong side in",
                fix="choose a range that nobody has",
                example="Network(name='frontend', cidr=IPv4Network('172.20.1.0/24'), internal=False)",
            )


def networks_are_known(placement: Placement) -> Iterator[Problem]:
    """A service joins declared networks, at least one; none is left to Docker's default bridge."""
    known = {network.name for network in placement.networks}
    for service in placement.services:
        for name in service.networks:
            if name not in known:
                yield Problem(
                    what=f"{placement.host.name}: {service.name} joins an unknown network {name!r}",
                    why="the service would be cut off, or land on a network that nobody reviewed",
                    fix=f"use one of {', '.join(sorted(known))}, or declare {name!r} in services/networks.py",
                    example='networks=("backend",)',
                )
        if not service.networks:
            yield Problem(
                what=f"{placement.host.name}: {service.name} joins no network",
                why="Docker would put it on its default bridge, where every other container reaches it",
                fix="name the networks it joins",
                example='networks=("backend",)',
            )


def host_ports_are_used_once(placement: Placement) -> Iterator[Problem]:
    """A host port belongs to one service."""
    published = [(port.number, port.protocol, service.name) for service in placement.services for port in service.ports]
    owners: dict[tuple[int, str], list[str]] = {}
    for number, protocol, name in published:
        owners.setdefault((number, protocol), []).append(name)
    for (number, protocol), names in sorted(owners.items()):
        if len(names) > 1:
            yield Problem(
                what=f"{placement.host.name}: host port {number}/{protocol} is published by {' and '.join(names)}",
                why="the second one to start fails with 'port is already allocated'",
                fix="publish it once; services behind Caddy need a Route, not a port",
                example='routes=(Route(subdomain="llm", port=4000, access=Access.VPN),)',
            )


def only_caddy_publishes(placement: Placement) -> Iterator[Problem]:
    """Only Caddy publishes ports, 80 and 443, besides the hub's STUN port; every published port has a reason."""
    for service in placement.services:
        for port in service.ports:
            if port.number not in service.may.publish:
                yield Problem(
                    what=f"{placement.host.name}: {service.name} publishes port {port.number}/{port.protocol}",
                    why="a port that Docker publishes goes past UFW and past Caddy's access list",
                    fix="give the service a Route; Caddy leads to it",
                    example='routes=(Route(subdomain="llm", port=4000, access=Access.VPN),)',
                )
            if not port.reason:
                yield Problem(
                    what=f"{placement.host.name}: port {port.number}/{port.protocol} of {service.name} is open without a reason",
                    why="what strangers may reach is decided and reviewed port by port",
                    fix="fill in `reason`",
                    example='Port(number=443, protocol="tcp", access=Access.PUBLIC, reason="VPN-only sites answer 403")',
                )


def links_leave_by_networks_of_their_own(placement: Placement) -> Iterator[Problem]:
    """A service with links has one egress network, and shares it only with services with links."""
    linked = {service.name for service in placement.services if service.links}
    for service in placement.services:
        if not service.links:
            continue
        ways = placement.ways_out(service)
        if not placement.host.mesh_domain:
            yield Problem(
                what=f"{placement.host.name}: {service.name} calls {service.links[0].service} over the mesh, of which the host"
                + " is no member",
                why="there is no way there",
                fix="place both services on one host",
            )
        if len(ways) != 1:
            yield Problem(
                what=f"{placement.host.name}: {service.name} has links and {len(ways)} ways out",
                why="the firewall knows who may enter the mesh by the one network that it comes from",
                fix="let it join one network that is not internal, made for those with links",
                example="networks=(MONITORING.name, UPLINK.name)",
            )
        for network in ways:
            if others := placement.members(network.name) - linked:
                yield Problem(
                    what=f"{placement.host.name}: {', '.join(sorted(others))} shares the network {network.name!r} with"
                    + f" {service.name}, which has links",
                    why="the firewall cannot tell them apart: what one may call in the mesh, the other could too",
                    fix=f"take it off {network.name!r}, or declare what it calls",
                )
