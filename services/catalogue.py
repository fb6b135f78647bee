"""What stands on a host, by the roles that it plays; Caddy's sites drawn from the routes of the rest."""

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
    """One of `services/`: it says what it is made of, from whatever fleet it is for."""

    def services(self, of: Context, /) -> Iterable[Service]:
        """What it brings to the host of the context."""


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
    # What watches the workstation, and the worker that fixes issues; its other work is not of this program.
    Role.WORKSTATION: (node_exporter, auto_fix),
    Role.APPLICATIONS: (postgresql, apps, node_exporter),
}
"""What stands on a host because of a role of its; who needs another comes after it where it can."""
EVERYWHERE: Sequence[Module] = (docker_proxy, cadvisor, alloy)
"""What watches a host."""


def on(roles: Collection[Role], of: Context, ingress: caddy.IngressSettings) -> tuple[Service, ...]:
    """Everything that stands on the context's host, which plays these `roles`, once each, and a Caddy for what has routes."""
    wanted = of.standing.get(of.host)
    of = replace(of, roles=frozenset(roles), standing=of.standing or {of.host: names_of(roles)})
    found = _made(roles, of)
    if wanted is not None:
        others = _made(set(Role) - set(roles), of) if wanted - found.keys() else {}
        found = {name: service for name, service in (others | found).items() if name in wanted}
    found = {name: service for name, service in found.items() if of.runs(name)}
    there = tuple(found.values())
    found = {name: it.completed(it, there) if it.completed else it for name, it in found.items()}
    behind = tuple(_leaving_apart(service) for service in _named(found.values(), of.names))
    own_pages = _front_page(roles, of, found.keys())
    behind = tuple(_asked_by_the_front_page(service, of) if own_pages else service for service in behind)
    # On one machine nobody hands on: the stack answers the Internet itself.
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
    """The front page's files, where VictoriaMetrics stands, or the stack where none does; nothing on any other host, and nothing
    anywhere where an application has the page's name: it was there first."""
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
    """The names of what these roles bring to a host, Caddy apart."""
    return frozenset(name for role in roles for name in _by_role()[role])


def standing(
    hosts: Mapping[str, Collection[Role]], moved: Mapping[str, str], only: Collection[str]
) -> Mapping[str, frozenset[str]]:
    """By host, the names of what stands there: what its roles bring, but for what was `moved` (by service, its host)."""
    return {
        host: frozenset(
            name
            for name in (names_of(roles) - moved.keys()) | {service for service, to in moved.items() if to == host}
            if not only or name in only
        )
        for host, roles in hosts.items()
    }


def _made(roles: Collection[Role], of: Context) -> dict[str, Service]:
    """What these roles bring, by name."""
    modules = dict.fromkeys((*(module for role in Role if role in roles for module in BY_ROLE[role]), *EVERYWHERE))
    return {service.name: service for module in modules for service in module.services(of)}


def _leaving_apart(service: Service) -> Service:
    """Who has links leaves by the network of those alone, to the Internet too: of several ways out Docker would choose one by its
    name, and the firewall knows by the network who may enter the mesh."""
    if not service.links:
        return service
    return replace(service, networks=(*(name for name in service.networks if name in INTERNAL), UPLINK.name))


def networks(roles: Collection[Role], services: Iterable[Service]) -> tuple[Network, ...]:
    """The networks of a host: what is joined, and for the stack, whose agents join some themselves, the specification's."""
    used = {name for service in services for name in service.networks}
    whole = {network.name for network in NETWORKS} if Role.STACK in roles else set()
    return tuple(network for network in (*NETWORKS, HUB, UPLINK) if network.name in used | whole)


def names_of_services() -> tuple[str, ...]:
    """Every service that may be chosen, in the order in which they are placed."""
    return tuple(dict.fromkeys(service.name for service in _all("") if service.name not in _ALWAYS))


def with_needs(chosen: Iterable[str]) -> frozenset[str]:
    """The services of these names and what they need; Caddy and Headscale stand wherever there is something for them to do."""
    wanted, more = frozenset[str](), frozenset((*chosen, *_ALWAYS))
    while more != wanted:
        wanted = more
        # What one needs may depend on who else is there.
        there = _everywhere(
            Context(names=Names(""), project="", only=wanted), caddy.IngressSettings(vpn=(), acme_email="", authority="")
        )
        asked = (name for it in there for name in (*it.needs, *it.brings, *(link.service for link in it.links)))
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
    """The default name of everything that an operator may call otherwise."""
    return frozenset(
        {FRONT_PAGE, HOSTS, *(route.subdomain for service in _all("") for route in service.routes if route.subdomain)}
    )


@cache
def _all(authority: str) -> tuple[Service, ...]:
    """Every service on whatever host, for what does not depend on any setting."""
    return _everywhere(Context(names=Names(""), project=""), caddy.IngressSettings(vpn=(), acme_email="", authority=authority))


@cache
def _by_role() -> Mapping[Role, tuple[str, ...]]:
    """The names of what each role brings."""
    of = _of_no_fleet(Context(names=Names(""), project=""))
    return {role: tuple(_made({role}, replace(of, roles=frozenset({role})))) for role in Role}


def _everywhere(of: Context, ingress: caddy.IngressSettings) -> tuple[Service, ...]:
    """What stands on hosts of each role."""
    of = _of_no_fleet(of)
    return tuple(service for role in Role for service in on({role}, of, ingress))


def _of_no_fleet(of: Context) -> Context:
    return replace(of, mesh=Mesh(hub="", server="", domain="", nameservers=()))


def _ingress_networks(roles: Collection[Role], behind: Iterable[Service], links: tuple[Link, ...]) -> tuple[str, ...]:
    """Those of what stands behind Caddy, and the one by which it hands on."""
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
    """The sites of a Caddy with `behind` it; `by_hub` tells whether a hub hands on what is relayed."""
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
    """The same services, each route under the name that the operator gives it."""

    def called(route: Route) -> Route:
        return replace(route, subdomain=names.subdomain(route.subdomain))

    return tuple(
        replace(service, routes=tuple(map(called, service.routes))) if service.routes else service for service in services
    )


def _for_members(route: Route) -> Route:
    """What is left of a relayed route on its own host: the hub has counted who asks, and is a member itself."""
    return replace(route, access=Access.VPN, reason="", rate_limit=None)
