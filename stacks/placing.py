"""From settings to a fleet: the hosts of each kind of stack and what stands on them."""

from model.fleet import Fleet
from model.host import Host
from model.image import ImageLock
from model.mesh import Mesh
from model.placement import Placement
from model.problem import Problem, refuse
from model.settings import Settings
from services import catalogue, monitoring
from services.caddy import Door
from services.networks import EGRESS, HUB, MONITORING, NETWORKS, UPLINK

HUB_HOST = "seko"


def production(settings: Settings, lock: ImageLock, authority: str) -> Fleet:
    """Sese-AI, the hub, and the workstation where the settings name one."""
    _require(settings, "sese", HUB_HOST)
    mesh = _mesh(settings)
    door = _door(settings, authority)
    sese = Placement(
        host=_host(settings, "sese", mesh),
        networks=NETWORKS,
        services=catalogue.sese(settings.domain, door, settings.project, buckets=settings.bucket_prefix),
    )
    hub = Placement(
        host=_host(settings, HUB_HOST, mesh),
        networks=(HUB, MONITORING, EGRESS, UPLINK),
        services=catalogue.hub(
            settings.domain, door, mesh, f"{sese.host.name}.{mesh.domain}", sese.services, settings.bucket_prefix
        ),
    )
    placements = [hub, sese]
    if "waza" in settings.hosts:
        workstation = catalogue.workstation(settings.domain)
        placements.append(Placement(host=_host(settings, "waza", mesh), networks=(MONITORING, UPLINK), services=workstation))
    return _fleet(settings, lock, authority, placements, mesh)


def preproduction(settings: Settings, lock: ImageLock, authority: str) -> Fleet:
    """One server with the stack of Sese-AI and halved limits; a member of production's mesh when its hub is named."""
    _require(settings, "preprod")
    placement = Placement(
        host=_host(settings, "preprod", None),
        networks=NETWORKS,
        services=catalogue.sese(
            settings.domain, _door(settings, authority), settings.project, scale=0.5, buckets=settings.bucket_prefix, by_hub=False
        ),
    )
    return _fleet(settings, lock, authority, [placement], None)


def _fleet(settings: Settings, lock: ImageLock, authority: str, placements: list[Placement], mesh: Mesh | None) -> Fleet:
    return Fleet(
        project=settings.project,
        domain=settings.domain,
        placements=monitoring.watched(placements, settings.domain, authority),
        mesh=mesh,
        image_lock=lock,
    )


def _mesh(settings: Settings) -> Mesh:
    return Mesh(
        hub=HUB_HOST,
        # The specification's names; the two must differ, or Headscale refuses to start (predecessor lesson 82).
        server=f"singa.{settings.domain}",
        domain=f"na.{settings.domain}",
        nameservers=tuple(map(str, settings.nameservers)),
    )


def _door(settings: Settings, authority: str) -> Door:
    return Door(vpn=settings.vpn_cidrs, acme_email=settings.acme_email, authority=authority)


def _host(settings: Settings, name: str, mesh: Mesh | None) -> Host:
    where = settings.hosts[name]
    return Host(
        name=name,
        address=where.address,
        user=settings.deploy_user,
        first_user=where.first_user,
        first_port=where.first_port,
        mesh_domain=mesh.domain if mesh else "",
        release=where.release,
        memory_mib=where.memory_mib,
        offline=name in settings.offline,
    )


def _require(settings: Settings, *names: str) -> None:
    refuse(
        Problem(
            what=f"vpai:hosts says nothing of {name!r}",
            why="the stack places its services there",
            mend=f"pulumi config set --path 'vpai:hosts.{name}.address' ADDRESS and 'vpai:hosts.{name}.memoryMib' MIB",
            example=f"pulumi config set --path 'vpai:hosts.{name}.address' 203.0.113.10",
        )
        for name in names
        if name not in settings.hosts
    )
