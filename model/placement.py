"""What stands on one host."""

from dataclasses import dataclass
from graphlib import TopologicalSorter

from model.host import Host
from model.network import Network
from model.service import Database, Service


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The networks and services of one host."""

    host: Host
    networks: tuple[Network, ...]
    services: tuple[Service, ...]

    def in_order(self) -> tuple[Service, ...]:
        """The services, each after those that it needs."""
        by_name = {service.name: service for service in self.services}
        order = TopologicalSorter({service.name: service.needs for service in self.services}).static_order()
        return tuple(by_name[name] for name in order)

    def databases(self) -> tuple[Database, ...]:
        """All databases on this host."""
        return tuple(database for service in self.services for database in service.databases)

    def members(self, network: str) -> frozenset[str]:
        """Names of the services on `network`."""
        return frozenset(service.name for service in self.services if network in service.networks)
