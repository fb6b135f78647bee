"""What stands on one host."""

from dataclasses import dataclass
from graphlib import TopologicalSorter

from model.backup import HostBackup
from model.host import Host
from model.network import Network
from model.route import Access, Site
from model.service import Database, Service


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The networks and services of one host."""

    host: Host
    networks: tuple[Network, ...]
    services: tuple[Service, ...]
    backup: HostBackup | None = None
    """Where the data of the services goes every night; None where there is no data, or no place."""

    def in_order(self) -> tuple[Service, ...]:
        """The services, each after those that it needs."""
        by_name = {service.name: service for service in self.services}
        order = TopologicalSorter({service.name: service.needs for service in self.services}).static_order()
        return tuple(by_name[name] for name in order)

    @property
    def door(self) -> Service | None:
        """Where HTTPS comes in: Caddy, where there is one."""
        return next((service for service in self.services if any(port.number == 443 for port in service.ports)), None)

    def databases(self) -> tuple[Database, ...]:
        """All databases on this host."""
        return tuple(database for service in self.services for database in service.databases)

    def sites(self) -> tuple[Site, ...]:
        """Everything that the host's Caddy leads to."""
        configurations = (service.configuration for service in self.services if service.configuration)
        return tuple(site for configuration in configurations for site in configuration.sites)

    def ways_out(self, service: Service) -> tuple[Network, ...]:
        """The networks by which `service` leaves its host."""
        return tuple(network for network in self.networks if network.name in service.networks and not network.internal)

    def members(self, network: str) -> frozenset[str]:
        """Names of the services on `network`."""
        return frozenset(service.name for service in self.services if network in service.networks)

    def answers_links_to(self, service: str) -> bool:
        """Whether `service` stands here behind a route that members of the VPN may use: a link from another host ends there."""
        return any(
            route.access is Access.VPN or route.relayed
            for other in self.services
            if other.name == service
            for route in other.routes
        )
