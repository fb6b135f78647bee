"""The whole catalogue on its hosts, as monitoring sees it, placed already or not."""

from dataclasses import replace

from model.host import Role
from model.mesh import Mesh
from model.network import Network
from model.placement import Placement
from model.service import Service
from services import backups, catalogue, uptime_kuma
from services.networks import EGRESS, HUB, MONITORING, NETWORKS, UPLINK
from tests.support.fleets import DOOR, HOST, NAMES, context

DOMAIN = NAMES.domain
PROJECT = "javisi"
MESH = Mesh(hub="seko", server=f"mesh.{DOMAIN}", domain=f"hosts.{DOMAIN}", nameservers=("192.0.2.53",))


def placements() -> tuple[Placement, ...]:
    """Sese-AI, the hub and the workstation, each with its monitoring services."""
    of = context(mesh=MESH, relayed_to=f"sese.{MESH.domain}")
    sese = catalogue.on({Role.STACK}, of, DOOR)
    of = replace(of, stack=sese)
    return (
        _placed("sese", NETWORKS, *sese),
        _placed("seko", (HUB, MONITORING, EGRESS, UPLINK), *catalogue.on({Role.HUB}, of, DOOR)),
        _placed("waza", (MONITORING, UPLINK), *catalogue.on({Role.WORKSTATION}, of, DOOR)),
    )


def _placed(host: str, networks: tuple[Network, ...], *services: Service) -> Placement:
    """The placement of one host; a service that is given twice stands once."""
    found: dict[str, Service] = {}
    for service in services:
        found.setdefault(service.name, service)
    stand = tuple(found.values())
    to = backups.of(host, stand, networks, "example-org", NAMES, heartbeats=uptime_kuma.HEARTBEATS)
    return Placement(host=replace(HOST, name=host), networks=networks, services=stand, backup=to)
