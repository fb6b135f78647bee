"""The services of a host, by its roles, and the sites of its Caddy, from the services' routes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Protocol

from model.host import Role
from model.mesh import Mesh
from model.names import FRONT_PAGE, HOSTS, Names
from model.network import Network
from model.route import Access, Route, RouteTarget, Site, Upstream, sites
from model.secret import External, Secret
from model.service import Link, Service
from services import (
    alloy,
    apps,
    auto_fix,
    caddy,
    cadvisor,
    couchdb,
    diun,
    docker_proxy,
    front_page,
    grafana,
    headscale,
    litellm,
    loki,
    n8n,
    nocodb,
    node_exporter,
    openclaw,
    postgresql,
    qdrant,
    redis,
    storage,
    sure,
    uptime_kuma,
    victoriametrics,
    webhook_gate,
    zerobyte,
)
from services.context import Context
from services.networks import BACKEND, FRONTEND, HUB, INTERNAL, MONITORING, NETWORKS, UPLINK, joined


class Module(Protocol):
    """A module of `services/`. It makes its services for any fleet."""

    def services(self, of: Context, /) -> Iterable[Service]:
        """The module's services on the host of the context."""


BY_ROLE: Mapping[Role, Sequence[Module]] = {
    Role.STACK: (
        postgresql,
        redis,
        qdrant,
        litellm,
        docker_proxy,
        openclaw,
        n8n,
        webhook_gate,
        nocodb,
        sure,
        victoriametrics,
        loki,
        cadvisor,
        alloy,
        grafana,
        diun,
    ),
    Role.HUB: (headscale, couchdb, uptime_kuma, zerobyte),
    # Monitoring of the workstation, and the worker that fixes issues; its other software is not part of this program.
    Role.WORKSTATION: (node_exporter, auto_fix),
    Role.APPLICATIONS: (postgresql, apps, node_exporter),
}
"""The services of each role. A service follows those that it needs, where possible."""
EVERYWHERE: Sequence[Module] = (docker_proxy, cadvisor, alloy)
"""Services that watch a host, on every host."""


def on(roles: Collection[Role], of: Context, ingress: caddy.IngressSettings) -> tuple[Service, ...]:
    """All services of the context's host, which has these `roles`, once each, and a Caddy if any of them has routes."""
    wanted = of.standing.get(of.host)
    of = replace(of, roles=frozenset(roles), standing=of.standing or {of.host: names_of(roles)})
    found = _made(roles, of)
    if wanted is not None:
        others = _made(set(Role) - set(roles), of) if wanted - found.keys() else {}
        found = {name: service for name, service in (others | found).items() if name in wanted}
    found = {name: service for name, service in found.items() if of.runs(name)}
    services = tuple(found.values())
    found = {name: service.completed(service, services) if service.completed else service for name, service in found.items()}
    behind = tuple(_leaving_apart(service) for service in _named(found.values(), of.names))
    own_pages = _front_page(roles, of, found.keys())
    behind = tuple(_asked_by_the_front_page(service, of) if own_pages else service for service in behind)
    # A single host relays nothing: the stack answers the Internet itself.
    relayed = _relayed(of.stack) if Role.HUB in roles and Role.STACK not in roles else ()
    routed = tuple(service for service in behind if service.routes)
    if not relayed and not routed and not own_pages:
        return behind
    pages = (RouteTarget(route=route, upstream=None) for route in own_pages)
    relays = (RouteTarget(route=route, upstream=Upstream(name=of.relayed_to, port=443, over_mesh=True)) for _, route in relayed)
    links = tuple(
        Link(service=name, reason="hands on what strangers ask of it")
        for name in dict.fromkeys(service.name for service, _ in relayed)
    )
    at = _sites(behind, of.names, by_hub=bool(of.relayed_to), others=(*pages, *relays))
    small = {"memory_mib": 80} if set(roles) <= {Role.HUB} else {}
    scale = of.scale if Role.STACK in roles else 1.0
    own = caddy.service(at, ingress, _ingress_networks(roles, behind, links), links, own_pages, scale=scale, **small)
    return (*behind, replace(own, networks=joined(own, routed)))


def _front_page(roles: Collection[Role], of: Context, here: Collection[str]) -> tuple[Route, ...]:
    """Routes of the front page's files: on the host with VictoriaMetrics, or on the stack's host if there is none. Empty on every
    other host, and everywhere if an application has the page's name, because it was there first."""
    if of.names.subdomain(FRONT_PAGE) in {of.names.subdomain(app.route.subdomain) for app in apps.of_fleet(of)}:
        return ()
    store = victoriametrics.ENDPOINT.service
    elsewhere = of.runs(store) and any(store in names for host, names in of.standing.items() if host != of.host)
    stands_here = store in here or (Role.STACK in roles and not elsewhere)
    return front_page.files(of.names) if stands_here else ()


def _asked_by_the_front_page(service: Service, of: Context) -> Service:
    if service.name != victoriametrics.ENDPOINT.service:
        return service
    return replace(service, routes=(*service.routes, *front_page.questions(of.names)))


def names_of(roles: Collection[Role]) -> frozenset[str]:
    """Names of the services that these roles bring to a host, without Caddy."""
    return frozenset(name for role in roles for name in _by_role()[role])


def standing(
    hosts: Mapping[str, Collection[Role]], moved: Mapping[str, str], only: Collection[str]
) -> Mapping[str, frozenset[str]]:
    """Host -> names of its services: those of its roles, but `moved` services (service -> its host) on their new hosts."""
    return {
        host: frozenset(
            name
            for name in (names_of(roles) - moved.keys()) | {service for service, to in moved.items() if to == host}
            if not only or name in only
        )
        for host, roles in hosts.items()
    }


def _made(roles: Collection[Role], of: Context) -> dict[str, Service]:
    """Name -> service, for all services of these roles."""
    modules = dict.fromkeys((*(module for role in Role if role in roles for module in BY_ROLE[role]), *EVERYWHERE))
    return {service.name: service for module in modules for service in module.services(of)}


def _leaving_apart(service: Service) -> Service:
    """A service with links has UPLINK as its only egress network, also to the Internet: of several Docker would choose one by its
    name, and the firewall tells by the network which packets may enter the mesh."""
    if not service.links:
        return service
    return replace(service, networks=(*(name for name in service.networks if name in INTERNAL), UPLINK.name))


def networks(roles: Collection[Role], services: Iterable[Service]) -> tuple[Network, ...]:
    """The networks of a host: those that its services join. The stack's host has all of the specification's: agents join some."""
    used = {name for service in services for name in service.networks}
    whole = {network.name for network in NETWORKS} if Role.STACK in roles else set()
    return tuple(network for network in (*NETWORKS, HUB, UPLINK) if network.name in used | whole)


def names_of_services() -> tuple[str, ...]:
    """Every service that may be chosen, in the order of placement."""
    return tuple(dict.fromkeys(service.name for service in _all("") if service.name not in _ALWAYS))


def with_needs(chosen: Iterable[str]) -> frozenset[str]:
    """The chosen services and those that they need; Caddy and Headscale are always included, and run only where needed."""
    wanted, more = frozenset[str](), frozenset((*chosen, *_ALWAYS))
    while more != wanted:
        wanted = more
        # The needs of a service may depend on which other services run.
        services = _everywhere(
            Context(names=Names(""), project="", only=wanted), caddy.IngressSettings(vpn=(), acme_email="", authority="")
        )
        asked = (
            name for service in services for name in (*service.needs, *service.brings, *(link.service for link in service.links))
        )
        more = wanted.union(asked)
    return wanted


_ALWAYS = ("caddy", "headscale")


def external_secrets(authority: str = "", hosts: Iterable[str] = ()) -> tuple[Secret, ...]:
    """All secrets that an operator may have to set, with an own certificate authority or without, for a fleet of `hosts`."""
    found = {
        secret.name: secret
        for service in _all(authority)
        for secret in service.secrets
        if isinstance(secret.source, External) and secret != caddy.AUTHORITY_KEY
    } | {secret.name: secret for secret in (*storage.secrets(hosts), storage.COPY_ACCESS_KEY, storage.COPY_SECRET_KEY)}
    return tuple(found.values())


def sites_of_all() -> frozenset[str]:
    """Default names of all sites that an operator may rename."""
    return frozenset(
        {FRONT_PAGE, HOSTS, *(route.subdomain for service in _all("") for route in service.routes if route.subdomain)}
    )


@cache
def _all(authority: str) -> tuple[Service, ...]:
    """Every service of every role, for questions that depend on no setting."""
    return _everywhere(Context(names=Names(""), project=""), caddy.IngressSettings(vpn=(), acme_email="", authority=authority))


@cache
def _by_role() -> Mapping[Role, tuple[str, ...]]:
    """Role -> names of its services."""
    context = _of_no_fleet(Context(names=Names(""), project=""))
    return {role: tuple(_made({role}, replace(context, roles=frozenset({role})))) for role in Role}


def _everywhere(of: Context, ingress: caddy.IngressSettings) -> tuple[Service, ...]:
    """The services of one host for each role."""
    of = _of_no_fleet(of)
    return tuple(service for role in Role for service in on({role}, of, ingress))


def _of_no_fleet(of: Context) -> Context:
    return replace(of, mesh=Mesh(hub="", server="", domain="", nameservers=()))


def _ingress_networks(roles: Collection[Role], behind: Iterable[Service], links: tuple[Link, ...]) -> tuple[str, ...]:
    """The networks of Caddy: those of the services behind it, and the one by which it calls other hosts."""
    if Role.STACK in roles:
        return (FRONTEND.name, BACKEND.name, MONITORING.name, *((HUB.name,) if Role.HUB in roles else ()))
    if Role.HUB in roles:
        return (HUB.name, MONITORING.name, UPLINK.name if links else FRONTEND.name)
    return (FRONTEND.name, MONITORING.name)


def _relayed(stack: Iterable[Service]) -> tuple[tuple[Service, Route], ...]:
    return tuple((service, route) for service in stack for route in service.routes if route.relayed)


def _sites(
    behind: Iterable[Service], names: Names, *, by_hub: bool = True, others: Iterable[RouteTarget] = ()
) -> tuple[Site, ...]:
    """The sites of a Caddy in front of `behind`; `by_hub`: a hub relays the relayed routes."""
    own = (
        RouteTarget(
            route=_for_members(route) if route.relayed and by_hub else route,
            upstream=None if route.answer else Upstream(name=service.name, port=route.port),
        )
        for service in behind
        for route in service.routes
    )
    return sites((*own, *others), names.domain)


def _named(services: Iterable[Service], names: Names) -> tuple[Service, ...]:
    """The same services, with the names that the operator gives to their sites."""

    def called(route: Route) -> Route:
        return replace(route, subdomain=names.subdomain(route.subdomain))

    return tuple(
        replace(service, routes=tuple(map(called, service.routes))) if service.routes else service for service in services
    )


def _for_members(route: Route) -> Route:
    """A relayed route on its own host: the hub is the client there, is a member, and has applied the rate limit."""
    return replace(route, access=Access.VPN, reason="", rate_limit=None)
