"""From settings to a fleet: the roles of the hosts, and the services on them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from model.cloud import CloudServer, cheapest
from model.endpoint import Endpoint
from model.fleet import Fleet
from model.host import SSH_PORT, Host, Role
from model.kind import PROFILES, Kind
from model.mesh import Mesh
from model.names import HOSTS, MESH, Names
from model.placement import Placement
from model.problem import Problem, refuse
from model.service import Service
from model.settings import HostSettings, ServerSettings, Settings
from services import backups, catalogue, front_page, monitoring
from services.caddy import IngressSettings
from services.context import Context
from stacks import buckets, moved, rental_cost
from stacks.placement_inputs import PlacementInputs

CORE = ("litellm",)
"""Services of a copy that expires, besides what they need: the least that shows a change of the program. 4 GB are enough."""
HUB_RESERVE_MIB = 448
"""Memory that a host with the hub's role alone reserves for itself."""
_SMALLEST_MIB = 1024
_ALONE = (Role.STACK, Role.HUB)
"""The roles of a stack's only host, where the settings name none."""
_ORDER = (Role.HUB, Role.STACK, Role.WORKSTATION, Role.APPLICATIONS)
"""The order in which hosts are set up: the mesh first."""


def fleet(settings: Settings, inputs: PlacementInputs) -> Fleet:
    """The fleet of a stack, by the stack's kind; raises `Refused` with all its problems."""
    return (_copy if PROFILES[settings.kind].copy else _whole)(settings, inputs)


def _whole(settings: Settings, inputs: PlacementInputs) -> Fleet:
    """A fleet in which every host has the services of its roles."""
    roles = _roles(settings)
    own = {name: plays for name, plays in roles.items() if not settings.hosts[name].mesh}
    only = catalogue.with_needs(settings.services) if settings.services else frozenset[str]()
    refuse(
        [
            *_bad_roles(settings, inputs.stack, roles),
            *_unknown(settings, inputs.stack),
            *moved.misplaced(settings, inputs.stack, own, only),
        ]
    )
    names = Names(settings.domain, settings.subdomains)
    [stack] = (name for name, plays in roles.items() if Role.STACK in plays)
    [hub] = (name for name, plays in roles.items() if Role.HUB in plays)
    joined = settings.hosts[hub].mesh
    mesh = (
        Mesh(hub=hub, server=joined.server, domain=joined.domain, project=joined.project, nameservers=_nameservers(settings))
        if joined
        else _mesh(settings, hub)
    )
    context = Context(
        names=names,
        project=settings.project,
        buckets=settings.bucket_prefix,
        timezone=settings.timezone,
        mesh=mesh,
        relayed_to=f"{stack}.{mesh.domain}" if hub != stack and not joined else "",
        only=only,
        standing=catalogue.standing(own, settings.placement, only),
    )
    context = replace(
        context, stack=catalogue.on(roles[stack], replace(context, host=stack), _ingress(settings, inputs, settings.domain))
    )
    placements = [
        _placement(settings, inputs, name, own[name], mesh, context) for name in sorted(own, key=lambda it: _first(own[it]))
    ]
    elsewhere = _host(settings, inputs, hub, settings.hosts[hub], mesh) if joined else None
    refuse(
        [
            *_unplaced(settings, inputs.stack, placements),
            *moved.apart(settings, inputs.stack, placements),
            *moved.shut_in(settings, inputs.stack, placements),
        ]
    )
    heartbeats = (service.heartbeats for placement in placements for service in placement.services if service.heartbeats)
    monitor = next(heartbeats, None)
    kept = [_kept(placement, settings, names, monitor) for placement in placements]
    fleet = _fleet(settings, inputs, names, kept, mesh, elsewhere)
    refuse(moved.unverified(settings, inputs.stack, fleet.placements, inputs.authority))
    return fleet


def _first(plays: tuple[Role, ...]) -> int:
    return min(_ORDER.index(role) for role in plays)


def _placement(
    settings: Settings, inputs: PlacementInputs, name: str, plays: tuple[Role, ...], mesh: Mesh, of: Context
) -> Placement:
    # A wildcard certificate on the stack's host keeps names for members alone out of public certificate logs. The hub's names are
    # public anyway, and its key must not be valid for the other hosts' sites.
    ingress = _ingress(settings, inputs, settings.domain if Role.STACK in plays else "")
    services = of.stack if Role.STACK in plays else catalogue.on(plays, replace(of, host=name), ingress)
    where = settings.hosts[name]
    if plays == (Role.APPLICATIONS,) and "release" not in where.model_fields_set:
        where = where.model_copy(update={"release": "ubuntu-24.04"})
    reserve = {"reserve_mib": HUB_RESERVE_MIB} if plays == (Role.HUB,) else {}
    return Placement(
        host=_host(settings, inputs, name, where, mesh, services, **reserve),
        networks=catalogue.networks(plays, services),
        services=services,
    )


def _roles(settings: Settings) -> Mapping[str, tuple[Role, ...]]:
    """Host -> its roles, in the order of the settings."""
    alone = len(settings.hosts) == 1 and settings.kind is not Kind.COPY
    return {
        name: tuple(role for role in Role if role in (where.roles or (_ALONE if alone else ())))
        for name, where in settings.hosts.items()
    }


def _bad_roles(settings: Settings, stack: str, roles: Mapping[str, tuple[Role, ...]]) -> Iterator[Problem]:
    """Hosts without a role, and roles that no host has or that two have."""
    names = list(settings.hosts)
    if settings.runner in names:
        yield Problem(
            what=f"vpai:runner is {settings.runner!r}, which is a host too",
            why="in the mesh a name is one machine's: whoever deploys would get the host's place, and its rights",
            fix="give the machine that deploys another name",
            example=f"pulumi config set -s {stack} vpai:runner operator",
        )
    for name, plays in roles.items():
        if not plays:
            yield Problem(
                what=f"vpai:hosts.{name} says no roles",
                why="nothing would stand there; a host's name does not say what it is for",
                fix=f"say what it is for: {', '.join(Role)}; or take it out",
                example=f"pulumi config set -s {stack} --path 'vpai:hosts.{name}.roles[0]' {Role.WORKSTATION}",
            )
        if Role.HUB in plays and Role.APPLICATIONS in plays and Role.STACK not in plays:
            yield Problem(
                what=f"vpai:hosts.{name} is hub and has the applications, and is not the stack",
                why="its Caddy would have two ways out, and the firewall could not tell who may enter the mesh",
                fix="give the applications to the stack's host or to one of their own",
                example=_without(settings, stack, name, Role.APPLICATIONS),
            )
        if settings.hosts[name].mesh and plays != (Role.HUB,):
            yield Problem(
                what=f"vpai:hosts.{name} has a mesh of another stack, and is {', '.join(plays) or 'no hub'}",
                why="a hub that another stack owns is joined, and nothing of this one stands there",
                fix="give it the role hub alone, or leave out its mesh",
                example=f"pulumi config set -s {stack} --path 'vpai:hosts.{name}.roles[0]' {Role.HUB}",
            )
    for role in (Role.STACK, Role.HUB, Role.APPLICATIONS):
        players = [name for name in names if role in roles[name]]
        if len(players) > 1:
            yield Problem(
                what=f"{' and '.join(players)} are both {role}",
                why="a site, a database and a key would each stand twice, and which one is asked would be chance",
                fix=f"give the role {role} to one of them",
                example=_without(settings, stack, players[-1], role),
            )
        elif not players and role is not Role.APPLICATIONS:
            why = {Role.STACK: "the services stand there", Role.HUB: "the mesh is kept there, and SSH is closed to all others"}
            yield Problem(
                what=f"no host of vpai:hosts is the {role}",
                why=why[role],
                fix=f"give the role to one of: {', '.join(names)}; one host may be both stack and hub, and a hub may be another "
                "stack's, with vpai:hosts.<name>.mesh",
                example=f"pulumi config set -s {stack} --path 'vpai:hosts.{names[0]}.roles[0]' {role}",
            )


def _without(settings: Settings, stack: str, host: str, role: Role) -> str:
    return f"pulumi config rm -s {stack} --path 'vpai:hosts.{host}.roles[{settings.hosts[host].roles.index(role)}]'"


def _kept(placement: Placement, settings: Settings, names: Names, monitor: Endpoint | None) -> Placement:
    """`placement` with the bucket for its backups."""
    host, services, networks = placement.host.name, placement.services, placement.networks
    hourly = settings.backup_databases_hourly
    to = backups.of(host, services, networks, settings.bucket_prefix, names, hourly=hourly, heartbeats=monitor)
    return replace(placement, backup=to)


def _copy(settings: Settings, inputs: PlacementInputs) -> Fleet:
    """A fleet of one server with the stack's services at halved limits. If no host is named, the server is rented and has the
    stack's name.

    If the settings name production's hub, the server is a member of that mesh. Its sites are then `<site>.<stack>.<domain>`, and
    resolve only in the mesh.
    """
    roles = _roles(settings)
    refuse([*_bad_copy(settings, inputs.stack, roles), *_unknown(settings, inputs.stack)])
    name = next((host for host, plays in roles.items() if Role.STACK in plays), inputs.stack)
    hub_name = next((host for host, plays in roles.items() if Role.HUB in plays), "")
    mesh = _mesh(settings, hub_name) if hub_name else None
    domain = f"{inputs.stack}.{settings.domain}" if mesh else settings.domain
    names = Names(domain, settings.subdomains)
    wanted = settings.services or (CORE if settings.expires else ())
    context = Context(
        names=names,
        project=settings.project,
        scale=PROFILES[settings.kind].scale,
        buckets=settings.bucket_prefix,
        timezone=settings.timezone,
        only=catalogue.with_needs(wanted) if wanted else frozenset(),
    )
    services = catalogue.on({Role.STACK}, context, _ingress(settings, inputs, domain))
    where = settings.hosts.get(name) or HostSettings(server=ServerSettings())
    placement = Placement(
        host=_host(settings, inputs, name, where, mesh, services),
        networks=catalogue.networks({Role.STACK}, services),
        services=services,
    )
    hub = _host(settings, inputs, hub_name, settings.hosts[hub_name], mesh) if mesh else None
    return _fleet(settings, inputs, names, [placement], mesh, hub)


def _bad_copy(settings: Settings, stack: str, roles: Mapping[str, tuple[Role, ...]]) -> Iterator[Problem]:
    for role in (Role.STACK, Role.HUB):
        players = [name for name, plays in roles.items() if role in plays]
        if len(players) > 1:
            yield Problem(
                what=f"{' and '.join(players)} are both {role}",
                why="a copy is one server, which joins one mesh",
                fix="take one of them out",
                example=f"pulumi config rm -s {stack} --path vpai:hosts.{players[-1]}",
            )
    odd = {name: plays for name, plays in roles.items() if plays not in ((Role.STACK,), (Role.HUB,))}
    for name, plays in odd.items():
        yield Problem(
            what=f"vpai:hosts.{name} is {', '.join(plays) or 'for nothing'}: a copy has a stack, which it rents, and joins a hub",
            why="at production's hub the copy joins the mesh; without one its SSH is open to everybody",
            fix="say where production's hub is; or give a machine the role stack alone for a copy that is to have no mesh",
            example=f"pulumi config set -s {stack} --path 'vpai:hosts.{name}.roles[0]' {Role.HUB}",
        )
    for service in settings.placement:
        yield Problem(
            what=f"vpai:placement names {service}, and a copy is one server",
            why="it would stand there with the others, wherever it was put",
            fix="take it out",
            example=f"pulumi config rm -s {stack} --path vpai:placement.{service}",
        )
    if settings.expires and settings.protect_data:
        yield Problem(
            what="vpai:expires is set, and so is vpai:protectData, which is so unless it is false",
            why="`make reap` could not destroy the stack: its data is protected, and its server would be paid for ever after",
            fix="let the data go with the stack",
            example=f"pulumi config set -s {stack} vpai:protectData false",
        )


def _unplaced(settings: Settings, stack: str, placements: list[Placement]) -> Iterator[Problem]:
    """Chosen services whose role no host has."""
    placed_names = {service.name for placement in placements for service in placement.services}
    for name in settings.services:
        if name not in placed_names:
            yield Problem(
                what=f"vpai:services names {name!r}, and no host has a role that brings it",
                why="the stack would run without it, and nobody would see",
                fix="give its role to a host, or take it out",
                example=f"pulumi config set -s {stack} --path 'vpai:hosts.NAME.roles[0]' {Role.APPLICATIONS}",
            )


def _unknown(settings: Settings, stack: str) -> Iterator[Problem]:
    """Names in vpai:services that no service has."""
    names = catalogue.names_of_services()
    for name in settings.services:
        if name not in names:
            yield Problem(
                what=f"vpai:services names {name!r}, which is no service",
                why="the stack would run without it, and nobody would see",
                fix=f"use some of: {', '.join(names)}",
                example=f"pulumi config set -s {stack} --path 'vpai:services[0]' {CORE[0]}",
            )


def _fleet(
    settings: Settings,
    inputs: PlacementInputs,
    names: Names,
    placements: list[Placement],
    mesh: Mesh | None,
    hub_elsewhere: Host | None = None,
) -> Fleet:
    kept_in = buckets.wanted(settings, placements, copy=PROFILES[settings.kind].copy)
    invoice = rental_cost.invoice(placements, kept_in, inputs.prices)
    cost = str(invoice) if invoice.lines else "nothing is rented by this stack"
    with_monitoring = monitoring.with_monitoring(placements, names, inputs.authority)
    return Fleet(
        project=settings.project,
        domain=names.domain,
        placements=front_page.written(with_monitoring, names, inputs.stack, cost),
        mesh=mesh,
        hub_elsewhere=hub_elsewhere,
        named_in_public=not (PROFILES[settings.kind].copy and hub_elsewhere),
        image_lock=inputs.lock,
        buckets=kept_in,
        invoice=invoice,
    )


def _mesh(settings: Settings, hub: str) -> Mesh:
    names = Names(settings.domain, settings.subdomains)
    # Headscale refuses to start if the two are the same.
    return Mesh(hub=hub, server=names.host(MESH), domain=names.host(HOSTS), nameservers=_nameservers(settings))


def _nameservers(settings: Settings) -> tuple[str, ...]:
    return tuple(map(str, settings.nameservers))


def _ingress(settings: Settings, inputs: PlacementInputs, wildcard: str = "") -> IngressSettings:
    """Ingress settings of a host's Caddy. Names below `wildcard` share one certificate; if it is empty, each has its own."""
    return IngressSettings(
        vpn=settings.vpn_cidrs,
        acme_email=settings.acme_email,
        acme_directory=settings.acme_directory,
        authority=inputs.authority,
        wildcard=wildcard,
    )


def _host(
    settings: Settings,
    inputs: PlacementInputs,
    name: str,
    where: HostSettings,
    mesh: Mesh | None,
    services: tuple[Service, ...] = (),
    reserve_mib: int = 512,
) -> Host:
    """An existing machine, or a rented server that is large enough for `services`."""
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
    kind, memory = _type(where.server, inputs, sum(service.limits.memory_mib for service in services) + host.reserve_mib)
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


def _type(server: ServerSettings, inputs: PlacementInputs, needed_mib: int) -> tuple[str, int]:
    """(type, memory in MiB) of the server: the chosen type, or the cheapest that is large enough. A law reports too little."""
    if server.type:
        return server.type, next((memory for name, _, memory in inputs.types if name == server.type), _SMALLEST_MIB)
    return cheapest(needed_mib, inputs.types) or ("", _SMALLEST_MIB)
