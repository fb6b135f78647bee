"""Ingress and egress rules of a host, computed once for UFW, Docker and a provider's firewall."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network

from model.host import SSH_PORT
from model.network import MAGIC_DNS, MESH
from model.placement import Placement
from model.route import Access

WIREGUARD_PORT = 41641
"""tailscaled's default port. Members connect directly by it instead of through the hub's relay."""


class Target(StrEnum):
    """What listens on an open port."""

    HOST = "host"
    CONTAINER = "container"
    """A port published by Docker. Its packets are forwarded and never reach UFW's rules: only DOCKER-USER can close it."""


@dataclass(frozen=True, kw_only=True)
class IngressRule:
    """One open port. A port without a rule is closed."""

    port: int
    protocol: str
    access: Access
    target: Target
    reason: str


@dataclass(frozen=True, kw_only=True)
class EgressRule:
    """One port of the mesh that containers of one network may call. The mesh is closed to all other containers."""

    source: IPv4Network
    destination: IPv4Network
    port: int
    protocol: str


@dataclass(frozen=True, kw_only=True)
class Firewall:
    """All rules of a host. `ssh` is separate: SSH stays open to the public until the runner has logged in over the mesh."""

    ssh: IngressRule
    openings: tuple[IngressRule, ...]
    has_mesh: bool
    has_containers: bool
    exits: tuple[EgressRule, ...] = ()

    def all_openings(self, *, ssh_public: bool) -> tuple[IngressRule, ...]:
        """Every ingress rule. With `ssh_public` SSH is open to the public too."""
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
    """The rules of a host: SSH, the mesh, and the ports that its services publish."""
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

    Headscale's policy decides which members they may call, because a container's packets leave under its host's address.
    """
    names = IPv4Network(MAGIC_DNS)
    for source in dict.fromkeys(
        network.cidr for service in placement.services if service.links for network in placement.ways_out(service)
    ):
        yield EgressRule(source=source, destination=names, port=53, protocol="udp")
        yield EgressRule(source=source, destination=names, port=53, protocol="tcp")
        yield EgressRule(source=source, destination=MESH, port=443, protocol="tcp")
