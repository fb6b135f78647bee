"""The fleet's front page: `https://<domain>/` for members of the VPN, files that the stack's Caddy serves (docs/adr/0083).

Where VictoriaMetrics runs beside that Caddy, the page asks it two questions. Their text is stored beside the page: a client
chooses a question and cannot change it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import resources

from model.names import FRONT_PAGE, Names
from model.placement import Placement
from model.route import Access, RateLimit, Route
from model.service import About, File, Service
from services import caddy, grafana, victoriametrics
from services.front_page.html import FleetFacts, page
from services.front_page.questions import ALERTS, SERVICES, alerts_question, services_question
from services.monitoring.alerts import alerts

DIRECTORY = "front"
"""The directory of the page's files in Caddy's configuration."""
_FILES = ("page.css", "page.js", "icon.svg")
_EVERY_ANSWER = {
    # Only the page's own files, no inline script or style, and no other page around it.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}
_QUESTIONS = {SERVICES: "&max_lookback=75s", ALERTS: ""}
"""Parameters of a question besides its text. Samples come every 30 seconds. VictoriaMetrics' default goes back five minutes,
during which a silent host would look healthy."""


def files(names: Names) -> tuple[Route, ...]:
    """Routes of the page and of the files that it loads."""
    return tuple(
        Route(
            subdomain=names.subdomain(FRONT_PAGE),
            access=Access.VPN,
            paths=(path,),
            methods=("GET", "HEAD"),
            body_mib=1,
            file=f"{caddy.CURRENT}/{DIRECTORY}/{name}",
            headers=_EVERY_ANSWER,
        )
        for path, name in (("/", "index.html"), *((f"/{name}", name) for name in _FILES))
    )


def questions(names: Names) -> tuple[Route, ...]:
    """Routes of the questions that the page may send to VictoriaMetrics beside Caddy, one path a question."""
    return tuple(
        Route(
            subdomain=names.subdomain(FRONT_PAGE),
            port=victoriametrics.PORT,
            access=Access.VPN,
            paths=(f"/live/{question}",),
            methods=("GET",),
            body_mib=1,
            # A tab asks every ten seconds; VictoriaMetrics has other work.
            rate_limit=RateLimit(requests=120, seconds=60),
            headers={"Cache-Control": "no-store"},
            asks=f"/api/v1/query?query={{file.{caddy.CURRENT}/{DIRECTORY}/{question}.promql}}&latency_offset=1ms&nocache=1{more}",
        )
        for question, more in _QUESTIONS.items()
    )


def written(placements: Sequence[Placement], names: Names, stack: str, cost: str) -> tuple[Placement, ...]:
    """The same placements, in which the Caddy with the page's route has its files. Call it last, when all services are known."""
    declared = [route for placement in placements for service in placement.services for route in service.routes]
    drawn = names.subdomain(grafana.SITE) in {route.subdomain for route in declared}
    about = FleetFacts(
        domain=names.domain,
        stack=stack,
        cost=cost,
        live=any(route.asks for route in declared),
        alerting=f"https://{names.host(grafana.SITE)}/alerting/list" if drawn else "",
    )

    def with_page(service: Service) -> Service:
        if not any(route.file for route in service.routes):
            return service
        contents = _contents(about, placements)
        return service.with_files(*(File(path=f"{DIRECTORY}/{name}", content=text) for name, text in contents))

    return tuple(
        replace(placement, services=tuple(with_page(service) for service in placement.services)) for placement in placements
    )


def _contents(about: FleetFacts, placements: Sequence[Placement]) -> Iterator[tuple[str, str]]:
    watched = alerts(placements)
    yield "index.html", page(about, placements, watched)
    for name in _FILES:
        yield name, resources.files(__package__).joinpath(name).read_text()
    if about.live:
        reporters = (service.name for place in placements for service in place.services if service.tells_of(About.SERVICES))
        yield f"{SERVICES}.promql", services_question(reporters)
        yield f"{ALERTS}.promql", alerts_question(watched)
