"""Which route of a host name answers a path."""

from dataclasses import replace

import pytest

from model.route import ALL, Access, Route, RouteTarget, Upstream, covers, in_the_way, sites

WIDE = Route(subdomain="hq", port=1, access=Access.VPN)
HOOKS = replace(WIDE, paths=("/webhook/*",), access=Access.PUBLIC)
EXACT = replace(WIDE, paths=("/webhook/health",))


@pytest.mark.parametrize(
    ("pattern", "path", "covered"),
    [
        ("/*", "/", True),
        ("/a/*", "/A/b", True),
        ("/A", "/a", True),
        ("/a", "/a/b", False),
        ("/a/*", "/a", False),
        ("/a/*", "/ab", False),
        ("/a*", "/ab/*", True),
        ("/ab/*", "/a/*", False),
    ],
)
def test_a_pattern_covers_what_caddy_matches(pattern: str, path: str, covered: bool) -> None:
    assert covers(pattern, path) == covered


def test_the_narrower_route_comes_first_and_takes_nothing_of_the_wider() -> None:
    led = [RouteTarget(route=route, upstream=None) for route in (WIDE, HOOKS, EXACT)]
    [site] = sites(led, "vpai.test")
    assert site.host == "hq.vpai.test"
    assert [route.route for route in site.routes] == [EXACT, HOOKS, WIDE]
    assert site.paths(Access.PUBLIC) == ("/webhook/*",)
    assert site.paths(Access.VPN) == ("/webhook/health", ALL)
    assert in_the_way([WIDE, HOOKS, EXACT]) == ()


def test_of_two_prefixes_the_longer_one_answers() -> None:
    longer = replace(WIDE, paths=("/webhook/deep/*",))
    [site] = sites([RouteTarget(route=route, upstream=None) for route in (HOOKS, longer)], "vpai.test")
    assert [route.route for route in site.routes] == [longer, HOOKS]


def test_equal_paths_are_in_each_others_way() -> None:
    twice = replace(HOOKS, port=2)
    assert in_the_way([HOOKS, twice]) == ((HOOKS, twice),)


def test_sites_come_in_the_order_in_which_their_names_appear() -> None:
    routes = [replace(WIDE, subdomain=name) for name in ("b", "", "a", "b")]
    assert [site.host for site in sites([RouteTarget(route=route, upstream=None) for route in routes], "x.test")] == [
        *("b.x.test", "x.test", "a.x.test"),
    ]


@pytest.mark.parametrize(("route", "matters"), [(WIDE, False), (HOOKS, True), (replace(WIDE, refused_paths=("/api/*",)), True)])
def test_it_matters_which_path_is_meant_where_paths_differ(route: Route, matters: bool) -> None:
    [site] = sites([RouteTarget(route=route, upstream=None)], "vpai.test")
    assert site.tells_paths_apart == matters


def test_over_the_mesh_tls_is_spoken() -> None:
    assert str(Upstream(name="litellm", port=4000)) == "litellm:4000"
    assert str(Upstream(name="sese.na.vpai.test", port=443, over_mesh=True)) == "https://sese.na.vpai.test:443"
