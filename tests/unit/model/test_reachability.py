"""Who reaches what: computed, committed, and told when it changes."""

from dataclasses import replace

from model.reachability import ANYONE, INTERNET, MEMBER, Reach, difference, reachability
from model.route import Access, RateLimit, Route, Site
from operations.reference.catalogue import example_fleet
from operations.reference.reachability import PAGE, page, read
from services.networks import BACKEND, EGRESS, FRONTEND, HUB, MONITORING, SANDBOX, UPLINK

FLEET = example_fleet()
ROWS = reachability(FLEET)


def test_the_page_is_what_make_docs_writes() -> None:
    assert PAGE.read_text() == page(ROWS), "make docs"


def test_the_rows_are_found_again_in_the_page() -> None:
    assert read(page(ROWS)) == set(ROWS)


def test_containers_reach_those_that_they_share_a_network_with_and_nobody_else() -> None:
    for placement in FLEET.placements:
        host = placement.host.name
        on = {service.name: set(service.networks) for service in placement.services}
        for source in on:
            reached = {row.target for row in ROWS if row.source == f"{host}/{source}" and row.target.startswith(f"{host}/")}
            assert reached == {f"{host}/{target}" for target in on if target != source and on[source] & on[target]}


def test_only_networks_with_a_way_out_lead_to_the_internet() -> None:
    ways = {row.by for row in ROWS if row.target == INTERNET}
    assert ways == {FRONTEND.name, EGRESS.name, UPLINK.name}
    assert not ways & {BACKEND.name, HUB.name, MONITORING.name, SANDBOX.name}


def test_no_container_reaches_a_host_and_only_links_reach_another_ones_caddy() -> None:
    out_of_containers = {row for row in ROWS if "/" in row.source or row.source.startswith("any container")}
    assert not [row for row in out_of_containers if row.target.startswith("the host ")]
    linked = {row for row in out_of_containers if row.by == "the mesh, 443/tcp"}
    own = {row for row in linked if "/" in row.source}
    assert {row.source for row in own} == {
        f"{placement.host.name}/{service.name}" for placement, service in FLEET.services() if service.links
    }
    assert {row.target for row in own} == {"sese/caddy", "app-prod-01/caddy"}


def test_a_stranger_reaches_public_routes_and_published_ports() -> None:
    sites = {row.target for row in ROWS if row.source == ANYONE and row.target.startswith("https://")}
    assert sites == {
        f"https://{site.host} on {placement.host.name}"
        for placement in FLEET.placements
        for site in placement.sites()
        if site.paths(Access.PUBLIC)
    }
    ports = {(row.target, row.by) for row in ROWS if row.source == ANYONE and "https://" not in row.target}
    assert ("sese/caddy", "443/tcp") in ports
    assert not [port for port in ports if port[1].startswith(("22/", "804/"))]


def test_a_member_reaches_every_site() -> None:
    assert len({row.target for row in ROWS if row.source == MEMBER and "https://" in row.target}) == len(FLEET.sites())


def test_a_route_that_is_opened_is_told_as_opened() -> None:
    opened = Route(
        subdomain="litellm",
        port=4000,
        access=Access.PUBLIC,
        reason="a demonstration",
        rate_limit=RateLimit(requests=1, seconds=1),
    )
    changed = _with_route(opened)
    reported = difference(ROWS, changed)
    assert reported.opened == (Reach(ANYONE, "https://litellm.example.org on sese", "/* -> litellm:4000"),)
    assert reported.closed == ()
    assert difference(changed, ROWS).closed == reported.opened


def _with_route(route: Route) -> tuple[Reach, ...]:
    """The rows when the site of `route` has it in place of its own."""
    placements = tuple(
        replace(
            placement,
            services=tuple(
                replace(service, configuration=replace(service.configuration, sites=_opened(service.configuration.sites, route)))
                if service.name == "caddy" and service.configuration and placement.host.name == "sese"
                else service
                for service in placement.services
            ),
        )
        for placement in FLEET.placements
    )
    return reachability(replace(FLEET, placements=placements))


def _opened(sites: tuple[Site, ...], route: Route) -> tuple[Site, ...]:
    host = route.host(FLEET.domain)
    return tuple(
        replace(site, routes=tuple(replace(led, route=route) for led in site.routes)) if site.host == host else site
        for site in sites
    )
