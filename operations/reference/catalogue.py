"""`python -m operations.reference.catalogue`: writes the reference pages of production from the catalogue."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from model.cost import Prices
from model.fleet import Fleet
from model.host import Role
from model.image import ImageLock
from model.placement import Placement
from model.route import ALL, Access, Route
from model.secret import Generated
from model.service import Metrics, Service
from model.settings import Settings
from operations.table import markdown as _table
from services.monitoring import alerts
from services.monitoring.alert_reference import page as alerts_page
from services.monitoring.alerts import known_uids
from stacks import fleets
from stacks.inputs import PRICES
from stacks.placement_inputs import PlacementInputs

_PROJECT = Path(__file__).parent.parent.parent
PAGE = _PROJECT / "docs/reference/catalogue.md"
ALERTS = _PROJECT / "docs/reference/alerts.md"
UIDS = _PROJECT / "services/monitoring/uids.txt"
DOMAIN = "example.org"
# Names and sizes are those of production's hosts; the rest of the example is invented.
_HOSTS = {
    "sese": (11264, Role.STACK),
    "seko": (2048, Role.HUB),
    "waza": (16384, Role.WORKSTATION),
    "app-prod-01": (4096, Role.APPLICATIONS),
}
ROLES = {name: role for name, (_, role) in _HOSTS.items()}
"""Role of each host of the example."""


def main() -> int:
    """Write the pages, and the list of all names that alerts ever had."""
    fleet = example_fleet()
    PAGE.write_text(page(fleet))
    current = alerts(fleet.placements)
    ALERTS.write_text(alerts_page(current))
    UIDS.write_text("".join(f"{uid}\n" for uid in sorted({*known_uids(), *(alert.uid for alert in current)})))
    return 0


def example_fleet() -> Fleet:
    """Production below an example domain."""
    settings = Settings.parse(
        {
            "kind": "production",
            "domain": DOMAIN,
            "acmeEmail": f"ops@{DOMAIN}",
            "bucketPrefix": "example-org",
            "knownHosts": "hosts/prod.known_hosts",
            "authorizedKeys": "hosts/prod.authorized_keys",
            "hosts": {
                name: {"address": f"203.0.113.{10 + number}", "memoryMib": memory, "roles": [role]}
                for number, (name, (memory, role)) in enumerate(_HOSTS.items())
            },
        },
        "prod",
    )
    prices = Prices.written(yaml.safe_load((_PROJECT / PRICES).read_text()))
    around = PlacementInputs(stack="prod", lock=ImageLock({}), authority="", types=(), prices=prices)
    return fleets.fleet(settings, around)


def page(fleet: Fleet) -> str:
    """The page in Markdown."""
    sections = (
        ("Hosts, networks and flows", f"![Hosts, services and who reaches them](architecture.svg)\n\n{_diagram(fleet)}"),
        ("Services", _services(fleet)),
        ("Memory", _memory(fleet)),
        ("Networks and their members", _networks(fleet)),
        ("Links from host to host", _links(fleet)),
        ("Routes", _routes(fleet)),
        ("Published ports", _ports(fleet)),
        ("Volumes", _volumes(fleet)),
        ("What containers see of their host", _host_mounts(fleet)),
        ("Databases", _databases(fleet)),
        ("Metrics and logs", _monitoring(fleet)),
        ("Secrets", _secrets(fleet)),
    )
    head = (
        "# Reference: what stands where\n\nWritten by `make docs` from `services/`; do not edit. A test fails when it is stale.\n"
    )
    return head + "".join(f"\n## {title}\n\n{text}\n" for title, text in sections)


def _placed(fleet: Fleet) -> Iterator[tuple[str, Service]]:
    for placement, service in fleet.services():
        yield placement.host.name, service


def _diagram(fleet: Fleet) -> str:
    """Diagram of requests: hosts as boxes, Caddy's routes and the needs between services as arrows."""
    lines = ["```mermaid", "flowchart LR", "  internet((Internet))", "  vpn((VPN))"]
    for placement in fleet.placements:
        lines.append(f"  subgraph {placement.host.name}")
        for service in placement.services:
            lines.append(f'    {_node(placement, service.name)}["{service.name}"]')
        if not placement.services:
            lines.append(f'    {placement.host.name}_host["no containers"]')
        lines.append("  end")
    for placement in fleet.placements:
        doors = {access: [site for site in placement.sites() if site.paths(access)] for access in Access}
        for access, source in ((Access.PUBLIC, "internet"), (Access.VPN, "vpn")):
            if doors[access]:
                names = "<br/>".join(site.host.removesuffix(f".{DOMAIN}") for site in doors[access])
                lines.append(f'  {source} -- "{names}" --> {_ingress(placement)}')
        for site in placement.sites():
            for upstream in dict.fromkeys(led.upstream for led in site.routes if led.upstream):
                target = site.host if upstream.over_mesh else _node(placement, upstream.name)
                lines.append(f"  {_ingress(placement)} --> {target}")
        for service in placement.services:
            lines += [f"  {_node(placement, service.name)} -.-> {_node(placement, need)}" for need in service.needs]
    lines += (f"  {source} ==> {target}" for source, target in _calls_between_hosts(fleet))
    lines += [
        "```",
        "",
        "Arrows: requests that come in through Caddy. Dotted: what a service needs before it starts. "
        "Thick: calls over the mesh from host to host, which the other host's Caddy answers.",
        "",
        *_network_diagram(fleet),
    ]
    return "\n".join(lines)


def _ingress(placement: Placement) -> str:
    assert placement.door
    return _node(placement, placement.door.name)


def _calls_between_hosts(fleet: Fleet) -> Sequence[tuple[str, str]]:
    """Each service that calls another host, with the Caddy that answers there; each pair once."""
    behind = {
        service.name: placement
        for placement, service in fleet.services()
        if any(route.access is Access.VPN for route in service.routes)
    }
    calls = (
        (_node(placement, service.name), _ingress(behind[link.service]))
        for placement, service in fleet.services()
        for link in service.links
    )
    return tuple(dict.fromkeys(calls))


def _network_diagram(fleet: Fleet) -> Sequence[str]:
    """Diagram of networks: a hexagon for each, with or without egress, and the services on it."""
    lines = ["```mermaid", "flowchart LR", "  outside((Internet))"]
    for placement in fleet.placements:
        lines.append(f"  subgraph {placement.host.name}")
        lines += (f'    {_node(placement, service.name)}["{service.name}"]' for service in placement.services)
        for network in placement.networks:
            hexagon = f"{_node(placement, network.name)}_network"
            lines.append(f'    {hexagon}{{{{"{network.name}<br/>{network.cidr}"}}}}')
            lines += (f"    {_node(placement, member)} --- {hexagon}" for member in sorted(placement.members(network.name)))
        lines.append("  end")
        lines += (
            f"  {_node(placement, network.name)}_network --> outside" for network in placement.networks if not network.internal
        )
    return [*lines, "```", "", "Hexagons: networks. One that leads to the Internet has a way out; the others are internal."]


def _node(placement: Placement, service: str) -> str:
    return f"{placement.host.name}_{service}".replace("-", "_")


def _services(fleet: Fleet) -> str:
    rows = (
        (
            host,
            service.name,
            f"`{service.image}`",
            str(service.limits.cpus),
            service.user or "the image's",
            ", ".join(service.capabilities) or "none",
            "read-only" if service.read_only_root else "writable",
            " ".join(service.networks),
            ", ".join(service.needs) or "-",
            f"every {service.healthcheck.interval} s",
        )
        for host, service in _placed(fleet)
    )
    head = ("host", "service", "image", "CPUs", "user", "capabilities", "root", "networks", "needs", "checked")
    return _table(head, rows)


def _memory(fleet: Fleet) -> str:
    """Each host's memory budget: the limits of its services against the host's memory."""
    parts = []
    for placement in fleet.placements:
        host = placement.host
        rows = [
            (service.name, str(service.limits.memory_mib))
            for service in sorted(placement.services, key=lambda service: (-service.limits.memory_mib, service.name))
        ]
        total = sum(service.limits.memory_mib for service in placement.services)
        left = host.memory_mib - host.reserve_mib - total
        rows.append(("**sum**", f"**{total}**"))
        parts.append(f"{host.name}: {host.memory_mib} MiB, {host.reserve_mib} reserved for the host itself, {left} free.\n")
        parts.append(_table(("service", "limit (MiB)"), rows) + "\n")
    return "\n".join(parts)


def _networks(fleet: Fleet) -> str:
    rows = (
        (
            placement.host.name,
            network.name,
            str(network.cidr),
            "no" if network.internal else "yes",
            ", ".join(sorted(placement.members(network.name))) or "nobody",
        )
        for placement in fleet.placements
        for network in placement.networks
    )
    return _table(("host", "network", "range", "way out", "members"), rows)


def _links(fleet: Fleet) -> str:
    rows = (
        (placement.host.name, service.name, link.service, network.name, str(network.cidr), link.reason)
        for placement, service in fleet.services()
        for link in service.links
        for network in placement.ways_out(service)
    )
    return _table(("host", "service", "calls", "leaves by", "range", "why"), rows)


def _routes(fleet: Fleet) -> str:
    rows = (
        (
            placement.host.name,
            site.host,
            f"`{led.leads_to}`" if led.upstream else led.leads_to,
            led.route.access,
            _paths(led.route),
            " ".join(led.route.methods) or "all",
            f"{led.route.rate_limit.requests} in {led.route.rate_limit.seconds} s" if led.route.rate_limit else "-",
            f"{led.route.body_mib} MiB",
            led.route.reason or "-",
        )
        for placement in fleet.placements
        for site in placement.sites()
        for led in site.routes
    )
    return _table(("host", "name", "leads to", "who", "paths", "methods", "requests of one address", "body", "why public"), rows)


def _paths(route: Route) -> str:
    declared = "all" if route.paths == (ALL,) else " ".join(f"`{path}`" for path in route.paths)
    return declared + (f" but {' '.join(f'`{path}`' for path in route.refused_paths)}" if route.refused_paths else "")


def _ports(fleet: Fleet) -> str:
    rows = (
        (host, f"{port.number}/{port.protocol}", service.name, port.access, port.reason)
        for host, service in _placed(fleet)
        for port in service.ports
    )
    return _table(("host", "port", "service", "who", "why"), rows)


def _volumes(fleet: Fleet) -> str:
    rows = (
        (
            host,
            service.name,
            f"`/opt/{fleet.project}/data/{volume.directory}`",
            f"`{volume.path}`",
            f"{volume.owner} {volume.mode:04o}",
            volume.backup.text,
        )
        for host, service in _placed(fleet)
        for volume in service.volumes
    )
    return _table(("host", "service", "on the host", "inside", "owner, mode", "backup"), rows)


def _host_mounts(fleet: Fleet) -> str:
    rows = (
        (host, service.name, f"`{mount.path}`", mount.reason) for host, service in _placed(fleet) for mount in service.host_mounts
    )
    return _table(("host", "service", "path, read-only", "why"), rows)


def _databases(fleet: Fleet) -> str:
    rows = (
        (
            placement.host.name,
            database.name,
            database.user,
            ", ".join(database.extensions) or "-",
            ", ".join(key.name for key in database.keys) or "-",
        )
        for placement in fleet.placements
        for database in placement.databases()
    )
    return _table(("host", "database", "user", "extensions", "unreadable without"), rows)


def _monitoring(fleet: Fleet) -> str:
    def metrics(service: Service) -> str:
        shown = service.metrics
        if not isinstance(shown, Metrics):
            return f"none: {shown.reason}"
        return f"`:{shown.port}{shown.path}`" + (f" with `{shown.bearer.name}`" if shown.bearer else "")

    def logs(service: Service) -> str:
        return str(service.logs) if isinstance(service.logs, str) else f"none: {service.logs.reason}"

    rows = ((host, service.name, metrics(service), logs(service)) for host, service in _placed(fleet))
    return _table(("host", "service", "metrics", "logs"), rows)


def _secrets(fleet: Fleet) -> str:
    readers: dict[str, list[str]] = {}
    for host, service in _placed(fleet):
        own = {database.password.name for database in service.databases}
        for name in sorted({secret.name for secret in service.secrets} | service.referenced_secrets | own):
            readers.setdefault(name, []).append(f"{host}/{service.name}")

    rows = (
        (
            f"`{secret.name}`",
            "made by the engine"
            if isinstance(secret.source, Generated)
            else ("optional: " if secret.source.optional else "") + secret.source.obtain,
            ", ".join(readers.get(secret.name, ["-"])),
            secret.irreplaceable or "-",
        )
        for secret in fleet.secrets()
    )
    return _table(("name", "comes from", "read by", "never replaced, because"), rows)


if __name__ == "__main__":
    sys.exit(main())
