"""A machine of the fleet and where its sshd may answer."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from model.cloud import CloudServer

PEOPLE = range(1000, 5000)
"""Uids of those who log in: a distribution gives its first user 1000. No service runs as one (model/laws/)."""
DEPLOY_UID = 4000
"""Of the user that deploys, which may become root."""
TIMEZONE = "Europe/Paris"
"""Of the hosts and of what stands on them, unless vpai:timezone names another."""
SSH_PORT = 804
"""The specification's port of sshd once a host is ours."""


class Role(StrEnum):
    """What a host is for; one may play several. Its name is the operator's and says nothing."""

    STACK = "stack"
    """The platform itself: databases, models, workflows, what shows and watches them."""
    HUB = "hub"
    """Of the mesh: Headscale, and what must stand elsewhere than what it watches or keeps."""
    WORKSTATION = "workstation"
    """At home: what watches it, and the worker that fixes issues."""
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
    """A machine that services stand on; `name` is its SSH alias and its name in the mesh."""

    name: str
    address: str
    """Public address or name; a home host's address in its LAN. Empty for a server that the stack rents."""
    rented: CloudServer | None = None
    """The server that the stack makes; its address is known when it stands, and a resource's output."""
    user: str
    first_user: str = "root"
    """Who may log in on the machine as the provider hands it over, with the operator's key."""
    first_port: int = 22
    mesh_domain: str = ""
    """MagicDNS domain of the mesh it belongs to; empty for a host outside of any mesh."""
    release: str = "debian-13"
    """ID and VERSION_ID of its operating system."""
    memory_mib: int
    reserve_mib: int = 512
    """Memory left to the host itself."""
    offline: bool = False
    """Declared to be switched off: not asked, not changed, and no hindrance to the others."""

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
        """Of a host that is ours, in the order in which they are tried: the first that shows an SSH banner is taken."""
        return (self.in_mesh, self.in_public) if self.in_mesh else (self.in_public,)


def host_of(resource: str, hosts: Iterable[str]) -> str:
    """The one of `hosts` that a resource belongs to by its name, `<host>` or `<host>-<rest>`; empty where none is.

    The longest name that fits: `sese-2-redis` is of the host `sese-2` where there is one, although it begins with `sese-` too.
    """
    return max((host for host in hosts if resource == host or resource.startswith(f"{host}-")), key=len, default="")
