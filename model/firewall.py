"""Who may reach what on a host: decided here once, as values, for UFW, Docker and a provider's firewall alike."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network

from model.host import SSH_PORT
from model.network import MAGIC_DNS, MESH
from model.placement import Placement
from model.route import Access

WIREGUARD_PORT = 41641
"""tailscaled's default port: members meet each other directly instead of through the hub's relay."""


class Target(StrEnum):
    """What stands behind an open port."""

    HOST = "host"
    CONTAINER = "container"
    """Published by Docker: such packets are forwarded and never seen by UFW: what DOCKER-USER refuses alone is closed."""


@dataclass(frozen=True, kw_only=True)
class IngressRule:
    """One port that lets somebody in; everything that no opening names stays closed."""

    port: int
    protocol: str
    access: Access
    target: Target
    reason: str


@dataclass(frozen=True, kw_only=True)
class EgressRule:
    """What the containers of one network may call in the mesh; to all others it is closed."""

    source: IPv4Network
    destination: IPv4Network
    port: int
    protocol: str


@dataclass(frozen=True, kw_only=True)
class Firewall:
    """All openings of a host. `ssh` is apart: until the runner has logged in over the mesh it stays open to everybody."""

    ssh: IngressRule
    openings: tuple[IngressRule, ...]
    has_mesh: bool
    has_containers: bool
    exits: tuple[EgressRule, ...] = ()

    def all_openings(self, *, ssh_public: bool) -> tuple[IngressRule, ...]:
        """Every opening, SSH once or twice."""
        public = (PUBLIC_SSH,) if ssh_public and self.ssh != PUBLIC_SSH else ()
        return (self.ssh, *public, *self.openings)


MESH_SSH = IngressRule(port=SSH_PORT, protocol="tcp", access=Access.VPN, target=Target.HOST, reason="SSH over the mesh")
PUBLIC_SSH = IngressRule(
    port=SSH_PORT, protocol="tcp", access=Access.PUBLIC, target=Target.HOST, reason="SSH until the mesh is proven"
)
_WIREGUARD = IngressRule(
    port=WIREGUARD_PORT, protocol="udp", access=Access.PUBLIC, target=Target.HOST, reason="WireGuard between mesh members"
)


def firewall(placement: Placement) -> Firewall:
    """The firewall of a host: SSH, the mesh, and the ports that its services publish."""
    has_mesh = bool(placement.host.mesh_domain)
    published = tuple(
        IngressRule(port=port.number, protocol=port.protocol, access=port.access, target=Target.CONTAINER, reason=port.reason)
        for service in placement.services
        for port in service.ports
    )
    return Firewall(
        ssh=MESH_SSH if has_mesh else PUBLIC_SSH,
        openings=(*((_WIREGUARD,) if has_mesh else ()), *published),
        has_mesh=has_mesh,
        has_containers=bool(placement.services),
        exits=tuple(_exits(placement)),
    )


def _exits(placement: Placement) -> Iterator[EgressRule]:
    """Egress of services with links: DNS to this host's MagicDNS, HTTPS to the mesh.

    Which members they may call is decided by Headscale's policy, because a container leaves under its host's address.
    """
    names = IPv4Network(MAGIC_DNS)
    for source in dict.fromkeys(
        network.cidr for service in placement.services if service.links for network in placement.ways_out(service)
    ):
        yield EgressRule(source=source, destination=names, port=53, protocol="udp")
        yield EgressRule(source=source, destination=names, port=53, protocol="tcp")
        yield EgressRule(source=source, destination=MESH, port=443, protocol="tcp")
