"""Renders the Caddyfile from sites: in each site the access list comes first, and undeclared requests are answered last.

A site is one `route` block, whose directives run in the order written. The first directive refuses clients outside the VPN all
paths but those declared public. Paths, methods, sizes and rates are checked only then; after the routes comes only a 404.
Outside of a `route`, Caddy would run `handle` before `error` and open the site (ADR 16).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from model.network import MAGIC_DNS
from model.route import ALL, Access, Cors, Route, RouteTarget, Site, Upstream

HEALTH_PORT = 2020
METRICS_PORT = 2021


@dataclass(frozen=True, kw_only=True)
class AcmeOverOvh:
    """Certificates from a public authority, proved by DNS records at OVH; `credentials` is the directory of the API keys."""

    email: str
    credentials: str
    directory: str = ""
    """URL of the authority's ACME directory; empty: Caddy's own choice, Let's Encrypt."""
    wildcard: str = ""
    """The domain whose names share one certificate, to keep them out of public certificate logs; empty: one each."""


@dataclass(frozen=True, kw_only=True)
class OwnAuthority:
    """Certificates from the operator's own authority, whose root Caddy holds (`certificate` and `key` are paths)."""

    certificate: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """The page that a browser shows for an answer of Caddy's own."""

    statuses: str
    title: str
    text: str


PAGES = (
    Page(
        statuses="403",
        title="Members only",
        text="This name answers members of the VPN, and you came from {http.request.remote.host}. Switch the VPN on; "
        "when it is on, the name has to resolve to an address that begins with 100.",
    ),
    Page(
        statuses="502 503 504",
        title="The service does not answer",
        text="You were let in, but what stands behind this name is down or starting. It is not you.",
    ),
    Page(statuses="", title="{err.status_text}", text="This request is not served here."),
)
"""One page for each kind of answer; the last is for all others."""


def render(sites: Iterable[Site], tls: AcmeOverOvh | OwnAuthority, vpn: Sequence[IPv4Network]) -> str:
    """The whole Caddyfile; `vpn` lists the client ranges that count as the VPN."""
    nobody = [_nobody("https://")]
    if isinstance(tls, AcmeOverOvh) and tls.wildcard:
        # Caddy requests no certificate for a name that one of these covers.
        nobody.append(_nobody(f"*.{tls.wildcard}", "	import certificate"))
    blocks = [_global(tls), _headers(), _pages(), _FAILURES, _tls(tls), _HEALTH, *nobody, *(_site(site, vpn) for site in sites)]
    return "\n\n".join(blocks) + "\n"


def _global(tls: AcmeOverOvh | OwnAuthority) -> str:
    match tls:
        case AcmeOverOvh(email=email, directory=directory):
            # A check of dates in memory, by default every ten minutes: a due certificate is not late, and a test need not wait.
            lines = ["renew_interval 15s", f"email {email}" if email else "", f"acme_ca {directory}" if directory else ""]
            options = "\n	".join(filter(None, lines))
        case OwnAuthority(certificate=certificate, key=key):
            options = f"""pki {{
		ca local {{
			root {{
				cert {certificate}
				key {key}
			}}
		}}
	}}
	skip_install_trust"""
    # No trusted_proxies: a client in a private range could otherwise choose its own address.
    return f"""{{
	admin localhost:2019
	metrics {{
		per_host
	}}
	servers {{
		protocols h1 h2 h3
	}}
	{options}
	log {{
		output stderr
		format json
		level INFO
	}}
}}"""


def _headers() -> str:
    """The headers of every answer, Caddy's own included, in one place."""
    return """(headers) {
	header {
		Strict-Transport-Security "max-age=31536000; includeSubDomains"
		X-Content-Type-Options nosniff
		X-Frame-Options SAMEORIGIN
		Referrer-Policy strict-origin-when-cross-origin
		Permissions-Policy "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
		-Server
		-Via
		-X-Powered-By
	}
}"""


def _pages() -> str:
    return "\n".join(["(pages) {", *(_page(page) for page in PAGES), "}"])


def _page(page: Page, cors: Sequence[str] = ()) -> str:
    steps = "\n\t\t".join(cors)
    body = f"<!doctype html><title>{page.title}</title><h1>{{err.status_code}}: {page.title}</h1><p>{page.text}</p>"
    return f"""	handle_errors {page.statuses}{" " if page.statuses else ""}{{
		import headers
		header Content-Type "text/html; charset=utf-8"
		header Cache-Control no-store
		log_append error {{err.message}}
		{steps}
		respond "{body}" {{err.status_code}}
	}}"""


def _cors(cors: Cors) -> list[str]:
    """CORS headers of an answer that Caddy makes. A preflight request is allowed even then: otherwise the browser sends no
    request, and shows its page neither the refusal nor the reason."""
    origins = [f"header Origin {origin}" for origin in cors.origins]
    return [
        "@page {",
        *(f"	{line}" for line in origins),
        "}",
        "@beforehand {",
        "	method OPTIONS",
        *(f"	{line}" for line in origins),
        "	header Access-Control-Request-Method *",
        "}",
        "header @page {",
        "	Access-Control-Allow-Origin {http.request.header.Origin}",
        "	Access-Control-Allow-Credentials true",
        "	Access-Control-Expose-Headers Retry-After",
        "	Vary Origin",
        "}",
        "header @beforehand {",
        f'	Access-Control-Allow-Methods "{", ".join(cors.methods)}"',
        f'	Access-Control-Allow-Headers "{", ".join(cors.headers)}"',
        "}",
        "respond @beforehand 204",
    ]


def _tls(tls: AcmeOverOvh | OwnAuthority) -> str:
    match tls:
        case AcmeOverOvh(credentials=directory):
            issuer = f"""dns ovh {{
			endpoint ovh-eu
			application_key {{file.{directory}/ovh-application-key}}
			application_secret {{file.{directory}/ovh-application-secret}}
			consumer_key {{file.{directory}/ovh-consumer-key}}
		}}
		resolvers 1.1.1.1 8.8.8.8"""
            trusted = ""
        case OwnAuthority(certificate=certificate):
            issuer = "issuer internal"
            trusted = f"	tls_trust_pool file {certificate}\n"
    return f"""(certificate) {{
	tls {{
		{issuer}
	}}
}}

(trusted) {{
{trusted}}}"""


# Logs the requests that failed behind Caddy, with the reason, but no errors that have a page. Tokens in headers and queries are
# left out.
_FAILURES = r"""(failures) {
	log {
		output stderr
		level ERROR
		format filter {
			request>headers delete
			request>uri regexp `\?.*` ``
			resp_headers delete
		}
	}
}"""

_HEALTH = f"""http://127.0.0.1:{HEALTH_PORT} {{
	bind 127.0.0.1
	respond /health 200
}}

# The admin API shows the same numbers, but would also take orders.
http://:{METRICS_PORT} {{
	metrics /metrics
}}"""


def _nobody(address: str, certificate: str = "") -> str:
    """A site for every Host that no site has: otherwise Caddy would send an empty 200."""
    return "\n".join([f"{address} {{", *([certificate] if certificate else []), "	import pages", "	error 404", "}"])


def _site(site: Site, vpn: Sequence[IPv4Network]) -> str:
    routes = [line for number, led in enumerate(site.routes) for line in _route(site, led, number)]
    steps = [*_strangers(site, vpn), *_paths(site), *routes, "error 404"]
    snippets = [f"	import {name}" for name in ("certificate", "headers", "failures")]
    snippets += [_page(page, _cors(site.cors)) for page in PAGES] if site.cors else ["	import pages"]
    return "\n".join([f"{site.host} {{", *snippets, "	route {"] + [f"		{step}" for step in steps] + ["	}", "}"])


def _strangers(site: Site, vpn: Sequence[IPv4Network]) -> list[str]:
    """Refuses clients outside the VPN everything that is not public. Every site has these lines, whatever its routes."""
    public = site.paths(Access.PUBLIC)
    return [
        "@strangers {",
        f"	not remote_ip {' '.join(map(str, vpn))}",
        *([f"	not path {' '.join(public)}"] if public else []),
        "}",
        "error @strangers 403",
    ]


def _paths(site: Site) -> list[str]:
    """Refuses every client ambiguous paths, which two programs could read differently, and paths that no route declares."""
    if not site.tells_paths_apart:
        return []
    lines = [
        # Caddy cleans a path before it compares, but forwards the original.
        r"@ambiguous vars_regexp {http.request.uri} `(?i)^(/%2f|[^?]*(//|\\|%5c|%00|(/|%2f)(\.|%2e){1,2}(/|%2f|[?]|$)))`",
        "error @ambiguous 404",
        f"@undeclared not path {' '.join(site.declared)}",
        "error @undeclared 404",
    ]
    if refused := tuple(dict.fromkeys(path for led in site.routes for path in led.route.refused_paths)):
        lines += [f"@refused path {' '.join(refused)}", "error @refused 404"]
    return lines


def _route(site: Site, led: RouteTarget, number: int) -> list[str]:
    """One route: its limits, then its upstream. Routes exclude each other; the narrower comes first."""
    route = led.route
    name = f"@{number}"
    lines = [] if route.paths == (ALL,) else [f"{name} path {' '.join(route.paths)}"]
    return [
        *lines,
        f"handle {name if lines else ''}".rstrip() + " {",
        *(f"	{line}" for line in (*_limits(site, route, number), *_answer(led, site.host))),
        "}",
    ]


def _limits(site: Site, route: Route, number: int) -> list[str]:
    lines = []
    if route.methods:
        lines += [f"@methods{number} not method {' '.join(route.methods)}", f"error @methods{number} 405"]
    if route.rate_limit:
        # Counted by the address of the connection, which a client cannot choose.
        lines += [
            "rate_limit {",
            f"	zone {site.host}-{number} {{",
            "		key {http.request.remote.host}",
            f"		events {route.rate_limit.requests}",
            f"		window {route.rate_limit.seconds}s",
            "	}",
            "}",
        ]
    lines += ["request_body {", f"	max_size {route.body_mib}MiB", "}"]
    lines += [f'header {name} "{value}"' for name, value in route.headers.items()]
    return lines


def _answer(led: RouteTarget, host: str) -> list[str]:
    if led.route.file:
        # A fixed path: no text of the client reaches the file system.
        directory, _, name = led.route.file.rpartition("/")
        return [f"root {directory}", f"rewrite /{name}", "file_server"]
    if led.upstream is None:
        return [f'respond "{led.route.answer}" 200']
    # `rewrite` replaces path and query, so that nothing of the client's is left.
    asks = [f"rewrite {led.route.asks}"] if led.route.asks else []
    return [*asks, f"reverse_proxy {led.upstream} {{", *(f"	{line}" for line in _upstream(led.upstream, led.route, host)), "}"]


def _upstream(upstream: Upstream, route: Route, host: str) -> list[str]:
    """Options for an upstream. Its name is looked up for each new connection, which takes whichever address answers.

    `dynamic a` is not used: its lookups share one lock for all sites. On a hub that starts, the relay's lookup waits for the
    mesh, the mesh for Headscale, and Headscale's site would wait for the lock.
    """
    transport = [f"versions {route.upstream_http}"] if route.upstream_http else []
    if upstream.over_mesh:
        # The certificate is requested and verified under the site's name.
        transport = [f"resolvers {MAGIC_DNS}", f"tls_server_name {host}", "import trusted", *transport]
    return [
        # A replaced container is away for seconds: the request waits.
        "lb_try_duration 10s",
        "lb_try_interval 250ms",
        # Before a TLS upstream Caddy 2.11 puts the upstream's own name into Host, and the other Caddy has no such site.
        *(["header_up Host {http.request.hostport}"] if upstream.over_mesh else []),
        *(["stream_close_delay 10m"] if route.upgrades else []),
        *(["transport http {", *(f"	{line}" for line in transport), "}"] if transport else []),
    ]
