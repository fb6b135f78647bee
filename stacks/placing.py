"""From settings to a fleet: the hosts of each kind of stack and what stands on them."""

from collections.abc import Iterator
from dataclasses import replace

from model.cloud import CloudServer, cheapest
from model.fleet import Fleet
from model.host import SSH_PORT, Host
from model.kind import PROFILES
from model.mesh import Mesh
from model.names import HOSTS, MESH, Names
from model.placement import Placement
from model.problem import Problem, refuse
from model.service import Service
from model.settings import HostSettings, ServerSettings, Settings
from services import backups, catalogue, monitoring
from services.caddy import Door
from services.networks import BACKEND, EGRESS, FRONTEND, HUB, MONITORING, NETWORKS, UPLINK
from stacks.surroundings import Surroundings

HUB_HOST = "seko"
APPLICATIONS_HOST = "app-prod-01"
CORE = ("postgresql", "redis", "litellm")
"""What a copy that expires runs, behind Caddy: the least in which a change of the program shows. 4 GB are enough for it."""
HUB_RESERVE_MIB = 448
_SMALLEST_MIB = 1024


def fleet(settings: Settings, around: Surroundings) -> Fleet:
    """The fleet of a stack, by its kind; raises `Refused` with everything that is wrong with it."""
    return (_copy if PROFILES[settings.kind].copy else _whole)(settings, around)


def _whole(settings: Settings, around: Surroundings) -> Fleet:
    """Sese-AI, the hub, and the workstation and the applications' server where the settings name them."""
    _require(settings, "sese", HUB_HOST)
    names = Names(settings.domain, settings.subdomains)
    mesh = _mesh(settings)
    sese = Placement(
        host=_host(settings, around, "sese", settings.hosts["sese"], mesh),
        networks=NETWORKS,
        services=catalogue.sese(
            names,
            _door(settings, around, settings.domain),
            settings.project,
            buckets=settings.bucket_prefix,
            timezone=settings.timezone,
        ),
    )
    hub = Placement(
        host=_host(settings, around, HUB_HOST, settings.hosts[HUB_HOST], mesh, reserve_mib=HUB_RESERVE_MIB),
        networks=(HUB, MONITORING, EGRESS, UPLINK),
        services=catalogue.hub(
            names,
            _door(settings, around),
            mesh,
            f"{sese.host.name}.{mesh.domain}",
            sese.services,
            settings.bucket_prefix,
            timezone=settings.timezone,
        ),
    )
    placements = [hub, sese]
    if "waza" in settings.hosts:
        placements.append(
            Placement(
                host=_host(settings, around, "waza", settings.hosts["waza"], mesh),
                networks=(MONITORING, UPLINK),
                services=catalogue.workstation(names),
            )
        )
    if APPLICATIONS_HOST in settings.hosts:
        services = catalogue.applications(names, _door(settings, around), timezone=settings.timezone)
        where = settings.hosts[APPLICATIONS_HOST]
        if "release" not in where.model_fields_set:
            where = where.model_copy(update={"release": "ubuntu-24.04"})
        used = {name for service in services for name in service.networks}
        placements.append(
            Placement(
                host=_host(settings, around, APPLICATIONS_HOST, where, mesh, services),
                networks=tuple(network for network in (FRONTEND, BACKEND, MONITORING, UPLINK) if network.name in used),
                services=services,
            )
        )
    return _fleet(settings, around, names, [_kept(placement, settings, names) for placement in placements], mesh)


def _kept(placement: Placement, settings: Settings, names: Names) -> Placement:
    """With the place where its backups go."""
    host, services, networks = placement.host.name, placement.services, placement.networks
    to = backups.of(host, services, networks, settings.bucket_prefix, names, hourly=settings.backup_databases_hourly)
    return replace(placement, backup=to)


def _copy(settings: Settings, around: Surroundings) -> Fleet:
    """One server, named like the stack, with services of Sese-AI at halved limits.

    Where the settings name production's hub it is a member of that mesh, and its sites are `<site>.<stack>.<domain>` there
    and nowhere else.
    """
    name = around.stack
    refuse(_bad_copy(settings, name))
    where = settings.hosts.get(name) or HostSettings(server=ServerSettings())
    mesh = _mesh(settings) if HUB_HOST in settings.hosts else None
    domain = f"{name}.{settings.domain}" if mesh else settings.domain
    wanted = settings.services or (CORE if settings.expires else ())
    names = Names(domain, settings.subdomains)
    services = catalogue.sese(
        names,
        _door(settings, around, domain),
        settings.project,
        scale=PROFILES[settings.kind].scale,
        buckets=settings.bucket_prefix,
        by_hub=False,
        only=_known(settings, wanted),
        timezone=settings.timezone,
    )
    placement = Placement(host=_host(settings, around, name, where, mesh, services), networks=NETWORKS, services=services)
    hub = _host(settings, around, HUB_HOST, settings.hosts[HUB_HOST], mesh) if mesh else None
    return _fleet(settings, around, names, [placement], mesh, hub)


def _bad_copy(settings: Settings, name: str) -> Iterator[Problem]:
    if not {HUB_HOST, name} & settings.hosts.keys():
        yield Problem(
            what=f"vpai:hosts names neither {HUB_HOST} nor {name}",
            why=f"at production's hub, {HUB_HOST}, the copy joins the mesh; without one its SSH is open to everybody",
            mend=f"say where the hub is; or name {name!r} for a copy that is to have no mesh",
            example=f"pulumi config set -s {name} --path vpai:hosts.{HUB_HOST}.address 203.0.113.11",
        )
    if settings.expires and settings.protect_data:
        yield Problem(
            what="vpai:expires is set, and so is vpai:protectData, which is so unless it is false",
            why="`make reap` could not destroy the stack: its data is protected, and its server would be paid for ever after",
            mend="let the data go with the stack",
            example=f"pulumi config set -s {name} vpai:protectData false",
        )


def _known(settings: Settings, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """`wanted`; raises `Refused` for names that nobody has."""
    names = [service.name for service in catalogue.sese(Names(""), Door(vpn=(), acme_email="", authority=""), settings.project)]
    refuse(
        Problem(
            what=f"vpai:services names {name!r}, which is no service of Sese-AI",
            why="the stack would run without it, and nobody would see",
            mend=f"use some of: {', '.join(names)}",
            example="pulumi config set --path 'vpai:services[0]' litellm",
        )
        for name in wanted
        if name not in names
    )
    return wanted


def _fleet(
    settings: Settings,
    around: Surroundings,
    names: Names,
    placements: list[Placement],
    mesh: Mesh | None,
    hub_elsewhere: Host | None = None,
) -> Fleet:
    return Fleet(
        project=settings.project,
        domain=names.domain,
        placements=monitoring.watched(placements, names, around.authority),
        mesh=mesh,
        hub_elsewhere=hub_elsewhere,
        image_lock=around.lock,
    )


def _mesh(settings: Settings) -> Mesh:
    names = Names(settings.domain, settings.subdomains)
    return Mesh(
        hub=HUB_HOST,
        # The two must differ, or Headscale refuses to start (predecessor lesson 82).
        server=names.host(MESH),
        domain=names.host(HOSTS),
        nameservers=tuple(map(str, settings.nameservers)),
    )


def _door(settings: Settings, around: Surroundings, wildcard: str = "") -> Door:
    """Where the services are, names for members alone must not stand in public logs of certificates: one for `wildcard`.

    The hub's names are known to the Internet anyway, and its key must not open the others' sites.
    """
    return Door(
        vpn=settings.vpn_cidrs,
        acme_email=settings.acme_email,
        acme_directory=settings.acme_directory,
        authority=around.authority,
        wildcard=wildcard,
    )


def _host(
    settings: Settings,
    around: Surroundings,
    name: str,
    where: HostSettings,
    mesh: Mesh | None,
    services: tuple[Service, ...] = (),
    reserve_mib: int = 512,
) -> Host:
    """A machine that is there, or a server that is large enough for `services`."""
    host = Host(
        name=name,
        address=where.address,
        user=settings.deploy_user,
        first_user=where.first_user,
        first_port=where.first_port,
        mesh_domain=mesh.domain if mesh else "",
        release=where.release,
        memory_mib=where.memory_mib,
        reserve_mib=reserve_mib,
        offline=name in settings.offline,
    )
    if where.server is None:
        return host
    kind, memory = _type(where.server, around, sum(service.limits.memory_mib for service in services) + host.reserve_mib)
    rented = CloudServer(
        name=name,
        type=kind,
        image=where.release,
        location=where.server.location,
        backups=where.server.backups,
        protected=where.server.protected,
        keeps_address=where.server.keeps_address,
    )
    return replace(host, rented=rented, memory_mib=where.memory_mib or memory, first_user="root", first_port=SSH_PORT)


def _type(server: ServerSettings, around: Surroundings, needed_mib: int) -> tuple[str, int]:
    """The type that was asked for, or the cheapest that is large enough, and its memory; a law says when that is too little."""
    if server.type:
        return server.type, next((memory for name, _, memory in around.types if name == server.type), _SMALLEST_MIB)
    return cheapest(needed_mib, around.types) or ("", _SMALLEST_MIB)


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
