"""What stands on each kind of host, Caddy's sites drawn from the routes of the rest."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from model.host import TIMEZONE
from model.mesh import Mesh
from model.names import HOSTS, Names
from model.route import Access, Led, Route, Site, Upstream, sites
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
    sandboxes,
    storage,
    sure,
    uptime_kuma,
    victoriametrics,
    webhook_gate,
    zerobyte,
)
from services.networks import BACKEND, FRONTEND, HUB, MONITORING, UPLINK


def external_secrets(authority: str = "") -> tuple[Secret, ...]:
    """All secrets that an operator may have to set, with an own certificate authority or without."""
    found = {
        secret.name: secret
        for service in _all(authority)
        for secret in service.secrets
        if isinstance(secret.source, External) and secret != caddy.AUTHORITY_KEY
    } | {secret.name: secret for secret in (*storage.SECRETS, storage.COPY_ACCESS_KEY, storage.COPY_SECRET_KEY)}
    return tuple(found.values())


def sites_of_all() -> frozenset[str]:
    """The default name of everything that an operator may call otherwise."""
    return frozenset({HOSTS, *(route.subdomain for service in _all("") for route in service.routes if route.subdomain)})


@cache
def _all(authority: str) -> tuple[Service, ...]:
    """Every service on whatever host, for what does not depend on any setting."""
    door, names = caddy.Door(vpn=(), acme_email="", authority=authority), Names("")
    stack, mesh = sese(names, door, ""), Mesh(hub="", server="", domain="", nameservers=())
    return (*stack, *hub(names, door, mesh, "", stack), *workstation(names), *applications(names, door))


def sese(
    names: Names,
    door: caddy.Door,
    project: str,
    scale: float = 1.0,
    *,
    buckets: str = "",
    by_hub: bool = True,
    only: tuple[str, ...] = (),
    timezone: str = TIMEZONE,
) -> tuple[Service, ...]:
    """Everything that stands on Sese-AI, its limits scaled by `scale`; `project` names its directory and networks, `buckets`
    is what its buckets' names begin with, empty where there are none.

    Without a hub its relayed routes answer the Internet themselves. `only` names services: then those, what they need, and
    Caddy.
    """
    everything = (
        postgresql.service(scale, timezone=timezone),
        redis.service(scale),
        qdrant.service(scale),
        litellm.service(scale),
        docker_proxy.service(BACKEND.name, MONITORING.name),
        sandboxes.service(project, openclaw.sandbox()),
        openclaw.service(names, project, scale, timezone=timezone),
        n8n.service(names, scale, timezone=timezone),
        webhook_gate.service(f"http://n8n:{n8n.PORT}", scale),
        nocodb.service(names, scale, storage.shared_name(buckets)),
        sure.web(scale, timezone=timezone),
        sure.worker(scale, timezone=timezone),
        victoriametrics.service(scale),
        loki.service(scale),
        cadvisor.service(scale=scale),
        alloy.service((BACKEND.name, MONITORING.name), ("victoriametrics", "loki", "docker-proxy"), scale=scale),
        grafana.service(names, scale),
        diun.service(scale, timezone=timezone),
    )
    behind = _named(_with_needs(everything, only) if only else everything, names)
    networks = (FRONTEND.name, BACKEND.name, MONITORING.name)
    return (*behind, caddy.service(_sites(behind, names, by_hub=by_hub), door, networks, scale=scale))


def _with_needs(services: tuple[Service, ...], names: Iterable[str]) -> tuple[Service, ...]:
    by_name = {service.name: service for service in services}
    wanted: set[str] = set()
    waiting = [name for name in names if name in by_name]
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += by_name[name].needs
    return tuple(service for service in services if service.name in wanted)


def hub(
    names: Names,
    door: caddy.Door,
    mesh: Mesh,
    relayed_to: str,
    stack: Iterable[Service],
    buckets: str = "",
    *,
    timezone: str = TIMEZONE,
) -> tuple[Service, ...]:
    """Everything that stands on the hub of the mesh; the relayed routes of `stack` it hands on to the member `relayed_to`."""
    relayed = tuple((service, route) for service in stack for route in service.routes if route.relayed)
    relays = (Led(route=route, upstream=Upstream(name=relayed_to, port=443, over_mesh=True)) for _, route in relayed)
    links = tuple(
        Link(service=name, reason="hands on what strangers ask of it")
        for name in dict.fromkeys(service.name for service, _ in relayed)
    )
    keeper = zerobyte.service(names, bucket=storage.backups_name(buckets), timezone=timezone)
    kuma = uptime_kuma.service(timezone=timezone)
    behind = _named((headscale.service(mesh), couchdb.service(), kuma, keeper), names)
    networks = (HUB.name, MONITORING.name, UPLINK.name)
    front = caddy.service(_sites(behind, names, others=relays), door, networks, links, memory_mib=80)
    return (*behind, *_watchers(), front)


def workstation(names: Names) -> tuple[Service, ...]:
    """What watches the workstation, and the worker that mends issues; its other work is not of this program."""
    return (node_exporter.service(), auto_fix.service(names), *_watchers())


def applications(
    names: Names, door: caddy.Door, of: tuple[apps.App, ...] = apps.APPS, *, timezone: str = TIMEZONE
) -> tuple[Service, ...]:
    """Everything that stands on the server of our own applications: they, their databases, their Caddy, what watches them."""
    databases = tuple(app.database for app in of if app.database)
    store = (postgresql.service(0.25, databases, timezone=timezone),) if databases else ()
    behind = _named((*store, *(apps.service(app) for app in of)), names)
    front = caddy.service(_sites(behind, names), door, (FRONTEND.name, MONITORING.name))
    return (*behind, node_exporter.service(), *_watchers(), front)


def _watchers() -> tuple[Service, ...]:
    """What watches a host whose metrics and logs are kept on another one."""
    return (
        docker_proxy.service(MONITORING.name),
        cadvisor.service(memory_mib=64),
        alloy.service((MONITORING.name, UPLINK.name), ("docker-proxy",), memory_mib=256),
    )


def _sites(behind: Iterable[Service], names: Names, *, by_hub: bool = True, others: Iterable[Led] = ()) -> tuple[Site, ...]:
    """The sites of a Caddy with `behind` it; `by_hub` tells whether a hub hands on what is relayed."""
    own = (
        Led(
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
