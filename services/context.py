"""What services are made from: a fleet's names and sizes, which services run, and where."""

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
    """Of one host."""

    names: Names
    project: str
    """Names directories and networks of the hosts."""
    scale: float = 1.0
    """Of their limits."""
    buckets: str = ""
    """What the names of buckets begin with; empty where there are none."""
    timezone: str = TIMEZONE
    mesh: Mesh | None = None
    """Of a fleet whose hub keeps it."""
    applications: tuple[App, ...] | None = None
    """Instead of those in services/apps.py."""
    relayed_to: str = ""
    """The member that the hub hands relayed routes on to; empty where the stack answers the Internet itself."""
    only: frozenset[str] = field(default_factory=frozenset)
    """Names of all services that run; empty for every one."""
    stack: tuple[Service, ...] = ()
    """What stands on the stack's host, where that is another one."""
    host: str = ""
    """Which host the services are made for."""
    roles: frozenset[Role] = frozenset()
    """What that host is for."""
    standing: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The names of the services on each host; empty: on this one what its roles bring, and all else elsewhere."""

    def runs(self, name: str) -> bool:
        """Whether the service of that name is one of the fleet's."""
        return not self.only or name in self.only

    def way(self, to: Endpoint, reason: str) -> Way:
        """How a service of this host calls `to`: beside it, or over the mesh for `reason`."""
        if to.service in self.standing.get(self.host, ()):
            return Way(url=to.beside, networks=(to.network,), needs=(to.service,))
        return Way(url=to.across(self.names), links=(Link(service=to.service, reason=reason),))
