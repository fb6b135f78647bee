"""Caddy: the only ingress. It publishes ports 80 and 443, and reaches only the services that a route names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from ipaddress import IPv4Network

from model.alert import Severity, Watch
from model.backup import Files
from model.dashboard import HERE, Dashboard, Form, Panel, of_service
from model.route import Access, Route, Site
from model.secret import External, Secret
from model.service import (
    Configuration,
    File,
    Healthcheck,
    Limits,
    Link,
    Logs,
    May,
    Metrics,
    Port,
    Reload,
    Replacement,
    Service,
    Volume,
)
from model.waiver import Waiver
from services.caddy.caddyfile import HEALTH_PORT, METRICS_PORT, AcmeOverOvh, OwnAuthority, render

IMAGE = "ghcr.io/mobutoo/vpai-caddy:2.11.9"
"""The tag is the version that toolchain/caddy/go.mod builds."""
DIRECTORY = "/etc/caddy"
CURRENT = f"{DIRECTORY}/current"
AUTHORITY_KEY = Secret(
    name="certificate_authority_key",
    source=External(obtain="root.key beside the root.crt in vpai:certificateAuthority", pattern=r"[\x20-\x7e\n]{40,}"),
)
OVH = tuple(
    Secret(
        name=name,
        source=External(obtain="OVH API token with GET, POST, PUT, DELETE on /domain/zone/* (docs/runbooks/first-deploy.md)"),
    )
    for name in ("ovh_application_key", "ovh_application_secret", "ovh_consumer_key")
)
"""API keys for the DNS records that prove to the certificate authority that the domain is ours."""


@dataclass(frozen=True, kw_only=True)
class IngressSettings:
    """Who may connect, and certificates: `authority` is the PEM root of the operator's own authority, empty for ACME over OVH."""

    vpn: tuple[IPv4Network, ...]
    acme_email: str
    authority: str
    acme_directory: str = ""
    wildcard: str = ""
    """The domain whose names share one certificate; empty: each has its own."""


def service(
    sites: Sequence[Site],
    ingress: IngressSettings,
    networks: tuple[str, ...],
    links: tuple[Link, ...] = (),
    routes: tuple[Route, ...] = (),
    memory_mib: int = 128,
    scale: float = 1.0,
) -> Service:
    """Caddy for `sites`, on the `networks` of the services behind it; `links` are services that it calls over the mesh.

    `routes` are those of `sites` that Caddy answers with its own files.
    """
    tls, tls_files, tls_secrets = _tls(ingress)
    return Service(
        name="caddy",
        image=IMAGE,
        networks=networks,
        # 17 to 18 MiB in the lab, on Sese-AI as on the hub with its relay in use (docs/adr/0021).
        limits=Limits(memory_mib=memory_mib, cpus=0.5).scaled(scale),
        replacement=Replacement.STOP_FIRST,
        metrics=Metrics(port=METRICS_PORT),
        logs=Logs.JSON,
        command=("caddy", "run", "--config", f"{CURRENT}/Caddyfile"),
        environment={"XDG_DATA_HOME": "/data", "XDG_CONFIG_HOME": "/config"},
        configuration=Configuration(
            directory=DIRECTORY,
            files=(File(path="Caddyfile", content=render(sites, tls, ingress.vpn)), *tls_files),
            on_change=Reload(
                command=("caddy", "reload", "--config", f"{CURRENT}/Caddyfile", "--force"),
                accepts=("caddy", "validate", "--adapter", "caddyfile", "--config", "-"),
            ),
            sites=tuple(sites),
        ),
        secrets=tls_secrets,
        links=links,
        routes=routes,
        # The hub's Caddy needs a certificate before anybody can join the mesh, so the mesh must not resolve the authority's name.
        uses_mesh_dns=True,
        volumes=(
            Volume(
                path="/data",
                directory="caddy/data",
                owner="0:0",
                mode=0o700,
                backup=Files(exclude=("caddy/locks",)),
            ),
        ),
        ports=tuple(
            Port(
                number=number,
                protocol=protocol,
                access=Access.PUBLIC,
                reason="VPN-only sites answer 403 to the public",
            )
            for number, protocol in ((80, "tcp"), (443, "tcp"), (443, "udp"))
        ),
        # A request against a real listener: `caddy version` would only prove the binary.
        alerts=tuple(_alerts(sites, ingress)),
        dashboard=_DASHBOARD,
        may=May(publish=(80, 443), share_uid=0),
        healthcheck=Healthcheck(
            command=("wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{HEALTH_PORT}/health"),
            interval=10,
            timeout=5,
            retries=3,
            start_period=15,
        ),
        capabilities=("NET_BIND_SERVICE",),
        # At a reload Caddy binds each port once more and closes the old listener (listen_unix.go of v2.11.9). The kernel resets
        # the connections that wait there, unless it may move them to the new listener (Linux 5.14, ip-sysctl.rst).
        sysctls={"net.ipv4.tcp_migrate_req": "1"},
        waivers=(
            Waiver(rule="containers-privileged-ports", reason="browsers ask for 80 and 443", until=date(2027, 5, 10)),
            Waiver(
                rule="containers-bound-ports",
                reason="it answers members and strangers, on every address; DOCKER-USER and its access lists tell them apart",
                until=date(2027, 5, 10),
            ),
        ),
        tmpfs=("/config", "/tmp"),
    )


_HOUR = 3600


def _alerts(sites: Sequence[Site], ingress: IngressSettings) -> Iterator[Watch]:
    requests = "caddy_http_request_duration_seconds_count"
    yield Watch(
        name="errors",
        measure=f'sum(rate({requests}{{$here,code=~"5.."}}[5m])) / sum(rate({requests}{{$here}}[5m]))',
        above=0.05,
        seconds=600,
        severity=Severity.WARNING,
        summary="more than 5 % of the requests to $host's Caddy end in an error of ours",
        runbook="make logs SERVICE=caddy; the service behind the failing name",
    )
    if sites:
        # Caddy renews at a third of the lifetime: 30 days before the end of a public certificate, 4 hours with our own authority.
        left = 2 * _HOUR if ingress.authority else 14 * 24 * _HOUR
        yield Watch(
            name="certificate",
            measure="min(probe_ssl_earliest_cert_expiry{$on}) - time()",
            below=left,
            seconds=600,
            severity=Severity.CRITICAL,
            summary=f"a certificate of $host's Caddy runs out within {left // _HOUR} hours and was not renewed",
            runbook="make logs SERVICE=caddy; the rights of the OVH API token (docs/runbooks/first-deploy.md)",
        )


_HERE = of_service("caddy")
_REQUESTS = f"caddy_http_request_duration_seconds_count{{{HERE}}}"
_DASHBOARD = Dashboard(
    "caddy",
    "Caddy",
    (
        Panel("Requests", {"{{host}} {{code}}": f"sum by (host, code) (rate({_REQUESTS}[5m]))"}, "reqps"),
        Panel(
            "Slowest twentieth",
            {
                "{{host}}": "histogram_quantile(0.95, sum by (host, le) "
                f"(rate(caddy_http_request_duration_seconds_bucket{{{HERE}}}[5m])))"
            },
            "s",
        ),
        Panel("Requests in flight", {"{{host}}": f"sum by (host) (caddy_http_requests_in_flight{{{HERE}}})"}),
        Panel("Log", {"": f"{{{_HERE}}}"}, form=Form.LOG),
    ),
)


def _tls(ingress: IngressSettings) -> tuple[AcmeOverOvh | OwnAuthority, tuple[File, ...], tuple[Secret, ...]]:
    if ingress.authority:
        root = (File(path="root.crt", content=ingress.authority), File(path="root.key", content=f"{AUTHORITY_KEY}"))
        return OwnAuthority(certificate=f"{CURRENT}/root.crt", key=f"{CURRENT}/root.key"), root, (AUTHORITY_KEY,)
    files = tuple(File(path=secret.name.replace("_", "-"), content=f"{secret}") for secret in OVH)
    issuer = AcmeOverOvh(
        email=ingress.acme_email, credentials=CURRENT, directory=ingress.acme_directory, wildcard=ingress.wildcard
    )
    return issuer, files, OVH
