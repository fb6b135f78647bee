"""Networks of a host, and the ranges that they must not overlap."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network

MESH = IPv4Network("100.64.0.0/10")
"""Tailscale's range (and carrier NAT's): the specification's Headscale mesh."""

MESH_V6 = IPv6Network("fd7a:115c:a1e0::/48")
"""Tailscale's range of IPv6 addresses."""

MAGIC_DNS = IPv4Address("100.100.100.100")
"""Address of the mesh's DNS resolver, which every member has inside its own tailscaled."""

DOCKER_POOL = IPv4Network("172.21.0.0/16")
"""daemon.json's default-address-pools. The predecessor's pool was 172.20.0.0/16, the range of its own declared networks."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """A bridge network of one host. `internal` networks have no egress."""

    name: str
    cidr: IPv4Network
    internal: bool

    @property
    def gateway(self) -> str:
        """The bridge's own address, the first of the range."""
        return str(next(self.cidr.hosts()))
