"""The whole catalogue on its hosts, as monitoring sees it, whatever of it is placed already."""

from dataclasses import replace

from model.mesh import Mesh
from model.network import Network
from model.placement import Placement
from model.service import Service
from services import backups, catalogue
from services.networks import EGRESS, HUB, MONITORING, NETWORKS, UPLINK
from tests.fleets import DOOR, HOST, NAMES

DOMAIN = NAMES.domain
PROJECT = "javisi"
MESH = Mesh(hub="seko", server=f"mesh.{DOMAIN}", domain=f"hosts.{DOMAIN}", nameservers=("192.0.2.53",))


def placements() -> tuple[Placement, ...]:
    """Sese-AI, the hub and the workstation, each with what watches it."""
    sese = catalogue.sese(NAMES, DOOR, PROJECT)
    return (
        _placed("sese", NETWORKS, *sese),
        _placed("seko", (HUB, MONITORING, EGRESS, UPLINK), *catalogue.hub(NAMES, DOOR, MESH, f"sese.{MESH.domain}", sese)),
        _placed("waza", (MONITORING, UPLINK), *catalogue.workstation(NAMES)),
    )


def _placed(host: str, networks: tuple[Network, ...], *services: Service) -> Placement:
    """What the catalogue places already comes from there."""
    found: dict[str, Service] = {}
    for service in services:
        found.setdefault(service.name, service)
    stand = tuple(found.values())
    to = backups.of(host, stand, networks, "example-org", NAMES)
    return Placement(host=replace(HOST, name=host), networks=networks, services=stand, backup=to)
