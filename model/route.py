"""Routes and sites: a route is some paths of a host name, a site all routes of one. Caddy serves only declared routes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import permutations

ALL = "/*"


class Access(StrEnum):
    """Who may use a route or a port."""

    VPN = "vpn"
    PUBLIC = "public"


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """How many requests one client address may make within a sliding window of `seconds`; the next is answered 429."""

    requests: int
    seconds: int


@dataclass(frozen=True, kw_only=True)
class Cors:
    """What pages of other origins may request of a site. The service sends the headers with its answers, Caddy with its own."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Route:
    """Paths of a host name below the fleet's domain, which Caddy routes to a port of the service.

    A path is exact (`/health`) or a prefix with a star at its end (`/webhook/*`). Several routes, of one service or of
    several, may share a host name. The narrowest route answers, and a wide route is public only where all are.
    """

    subdomain: str
    """Empty for the domain itself."""
    port: int = 0
    """0 where Caddy itself answers, with an `answer` or a `file`."""
    access: Access
    reason: str = ""
    """Why the route is public; required for public routes only."""
    paths: tuple[str, ...] = (ALL,)
    refused_paths: tuple[str, ...] = ()
    """Those of the paths that answer 404 to every client, e.g. `/api/*`."""
    methods: tuple[str, ...] = ()
    """The allowed HTTP methods; others answer 405. Empty: all."""
    rate_limit: RateLimit | None = None
    """Required of a public route."""
    body_mib: int = 100
    """The largest request body in MiB; a larger one answers 413. The default is far above what the catalogue's UIs upload."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Response headers besides those that every site has."""
    cors: Cors | None = None
    """CORS of Caddy's own answers. Without it a page of another origin sees a failed CORS check instead of Caddy's refusal."""
    upgrades: bool = False
    """Whether connections are upgraded to another protocol, such as WebSocket: a reload of Caddy then keeps them open for a
    while."""
    upstream_http: str = ""
    """The only HTTP version spoken with the service, e.g. `1.1`; empty for Caddy's choice."""
    answer: str = ""
    """Body that Caddy itself answers, with status 200 and without a service."""
    file: str = ""
    """File in Caddy's own container, which Caddy serves at each of the paths."""
    asks: str = ""
    """Path and query sent to the service, whatever the client sent; `{file.PATH}` is the text of a file in Caddy's container."""
    relayed: bool = False
    """Whether the hub relays public requests for it over the mesh. On its own host the route is for members alone."""

    def host(self, domain: str) -> str:
        """Its host name."""
        return f"{self.subdomain}.{domain}" if self.subdomain else domain


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """Target of a route: a service on Caddy's host, or the site of the same name at another member's Caddy.

    Over the mesh Caddy speaks TLS, verifies the certificate for the site's name, and keeps the client's Host.
    """

    name: str
    port: int
    over_mesh: bool = False

    def __str__(self) -> str:
        return f"{'https://' if self.over_mesh else ''}{self.name}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class RouteTarget:
    """A route and its upstream; None where Caddy itself answers."""

    route: Route
    upstream: Upstream | None

    @property
    def leads_to(self) -> str:
        """The target in words: the service with path and query, or Caddy's own file or answer."""
        if self.upstream:
            return f"{self.upstream}{self.route.asks}"
        return f"the file {self.route.file}" if self.route.file else f"the answer {self.route.answer!r}"


@dataclass(frozen=True, kw_only=True)
class Site:
    """All routes of one host name at one Caddy, narrower routes first."""

    host: str
    routes: tuple[RouteTarget, ...]

    def paths(self, access: Access) -> tuple[str, ...]:
        """Every path declared with `access`."""
        return tuple(path for led in self.routes if led.route.access is access for path in led.route.paths)

    @property
    def declared(self) -> tuple[str, ...]:
        """Every path of every route."""
        return tuple(path for led in self.routes for path in led.route.paths)

    @property
    def cors(self) -> Cors | None:
        """CORS of Caddy's own answers, whichever route they belong to."""
        return next((led.route.cors for led in self.routes if led.route.cors), None)

    @property
    def tells_paths_apart(self) -> bool:
        """Whether the answer depends on the path: two readings of one path could then get two answers."""
        return self.declared != (ALL,) or any(led.route.refused_paths for led in self.routes)


def sites(led: Iterable[RouteTarget], domain: str) -> tuple[Site, ...]:
    """The sites that the routes `led` form, in the order in which their names first appear."""
    by_host: dict[str, list[RouteTarget]] = {}
    for target in led:
        by_host.setdefault(target.route.host(domain), []).append(target)
    return tuple(
        Site(host=host, routes=tuple(sorted(routes, key=lambda each: _width(each.route)))) for host, routes in by_host.items()
    )


def covers(pattern: str, path: str) -> bool:
    """Whether `pattern` matches whatever `path` (exact or with a star) matches. Caddy ignores case."""
    pattern, path = pattern.lower(), path.lower()
    return path == pattern or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def in_the_way(routes: Iterable[Route]) -> tuple[tuple[Route, Route], ...]:
    """Pairs of routes of one host name in which the first would take requests that belong to the second."""
    ordered = sorted(routes, key=_width)
    return tuple(
        (first, second)
        for first, second in permutations(ordered, 2)
        if ordered.index(first) <= ordered.index(second)
        and any(covers(wide, narrow) for wide in first.paths for narrow in second.paths)
    )


def _width(route: Route) -> tuple[bool, int]:
    """Sort key, smaller for narrower routes: exact paths first, then the longer prefixes."""
    return any(path.endswith("*") for path in route.paths), -min(len(path) for path in route.paths)
