"""External parties that check answers, besides the machines: public resolvers, and the issuers of tokens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from operations.init.dialogue import Wrong
from operations.mesh import dns
from stacks.inputs import CLOUD_TOKEN


def _cloud_token(token: str) -> None:
    from components.hetzner import api, preflight  # imports Hetzner's client

    for problem in preflight.problems(api.client(token), (), key_name="", public_key=""):
        raise Wrong(f"{problem.what}. {problem.fix[0].upper()}{problem.fix[1:]}.")


@dataclass(frozen=True, kw_only=True)
class Outside:
    """The external checks; tests replace them."""

    resolvers: Callable[[list[str]], dns.Ask] = dns.public
    tokens: Mapping[str, Callable[[str], None]] = field(default_factory=lambda: {CLOUD_TOKEN.name: _cloud_token})
    """By the secret's name: raises `Wrong` for a value that its issuer refuses."""
