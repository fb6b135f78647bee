"""Who may ask for what: a route is some paths of a host name, a site all routes of one. What no route declares is not served."""

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
    """What pages of other origins may ask of a site. The service says so with its own answers, Caddy with those that it makes."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Route:
    """Paths of a host name below the fleet's domain, led by Caddy to a port of the service.

    A path is exact (`/health`) or, with a star at its end, everything that begins so (`/webhook/*`). Several routes may
    share a host name, of one service or of several; the narrower one answers, and a wide one is public only where all are.
    """

    subdomain: str
    """Empty for the domain itself."""
    port: int = 0
    """0 for what Caddy itself gives: an `answer`, or a `file`."""
    access: Access
    reason: str = ""
    """Why the route is public; required exactly then."""
    paths: tuple[str, ...] = (ALL,)
    refused_paths: tuple[str, ...] = ()
    """Of these paths, what answers 404 to everybody, e.g. `/api/*`."""
    methods: tuple[str, ...] = ()
    """The only methods that are let through, others answer 405; empty for all."""
    rate_limit: RateLimit | None = None
    """Required of a public route."""
    body_mib: int = 100
    """The largest request body in MiB; a larger one answers 413. The default is far above what the catalogue's UIs upload."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Response headers besides those that every site has."""
    cors: Cors | None = None
    """Without it a page of another origin is shown no answer of Caddy's: it reads of any refusal that CORS failed."""
    upgrades: bool = False
    """Whether connections change to another protocol, such as WebSocket: a reload of Caddy then lets them live on for a while."""
    upstream_http: str = ""
    """The only HTTP version spoken with the service, e.g. `1.1`; empty for Caddy's choice."""
    answer: str = ""
    """What Caddy itself answers, with status 200 and without a service."""
    file: str = ""
    """A file in Caddy's own container, which it gives at each of the paths."""
    asks: str = ""
    """Path and query that the service is asked, whatever the client wrote; `{file.PATH}` is the text of a file of Caddy's."""
    relayed: bool = False
    """Whether the Internet reaches it by the hub, which hands it on over the mesh: on its own host it is for members alone."""

    def host(self, domain: str) -> str:
        """Its host name."""
        return f"{self.subdomain}.{domain}" if self.subdomain else domain


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """What stands behind a route: a service beside Caddy, or a site of the same name at another member's Caddy.

    Over the mesh TLS is spoken, the certificate verified for the site's name, and the client's Host kept.
    """

    name: str
    port: int
    over_mesh: bool = False

    def __str__(self) -> str:
        return f"{'https://' if self.over_mesh else ''}{self.name}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class RouteTarget:
    """A route and where it leads; nowhere when Caddy answers itself."""

    route: Route
    upstream: Upstream | None

    @property
    def leads_to(self) -> str:
        """As people are shown it: the service and what it is asked, or what Caddy gives itself."""
        if self.upstream:
            return f"{self.upstream}{self.route.asks}"
        return f"the file {self.route.file}" if self.route.file else f"the answer {self.route.answer!r}"


@dataclass(frozen=True, kw_only=True)
class Site:
    """All routes of one host name at one Caddy, the narrower before the wider."""

    host: str
    routes: tuple[RouteTarget, ...]

    def paths(self, access: Access) -> tuple[str, ...]:
        """Every path declared with `access`."""
        return tuple(path for led in self.routes if led.route.access is access for path in led.route.paths)

    @property
    def declared(self) -> tuple[str, ...]:
        """Every path that somebody is answered at."""
        return tuple(path for led in self.routes for path in led.route.paths)

    @property
    def cors(self) -> Cors | None:
        """What is said with the answers that Caddy makes, whatever route they end."""
        return next((led.route.cors for led in self.routes if led.route.cors), None)

    @property
    def tells_paths_apart(self) -> bool:
        """Whether it matters which path a request means: two readings of one path would then be two answers."""
        return self.declared != (ALL,) or any(led.route.refused_paths for led in self.routes)


def sites(led: Iterable[RouteTarget], domain: str) -> tuple[Site, ...]:
    """The sites that `led` add up to, in the order in which their names first appear."""
    by_host: dict[str, list[RouteTarget]] = {}
    for each in led:
        by_host.setdefault(each.route.host(domain), []).append(each)
    return tuple(
        Site(host=host, routes=tuple(sorted(routes, key=lambda each: _width(each.route)))) for host, routes in by_host.items()
    )


def covers(pattern: str, path: str) -> bool:
    """Whether everything that `path` (exact or with a star) stands for lies below `pattern`, as Caddy matches: in any case."""
    pattern, path = pattern.lower(), path.lower()
    return path == pattern or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def in_the_way(routes: Iterable[Route]) -> tuple[tuple[Route, Route], ...]:
    """Pairs of routes of one host name of which the first would take requests that belong to the second."""
    ordered = sorted(routes, key=_width)
    return tuple(
        (first, second)
        for first, second in permutations(ordered, 2)
        if ordered.index(first) <= ordered.index(second)
        and any(covers(wide, narrow) for wide in first.paths for narrow in second.paths)
    )


def _width(route: Route) -> tuple[bool, int]:
    """Smaller for narrower routes: exact paths first, then the longer prefixes."""
    return any(path.endswith("*") for path in route.paths), -min(len(path) for path in route.paths)
