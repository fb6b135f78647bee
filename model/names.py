"""Names of the fleet's sites below its domain, and what the operator renames."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from model.problem import Problem

MESH = "mesh"
"""Site where machines join the mesh."""
FRONT_PAGE = "front-page"
"""The fleet's front page. Its address is the domain itself unless the operator renames it."""
HOSTS = "hosts"
"""Subdomain of the hosts' names in the mesh; it is MagicDNS's, and no site's."""


@dataclass(frozen=True)
class Names:
    """The domain, and the operator's names for sites by their default names."""

    domain: str
    renamed: Mapping[str, str] = field(default_factory=dict)

    def subdomain(self, site: str) -> str:
        """The subdomain of `site`; empty for the domain itself."""
        return _called(site, self.renamed)

    def host(self, site: str) -> str:
        """The full host name of `site`."""
        subdomain = self.subdomain(site)
        return f"{subdomain}.{self.domain}" if subdomain else self.domain


def _called(site: str, renamed: Mapping[str, str]) -> str:
    return renamed.get(site, "" if site == FRONT_PAGE else site)


def problems(stack: str, renamed: Mapping[str, str], sites: Collection[str]) -> Iterator[Problem]:
    """What is wrong with the names that an operator gives to some of `sites`."""
    known = sorted(sites)
    for site in renamed.keys() - set(known):
        yield Problem(
            what=f"vpai:subdomains names {site!r}, which no service is asked by",
            why="nothing would be called so, and nobody would see that",
            fix=f"use some of: {', '.join(known)}",
            example=f"pulumi config rm -s {stack} --path 'vpai:subdomains.{site}'",
        )
    called: dict[str, list[str]] = {}
    for site in known:
        called.setdefault(_called(site, renamed), []).append(site)
    for name, several in called.items():
        if len(several) > 1:
            yield Problem(
                what=f"vpai:subdomains gives the name {name!r} to {' and '.join(several)}",
                why="a name leads to one of them, and strangers could be led to what is for members alone",
                fix="give each a name of its own",
                example=f"pulumi config set -s {stack} --path 'vpai:subdomains.{several[-1]}' my-{several[-1]}",
            )
