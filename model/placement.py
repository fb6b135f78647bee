"""A placement: what runs on one host."""

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
    """Where the services' data is backed up every night; None without data, or without a place for backups."""

    def in_order(self) -> tuple[Service, ...]:
        """The services, each after those that it needs."""
        by_name = {service.name: service for service in self.services}
        order = TopologicalSorter({service.name: service.needs for service in self.services}).static_order()
        return tuple(by_name[name] for name in order)

    @property
    def door(self) -> Service | None:
        """The service that publishes port 443 (Caddy); None without one."""
        return next((service for service in self.services if any(port.number == 443 for port in service.ports)), None)

    def databases(self) -> tuple[Database, ...]:
        """All databases on this host."""
        return tuple(database for service in self.services for database in service.databases)

    def sites(self) -> tuple[Site, ...]:
        """Every site of the host's Caddy."""
        configurations = (service.configuration for service in self.services if service.configuration)
        return tuple(site for configuration in configurations for site in configuration.sites)

    def ways_out(self, service: Service) -> tuple[Network, ...]:
        """The egress networks of `service`."""
        return tuple(network for network in self.networks if network.name in service.networks and not network.internal)

    def members(self, network: str) -> frozenset[str]:
        """Names of the services on `network`."""
        return frozenset(service.name for service in self.services if network in service.networks)

    def answers_links_to(self, service: str) -> bool:
        """Whether `service` has a route here that VPN members may use, so that a link from another host can end at it."""
        return any(
            route.access is Access.VPN or route.relayed
            for other in self.services
            if other.name == service
            for route in other.routes
        )
