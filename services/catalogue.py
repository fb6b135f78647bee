"""The services of Sese-AI as one tuple, Caddy's sites drawn from the routes of the rest."""

from model.secret import External, Secret
from model.service import Service, Site
from services import caddy, litellm, n8n, postgresql, redis

FURTHER_SECRETS = (n8n.ENCRYPTION_KEY,)


def external_secrets(authority: str = "") -> tuple[Secret, ...]:
    """All secrets that an operator may have to set, with an own certificate authority or without."""
    door = caddy.Door(vpn=(), acme_email="", authority=authority)
    return tuple(
        secret
        for service in services("", door)
        for secret in service.secrets
        if isinstance(secret.source, External) and secret != caddy.AUTHORITY_KEY
    )


def services(domain: str, door: caddy.Door, scale: float = 1.0) -> tuple[Service, ...]:
    """Everything that stands on Sese-AI, its limits scaled by `scale`."""
    behind = (postgresql.service(scale), redis.service(scale), litellm.service(scale))
    sites = tuple(
        Site(
            host=f"{route.subdomain}.{domain}",
            upstream=service.name,
            port=route.port,
            access=route.access,
            reason=route.reason,
        )
        for service in behind
        for route in service.routes
    )
    return (*behind, caddy.service(sites, door, scale))
