"""What stands on each kind of host, Caddy's sites drawn from the routes of the rest."""

from collections.abc import Iterable
from dataclasses import replace

from model.mesh import Mesh
from model.route import Access, Led, Route, Site, Upstream, sites
from model.secret import External, Secret
from model.service import Service
from services import (
    alloy,
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
    sure,
    uptime_kuma,
    victoriametrics,
    zerobyte,
)
from services.networks import BACKEND, FRONTEND, HUB, MONITORING, UPLINK


def external_secrets(authority: str = "") -> tuple[Secret, ...]:
    """All secrets that an operator may have to set, with an own certificate authority or without."""
    door = caddy.Door(vpn=(), acme_email="", authority=authority)
    found = {
        secret.name: secret
        for service in sese("", door, "")
        for secret in service.secrets
        if isinstance(secret.source, External) and secret != caddy.AUTHORITY_KEY
    }
    return tuple(found.values())


def sese(domain: str, door: caddy.Door, project: str, scale: float = 1.0, *, by_hub: bool = True) -> tuple[Service, ...]:
    """Everything that stands on Sese-AI, its limits scaled by `scale`; `project` names its directory and networks.

    Without a hub its relayed routes answer the Internet themselves.
    """
    behind = (
        postgresql.service(scale),
        redis.service(scale),
        qdrant.service(scale),
        litellm.service(scale),
        docker_proxy.service(project, openclaw.workspace(project), openclaw.sandbox(scale), scale),
        openclaw.service(domain, project, scale),
        n8n.service(domain, scale),
        nocodb.service(domain, scale),
        sure.web(scale),
        sure.worker(scale),
        victoriametrics.service(scale),
        loki.service(scale),
        cadvisor.service(scale=scale),
        alloy.service((BACKEND.name, MONITORING.name), ("victoriametrics", "loki", "docker-proxy"), scale=scale),
        grafana.service(domain, scale),
        diun.service(scale),
    )
    networks = (FRONTEND.name, BACKEND.name, MONITORING.name)
    return (*behind, caddy.service(_sites(behind, domain, by_hub=by_hub), door, networks, scale=scale))


def hub(domain: str, door: caddy.Door, mesh: Mesh, relays: Iterable[Led] = ()) -> tuple[Service, ...]:
    """Everything that stands on the hub of the mesh, and what it hands on to other members."""
    behind = (headscale.service(mesh, domain), couchdb.service(), uptime_kuma.service(), zerobyte.service(domain))
    # 18 MiB in the lab with its five sites and the relay in use (docker stats, 2026-11-23).
    front = caddy.service(_sites(behind, domain, others=relays), door, (HUB.name, MONITORING.name), memory_mib=128)
    return (*behind, *_watchers(), front)


def workstation() -> tuple[Service, ...]:
    """What watches the workstation; its own work is not of this program."""
    return (node_exporter.service(), *_watchers())


def _watchers() -> tuple[Service, ...]:
    """What watches a host whose metrics and logs are kept on another one."""
    return (
        docker_proxy.questions(MONITORING.name),
        cadvisor.service(memory_mib=96),
        alloy.service((MONITORING.name, UPLINK.name), ("docker-proxy",), memory_mib=192),
    )


def relayed(services: Iterable[Service], member: str) -> tuple[Led, ...]:
    """The routes of `services` that the hub hands on to `member`, the mesh name of their host."""
    return tuple(
        Led(route=route, upstream=Upstream(name=member, port=443, over_mesh=True))
        for service in services
        for route in service.routes
        if route.relayed
    )


def _sites(behind: Iterable[Service], domain: str, *, by_hub: bool = True, others: Iterable[Led] = ()) -> tuple[Site, ...]:
    """The sites of a Caddy with `behind` it; `by_hub` tells whether a hub hands on what is relayed."""
    own = (
        Led(
            route=_for_members(route) if route.relayed and by_hub else route,
            upstream=None if route.answer else Upstream(name=service.name, port=route.port),
        )
        for service in behind
        for route in service.routes
    )
    return sites((*own, *others), domain)


def _for_members(route: Route) -> Route:
    """What is left of a relayed route on its own host: the hub has counted who asks, and is a member itself."""
    return replace(route, access=Access.VPN, reason="", rate_limit=None)
