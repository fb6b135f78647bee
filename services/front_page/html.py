"""Renders the front page from the placements alone. page.js fills in what changes by the minute."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from model.alert import Severity
from model.placement import Placement
from model.route import ALL, Route
from model.service import Service
from services.monitoring.alerts import Alert


@dataclass(frozen=True, kw_only=True)
class FleetFacts:
    """The fleet itself. `cost` is its cost as text; `live`: VictoriaMetrics can be asked; `alerting` is the address of Grafana's
    list of alerts, empty where there is none."""

    domain: str
    stack: str
    cost: str
    live: bool
    alerting: str


def page(about: FleetFacts, placements: Sequence[Placement], alerts: Iterable[Alert]) -> str:
    """The whole document. Without JavaScript or VictoriaMetrics it shows where each service runs, and that health is unknown."""
    placements = [placement for placement in placements if placement.services]
    count = sum(len(placement.services) for placement in placements)
    hosts = f"{len(placements)} host{'s' * (len(placements) != 1)}"
    title = escape(about.domain)
    body = (
        f"<header>\n<h1>{title}</h1>\n<p>Stack {escape(about.stack)}: {count} services on {hosts}</p>\n</header>",
        _verdict(about),
        _facts(about, placements, count),
        *((_alerts(about, alerts),) if about.live else ()),
        *(_host(about, placement) for placement in placements),
        "<footer>Made from the catalogue by <code>pulumi up</code>. For members of the VPN.</footer>",
    )
    return _HEAD.format(title=title, script=_SCRIPT if about.live else "") + "\n".join(body) + "\n</body>\n</html>\n"


_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/page.css">
{script}</head>
<body>
"""
_SCRIPT = '<script src="/page.js" defer></script>\n'


def _verdict(about: FleetFacts) -> str:
    if not about.live:
        text = "No live values: this fleet runs no VictoriaMetrics beside its Caddy, so nobody knows here how the services are."
        return f'<p class="verdict">{text} <code>make status</code> asks the hosts.</p>'
    return (
        '<p class="verdict" id="verdict" role="status" hidden></p>\n'
        '<noscript><p class="verdict">Health, backups and alerts are live values, which need JavaScript. '
        "<code>make status</code> asks the hosts without it.</p></noscript>"
    )


def _facts(about: FleetFacts, placements: Sequence[Placement], count: int) -> str:
    backed_up = any(placement.backup for placement in placements)
    live = [
        _fact("Services well", "well", f"of {count}"),
        _fact("Alerts", "alerts", ""),
        _fact("Last deployment", "deployed", ""),
        _fact("Oldest backup", "backup", "" if backed_up else "no backup is set up"),
    ]
    cost = f'<div class="cost"><dt>Cost</dt><dd>{escape(about.cost)}</dd></div>'
    return '<dl class="facts">\n' + "\n".join([*(live if about.live else []), cost]) + "\n</dl>"


def _fact(name: str, of: str, more: str) -> str:
    return f'<div><dt>{name}</dt><dd><span data-fact="{of}"></span> <small>{escape(more)}</small></dd></div>'


def _alerts(about: FleetFacts, alerts: Iterable[Alert]) -> str:
    """Every alert, hidden until its measure is beyond its limit."""
    link = f' <a href="{escape(about.alerting)}">In Grafana</a>' if about.alerting else ""
    items = "\n".join(
        f'<li hidden class="{alert.severity}" data-alert="{escape(alert.uid)}"><details>'
        f"<summary>{escape(alert.summary)}</summary>"
        f"<p>{alert.severity}, sent after {_minutes(alert.seconds)}</p><code>{escape(alert.runbook)}</code></details></li>"
        for alert in sorted(alerts, key=lambda alert: alert.severity is not Severity.CRITICAL)
    )
    return f'<section id="alerts" hidden>\n<h2>Alerts{link}</h2>\n<ul>\n{items}\n</ul>\n</section>'


def _minutes(seconds: int) -> str:
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min"


def _host(about: FleetFacts, placement: Placement) -> str:
    host = placement.host
    # Services with pages come first: most people open the front page to go there.
    services = sorted(placement.services, key=lambda it: (not any(_sites(about.domain, it)), it.name))
    cards = "\n".join(_service(about, placement, service) for service in services)
    backup = f'<span data-backup="{escape(host.name)}">backed up every night</span>' if placement.backup else "no backup"
    said = [f"{len(placement.services)} services", f"{_gib(host.memory_mib)} of memory", backup]
    if about.live and not host.offline:
        said.append(f'<span data-deployed="{escape(host.name)}"></span>')
    if host.offline:
        said = ["switched off by vpai:offline", *said[:2]]
    parts = " ".join(f"<li>{text}</li>" for text in said)
    return (
        f'<section class="host" data-host="{escape(host.name)}">\n<h2>{escape(host.name)}</h2>\n<ul class="about">{parts}</ul>\n'
        f'<ul class="services">\n{cards}\n</ul>\n</section>'
    )


def _gib(mib: int) -> str:
    return f"{mib / 1024:.3g} GiB"


def _service(about: FleetFacts, placement: Placement, service: Service) -> str:
    """A card: status light, name, a link if the service has pages, version and health."""
    sites = list(_sites(about.domain, service))
    name = escape(service.name)
    title = f'<a href="https://{escape(sites[0])}/">{name}</a>' if sites else name
    version = escape(service.image.rpartition(":")[2])
    state = "switched off" if placement.host.offline else ""
    live = "" if placement.host.offline or not about.live else f' data-service="{name}"'
    live += " data-store" if live and any(route.asks for route in service.routes) else ""
    where = "".join(f"<small>{escape(site)}</small>" for site in sites)
    return (
        f'<li class="service"{live}><div><h3>{title}</h3><span class="version">{version}</span></div>'
        f'<div><span class="state">{state}</span><span class="age"></span></div>{where}</li>'
    )


def _sites(domain: str, service: Service) -> Iterator[str]:
    """The host names at which a browser finds pages of the service."""
    yield from dict.fromkeys(route.host(domain) for route in service.routes if _has_pages(route))


def _has_pages(route: Route) -> bool:
    return not route.file and ALL in route.paths
