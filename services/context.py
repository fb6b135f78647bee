"""The input of every module of services: a fleet's names and sizes, which services run, and where."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from model.application import App
from model.endpoint import Endpoint, Way
from model.host import TIMEZONE, Role
from model.mesh import Mesh
from model.names import Names
from model.service import Link, Service


@dataclass(frozen=True, kw_only=True)
class Context:
    """The context of one host."""

    names: Names
    project: str
    """Name in the directories and networks of the hosts."""
    scale: float = 1.0
    """Factor for the services' limits."""
    buckets: str = ""
    """Prefix of the buckets' names; empty where there are none."""
    timezone: str = TIMEZONE
    mesh: Mesh | None = None
    """The mesh of a fleet with a hub."""
    applications: tuple[App, ...] | None = None
    """Replaces the applications of services/apps.py."""
    relayed_to: str = ""
    """The member to which the hub relays routes; empty where the stack answers the Internet itself."""
    only: frozenset[str] = field(default_factory=frozenset)
    """Names of all services that run; empty: every service runs."""
    stack: tuple[Service, ...] = ()
    """Services of the stack's host, if that is another host."""
    host: str = ""
    """The host for which the services are made."""
    roles: frozenset[Role] = frozenset()
    """The roles of that host."""
    standing: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Host -> names of its services. Empty: this host has the services of its roles, and all others are elsewhere."""

    def runs(self, name: str) -> bool:
        """Whether the fleet has the service `name`."""
        return not self.only or name in self.only

    def way(self, to: Endpoint, reason: str) -> Way:
        """How a service of this host calls `to`: on the same host, or over the mesh, for `reason`."""
        if to.service in self.standing.get(self.host, ()):
            return Way(url=to.beside, networks=(to.network,), needs=(to.service,))
        return Way(url=to.across(self.names), links=(Link(service=to.service, reason=reason),))
