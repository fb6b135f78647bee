"""A machine of the fleet and where its sshd may answer."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from model.cloud import CloudServer

PEOPLE = range(1000, 5000)
"""Uids of people: a distribution gives its first user 1000. No service runs as one of them (model/laws/)."""
DEPLOY_UID = 4000
"""Uid of the deploying user, which may become root."""
TIMEZONE = "Europe/Paris"
"""Time zone of hosts and services, unless vpai:timezone names another."""
SSH_PORT = 804
"""sshd's port on a host that is set up (from the specification)."""


class Role(StrEnum):
    """What a host is for; a host may have several roles. Nothing follows from its name, which the operator chooses."""

    STACK = "stack"
    """The platform itself: databases, models, workflows, dashboards and monitoring."""
    HUB = "hub"
    """Hub of the mesh: Headscale, and services that must not share a host with what they watch or keep."""
    WORKSTATION = "workstation"
    """A machine at home: its monitoring, and the worker that fixes issues."""
    APPLICATIONS = "applications"
    """Applications of our own (services/apps.py)."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where sshd may answer."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Host:
    """A machine that runs services; `name` is its SSH alias and its name in the mesh."""

    name: str
    address: str
    """Public address or name; a home host's address in its LAN. Empty for a server that the stack rents."""
    rented: CloudServer | None = None
    """The server that the stack creates. Its address is an output of that resource."""
    user: str
    first_user: str = "root"
    """User of the first login, with the operator's key, on a machine as the provider delivers it."""
    first_port: int = 22
    mesh_domain: str = ""
    """MagicDNS domain of the mesh it belongs to; empty for a host outside of any mesh."""
    release: str = "debian-13"
    """ID and VERSION_ID of its operating system."""
    memory_mib: int
    reserve_mib: int = 512
    """Memory left to the host itself."""
    offline: bool = False
    """Whether the host is declared switched off: it is neither contacted nor changed, and the others are deployed without it."""

    @property
    def in_mesh(self) -> Endpoint | None:
        """Where sshd answers a member of the mesh."""
        return Endpoint(address=f"{self.name}.{self.mesh_domain}", port=SSH_PORT) if self.mesh_domain else None

    @property
    def in_public(self) -> Endpoint:
        """Where sshd answers until it is closed to all but the mesh."""
        return Endpoint(address=self.address, port=SSH_PORT)

    @property
    def first_contact(self) -> Endpoint:
        """Where sshd answers on a fresh machine."""
        return Endpoint(address=self.address, port=self.first_port)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Endpoints of a host that is set up, in the order of trial: the first that shows an SSH banner is used."""
        return (self.in_mesh, self.in_public) if self.in_mesh else (self.in_public,)


def host_of(resource: str, hosts: Iterable[str]) -> str:
    """The host that a resource belongs to by its name, `<host>` or `<host>-<rest>`; empty where none matches.

    The longest matching name wins: `sese-2-redis` belongs to `sese-2` where that host exists, although `sese` matches too.
    """
    return max((host for host in hosts if resource == host or resource.startswith(f"{host}-")), key=len, default="")
