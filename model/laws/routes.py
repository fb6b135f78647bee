"""Routes: access, paths and rate limits."""

import re
from collections.abc import Iterator

from model.placement import Placement
from model.problem import Problem
from model.route import Access, Route, covers, in_the_way

_PATH = re.compile(r"(?=/)(?!.*/[.]{1,2}(/|$))(/[\w.~!$&'()+,;=:@-]+)*(/|/?[*])?|/")


def routes_are_answered(placement: Placement) -> Iterator[Problem]:
    """A public route needs a reason, a VPN route none; Caddy shares a network with the service behind it."""
    for service in placement.services:
        for route in service.routes:
            if (route.access is Access.PUBLIC) != bool(route.reason):
                yield Problem(
                    what=f"{placement.host.name}: route {route.subdomain!r} of {service.name} is {route.access} "
                    + ("without a reason" if not route.reason else "but gives a reason to be public"),
                    why="what the whole Internet may reach is decided and reviewed route by route",
                    fix="say why it is public, or make it Access.VPN",
                    example='access=Access.PUBLIC, reason="Obsidian on iOS syncs without the VPN"',
                )
            if sum(map(bool, (route.port, route.answer, route.file))) != 1:
                yield Problem(
                    what=f"{placement.host.name}: route {route.subdomain!r} of {service.name} has "
                    + ("a port and an answer of Caddy's own" if route.port else "neither a port nor an answer of Caddy's own"),
                    why="one of the two is what a client gets",
                    fix="give it the service's port, or the `answer` or the `file` that Caddy gives without a service",
                    example='Route(subdomain="hook", paths=("/health",), answer="OK", access=Access.VPN)',
                )
            if route.file and service is not placement.door:
                yield Problem(
                    what=f"{placement.host.name}: route {route.subdomain!r} of {service.name} has a file, and is not Caddy's own",
                    why="files of routes lie in Caddy's container, beside the keys of its certificates",
                    fix="let the service answer with its own files: give the route its port",
                    example='Route(subdomain="hello", port=8080, access=Access.VPN)',
                )
            if placement.door is None or not set(placement.door.networks) & set(service.networks):
                yield Problem(
                    what=f"{placement.host.name}: Caddy cannot reach {service.name}, which has the route {route.subdomain!r}",
                    why="every request would end in 502",
                    fix="place caddy on the host and let the service join one of its networks",
                )


def strangers_are_limited(placement: Placement) -> Iterator[Problem]:
    """A public route has a rate limit; a relayed route is public."""
    for service in placement.services:
        for route in service.routes:
            if route.access is Access.PUBLIC and not route.rate_limit:
                yield Problem(
                    what=f"{placement.host.name}: the public route {route.subdomain!r} of {service.name} has no rate limit",
                    why="one stranger could keep the service busy for everybody",
                    fix="measure what a client needs and allow it several times that",
                    example="rate_limit=RateLimit(requests=300, seconds=60)",
                )
            if route.relayed and route.access is not Access.PUBLIC:
                yield Problem(
                    what=f"{placement.host.name}: the route {route.subdomain!r} of {service.name} is relayed but not public",
                    why="the hub hands on what strangers ask; members reach the host itself",
                    fix="leave `relayed` off, or make it public with its reason",
                )


def paths_have_one_answer(placement: Placement) -> Iterator[Problem]:
    """Each path of a host name belongs to one route, and a wide public route never opens a narrower one."""
    by_host: dict[str, list[Route]] = {}
    for service in placement.services:
        for route in service.routes:
            by_host.setdefault(route.subdomain, []).append(route)
            for path in (*route.paths, *route.refused_paths):
                if not _PATH.fullmatch(path):
                    yield Problem(
                        what=f"{placement.host.name}: the route {route.subdomain!r} of {service.name} has the path {path!r}",
                        why="Caddy compares paths that are clean and decoded: this one would never match, or too much",
                        fix="begin with one slash, write it as the service does, with a star at the end only",
                        example='paths=("/webhook/*", "/health")',
                    )
    for name, routes in by_host.items():
        for first, second in in_the_way(routes):
            yield Problem(
                what=f"{placement.host.name}: of the routes of {name!r} the one for {' '.join(first.paths)} takes requests of the"
                + f" one for {' '.join(second.paths)}",
                why="the narrower route answers, and of these two neither is",
                fix="give each path to one route; put exact paths and prefixes into routes of their own",
                example='Route(subdomain="hq", paths=("/webhook/*",), ...), Route(subdomain="hq", ...)',
            )
        for wide in routes:
            for narrow in routes:
                if (wide.access, narrow.access) == (Access.PUBLIC, Access.VPN) and any(
                    covers(pattern, path) for pattern in wide.paths for path in narrow.paths
                ):
                    yield Problem(
                        what=f"{placement.host.name}: {name!r} is public for {' '.join(wide.paths)}, and {' '.join(narrow.paths)}"
                        + " below it is for the VPN",
                        why="a site that is open but for exceptions is open wherever one was forgotten",
                        fix="name the public paths, and let the wide route be for the VPN",
                        example='paths=("/webhook/*",), access=Access.PUBLIC',
                    )
