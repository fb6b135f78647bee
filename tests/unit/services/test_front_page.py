"""The fleet's front page: what is on it, what it loads and asks, and in which fleet it stands where."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from model import laws
from model.fleet import Fleet
from model.names import FRONT_PAGE
from model.problem import Refused
from model.route import ALL, Access, RateLimit, Route
from model.secret import references
from operations.mesh import dns
from services import apps, front_page, victoriametrics
from services.front_page.html import FleetFacts, page
from services.monitoring import alerts
from tests.support.fleets import NAMES, OTHERS, RENTED_HOST, inputs, placement, stack_services, with_service

ONE_MACHINE = {"hosts": json.dumps({"only": {"address": "203.0.113.10", "memoryMib": 16384}}), "bucketPrefix": ""}
ABOUT = FleetFacts(domain="vpai.test", stack="prod", cost="12.00 EUR a month net", live=True, alerting="https://tala.vpai.test/x")


class Page(HTMLParser):
    """What a browser would make of it: each element with its attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, attribute: str) -> list[str]:
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]


def fleet(stack: str = "prod", **settings: str) -> Fleet:
    return inputs(stack, **{**RENTED_HOST, **settings}).fleet


def files(of: Fleet) -> Mapping[str, str]:
    """The page's files by their name; empty where there is no page."""
    return {
        file.path.removeprefix("front/"): file.content
        for _, service in of.services()
        if service.configuration
        for file in service.configuration.files
        if file.path.startswith("front/")
    }


def stands_on(of: Fleet) -> list[str]:
    return [
        machine.host.name
        for machine in of.placements
        for service in machine.services
        if any(route.file for route in service.routes)
    ]


def test_every_service_is_on_the_page_once_with_its_version_and_the_site_that_has_its_pages() -> None:
    of = fleet()
    shown = Page(files(of)["index.html"])
    assert sorted(shown.values("data-service")) == sorted(service.name for _, service in of.services())
    assert all(service.image.rpartition(":")[2] in shown.text for _, service in of.services())
    with_pages = {route.host(of.domain) for _, service in of.services() for route in service.routes if ALL in route.paths}
    assert {link for link in shown.values("href") if link.endswith("/")} == {f"https://{name}/" for name in with_pages}
    assert shown.values("data-host") == [placement.host.name for placement in of.placements]


def test_every_alert_waits_on_the_page_and_is_asked_for_within_what_the_store_takes() -> None:
    of = fleet()
    uids = [alert.uid for alert in alerts(of.placements)]
    shown = Page(files(of)["index.html"])
    assert sorted(shown.values("data-alert")) == sorted(uids)
    assert all(alert.summary in shown.text and alert.runbook in shown.text for alert in alerts(of.placements))
    question = files(of)["alerts.promql"]
    assert re.findall(r'"alert", "([^"]+)"\)', question) == uids
    assert 16 * 1024 < len(question.encode()) < victoriametrics.QUERY_BYTES / 2


def test_no_text_of_the_catalogue_becomes_markup() -> None:
    evil = '<script>alert("&")</script>'
    qdrant = next(service for service in stack_services() if service.name == "qdrant")
    here = placement(replace(qdrant, name=evil, image=f"registry/qdrant:{evil}"))
    shown = Page(page(replace(ABOUT, domain=evil, stack=evil, cost=evil), [here], alerts([here])))
    assert [tag for tag, _ in shown.elements].count("script") == 1
    assert evil in shown.text and evil in shown.values("data-service")


def test_the_page_meets_its_own_policy_nothing_inline_and_nothing_from_elsewhere() -> None:
    of = fleet()
    shown = Page(files(of)["index.html"])
    assert not shown.values("style") and "style" not in [tag for tag, _ in shown.elements]
    assert not [name for _, attributes in shown.elements for name in attributes if name.startswith("on")]
    loaded = [attributes.get("src") or attributes["href"] for tag, attributes in shown.elements if tag in ("script", "link")]
    served = {path for _, service in of.services() for route in service.routes if route.file for path in route.paths}
    assert set(loaded) == served - {"/"} == {f"/{name}" for name in files(of) if name.endswith(("css", "js", "svg"))}
    [policy] = {
        route.headers["Content-Security-Policy"] for _, service in of.services() for route in service.routes if route.file
    }
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "://" not in policy
    assert "innerHTML" not in files(of)["page.js"] and "eval" not in files(of)["page.js"]


def test_the_store_is_asked_two_questions_by_members_and_nothing_of_a_client_reaches_it() -> None:
    asked = [route for _, service in fleet().services() for route in service.routes if route.asks]
    assert [route.paths for route in asked] == [("/live/services",), ("/live/alerts",)]
    for route in asked:
        assert (route.access, route.methods, route.port) == (Access.VPN, ("GET",), victoriametrics.PORT)
        assert route.rate_limit
        assert re.findall(r"\{([^}]*)\}", route.asks) == [f"file./etc/caddy/current/front{route.paths[0][5:]}.promql"]
        assert route.asks.startswith("/api/v1/query?query={")


def test_nothing_secret_is_on_the_page() -> None:
    for name, text in files(fleet()).items():
        assert not references(text), name


def test_a_fleet_without_monitoring_says_so_and_asks_nothing() -> None:
    of = fleet(services='["litellm"]')
    assert set(files(of)) == {"index.html", "page.css", "page.js", "icon.svg"}
    shown = Page(files(of)["index.html"])
    assert "runs no VictoriaMetrics" in shown.text
    assert "script" not in [tag for tag, _ in shown.elements] and not shown.values("data-service")
    assert "litellm" in shown.text
    assert not [route for _, service in of.services() for route in service.routes if route.asks]


@pytest.mark.parametrize(
    ("settings", "host"),
    [
        ({}, "sese"),
        (ONE_MACHINE, "only"),
        ({"services": '["litellm"]'}, "sese"),
        ({"services": '["litellm", "victoriametrics"]', "placement": '{"victoriametrics": "seko"}'}, "seko"),
    ],
    ids=["the stack", "one machine", "without monitoring", "VictoriaMetrics moved"],
)
def test_the_page_stands_at_the_domain_on_the_host_of_its_store(settings: Mapping[str, str], host: str) -> None:
    of = fleet(**settings)
    assert stands_on(of) == [host]
    assert of.domain in {site.host for machine in of.placements if machine.host.name == host for site in machine.sites()}
    assert files(of)


@pytest.mark.parametrize("other", OTHERS)
def test_every_fleet_that_is_tested_has_one_page_with_its_own_domain(other: str) -> None:
    of = inputs("prod", **OTHERS[other]).fleet
    assert len(stands_on(of)) == 1
    assert f"<h1>{of.domain}</h1>" in files(of)["index.html"]
    assert "example.org" not in of.domain or of.domain in files(of)["index.html"]


def test_a_host_that_is_switched_off_is_no_service_less() -> None:
    shown = Page(files(fleet(offline='["waza"]'))["index.html"])
    assert "switched off" in shown.text
    assert "auto-fix" in shown.text and "auto-fix" not in shown.values("data-service")


def test_the_page_has_another_name_where_the_operator_gives_it_one() -> None:
    of = fleet(subdomains=json.dumps({FRONT_PAGE: "home"}))
    assert f"home.{of.domain}" in {site.host for site in of.sites()}
    assert of.domain not in {site.host for site in of.sites()}
    with pytest.raises(Refused, match="gives the name 'grafana' to front-page and grafana"):
        fleet(subdomains=json.dumps({FRONT_PAGE: "grafana"}))


def test_an_application_at_the_domain_itself_stays_there_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an operator has at the domain must not go because the program has a page too."""
    application = replace(apps.APPS[0], route=replace(apps.APPS[0].route, subdomain=""))
    monkeypatch.setattr(apps, "APPS", (application,))
    of = fleet()
    assert not stands_on(of) and not files(of)
    [site] = [site for site in of.sites() if site.host == of.domain]
    assert [led.leads_to for led in site.routes] == ["hello:8080"]
    home_fleet = fleet(subdomains=json.dumps({FRONT_PAGE: "home"}))
    assert stands_on(home_fleet) == ["sese"]


def test_what_the_public_finds_at_the_domain_is_the_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    of = fleet()
    assert of.domain not in {record.name for record in dns.zone(of, str)}
    limit = RateLimit(requests=10, seconds=60)
    public = Route(subdomain="", port=8080, access=Access.PUBLIC, reason="the public site", rate_limit=limit)
    monkeypatch.setattr(apps, "APPS", (replace(apps.APPS[0], route=public),))
    settings = {**ONE_MACHINE, "hosts": json.dumps({"only": _ALL_ROLES})}
    assert of.domain in {record.name for record in dns.zone(fleet(**settings), str)}


_ALL_ROLES = {"address": "203.0.113.10", "memoryMib": 16384, "roles": ["stack", "hub", "applications"]}


def test_the_page_says_what_the_stack_rents() -> None:
    of = inputs("prod", **RENTED_HOST)
    assert str(of.fleet.invoice) in Page(files(of.fleet)["index.html"]).text
    assert "nothing is rented" in files(fleet(bucketPrefix="", hosts=ONE_MACHINE["hosts"]))["index.html"]


def test_the_page_is_of_the_catalogue_alone_so_that_a_second_up_changes_nothing() -> None:
    assert files(fleet()) == files(fleet())
    assert not re.search(r"\b20[0-9]{2}-[0-9]{2}-[0-9]{2}\b", files(fleet())["index.html"])


def test_a_route_gives_one_thing_a_port_an_answer_or_a_file_of_caddys() -> None:
    route = front_page.files(NAMES)[0]
    assert not list(laws.routes.routes_are_answered(with_service("caddy", routes=(route,))))
    for wrong in (replace(route, answer="OK"), replace(route, port=80), replace(route, file="")):
        assert list(laws.routes.routes_are_answered(with_service("caddy", routes=(wrong,))))
    [problem] = laws.routes.routes_are_answered(with_service("qdrant", routes=(route,)))
    assert problem.what.endswith("has a file, and is not Caddy's own")
