"""The Caddyfile, rendered from routes: the access list is the first thing in every site."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from model.service import Access, Site

HEALTH_PORT = 2020
METRICS_PORT = 2021


@dataclass(frozen=True, kw_only=True)
class AcmeOverOvh:
    """Certificates from a public authority, proved by DNS records at OVH; `credentials` is the files' directory."""

    email: str
    credentials: str


@dataclass(frozen=True, kw_only=True)
class OwnAuthority:
    """Certificates from the operator's own authority, whose root Caddy holds (`certificate` and `key` are paths)."""

    certificate: str
    key: str


def render(sites: Iterable[Site], tls: AcmeOverOvh | OwnAuthority, vpn: Sequence[IPv4Network]) -> str:
    """The whole Caddyfile; `vpn` lists the client ranges that count as the VPN."""
    blocks = [_global(tls), _HEALTH, *(_site(site, tls, vpn) for site in sites)]
    return "\n\n".join(blocks) + "\n"


def _global(tls: AcmeOverOvh | OwnAuthority) -> str:
    match tls:
        case AcmeOverOvh(email=email):
            options = f"email {email}"
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
    # No trusted_proxies: a client in a private range could otherwise choose its own address (predecessor lesson 64).
    return f"""{{
	admin localhost:2019
	metrics {{
		per_host
	}}
	{options}
	log {{
		output stderr
		format json
		level INFO
	}}
}}"""


_HEALTH = f"""http://127.0.0.1:{HEALTH_PORT} {{
	bind 127.0.0.1
	respond /health 200
}}

# The admin API shows the same numbers, but would also take orders.
http://:{METRICS_PORT} {{
	metrics /metrics
}}"""


def _site(site: Site, tls: AcmeOverOvh | OwnAuthority, vpn: Sequence[IPv4Network]) -> str:
    match tls:
        case AcmeOverOvh(credentials=directory):
            issuer = f"""dns ovh {{
			endpoint ovh-eu
			application_key {{file.{directory}/ovh-application-key}}
			application_secret {{file.{directory}/ovh-application-secret}}
			consumer_key {{file.{directory}/ovh-consumer-key}}
		}}
		resolvers 1.1.1.1 8.8.8.8"""
        case OwnAuthority():
            issuer = "issuer internal"
    # Inside `route` the order written is the order run; outside, `handle` would go before `error` and open the site.
    first = ""
    if site.access is Access.VPN:
        ranges = " ".join(str(network) for network in vpn)
        first += f"""
		@outside not remote_ip {ranges}
		error @outside "VPN only" 403"""
    if site.refused_paths:
        first += f"""
		@refused path {" ".join(site.refused_paths)}
		error @refused "not served here" 404"""
    if site.served_paths:
        first += f"""
		@unserved not path {" ".join(site.served_paths)}
		error @unserved "not served here" 404"""
    return f"""{site.host} {{
	tls {{
		{issuer}
	}}
	header {{
		Strict-Transport-Security "max-age=31536000; includeSubDomains"
		X-Content-Type-Options nosniff
		X-Frame-Options SAMEORIGIN
		Referrer-Policy strict-origin-when-cross-origin
		-Server
	}}
	route {{{first}
		reverse_proxy {{
			# During a replacement the name stands for the old and the new container: take whichever answers.
			dynamic a {{
				name {site.upstream}
				port {site.port}
				refresh 2s
			}}
			lb_try_duration 10s
			lb_try_interval 250ms
			fail_duration 5s
		}}
	}}
	handle_errors {{
		respond "{{err.status_code}} {{err.status_text}}" {{err.status_code}}
	}}
}}"""
